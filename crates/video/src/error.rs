//! What can go wrong with a video, for a caller that wants to act on it?

use std::path::PathBuf;

use affectory_imaging::ImagingError;
use affectory_learn::LearnError;

/// Errors of this crate. What ffmpeg says comes from outside: escape it before a terminal sees it.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    /// There is no ffmpeg.
    #[error(
        "videos are read by ffmpeg, which could not be started as `{program}`: install it (apt-get install ffmpeg), or \
         name another one in AFFECTORY_FFMPEG"
    )]
    Missing {
        /// What was tried.
        program: PathBuf,
        /// Why it did not start.
        #[source]
        source: std::io::Error,
    },
    /// ffmpeg found nothing to decode.
    #[error("ffmpeg cannot read it as a video: {0}")]
    NotAVideo(String),
    /// ffmpeg stopped in the middle, or says that something was damaged; the frames before it are good.
    #[error("not the whole video could be read: {0}")]
    Damaged(String),
    /// No frame for too long.
    #[error("no frame came for {0} s")]
    Stalled(u64),
    /// Frames that are larger than the limits allow.
    #[error(transparent)]
    TooLarge(#[from] ImagingError),
    /// The second ffmpeg did not take the frames.
    #[error("ffmpeg could not write the overlay video: {0}")]
    Encoder(String),
    /// A model that could not answer.
    #[error(transparent)]
    Model(#[from] LearnError),
}

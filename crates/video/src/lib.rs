//! How does a moving picture become frames, people who keep a number, and their affect over time?
//!
//! In: a file, a stream on stdin or a camera, all through the `ffmpeg` program as a child process; a detector and a model.
//! Out: [`FaceNow`]s of one frame after the other, sums over each person ([`Summary`]), frames with answers drawn on them
//! ([`Encoder`]), a plot of affect over time ([`Timeline`]). Memory does not grow with the length of a video, but for a few
//! hundred bytes a person. This crate knows nothing of tables, of files with results or of the catalogue.
//!
//! Reading order: `ffmpeg` (the child), `source`, `frames`, `cuts`, `tracks`, `smoothing`, `watch` (one frame's way),
//! `summary`, `drawing`, `encoder`, `timeline`.

mod cuts;
mod drawing;
mod encoder;
mod error;
mod ffmpeg;
mod frames;
mod ppm;
mod smoothing;
mod source;
mod summary;
mod timeline;
mod tracks;
mod watch;

pub use drawing::draw_faces;
pub use encoder::Encoder;
pub use error::VideoError;
pub use ffmpeg::Ffmpeg;
pub use frames::{Frame, FrameSettings, Frames};
pub use smoothing::Smoother;
pub use source::{Source, VideoInfo};
pub use summary::{FaceSummary, Summary};
pub use timeline::Timeline;
pub use tracks::{Followed, Sight, Tracks};
pub use watch::{FaceNow, Watch, WatchSettings, smallest_face};

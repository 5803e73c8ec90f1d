//! Why was a picture refused?

/// The reason, short enough for a status column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImagingError {
    /// No bytes at all.
    #[error("the file is empty")]
    Empty,
    /// More bytes than the limit.
    #[error("the file has {size_bytes} bytes, the limit is {limit_bytes}")]
    TooManyBytes {
        /// Length of the input.
        size_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// The header announces more pixels than the limit; nothing was allocated.
    #[error("the image is {width}x{height}, the limit is {limit_pixels} pixels")]
    TooManyPixels {
        /// Announced width.
        width: u64,
        /// Announced height.
        height: u64,
        /// The limit.
        limit_pixels: u64,
    },
    /// Not one of the five formats; says what it looks like.
    #[error("not a JPEG, PNG, WebP, GIF or BMP image ({0})")]
    UnknownFormat(String),
    /// The format is right, the content is not.
    #[error("damaged {format} image: {reason}")]
    Damaged {
        /// The format by its first bytes.
        format: &'static str,
        /// What the decoder says.
        reason: String,
    },
}

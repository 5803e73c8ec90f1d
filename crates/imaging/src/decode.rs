//! Which pixels do these bytes hold, if any?

use crate::{ImagingError, RgbImage};

/// What decoding may use. Checked before anything is allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of input; default 64 MiB.
    pub max_bytes: u64,
    /// Pixels after decoding; default 50 million (RGB: 150 MB).
    pub max_pixels: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 64 << 20, max_pixels: 50_000_000 }
    }
}

/// The format, by content and never by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageFormat {
    /// JPEG, baseline or progressive.
    Jpeg,
    /// PNG of any depth.
    Png,
    /// WebP, lossy or lossless.
    WebP,
    /// GIF; its first frame.
    Gif,
    /// Windows bitmap.
    Bmp,
}

impl ImageFormat {
    /// Lower-case name, also the file extension.
    pub const fn name(self) -> &'static str {
        match self {
            ImageFormat::Jpeg => "jpeg",
            ImageFormat::Png => "png",
            ImageFormat::WebP => "webp",
            ImageFormat::Gif => "gif",
            ImageFormat::Bmp => "bmp",
        }
    }
}

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Upright pixels; transparency is laid over white.
    pub image: RgbImage,
    /// What it was.
    pub format: ImageFormat,
}

/// Decodes a picture within limits and turns it upright by its EXIF orientation.
///
/// # Errors
/// An [`ImagingError`] that says why the bytes are refused.
pub fn decode(_bytes: &[u8], _limits: &Limits) -> Result<Decoded, ImagingError> {
    todo!()
}

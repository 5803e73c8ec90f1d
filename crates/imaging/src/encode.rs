//! How does a picture become bytes again?

use crate::{ImagingError, RgbImage};

/// PNG, 8-bit RGB.
///
/// # Errors
/// If a side is 0.
pub fn encode_png(_image: &RgbImage) -> Result<Vec<u8>, ImagingError> {
    todo!()
}

/// JPEG of this quality, 1 to 100, without chroma subsampling.
///
/// # Errors
/// If a side is 0 or above 65,535.
pub fn encode_jpeg(_image: &RgbImage, _quality: u8) -> Result<Vec<u8>, ImagingError> {
    todo!()
}

//! How does a picture become bytes again?

use crate::{ImagingError, RgbImage};

fn refused(format: &'static str, reason: impl std::fmt::Display) -> ImagingError {
    ImagingError::Damaged { format, reason: reason.to_string() }
}

/// PNG, 8-bit RGB.
///
/// # Errors
/// If a side is 0.
pub fn encode_png(image: &RgbImage) -> Result<Vec<u8>, ImagingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, image.width, image.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(|e| refused("png", e))?;
    writer.write_image_data(&image.pixels).map_err(|e| refused("png", e))?;
    writer.finish().map_err(|e| refused("png", e))?;
    Ok(bytes)
}

/// How finely a JPEG keeps colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chroma {
    /// As finely as brightness (4:4:4).
    Full,
    /// Averaged over 2x2 pixels (4:2:0), as cameras and OpenCV write it: two thirds of the time, and fewer bytes.
    Quarter,
}

/// JPEG of this quality, 1 to 100, without chroma subsampling.
///
/// # Errors
/// If a side is 0 or above 65,535.
pub fn encode_jpeg(image: &RgbImage, quality: u8) -> Result<Vec<u8>, ImagingError> {
    encode_jpeg_with(image, quality, Chroma::Full)
}

/// JPEG of this quality, 1 to 100.
///
/// # Errors
/// If a side is 0 or above 65,535.
pub fn encode_jpeg_with(image: &RgbImage, quality: u8, chroma: Chroma) -> Result<Vec<u8>, ImagingError> {
    let side = |pixels: u32| {
        u16::try_from(pixels).ok().filter(|s| *s > 0).ok_or_else(|| refused("jpeg", "a side is 0 or above 65535"))
    };
    let (width, height) = (side(image.width)?, side(image.height)?);
    // A byte for three pixels is more than most pictures need: no growing in steps.
    let mut bytes = Vec::with_capacity(image.pixels.len() / 9 + 1024);
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, quality.clamp(1, 100));
    encoder.set_sampling_factor(match chroma {
        Chroma::Full => jpeg_encoder::SamplingFactor::F_1_1,
        Chroma::Quarter => jpeg_encoder::SamplingFactor::R_4_2_0,
    });
    encoder.encode(&image.pixels, width, height, jpeg_encoder::ColorType::Rgb).map_err(|e| refused("jpeg", e))?;
    Ok(bytes)
}

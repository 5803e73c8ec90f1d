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

/// JPEG of this quality, 1 to 100, without chroma subsampling.
///
/// # Errors
/// If a side is 0 or above 65,535.
pub fn encode_jpeg(image: &RgbImage, quality: u8) -> Result<Vec<u8>, ImagingError> {
    let side = |pixels: u32| {
        u16::try_from(pixels).ok().filter(|s| *s > 0).ok_or_else(|| refused("jpeg", "a side is 0 or above 65535"))
    };
    let (width, height) = (side(image.width)?, side(image.height)?);
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, quality.clamp(1, 100));
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_1_1);
    encoder.encode(&image.pixels, width, height, jpeg_encoder::ColorType::Rgb).map_err(|e| refused("jpeg", e))?;
    Ok(bytes)
}

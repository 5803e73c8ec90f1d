//! How does a picture become bytes again?

use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};

use crate::decode::damaged;
use crate::fit::MAX_SIDE;
use crate::guard::guarded;
use crate::{ImageFormat, ImagingError, RgbImage};

/// PNG, 8-bit RGB.
///
/// # Errors
/// If a side is 0.
pub fn encode_png(image: &RgbImage) -> Result<Vec<u8>, ImagingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, image.width, image.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(|e| damaged(ImageFormat::Png, e))?;
    writer.write_image_data(&image.pixels).map_err(|e| damaged(ImageFormat::Png, e))?;
    writer.finish().map_err(|e| damaged(ImageFormat::Png, e))?;
    Ok(bytes)
}

/// What writes JPEGs. Another one would make other bytes of the same pixels.
pub const JPEG_ENCODER: &str = "libjpeg-turbo-rs";

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

/// JPEG of this quality, 1 to 100: the bytes that libjpeg-turbo makes of these pixels.
///
/// # Errors
/// If a side is 0 or above 65,535.
pub fn encode_jpeg_with(image: &RgbImage, quality: u8, chroma: Chroma) -> Result<Vec<u8>, ImagingError> {
    let side = |pixels: u32| match pixels {
        1..=MAX_SIDE => Ok(pixels as usize),
        _ => Err(damaged(ImageFormat::Jpeg, format_args!("a side is 0 or above {MAX_SIDE}"))),
    };
    let (width, height) = (side(image.width)?, side(image.height)?);
    let subsampling = match chroma {
        Chroma::Full => Subsampling::S444,
        Chroma::Quarter => Subsampling::S420,
    };
    guarded(ImageFormat::Jpeg, || {
        compress(&image.pixels, width, height, PixelFormat::Rgb, quality.clamp(1, 100), subsampling)
            .map_err(|e| damaged(ImageFormat::Jpeg, e))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, decode};

    /// What soft shades look like after a JPEG, as the mean distance of a value, in 255ths.
    fn distance_after(image: &RgbImage, quality: u8, chroma: Chroma) -> f64 {
        let bytes = encode_jpeg_with(image, quality, chroma).unwrap();
        let back = decode(&bytes, &Limits::default()).unwrap().image;
        assert_eq!((back.width, back.height), (image.width, image.height));
        let distance: u64 = image.pixels.iter().zip(&back.pixels).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        distance as f64 / image.pixels.len() as f64
    }

    #[test]
    fn pictures_of_every_small_size_come_back_as_they_were() {
        for width in 1..=35 {
            for height in [1, 2, 7, 8, 9, 15, 16, 17, 33] {
                let at = |x: u32, y: u32| [(x * 7) as u8, (y * 7) as u8, (60 + x * 2 + y * 2) as u8];
                let pixels = (0..width * height).flat_map(|n| at(n % width, n / width)).collect();
                let image = RgbImage { width, height, pixels };
                for (chroma, limit) in [(Chroma::Full, 2.0), (Chroma::Quarter, 6.0)] {
                    let distance = distance_after(&image, 95, chroma);
                    assert!(distance < limit, "{width}x{height}, {chroma:?}: {distance:.2}");
                }
            }
        }
    }

    #[test]
    fn a_picture_that_no_jpeg_can_hold_is_refused() {
        for (width, height) in [(0, 5), (5, 0), (65_536, 1)] {
            let pixels = vec![0; (width * height * 3) as usize];
            let refusal = encode_jpeg(&RgbImage { width, height, pixels }, 90).unwrap_err();
            assert!(refusal.to_string().contains("a side is 0 or above 65535"), "{refusal}");
        }
        // Fewer pixels than it says: no reading beyond them.
        let short = RgbImage { width: 16, height: 16, pixels: vec![0; 16 * 15 * 3] };
        assert!(encode_jpeg(&short, 90).is_err());
    }
}

//! How does a picture of any shape come to the one size that a training set wants?

use fast_image_resize::FilterType;

use crate::transform::resize_part;
use crate::{ImagingError, Limits, RgbImage, Shrunk};

/// Longest side of a JPEG.
pub(crate) const MAX_SIDE: u32 = 65_535;

/// The ways of fitting, as img2dataset knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fit {
    /// The whole picture in the middle of a white square.
    Border,
    /// The shorter side becomes the size, the other one what it must be.
    KeepRatio,
    /// The square in the middle.
    CenterCrop,
}

/// Fits a picture to `size` (> 0) pixels: bilinear and averaged over the source area where it shrinks, Lanczos where it
/// grows.
///
/// # Errors
/// [`ImagingError::TooManyPixels`] if what comes out (a strip whose short side is `size`) is beyond `limits` or longer
/// than a JPEG can be; nothing is allocated then.
pub fn fit(image: &RgbImage, size: u32, fit: Fit, limits: &Limits) -> Result<RgbImage, ImagingError> {
    fit_part((image, image.width, image.height, 1), size, fit, limits)
}

/// Fits a picture that was decoded for it ([`Fit::scale`]) as [`fit()`] fits the picture itself.
///
/// # Errors
/// As [`fit()`].
pub fn fit_shrunk(picture: &Shrunk, size: u32, fit: Fit, limits: &Limits) -> Result<RgbImage, ImagingError> {
    let (width, height) = picture.size;
    fit_part((&picture.image, width, height, picture.shrink), size, fit, limits)
}

impl Fit {
    /// The scale that a picture of this width and height gets when it is fitted to `size`, for [`decode_for`](crate::decode_for).
    pub fn scale(self, width: u32, height: u32, size: u32) -> f64 {
        let becomes_size = match self {
            Fit::Border => width.max(height),
            Fit::KeepRatio | Fit::CenterCrop => width.min(height),
        };
        f64::from(size) / f64::from(becomes_size.max(1))
    }
}

/// `picture` is the pixels, the width and height that count, and by how much smaller the pixels are.
fn fit_part(
    (image, across, down, shrink): (&RgbImage, u32, u32, u32),
    size: u32,
    fit: Fit,
    limits: &Limits,
) -> Result<RgbImage, ImagingError> {
    let (width, height) = fitted_size(across, down, size, fit);
    let (across, down, shrink) = (f64::from(across), f64::from(down), f64::from(shrink));
    let side = across.min(down);
    let part = match fit {
        Fit::Border | Fit::KeepRatio => [0.0, 0.0, across, down],
        Fit::CenterCrop => [(across - side) / 2.0, (down - side) / 2.0, side, side],
    };
    let (across, down) = match fit {
        Fit::Border => (size.into(), size.into()),
        Fit::KeepRatio | Fit::CenterCrop => (width, height),
    };
    limits.check_pixels(across, down)?;
    if width.max(height) > MAX_SIDE.into() {
        return Err(ImagingError::TooManyPixels { width, height, limit_pixels: limits.max_pixels });
    }
    // Both sides change by the same factor.
    let is_smaller = width as f64 * height as f64 <= part[2] * part[3];
    let filter = if is_smaller { FilterType::Bilinear } else { FilterType::Lanczos3 };
    // As checked above, neither is beyond 65,535.
    let fitted = resize_part(image, part.map(|at| at / shrink), width as u32, height as u32, filter);
    Ok(if fit == Fit::Border { in_white_square(fitted, size) } else { fitted })
}

/// Width and height before the border is added; a strip's can be very large.
fn fitted_size(width: u32, height: u32, size: u32, fit: Fit) -> (u64, u64) {
    let (width, height) = (u64::from(width.max(1)), u64::from(height.max(1)));
    let becomes_size = match fit {
        Fit::Border => width.max(height),
        Fit::KeepRatio => width.min(height),
        Fit::CenterCrop => return (size.into(), size.into()),
    };
    let rounded = |side: u64| ((2 * side * u64::from(size) + becomes_size) / (2 * becomes_size)).max(1);
    (rounded(width), rounded(height))
}

fn in_white_square(image: RgbImage, size: u32) -> RgbImage {
    if image.width == size && image.height == size {
        return image;
    }
    let mut square = RgbImage::filled(size, size, [255; 3]);
    let left = 3 * ((size - image.width) / 2) as usize;
    let top = ((size - image.height) / 2) as usize;
    let (line, whole_line) = (3 * image.width as usize, 3 * size as usize);
    for (row, pixels) in image.pixels.chunks_exact(line).enumerate() {
        let at = (top + row) * whole_line + left;
        square.pixels[at..at + line].copy_from_slice(pixels);
    }
    square
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(width: u32, height: u32, how: Fit) -> Result<RgbImage, ImagingError> {
        fit(&RgbImage::filled(width, height, [10, 20, 30]), 64, how, &Limits::default())
    }

    #[test]
    fn sizes_are_those_img2dataset_makes() {
        let cases = [
            (Fit::Border, 100, 50, (64, 64)),
            (Fit::KeepRatio, 50, 100, (64, 128)),
            (Fit::KeepRatio, 1000, 333, (192, 64)),
            (Fit::CenterCrop, 50, 100, (64, 64)),
            (Fit::CenterCrop, 8000, 1, (64, 64)),
        ];
        for (how, width, height, size) in cases {
            let image = fitted(width, height, how).unwrap();
            assert_eq!((image.width, image.height), size, "{how:?} of {width}x{height}");
            assert_eq!(image.pixels.len() as u32, 3 * size.0 * size.1);
        }
    }

    #[test]
    fn a_border_is_white_above_and_below() {
        let image = fitted(100, 50, Fit::Border).unwrap();
        let pixel = |x: usize, y: usize| &image.pixels[3 * (64 * y + x)..][..3];
        assert_eq!([pixel(0, 15), pixel(63, 48)], [[255; 3]; 2]);
        assert_eq!([pixel(0, 16), pixel(63, 47)], [[10, 20, 30]; 2]);
    }

    #[test]
    fn a_strip_that_would_grow_beyond_all_limits_is_refused() {
        let refused = fitted(8000, 1, Fit::KeepRatio).unwrap_err();
        assert!(matches!(refused, ImagingError::TooManyPixels { width: 512_000, height: 64, .. }), "{refused}");
    }
}

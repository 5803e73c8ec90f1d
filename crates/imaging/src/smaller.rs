//! How is a JPEG read at a half or a quarter of its size, where the system's libjpeg-turbo is not at hand?

use libjpeg_turbo_rs::{Decoder, PixelFormat, ScalingFactor};
use zune_core::colorspace::ColorSpace;
use zune_jpeg::SampleRatios;

use crate::RgbImage;
use crate::decode::{JpegDecoder, has_few_scans};

/// By how much the pictures are made smaller here. Not an eighth: libjpeg-turbo-rs 0.8.0 gets the colours wrong by 6 of 255
/// where one direction has half of them.
pub(crate) const SHRINKS: [u32; 2] = [4, 2];

/// The pixels of a JPEG at 1/`shrink` of this size, rounded up.
///
/// `None` if it is of a rarer kind or libjpeg-turbo-rs says a word of complaint: zune-jpeg, which has read the header, is
/// asked for the whole picture then.
pub(crate) fn decode(
    bytes: &[u8],
    header: &JpegDecoder<'_>,
    (width, height): (u32, u32),
    shrink: u32,
) -> Option<RgbImage> {
    if !SHRINKS.contains(&shrink) || !is_common(header) || !has_few_scans(bytes) {
        return None;
    }
    let mut decoder = Decoder::new(bytes).ok()?;
    decoder.set_output_format(PixelFormat::Rgb);
    decoder.set_scale(ScalingFactor::new(1, shrink));
    decoder.set_max_pixels(width as usize * height as usize);
    decoder.set_stop_on_warning(true);
    let image = decoder.decode_image().ok()?;
    let (width, height) = (width.div_ceil(shrink), height.div_ceil(shrink));
    let has_size = image.width == width as usize && image.height == height as usize;
    let is_whole = has_size && image.data.len() == image.width * image.height * 3;
    is_whole.then_some(RgbImage { width, height, pixels: image.data })
}

/// Grey or YCbCr, and the latter with at most one in two colours across and down. Of others libjpeg-turbo-rs 0.8.0 takes RGB
/// for YCbCr and panics over one in a hundred that are damaged.
fn is_common(header: &JpegDecoder<'_>) -> bool {
    matches!(header.input_colorspace(), Some(ColorSpace::Luma | ColorSpace::YCbCr))
        && header.info().is_some_and(|info| !matches!(info.sample_ratio, SampleRatios::Generic(..)))
}

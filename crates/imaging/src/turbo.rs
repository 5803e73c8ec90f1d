//! How does the system's libjpeg-turbo read the pixels of a JPEG?

use turbojpeg::{Decompressor, Image, PixelFormat};

use crate::RgbImage;
use crate::decode::{JpegDecoder, has_few_scans};

/// By how much the pictures are made smaller here.
pub(crate) const SHRINKS: [u32; 3] = [8, 4, 2];

/// The pixels of a JPEG at 1/`shrink` (or all) of this size, rounded up.
///
/// `None` if the library cannot (CMYK) or says a word of complaint: zune-jpeg is asked then, so that damaged files end the
/// same way with both.
pub(crate) fn decode(
    bytes: &[u8],
    _header: &JpegDecoder<'_>,
    (width, height): (u32, u32),
    shrink: u32,
) -> Option<RgbImage> {
    if !has_few_scans(bytes) {
        return None;
    }
    let (width, height) = (width.div_ceil(shrink), height.div_ceil(shrink));
    let (columns, rows) = (width as usize, height as usize);
    let mut pixels = vec![0; columns * rows * 3];
    let image =
        Image { pixels: &mut pixels[..], width: columns, pitch: columns * 3, height: rows, format: PixelFormat::RGB };
    // This interface of the library takes the largest of its scales that is within the size of the image given.
    Decompressor::new().and_then(|mut decompressor| decompressor.decompress(bytes, image)).ok()?;
    Some(RgbImage { width, height, pixels })
}

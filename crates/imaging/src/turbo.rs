//! How does the system's libjpeg-turbo read the pixels of a JPEG?

use turbojpeg::{Decompressor, Image, PixelFormat};

use crate::RgbImage;

/// Scans that are decoded, as many as zune-jpeg allows: each one may cost a walk over the whole picture.
const MAX_SCANS: usize = 100;

/// The pixels of a JPEG whose header said this size, at 1/`shrink` (1, 2, 4, 8) of it, rounded up.
///
/// `None` if the library cannot (CMYK) or says a word of complaint: zune-jpeg is asked then, so that damaged files end the
/// same way with both.
pub(crate) fn decode(bytes: &[u8], width: u32, height: u32, shrink: u32) -> Option<RgbImage> {
    if memchr::memmem::find_iter(bytes, b"\xff\xda").take(MAX_SCANS + 1).count() > MAX_SCANS {
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

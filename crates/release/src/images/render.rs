//! What becomes of one picture's bytes?

use std::cell::RefCell;

use affectory_catalog::CollectedImage;
use affectory_imaging::{Chroma, Fitter, ImagingError, Limits, decode_into, encode_jpeg_with};
use bytes::Bytes;

use super::options::ImageShape;
use super::record::RejectKind;

/// Memory for pixels that a thread keeps between pictures; what a larger one took is given back.
const KEPT_BYTES: usize = 8 << 20;

/// What a thread uses for each of its pictures.
#[derive(Default)]
struct Desk {
    pixels: Vec<u8>,
    fitter: Fitter,
}

thread_local! {
    static DESK: RefCell<Desk> = RefCell::default();
}

/// A picture as it is exported.
#[derive(Debug)]
pub(super) struct Rendered {
    pub bytes: Bytes,
    pub format: String,
    pub width: u32,
    pub height: u32,
}

/// Gives a picture its shape. `Err` is why there is none.
pub(super) fn render(
    image: &CollectedImage,
    bytes: Bytes,
    shape: ImageShape,
) -> Result<Rendered, (RejectKind, String)> {
    let original = &image.image.image;
    let (how, size, quality) = match shape {
        ImageShape::Original => {
            let (width, height) = (original.width, original.height);
            return Ok(Rendered { bytes, format: original.format.clone(), width, height });
        }
        ImageShape::Fitted { fit, size, quality } => (fit, size.get(), quality),
    };
    DESK.with_borrow_mut(|desk| {
        let limits = Limits::default();
        let because = |kind: RejectKind| move |error: ImagingError| (kind, error.to_string());
        let decoded = decode_into(&bytes, &limits, std::mem::take(&mut desk.pixels));
        let decoded = decoded.map_err(because(RejectKind::NotDecodable))?.image;
        drop(bytes);
        let fitted = desk.fitter.fit(&decoded, size, how, &limits).map_err(because(RejectKind::ResultTooLarge))?;
        if decoded.pixels.capacity() <= KEPT_BYTES {
            desk.pixels = decoded.pixels;
        }
        let jpeg = encode_jpeg_with(&fitted, quality, Chroma::Quarter).map_err(because(RejectKind::ResultTooLarge))?;
        let (width, height) = (fitted.width, fitted.height);
        desk.fitter.reuse(fitted);
        Ok(Rendered { bytes: jpeg.into(), format: "jpeg".into(), width, height })
    })
}

/// About how much memory a picture takes while it is rendered, KiB: its bytes, and 9 bytes a pixel for what the most
/// demanding decoder (progressive JPEG) holds.
pub(super) fn memory_kib(image: &CollectedImage, shape: ImageShape) -> u64 {
    let original = &image.image.image;
    let pixels = match shape {
        ImageShape::Original => 0,
        ImageShape::Fitted { .. } => u64::from(original.width) * u64::from(original.height),
    };
    (original.size_bytes + 9 * pixels) / 1024 + 1
}

//! What becomes of one picture's bytes?

use affectory_catalog::CollectedImage;
use affectory_imaging::{Chroma, ImagingError, Limits, decode_for, encode_jpeg_with, fit_shrunk};
use bytes::Bytes;

use super::options::ImageShape;
use super::record::RejectKind;

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
    let limits = Limits::default();
    let because = |kind: RejectKind| move |error: ImagingError| (kind, error.to_string());
    let needed = |width, height| how.scale(width, height, size);
    let decoded = decode_for(&bytes, &limits, needed).map_err(because(RejectKind::NotDecodable))?;
    drop(bytes);
    let fitted = fit_shrunk(&decoded, size, how, &limits).map_err(because(RejectKind::ResultTooLarge))?;
    drop(decoded);
    let jpeg = encode_jpeg_with(&fitted, quality, Chroma::Quarter).map_err(because(RejectKind::ResultTooLarge))?;
    Ok(Rendered { bytes: jpeg.into(), format: "jpeg".into(), width: fitted.width, height: fitted.height })
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

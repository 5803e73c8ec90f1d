//! Which picture is delivered for a face where a layout wants one picture a face?

use affectory_core::{BoundingBox, Landmarks, Point};
use affectory_imaging::{Limits, RgbImage, crop_resize, decode, encode_jpeg, encode_png};

use crate::{ReleaseError, ReleaseItem};

/// Quality of JPEG where a layout demands it: above it, files grow and nothing is seen.
const JPEG_QUALITY: u8 = 95;

/// How a picture that has to be encoded anew is to be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Every pixel as it was.
    Png,
    /// As AffectNet's files.
    Jpeg,
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Encoding::Png => "png",
            Encoding::Jpeg => "jpeg",
        }
    }
}

/// The face alone, and the ending of its file's name: the stored bytes if the face is the whole image (for JPEG only if
/// they are one), else the pixels under its box.
pub(super) fn face_picture(
    item: &ReleaseItem,
    image: &[u8],
    encoding: Encoding,
) -> Result<(Vec<u8>, &'static str), ReleaseError> {
    let whole = item.bounding_box == BoundingBox::whole(item.width, item.height);
    if whole && (encoding == Encoding::Png || item.format == encoding.name()) {
        return Ok((image.to_vec(), extension(&item.format)));
    }
    let fail =
        |e: affectory_imaging::ImagingError| ReleaseError::Item { item: item.item.clone(), reason: e.to_string() };
    let picture = decode(image, &Limits::default()).map_err(fail)?.image;
    let picture = if whole { picture } else { crop(&picture, item.bounding_box) };
    let bytes = match encoding {
        Encoding::Png => encode_png(&picture),
        Encoding::Jpeg => encode_jpeg(&picture, JPEG_QUALITY),
    };
    Ok((bytes.map_err(fail)?, extension(encoding.name())))
}

fn crop(picture: &RgbImage, face: BoundingBox) -> RgbImage {
    let (width, height) = crop_size(face);
    crop_resize(picture, face, width, height)
}

/// A box may be given far larger than any picture; what is delivered is not.
fn crop_size(face: BoundingBox) -> (u32, u32) {
    let side = |side: f32| side.round().clamp(1.0, 8192.0) as u32;
    (side(face.width), side(face.height))
}

/// Landmarks in the pixels of [`face_picture`].
pub(super) fn landmarks_in_picture(item: &ReleaseItem) -> Option<Landmarks> {
    let face = item.bounding_box;
    let (width, height) = crop_size(face);
    let (scale_x, scale_y) = (width as f32 / face.width, height as f32 / face.height);
    let moved = |p: &Point| Point { x: (p.x - face.x) * scale_x, y: (p.y - face.y) * scale_y };
    item.landmarks.as_ref().and_then(|l| Landmarks::new(l.points().iter().map(moved).collect()).ok())
}

/// The usual ending of a format's file names; formats come from the catalogue, names must be safe whatever it says.
pub(crate) fn extension(format: &str) -> &'static str {
    match format {
        "jpeg" => "jpg",
        "png" => "png",
        "webp" => "webp",
        "gif" => "gif",
        "bmp" => "bmp",
        _ => "img",
    }
}

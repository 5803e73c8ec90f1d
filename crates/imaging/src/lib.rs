//! From bytes to pixels and back: decoding within limits, orientation, crops, alignment, resizing, hashes, overlays.
//!
//! In: bytes that may be hostile. Out: upright 8-bit RGB pixels, or the reason why not.
//! The only crate with image decoders; it knows nothing of files, databases or networks.

mod copies;
mod decode;
mod encode;
mod error;
mod fit;
mod guard;
mod hash;
mod near;
mod orientation;
mod overlay;
mod pixels;
#[cfg(not(feature = "turbojpeg"))]
mod smaller;
mod transform;
#[cfg(feature = "turbojpeg")]
mod turbo;

pub use copies::copies_of;
pub use decode::{Decoded, Header, ImageFormat, JPEG_DECODER, Limits, Shrunk, decode, decode_for, read_header};
pub use encode::{Chroma, JPEG_ENCODER, encode_jpeg, encode_jpeg_with, encode_png};
pub use error::ImagingError;
pub use fit::{Fit, fit, fit_shrunk};
pub use guard::is_guarded;
pub use hash::{Looks, looks, perceptual_hash, sha256};
pub use near::{HashIndex, Near, near_pairs};
pub use overlay::{OverlayFace, overlay_svg};
pub use pixels::{GrayImage, RgbImage};
pub use transform::{Similarity, TEMPLATE_112, align, crop_resize, resize, similarity_to_template};

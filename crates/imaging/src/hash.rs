//! By which names is a picture known again: exactly, and by what it looks like?

use affectory_core::{PerceptualHash, Sha256Hex};

use crate::RgbImage;

/// SHA-256 of bytes.
pub fn sha256(_bytes: &[u8]) -> Sha256Hex {
    todo!()
}

/// A 64-bit perceptual hash of the luma (DCT of the 32x32 picture, 8x8 low frequencies against their median).
pub fn perceptual_hash(_image: &RgbImage) -> PerceptualHash {
    todo!()
}

//! By which names is a picture known again: exactly, and by what it looks like?

use affectory_core::{PerceptualHash, Sha256Hex};
use sha2::{Digest, Sha256};

use crate::{RgbImage, resize};

/// SHA-256 of bytes.
pub fn sha256(bytes: &[u8]) -> Sha256Hex {
    Sha256Hex::from_digest(&Sha256::digest(bytes).into())
}

const SIDE: usize = 32;
const KEPT: usize = 8;

/// A 64-bit perceptual hash of the luma: the 8x8 lowest frequencies of the discrete cosine transform of the
/// 32x32 picture, each against their median (Zauner 2010, "pHash").
pub fn perceptual_hash(image: &RgbImage) -> PerceptualHash {
    let small = resize(image, SIDE as u32, SIDE as u32).to_gray();
    let mut cosines = [[0.0f32; SIDE]; KEPT];
    for (frequency, row) in cosines.iter_mut().enumerate() {
        for (place, cosine) in row.iter_mut().enumerate() {
            let angle = std::f32::consts::PI * frequency as f32 * (2 * place + 1) as f32 / (2 * SIDE) as f32;
            *cosine = angle.cos();
        }
    }
    let mut across = [[0.0f32; KEPT]; SIDE];
    for (line, out) in small.pixels.chunks_exact(SIDE).zip(&mut across) {
        for (cosine, sum) in cosines.iter().zip(out) {
            *sum = line.iter().zip(cosine).map(|(pixel, c)| f32::from(*pixel) * c).sum();
        }
    }
    let mut frequencies = [0.0f32; KEPT * KEPT];
    for v in 0..KEPT {
        for u in 0..KEPT {
            frequencies[v * KEPT + u] = (0..SIDE).map(|y| across[y][u] * cosines[v][y]).sum();
        }
    }
    // The first one is the mean brightness: it would drag the median.
    let mut sorted = frequencies[1..].to_vec();
    sorted.sort_by(f32::total_cmp);
    let median = sorted[sorted.len() / 2];
    let bits = frequencies.iter().enumerate().filter(|(_, f)| **f > median).fold(0u64, |bits, (i, _)| bits | 1 << i);
    PerceptualHash(bits)
}

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
    above_median(&frequencies(image))
}

/// What a picture looks like as it is and in a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looks {
    /// [`perceptual_hash`] of the picture.
    pub hash: PerceptualHash,
    /// That of the picture with left and right swapped, within 2 bits (the thumbnail's rounding differs).
    ///
    /// Of a picture of one colour both are the rounding errors' and say nothing.
    pub mirrored: PerceptualHash,
}

/// Both hashes of a picture at the price of one: `cos(pi u (2 (31 - x) + 1) / 64) = (-1)^u cos(pi u (2 x + 1) / 64)`, so a
/// mirror changes the sign of the odd horizontal frequencies and nothing else.
pub fn looks(image: &RgbImage) -> Looks {
    let mut frequencies = frequencies(image);
    let hash = above_median(&frequencies);
    for odd in frequencies.iter_mut().skip(1).step_by(2) {
        *odd = -*odd;
    }
    Looks { hash, mirrored: above_median(&frequencies) }
}

/// The 8x8 lowest frequencies of the luma's 32x32 thumbnail, unscaled: `[vertical * KEPT + horizontal]`.
fn frequencies(image: &RgbImage) -> [f32; KEPT * KEPT] {
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
    frequencies
}

/// A bit for each frequency that is above their median.
fn above_median(frequencies: &[f32; KEPT * KEPT]) -> PerceptualHash {
    // The first one is the mean brightness: it would drag the median.
    let mut sorted = frequencies[1..].to_vec();
    sorted.sort_by(f32::total_cmp);
    let median = sorted[sorted.len() / 2];
    let bits = frequencies.iter().enumerate().filter(|(_, f)| **f > median).fold(0u64, |bits, (i, _)| bits | 1 << i);
    PerceptualHash(bits)
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    /// Left and right swapped.
    fn mirrored(image: &RgbImage) -> RgbImage {
        let row = |row: &[u8]| row.rchunks_exact(3).flatten().copied().collect::<Vec<u8>>();
        let pixels = image.pixels.chunks_exact(3 * image.width as usize).flat_map(row).collect();
        RgbImage { pixels, ..*image }
    }

    #[test]
    fn a_mirrored_picture_has_the_mirrored_hash_within_two_bits() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        for n in 0..200 {
            let (width, height) = (random.random_range(20..200), random.random_range(20..200));
            // Soft cells of different brightness: noise of single pixels would be the resizing's to judge.
            let cells = RgbImage { width: 6, height: 5, pixels: (0..6 * 5 * 3).map(|_| random.random()).collect() };
            let picture = resize(&cells, width, height);
            let (found, expected) = (looks(&picture), looks(&mirrored(&picture)));
            assert_eq!(found.hash, perceptual_hash(&picture));
            assert!(found.mirrored.distance(expected.hash) <= 2, "picture {n}");
            assert!(found.hash.distance(expected.mirrored) <= 2, "picture {n}");
        }
    }
}

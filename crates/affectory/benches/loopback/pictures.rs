//! Pictures for the benchmarks beside img2dataset: drawn, and as large in bytes as photographs of faces.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::path::Path;

use affectory_imaging::{Chroma, RgbImage, encode_jpeg_with};

/// Different pictures of a size; each is served under many addresses, with other bytes.
const N_DRAWN: u64 = 100;

/// Writes pictures that compress like photographs of faces do (0.15 to 0.2 bytes a pixel); says how many bytes.
pub fn draw_photographs(folder: &Path, n_images: usize, sizes: &[(u32, u32)]) -> u64 {
    std::fs::create_dir(folder).unwrap();
    let drawn: Vec<Vec<u8>> = (0..N_DRAWN)
        .map(|n| {
            let (width, height) = sizes[n as usize % sizes.len()];
            encode_jpeg_with(&photograph(n, width, height), 88, Chroma::Quarter).unwrap()
        })
        .collect();
    let mut n_bytes = 0;
    for n in 0..n_images {
        // A comment with a number of its own behind the start of the image.
        let (start, rest) = drawn[n % drawn.len()].split_at(2);
        let comment = [&[0xff, 0xfe, 0, 10][..], &(n as u64).to_be_bytes()].concat();
        let bytes = [start, &comment, rest].concat();
        n_bytes += bytes.len() as u64;
        std::fs::write(folder.join(format!("{n}.jpg")), bytes).unwrap();
    }
    n_bytes
}

/// Soft shapes, finer and weaker ones above them, and a little grain.
fn photograph(seed: u64, width: u32, height: u32) -> RgbImage {
    let mut pixels = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        for x in 0..width {
            for channel in 0..3 {
                // Colours change slowly, brightness in detail.
                let soft = soft_noise(seed * 16 + channel, x, y, 60) * 130.0;
                let detail = soft_noise(seed * 16 + 4, x, y, 14) * 60.0 + soft_noise(seed * 16 + 5, x, y, 5) * 26.0;
                let grain = (noise(seed << 40 | u64::from(y) << 20 | u64::from(x)) % 7) as f32;
                pixels.push((soft + detail + grain + 16.0).clamp(0.0, 255.0) as u8);
            }
        }
    }
    RgbImage { width, height, pixels }
}

/// Random values on a grid of `cell` pixels, bilinear between them, 0 to 1.
fn soft_noise(seed: u64, x: u32, y: u32, cell: u32) -> f32 {
    let value = |i: u32, j: u32| (noise(seed << 32 | u64::from(j) << 16 | u64::from(i)) % 1024) as f32 / 1023.0;
    let (i, j) = (x / cell, y / cell);
    let (s, t) = ((x % cell) as f32 / cell as f32, (y % cell) as f32 / cell as f32);
    let above = value(i, j) * (1.0 - s) + value(i + 1, j) * s;
    let below = value(i, j + 1) * (1.0 - s) + value(i + 1, j + 1) * s;
    above * (1.0 - t) + below * t
}

/// The n-th of numbers that look random (splitmix64).
fn noise(n: u64) -> u64 {
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

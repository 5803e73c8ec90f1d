//! Under which hashes may copies of a picture be known, mirrored and cropped ones too?

use affectory_core::{BoundingBox, PerceptualHash};

use crate::{RgbImage, crop_resize, looks, resize};

/// Shares of a side that are cut off at each of the four edges.
const CUTS: [f32; 2] = [0.05, 0.1];
/// Side of the picture that the variants are cut from, pixels: four for each of the hash's own.
const SIDE: u32 = 128;

/// The hashes to ask with for a picture's copies: its own first, then variants of it, 10 in all.
///
/// The variants are the picture's middle (its copies may be cropped by about 5 % or 10 % a side), the picture with as much
/// added around it, repeating its edge (it may itself be such a crop), and the mirrored of each. `benches/near.rs`, 1,862
/// photographs, within 4 bits: a copy cropped by 5 % a side finds its original in 50 % of cases (its own hash alone: 1 %),
/// by 7.5 % in 11 %, by 10 % in 3 %; crops at one edge only are not found (under 1 %). An original finds its crop more
/// often (37 % at 7.5 %). Different photographs within 8 bits are four times as many as with the own hash alone.
pub fn copies_of(image: &RgbImage) -> Vec<PerceptualHash> {
    let small = resize(image, SIDE, SIDE);
    let added = CUTS.map(|cut| -cut / (1.0 - 2.0 * cut));
    let variants = CUTS.into_iter().chain(added).map(|cut| {
        let (start, side) = (cut * SIDE as f32, (1.0 - 2.0 * cut) * SIDE as f32);
        looks(&crop_resize(&small, BoundingBox { x: start, y: start, width: side, height: side }, SIDE, SIDE))
    });
    std::iter::once(looks(image)).chain(variants).flat_map(|looks| [looks.hash, looks.mirrored]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perceptual_hash;

    /// A picture of a few soft waves, unlike its mirror.
    fn waves() -> RgbImage {
        let (width, height) = (300, 200);
        let brightness =
            |x: f32, y: f32| 128.0 + 60.0 * (x * 7.0 + y * 3.0).sin() + 40.0 * (x * x * 11.0 - y * 9.0).cos();
        let pixels = (0..width * height)
            .flat_map(|at| {
                [brightness((at % width) as f32 / width as f32, (at / width) as f32 / height as f32) as u8; 3]
            })
            .collect();
        RgbImage { width, height, pixels }
    }

    #[test]
    fn a_picture_finds_the_crop_that_was_made_of_it() {
        let picture = waves();
        let middle = BoundingBox { x: 30.0, y: 20.0, width: 240.0, height: 160.0 };
        let crop = crop_resize(&picture, middle, 240, 160);
        let (of_picture, of_crop) = (perceptual_hash(&picture), perceptual_hash(&crop));
        assert!(of_picture.distance(of_crop) > 8, "{}", of_picture.distance(of_crop));
        assert!(copies_of(&picture).iter().any(|hash| hash.distance(of_crop) <= 2));
        assert_eq!(copies_of(&picture)[0], of_picture);
    }
}

//! Which faces make a sample database: how many of each category, and which of them are near-duplicates?

use std::io;
use std::path::Path;

use affectory_core::Expression;
use affectory_imaging::{RgbImage, encode_png};

use crate::dice::Dice;
use crate::face::{Drawn, draw};

/// One face of a sample database.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleFace {
    /// File name without ending, unique in the sample.
    pub name: String,
    /// The drawing.
    pub drawn: Drawn,
}

/// Share of each category, in AffectNet's order: imbalanced as a harvest from the web is, but no category is rare.
const SHARES: [f32; 11] = [0.16, 0.18, 0.11, 0.11, 0.09, 0.09, 0.11, 0.08, 0.02, 0.02, 0.03];

/// One face in this many is the one before it again, a little brighter: search engines bring such copies.
const COPY_EVERY: u32 = 40;

/// Face number `number` of the sample database of a seed; `side` is its size in pixels.
pub fn sample(number: u32, seed: u64, side: u32) -> SampleFace {
    let is_copy = number % COPY_EVERY == COPY_EVERY - 1;
    let original = if is_copy { number - 1 } else { number };
    let face_seed = seed.wrapping_mul(1_000_003).wrapping_add(u64::from(original));
    let expression = Expression::ALL[Dice::new(face_seed, "category").weighted(&SHARES)];
    let mut drawn = draw(expression, face_seed, side);
    if is_copy {
        drawn.image = brighter(&drawn.image);
    }
    SampleFace { name: format!("synthetic-{number:05}"), drawn }
}

/// Writes the first `n_faces` of a sample as PNG files into `root`, one sub-folder a category: `happy/synthetic-00007.png`.
///
/// # Errors
/// What the disk refuses.
pub fn write_folder(root: &Path, n_faces: u32, seed: u64, side: u32) -> io::Result<()> {
    for number in 0..n_faces {
        let face = sample(number, seed, side);
        let category = root.join(face.drawn.expression.name());
        std::fs::create_dir_all(&category)?;
        let png = encode_png(&face.drawn.image).map_err(io::Error::other)?;
        std::fs::write(category.join(format!("{}.png", face.name)), png)?;
    }
    Ok(())
}

fn brighter(image: &RgbImage) -> RgbImage {
    RgbImage { pixels: image.pixels.iter().map(|value| value.saturating_add(3)).collect(), ..image.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_shows_the_same_in_other_bytes() {
        let (original, copy) = (sample(38, 1, 32), sample(39, 1, 32));
        assert_eq!(original.drawn.expression, copy.drawn.expression);
        assert_ne!(original.drawn.image, copy.drawn.image);
    }

    #[test]
    fn every_category_is_in_a_sample_of_a_thousand() {
        let met: std::collections::HashSet<Expression> =
            (0..1000).map(|number| sample(number, 1, 16).drawn.expression).collect();
        assert_eq!(met.len(), 11);
    }
}

//! Is this frame another shot than the one before?

use affectory_imaging::RgbImage;

/// Sides of the thumbnails that are compared: small, so that neither people nor noise move much in it.
const ACROSS: usize = 16;
const DOWN: usize = 9;

/// Mean difference of brightness, 0 to 255, from which on it is another shot. On the clips of the tests neighbouring frames
/// of one shot differ by less than 8, cuts between them by 25 to 90.
const ANOTHER_SHOT: f32 = 18.0;

/// Compares each frame with the one before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cuts {
    last: Option<[f32; ACROSS * DOWN]>,
}

impl Cuts {
    /// Whether the shot changes with this frame; the first one changes nothing.
    pub(crate) fn is_cut(&mut self, image: &RgbImage) -> bool {
        let now = thumbnail(image);
        let last = self.last.replace(now);
        last.is_some_and(|last| difference(&last, &now) > ANOTHER_SHOT)
    }
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32
}

/// Mean brightness (of green, which weighs most) of each cell, from every fourth row and column of large frames.
fn thumbnail(image: &RgbImage) -> [f32; ACROSS * DOWN] {
    let (width, height) = (image.width as usize, image.height as usize);
    let step = (width.min(height) / 90).clamp(1, 4);
    std::array::from_fn(|cell| {
        let span = |at: usize, n: usize, length: usize| {
            let first = at * length / n;
            first..((at + 1) * length / n).max(first + 1)
        };
        let (rows, columns) = (span(cell / ACROSS, DOWN, height), span(cell % ACROSS, ACROSS, width));
        let (mut sum, mut n) = (0u32, 0u32);
        for row in rows.step_by(step) {
            for column in columns.clone().step_by(step) {
                sum += u32::from(image.pixels[(row * width + column) * 3 + 1]);
                n += 1;
            }
        }
        sum as f32 / n.max(1) as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_to_white_is_a_cut_and_a_little_light_is_none() {
        let mut cuts = Cuts::default();
        let levels = [0, 5, 12, 255, 250, 10];
        let seen = levels.map(|level| cuts.is_cut(&RgbImage::filled(40, 30, [level; 3])));
        assert_eq!(seen, [false, false, false, true, false, true]);
        assert!(!Cuts::default().is_cut(&RgbImage::filled(1, 1, [0; 3])));
    }
}

//! How does a part of a picture become the planes a network takes? Area means, as PyTorch's `interpolate(mode="area")`.

use affectory_imaging::RgbImage;

/// A part of a picture in whole pixels, inside it and not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) left: usize,
    pub(crate) top: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl Part {
    pub(crate) fn whole(picture: &RgbImage) -> Self {
        Self { left: 0, top: 0, width: picture.width as usize, height: picture.height as usize }
    }
}

/// The `at`th of `n_out` bins over `n_in` pixels; neighbours share a pixel where the division leaves a rest.
fn bin(at: usize, n_in: usize, n_out: usize) -> std::ops::Range<usize> {
    at * n_in / n_out..((at + 1) * n_in).div_ceil(n_out)
}

/// Writes the part, resized to `width`x`height`, as planes of red, green and blue in about [-1, 1] (0 is 127.5).
/// `planes` has `3 * width * height` places.
pub(crate) fn write_planes(picture: &RgbImage, part: Part, width: usize, height: usize, planes: &mut [f32]) {
    let row_bytes = picture.width as usize * 3;
    let columns: Vec<_> = (0..width).map(|x| bin(x, part.width, width)).collect();
    let mut sums = vec![0u32; part.width * 3];
    let plane = width * height;
    for y in 0..height {
        let rows = bin(y, part.height, height);
        sums.fill(0);
        for row in rows.clone() {
            let start = (part.top + row) * row_bytes + part.left * 3;
            for (sum, value) in sums.iter_mut().zip(&picture.pixels[start..start + part.width * 3]) {
                *sum += u32::from(*value);
            }
        }
        for (x, columns) in columns.iter().enumerate() {
            let scale = 1.0 / (rows.len() * columns.len()) as f32;
            let mut colour = [0u32; 3];
            for pixel in sums[columns.start * 3..columns.end * 3].chunks_exact(3) {
                for (sum, value) in colour.iter_mut().zip(pixel) {
                    *sum += value;
                }
            }
            for (channel, sum) in colour.into_iter().enumerate() {
                planes[channel * plane + y * width + x] = (sum as f32 * scale - 127.5) * 0.007_812_5;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_cover_every_pixel_and_overlap_where_the_division_leaves_a_rest() {
        assert_eq!((0..2).map(|at| bin(at, 5, 2)).collect::<Vec<_>>(), [0..3, 2..5]);
        assert_eq!((0..3).map(|at| bin(at, 2, 3)).collect::<Vec<_>>(), [0..1, 0..2, 1..2]);
    }

    #[test]
    fn a_picture_halved_is_the_mean_of_its_squares() {
        let pixels = (0..16u8).flat_map(|i| [i * 4, i, 255]).collect();
        let picture = RgbImage { width: 4, height: 4, pixels };
        let mut planes = vec![0.0; 12];
        write_planes(&picture, Part::whole(&picture), 2, 2, &mut planes);
        let back: Vec<f32> = planes.iter().map(|v| v / 0.007_812_5 + 127.5).collect();
        assert_eq!(back, [10.0, 18.0, 42.0, 50.0, 2.5, 4.5, 10.5, 12.5, 255.0, 255.0, 255.0, 255.0]);
    }
}

//! How does a face get from its place in a picture into a square of a given size?

use affectory_core::{BoundingBox, Point};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::RgbImage;

/// Where the five landmarks lie in an aligned crop of 112x112 (ArcFace's template): x, y of pixel centres.
pub const TEMPLATE_112: [[f64; 2]; 5] =
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]];

/// `[x' y'] = [[a, -b, tx], [b, a, ty]] [x y 1]`: rotation, scale, shift, no reflection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Similarity {
    /// Scale times cosine.
    pub a: f64,
    /// Scale times sine.
    pub b: f64,
    /// Shift to the right in the crop, pixels.
    pub tx: f64,
    /// Shift down in the crop, pixels.
    pub ty: f64,
}

impl Similarity {
    /// Pixels of the crop for each pixel of the picture.
    pub fn scale(self) -> f64 {
        self.a.hypot(self.b)
    }

    /// Where a place of the crop lies in the picture.
    fn source_of(self, x: f64, y: f64) -> (f64, f64) {
        let (dx, dy) = (x - self.tx, y - self.ty);
        let squared = self.a * self.a + self.b * self.b;
        ((self.a * dx + self.b * dy) / squared, (self.a * dy - self.b * dx) / squared)
    }
}

/// The least-squares similarity (Umeyama 1991, without reflection) from five landmarks (x, y) to the template scaled to
/// `size`. `None` if the points coincide.
pub fn similarity_to_template(landmarks: &[[f64; 2]; 5], size: u32) -> Option<Similarity> {
    let factor = f64::from(size) / 112.0;
    let mean = |points: &[[f64; 2]; 5]| {
        let (x, y) = points.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p[0], sum.1 + p[1]));
        (x / 5.0, y / 5.0)
    };
    let from_mean = mean(landmarks);
    let to_mean = mean(&TEMPLATE_112);
    let (mut along, mut turned, mut spread) = (0.0, 0.0, 0.0);
    for (from, to) in landmarks.iter().zip(&TEMPLATE_112) {
        let (fx, fy) = (from[0] - from_mean.0, from[1] - from_mean.1);
        let (tx, ty) = ((to[0] - to_mean.0) * factor, (to[1] - to_mean.1) * factor);
        along += fx * tx + fy * ty;
        turned += fx * ty - fy * tx;
        spread += fx * fx + fy * fy;
    }
    if !spread.is_finite() || spread <= 1e-12 || along.hypot(turned) <= 1e-12 {
        return None;
    }
    let (a, b) = (along / spread, turned / spread);
    Some(Similarity {
        a,
        b,
        tx: to_mean.0 * factor - (a * from_mean.0 - b * from_mean.1),
        ty: to_mean.1 * factor - (b * from_mean.0 + a * from_mean.1),
    })
}

/// The aligned crop of `size`x`size`, bilinear, averaged over the source area when it shrinks; black outside the picture.
pub fn align(image: &RgbImage, landmarks: &[Point; 5], size: u32) -> Option<RgbImage> {
    let mut transform = similarity_to_template(&landmarks.map(|p| [f64::from(p.x), f64::from(p.y)]), size)?;
    let mut shrunk = None;
    // Far too large a picture is halved first, so that sampling stays cheap whatever comes in.
    let shrink = (0.25 / transform.scale()).floor();
    if shrink >= 2.0 {
        let side = |pixels: u32| ((f64::from(pixels) / shrink).round() as u32).max(1);
        let small = resize(image, side(image.width), side(image.height));
        let factor = f64::from(image.width) / f64::from(small.width);
        // Pixel centres: x = (x_small + 0.5) * factor - 0.5.
        let middle = (factor - 1.0) / 2.0;
        transform = Similarity {
            a: transform.a * factor,
            b: transform.b * factor,
            tx: transform.tx + (transform.a - transform.b) * middle,
            ty: transform.ty + (transform.a + transform.b) * middle,
        };
        shrunk = Some(small);
    }
    let source = shrunk.as_ref().unwrap_or(image);
    let per_side = (1.0 / transform.scale()).round().clamp(1.0, 8.0) as u32;
    let n_samples = f64::from(per_side * per_side);
    let mut crop = RgbImage::filled(size, size, [0; 3]);
    for (at, pixel) in crop.pixels.chunks_exact_mut(3).enumerate() {
        let (x, y) = (f64::from(at as u32 % size), f64::from(at as u32 / size));
        let mut sums = [0.0f64; 3];
        for sample in 0..per_side * per_side {
            let within = |k: u32| (f64::from(k) + 0.5) / f64::from(per_side) - 0.5;
            let (sx, sy) = transform.source_of(x + within(sample % per_side), y + within(sample / per_side));
            for (sum, value) in sums.iter_mut().zip(bilinear(source, sx, sy)) {
                *sum += value;
            }
        }
        for (value, sum) in pixel.iter_mut().zip(sums) {
            *value = (sum / n_samples).round() as u8;
        }
    }
    Some(crop)
}

/// The colour between four pixel centres; pixels outside the picture are black.
fn bilinear(image: &RgbImage, x: f64, y: f64) -> [f64; 3] {
    let (left, top) = (x.floor(), y.floor());
    let (share_x, share_y) = (x - left, y - top);
    let mut colour = [0.0; 3];
    for (dx, dy, weight) in [
        (0.0, 0.0, (1.0 - share_x) * (1.0 - share_y)),
        (1.0, 0.0, share_x * (1.0 - share_y)),
        (0.0, 1.0, (1.0 - share_x) * share_y),
        (1.0, 1.0, share_x * share_y),
    ] {
        let (column, row) = (left + dx, top + dy);
        if column >= 0.0 && row >= 0.0 && column < f64::from(image.width) && row < f64::from(image.height) {
            let at = (row as usize * image.width as usize + column as usize) * 3;
            for (sum, value) in colour.iter_mut().zip(&image.pixels[at..at + 3]) {
                *sum += weight * f64::from(*value);
            }
        }
    }
    colour
}

/// The pixels under `bounding_box`, resized to `width`x`height`; outside the picture the edge pixels are repeated.
///
/// A box more than four pictures away from the picture is moved to its edge, so that no box, however wild,
/// costs more than a few times the picture's own memory.
pub fn crop_resize(image: &RgbImage, bounding_box: BoundingBox, width: u32, height: u32) -> RgbImage {
    let span = |low: f32, length: f32, pixels: u32| {
        let limit = f64::from(pixels);
        let start = f64::from(low).clamp(-2.0 * limit, 2.0 * limit);
        let end = (f64::from(low) + f64::from(length)).clamp(start + 1e-3, 3.0 * limit + 1.0);
        (start, end)
    };
    let (left, right) = span(bounding_box.x, bounding_box.width, image.width);
    let (top, bottom) = span(bounding_box.y, bounding_box.height, image.height);
    let is_inside = left >= 0.0 && top >= 0.0 && right <= f64::from(image.width) && bottom <= f64::from(image.height);
    if is_inside {
        return resize_part(image, [left, top, right - left, bottom - top], width, height, FilterType::Bilinear);
    }
    let (first_column, first_row) = (left.floor() as i64, top.floor() as i64);
    let columns = (right.ceil() as i64 - first_column).max(1);
    let rows = (bottom.ceil() as i64 - first_row).max(1);
    let mut padded = Vec::with_capacity((columns * rows * 3) as usize);
    for row in first_row..first_row + rows {
        let row = row.clamp(0, i64::from(image.height) - 1) as usize;
        for column in first_column..first_column + columns {
            let column = column.clamp(0, i64::from(image.width) - 1) as usize;
            let at = (row * image.width as usize + column) * 3;
            padded.extend_from_slice(&image.pixels[at..at + 3]);
        }
    }
    let padded = RgbImage { width: columns as u32, height: rows as u32, pixels: padded };
    let part = [left - first_column as f64, top - first_row as f64, right - left, bottom - top];
    resize_part(&padded, part, width, height, FilterType::Bilinear)
}

/// The whole picture at another size (both sides > 0): bilinear, averaged over the source area when it shrinks.
pub fn resize(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    let whole = [0.0, 0.0, f64::from(image.width), f64::from(image.height)];
    resize_part(image, whole, width, height, FilterType::Bilinear)
}

/// `part` is left, top, width, height inside the picture.
pub(crate) fn resize_part(image: &RgbImage, part: [f64; 4], width: u32, height: u32, filter: FilterType) -> RgbImage {
    let (width, height) = (width.max(1), height.max(1));
    let [left, top, across, down] = part;
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).crop(left, top, across, down);
    let mut out = Image::new(width, height, PixelType::U8x3);
    let done = ImageRef::new(image.width, image.height, &image.pixels, PixelType::U8x3)
        .ok()
        .and_then(|source| Resizer::new().resize(&source, &mut out, &options).ok());
    debug_assert!(done.is_some(), "the part {part:?} lies inside {}x{}", image.width, image.height);
    RgbImage { width, height, pixels: out.into_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_maps_onto_itself() {
        let same = similarity_to_template(&TEMPLATE_112, 112).expect("five different points");
        assert!((same.a - 1.0).abs() < 1e-9 && same.b.abs() < 1e-9 && same.tx.abs() < 1e-6 && same.ty.abs() < 1e-6);
        let twice = similarity_to_template(&TEMPLATE_112, 224).expect("five different points");
        assert!((twice.scale() - 2.0).abs() < 1e-9);
        assert_eq!(similarity_to_template(&[[3.0, 4.0]; 5], 112), None);
    }

    #[test]
    fn a_quarter_turn_is_undone() {
        let turned = TEMPLATE_112.map(|[x, y]| [-y, x]);
        let back = similarity_to_template(&turned, 112).expect("five different points");
        assert!(back.a.abs() < 1e-6 && (back.b + 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_crop_of_the_whole_picture_at_its_size_is_the_picture() {
        let pixels: Vec<u8> = (0..48 * 48 * 3).map(|i| (i * 7 % 251) as u8).collect();
        let picture = RgbImage { width: 48, height: 48, pixels };
        assert_eq!(crop_resize(&picture, BoundingBox::whole(48, 48), 48, 48), picture);
    }

    #[test]
    fn boxes_beyond_the_picture_repeat_its_edge_and_wild_ones_are_tamed() {
        let picture = RgbImage::filled(10, 10, [9, 8, 7]);
        let far = [(-5.0, -5.0, 20.0), (1e30, 1e30, 1e30), (-1e30, -1e30, 1e-20), (9.999, 9.999, 1e-6)];
        for (x, y, side) in far {
            let crop = crop_resize(&picture, BoundingBox { x, y, width: side, height: side }, 4, 4);
            assert_eq!(crop, RgbImage::filled(4, 4, [9, 8, 7]), "box at {x},{y} side {side}");
        }
    }
}

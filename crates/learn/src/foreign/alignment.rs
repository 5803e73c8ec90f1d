//! How is a face turned and placed before a network sees it that learnt on aligned faces?
//!
//! The aligner is [`affectory_imaging::align`], which `faces run` makes its crops with: it lays five points on ArcFace's
//! template. Any square of a picture, however turned, is had from it by handing it the five places that the template would
//! have in that square.

use affectory_core::{BoundingBox, Landmarks, Point};
use affectory_imaging::{RgbImage, TEMPLATE_112, align, crop_resize, similarity_to_template};
use affectory_nets::Landmarks68;

/// What a manifest may say of alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Alignment {
    /// The upright square around the box.
    #[default]
    None,
    /// The same square, turned around its middle until the eyes are level.
    Eyes,
    /// The five points lie where ArcFace's template has them, as well as turning, scaling and moving can do that.
    FivePoints,
}

/// The crop of `side` x `side` pixels, black outside the picture; `None` for the upright square, and where the points that
/// it needs coincide. `crop_scale` is the square's side: of the box's longer side with the eyes, of the template's with five
/// points.
pub(super) fn aligned(
    picture: &RgbImage,
    face: BoundingBox,
    five: &[Point; 5],
    (alignment, crop_scale, side): (Alignment, f32, u32),
) -> Option<RgbImage> {
    let points = match alignment {
        Alignment::None => return None,
        Alignment::Eyes => in_turned_square(face.squared(crop_scale), five, side)?,
        // As it is, to the last bit, what `faces run` stores.
        Alignment::FivePoints if crop_scale == 1.0 => *five,
        Alignment::FivePoints => spread(five, crop_scale, side)?,
    };
    align(picture, &points, side)
}

/// Where a pixel of a square crop lies from the crop's middle, in pixels of the crop: -(side - 1) / 2 to (side - 1) / 2.
fn from_middle(template: [f64; 2], side: u32) -> [f64; 2] {
    let side = f64::from(side);
    template.map(|place| place * side / 112.0 - (side - 1.0) / 2.0)
}

/// The template's points in `square`, turned as the line through the eyes is.
fn in_turned_square(square: BoundingBox, five: &[Point; 5], side: u32) -> Option<[Point; 5]> {
    let [left, right, ..] = five;
    let (across, down) = (f64::from(right.x - left.x), f64::from(right.y - left.y));
    let distance = across.hypot(down);
    if !distance.is_finite() || distance < 1e-6 {
        return None;
    }
    let (cos, sin) = (across / distance, down / distance);
    let scale = f64::from(square.width) / f64::from(side);
    let middle = square.centre();
    Some(TEMPLATE_112.map(|template| {
        let [x, y] = from_middle(template, side).map(|pixels| pixels * scale);
        // A box counts pixels by their edges, alignment by their middles.
        Point {
            x: (f64::from(middle.x) - 0.5 + x * cos - y * sin) as f32,
            y: (f64::from(middle.y) - 0.5 + x * sin + y * cos) as f32,
        }
    }))
}

/// The five points moved away from the place that the crop has in its middle: the crop shows `crop_scale` times as much.
fn spread(five: &[Point; 5], crop_scale: f32, side: u32) -> Option<[Point; 5]> {
    let fitted = similarity_to_template(&five.map(|p| [f64::from(p.x), f64::from(p.y)]), side)?;
    let middle = (f64::from(side) - 1.0) / 2.0;
    let (dx, dy) = (middle - fitted.tx, middle - fitted.ty);
    let squared = fitted.scale().powi(2);
    let x = ((fitted.a * dx + fitted.b * dy) / squared) as f32;
    let y = ((fitted.a * dy - fitted.b * dx) / squared) as f32;
    Some(five.map(|p| Point { x: x + (p.x - x) * crop_scale, y: y + (p.y - y) * crop_scale }))
}

/// The five points of a face of which nothing but the box is known: the eyes' middles, the nose and the mouth's corners among
/// the 68 that the network inside the program sees in the square around it. `None` if it answers with what is no number.
pub(super) fn five_in(picture: &RgbImage, face: BoundingBox, landmarks: &Landmarks68) -> Option<[Point; 5]> {
    let (square, side) = (face.squared(1.0), Landmarks68::SIDE as u32);
    let seen = landmarks.points(&crop_resize(picture, square, side, side).pixels).into_iter().next()?;
    let placed = seen.map(|[x, y]| Point { x: square.x + x * square.width, y: square.y + y * square.height });
    Some(Landmarks::new(placed.to_vec()).ok()?.five())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A smooth picture of 200 x 200 in which a place (from the middle) has a colour that tells it from others.
    fn drawn(colour: impl Fn(f64, f64) -> [f64; 3]) -> RgbImage {
        let place = |at: u32| f64::from(at) - 99.5;
        let pixels = (0..200).flat_map(|y| (0..200).map(move |x| (place(x), place(y))));
        RgbImage { width: 200, height: 200, pixels: pixels.flat_map(|(x, y)| colour(x, y).map(|v| v as u8)).collect() }
    }

    fn hills(x: f64, y: f64) -> [f64; 3] {
        [128.0 + x / 2.0, 128.0 + y / 2.0, 128.0 + 60.0 * ((x / 30.0).sin() + (y / 40.0).cos()) / 2.0]
    }

    /// `place` turned by `angle` around the picture's middle.
    fn turned(place: [f64; 2], angle: f64) -> Point {
        let (sin, cos) = angle.sin_cos();
        let [x, y] = place;
        Point { x: (x * cos - y * sin + 99.5) as f32, y: (x * sin + y * cos + 99.5) as f32 }
    }

    fn worst(a: &RgbImage, b: &RgbImage) -> u8 {
        assert_eq!((a.width, a.height), (b.width, b.height));
        a.pixels.iter().zip(&b.pixels).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
    }

    /// The template's points in a face of 90 pixels in the picture's middle.
    fn five(angle: f64) -> [Point; 5] {
        TEMPLATE_112.map(|[x, y]| turned([(x - 56.0) * 90.0 / 112.0, (y - 56.0) * 90.0 / 112.0], angle))
    }

    #[test]
    fn a_turned_face_gives_the_crop_of_the_upright_one() {
        let face = BoundingBox { x: 55.0, y: 55.0, width: 90.0, height: 90.0 };
        for (angle, upright) in [(0.5f64, drawn(hills)), (-1.2, drawn(hills))] {
            let (sin, cos) = angle.sin_cos();
            let picture = drawn(|x, y| hills(x * cos + y * sin, y * cos - x * sin));
            for alignment in [Alignment::Eyes, Alignment::FivePoints] {
                for crop_scale in [0.8, 1.0, 1.3] {
                    let crop = |picture: &RgbImage, angle: f64| {
                        aligned(picture, face, &five(angle), (alignment, crop_scale, 112)).expect("five places")
                    };
                    let found = worst(&crop(&picture, angle), &crop(&upright, 0.0));
                    assert!(found <= 3, "{alignment:?} {angle} {crop_scale}: {found}");
                }
            }
        }
    }

    #[test]
    fn level_eyes_leave_the_square_around_the_box() {
        let (picture, face) = (drawn(hills), BoundingBox { x: 61.0, y: 47.0, width: 70.0, height: 84.0 });
        // The template's eyes are not quite level.
        let mut five = five(0.0);
        five[1].y = five[0].y;
        for crop_scale in [1.0, 1.4] {
            let found = aligned(&picture, face, &five, (Alignment::Eyes, crop_scale, 96)).expect("two eyes");
            assert!(worst(&found, &crop_resize(&picture, face.squared(crop_scale), 96, 96)) <= 2);
        }
    }

    #[test]
    fn five_points_are_what_faces_run_stores_and_a_larger_scale_shows_more_around_the_same_middle() {
        let (picture, face) = (drawn(hills), BoundingBox { x: 0.0, y: 0.0, width: 9.0, height: 9.0 });
        let five = five(0.3);
        let crop = |crop_scale, side| aligned(&picture, face, &five, (Alignment::FivePoints, crop_scale, side));
        assert_eq!(crop(1.0, 224), align(&picture, &five, 224));
        // Twice as much at twice the size: the middle of the one is the other.
        let (small, large) = (crop(1.0, 40).expect("five"), crop(2.0, 80).expect("five"));
        let rows = (20..60).flat_map(|y| large.pixels[(y * 80 + 20) * 3..(y * 80 + 60) * 3].to_vec());
        let middle = RgbImage { width: 40, height: 40, pixels: rows.collect() };
        assert!(worst(&small, &middle) <= 3);
    }

    #[test]
    fn places_that_coincide_are_no_alignment() {
        let (picture, face) = (drawn(hills), BoundingBox::whole(200, 200));
        for alignment in [Alignment::None, Alignment::Eyes, Alignment::FivePoints] {
            for crop_scale in [1.0, 2.0] {
                let five = [Point { x: 3.0, y: 4.0 }; 5];
                assert_eq!(aligned(&picture, face, &five, (alignment, crop_scale, 32)), None);
            }
        }
    }
}

//! How good is a face for an annotator and for a network: how large, how sharp, how bright, turned how far?

use affectory_catalog::FaceQuality;
use affectory_core::{BoundingBox, Point};
use affectory_imaging::{GrayImage, RgbImage, TEMPLATE_112};

/// How far the tip of the nose stands out of the plane of eyes and mouth, in distances between the eyes (about 28 of
/// 62 mm in an adult).
const NOSE_DEPTH: f32 = 0.45;

/// The figures of a face; `aligned` is its aligned crop.
pub fn quality(bounding_box: BoundingBox, five: &[Point; 5], aligned: &RgbImage) -> FaceQuality {
    let gray = aligned.to_gray();
    let n_pixels = gray.pixels.len().max(1) as f64;
    let brightness = gray.pixels.iter().map(|v| f64::from(*v)).sum::<f64>() / n_pixels / 255.0;
    let [yaw_degrees, pitch_degrees, roll_degrees] = pose(five);
    FaceQuality {
        size_px: bounding_box.width.min(bounding_box.height),
        sharpness: laplacian_variance(&gray) as f32,
        brightness: brightness as f32,
        yaw_degrees,
        pitch_degrees,
        roll_degrees,
    }
}

/// Variance of the four-neighbour Laplacian over the inner pixels (Pech-Pacheco et al., 2000).
fn laplacian_variance(gray: &GrayImage) -> f64 {
    let width = gray.width as usize;
    let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for y in 1..(gray.height as usize).saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            let at = y * width + x;
            let value = |at: usize| f64::from(gray.pixels[at]);
            let laplacian = value(at - 1) + value(at + 1) + value(at - width) + value(at + width) - 4.0 * value(at);
            n += 1.0;
            sum += laplacian;
            squares += laplacian * laplacian;
        }
    }
    if n == 0.0 { 0.0 } else { squares / n - (sum / n) * (sum / n) }
}

/// Yaw, pitch, roll in degrees from five landmarks under parallel projection. The eyes and the mouth lie in a plane, the
/// nose stands out of it by [`NOSE_DEPTH`]: where its tip lies between them tells the turn. A face with the proportions
/// of the alignment template looks straight ahead. An estimate for sorting and filtering, not a measurement.
fn pose(five: &[Point; 5]) -> [f32; 3] {
    let straight = proportions(&template()).unwrap_or([0.0, 0.0, 1.0]);
    let Some([across, down, mouth]) = proportions(five) else { return [0.0; 3] };
    let eyes = Point { x: five[1].x - five[0].x, y: five[1].y - five[0].y };
    let roll = eyes.y.atan2(eyes.x);
    // across = NOSE_DEPTH * sin(yaw) / cos(yaw), in distances between the eyes as they appear.
    let yaw = ((across - straight[0]) / NOSE_DEPTH).atan();
    // down = share of the way from eyes to mouth; a lifted head lifts the nose by NOSE_DEPTH * sin(pitch).
    let share = down / mouth - straight[1] / straight[2];
    let pitch = (-share * straight[2] / NOSE_DEPTH).atan();
    [yaw, pitch, roll].map(f32::to_degrees)
}

/// The five points of a face that looks straight ahead.
fn template() -> [Point; 5] {
    TEMPLATE_112.map(|[x, y]| Point { x: x as f32, y: y as f32 })
}

/// In distances between the eyes, along and across the line of the eyes: the nose to the right of their middle, the nose
/// below it, the mouth below it.
fn proportions(five: &[Point; 5]) -> Option<[f32; 3]> {
    let [left_eye, right_eye, nose, left_mouth, right_mouth] = *five;
    let apart = left_eye.distance(right_eye);
    let (ux, uy) = ((right_eye.x - left_eye.x) / apart, (right_eye.y - left_eye.y) / apart);
    let from_eyes = |x: f32, y: f32| {
        let (dx, dy) = (x - f32::midpoint(left_eye.x, right_eye.x), y - f32::midpoint(left_eye.y, right_eye.y));
        ((dx * ux + dy * uy) / apart, (dy * ux - dx * uy) / apart)
    };
    let (across, down) = from_eyes(nose.x, nose.y);
    let (_, mouth) = from_eyes(f32::midpoint(left_mouth.x, right_mouth.x), f32::midpoint(left_mouth.y, right_mouth.y));
    (across.is_finite() && mouth > 1e-3).then_some([across, down, mouth])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The template as points in space, turned, and seen from far away.
    fn turned(yaw: f32, pitch: f32, roll: f32) -> [Point; 5] {
        let straight = template();
        let apart = straight[0].distance(straight[1]);
        let (yaw, pitch, roll) = (yaw.to_radians(), pitch.to_radians(), roll.to_radians());
        std::array::from_fn(|i| {
            let (x, y) = (straight[i].x - 56.0, straight[i].y - 71.7366);
            let z = if i == 2 { NOSE_DEPTH * apart } else { 0.0 };
            let (x, z) = (x * yaw.cos() + z * yaw.sin(), z * yaw.cos() - x * yaw.sin());
            let y = y * pitch.cos() - z * pitch.sin();
            Point { x: x * roll.cos() - y * roll.sin(), y: x * roll.sin() + y * roll.cos() }
        })
    }

    #[test]
    fn each_turn_is_told_within_two_degrees() {
        for (yaw, pitch, roll) in
            [(0.0, 0.0, 0.0), (30.0, 0.0, 0.0), (-20.0, 0.0, 15.0), (0.0, 20.0, 0.0), (0.0, -15.0, -40.0)]
        {
            let told = pose(&turned(yaw, pitch, roll));
            for (told, truth) in told.into_iter().zip([yaw, pitch, roll]) {
                assert!((told - truth).abs() < 2.0, "{told} for {truth} in {yaw} {pitch} {roll}");
            }
        }
    }

    #[test]
    fn points_that_coincide_have_no_pose_and_flat_pictures_no_sharpness() {
        assert_eq!(pose(&[Point { x: 3.0, y: 3.0 }; 5]), [0.0; 3]);
        let flat = RgbImage::filled(16, 16, [128; 3]);
        let figures = quality(BoundingBox::whole(30, 20), &template(), &flat);
        assert_eq!((figures.size_px, figures.sharpness), (20.0, 0.0));
        assert!((figures.brightness - 128.0 / 255.0).abs() < 1e-6);
    }
}

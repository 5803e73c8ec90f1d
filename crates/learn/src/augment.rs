//! How does one crop become many? Mirror, turn, scale, shift, light and blanking, in one pass over the pixels; and mixing.

use affectory_nets::LEAST_DEVIATION;
use rand::Rng;

use crate::recipe::Recipe;

/// Writes the crop as normalised numbers, channel by channel: per picture, mean 0 and variance 1,
/// so that lighting falls out and training and prediction need no constants.
///
/// `out` has `channels * side * side` places.
pub fn normalise(crop: &[u8], n_channels: usize, out: &mut [f32]) {
    let n_pixels = crop.len() / n_channels;
    for (channel, plane) in out.chunks_exact_mut(n_pixels).enumerate() {
        for (to, from) in plane.iter_mut().zip(crop.iter().skip(channel).step_by(n_channels)) {
            *to = f32::from(*from);
        }
    }
    standardise(out);
}

/// Like [`normalise`], of a randomly changed crop: mirrored, turned, scaled, shifted, with other light and colours, and with a
/// blank rectangle, each as far as the recipe's knobs go. `crop` is `side * side * n_channels` bytes, channels interleaved, `out` has
/// as many places, channel by channel. All comes from `rng`.
pub fn augment(crop: &[u8], side: usize, n_channels: usize, recipe: &Recipe, rng: &mut impl Rng, out: &mut [f32]) {
    let spread = |rng: &mut dyn rand::RngCore, by: f32| if by > 0.0 { rng.random_range(-by..=by) } else { 0.0 };
    let mirror = if recipe.flip && rng.random_bool(0.5) { -1.0 } else { 1.0 };
    let angle = spread(rng, recipe.rotate_degrees).to_radians();
    let scale = 1.0 / (1.0 + spread(rng, recipe.scale_spread));
    let shift_x = spread(rng, recipe.shift_share) * side as f32;
    let shift_y = spread(rng, recipe.shift_share) * side as f32;
    let brightness = spread(rng, recipe.light_spread) * 128.0;
    let contrast = 1.0 + spread(rng, recipe.light_spread);
    let gain: [f32; 3] = std::array::from_fn(|_| 1.0 + spread(rng, recipe.colour_spread));

    let (sin, cos) = angle.sin_cos();
    let middle = (side as f32 - 1.0) / 2.0;
    let last = side as f32 - 1.0;
    let plane = side * side;
    for y in 0..side {
        for x in 0..side {
            let (dx, dy) = ((x as f32 - middle) * scale * mirror, (y as f32 - middle) * scale);
            let from_x = (cos * dx - sin * dy + middle + shift_x).clamp(0.0, last);
            let from_y = (sin * dx + cos * dy + middle + shift_y).clamp(0.0, last);
            let (left, top) = (from_x as usize, from_y as usize);
            let (right, bottom) = ((left + 1).min(side - 1), (top + 1).min(side - 1));
            let (share_x, share_y) = (from_x - left as f32, from_y - top as f32);
            for channel in 0..n_channels {
                let at = |column: usize, row: usize| f32::from(crop[(row * side + column) * n_channels + channel]);
                let upper = at(left, top) + share_x * (at(right, top) - at(left, top));
                let lower = at(left, bottom) + share_x * (at(right, bottom) - at(left, bottom));
                let value = upper + share_y * (lower - upper);
                // Clipping is what a camera would do; without it the standardisation below undoes the change.
                out[channel * plane + y * side + x] =
                    ((value * gain[channel % 3] - 128.0) * contrast + 128.0 + brightness).clamp(0.0, 255.0);
            }
        }
    }
    standardise(out);
    erase(out, side, recipe.erase_share, rng);
}

/// Blanks one rectangle in every second picture to the mean (Zhong et al. 2020, "random erasing").
fn erase(out: &mut [f32], side: usize, share: f32, rng: &mut impl Rng) {
    let longest = (side as f32 * share) as usize;
    if longest == 0 || !rng.random_bool(0.5) {
        return;
    }
    let (width, height) = (rng.random_range(1..=longest), rng.random_range(1..=longest));
    let (x, y) = (rng.random_range(0..=side - width), rng.random_range(0..=side - height));
    for plane in out.chunks_exact_mut(side * side) {
        for row in plane.chunks_exact_mut(side).skip(y).take(height) {
            row[x..x + width].fill(0.0);
        }
    }
}

/// Each of `n_faces` (as many values each, at least one) becomes `share` of itself and the rest of the one half a batch away (mixup:
/// Zhang et al. 2018).
pub fn blend(values: &mut [f32], n_faces: usize, share: f32) {
    let n_values = values.len() / n_faces.max(1);
    let mut partner = values.to_vec();
    partner.rotate_left(n_faces / 2 * n_values);
    values.iter_mut().zip(partner).for_each(|(own, other)| *own = share * *own + (1.0 - share) * other);
}

/// The share of the first of two mixed faces, drawn from Beta(a, a) for a in (0, 1] (Jöhnk 1964).
pub fn mixing_share(a: f64, rng: &mut impl Rng) -> f32 {
    loop {
        let (x, y) = (rng.random::<f64>().powf(1.0 / a), rng.random::<f64>().powf(1.0 / a));
        if x + y > 0.0 && x + y <= 1.0 {
            return (x / (x + y)) as f32;
        }
    }
}

fn standardise(values: &mut [f32]) {
    let n = values.len() as f32;
    let mean = values.iter().sum::<f32>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n;
    let factor = 1.0 / variance.sqrt().max(LEAST_DEVIATION);
    for value in values {
        *value = (*value - mean) * factor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn ramp(side: usize) -> Vec<u8> {
        (0..side * side).map(|i| (i % side * 255 / side) as u8).collect()
    }

    #[test]
    fn without_knobs_augmentation_is_normalisation() {
        let still = Recipe {
            flip: false,
            rotate_degrees: 0.0,
            scale_spread: 0.0,
            shift_share: 0.0,
            light_spread: 0.0,
            colour_spread: 0.0,
            erase_share: 0.0,
            ..Recipe::default()
        };
        let (crop, mut plain, mut changed) = (ramp(16), vec![0.0; 256], vec![0.0; 256]);
        normalise(&crop, 1, &mut plain);
        augment(&crop, 16, 1, &still, &mut ChaCha8Rng::seed_from_u64(1), &mut changed);
        for (a, b) in plain.iter().zip(&changed) {
            assert!((a - b).abs() < 1e-4);
        }
    }

    #[test]
    fn normalised_pictures_have_mean_zero_and_variance_one_in_every_light() {
        let mut out = vec![0.0; 3 * 64];
        let dark: Vec<u8> = ramp(8).iter().flat_map(|v| [v / 4, v / 4, v / 4]).collect();
        normalise(&dark, 3, &mut out);
        let mean = out.iter().sum::<f32>() / out.len() as f32;
        let variance = out.iter().map(|v| v * v).sum::<f32>() / out.len() as f32;
        assert!(mean.abs() < 1e-4 && (variance - 1.0).abs() < 1e-3);
    }

    #[test]
    fn what_is_erased_is_one_rectangle_inside_the_picture_the_same_in_every_channel() {
        let (side, n_planes, n_seeds) = (20, 3, 400);
        let mut n_erased = 0;
        let mut reached = [side, side, 0, 0];
        for seed in 0..n_seeds {
            let mut out = vec![1.0f32; n_planes * side * side];
            erase(&mut out, side, 0.4, &mut ChaCha8Rng::seed_from_u64(seed));
            let plane = &out[..side * side];
            let places: Vec<(usize, usize)> =
                (0..side * side).filter(|at| plane[*at] == 0.0).map(|at| (at % side, at / side)).collect();
            assert!(
                out.chunks_exact(side * side).all(|other| other == plane) && out.iter().all(|v| *v == 0.0 || *v == 1.0)
            );
            let (Some(&(left, top)), Some(&(right, bottom))) = (places.first(), places.last()) else { continue };
            n_erased += 1;
            let (width, height) = (right - left + 1, bottom - top + 1);
            assert!(width <= 8 && height <= 8 && places.len() == width * height, "{places:?}");
            reached = [reached[0].min(left), reached[1].min(top), reached[2].max(right), reached[3].max(bottom)];
        }
        // Every second picture, up to each edge and not beyond.
        assert!((150..250).contains(&n_erased), "{n_erased}");
        assert_eq!(reached, [0, 0, side - 1, side - 1]);
        let mut out = vec![1.0f32; 64];
        (0..50).for_each(|seed| erase(&mut out, 8, 0.0, &mut ChaCha8Rng::seed_from_u64(seed)));
        assert!(out.iter().all(|v| *v == 1.0));
    }

    #[test]
    fn a_blend_is_so_much_of_one_face_and_the_rest_of_the_one_half_a_batch_away() {
        let mut values = vec![1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 4.0, 40.0, 5.0, 50.0];
        blend(&mut values, 5, 0.75);
        let wanted = [1.5, 15.0, 2.5, 25.0, 3.5, 35.0, 3.25, 32.5, 4.25, 42.5];
        assert!(values.iter().zip(wanted).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-5), "{values:?}");
        let mut alone = vec![7.0, 8.0];
        blend(&mut alone, 1, 0.3);
        assert!((alone[0] - 7.0f32).abs() < 1e-6 && (alone[1] - 8.0).abs() < 1e-6);
    }

    #[test]
    fn shares_of_a_mix_are_between_none_and_all_and_even_on_the_whole() {
        for a in [0.2, 1.0] {
            let mut rng = ChaCha8Rng::seed_from_u64(4);
            let shares: Vec<f32> = (0..4000).map(|_| mixing_share(a, &mut rng)).collect();
            assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
            let mean = shares.iter().sum::<f32>() / 4000.0;
            let variance = shares.iter().map(|share| (share - 0.5).powi(2)).sum::<f32>() / 4000.0;
            // Of Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1)).
            let wanted = 1.0 / (4.0 * (2.0 * a as f32 + 1.0));
            assert!((mean - 0.5).abs() < 0.02 && (variance / wanted - 1.0).abs() < 0.06, "{a}: {mean} {variance}");
        }
    }

    #[test]
    fn the_same_seed_changes_a_picture_in_the_same_way() {
        let crop = ramp(32);
        let run = |seed| {
            let mut out = vec![0.0; 1024];
            augment(&crop, 32, 1, &Recipe::default(), &mut ChaCha8Rng::seed_from_u64(seed), &mut out);
            out
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }
}

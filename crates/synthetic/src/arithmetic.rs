//! Which functions give the same bits on every machine? Only `+ - * /`, `sqrt` and rounding are used here (IEEE 754),
//! never a mathematical library, whose last digit differs between machines.

use std::f32::consts::PI;

/// A colour in linear light, 0 to about 1.
pub(crate) type Rgb = [f32; 3];

/// The sine of radians, off by less than 1e-6.
pub(crate) fn sine(radians: f32) -> f32 {
    let turned = radians - 2.0 * PI * (radians / (2.0 * PI)).round();
    let folded = if turned.abs() > PI / 2.0 { turned.signum() * PI - turned } else { turned };
    let s = folded * folded;
    // The Taylor series to the ninth power; what is left out is below 4e-6 at a quarter turn.
    folded * (1.0 - s / 6.0 * (1.0 - s / 20.0 * (1.0 - s / 42.0 * (1.0 - s / 72.0 * (1.0 - s / 110.0)))))
}

/// The cosine of radians.
pub(crate) fn cosine(radians: f32) -> f32 {
    sine(radians + PI / 2.0)
}

/// `a` at share 0, `b` at share 1.
pub(crate) fn mix(a: f32, b: f32, share: f32) -> f32 {
    a + (b - a) * share
}

/// Two colours mixed.
pub(crate) fn blend(a: Rgb, b: Rgb, share: f32) -> Rgb {
    [mix(a[0], b[0], share), mix(a[1], b[1], share), mix(a[2], b[2], share)]
}

/// A colour made brighter or darker.
pub(crate) fn times(colour: Rgb, factor: f32) -> Rgb {
    colour.map(|c| c * factor)
}

/// 0 below `low`, 1 above `high`, smooth between (Hermite).
pub(crate) fn smooth(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// A round hill: 1 in the middle, 0 from a squared distance of 1 on.
pub(crate) fn hill(squared_distance: f32) -> f32 {
    let rest = (1.0 - squared_distance).max(0.0);
    rest * rest
}

/// A hill with an elliptical foot around (`cx`, `cy`).
pub(crate) fn hill_at(x: f32, y: f32, cx: f32, cy: f32, rx: f32, ry: f32) -> f32 {
    let (dx, dy) = ((x - cx) / rx, (y - cy) / ry);
    hill(dx * dx + dy * dy)
}

/// Scrambles 64 bits (the finaliser of SplitMix64, Steele et al. 2014).
pub(crate) fn scramble(bits: u64) -> u64 {
    let mut z = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The upper 24 bits as a number in [0, 1).
pub(crate) fn fraction(bits: u64) -> f32 {
    (bits >> 40) as f32 / (1u64 << 24) as f32
}

/// Smooth noise over the plane, 0 to 1, with details of about size 1.
pub(crate) fn noise(x: f32, y: f32, seed: u64) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let (sx, sy) = (smooth(0.0, 1.0, x - left), smooth(0.0, 1.0, y - top));
    let (column, row) = (left as i32, top as i32);
    let corner = |dx: i32, dy: i32| {
        let (column, row) = (column.wrapping_add(dx) as u32, row.wrapping_add(dy) as u32);
        fraction(scramble(seed ^ (u64::from(column) | u64::from(row) << 32)))
    };
    mix(mix(corner(0, 0), corner(1, 0), sx), mix(corner(0, 1), corner(1, 1), sx), sy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_and_cosine_are_right_to_six_digits() {
        for step in -400..400 {
            let x = step as f32 * 0.05;
            assert!((f64::from(sine(x)) - f64::from(x).sin()).abs() < 4e-6, "sine of {x}");
            assert!((f64::from(cosine(x)) - f64::from(x).cos()).abs() < 6e-6, "cosine of {x}");
        }
    }

    #[test]
    fn noise_is_smooth_and_stays_in_its_range() {
        for step in 0..200 {
            let x = step as f32 * 0.13 - 9.0;
            let here = noise(x, -x, 7);
            assert!((0.0..=1.0).contains(&here));
            assert!((here - noise(x + 1e-3, -x, 7)).abs() < 0.01);
        }
    }
}

//! What does a face that shows something look like? Head, hair and light from the seed, the rest from its actions.

use affectory_core::{Expression, ValenceArousal};
use affectory_imaging::RgbImage;

use crate::actions::{Action, Actions};
use crate::arithmetic::{Rgb, blend, hill_at, noise, smooth, times};
use crate::canvas::{Canvas, ellipse_cover};
use crate::dice::Dice;

/// A drawing and what it shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// Square, synthetic.
    pub image: RgbImage,
    /// The category it was drawn for.
    pub expression: Expression,
    /// The point it was drawn for; `None` for none, uncertain and non-face.
    pub place: Option<ValenceArousal>,
}

/// Where each of the eight lies in the circumplex on average: the quadrants of Russell (1980), rounded.
fn usual_place(expression: Expression) -> Option<(f32, f32)> {
    match expression {
        Expression::Neutral => Some((0.0, 0.0)),
        Expression::Happy => Some((0.7, 0.25)),
        Expression::Sad => Some((-0.6, -0.35)),
        Expression::Surprise => Some((0.15, 0.75)),
        Expression::Fear => Some((-0.4, 0.75)),
        Expression::Disgust => Some((-0.65, 0.3)),
        Expression::Anger => Some((-0.55, 0.6)),
        Expression::Contempt => Some((-0.5, 0.05)),
        Expression::None | Expression::Uncertain | Expression::NonFace => None,
    }
}

/// Draws a face (or, for non-face, something else) of `side` x `side` pixels, 16 to 1024. The seed fixes every pixel.
pub fn draw(expression: Expression, seed: u64, side: u32) -> Drawn {
    let mut dice = Dice::new(seed, "place");
    let spread = if expression == Expression::Neutral { 0.07 } else { 0.16 };
    let place = usual_place(expression)
        .map(|(valence, arousal)| ValenceArousal::clamped(dice.around(valence, spread), dice.around(arousal, spread)));
    let mut canvas = Canvas::new(side.clamp(16, 1024));
    let mut looks = Dice::new(seed, "looks");
    background(&mut canvas, &mut looks, seed);
    if expression == Expression::NonFace {
        things(&mut canvas, &mut looks);
    } else {
        let actions = Actions::showing(expression, place, &mut Dice::new(seed, "actions"));
        head(&mut canvas, &actions, &mut looks, seed);
    }
    let grain = looks.between(0.005, 0.04);
    let gain = looks.between(0.6, 1.25);
    let mut noise = Dice::new(seed, "grain");
    Drawn { image: canvas.into_image(gain, || noise.around(0.0, grain)), expression, place }
}

fn any_colour(dice: &mut Dice) -> Rgb {
    [dice.between(0.03, 0.7), dice.between(0.03, 0.7), dice.between(0.03, 0.7)]
}

fn background(canvas: &mut Canvas, dice: &mut Dice, seed: u64) {
    let (one, other) = (any_colour(dice), any_colour(dice));
    let (detail, slope) = (dice.between(0.8, 3.0), dice.between(-0.5, 0.5));
    canvas.paint(|x, y| (blend(one, other, noise(x * detail + 20.0, y * detail, seed) + slope * y), 1.0));
}

/// What a search engine brings that is no face: blobs and bars.
fn things(canvas: &mut Canvas, dice: &mut Dice) {
    for _ in 0..3 + dice.below(5) {
        let colour = any_colour(dice);
        let at = [dice.between(-0.9, 0.9), dice.between(-0.9, 0.9)];
        if dice.chance(0.5) {
            canvas.ellipse(at, [dice.between(0.08, 0.5), dice.between(0.08, 0.5)], colour);
        } else {
            let to = [dice.between(-1.0, 1.0), dice.between(-1.0, 1.0)];
            canvas.stroke(at, to, to, dice.between(0.05, 0.3), colour);
        }
    }
}

/// Skin from dark to light, after the ends of Fitzpatrick's scale, in linear light.
fn skin(dice: &mut Dice) -> Rgb {
    blend([0.08, 0.038, 0.02], [0.78, 0.55, 0.44], dice.between(0.0, 1.0))
}

fn head(canvas: &mut Canvas, actions: &Actions, dice: &mut Dice, seed: u64) {
    let tilt = dice.around(0.0, 0.1);
    canvas.pose(tilt, dice.between(0.85, 1.15), [dice.around(0.0, 0.05), dice.around(0.0, 0.05)]);
    let skin = skin(dice);
    let hair = blend([0.012, 0.008, 0.006], [0.45, 0.3, 0.16], dice.between(0.0, 1.0) * dice.between(0.0, 1.0));
    let radii = [dice.between(0.58, 0.7), dice.between(0.78, 0.9)];
    let jaw = 0.1 * actions[Action::JawDrop];
    let light = [dice.between(-0.5, 0.5), dice.between(-0.6, 0.1)];

    canvas.ellipse([0.0, -0.12], [radii[0] + 0.13, radii[1] + dice.between(-0.05, 0.12)], hair);
    canvas.ellipse([0.0, 1.0], [0.34, 0.5], times(skin, 0.7));
    for side in [-1.0, 1.0] {
        canvas.ellipse([side * (radii[0] + 0.02), 0.02], [0.09, 0.17], times(skin, 0.8));
    }
    let edge = canvas.edge();
    canvas.paint(|x, y| {
        let cover = ellipse_cover(x, y, [0.0, 0.05 + jaw], [radii[0], radii[1] + jaw], edge / radii[0]);
        let shade = 0.78 + 0.45 * (x * light[0] + y * light[1]) + 0.12 * hill_at(x, y, 0.0, 0.1, 0.3, 0.5);
        let pores = 0.94 + 0.12 * noise(x * 9.0 + 50.0, y * 9.0, seed);
        (times(skin, shade.max(0.25) * pores), cover)
    });
    let fringe = dice.between(-0.72, -0.5);
    canvas.paint(|x, y| {
        let inside = ellipse_cover(x, y, [0.0, 0.05], radii, edge / radii[0]);
        (hair, inside * (1.0 - smooth(fringe - 0.03, fringe + 0.03, y - 0.2 * x * x)))
    });
    let line = times(skin, 0.42);
    eyes(canvas, actions, dice, line);
    brows(canvas, actions, blend(hair, line, 0.25), dice.between(0.035, 0.07));
    nose(canvas, actions, line);
    mouth(canvas, actions, skin, line);
    occlusion(canvas, dice, hair);
}

fn eyes(canvas: &mut Canvas, actions: &Actions, dice: &mut Dice, line: Rgb) {
    let iris = [[0.03, 0.015, 0.008], [0.06, 0.12, 0.25], [0.05, 0.12, 0.05]][dice.below(3)];
    let gaze = dice.around(0.0, 0.012);
    let edge = canvas.edge();
    for (side, close) in [(-1.0, Action::LeftEyeClose), (1.0, Action::RightEyeClose)] {
        let at = [side * 0.27, -0.12];
        let open = 0.078
            * (1.0 + 0.75 * actions[Action::UpperLidRaise]
                - 0.4 * actions[Action::LidTighten]
                - 0.25 * actions[Action::CheekRaise]
                - 0.95 * actions[close]);
        let radii = [0.135, open.max(0.008)];
        canvas.paint(|x, y| {
            let eye = ellipse_cover(x, y, at, radii, edge / radii[1].max(0.02));
            let ball = ellipse_cover(x, y, [at[0] + gaze, at[1]], [0.062, 0.062], edge / 0.062);
            let pupil = ellipse_cover(x, y, [at[0] + gaze, at[1]], [0.028, 0.028], edge / 0.028);
            (blend(blend([0.72, 0.7, 0.68], iris, ball), [0.004; 3], pupil), eye)
        });
        let (left, right) = ([at[0] - 0.14, at[1]], [at[0] + 0.14, at[1]]);
        canvas.stroke(left, [at[0], at[1] - 2.1 * radii[1]], right, 0.028, times(line, 0.5));
        canvas.stroke(left, [at[0], at[1] + 2.0 * radii[1]], right, 0.014, line);
        if actions[Action::CheekRaise] > 0.3 {
            let y = at[1] + 0.15;
            canvas.stroke([at[0] - 0.11, y], [at[0], y + 0.05], [at[0] + 0.11, y], 0.016, line);
        }
    }
}

fn brows(canvas: &mut Canvas, actions: &Actions, colour: Rgb, width: f32) {
    let lower = actions[Action::BrowLower];
    let inner = -0.31 - 0.13 * actions[Action::InnerBrowRaise] + 0.13 * lower;
    let outer = -0.29 - 0.12 * actions[Action::OuterBrowRaise] + 0.01 * lower;
    for side in [-1.0, 1.0] {
        let (from, to) = ([side * (0.13 - 0.05 * lower), inner], [side * 0.44, outer]);
        let bend = [side * 0.3, (inner + outer) / 2.0 - 0.06 - 0.05 * actions[Action::OuterBrowRaise]];
        canvas.stroke(from, bend, to, width, colour);
        if lower > 0.5 {
            canvas.stroke([side * 0.04, -0.34], [side * 0.05, -0.28], [side * 0.04, -0.22], 0.014, times(colour, 1.3));
        }
    }
}

fn nose(canvas: &mut Canvas, actions: &Actions, line: Rgb) {
    let wrinkle = actions[Action::NoseWrinkle];
    let tip = 0.2 - 0.04 * wrinkle;
    canvas.stroke([0.05, -0.1], [0.1, 0.1], [0.09, tip], 0.018, line);
    for side in [-1.0, 1.0] {
        canvas.ellipse([side * 0.06, tip], [0.035, 0.02], times(line, 0.55));
        if wrinkle > 0.3 {
            canvas.stroke(
                [side * 0.04, -0.06],
                [side * 0.1, -0.04],
                [side * 0.13, 0.02],
                0.014 + 0.012 * wrinkle,
                line,
            );
            canvas.stroke([side * 0.15, 0.16], [side * 0.27, 0.25], [side * 0.3, 0.4], 0.018, line);
        }
    }
}

fn mouth(canvas: &mut Canvas, actions: &Actions, skin: Rgb, line: Rgb) {
    let pull = [actions[Action::LeftCornerPull], actions[Action::RightCornerPull]];
    let centre = 0.46;
    let narrow = 1.0 - 0.5 * actions[Action::LipPucker] + 0.3 * actions[Action::LipStretch];
    let corner = |side: usize| {
        let sign = if side == 0 { -1.0 } else { 1.0 };
        let depress = actions[Action::CornerDepress];
        [sign * 0.24 * (narrow + 0.35 * pull[side]), centre - 0.14 * pull[side] + 0.13 * depress]
    };
    let (left, right) = (corner(0), corner(1));
    let open = 0.30 * actions[Action::JawDrop] + 0.07 * actions[Action::LipsPart];
    let top = centre - 0.06 * actions[Action::UpperLipRaise] - 0.2 * open - 0.04 * actions[Action::ChinRaise];
    let bottom = centre + 0.85 * open - 0.04 * actions[Action::ChinRaise];
    let span = (right[0] - left[0]).max(0.05);
    let curve = |x: f32, middle: f32| {
        // A parabola through both corners and the middle.
        let t = ((x - left[0]) / span).clamp(0.0, 1.0);
        let straight = left[1] + (right[1] - left[1]) * t;
        straight + (middle - (left[1] + right[1]) / 2.0) * 4.0 * t * (1.0 - t)
    };
    let edge = canvas.edge();
    if open > 0.015 {
        let teeth = actions[Action::LipsPart] > 0.25;
        canvas.paint(|x, y| {
            let (upper, lower) = (curve(x, top), curve(x, bottom));
            let inside = smooth(-edge, edge, y - upper)
                * smooth(-edge, edge, lower - y)
                * smooth(-edge, edge, x - left[0])
                * smooth(-edge, edge, right[0] - x);
            let is_tooth = teeth && y < upper + 0.4 * (lower - upper).min(0.2);
            (if is_tooth { [0.75, 0.73, 0.68] } else { [0.05, 0.01, 0.01] }, inside)
        });
    }
    if actions[Action::TongueShow] > 0.4 {
        canvas.ellipse([0.0, bottom + 0.02], [0.09, 0.12], [0.5, 0.09, 0.09]);
    }
    let lips = blend(skin, [0.35, 0.05, 0.06], 0.55);
    let width = (0.05 + 0.03 * actions[Action::LipPucker]) * (1.0 - 0.65 * actions[Action::LipPress]).max(0.25);
    // The control point of a curve lies twice as far out as its middle.
    let middle = [(left[0] + right[0]) / 2.0, (left[1] + right[1]) / 2.0];
    for y in [top, bottom] {
        canvas.stroke(left, [middle[0], middle[1] + 2.0 * (y - middle[1])], right, width, lips);
    }
    if open <= 0.015 {
        canvas.stroke(left, [middle[0], middle[1] + 2.0 * (top - middle[1])], right, 0.018, times(line, 0.6));
    }
    for (side, dimple) in [(0, Action::LeftDimple), (1, Action::RightDimple)] {
        let at = if side == 0 { left } else { right };
        let sign = if side == 0 { -1.0 } else { 1.0 };
        if actions[dimple] > 0.3 || pull[side] > 0.45 {
            let (from, to) = ([at[0] + sign * 0.05, at[1] - 0.12], [at[0] + sign * 0.06, at[1] + 0.08]);
            canvas.stroke(from, [at[0] + sign * 0.12, at[1] - 0.02], to, 0.018, line);
        }
    }
    if actions[Action::ChinRaise] > 0.25 {
        canvas.stroke([-0.1, bottom + 0.16], [0.0, bottom + 0.1], [0.1, bottom + 0.16], 0.018, line);
    }
}

/// One face in eight is partly hidden: by glasses, or by something that crosses the picture.
fn occlusion(canvas: &mut Canvas, dice: &mut Dice, hair: Rgb) {
    if !dice.chance(0.125) {
        return;
    }
    if dice.chance(0.6) {
        for side in [-1.0, 1.0] {
            let at = [side * 0.27, -0.12];
            let edge = canvas.edge();
            canvas.paint(|x, y| {
                let outer = ellipse_cover(x, y, at, [0.2, 0.16], edge / 0.16);
                (times(hair, 0.8), outer - ellipse_cover(x, y, at, [0.175, 0.135], edge / 0.135))
            });
        }
        canvas.stroke([-0.08, -0.14], [0.0, -0.17], [0.08, -0.14], 0.025, times(hair, 0.8));
    } else {
        let colour = any_colour(dice);
        let (from, to) = ([-1.2, dice.between(-1.0, 1.0)], [1.2, dice.between(-1.0, 1.0)]);
        canvas.stroke(from, [0.0, (from[1] + to[1]) / 2.0], to, 0.1, colour);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fixes_every_pixel_and_another_changes_them() {
        for expression in Expression::ALL {
            assert_eq!(draw(expression, 3, 48), draw(expression, 3, 48));
            assert_ne!(draw(expression, 3, 48).image, draw(expression, 4, 48).image);
        }
    }

    #[test]
    fn only_the_eight_have_a_place_in_the_circumplex() {
        for (index, expression) in Expression::ALL.into_iter().enumerate() {
            assert_eq!(draw(expression, 1, 16).place.is_some(), index < 8, "{expression}");
        }
    }
}

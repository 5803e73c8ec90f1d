//! Which parts of the face move, and how far, for an expression at a place in the circumplex?

use affectory_core::{Expression, ValenceArousal};

use crate::dice::Dice;

/// A movement of the face, after the action units (AU) of Ekman and Friesen's Facial Action Coding System (1978).
/// Left and right are those of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// AU 1
    InnerBrowRaise,
    /// AU 2
    OuterBrowRaise,
    /// AU 4
    BrowLower,
    /// AU 5
    UpperLidRaise,
    /// AU 6
    CheekRaise,
    /// AU 7
    LidTighten,
    /// AU 9
    NoseWrinkle,
    /// AU 10
    UpperLipRaise,
    /// AU 12 on the left
    LeftCornerPull,
    /// AU 12 on the right
    RightCornerPull,
    /// AU 14 on the left
    LeftDimple,
    /// AU 14 on the right
    RightDimple,
    /// AU 15
    CornerDepress,
    /// AU 17
    ChinRaise,
    /// AU 18
    LipPucker,
    /// AU 19
    TongueShow,
    /// AU 20
    LipStretch,
    /// AU 24
    LipPress,
    /// AU 25
    LipsPart,
    /// AU 26
    JawDrop,
    /// AU 43 or 46 on the left
    LeftEyeClose,
    /// AU 43 or 46 on the right
    RightEyeClose,
}
use Action::*;

const N_ACTIONS: usize = RightEyeClose as usize + 1;

/// How far each part has moved: 0 at rest, 1 as far as it goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Actions([f32; N_ACTIONS]);

impl std::ops::Index<Action> for Actions {
    type Output = f32;

    fn index(&self, action: Action) -> &f32 {
        &self.0[action as usize]
    }
}

/// What an expression is made of, at full strength. The eight are EMFACS's prototypes (Friesen and Ekman 1983);
/// each has variants, because no two people smile alike.
type Prototype = &'static [(Action, f32)];

const HAPPY: [Prototype; 3] = [
    &[(CheekRaise, 0.9), (LeftCornerPull, 1.0), (RightCornerPull, 1.0), (LipsPart, 0.75)],
    &[(CheekRaise, 0.7), (LeftCornerPull, 0.95), (RightCornerPull, 0.95)],
    &[(CheekRaise, 1.0), (LeftCornerPull, 1.0), (RightCornerPull, 1.0), (LipsPart, 0.8), (JawDrop, 0.4)],
];
const SAD: [Prototype; 2] = [
    &[
        (InnerBrowRaise, 1.0),
        (BrowLower, 0.3),
        (CornerDepress, 1.0),
        (ChinRaise, 0.4),
        (LeftEyeClose, 0.25),
        (RightEyeClose, 0.25),
    ],
    &[(InnerBrowRaise, 0.9), (CornerDepress, 0.8), (LeftEyeClose, 0.4), (RightEyeClose, 0.4), (LipPress, 0.3)],
];
const SURPRISE: [Prototype; 2] = [
    &[
        (InnerBrowRaise, 1.0),
        (OuterBrowRaise, 1.0),
        (UpperLidRaise, 0.9),
        (LipsPart, 0.4),
        (JawDrop, 0.9),
        (LipPucker, 0.25),
    ],
    &[(InnerBrowRaise, 0.9), (OuterBrowRaise, 1.0), (UpperLidRaise, 0.8), (LipsPart, 0.4), (JawDrop, 0.5)],
];
const FEAR: [Prototype; 2] = [
    &[
        (InnerBrowRaise, 1.0),
        (OuterBrowRaise, 0.35),
        (BrowLower, 0.5),
        (UpperLidRaise, 1.0),
        (LidTighten, 0.3),
        (LipStretch, 1.0),
        (LipsPart, 0.7),
        (JawDrop, 0.2),
        (CornerDepress, 0.3),
    ],
    &[
        (InnerBrowRaise, 1.0),
        (OuterBrowRaise, 0.3),
        (BrowLower, 0.4),
        (UpperLidRaise, 1.0),
        (LipStretch, 0.9),
        (LipsPart, 0.5),
        (JawDrop, 0.45),
    ],
];
const DISGUST: [Prototype; 2] = [
    &[
        (NoseWrinkle, 1.0),
        (UpperLipRaise, 0.9),
        (BrowLower, 0.6),
        (LidTighten, 0.7),
        (CheekRaise, 0.4),
        (CornerDepress, 0.5),
        (ChinRaise, 0.5),
    ],
    &[
        (NoseWrinkle, 0.8),
        (UpperLipRaise, 1.0),
        (BrowLower, 0.5),
        (LidTighten, 0.8),
        (LipsPart, 0.6),
        (CornerDepress, 0.4),
    ],
];
const ANGER: [Prototype; 2] = [
    &[
        (BrowLower, 1.0),
        (UpperLidRaise, 0.4),
        (LidTighten, 0.6),
        (LipPress, 1.0),
        (CornerDepress, 0.3),
        (ChinRaise, 0.3),
    ],
    &[
        (BrowLower, 1.0),
        (UpperLidRaise, 0.5),
        (LidTighten, 0.5),
        (LipsPart, 0.8),
        (JawDrop, 0.35),
        (UpperLipRaise, 0.5),
        (LipStretch, 0.3),
    ],
];
const CONTEMPT: [Prototype; 2] = [
    &[(LeftCornerPull, 0.75), (LeftDimple, 1.0), (LidTighten, 0.3), (LipPress, 0.25)],
    &[(RightCornerPull, 0.75), (RightDimple, 1.0), (LidTighten, 0.3), (LipPress, 0.25)],
];
/// Expressions that are none of the eight: two winks, tongue shown, drowsy, yawning, kissing.
const NONE: [Prototype; 6] = [
    &[(LeftEyeClose, 1.0), (LeftCornerPull, 0.5), (CheekRaise, 0.4), (OuterBrowRaise, 0.3)],
    &[(RightEyeClose, 1.0), (RightCornerPull, 0.5), (CheekRaise, 0.4), (OuterBrowRaise, 0.3)],
    &[(TongueShow, 1.0), (LipsPart, 0.5), (JawDrop, 0.4), (CheekRaise, 0.3)],
    &[(LeftEyeClose, 0.95), (RightEyeClose, 0.95), (InnerBrowRaise, 0.2)],
    &[(LeftEyeClose, 1.0), (RightEyeClose, 1.0), (JawDrop, 1.0), (LipsPart, 0.6), (BrowLower, 0.5), (NoseWrinkle, 0.3)],
    &[(LipPucker, 1.0), (LeftEyeClose, 0.3), (RightEyeClose, 0.3), (OuterBrowRaise, 0.3)],
];

fn variants(expression: Expression) -> &'static [Prototype] {
    match expression {
        Expression::Neutral | Expression::Uncertain | Expression::NonFace => &[],
        Expression::Happy => &HAPPY,
        Expression::Sad => &SAD,
        Expression::Surprise => &SURPRISE,
        Expression::Fear => &FEAR,
        Expression::Disgust => &DISGUST,
        Expression::Anger => &ANGER,
        Expression::Contempt => &CONTEMPT,
        Expression::None => &NONE,
    }
}

impl Actions {
    /// A face at rest.
    pub(crate) const REST: Actions = Actions([0.0; N_ACTIONS]);

    /// One way of showing the expression. Every movement grows with the distance from the circumplex's centre;
    /// arousal opens eyes and mouth, valence lifts the corners of the lips. `place` is `None` for the categories
    /// that have no place in the circumplex.
    pub(crate) fn showing(expression: Expression, place: Option<ValenceArousal>, dice: &mut Dice) -> Self {
        if expression == Expression::Uncertain {
            return Self::ambiguous(dice);
        }
        let (valence, arousal) = place.map_or((0.0, 0.0), |p| (p.valence.value(), p.arousal.value()));
        let strength = match expression {
            Expression::Neutral => 0.0,
            Expression::None => dice.between(0.8, 1.0),
            _ => (0.3 + 0.85 * (valence * valence + arousal * arousal).sqrt()).min(1.1),
        };
        let mut actions = Self::REST;
        let variants = variants(expression);
        if let Some(prototype) = variants.get(dice.below(variants.len())) {
            for &(action, amount) in *prototype {
                // Some people leave a part out, all do it a little differently.
                let share = if dice.chance(0.06) { 0.3 } else { dice.around(1.0, 0.15) };
                actions.add(action, amount * strength * share);
            }
        }
        actions.add(UpperLidRaise, 0.35 * arousal.max(0.0));
        for (eye, corner) in [(LeftEyeClose, LeftCornerPull), (RightEyeClose, RightCornerPull)] {
            actions.add(eye, 0.35 * (-arousal).max(0.0));
            actions.add(corner, 0.15 * valence.max(0.0));
        }
        actions.add(CornerDepress, 0.12 * (-valence).max(0.0));
        if actions[LipsPart] > 0.0 {
            actions.add(JawDrop, 0.2 * arousal.max(0.0));
        }
        actions.fidgeted(dice)
    }

    /// Two weak expressions at once, on which annotators would disagree.
    fn ambiguous(dice: &mut Dice) -> Self {
        let mut actions = Self::REST;
        for _ in 0..2 {
            let variants = variants(Expression::ALL[1 + dice.below(7)]);
            let strength = dice.between(0.15, 0.5);
            if let Some(prototype) = variants.get(dice.below(variants.len())) {
                prototype.iter().for_each(|&(action, amount)| actions.add(action, amount * strength));
            }
        }
        actions.fidgeted(dice)
    }

    fn add(&mut self, action: Action, amount: f32) {
        self.0[action as usize] += amount;
    }

    /// Nobody keeps quite still: each part drifts a little, then stays within its range.
    fn fidgeted(mut self, dice: &mut Dice) -> Self {
        for amount in &mut self.0 {
            let drift = dice.around(0.0, 0.05);
            *amount = (*amount + drift).clamp(0.0, 1.15);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stronger_smile_pulls_the_corners_further() {
        let pull = |valence: f32| -> f32 {
            let total: f32 = (0..50)
                .map(|seed| {
                    let place = ValenceArousal::clamped(valence, 0.1);
                    Actions::showing(Expression::Happy, Some(place), &mut Dice::new(seed, "test"))[LeftCornerPull]
                })
                .sum();
            total / 50.0
        };
        assert!(pull(0.2) + 0.2 < pull(0.5) && pull(0.5) + 0.1 < pull(0.9));
    }

    #[test]
    fn contempt_is_one_sided_and_neutral_is_still() {
        for seed in 0..20 {
            let place = Some(ValenceArousal::clamped(-0.6, 0.1));
            let contempt = Actions::showing(Expression::Contempt, place, &mut Dice::new(seed, "test"));
            assert!((contempt[LeftCornerPull] - contempt[RightCornerPull]).abs() > 0.1);
            let neutral = Actions::showing(Expression::Neutral, None, &mut Dice::new(seed, "test"));
            assert!(neutral.0.iter().all(|amount| *amount < 0.2));
        }
    }
}

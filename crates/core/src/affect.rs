//! What are valence and arousal, and where does a pair of them lie in the circumplex?

use crate::CoreError;

/// How pleasant an expression is, in [-1, 1]: -1 very unpleasant, 1 very pleasant.
///
/// Unlabelled is `Option::None`; AffectNet's -2 exists only in its files.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, serde::Serialize)]
#[serde(transparent)]
pub struct Valence(f32);

/// How activated an expression is, in [-1, 1]: -1 sleepy, 1 excited.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, serde::Serialize)]
#[serde(transparent)]
pub struct Arousal(f32);

impl Valence {
    /// Checks the range once, at the edge.
    ///
    /// # Errors
    /// [`CoreError::ValenceOutOfRange`] outside [-1, 1] or for NaN.
    pub fn new(value: f32) -> Result<Self, CoreError> {
        if (-1.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(CoreError::ValenceOutOfRange(value)) }
    }

    /// The number, in [-1, 1].
    pub const fn value(self) -> f32 {
        self.0
    }
}

impl Arousal {
    /// Checks the range once, at the edge.
    ///
    /// # Errors
    /// [`CoreError::ArousalOutOfRange`] outside [-1, 1] or for NaN.
    pub fn new(value: f32) -> Result<Self, CoreError> {
        if (-1.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(CoreError::ArousalOutOfRange(value)) }
    }

    /// The number, in [-1, 1].
    pub const fn value(self) -> f32 {
        self.0
    }
}

/// A point in the circumplex: valence to the right, arousal up (Russell 1980).
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct ValenceArousal {
    /// Pleasantness.
    pub valence: Valence,
    /// Activation.
    pub arousal: Arousal,
}

impl ValenceArousal {
    /// A point from two numbers in [-1, 1].
    ///
    /// # Errors
    /// If either number is out of range.
    pub fn new(valence: f32, arousal: f32) -> Result<Self, CoreError> {
        Ok(Self { valence: Valence::new(valence)?, arousal: Arousal::new(arousal)? })
    }

    /// A point from two finite numbers, clamped into [-1, 1]: for what a network puts out.
    /// Not-a-number becomes 0.
    pub fn clamped(valence: f32, arousal: f32) -> Self {
        let clamp = |value: f32| if value.is_nan() { 0.0 } else { value.clamp(-1.0, 1.0) };
        Self { valence: Valence(clamp(valence)), arousal: Arousal(clamp(arousal)) }
    }

    /// Direction from the centre in degrees, [0, 360), anticlockwise from pure positive valence;
    /// `None` at the centre, which has no direction.
    ///
    /// ```
    /// # use affectory_core::ValenceArousal;
    /// assert_eq!(ValenceArousal::new(0.0, 0.5)?.angle_degrees(), Some(90.0));
    /// # Ok::<(), affectory_core::CoreError>(())
    /// ```
    pub fn angle_degrees(self) -> Option<f32> {
        let (v, a) = (self.valence.0, self.arousal.0);
        (v != 0.0 || a != 0.0).then(|| a.atan2(v).to_degrees().rem_euclid(360.0))
    }

    /// Distance from the centre: 0 for a face without affect, 1 on the circle, up to sqrt(2) in a corner.
    pub fn intensity(self) -> f32 {
        self.valence.0.hypot(self.arousal.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_range_and_nan_are_refused() {
        assert!(Valence::new(-2.0).is_err());
        assert!(Arousal::new(f32::NAN).is_err());
        assert!(ValenceArousal::new(1.0, -1.0).is_ok());
    }

    #[test]
    fn angle_turns_anticlockwise_from_positive_valence() -> Result<(), CoreError> {
        assert_eq!(ValenceArousal::new(0.3, 0.0)?.angle_degrees(), Some(0.0));
        assert_eq!(ValenceArousal::new(-0.3, 0.0)?.angle_degrees(), Some(180.0));
        assert_eq!(ValenceArousal::new(0.0, -1.0)?.angle_degrees(), Some(270.0));
        assert_eq!(ValenceArousal::new(0.0, 0.0)?.angle_degrees(), None);
        Ok(())
    }
}

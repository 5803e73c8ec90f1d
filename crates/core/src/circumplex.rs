//! Where in the circumplex is an annotator expected to place each expression?

use crate::{Expression, ValenceArousal};

/// A piece of the circumplex: a ring sector around the centre.
///
/// The sectors follow Russell's circumplex (1980) and the quadrants in AffectNet's annotation
/// instructions. They are a suggestion to the annotator, who may place a point outside, and overlap on purpose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// First direction in degrees, anticlockwise from positive valence.
    pub from_degrees: f32,
    /// Width of the sector in degrees, (0, 360].
    pub sweep_degrees: f32,
    /// Inner radius, [0, 1).
    pub min_intensity: f32,
    /// Outer radius; sqrt(2) reaches the corners of the square.
    pub max_intensity: f32,
}

impl Region {
    /// Whether the point lies in the sector, its edges included.
    pub fn contains(self, point: ValenceArousal) -> bool {
        let intensity = point.intensity();
        if intensity < self.min_intensity || intensity > self.max_intensity {
            return false;
        }
        match point.angle_degrees() {
            Some(angle) => (angle - self.from_degrees).rem_euclid(360.0) <= self.sweep_degrees,
            None => true,
        }
    }

    /// The middle of the sector: where a face of which only the category is known would be drawn.
    pub fn centre(self) -> ValenceArousal {
        if self.sweep_degrees >= 360.0 {
            return ValenceArousal::clamped(0.0, 0.0);
        }
        let angle = (self.from_degrees + self.sweep_degrees / 2.0).to_radians();
        let radius = f32::midpoint(self.min_intensity, self.max_intensity.min(1.0));
        ValenceArousal::clamped(radius * angle.cos(), radius * angle.sin())
    }
}

impl Expression {
    /// The suggested region of the eight expressions; `None` for none, uncertain and non-face.
    pub const fn suggested_region(self) -> Option<Region> {
        const fn sector(from_degrees: f32, sweep_degrees: f32, min_intensity: f32) -> Option<Region> {
            Some(Region { from_degrees, sweep_degrees, min_intensity, max_intensity: std::f32::consts::SQRT_2 })
        }
        match self {
            Expression::Neutral => {
                Some(Region { from_degrees: 0.0, sweep_degrees: 360.0, min_intensity: 0.0, max_intensity: 0.2 })
            }
            Expression::Happy => sector(330.0, 100.0, 0.1),
            Expression::Surprise => sector(45.0, 90.0, 0.1),
            Expression::Fear => sector(90.0, 65.0, 0.1),
            Expression::Anger => sector(100.0, 80.0, 0.1),
            Expression::Disgust => sector(120.0, 75.0, 0.1),
            Expression::Contempt => sector(135.0, 75.0, 0.1),
            Expression::Sad => sector(180.0, 85.0, 0.1),
            Expression::None | Expression::Uncertain | Expression::NonFace => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expression_has_its_centre_inside_and_the_rest_have_no_region() {
        for expression in Expression::ALL {
            match expression.suggested_region() {
                Some(region) => assert!(region.contains(region.centre()), "{expression}"),
                None => assert!(!expression.is_affective()),
            }
        }
    }

    #[test]
    fn a_smile_is_happy_and_not_sad() -> Result<(), crate::CoreError> {
        let smile = ValenceArousal::new(0.7, -0.1)?;
        let inside = |e: Expression| e.suggested_region().is_some_and(|r| r.contains(smile));
        assert!(inside(Expression::Happy), "the sector must wrap past 0 degrees");
        assert!(!inside(Expression::Sad));
        assert!(!inside(Expression::Neutral));
        Ok(())
    }
}

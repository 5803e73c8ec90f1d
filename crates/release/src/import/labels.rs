//! What does the text of a label mean, and which texts contradict each other?

use affectory_catalog::{AnnotatorKind, NewAnnotation};
use affectory_core::{Arousal, BoundingBox, Expression, Landmarks, Valence};

/// The labels of one line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Labels {
    pub expression: Option<Expression>,
    pub valence: Option<Valence>,
    pub arousal: Option<Arousal>,
}

impl Labels {
    /// Reads the three texts. Empty or `nan` is not labelled; AffectNet's -2 also, except beside one of the eight
    /// expressions, which always have a place in the circumplex.
    pub fn parse(expression: &str, valence: &str, arousal: &str) -> Result<Labels, String> {
        let expression = match expression.trim() {
            "" => None,
            text => Some(text.parse::<Expression>().map_err(|e| e.to_string())?),
        };
        let valence = match dimension("valence", valence, expression)? {
            Some(value) => Some(Valence::new(value).map_err(|e| e.to_string())?),
            None => None,
        };
        let arousal = match dimension("arousal", arousal, expression)? {
            Some(value) => Some(Arousal::new(value).map_err(|e| e.to_string())?),
            None => None,
        };
        Ok(Labels { expression, valence, arousal })
    }

    /// The annotation that says this, if anything is said.
    pub fn by(self, annotator: String, kind: AnnotatorKind) -> Option<NewAnnotation> {
        let Labels { expression, valence, arousal } = self;
        let says_something = expression.is_some() || valence.is_some() || arousal.is_some();
        says_something.then_some(NewAnnotation { annotator, kind, expression, valence, arousal })
    }
}

fn dimension(name: &str, text: &str, expression: Option<Expression>) -> Result<Option<f32>, String> {
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("nan") {
        return Ok(None);
    }
    let value: f32 = text.parse().map_err(|_| format!("{name} `{text}` is not a number"))?;
    if value != -2.0 {
        return Ok(Some(value));
    }
    match expression {
        Some(expression) if expression.is_affective() => {
            Err(format!("{name} is -2 (not labelled), but {expression} has a place in the circumplex"))
        }
        Some(_) | None => Ok(None),
    }
}

/// Reads a box from its four texts; all empty or `NULL` is no box.
pub(super) fn parse_box(texts: [&str; 4]) -> Result<Option<BoundingBox>, String> {
    let texts = texts.map(str::trim);
    if texts.iter().all(|text| text.is_empty() || *text == "NULL") {
        return Ok(None);
    }
    let mut sides = [0.0f32; 4];
    for (side, text) in sides.iter_mut().zip(texts) {
        *side = text.parse().map_err(|_| format!("box coordinate `{text}` is not a number"))?;
    }
    let [x, y, width, height] = sides;
    BoundingBox::new(x, y, width, height).map(Some).map_err(|e| e.to_string())
}

/// Reads landmarks as `x;y;x;y;...`; empty or `NULL` is none.
pub(super) fn parse_landmarks(text: &str) -> Result<Option<Landmarks>, String> {
    match text.trim() {
        "" | "NULL" => Ok(None),
        text => Landmarks::from_text(text).map(Some).map_err(|e| e.to_string()),
    }
}

/// A box of which less than half lies on the picture belongs to another picture.
pub(super) fn check_box(bounding_box: BoundingBox, width: u32, height: u32) -> Result<(), String> {
    let BoundingBox { x, y, width: box_width, height: box_height } = bounding_box;
    let inside = |from: f32, side: f32, end: u32| ((from + side).min(end as f32) - from.max(0.0)).max(0.0);
    if inside(x, box_width, width) * inside(y, box_height, height) >= bounding_box.area() / 2.0 {
        return Ok(());
    }
    Err(format!("the box {x},{y} {box_width}x{box_height} lies outside the image of {width}x{height}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minus_two_is_unlabelled_only_where_no_affect_was_asked_for() {
        assert!(Labels::parse("8", "-2", "-2").is_ok_and(|l| l.valence.is_none()));
        assert!(Labels::parse("1", "-2", "0").is_err_and(|e| e.contains("happy")));
        assert!(Labels::parse("happy", "", "nan").is_ok_and(|l| l.arousal.is_none()));
        assert!(Labels::parse("happily", "0", "0").is_err_and(|e| e.contains("happily")));
        assert!(Labels::parse("0", "1.5", "0").is_err_and(|e| e.contains("1.5")));
    }

    #[test]
    fn a_box_may_reach_over_the_edge_but_not_lie_beyond_it() -> Result<(), affectory_core::CoreError> {
        assert!(check_box(BoundingBox::new(-2.0, -2.0, 10.0, 10.0)?, 8, 8).is_ok());
        assert!(check_box(BoundingBox::new(7.0, 0.0, 8.0, 8.0)?, 8, 8).is_err());
        assert!(check_box(BoundingBox::new(50.0, 0.0, 8.0, 8.0)?, 8, 8).is_err());
        Ok(())
    }
}

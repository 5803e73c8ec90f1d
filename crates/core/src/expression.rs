//! Which discrete expressions are there, in which order, and under which names are they met?

use std::fmt;
use std::str::FromStr;

use crate::CoreError;

/// The eleven categories of AffectNet, in its order: eight expressions, then the three
/// answers of an annotator who saw none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expression {
    /// 0
    Neutral,
    /// 1
    Happy,
    /// 2
    Sad,
    /// 3
    Surprise,
    /// 4
    Fear,
    /// 5
    Disgust,
    /// 6
    Anger,
    /// 7
    Contempt,
    /// 8: an expression that is none of the eight.
    None,
    /// 9: the annotator could not tell.
    Uncertain,
    /// 10: no face, or a drawing, or an occlusion that leaves nothing to see.
    NonFace,
}

impl Expression {
    /// All eleven, by index.
    pub const ALL: [Expression; 11] = [
        Expression::Neutral,
        Expression::Happy,
        Expression::Sad,
        Expression::Surprise,
        Expression::Fear,
        Expression::Disgust,
        Expression::Anger,
        Expression::Contempt,
        Expression::None,
        Expression::Uncertain,
        Expression::NonFace,
    ];

    /// AffectNet's index, 0 to 10.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The category at AffectNet's index; `None` above 10.
    pub fn from_index(index: usize) -> Option<Expression> {
        Self::ALL.get(index).copied()
    }

    /// The lower-case name used in files, commands and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Expression::Neutral => "neutral",
            Expression::Happy => "happy",
            Expression::Sad => "sad",
            Expression::Surprise => "surprise",
            Expression::Fear => "fear",
            Expression::Disgust => "disgust",
            Expression::Anger => "anger",
            Expression::Contempt => "contempt",
            Expression::None => "none",
            Expression::Uncertain => "uncertain",
            Expression::NonFace => "non-face",
        }
    }

    /// Whether an annotator who chose this category also places a point in the circumplex:
    /// true for the eight expressions, false for none, uncertain and non-face.
    pub const fn is_affective(self) -> bool {
        (self as usize) < 8
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Expression {
    type Err = CoreError;

    /// Reads a name, one of the spellings other databases use (`happiness`, `angry`, `nf`, ...), or an index.
    fn from_str(text: &str) -> Result<Self, CoreError> {
        let lower = text.trim().to_lowercase();
        let known = match lower.as_str() {
            "neutral" => Expression::Neutral,
            "happy" | "happiness" | "joy" => Expression::Happy,
            "sad" | "sadness" => Expression::Sad,
            "surprise" | "surprised" => Expression::Surprise,
            "fear" | "fearful" | "afraid" => Expression::Fear,
            "disgust" | "disgusted" => Expression::Disgust,
            "anger" | "angry" => Expression::Anger,
            "contempt" | "contemptuous" => Expression::Contempt,
            "none" => Expression::None,
            "uncertain" | "unknown" => Expression::Uncertain,
            "non-face" | "nonface" | "non_face" | "non face" | "nf" => Expression::NonFace,
            other => {
                return other
                    .parse::<usize>()
                    .ok()
                    .and_then(Expression::from_index)
                    .ok_or_else(|| CoreError::UnknownExpression(text.chars().take(60).collect()));
            }
        };
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_affectnets_and_names_read_back() {
        for (index, expression) in Expression::ALL.into_iter().enumerate() {
            assert_eq!(expression.index(), index);
            assert_eq!(expression.name().parse(), Ok(expression));
            assert_eq!(index.to_string().parse(), Ok(expression));
        }
        assert_eq!(Expression::from_index(11), None);
        assert!("hapy".parse::<Expression>().is_err());
    }

    #[test]
    fn only_the_eight_expressions_have_a_place_in_the_circumplex() {
        let affective = Expression::ALL.into_iter().filter(|e| e.is_affective()).count();
        assert_eq!(affective, 8);
        assert!(!Expression::None.is_affective());
    }
}

//! Which of the eleven categories take part in a release, a training or a score, and in which order?

use crate::{CoreError, Expression};

/// An ordered choice of categories. A category's place in it is its class index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSet(Vec<Expression>);

impl LabelSet {
    /// AffectNet's eight expressions.
    pub fn eight() -> Self {
        Self(Expression::ALL[..8].to_vec())
    }

    /// The eight without contempt.
    pub fn seven() -> Self {
        Self(Expression::ALL[..7].to_vec())
    }

    /// All eleven categories.
    pub fn eleven() -> Self {
        Self(Expression::ALL.to_vec())
    }

    /// Reads `8`, `7`, `11` or a list such as `happy,sad,anger`.
    ///
    /// # Errors
    /// [`CoreError::BadLabelSet`] for an unknown label, a label given twice, or fewer than two labels.
    pub fn parse(text: &str) -> Result<Self, CoreError> {
        match text.trim() {
            "8" => return Ok(Self::eight()),
            "7" => return Ok(Self::seven()),
            "11" => return Ok(Self::eleven()),
            _ => {}
        }
        let bad = |reason: String| CoreError::BadLabelSet { text: text.chars().take(80).collect(), reason };
        let mut labels = Vec::new();
        for part in text.split(',') {
            let label: Expression = part.parse().map_err(|e: CoreError| bad(e.to_string()))?;
            if labels.contains(&label) {
                return Err(bad(format!("`{label}` stands twice")));
            }
            labels.push(label);
        }
        if labels.len() < 2 {
            return Err(bad("needs at least two labels".into()));
        }
        Ok(Self(labels))
    }

    /// The categories in class order.
    pub fn labels(&self) -> &[Expression] {
        &self.0
    }

    /// Number of classes, at least 2.
    pub fn n_classes(&self) -> usize {
        self.0.len()
    }

    /// The class index of a category, or `None` if it takes no part.
    pub fn class_of(&self, expression: Expression) -> Option<usize> {
        self.0.iter().position(|&label| label == expression)
    }
}

impl std::fmt::Display for LabelSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|label| label.name()).collect();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_order_is_the_order_given() -> Result<(), CoreError> {
        let set = LabelSet::parse("sad, happy")?;
        assert_eq!(set.class_of(Expression::Happy), Some(1));
        assert_eq!(set.class_of(Expression::Fear), None);
        assert_eq!(LabelSet::parse(&LabelSet::eight().to_string())?, LabelSet::parse("8")?);
        Ok(())
    }

    #[test]
    fn doubles_and_unknown_labels_are_refused_by_name() {
        assert!(LabelSet::parse("happy,joy").is_err_and(|e| e.to_string().contains("twice")));
        assert!(LabelSet::parse("happy,glad").is_err_and(|e| e.to_string().contains("glad")));
    }
}

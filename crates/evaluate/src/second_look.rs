//! Which faces should someone look at again?

use affectory_core::{Expression, ValenceArousal};

/// What is said of one face, by annotators together and by a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceOpinions {
    /// Which face.
    pub face: i64,
    /// Number of annotators.
    pub n: usize,
    /// The category they agreed on; none on a tie.
    pub expression: Option<Expression>,
    /// Share of them behind it, [0, 1].
    pub agreement: Option<f64>,
    /// The valence and arousal agreed on.
    pub point: Option<ValenceArousal>,
    /// The larger of the standard deviations of their valence and their arousal, [0, 1].
    pub spread: Option<f64>,
    /// A model's category with its probability, [0, 1].
    pub prediction: Option<(Expression, f64)>,
}

/// From where on a face is doubtful.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SecondLookOptions {
    /// Doubtful with an agreement of no more than this.
    pub max_agreement: f64,
    /// Doubtful with a standard deviation of valence or arousal of at least this.
    pub min_spread: f64,
    /// Doubtful where a model that is at least so sure says something else.
    pub min_confidence: f64,
}

impl Default for SecondLookOptions {
    fn default() -> Self {
        Self { max_agreement: 0.5, min_spread: 0.5, min_confidence: 0.9 }
    }
}

/// Why a face is doubtful.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Doubt {
    /// Two annotators or more do not agree on the category.
    CategoryDisagreement {
        /// Share of the annotators behind the top category.
        agreement: f64,
    },
    /// Two annotators or more place it far apart.
    DimensionDisagreement {
        /// Standard deviation of valence or arousal, the larger.
        spread: f64,
    },
    /// A model is sure of another category.
    ModelDisagreement {
        /// The model's category.
        predicted: Expression,
        /// Its probability.
        confidence: f64,
    },
    /// Valence and arousal lie outside the region suggested for the category.
    OutsideRegion {
        /// The category.
        expression: Expression,
        /// Where the face was placed.
        point: ValenceArousal,
    },
}

/// A face with all the reasons to look again.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SecondLook {
    /// Which face.
    pub face: i64,
    /// At least one.
    pub doubts: Vec<Doubt>,
}

/// The doubtful faces: those with more reasons first, of these the least agreed on, then by id.
///
/// Regions are a suggestion and overlap (see [`Region`](affectory_core::Region)): outside is a doubt, no error.
pub fn second_look(faces: &[FaceOpinions], options: &SecondLookOptions) -> Vec<SecondLook> {
    let mut doubtful: Vec<(&FaceOpinions, Vec<Doubt>)> =
        faces.iter().map(|face| (face, doubts(face, options))).filter(|(_, doubts)| !doubts.is_empty()).collect();
    doubtful.sort_by(|(a, a_doubts), (b, b_doubts)| {
        let agreement = |face: &FaceOpinions| face.agreement.unwrap_or(1.0);
        let by_reasons = b_doubts.len().cmp(&a_doubts.len());
        by_reasons.then(agreement(a).total_cmp(&agreement(b))).then(a.face.cmp(&b.face))
    });
    doubtful.into_iter().map(|(face, doubts)| SecondLook { face: face.face, doubts }).collect()
}

fn doubts(face: &FaceOpinions, options: &SecondLookOptions) -> Vec<Doubt> {
    let several = face.n >= 2;
    let category = face.agreement.filter(|&agreement| several && agreement <= options.max_agreement);
    let dimension = face.spread.filter(|&spread| several && spread >= options.min_spread);
    let model = face
        .expression
        .zip(face.prediction)
        .filter(|&(label, (predicted, confidence))| label != predicted && confidence >= options.min_confidence);
    let outside = face
        .expression
        .zip(face.point)
        .filter(|&(expression, point)| expression.suggested_region().is_some_and(|region| !region.contains(point)));
    [
        category.map(|agreement| Doubt::CategoryDisagreement { agreement }),
        dimension.map(|spread| Doubt::DimensionDisagreement { spread }),
        model.map(|(_, (predicted, confidence))| Doubt::ModelDisagreement { predicted, confidence }),
        outside.map(|(expression, point)| Doubt::OutsideRegion { expression, point }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_named_and_the_most_doubtful_come_first() {
        let point = |valence, arousal| ValenceArousal::new(valence, arousal).ok();
        let calm = FaceOpinions {
            face: 1,
            n: 3,
            expression: Some(Expression::Happy),
            agreement: Some(1.0),
            point: point(0.6, 0.2),
            spread: Some(0.1),
            prediction: Some((Expression::Happy, 0.99)),
        };
        let faces = [
            calm,
            FaceOpinions { face: 2, point: point(-0.6, 0.2), ..calm },
            FaceOpinions { face: 3, prediction: Some((Expression::Sad, 0.95)), agreement: Some(0.6), ..calm },
            FaceOpinions { face: 4, prediction: Some((Expression::Sad, 0.5)), ..calm },
            FaceOpinions { face: 5, agreement: Some(0.5), spread: Some(0.5), expression: None, ..calm },
            FaceOpinions { face: 6, n: 1, agreement: Some(0.5), ..calm },
        ];
        let found = second_look(&faces, &SecondLookOptions::default());
        assert_eq!(found.iter().map(|look| look.face).collect::<Vec<_>>(), [5, 3, 2]);
        assert_eq!(
            found[0].doubts,
            [Doubt::CategoryDisagreement { agreement: 0.5 }, Doubt::DimensionDisagreement { spread: 0.5 }]
        );
        assert_eq!(found[1].doubts, [Doubt::ModelDisagreement { predicted: Expression::Sad, confidence: 0.95 }]);
        assert!(matches!(found[2].doubts[..], [Doubt::OutsideRegion { expression: Expression::Happy, .. }]));
    }
}

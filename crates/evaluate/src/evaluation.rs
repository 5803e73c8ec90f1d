//! How good are the predictions of a file, measured against the truth of another?

use affectory_core::{Expression, LabelSet};

use crate::calibration::top_class;
use crate::confusion::{Averaged, Class, ConfusionMatrix};
use crate::error::EvaluateError;
use crate::ranking::{RankingScore, Scores, macro_mean, rank_classes};
use crate::regression::{RegressionScore, regression};
use crate::table::{Row, Table};

/// What happens to an image or a value that the truth has and the predictions lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// It is an error: a system that skips hard faces must not look better for it.
    #[default]
    Refused,
    /// It is left out and counted in `n_missing`.
    LeftOut,
}

/// Every figure of the contract; `None` (`null` in JSON) is undefined. Lists are in class order, by `labels`.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Evaluation {
    /// The labels in class order.
    pub labels: Vec<Expression>,
    /// Images scored.
    pub n: usize,
    /// Images whose true label is not among `labels`.
    pub n_left_out: usize,
    /// Images of the truth without a prediction, or without a value that the truth has.
    pub n_missing: usize,
    /// Share of right labels.
    pub accuracy: Option<f64>,
    /// Mean recall over the classes in truth.
    pub balanced_accuracy: Option<f64>,
    /// Mean F1 over the classes in truth or prediction.
    pub f1_macro: Option<f64>,
    /// Mean F1, weighted by support.
    pub f1_weighted: Option<f64>,
    /// F1 of each class.
    pub f1_per_class: Vec<Option<f64>>,
    /// Precision of each class.
    pub precision_per_class: Vec<Option<f64>>,
    /// Recall of each class.
    pub recall_per_class: Vec<Option<f64>>,
    /// Cohen's kappa.
    pub cohen_kappa: Option<f64>,
    /// Krippendorff's nominal alpha, truth and prediction as two coders.
    pub krippendorff_alpha: Option<f64>,
    /// Mean over the classes where defined; undefined without `p_<label>` columns.
    pub roc_auc_macro: Option<f64>,
    /// Each class against the rest.
    pub roc_auc_per_class: Vec<Option<f64>>,
    /// Mean over the classes where defined.
    pub average_precision_macro: Option<f64>,
    /// Each class against the rest.
    pub average_precision_per_class: Vec<Option<f64>>,
    /// Counts, truth by row, prediction by column.
    pub confusion: Vec<Vec<u64>>,
    /// As if every class were equally frequent.
    pub skew_normalised: SkewNormalised,
    /// Figures of valence.
    pub valence: RegressionScore,
    /// Figures of arousal.
    pub arousal: RegressionScore,
}

/// Figures as if every class in truth were equally frequent (Jeni, Cohn, De la Torre 2013).
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SkewNormalised {
    /// Share of right labels.
    pub accuracy: Option<f64>,
    /// Mean F1 over the classes in truth or prediction.
    pub f1_macro: Option<f64>,
    /// F1 of each class.
    pub f1_per_class: Vec<Option<f64>>,
    /// Cohen's kappa.
    pub cohen_kappa: Option<f64>,
    /// Krippendorff's nominal alpha.
    pub krippendorff_alpha: Option<f64>,
    /// Mean over the classes, positives weighing as much as negatives.
    pub average_precision_macro: Option<f64>,
}

/// What is compared, matched by image: the input of all figures, intervals and tests. `rows` are places in the truth's
/// rows, ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct Matched {
    /// The labels in class order.
    pub labels: Vec<Expression>,
    /// Whether the predictions could be each label: false where the model's own label set lacks it.
    pub can_be_said: Vec<bool>,
    /// True classes of the images with a label on both sides.
    pub truth: Vec<Class>,
    /// Predicted classes of the same images.
    pub predicted: Vec<Class>,
    /// Which rows of the truth these are.
    pub rows: Vec<u32>,
    /// True classes of the images with scores.
    pub score_truth: Vec<Class>,
    /// Their scores, image by image, as many as there are labels.
    pub scores: Vec<f64>,
    /// Which rows of the truth these are.
    pub score_rows: Vec<u32>,
    /// Values of valence.
    pub valence: Pairs,
    /// Values of arousal.
    pub arousal: Pairs,
    /// Images scored.
    pub n: usize,
    /// Images whose true label is not among the labels.
    pub n_left_out: usize,
    /// Images of the truth without a prediction, or without a value that the truth has.
    pub missing: Vec<String>,
}

/// True and predicted values of one dimension.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pairs {
    /// True values.
    pub truth: Vec<f64>,
    /// Predicted values.
    pub predicted: Vec<f64>,
    /// Which rows of the truth these are.
    pub rows: Vec<u32>,
}

/// Scores predictions against truth, matched by image.
///
/// Images whose true label is not in `labels` are left out and counted. A prediction without a label but with
/// scores takes the label of the highest. Predictions without any label (or any valence, any arousal) leave
/// those figures undefined; predictions that have some and lack others are [`Missing`].
///
/// # Errors
/// Images on one side only, values missing here and there, a predicted label outside `labels`, scores that
/// lack a label or a cell: each with the first names or the line, and what to do.
pub fn evaluate(
    truth: &Table,
    predictions: &Table,
    labels: &LabelSet,
    missing: Missing,
) -> Result<Evaluation, EvaluateError> {
    Ok(match_images(truth, predictions, labels, None, missing)?.evaluation())
}

/// Matches predictions with truth by image, as [`evaluate`] does. `can_say` is the label set of the model where it is
/// smaller than `labels`: labels that the model cannot give are then no missing columns but impossible answers.
///
/// # Errors
/// As [`evaluate`].
pub fn match_images(
    truth: &Table,
    predictions: &Table,
    labels: &LabelSet,
    can_say: Option<&LabelSet>,
    missing: Missing,
) -> Result<Matched, EvaluateError> {
    let matched = match_by_image(truth, predictions, labels, can_say)?;
    if missing == Missing::Refused && !matched.missing.is_empty() {
        return Err(EvaluateError::Unmatched {
            what: format!("images of `{}` lack a prediction in `{}`", truth.file, predictions.file),
            n: matched.missing.len(),
            names: matched.missing.into_iter().take(5).collect(),
            hint: "predict them too, or leave them out on purpose with --allow-missing",
        });
    }
    Ok(matched)
}

impl Matched {
    /// Counts of (truth, predicted).
    pub fn confusion(&self) -> ConfusionMatrix {
        ConfusionMatrix::count(&self.truth, &self.predicted, self.labels.len())
    }

    /// The scores, where there are any.
    pub fn scores(&self) -> Option<Scores<'_>> {
        Scores::new(&self.scores, self.labels.len()).filter(|_| !self.scores.is_empty())
    }

    /// The scores as probabilities, each row divided by its sum to undo what rounding in a file did to it; none where
    /// a score is negative or a sum is further from 1 than rounding takes it (1e-3).
    pub fn probabilities(&self) -> Option<Vec<f64>> {
        let scores = self.scores()?;
        let is_distribution =
            |row: &[f64]| row.iter().all(|&p| p >= 0.0) && (row.iter().sum::<f64>() - 1.0).abs() < 1e-3;
        let divided = |row: &[f64]| {
            let sum: f64 = row.iter().sum();
            row.iter().map(|p| p / sum).collect::<Vec<_>>()
        };
        scores.rows().all(is_distribution).then(|| scores.rows().flat_map(divided).collect())
    }

    /// A class's own figure; undefined for a label that the model cannot give, whose 0 would say nothing of it.
    fn of_sayable(&self, figures: Vec<Option<f64>>) -> Vec<Option<f64>> {
        figures.into_iter().zip(&self.can_be_said).map(|(figure, &can)| figure.filter(|_| can)).collect()
    }

    /// Every figure. Labels that the model cannot give count as errors in the figures over all classes, and have no
    /// figures of their own.
    pub fn evaluation(&self) -> Evaluation {
        let n_classes = self.labels.len();
        let matrix = self.confusion();
        let even = matrix.skew_normalised();
        let mut ranking: Vec<RankingScore> = match self.scores() {
            Some(scores) => rank_classes(&self.score_truth, scores),
            None => vec![RankingScore::default(); n_classes],
        };
        // What a model never scores has no ranking.
        let unsaid = ranking.iter_mut().zip(&self.can_be_said).filter(|(_, can)| !**can);
        unsaid.for_each(|(score, _)| *score = RankingScore::default());
        // The contract has no average precision without a negative either, where it would always be 1.
        let average_precision = |score: &RankingScore| score.average_precision.filter(|_| score.n_negatives > 0);
        Evaluation {
            labels: self.labels.clone(),
            n: self.n,
            n_left_out: self.n_left_out,
            n_missing: self.missing.len(),
            accuracy: matrix.accuracy(),
            balanced_accuracy: matrix.balanced_accuracy(),
            f1_macro: matrix.f1_macro(Averaged::Union),
            f1_weighted: matrix.f1_weighted(),
            f1_per_class: self.of_sayable(matrix.f1_per_class()),
            precision_per_class: self.of_sayable(matrix.precision_per_class()),
            recall_per_class: self.of_sayable(matrix.recall_per_class()),
            cohen_kappa: matrix.cohen_kappa(),
            krippendorff_alpha: matrix.krippendorff_alpha(),
            roc_auc_macro: macro_mean(&ranking, |score| score.roc_auc),
            roc_auc_per_class: ranking.iter().map(|score| score.roc_auc).collect(),
            average_precision_macro: macro_mean(&ranking, average_precision),
            average_precision_per_class: ranking.iter().map(average_precision).collect(),
            confusion: matrix.rows().map(|row| row.iter().map(|&count| count as u64).collect()).collect(),
            skew_normalised: SkewNormalised {
                accuracy: even.accuracy(),
                f1_macro: even.f1_macro(Averaged::Union),
                f1_per_class: self.of_sayable(even.f1_per_class()),
                cohen_kappa: even.cohen_kappa(),
                krippendorff_alpha: even.krippendorff_alpha(),
                average_precision_macro: macro_mean(&ranking, |score| score.average_precision_1to1),
            },
            valence: regression(&self.valence.truth, &self.valence.predicted),
            arousal: regression(&self.arousal.truth, &self.arousal.predicted),
        }
    }
}

impl Evaluation {
    /// The contract's JSON document.
    pub fn to_json(&self) -> serde_json::Value {
        // A struct of strings, numbers and lists always has a JSON form.
        serde_json::to_value(self).unwrap_or(serde_json::Value::Null)
    }
}

fn match_by_image(
    truth: &Table,
    predictions: &Table,
    labels: &LabelSet,
    can_say: Option<&LabelSet>,
) -> Result<Matched, EvaluateError> {
    let index = predictions.index()?;
    refuse_unknown_images(truth, predictions)?;
    let can_be_said: Vec<bool> =
        labels.labels().iter().map(|&label| can_say.is_none_or(|own| own.class_of(label).is_some())).collect();
    let score_places = score_places(predictions, labels, &can_be_said)?;
    let has = |value: fn(&Row) -> bool| predictions.rows.iter().any(value);
    let has_labels = has(|row| row.expression.is_some()) || !score_places.is_empty();
    let (has_valence, has_arousal) = (has(|row| row.valence.is_some()), has(|row| row.arousal.is_some()));
    let mut matched = Matched {
        labels: labels.labels().to_vec(),
        can_be_said,
        truth: Vec::new(),
        predicted: Vec::new(),
        rows: Vec::new(),
        score_truth: Vec::new(),
        scores: Vec::new(),
        score_rows: Vec::new(),
        valence: Pairs::default(),
        arousal: Pairs::default(),
        n: 0,
        n_left_out: 0,
        missing: Vec::new(),
    };
    for (row_idx, row) in truth.rows.iter().enumerate() {
        // A table of 2^32 rows would need 400 GB.
        let row_idx = row_idx as u32;
        let class = match row.expression.map(|expression| labels.class_of(expression)) {
            Some(None) => {
                matched.n_left_out += 1;
                continue;
            }
            Some(Some(class)) => Some(class as Class),
            None => None,
        };
        let Some(&guess_idx) = index.get(row.image.as_str()) else {
            matched.missing.push(row.image.clone());
            continue;
        };
        let guess = &predictions.rows[guess_idx];
        matched.n += 1;
        let mut is_complete = true;
        if let Some(class) = class.filter(|_| has_labels) {
            let first_score = matched.scores.len();
            let row_scores = &predictions.scores[guess_idx * predictions.score_labels.len()..];
            matched.scores.extend(score_places.iter().map(|place| place.map_or(0.0, |place| row_scores[place])));
            let scores = &matched.scores[first_score..];
            let is_scored = !scores.is_empty() && scores.iter().all(|score| score.is_finite());
            let predicted = match guess.expression {
                Some(expression) => Some(predicted_class(expression, labels, predictions, guess)?),
                None => is_scored.then(|| top_class(scores)),
            };
            if is_scored {
                matched.score_truth.push(class);
                matched.score_rows.push(row_idx);
            } else {
                matched.scores.truncate(first_score);
                is_complete &= score_places.is_empty();
            }
            match predicted {
                Some(predicted) => {
                    matched.truth.push(class);
                    matched.predicted.push(predicted);
                    matched.rows.push(row_idx);
                }
                None => is_complete = false,
            }
        }
        is_complete &= matched.valence.push(row_idx, row.valence.filter(|_| has_valence), guess.valence);
        is_complete &= matched.arousal.push(row_idx, row.arousal.filter(|_| has_arousal), guess.arousal);
        if !is_complete {
            matched.missing.push(row.image.clone());
        }
    }
    Ok(matched)
}

impl Pairs {
    /// Adds the pair; false if the truth has a value and the prediction lacks it.
    fn push(&mut self, row_idx: u32, truth: Option<f64>, predicted: Option<f64>) -> bool {
        if let (Some(truth), Some(predicted)) = (truth, predicted) {
            self.truth.push(truth);
            self.predicted.push(predicted);
            self.rows.push(row_idx);
        }
        truth.is_none() || predicted.is_some()
    }
}

fn refuse_unknown_images(truth: &Table, predictions: &Table) -> Result<(), EvaluateError> {
    let known = truth.index()?;
    let unknown = || predictions.rows.iter().filter(|row| !known.contains_key(row.image.as_str()));
    match unknown().count() {
        0 => Ok(()),
        n => Err(EvaluateError::Unmatched {
            what: format!("images of `{}` are not in `{}`", predictions.file, truth.file),
            n,
            names: unknown().take(5).map(|row| row.image.clone()).collect(),
            hint: "both files must name the same images the same way",
        }),
    }
}

/// For each label the place of its scores in a row of the predictions, none for one that the model cannot give; empty
/// without any scores.
fn score_places(
    predictions: &Table,
    labels: &LabelSet,
    can_be_said: &[bool],
) -> Result<Vec<Option<usize>>, EvaluateError> {
    if predictions.score_labels.is_empty() {
        return Ok(Vec::new());
    }
    let place = |(label, &can): (&Expression, &bool)| {
        let place = predictions.score_labels.iter().position(|scored| scored == label);
        if place.is_some() || !can {
            return Ok(place);
        }
        Err(EvaluateError::BadHeader {
            file: predictions.file.clone(),
            problem: format!("column `p_{label}` is missing: add it, or give --labels without {label}"),
            header: predictions.score_labels.iter().map(|label| format!("p_{label}")).collect::<Vec<_>>().join(","),
        })
    };
    labels.labels().iter().zip(can_be_said).map(place).collect()
}

fn predicted_class(
    expression: Expression,
    labels: &LabelSet,
    predictions: &Table,
    row: &Row,
) -> Result<Class, EvaluateError> {
    labels.class_of(expression).map(|class| class as Class).ok_or_else(|| EvaluateError::BadValue {
        file: predictions.file.clone(),
        line: row.line,
        column: "expression".into(),
        value: expression.to_string(),
        problem: format!("is not among the labels scored ({labels}): widen --labels, or give p_<label> columns only"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::read_table;

    fn run(truth: &str, predictions: &str, labels: &str, missing: Missing) -> Result<Evaluation, String> {
        let table = |text: &str, file| read_table(text.as_bytes(), file).map_err(|error| error.to_string());
        let labels = LabelSet::parse(labels).map_err(|error| error.to_string())?;
        evaluate(&table(truth, "truth.csv")?, &table(predictions, "guess.csv")?, &labels, missing)
            .map_err(|error| error.to_string())
    }

    const TRUTH: &str = "image,expression,valence,arousal\na,happy,0.5,\nb,sad,-0.5,\nc,contempt,0.1,\n";

    #[test]
    fn images_are_matched_by_name_and_labels_outside_the_set_left_out() {
        let found =
            run(TRUTH, "image,expression,valence\nc,happy,1\nb,sad,-0.5\na,sad,0.3\n", "happy,sad", Missing::Refused);
        let found = found.unwrap();
        assert_eq!((found.n, found.n_left_out, found.accuracy), (2, 1, Some(0.5)));
        assert_eq!(found.confusion, [[0, 1], [0, 1]]);
        assert_eq!(found.valence.mae, Some(0.1));
        assert_eq!((found.arousal.rmse, found.roc_auc_macro), (None, None));
    }

    #[test]
    fn a_missing_prediction_is_refused_or_left_out_and_counted() {
        let guess = "image,expression,valence\na,happy,0.5\n";
        let told = run(TRUTH, guess, "7", Missing::Refused).unwrap_err();
        assert!(told.starts_with("1 images of `truth.csv` lack a prediction in `guess.csv`: b; "), "{told}");
        assert_eq!(
            run(TRUTH, guess, "7", Missing::LeftOut).map(|e| (e.n, e.n_missing, e.accuracy)),
            Ok((1, 1, Some(1.0)))
        );
        let gap = "image,expression,valence\na,happy,0.5\nb,sad,\nc,sad,0\n";
        assert!(run(TRUTH, gap, "7", Missing::Refused).is_err(), "a valence left out where others are given");
    }

    #[test]
    fn what_cannot_be_matched_says_where_it_stands() {
        let unknown =
            run(TRUTH, "image,expression\nz,happy\na,sad\nb,sad\nc,sad\n", "8", Missing::Refused).unwrap_err();
        assert!(unknown.contains("1 images of `guess.csv` are not in `truth.csv`: z"), "{unknown}");
        let outside =
            run(TRUTH, "image,expression\na,fear\nb,sad\nc,sad\n", "happy,sad", Missing::Refused).unwrap_err();
        assert!(outside.starts_with("`guess.csv` line 2, column expression: `fear` is not among"), "{outside}");
        let column = run(TRUTH, "image,p_happy\na,1\nb,0\nc,0\n", "happy,sad", Missing::Refused).unwrap_err();
        assert!(column.contains("p_sad"), "{column}");
    }

    #[test]
    fn scores_alone_give_labels_too() {
        let found =
            run(TRUTH, "image,p_sad,p_happy\na,0.4,0.6\nb,0.7,0.3\nc,1,0\n", "happy,sad", Missing::Refused).unwrap();
        assert_eq!(
            (found.accuracy, found.roc_auc_macro, found.average_precision_macro),
            (Some(1.0), Some(1.0), Some(1.0))
        );
    }

    #[test]
    fn json_has_the_contracts_keys_and_null_for_undefined() {
        let json = run(TRUTH, "image,valence\na,0.5\nb,-0.5\nc,0\n", "8", Missing::Refused).unwrap().to_json();
        for key in [
            "accuracy",
            "balanced_accuracy",
            "f1_macro",
            "f1_weighted",
            "cohen_kappa",
            "krippendorff_alpha",
            "roc_auc_macro",
            "average_precision_macro",
        ] {
            assert_eq!(json.get(key), Some(&serde_json::Value::Null), "{key}");
        }
        assert_eq!(json["f1_per_class"].as_array().map(Vec::len), Some(8));
        assert_eq!(json["labels"][1], "happy");
        assert!(json["valence"]["ccc"].is_number() && json["arousal"]["ccc"].is_null());
    }
}

//! How good are a network's answers on a split, and how are they written down?

use std::fmt::Write as _;

use affectory_core::{Arousal, Expression, LabelSet, Valence};
use affectory_evaluate::{Averaged, Class, ConfusionMatrix, regression};

use crate::data::Sample;
use crate::predict::{Prediction, likeliest};
use crate::recipe::Heads;

/// A network's answer for one face.
#[derive(Debug, Clone, PartialEq)]
pub struct Guess {
    /// Probability of each class of the label set.
    pub probabilities: Vec<f32>,
    /// Valence, -1 to 1.
    pub valence: f32,
    /// Arousal, -1 to 1.
    pub arousal: f32,
}

impl Guess {
    /// The class with the highest probability, the first of equals.
    pub fn class(&self) -> usize {
        let mut best = 0;
        for (class, p) in self.probabilities.iter().enumerate() {
            if *p > self.probabilities[best] {
                best = class;
            }
        }
        best
    }
}

/// Probabilities from scores of any size; a score of minus infinity has none.
pub(crate) fn softmax(scores: &[f32]) -> Vec<f32> {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = scores.iter().map(|score| (score - highest).exp()).collect();
    let total: f32 = powers.iter().sum();
    powers.iter().map(|power| power / total).collect()
}

/// The scores that an epoch is judged by; `None` where the split has no such label.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Scores {
    /// Share of faces whose category is right.
    pub accuracy: Option<f64>,
    /// Mean F1 over the categories that occur.
    pub f1_macro: Option<f64>,
    /// Concordance of valence.
    pub valence_ccc: Option<f64>,
    /// Concordance of arousal.
    pub arousal_ccc: Option<f64>,
}

/// The contract's prediction CSV: `image,expression,valence,arousal,p_<label>...`; empty where no head was trained.
pub fn predictions_csv(samples: &[Sample], guesses: &[Guess], labels: &LabelSet, heads: Heads) -> String {
    let mut csv = String::from("image,expression,valence,arousal");
    for label in labels.labels().iter().filter(|_| heads.expression) {
        let _ = write!(csv, ",p_{label}");
    }
    csv.push('\n');
    for (sample, guess) in samples.iter().zip(guesses) {
        let expression = labels.labels().get(guess.class()).filter(|_| heads.expression);
        let number = |value: f32, is_trained: bool| if is_trained { format!("{value:.5}") } else { String::new() };
        let _ = write!(
            csv,
            "{},{},{},{}",
            sample.name,
            expression.map(|e| e.name()).unwrap_or_default(),
            number(guess.valence, heads.valence),
            number(guess.arousal, heads.arousal)
        );
        for p in guess.probabilities.iter().filter(|_| heads.expression) {
            let _ = write!(csv, ",{p:.6}");
        }
        csv.push('\n');
    }
    csv
}

/// The contract's prediction CSV of any model, over the labels of a release. A label that the model cannot produce has
/// probability 0; of a model that knows further labels the release's likeliest is its answer, and its probabilities are
/// shares of what it gave to the release's labels.
pub fn answers_csv(samples: &[Sample], answers: &[Prediction], labels: &LabelSet) -> String {
    let mut csv = String::from("image,expression,valence,arousal");
    let has_expression = answers.iter().any(|answer| !answer.probabilities.is_empty());
    for label in labels.labels().iter().filter(|_| has_expression) {
        let _ = write!(csv, ",p_{label}");
    }
    csv.push('\n');
    for (sample, answer) in samples.iter().zip(answers) {
        let is_asked = |label: Expression| labels.class_of(label).is_some();
        let mut asked: Vec<(Expression, f32)> =
            answer.probabilities.iter().copied().filter(|(label, _)| is_asked(*label)).collect();
        let total: f32 = asked.iter().map(|(_, p)| p).sum();
        if asked.len() < answer.probabilities.len() && total > 0.0 {
            asked.iter_mut().for_each(|(_, p)| *p /= total);
        }
        let expression = likeliest(&asked).map(Expression::name).unwrap_or_default();
        let number = |value: Option<f32>| value.map(|v| format!("{v:.5}")).unwrap_or_default();
        let (valence, arousal) = (answer.valence.map(Valence::value), answer.arousal.map(Arousal::value));
        let _ = write!(csv, "{},{expression},{},{}", sample.name, number(valence), number(arousal));
        for label in labels.labels().iter().filter(|_| has_expression) {
            let p = asked.iter().find(|(asked, _)| asked == label).map_or(0.0, |(_, p)| *p);
            let _ = write!(csv, ",{p:.6}");
        }
        csv.push('\n');
    }
    csv
}

/// How many annotators chose each category, for the same faces: `image,<category>...`, all eleven.
pub fn votes_csv(samples: &[Sample]) -> String {
    let mut csv = String::from("image");
    for category in Expression::ALL {
        let _ = write!(csv, ",{category}");
    }
    csv.push('\n');
    for sample in samples {
        csv.push_str(&sample.name);
        for votes in sample.votes {
            let _ = write!(csv, ",{votes}");
        }
        csv.push('\n');
    }
    csv
}

/// The contract's truth CSV for the same faces.
pub fn truth_csv(samples: &[Sample]) -> String {
    let mut csv = String::from("image,expression,valence,arousal\n");
    let number = |value: Option<f32>| value.map(|v| v.to_string()).unwrap_or_default();
    for sample in samples {
        let expression = sample.expression.map(|e| e.name()).unwrap_or_default();
        let _ = writeln!(csv, "{},{expression},{},{}", sample.name, number(sample.valence), number(sample.arousal));
    }
    csv
}

/// Scores of a split, by the functions that `affectory evaluate` uses.
pub(crate) fn score(samples: &[Sample], guesses: &[Guess], labels: &LabelSet, heads: Heads) -> Scores {
    let (mut truth, mut predicted): (Vec<Class>, Vec<Class>) = (Vec::new(), Vec::new());
    // A label set has at most eleven classes, so each fits.
    let class = |class: usize| Class::try_from(class).unwrap_or(Class::MAX);
    for (sample, guess) in samples.iter().zip(guesses) {
        if let Some(found) = sample.expression.and_then(|e| labels.class_of(e)) {
            truth.push(class(found));
            predicted.push(class(guess.class()));
        }
    }
    let confusion = ConfusionMatrix::count(&truth, &predicted, labels.n_classes());
    let concordance = |known: fn(&Sample) -> Option<f32>, guessed: fn(&Guess) -> f32| {
        let pairs =
            samples.iter().zip(guesses).filter_map(|(s, g)| Some((f64::from(known(s)?), f64::from(guessed(g)))));
        let (truth, predicted): (Vec<f64>, Vec<f64>) = pairs.unzip();
        regression(&truth, &predicted).ccc
    };
    Scores {
        accuracy: confusion.accuracy().filter(|_| heads.expression),
        f1_macro: confusion.f1_macro(Averaged::Union).filter(|_| heads.expression),
        valence_ccc: concordance(|s| s.valence, |g| g.valence).filter(|_| heads.valence),
        arousal_ccc: concordance(|s| s.arousal, |g| g.arousal).filter(|_| heads.arousal),
    }
}

#[cfg(test)]
mod tests {
    use affectory_core::{BoundingBox, Split, ValenceArousal};

    use super::*;

    fn answer(probabilities: &[(Expression, f32)]) -> Prediction {
        let point = ValenceArousal::clamped(0.5, -0.25);
        let expression = likeliest(probabilities);
        let probabilities = probabilities.to_vec();
        let (valence, arousal) = (Some(point.valence), Some(point.arousal));
        Prediction { expression, probabilities, valence, arousal, is_proxy: false }
    }

    #[test]
    fn a_label_the_model_lacks_has_no_probability_and_one_the_release_lacks_no_say()
    -> Result<(), affectory_core::CoreError> {
        let sample = Sample {
            name: "a".into(),
            image: "x".into(),
            bounding_box: BoundingBox::whole(8, 8),
            five: None,
            expression: None,
            votes: [0; 11],
            valence: None,
            arousal: None,
            split: Split::Valid,
            pack: 0,
        };
        let labels = LabelSet::parse("happy,sad,contempt")?;
        let csv = |answer| answers_csv(std::slice::from_ref(&sample), &[answer], &labels);
        let seven = csv(answer(&[(Expression::Sad, 0.75), (Expression::Happy, 0.25)]));
        assert_eq!(
            seven,
            "image,expression,valence,arousal,p_happy,p_sad,p_contempt\na,sad,0.50000,-0.25000,0.250000,0.750000,0.000000\n"
        );
        let eleven = csv(answer(&[(Expression::NonFace, 0.5), (Expression::Happy, 0.375), (Expression::Sad, 0.125)]));
        assert!(eleven.ends_with("a,happy,0.50000,-0.25000,0.750000,0.250000,0.000000\n"), "{eleven}");
        Ok(())
    }
}

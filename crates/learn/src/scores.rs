//! How good are a network's answers on a split, and how are they written down?

use std::fmt::Write as _;

use affectory_core::LabelSet;

use crate::data::Sample;

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

/// The contract's prediction CSV: `image,expression,valence,arousal,p_<label>...`.
pub fn predictions_csv(samples: &[Sample], guesses: &[Guess], labels: &LabelSet) -> String {
    let mut csv = String::from("image,expression,valence,arousal");
    for label in labels.labels() {
        let _ = write!(csv, ",p_{label}");
    }
    csv.push('\n');
    for (sample, guess) in samples.iter().zip(guesses) {
        let _ = write!(
            csv,
            "{},{},{:.5},{:.5}",
            sample.name,
            labels.labels()[guess.class()],
            guess.valence,
            guess.arousal
        );
        for p in &guess.probabilities {
            let _ = write!(csv, ",{p:.6}");
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

// PROVISIONAL until `evaluate` lands: replaced by its functions.
pub(crate) fn score(samples: &[Sample], guesses: &[Guess], labels: &LabelSet) -> Scores {
    let n = labels.n_classes();
    let mut confusion = vec![vec![0.0f64; n]; n];
    let mut pairs = [Vec::new(), Vec::new()];
    for (s, g) in samples.iter().zip(guesses) {
        if let Some(t) = s.expression.and_then(|e| labels.class_of(e)) {
            confusion[t][g.class()] += 1.0;
        }
        if let Some(v) = s.valence { pairs[0].push((f64::from(v), f64::from(g.valence))); }
        if let Some(v) = s.arousal { pairs[1].push((f64::from(v), f64::from(g.arousal))); }
    }
    let total: f64 = confusion.iter().flatten().sum();
    let hits: f64 = (0..n).map(|i| confusion[i][i]).sum();
    let f1: Vec<f64> = (0..n).filter_map(|i| {
        let t: f64 = confusion[i].iter().sum();
        let p: f64 = confusion.iter().map(|r| r[i]).sum();
        (t + p > 0.0).then(|| 2.0 * confusion[i][i] / (t + p))
    }).collect();
    let ccc = |p: &Vec<(f64, f64)>| -> Option<f64> {
        if p.is_empty() { return None; }
        let k = p.len() as f64;
        let (ma, mb) = (p.iter().map(|x| x.0).sum::<f64>() / k, p.iter().map(|x| x.1).sum::<f64>() / k);
        let va: f64 = p.iter().map(|x| (x.0 - ma).powi(2)).sum::<f64>() / k;
        let vb: f64 = p.iter().map(|x| (x.1 - mb).powi(2)).sum::<f64>() / k;
        let c: f64 = p.iter().map(|x| (x.0 - ma) * (x.1 - mb)).sum::<f64>() / k;
        Some(2.0 * c / (va + vb + (ma - mb).powi(2)))
    };
    Scores {
        accuracy: (total > 0.0).then(|| hits / total),
        f1_macro: (total > 0.0).then(|| f1.iter().sum::<f64>() / f1.len() as f64),
        valence_ccc: ccc(&pairs[0]), arousal_ccc: ccc(&pairs[1]),
    }
}

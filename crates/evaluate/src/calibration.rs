//! Do probabilities mean what they say: top-k accuracy, calibration error, Brier score, log loss?

use crate::confusion::{Class, ratio};
use crate::ranking::Scores;

/// How far the stated confidence is from the share that was right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalibrationError {
    /// Mean gap over the bins, weighted by their rows (ECE, Naeini, Cooper, Hauskrecht 2015).
    pub expected: f64,
    /// Largest gap of a bin that is not empty (MCE).
    pub maximum: f64,
}

/// Whether all scores are at least 0 and every row sums to 1 within 1e-6.
pub fn are_probabilities(scores: Scores<'_>) -> bool {
    scores.rows().all(|row| row.iter().all(|&p| p >= 0.0) && (row.iter().sum::<f64>() - 1.0).abs() <= 1e-6)
}

/// The class of the highest score of a row; a tie goes to the lowest class.
pub fn top_class(row: &[f64]) -> Class {
    let best = row.iter().enumerate().fold(0, |best, (class, score)| if *score > row[best] { class } else { best });
    best as Class
}

/// Share of rows whose true class is among the `k` highest scores; a tie goes to the lowest class.
pub fn top_k_accuracy(truth: &[Class], scores: Scores<'_>, k: usize) -> Option<f64> {
    let hits = scores.rows().zip(truth).filter(|&(row, &truth)| {
        let truth = usize::from(truth);
        let ahead = row
            .iter()
            .enumerate()
            .filter(|&(class, &score)| score > row[truth] || (score == row[truth] && class < truth));
        ahead.count() < k
    });
    ratio(hits.count() as f64, scores.rows().len() as f64)
}

/// Calibration of the highest probability in `n_bins` bins of equal width `(low, high]`; undefined without
/// rows or for scores that are no probabilities.
pub fn calibration_error(truth: &[Class], scores: Scores<'_>, n_bins: usize) -> Option<CalibrationError> {
    let n = scores.rows().len();
    if n == 0 || n_bins == 0 || !are_probabilities(scores) {
        return None;
    }
    let mut bins = vec![(0.0f64, 0.0f64, 0.0f64); n_bins]; // rows, hits, sum of confidence
    for (row, &truth) in scores.rows().zip(truth) {
        let class = top_class(row);
        let confidence = row[usize::from(class)];
        let bin = ((confidence * n_bins as f64).ceil() - 1.0).clamp(0.0, (n_bins - 1) as f64) as usize;
        let (rows, hits, sum) = &mut bins[bin];
        *rows += 1.0;
        *hits += f64::from(u8::from(class == truth));
        *sum += confidence;
    }
    let mut error = CalibrationError { expected: 0.0, maximum: 0.0 };
    for (rows, hits, sum) in bins.into_iter().filter(|bin| bin.0 > 0.0) {
        let gap = ((hits - sum) / rows).abs();
        error.expected += gap * rows / n as f64;
        error.maximum = error.maximum.max(gap);
    }
    Some(error)
}

/// Mean of `-ln p(truth)`, p clipped away from 0 and 1 by 2.2e-16; undefined for scores that are no probabilities.
pub fn log_loss(truth: &[Class], scores: Scores<'_>) -> Option<f64> {
    let loss = |(row, &truth): (&[f64], &Class)| -row[usize::from(truth)].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln();
    probabilistic_mean(truth, scores, loss)
}

/// Mean over rows of the squared distance to the true class's corner, 0 to 2 (Brier 1950); undefined for
/// scores that are no probabilities.
pub fn brier(truth: &[Class], scores: Scores<'_>) -> Option<f64> {
    let distance = |(row, &truth): (&[f64], &Class)| {
        let parts = row.iter().enumerate().map(|(class, p)| p - f64::from(u8::from(class == usize::from(truth))));
        parts.map(|part| part * part).sum::<f64>()
    };
    probabilistic_mean(truth, scores, distance)
}

fn probabilistic_mean(truth: &[Class], scores: Scores<'_>, of_row: impl Fn((&[f64], &Class)) -> f64) -> Option<f64> {
    if !are_probabilities(scores) {
        return None;
    }
    ratio(scores.rows().zip(truth).map(of_row).sum(), scores.rows().len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example() {
        // Certain and right, then 0.6 for the wrong one: gaps 0 and 0.6, Brier (0 + 2 * 0.36) / 2.
        let values = [1.0, 0.0, 0.6, 0.4];
        let scores = Scores::new(&values, 2).unwrap();
        let error = calibration_error(&[0, 1], scores, 10).unwrap();
        assert!((error.expected - 0.3).abs() < 1e-12 && (error.maximum - 0.6).abs() < 1e-12);
        assert!((brier(&[0, 1], scores).unwrap() - 0.36).abs() < 1e-12);
        assert!((log_loss(&[0, 1], scores).unwrap() + 0.4f64.ln() / 2.0).abs() < 1e-12);
        assert_eq!(top_k_accuracy(&[0, 1], scores, 1), Some(0.5));
        assert_eq!(top_k_accuracy(&[0, 1], scores, 2), Some(1.0));
    }

    #[test]
    fn logits_have_an_argmax_and_no_calibration() {
        let values = [2.0, 2.0, -1.0];
        let scores = Scores::new(&values, 3).unwrap();
        assert_eq!(top_class(&values), 0, "a tie goes to the lowest class");
        assert_eq!(calibration_error(&[0], scores, 10), None);
        assert_eq!((log_loss(&[0], scores), brier(&[0], scores)), (None, None));
    }
}

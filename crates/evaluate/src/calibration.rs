//! Do probabilities mean what they say: top-k accuracy, calibration error, Brier score, log loss?

use rayon::prelude::*;

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
    let is_distribution = |row: &[f64]| row.iter().all(|&p| p >= 0.0) && (row.iter().sum::<f64>() - 1.0).abs() <= 1e-6;
    scores.par_rows().with_min_len(1 << 12).all(is_distribution)
}

/// The class of the highest score of a row; a tie goes to the lowest class.
pub fn top_class(row: &[f64]) -> Class {
    let best = row.iter().enumerate().fold(0, |best, (class, score)| if *score > row[best] { class } else { best });
    best as Class
}

/// Share of rows whose true class is among the `k` highest scores; a tie goes to the lowest class.
pub fn top_k_accuracy(truth: &[Class], scores: Scores<'_>, k: usize) -> Option<f64> {
    let hit = |row: &[f64], truth: Class| {
        let truth = usize::from(truth);
        let is_ahead = |(class, &score): (usize, &f64)| score > row[truth] || (score == row[truth] && class < truth);
        row.iter().enumerate().filter(|&rival| is_ahead(rival)).count() < k
    };
    row_mean(truth, scores, |row, truth| f64::from(u8::from(hit(row, truth))))
}

/// Calibration of the highest probability in `n_bins` bins of equal width `(low, high]`; undefined without
/// rows or for scores that are no probabilities.
pub fn calibration_error(truth: &[Class], scores: Scores<'_>, n_bins: usize) -> Option<CalibrationError> {
    let n = scores.rows().len();
    if n == 0 || n_bins == 0 || !are_probabilities(scores) {
        return None;
    }
    // Of each bin its rows, its hits and its sum of confidence.
    let bins = scores.sum(
        truth,
        || vec![[0.0f64; 3]; n_bins],
        |bins, row, truth| {
            let class = top_class(row);
            let confidence = row[usize::from(class)];
            let bin = ((confidence * n_bins as f64).ceil() - 1.0).clamp(0.0, (n_bins - 1) as f64) as usize;
            add(&mut bins[bin], [1.0, f64::from(u8::from(class == truth)), confidence]);
        },
        |bins, more| bins.iter_mut().zip(more).for_each(|(bin, more)| add(bin, more)),
    );
    let mut error = CalibrationError { expected: 0.0, maximum: 0.0 };
    for [rows, hits, sum] in bins.into_iter().filter(|bin| bin[0] > 0.0) {
        let gap = ((hits - sum) / rows).abs();
        error.expected += gap * rows / n as f64;
        error.maximum = error.maximum.max(gap);
    }
    Some(error)
}

/// Mean of `-ln p(truth)`, p clipped away from 0 and 1 by 2.2e-16; undefined for scores that are no probabilities.
pub fn log_loss(truth: &[Class], scores: Scores<'_>) -> Option<f64> {
    let loss = |row: &[f64], truth: Class| -row[usize::from(truth)].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln();
    if are_probabilities(scores) { row_mean(truth, scores, loss) } else { None }
}

/// Mean over rows of the squared distance to the true class's corner, 0 to 2 (Brier 1950); undefined for
/// scores that are no probabilities.
pub fn brier(truth: &[Class], scores: Scores<'_>) -> Option<f64> {
    let distance = |row: &[f64], truth: Class| {
        let parts = row.iter().enumerate().map(|(class, p)| p - f64::from(u8::from(class == usize::from(truth))));
        parts.map(|part| part * part).sum::<f64>()
    };
    if are_probabilities(scores) { row_mean(truth, scores, distance) } else { None }
}

fn row_mean(truth: &[Class], scores: Scores<'_>, of_row: impl Fn(&[f64], Class) -> f64 + Sync) -> Option<f64> {
    let sum = scores.sum(truth, || 0.0, |sum, row, truth| *sum += of_row(row, truth), |sum, more| *sum += more);
    ratio(sum, scores.rows().len() as f64)
}

fn add(sums: &mut [f64; 3], terms: [f64; 3]) {
    sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
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

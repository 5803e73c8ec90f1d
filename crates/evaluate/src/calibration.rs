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

/// Bins of the figures in [`Calibration`], as in Guo et al. (2017).
pub const CALIBRATION_BINS: usize = 15;

/// How far probabilities mean what they say.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Calibration {
    /// Rows.
    pub n: usize,
    /// Expected calibration error over 15 bins of equal width.
    pub ece: f64,
    /// Largest gap of one of them.
    pub mce: f64,
    /// Expected calibration error over 15 bins of equally many rows.
    pub adaptive_ece: f64,
    /// Mean negative log-likelihood.
    pub log_loss: f64,
    /// Brier score, 0 to 2.
    pub brier: f64,
    /// Confidence against accuracy in 15 bins of equal width.
    pub curve: Vec<ReliabilityBin>,
}

/// All figures of calibration; undefined without rows or for scores that are no probabilities.
pub fn calibration(truth: &[Class], scores: Scores<'_>) -> Option<Calibration> {
    let error = calibration_error(truth, scores, CALIBRATION_BINS)?;
    Some(Calibration {
        n: scores.rows().len(),
        ece: error.expected,
        mce: error.maximum,
        adaptive_ece: adaptive_calibration_error(truth, scores, CALIBRATION_BINS)?,
        log_loss: log_loss(truth, scores)?,
        brier: brier(truth, scores)?,
        curve: reliability_curve(truth, scores, CALIBRATION_BINS)?,
    })
}

/// One bin of a reliability curve.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct ReliabilityBin {
    /// Lower end of the confidence, exclusive.
    pub low: f64,
    /// Upper end, inclusive.
    pub high: f64,
    /// Rows whose highest probability lies in the bin; at least one.
    pub n: u64,
    /// Mean highest probability.
    pub confidence: f64,
    /// Share that is right.
    pub accuracy: f64,
}

/// Confidence against accuracy in `n_bins` bins of equal width `(low, high]`, without the empty ones; undefined
/// without rows or for scores that are no probabilities.
pub fn reliability_curve(truth: &[Class], scores: Scores<'_>, n_bins: usize) -> Option<Vec<ReliabilityBin>> {
    if scores.rows().len() == 0 || n_bins == 0 || !are_probabilities(scores) {
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
    let of_bin = |(bin, [rows, hits, sum]): (usize, [f64; 3])| ReliabilityBin {
        low: bin as f64 / n_bins as f64,
        high: (bin + 1) as f64 / n_bins as f64,
        n: rows as u64,
        confidence: sum / rows,
        accuracy: hits / rows,
    };
    Some(bins.into_iter().enumerate().filter(|(_, bin)| bin[0] > 0.0).map(of_bin).collect())
}

/// Calibration of the highest probability in `n_bins` bins of equal width `(low, high]`; undefined without
/// rows or for scores that are no probabilities.
pub fn calibration_error(truth: &[Class], scores: Scores<'_>, n_bins: usize) -> Option<CalibrationError> {
    let n = scores.rows().len() as f64;
    let mut error = CalibrationError { expected: 0.0, maximum: 0.0 };
    for bin in reliability_curve(truth, scores, n_bins)? {
        let gap = (bin.accuracy - bin.confidence).abs();
        error.expected += gap * bin.n as f64 / n;
        error.maximum = error.maximum.max(gap);
    }
    Some(error)
}

/// Mean gap between confidence and accuracy over `n_bins` bins of equally many rows (Nguyen and O'Connor 2015), which
/// no bin of a few rows can rule; undefined without rows or for scores that are no probabilities. Rows of equal
/// confidence keep their order.
pub fn adaptive_calibration_error(truth: &[Class], scores: Scores<'_>, n_bins: usize) -> Option<f64> {
    let n = scores.rows().len();
    if n == 0 || n_bins == 0 || !are_probabilities(scores) {
        return None;
    }
    let of_row = |(row, &truth): (&[f64], &Class)| {
        let class = top_class(row);
        (row[usize::from(class)], f64::from(u8::from(class == truth)))
    };
    let mut rows: Vec<(f64, f64)> = scores.rows().zip(truth).map(of_row).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let gaps = (0..n_bins).map(|bin| {
        let of_bin = &rows[bin * n / n_bins..(bin + 1) * n / n_bins];
        of_bin.iter().map(|(confidence, hit)| hit - confidence).sum::<f64>().abs()
    });
    Some(gaps.sum::<f64>() / n as f64)
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

//! How near are predicted valence or arousal values to the true ones: RMSE, MAE, CORR, SAGR, CCC?

use rayon::prelude::*;

use crate::confusion::ratio;
use crate::incomplete_beta::incomplete_beta;
use crate::ranking::ordered;

/// The five figures of AffectNet's tables for one dimension; `None` is undefined.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct RegressionScore {
    /// Root mean square error, >= 0.
    pub rmse: Option<f64>,
    /// Mean absolute error, >= 0.
    pub mae: Option<f64>,
    /// Pearson's correlation, -1 to 1; undefined when either side is constant.
    pub corr: Option<f64>,
    /// Sign agreement, 0 to 1: the share of rows with equal sign, the sign of 0 being 0.
    pub sagr: Option<f64>,
    /// Concordance correlation coefficient, -1 to 1 (Lin 1989); undefined only when both sides are the same constant.
    pub ccc: Option<f64>,
}

/// RMSE, MAE, CORR, SAGR and CCC of pairs of finite numbers.
///
/// ```
/// let score = affectory_evaluate::regression(&[-0.5, 0.0, 0.5], &[-0.5, 0.1, 0.7]);
/// assert!((score.mae.unwrap() - 0.1).abs() < 1e-12);
/// assert_eq!(score.sagr, Some(2.0 / 3.0)); // 0.1 is positive, 0 is not
/// ```
pub fn regression(truth: &[f64], predicted: &[f64]) -> RegressionScore {
    Moments::of(truth, predicted).score()
}

/// Everything the figures are made of, from two passes over the pairs: O(n), chunks in parallel, the same
/// result on any number of threads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    n: f64,
    mean_truth: f64,
    mean_predicted: f64,
    squares_truth: f64,     // sum of squared distances to the mean
    squares_predicted: f64, // likewise
    products: f64,          // sum of products of the distances
    squared_errors: f64,
    absolute_errors: f64,
    n_same_sign: f64,
    is_truth_constant: bool,
    is_predicted_constant: bool,
}

/// Rows of a chunk: fixed, so that sums add up in one order on every machine.
const CHUNK: usize = 1 << 14;

impl Moments {
    /// Takes pairs of finite numbers; of slices of different length the shorter decides.
    pub fn of(truth: &[f64], predicted: &[f64]) -> Self {
        let rows = truth.len().min(predicted.len());
        let (truth, predicted) = (&truth[..rows], &predicted[..rows]);
        let n = rows as f64;
        let [sum_truth, sum_predicted, squared_errors, absolute_errors, n_same_sign] =
            sum_chunks(truth, predicted, |t, p| {
                [t, p, (t - p) * (t - p), (t - p).abs(), f64::from(u8::from(sign(t) == sign(p)))]
            });
        let (mean_truth, mean_predicted) = (sum_truth / n, sum_predicted / n);
        let [squares_truth, squares_predicted, products] = sum_chunks(truth, predicted, |t, p| {
            let (t, p) = (t - mean_truth, p - mean_predicted);
            [t * t, p * p, t * p]
        });
        let is_constant = |values: &[f64]| values.iter().all(|value| value == &values[0]);
        Self {
            n,
            mean_truth,
            mean_predicted,
            squares_truth,
            squares_predicted,
            products,
            squared_errors,
            absolute_errors,
            n_same_sign,
            is_truth_constant: is_constant(truth),
            is_predicted_constant: is_constant(predicted),
        }
    }

    /// The five figures together.
    pub fn score(&self) -> RegressionScore {
        RegressionScore {
            rmse: ratio(self.squared_errors, self.n).map(f64::sqrt),
            mae: ratio(self.absolute_errors, self.n),
            corr: self.corr(),
            sagr: ratio(self.n_same_sign, self.n),
            ccc: self.ccc(),
        }
    }

    /// Mean of predicted minus truth.
    pub fn bias(&self) -> Option<f64> {
        (self.n > 0.0).then_some(self.mean_predicted - self.mean_truth)
    }

    /// Pearson's correlation; undefined when either side is constant.
    pub fn corr(&self) -> Option<f64> {
        if self.is_truth_constant || self.is_predicted_constant {
            return None;
        }
        ratio(self.products, self.squares_truth.sqrt() * self.squares_predicted.sqrt()).map(|r| r.clamp(-1.0, 1.0))
    }

    /// Two-sided p-value of the correlation by Student's t with n - 2 degrees of freedom; undefined below 3 pairs.
    pub fn corr_p_value(&self) -> Option<f64> {
        let corr = self.corr().filter(|_| self.n >= 3.0)?;
        Some(incomplete_beta((self.n - 2.0) / 2.0, 0.5, (1.0 - corr * corr).max(0.0)))
    }

    /// Concordance with moments divided by n, as in AffectNet's paper.
    pub fn ccc(&self) -> Option<f64> {
        self.concordance(self.n)
    }

    /// Concordance with variances and covariance divided by n - 1, as some papers have it; undefined below 2 pairs.
    pub fn ccc_sample_variance(&self) -> Option<f64> {
        if self.n < 2.0 { None } else { self.concordance(self.n - 1.0) }
    }

    fn concordance(&self, divisor: f64) -> Option<f64> {
        let gap = self.mean_truth - self.mean_predicted;
        match (self.is_truth_constant, self.is_predicted_constant) {
            _ if self.n == 0.0 => None,
            (true, true) if self.squared_errors == 0.0 => None,
            // No covariance: said here, since a computed mean may be off by a rounding.
            (true, _) | (_, true) => Some(0.0),
            (false, false) => {
                let spread = (self.squares_truth + self.squares_predicted) / divisor + gap * gap;
                ratio(2.0 * self.products / divisor, spread)
            }
        }
    }

    /// Share of the truth's variance explained, 1 - squared errors / squares; undefined for a constant truth.
    pub fn r2(&self) -> Option<f64> {
        if self.is_truth_constant { None } else { ratio(self.squared_errors, self.squares_truth).map(|u| 1.0 - u) }
    }
}

/// Terms of single pairs that moments can be put together from when rows are drawn anew: values are taken from their
/// mean, so that squares of large offsets do not eat the variance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Centred {
    truth: f64,
    predicted: f64,
}

impl Centred {
    pub fn about_means(truth: &[f64], predicted: &[f64]) -> Self {
        let moments = Moments::of(truth, predicted);
        Self { truth: moments.mean_truth, predicted: moments.mean_predicted }
    }

    pub fn terms(self, truth: f64, predicted: f64) -> [f64; 8] {
        let (t, p) = (truth - self.truth, predicted - self.predicted);
        let error = truth - predicted;
        [t, p, t * t, p * p, t * p, error * error, error.abs(), f64::from(u8::from(sign(truth) == sign(predicted)))]
    }

    /// The moments of `n` rows (at least one) from the sums of their terms.
    pub fn moments(self, n: f64, sums: [f64; 8]) -> Moments {
        let [t, p, tt, pp, tp, squared_errors, absolute_errors, n_same_sign] = sums;
        let (squares_truth, squares_predicted) = (tt - t * t / n, pp - p * p / n);
        // One value drawn again and again leaves a rounding of its square, never more.
        let is_constant = |squares: f64, about_mean: f64| squares <= 1e-12 * about_mean;
        Moments {
            n,
            mean_truth: self.truth + t / n,
            mean_predicted: self.predicted + p / n,
            squares_truth,
            squares_predicted,
            products: tp - t * p / n,
            squared_errors,
            absolute_errors,
            n_same_sign,
            is_truth_constant: is_constant(squares_truth, tt),
            is_predicted_constant: is_constant(squares_predicted, pp),
        }
    }
}

/// Spearman's correlation: Pearson's of the average ranks, O(n log n).
pub fn spearman(truth: &[f64], predicted: &[f64]) -> Option<f64> {
    let (truth, predicted) = rayon::join(|| average_ranks(truth), || average_ranks(predicted));
    Moments::of(&truth, &predicted).corr()
}

/// Each value's rank from 1; equal values share the mean of theirs.
fn average_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<(u64, usize)> = values.iter().enumerate().map(|(row, &value)| (ordered(value), row)).collect();
    order.sort_unstable();
    let mut ranks = vec![0.0; values.len()];
    let mut n_below = 0;
    for ties in order.chunk_by(|a, b| a.0 == b.0) {
        for &(_, row) in ties {
            ranks[row] = n_below as f64 + (ties.len() + 1) as f64 / 2.0;
        }
        n_below += ties.len();
    }
    ranks
}

fn sign(value: f64) -> i8 {
    i8::from(value > 0.0) - i8::from(value < 0.0)
}

/// Sums of several terms over all pairs.
fn sum_chunks<const N: usize>(a: &[f64], b: &[f64], terms: impl Fn(f64, f64) -> [f64; N] + Sync) -> [f64; N] {
    let add = |mut sums: [f64; N], terms: [f64; N]| {
        sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        sums
    };
    let chunks: Vec<[f64; N]> = a
        .par_chunks(CHUNK)
        .zip(b.par_chunks(CHUNK))
        .map(|(a, b)| a.iter().zip(b).fold([0.0; N], |sums, (&a, &b)| add(sums, terms(a, b))))
        .collect();
    chunks.into_iter().fold([0.0; N], add)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(value: Option<f64>, expected: f64) -> bool {
        value.is_some_and(|value| (value - expected).abs() < 1e-12)
    }

    #[test]
    fn worked_example() {
        // Means 2 and 3, variances 2/3 and 2/3, covariance 1/3, gap 1.
        let score = regression(&[1.0, 2.0, 3.0], &[3.0, 2.0, 4.0]);
        assert!(near(score.rmse, (5.0f64 / 3.0).sqrt()));
        assert!(near(score.mae, 1.0));
        assert!(near(score.corr, 0.5));
        assert!(near(score.ccc, (2.0 / 3.0) / (4.0 / 3.0 + 1.0)));
        // Student's t with one degree of freedom is Cauchy: p = 1 - 2/pi * atan(t), t = 0.5 / sqrt(0.75).
        let t = 0.5 / 0.75f64.sqrt();
        assert!(near(
            Moments::of(&[1.0, 2.0, 3.0], &[3.0, 2.0, 4.0]).corr_p_value(),
            1.0 - t.atan() / std::f64::consts::FRAC_PI_2
        ));
    }

    #[test]
    fn constants_are_told_from_rounding() {
        let (truth, constant) = ([0.5, -0.1, 0.3], [0.1; 3]);
        assert_eq!((regression(&truth, &constant).corr, regression(&truth, &constant).ccc), (None, Some(0.0)));
        assert_eq!(regression(&constant, &constant).ccc, None);
        assert_eq!(regression(&constant, &[0.2; 3]).ccc, Some(0.0));
        assert_eq!(regression(&[], &[]), RegressionScore::default());
    }

    #[test]
    fn zero_agrees_in_sign_with_zero_only() {
        assert_eq!(regression(&[0.0, 0.0, -0.0], &[0.0, 0.2, 0.0]).sagr, Some(2.0 / 3.0));
    }

    #[test]
    fn a_large_offset_does_not_eat_the_variance() {
        let truth: Vec<f64> = (0..1000).map(|i| 1e8 + f64::from(i % 7)).collect();
        assert!(near(regression(&truth, &truth).corr, 1.0));
    }

    #[test]
    fn ranks_of_ties_are_shared() {
        assert_eq!(average_ranks(&[0.2, 0.1, 0.2]), [2.5, 1.0, 2.5]);
        assert!(near(spearman(&[1.0, 2.0, 3.0], &[1.0, 10.0, 100.0]), 1.0));
    }

    proptest! {
        #[test]
        fn figures_stay_in_range_are_symmetric_and_one_when_perfect(
            pairs in prop::collection::vec((-1.0f64..1.0, -1.0f64..1.0), 2..50),
        ) {
            let (truth, predicted): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let (score, back) = (regression(&truth, &predicted), regression(&predicted, &truth));
            for (a, b) in [(score.corr, back.corr), (score.ccc, back.ccc), (score.rmse, back.rmse)] {
                prop_assert!(a.is_none_or(|a| a.abs() <= 2.0 && near(b, a)));
            }
            prop_assert!(score.ccc.unwrap().abs() <= score.corr.unwrap().abs() + 1e-12, "CCC never exceeds CORR");
            let perfect = regression(&truth, &truth);
            prop_assert!(near(perfect.ccc, 1.0) && perfect.rmse == Some(0.0) && perfect.sagr == Some(1.0));
        }
    }
}

//! By which one number must a model's logits be divided so that its probabilities mean what they say?

use serde::Serialize;

use crate::confusion::Class;
use crate::ranking::Scores;

/// Probabilities below this count as this, so that a rounded 0 has a logarithm.
const FLOOR: f64 = 1e-12;
/// Bounds of the temperature: beyond them a model is either a constant or a vote.
const BOUNDS: (f64, f64) = (0.05, 20.0);

/// A fitted temperature (Guo, Pleiss, Sun, Weinberger 2017): above 1 the model was over-confident.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Temperature {
    /// What logits are divided by, 0.05 to 20.
    pub temperature: f64,
    /// Mean negative log-likelihood before.
    pub nll_before: f64,
    /// And after, on the rows that it was fitted on.
    pub nll_after: f64,
}

/// Fits the temperature that makes the truth likeliest, taking the logarithms of probabilities as logits (softmax
/// forgets the constant that they lack); undefined without rows or for scores that are negative.
///
/// In the inverse temperature the mean negative log-likelihood is convex, with the mean over rows of
/// `E[logit] - logit(truth)` as its derivative: bisection of that finds the one minimum. Fit it on other images than
/// those it is judged on.
///
/// ```
/// use affectory_evaluate::{Scores, fit_temperature};
///
/// // Says 0.9 and is right 3 times of 4: divided by T the odds of 9 become 3, so T = ln 9 / ln 3 = 2.
/// let stated = [0.9, 0.1].repeat(4);
/// let fitted = fit_temperature(&[0, 0, 0, 1], Scores::new(&stated, 2).unwrap()).unwrap();
/// assert!((fitted.temperature - 2.0).abs() < 1e-9);
/// ```
pub fn fit_temperature(truth: &[Class], scores: Scores<'_>) -> Option<Temperature> {
    if truth.is_empty() || scores.rows().len() != truth.len() || scores.rows().flatten().any(|&score| score < 0.0) {
        return None;
    }
    let (mut low, mut high) = (1.0 / BOUNDS.1, 1.0 / BOUNDS.0);
    while high - low > 1e-13 * high {
        let middle = f64::midpoint(low, high);
        if likelihood(truth, scores, middle).1 > 0.0 {
            high = middle
        } else {
            low = middle
        }
        if middle == low.midpoint(high) {
            break;
        }
    }
    let inverse = f64::midpoint(low, high);
    Some(Temperature {
        temperature: 1.0 / inverse,
        nll_before: likelihood(truth, scores, 1.0).0,
        nll_after: likelihood(truth, scores, inverse).0,
    })
}

/// Probabilities whose logits were divided by `temperature`, row by row.
pub fn apply_temperature(scores: Scores<'_>, temperature: f64) -> Vec<f64> {
    let mut scaled = Vec::with_capacity(scores.rows().len() * scores.n_classes());
    for row in scores.rows() {
        let logits = logits(row, 1.0 / temperature);
        let most = logits.clone().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.clone().map(|logit| (logit - most).exp()).sum();
        scaled.extend(logits.map(|logit| (logit - most).exp() / sum));
    }
    scaled
}

fn logits(row: &[f64], inverse: f64) -> impl Iterator<Item = f64> + Clone {
    row.iter().map(move |p| inverse * p.max(FLOOR).ln())
}

/// Mean negative log-likelihood at an inverse temperature, and its derivative by it.
fn likelihood(truth: &[Class], scores: Scores<'_>, inverse: f64) -> (f64, f64) {
    let add = |sums: &mut (f64, f64), row: &[f64], truth: Class| {
        let most = logits(row, inverse).fold(f64::NEG_INFINITY, f64::max);
        let (mut sum, mut expected) = (0.0, 0.0);
        for p in row {
            let logit = p.max(FLOOR).ln();
            let weight = (inverse * logit - most).exp();
            sum += weight;
            expected += weight * logit;
        }
        let own = row[usize::from(truth)].max(FLOOR).ln();
        sums.0 += most + sum.ln() - inverse * own;
        sums.1 += expected / sum - own;
    };
    let total = scores.sum(
        truth,
        || (0.0, 0.0),
        add,
        |total, part| {
            total.0 += part.0;
            total.1 += part.1;
        },
    );
    (total.0 / truth.len() as f64, total.1 / truth.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temperature_of_one_changes_nothing_and_a_high_one_levels() {
        let values = [0.7, 0.2, 0.1, 0.0, 0.5, 0.5];
        let scores = Scores::new(&values, 3).unwrap();
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(near(&apply_temperature(scores, 1.0), &values));
        assert!(near(&apply_temperature(scores, 1e12), &[1.0 / 3.0; 6]));
    }

    #[test]
    fn what_has_no_likelihood_has_no_temperature() {
        let negative = [1.2, -0.2];
        assert_eq!(fit_temperature(&[0], Scores::new(&negative, 2).unwrap()), None);
        // Always right: the colder the likelier, down to the bound.
        let certain = [0.9, 0.1];
        let found = fit_temperature(&[0], Scores::new(&certain, 2).unwrap()).unwrap();
        assert!((found.temperature - 0.05).abs() < 1e-6, "{found:?}");
    }
}

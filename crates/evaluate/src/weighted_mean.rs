//! What valence or arousal do annotators together give a face, when some are nearer to the others than some?
//!
//! Each answer is the face's value plus an error of the annotator's own variance. The faces' values are means weighted
//! by the inverse variances; the variances follow from how far each annotator is from them, and so on in turn. This is
//! the "almost unbiased" estimator of unequal variances (Horn, Horn, Duncan 1975, JASA 70(350)), whose fixed point is
//! that of restricted maximum likelihood with fixed faces.

use crate::answers::Answers;

/// When the iteration ends, and how far an annotator's few answers are believed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WeightedMeanOptions {
    /// The least variance an annotator may have, > 0: else one annotator comes to decide alone. The default is 0.05
    /// squared, a twentieth of the half scale.
    pub variance_floor: f64,
    /// Every annotator is given this many answers more, of the variance all annotators have together: who gave few is
    /// weighted like anyone. >= 0.
    pub n_prior_answers: f64,
    /// Ends when no annotator's variance changes by more than this share of itself.
    pub tolerance: f64,
    /// Ends after this many iterations in any case.
    pub max_iterations: usize,
}

impl Default for WeightedMeanOptions {
    fn default() -> Self {
        Self { variance_floor: 0.0025, n_prior_answers: 2.0, tolerance: 1e-10, max_iterations: 500 }
    }
}

/// The weighted means of all faces, and the annotators' weights.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedMean {
    /// Every face with an answer, by ascending id.
    pub faces: Vec<FaceMean>,
    /// Every annotator, by ascending id.
    pub annotators: Vec<AnnotatorWeight>,
    /// Iterations done.
    pub n_iterations: usize,
    /// Whether the tolerance was met.
    pub has_converged: bool,
}

impl WeightedMean {
    /// The face's mean; none without an answer.
    pub fn mean_of(&self, face: i64) -> Option<f64> {
        let place = self.faces.binary_search_by_key(&face, |of_face| of_face.face).ok()?;
        Some(self.faces[place].mean)
    }
}

/// One face's weighted mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceMean {
    /// Which face.
    pub face: i64,
    /// The mean, within the range of the answers.
    pub mean: f64,
    /// Weighted standard deviation of the answers around the mean; undefined with fewer than two.
    pub spread: Option<f64>,
    /// Number of answers.
    pub n: usize,
}

/// What an annotator's answers weigh.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnnotatorWeight {
    /// Which annotator.
    pub annotator: i64,
    /// Faces on which others answered too: what the variance is estimated from.
    pub n_shared: usize,
    /// Variance of the annotator's error, a constant shift included.
    pub variance: f64,
    /// The inverse of the variance.
    pub weight: f64,
}

/// Weighted means from (face, annotator, value), of an annotator's several answers for a face the last.
///
/// With two annotators alone nothing says which of them errs, and both weigh the same.
pub fn weighted_mean_of(answers: Vec<(i64, i64, f64)>, options: &WeightedMeanOptions) -> WeightedMean {
    let answers = Answers::new(answers);
    let mut n_shared = vec![0; answers.annotators.len()];
    for face in answers.by_face().filter(|face| face.len() >= 2) {
        face.iter().for_each(|&(annotator, _)| n_shared[annotator as usize] += 1);
    }
    // Only the ratios of variances matter to the means, so any common start will do.
    let mut variances = vec![1.0; answers.annotators.len()];
    let (mut n_iterations, mut has_converged) = (0, false);
    while n_iterations < options.max_iterations && !has_converged {
        let next = next_variances(&answers, &variances, options);
        let moved = |(before, after): (&f64, &f64)| (after - before).abs() > options.tolerance * before;
        has_converged = !variances.iter().zip(&next).any(moved);
        variances = next;
        n_iterations += 1;
    }
    let faces = answers.by_face().zip(&answers.faces).map(|(given, &face)| {
        let (mean, weight) = mean_and_weight(given, &variances);
        let squares: f64 = given.iter().map(|&(j, value)| (value - mean).powi(2) / variances[j as usize]).sum();
        FaceMean { face, mean, spread: (given.len() >= 2).then(|| (squares / weight).sqrt()), n: given.len() }
    });
    WeightedMean {
        faces: faces.collect(),
        annotators: std::iter::zip(&answers.annotators, std::iter::zip(n_shared, &variances))
            .map(|(&annotator, (n_shared, &variance))| AnnotatorWeight {
                annotator,
                n_shared,
                variance,
                weight: 1.0 / variance,
            })
            .collect(),
        n_iterations,
        has_converged,
    }
}

/// The mean weighted by the inverse variances, and the sum of the weights.
fn mean_and_weight(given: &[(u32, f64)], variances: &[f64]) -> (f64, f64) {
    let add = |(sum, total): (f64, f64), &(annotator, value): &(u32, f64)| {
        let weight = 1.0 / variances[annotator as usize];
        (sum + weight * value, total + weight)
    };
    let (sum, total) = given.iter().fold((0.0, 0.0), add);
    (sum / total, total)
}

/// An answer with the share h of its face's weight lies, on average, `(1 - h)` variances (squared) from the mean that
/// it is part of: so the squares are divided by the sum of `1 - h`, not by their number.
fn next_variances(answers: &Answers<f64>, variances: &[f64], options: &WeightedMeanOptions) -> Vec<f64> {
    let mut squares = vec![0.0; variances.len()];
    let mut freedom = vec![0.0; variances.len()];
    for given in answers.by_face().filter(|given| given.len() >= 2) {
        let (mean, total) = mean_and_weight(given, variances);
        for &(annotator, value) in given {
            let annotator = annotator as usize;
            squares[annotator] += (value - mean).powi(2);
            freedom[annotator] += 1.0 - 1.0 / (variances[annotator] * total);
        }
    }
    let all_freedom: f64 = freedom.iter().sum();
    let all = if all_freedom > 0.0 { squares.iter().sum::<f64>() / all_freedom } else { 0.0 };
    let variance = |(squares, freedom): (f64, f64)| {
        let weighed = freedom + options.n_prior_answers;
        let variance = if weighed > 0.0 { (squares + options.n_prior_answers * all) / weighed } else { all };
        variance.max(options.variance_floor)
    };
    squares.into_iter().zip(freedom).map(variance).collect()
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_variances_that_drew_the_answers_are_found() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        // A sum of twelve uniform numbers is nearly normal, of variance 1.
        let mut normal = || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        let deviations = [0.1, 0.2, 0.4, 0.3];
        let (mut answers, mut truth) = (Vec::new(), Vec::new());
        for face in 0..2000 {
            truth.push(0.5 * normal());
            answers.extend(
                (0i64..).zip(deviations).map(|(j, deviation)| (face, j, truth[face as usize] + deviation * normal())),
            );
        }
        let options = WeightedMeanOptions { n_prior_answers: 0.0, ..Default::default() };
        let found = weighted_mean_of(answers.clone(), &options);
        for (annotator, deviation) in found.annotators.iter().zip(deviations) {
            assert!((annotator.variance.sqrt() / deviation - 1.0).abs() < 0.08, "{annotator:?}");
        }
        let error = |mean: &dyn Fn(usize) -> f64| (0..2000).map(|face| (mean(face) - truth[face]).powi(2)).sum::<f64>();
        let plain = |face: usize| answers[4 * face..][..4].iter().map(|answer| answer.2).sum::<f64>() / 4.0;
        assert!(error(&|face| found.faces[face].mean) < 0.6 * error(&plain));
        let mut turned = answers.clone();
        turned.reverse();
        assert_eq!(found, weighted_mean_of(turned, &options));
    }

    #[test]
    fn two_annotators_weigh_the_same_and_one_alone_is_the_mean() {
        let answers = vec![(1, 1, 0.2), (1, 2, 0.6), (2, 1, -0.4), (2, 2, -0.6), (3, 9, 0.7)];
        let found = weighted_mean_of(answers, &WeightedMeanOptions::default());
        let near = |value: f64, expected: f64| (value - expected).abs() < 1e-12;
        assert!(near(found.faces[0].mean, 0.4) && near(found.faces[1].mean, -0.5) && near(found.faces[2].mean, 0.7));
        assert!(near(found.faces[0].spread.unwrap(), 0.2) && found.faces[2].spread.is_none());
        assert!(near(found.annotators[2].variance, found.annotators[0].variance), "who was alone weighs like anyone");
        assert!(found.has_converged);
        assert_eq!(weighted_mean_of(Vec::new(), &WeightedMeanOptions::default()).faces, []);
    }
}

//! Which expression, which valence, which arousal? One linear machine a class against the rest, one a dimension.

use rayon::prelude::*;

use crate::LearnError;
use crate::conventional::dual::{Features, Fit, LinearOptions, Sided, fit_sides, fit_targets};

/// How much a mistake on a rare class costs. n is the number of faces, n_c of those of class c, k of classes that occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// As much as on any other.
    #[default]
    None,
    /// n / (k n_c), scikit-learn's "balanced".
    Balanced,
    /// n_min / n_c with the rarest class's n_min, AffectNet's weighted loss.
    Rarest,
}

impl ClassWeights {
    /// The weight of each class; 1 for one that does not occur.
    pub fn of(self, counts: &[usize]) -> Vec<f64> {
        let occurring = || counts.iter().copied().filter(|n| *n > 0);
        let (n, k) = (occurring().sum::<usize>() as f64, occurring().count() as f64);
        let rarest = occurring().min().unwrap_or(1) as f64;
        let weight = |count: usize| match (self, count) {
            (_, 0) | (ClassWeights::None, _) => 1.0,
            (ClassWeights::Balanced, count) => n / (k * count as f64),
            (ClassWeights::Rarest, count) => rarest / count as f64,
        };
        counts.iter().map(|count| weight(*count)).collect()
    }
}

/// Fits one machine a class, against all faces of other classes; `None` for a class without faces, which is never
/// predicted then. As in LIBLINEAR, the class's weight multiplies the cost of its own faces and not that of the rest.
///
/// `classes` has the row and the class of each face that has one. The result does not depend on the number of threads.
///
/// # Errors
/// [`LearnError::Unfit`] for fewer than two classes that occur, and as [`fit_sides`].
pub fn fit_classes(
    features: Features,
    classes: &[(usize, usize)],
    n_classes: usize,
    weights: ClassWeights,
    options: &LinearOptions,
) -> Result<Vec<Option<Fit>>, LearnError> {
    let mut counts = vec![0; n_classes];
    for (row, class) in classes {
        let count = counts.get_mut(*class);
        *count.ok_or_else(|| LearnError::Unfit(format!("face {row} has class {class} of {n_classes}")))? += 1;
    }
    let n_occurring = counts.iter().filter(|n| **n > 0).count();
    if n_occurring < 2 {
        return Err(LearnError::Unfit(format!("faces of {n_occurring} expressions, and it takes two to tell apart")));
    }
    let weights = weights.of(&counts);
    let fit = |class: usize| {
        let side = |(row, of): &(usize, usize)| Sided { row: *row, is_positive: *of == class };
        let faces: Vec<Sided> = classes.iter().map(side).collect();
        fit_sides(features, &faces, [1.0, weights[class]], options)
    };
    // One after the other in each thread: a machine that needs long holds up no other.
    (0..n_classes)
        .into_par_iter()
        .with_max_len(1)
        .map(|class| if counts[class] == 0 { Ok(None) } else { fit(class).map(Some) })
        .collect()
}

/// Fits valence and arousal side by side; `None` for a dimension that no face has.
///
/// # Errors
/// As [`fit_targets`].
pub fn fit_affect(
    features: Features,
    known: [&[(usize, f64)]; 2],
    options: &LinearOptions,
) -> Result<[Option<Fit>; 2], LearnError> {
    let fit = |faces: &[(usize, f64)]| {
        if faces.is_empty() { Ok(None) } else { fit_targets(features, faces, options).map(Some) }
    };
    let (valence, arousal) = rayon::join(|| fit(known[0]), || fit(known[1]));
    Ok([valence?, arousal?])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three clouds in the plane.
    fn clouds() -> (Vec<f32>, Vec<(usize, usize)>) {
        let middles = [[-2.0, 0.0], [2.0, 0.0], [0.0, 3.0]];
        let face = |i: usize| {
            let [x, y]: [f32; 2] = middles[i % 3];
            [x + (i * 7 % 11) as f32 / 11.0 - 0.5, y + (i * 5 % 13) as f32 / 13.0 - 0.5]
        };
        ((0..90).flat_map(face).collect(), (0..90).map(|i| (i, i % 3)).collect())
    }

    fn message<T>(found: Result<T, LearnError>) -> String {
        found.err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn classes_that_can_be_told_apart_are() -> Result<(), LearnError> {
        let (values, classes) = clouds();
        let features = Features::new(&values, 2)?;
        // The fourth class has no face.
        let fits = fit_classes(features, &classes, 4, ClassWeights::None, &LinearOptions::default())?;
        assert!(fits[3].is_none());
        for (row, class) in classes {
            let decision =
                |class: &usize| fits[*class].as_ref().map_or(f64::NEG_INFINITY, |f| f.decision(features.row(row)));
            let best = (0..4).max_by(|a, b| decision(a).total_cmp(&decision(b)));
            assert_eq!(best, Some(class));
        }
        assert!(fits.iter().flatten().all(|fit| fit.converged));
        Ok(())
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() -> Result<(), LearnError> {
        let (values, classes) = clouds();
        let fit = |n_threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads start");
            pool.install(|| {
                let features = Features::new(&values, 2)?;
                fit_classes(features, &classes, 3, ClassWeights::Balanced, &LinearOptions::default())
            })
        };
        assert_eq!(fit(1)?, fit(3)?);
        Ok(())
    }

    #[test]
    fn weights_follow_the_counts() {
        let counts = [60, 0, 30, 10];
        assert_eq!(ClassWeights::None.of(&counts), [1.0; 4]);
        assert_eq!(ClassWeights::Rarest.of(&counts), [1.0 / 6.0, 1.0, 1.0 / 3.0, 1.0]);
        let balanced = ClassWeights::Balanced.of(&counts);
        let expected = [100.0 / 180.0, 1.0, 100.0 / 90.0, 100.0 / 30.0];
        assert!(balanced.iter().zip(expected).all(|(a, b): (&f64, f64)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn what_cannot_be_learnt_from_is_said() -> Result<(), LearnError> {
        let options = LinearOptions::default();
        assert_eq!(
            message(Features::new(&[0.0, f32::NAN], 2)),
            "cannot fit a linear machine: feature 1 of face 0 is NaN"
        );
        assert!(message(Features::new(&[0.0; 3], 2)).contains("3 features are no rows of 2"));
        let features = Features::new(&[0.0, 1.0, 2.0, 3.0], 2)?;
        let fit = |classes: &[(usize, usize)]| fit_classes(features, classes, 2, ClassWeights::None, &options);
        assert!(message(fit(&[])).contains("faces of 0 expressions"));
        assert!(message(fit(&[(0, 1), (1, 1)])).contains("faces of 1 expressions"));
        assert!(message(fit(&[(0, 0), (7, 1)])).contains("no face 7 among 2"));
        assert!(message(fit(&[(0, 0), (1, 2)])).contains("class 2 of 2"));
        assert!(message(fit_affect(features, [&[(0, f64::NAN)], &[]], &options)).contains("target of face 0 is NaN"));
        assert_eq!(fit_affect(features, [&[], &[]], &options)?, [None, None]);
        let free = LinearOptions { cost: 0.0, ..options };
        assert!(message(fit_affect(features, [&[(0, 1.0)], &[]], &free)).contains("cost = 0"));
        Ok(())
    }

    #[test]
    fn a_machine_that_is_stopped_early_says_so() -> Result<(), LearnError> {
        let (values, classes) = clouds();
        let options = LinearOptions { max_iterations: 1, ..LinearOptions::default() };
        let fits = fit_classes(Features::new(&values, 2)?, &classes, 3, ClassWeights::None, &options)?;
        assert!(fits.iter().flatten().all(|fit| !fit.converged && fit.n_iterations == 1));
        Ok(())
    }
}

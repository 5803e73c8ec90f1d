//! How often was each class taken for each other one, and what do accuracy, F1, kappa, alpha and MCC say of it?

/// A class index: the place of a label in its [`LabelSet`](affectory_core::LabelSet).
pub type Class = u8;

/// Over which classes a macro F1 is averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Averaged {
    /// All classes; an undefined F1 counts 0.
    All,
    /// The classes that occur in truth or prediction: scikit-learn's default and this program's `f1_macro`.
    Union,
    /// The classes that occur in truth: comparable between predictions when the truth is fixed.
    Present,
}

/// How much worse it is to be further off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KappaWeights {
    /// Every confusion is equally bad (Cohen 1960).
    None,
    /// By the distance of the class indices.
    Linear,
    /// By the squared distance of the class indices (Cohen 1968).
    Quadratic,
}

/// Counts of (truth, predicted), truth by row. Counts may be fractions after [`Self::skew_normalised`];
/// whole ones are exact up to 2^53.
///
/// Every metric returns `None` where it is undefined, never 0 or NaN.
///
/// ```
/// use affectory_evaluate::ConfusionMatrix;
///
/// // Truth 0 0 0 1, predicted 0 0 1 1: recalls 2/3 and 1, F1 of both classes 4/5 and 2/3.
/// let matrix = ConfusionMatrix::count(&[0, 0, 0, 1], &[0, 0, 1, 1], 2);
/// assert_eq!(matrix.accuracy(), Some(0.75));
/// assert_eq!(matrix.f1_per_class(), [Some(0.8), Some(2.0 / 3.0)]);
/// assert_eq!(matrix.cohen_kappa(), Some(0.5));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ConfusionMatrix {
    n_classes: usize,
    cells: Vec<f64>,
}

impl ConfusionMatrix {
    /// A matrix without counts.
    pub fn empty(n_classes: usize) -> Self {
        Self { n_classes, cells: vec![0.0; n_classes * n_classes] }
    }

    /// Counts pairs; of slices of different length the shorter decides.
    ///
    /// # Panics
    /// If a class is not below `n_classes`.
    pub fn count(truth: &[Class], predicted: &[Class], n_classes: usize) -> Self {
        let mut matrix = Self::empty(n_classes);
        for (&truth, &predicted) in truth.iter().zip(predicted) {
            matrix.add(truth, predicted);
        }
        matrix
    }

    /// The counts, truth by truth.
    pub fn cells(&self) -> &[f64] {
        &self.cells
    }

    /// A matrix of as many classes with other counts, truth by truth; what is missing counts 0.
    pub fn with_cells(&self, cells: &[f64]) -> Self {
        let mut cells = cells.to_vec();
        cells.resize(self.cells.len(), 0.0);
        Self { n_classes: self.n_classes, cells }
    }

    /// Counts one more pair.
    ///
    /// # Panics
    /// If a class is not below the number of classes.
    pub fn add(&mut self, truth: Class, predicted: Class) {
        let (truth, predicted) = (usize::from(truth), usize::from(predicted));
        assert!(truth < self.n_classes && predicted < self.n_classes, "class outside the matrix");
        self.cells[truth * self.n_classes + predicted] += 1.0;
    }

    /// Counts all pairs of another matrix of as many classes, each once more with its sides exchanged.
    pub(crate) fn add_both_ways(&mut self, other: &Self) {
        for (row, counts) in other.rows().enumerate() {
            for (column, count) in counts.iter().enumerate() {
                self.cells[row * self.n_classes + column] += count;
                self.cells[column * self.n_classes + row] += count;
            }
        }
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// The count of one cell.
    pub fn cell(&self, truth: usize, predicted: usize) -> f64 {
        self.cells[truth * self.n_classes + predicted]
    }

    /// Truth by truth, the counts of what was predicted.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.cells.chunks(self.n_classes.max(1))
    }

    /// All counts together.
    pub fn total(&self) -> f64 {
        self.cells.iter().sum()
    }

    /// How often each class is the truth.
    pub fn support(&self) -> Vec<f64> {
        self.rows().map(|row| row.iter().sum()).collect()
    }

    /// How often each class was predicted.
    pub fn predicted(&self) -> Vec<f64> {
        (0..self.n_classes).map(|class| self.rows().map(|row| row[class]).sum()).collect()
    }

    fn hits(&self) -> impl Iterator<Item = f64> {
        (0..self.n_classes).map(|class| self.cell(class, class))
    }

    /// Share of right predictions.
    pub fn accuracy(&self) -> Option<f64> {
        ratio(self.hits().sum(), self.total())
    }

    /// Of what was predicted as the class, the share that is right; undefined for a class never predicted.
    pub fn precision_per_class(&self) -> Vec<Option<f64>> {
        self.hits().zip(self.predicted()).map(|(hits, predicted)| ratio(hits, predicted)).collect()
    }

    /// Of what is the class, the share that was found; undefined for a class not in truth.
    pub fn recall_per_class(&self) -> Vec<Option<f64>> {
        self.hits().zip(self.support()).map(|(hits, support)| ratio(hits, support)).collect()
    }

    /// `2 hits / (support + predicted)`; undefined for a class in neither, 0 for one without a hit.
    pub fn f1_per_class(&self) -> Vec<Option<f64>> {
        let (support, predicted) = (self.support(), self.predicted());
        self.hits().enumerate().map(|(class, hits)| ratio(2.0 * hits, support[class] + predicted[class])).collect()
    }

    /// Mean of the classes' F1; undefined without counts.
    pub fn f1_macro(&self, averaged: Averaged) -> Option<f64> {
        let support = self.support();
        let total: f64 = support.iter().sum();
        if total == 0.0 {
            return None;
        }
        let f1 = self.f1_per_class();
        match averaged {
            Averaged::All => mean(f1.iter().map(|f1| Some(f1.unwrap_or(0.0)))),
            Averaged::Union => mean(f1),
            Averaged::Present => mean(f1.iter().zip(&support).map(|(f1, &support)| f1.filter(|_| support > 0.0))),
        }
    }

    /// Mean of the classes' F1, weighted by how often each is the truth.
    pub fn f1_weighted(&self) -> Option<f64> {
        weighted_mean(&self.f1_per_class(), &self.support())
    }

    /// Mean recall over the classes in truth.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        mean(self.recall_per_class())
    }

    /// Agreement beyond chance (Cohen 1960); undefined when chance alone would agree always.
    pub fn cohen_kappa(&self) -> Option<f64> {
        self.weighted_kappa(KappaWeights::None)
    }

    /// `1 - observed / expected disagreement` (Cohen 1968), with the class index as the scale.
    pub fn weighted_kappa(&self, weights: KappaWeights) -> Option<f64> {
        let (support, predicted, total) = (self.support(), self.predicted(), self.total());
        let (mut observed, mut expected) = (0.0, 0.0);
        for (truth, row) in self.rows().enumerate() {
            for (guess, count) in row.iter().enumerate().filter(|&(guess, _)| guess != truth) {
                let distance = truth.abs_diff(guess) as f64;
                let weight = match weights {
                    KappaWeights::None => 1.0,
                    KappaWeights::Linear => distance,
                    KappaWeights::Quadratic => distance * distance,
                };
                observed += weight * count;
                expected += weight * support[truth] * predicted[guess];
            }
        }
        // Summing only what lies off the diagonal makes "no disagreement to expect" an exact zero.
        ratio(observed * total, expected).map(|share| 1.0 - share)
    }

    /// Krippendorff's nominal alpha with truth and prediction as two coders, from the coincidence matrix
    /// in O(classes^2) (Krippendorff 2011); undefined when only one class occurs.
    pub fn krippendorff_alpha(&self) -> Option<f64> {
        let values: Vec<f64> = self.support().iter().zip(self.predicted()).map(|(s, p)| s + p).collect();
        let n_values: f64 = values.iter().sum();
        let disagreeing = 2.0 * (self.total() - self.hits().sum::<f64>());
        ratio(disagreeing * (n_values - 1.0), off_diagonal(&values, &values)).map(|share| 1.0 - share)
    }

    /// Matthews' correlation for several classes (Gorodkin 2004); 0 when either side is constant.
    pub fn matthews(&self) -> Option<f64> {
        let (support, predicted, total) = (self.support(), self.predicted(), self.total());
        if total == 0.0 {
            return None;
        }
        let chance: f64 = support.iter().zip(&predicted).map(|(s, p)| s * p).sum();
        let spread = off_diagonal(&support, &support).sqrt() * off_diagonal(&predicted, &predicted).sqrt();
        Some(ratio(self.hits().sum::<f64>() * total - chance, spread).unwrap_or(0.0))
    }

    /// The matrix as if every class in truth were equally frequent, of the same total: the formulas of this
    /// type then give the skew-normalised metrics (Jeni, Cohn, De la Torre 2013). This is the limit of
    /// AffectNet's repeated random under-sampling, without its randomness.
    pub fn skew_normalised(&self) -> Self {
        let support = self.support();
        let mass = self.total() / support.iter().filter(|&&support| support > 0.0).count().max(1) as f64;
        let scaled = self.rows().zip(&support).flat_map(|(row, &support)| {
            let factor = if support > 0.0 { mass / support } else { 0.0 };
            row.iter().map(move |count| count * factor)
        });
        Self { n_classes: self.n_classes, cells: scaled.collect() }
    }
}

/// `None` for a zero denominator.
pub(crate) fn ratio(numerator: f64, denominator: f64) -> Option<f64> {
    (denominator != 0.0).then(|| numerator / denominator)
}

/// Mean of the defined ones; `None` when there is none.
pub(crate) fn mean(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let (sum, n) = values.into_iter().flatten().fold((0.0, 0.0), |(sum, n), value| (sum + value, n + 1.0));
    ratio(sum, n)
}

/// Weighted mean of the defined ones.
pub(crate) fn weighted_mean(values: &[Option<f64>], weights: &[f64]) -> Option<f64> {
    let (sum, weight) = values.iter().zip(weights).fold((0.0, 0.0), |(sum, total), (value, weight)| match value {
        Some(value) => (sum + weight * value, total + weight),
        None => (sum, total),
    });
    ratio(sum, weight)
}

/// Sum of `a[i] * b[j]` over all `i != j`: exactly 0 when everything lies in one class.
fn off_diagonal(a: &[f64], b: &[f64]) -> f64 {
    let mut sum = 0.0;
    for (i, a) in a.iter().enumerate() {
        for (j, b) in b.iter().enumerate() {
            if i != j {
                sum += a * b;
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn worked_example_of_kappa_and_alpha() {
        // 50 proposals, two readers (the usual textbook table): 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no.
        let matrix = ConfusionMatrix { n_classes: 2, cells: vec![20.0, 5.0, 10.0, 15.0] };
        assert!((matrix.cohen_kappa().unwrap() - 0.4).abs() < 1e-12);
        // Values: 55 yes, 45 no; alpha = 1 - 99 * 30 / (2 * 55 * 45).
        assert!((matrix.krippendorff_alpha().unwrap() - 0.4).abs() < 1e-12);
        // MCC = (20 * 15 - 5 * 10) / sqrt(25 * 30 * 20 * 25).
        assert!((matrix.matthews().unwrap() - 250.0 / 375_000_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn undefined_is_none_and_a_class_without_a_hit_is_zero() {
        let one_class = ConfusionMatrix::count(&[2, 2], &[2, 2], 4);
        assert_eq!(one_class.cohen_kappa(), None);
        assert_eq!(one_class.krippendorff_alpha(), None);
        assert_eq!(one_class.skew_normalised().cohen_kappa(), None);
        assert_eq!(one_class.f1_per_class(), [None, None, Some(1.0), None]);
        let wrong = ConfusionMatrix::count(&[0], &[1], 3);
        assert_eq!(wrong.f1_per_class(), [Some(0.0), Some(0.0), None]);
        assert_eq!(wrong.precision_per_class(), [None, Some(0.0), None]);
        let empty = ConfusionMatrix::empty(3);
        assert_eq!((empty.accuracy(), empty.f1_macro(Averaged::All), empty.matthews()), (None, None, None));
    }

    #[test]
    fn the_three_macro_averages_differ_by_the_classes_they_count() {
        // F1: class 0 1, class 1 2/3, class 2 only predicted 0, class 3 in neither.
        let matrix = ConfusionMatrix::count(&[0, 1, 1], &[0, 1, 2], 4);
        let third = (1.0 + 2.0 / 3.0) / 3.0;
        assert_eq!(matrix.f1_macro(Averaged::Union), Some(third));
        assert_eq!(matrix.f1_macro(Averaged::All), Some((1.0 + 2.0 / 3.0) / 4.0));
        assert_eq!(matrix.f1_macro(Averaged::Present), Some((1.0 + 2.0 / 3.0) / 2.0));
    }

    #[test]
    fn skew_normalised_accuracy_is_the_mean_recall() {
        // 95 to 5: always saying the frequent class is 95 % right, and 50 % when classes weigh the same.
        let (truth, predicted) = ([[0; 95].as_slice(), &[1; 5]].concat(), [0; 100]);
        let matrix = ConfusionMatrix::count(&truth, &predicted, 2);
        assert_eq!(matrix.accuracy(), Some(0.95));
        assert!((matrix.skew_normalised().accuracy().unwrap() - 0.5).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn every_metric_stays_in_its_range_and_ignores_the_order_of_rows(
            rows in prop::collection::vec((0u8..5, 0u8..5), 1..60), turn in 0usize..60,
        ) {
            let matrix = |rows: &[(u8, u8)]| {
                let (truth, predicted): (Vec<u8>, Vec<u8>) = rows.iter().copied().unzip();
                ConfusionMatrix::count(&truth, &predicted, 5)
            };
            let plain = matrix(&rows);
            let mut turned = rows.clone();
            turned.rotate_left(turn % rows.len());
            prop_assert_eq!(&plain, &matrix(&turned));
            for m in [&plain, &plain.skew_normalised()] {
                for unit in [m.accuracy(), m.balanced_accuracy(), m.f1_weighted(), m.f1_macro(Averaged::Union)] {
                    prop_assert!(unit.is_some_and(|v| (-1e-12..=1.0 + 1e-12).contains(&v)));
                }
                for signed in [m.cohen_kappa(), m.krippendorff_alpha(), m.matthews()].into_iter().flatten() {
                    prop_assert!(signed.is_finite() && signed <= 1.0 + 1e-12);
                }
            }
        }

        #[test]
        fn a_perfect_prediction_scores_one(truth in prop::collection::vec(0u8..4, 2..40)) {
            let matrix = ConfusionMatrix::count(&truth, &truth, 4);
            let is_one = |value: Option<f64>| value.is_none_or(|v| (v - 1.0).abs() < 1e-12);
            prop_assert_eq!(matrix.accuracy(), Some(1.0));
            prop_assert_eq!(matrix.f1_macro(Averaged::Union), Some(1.0));
            prop_assert!(is_one(matrix.cohen_kappa()) && is_one(matrix.krippendorff_alpha()));
        }

        #[test]
        fn skew_normalised_changes_nothing_where_classes_are_balanced(guesses in prop::collection::vec(0u8..3, 4 * 3)) {
            let truth: Vec<u8> = (0..12).map(|i| i % 3).collect();
            let matrix = ConfusionMatrix::count(&truth, &guesses, 3);
            let even = matrix.skew_normalised();
            for (a, b) in matrix.rows().flatten().zip(even.rows().flatten()) {
                prop_assert!((a - b).abs() < 1e-12);
            }
        }
    }
}

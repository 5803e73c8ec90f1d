//! Is one run better than another on the same images, or is the difference what chance gives?

use crate::bootstrap::{Bootstrap, Interval, percentile_interval};
use crate::confusion::{Averaged, Class, ConfusionMatrix};
use crate::evaluation::{Matched, Pairs};
use crate::incomplete_beta::incomplete_beta;
use crate::regression::Moments;

/// How much the second run is above the first.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct PairedDifference {
    /// Second minus first, on the images that both answered.
    pub difference: f64,
    /// Its percentile interval over resamples of images, the same for both runs.
    pub interval: Interval,
    /// Two-sided: twice the smaller share of resamples on either side of 0, with one counted on top so that no finite
    /// number of resamples gives 0 (Davison and Hinkley 1997, section 4.2).
    pub p: f64,
}

/// The test of accuracy that needs no resampling.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct McNemar {
    /// Images that only the first run has right.
    pub n_only_first: u64,
    /// Images that only the second run has right.
    pub n_only_second: u64,
    /// Two-sided exact binomial p-value.
    pub p_exact: f64,
    /// Two-sided mid-p, less conservative and still at its level (Fagerland, Lydersen, Laake 2013).
    pub p_mid: f64,
}

/// Two runs on the same images; `None` where either lacks the figure.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct PairedComparison {
    /// Images with a label from both.
    pub n: usize,
    /// Share of right labels.
    pub accuracy: Option<PairedDifference>,
    /// Mean recall over the classes in truth.
    pub balanced_accuracy: Option<PairedDifference>,
    /// Mean F1 over the classes in truth or prediction.
    pub f1_macro: Option<PairedDifference>,
    /// Concordance of valence.
    pub valence_ccc: Option<PairedDifference>,
    /// Concordance of arousal.
    pub arousal_ccc: Option<PairedDifference>,
    /// Mean of both concordances; `None` where images have a value of one dimension only.
    pub mean_ccc: Option<PairedDifference>,
    /// Exact test of accuracy.
    pub mcnemar: Option<McNemar>,
}

/// Compares two runs that were matched with the same truth and labels, image by image; images that only one of them
/// answered are left out.
pub fn compare_pair(first: &Matched, second: &Matched, bootstrap: Bootstrap) -> PairedComparison {
    let both = shared(&first.rows, &second.rows);
    let n_classes = first.labels.len().max(second.labels.len());
    let place = |truth: usize, a: usize, b: usize| (truth * n_classes + a) * n_classes + b;
    let mut cells = vec![0.0; n_classes * n_classes * n_classes];
    let class = |class: Class| usize::from(class);
    for &(a, b) in &both {
        cells[place(class(first.truth[a]), class(first.predicted[a]), class(second.predicted[b]))] += 1.0;
    }
    // The joint counts hold both confusion matrices.
    let margins = |cells: &[f64]| {
        let mut sums = [vec![0.0; n_classes * n_classes], vec![0.0; n_classes * n_classes]];
        for (at, &count) in cells.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let (truth, a, b) = (at / n_classes / n_classes, at / n_classes % n_classes, at % n_classes);
            sums[0][truth * n_classes + a] += count;
            sums[1][truth * n_classes + b] += count;
        }
        sums.map(|cells| ConfusionMatrix::empty(n_classes).with_cells(&cells))
    };
    type Figure = fn(&ConfusionMatrix) -> Option<f64>;
    let figures: [Figure; 3] =
        [|matrix| matrix.accuracy(), |matrix| matrix.f1_macro(Averaged::Union), |matrix| matrix.balanced_accuracy()];
    let differences = |cells: &[f64]| {
        let [a, b] = margins(cells);
        figures.map(|figure| Some(figure(&b)? - figure(&a)?))
    };
    let drawn = if both.is_empty() { Vec::new() } else { bootstrap.redraw_counts(&cells, differences) };
    let [accuracy, f1_macro, balanced_accuracy] = differences(&cells);
    let of_labels = |found: Option<f64>, figure: usize| {
        difference(found, drawn.iter().filter_map(|differences| differences[figure]).collect(), bootstrap.confidence)
    };
    let right = |run: &Matched, at: usize| run.truth[at] == run.predicted[at];
    let only = |a_wanted: bool| {
        both.iter().filter(|&&(a, b)| (right(first, a), right(second, b)) == (a_wanted, !a_wanted)).count() as u64
    };
    let of_value = |found: &CccDraws| {
        difference(found.found, found.drawn.iter().flatten().copied().collect(), bootstrap.confidence)
    };
    let valence = ccc_draws(&first.valence, &second.valence, bootstrap);
    let arousal = ccc_draws(&first.arousal, &second.arousal, bootstrap);
    PairedComparison {
        n: both.len(),
        accuracy: of_labels(accuracy, 0),
        balanced_accuracy: of_labels(balanced_accuracy, 2),
        f1_macro: of_labels(f1_macro, 1),
        valence_ccc: of_value(&valence),
        arousal_ccc: of_value(&arousal),
        mean_ccc: valence.mean_with(&arousal).as_ref().and_then(of_value),
        mcnemar: (!both.is_empty()).then(|| mcnemar(only(true), only(false))),
    }
}

/// McNemar's test (1947) from the numbers of images that only one of two runs has right: under the null hypothesis
/// each is equally likely to fall on either side.
///
/// ```
/// // 1 against 5 of 6: P(X <= 1) = 7/64, twice that, less P(X = 1) = 6/64 for the mid-p.
/// let test = affectory_evaluate::mcnemar(1, 5);
/// assert!((test.p_exact - 14.0 / 64.0).abs() < 1e-12);
/// assert!((test.p_mid - 8.0 / 64.0).abs() < 1e-12);
/// ```
pub fn mcnemar(n_only_first: u64, n_only_second: u64) -> McNemar {
    let (n, fewer) = ((n_only_first + n_only_second) as f64, n_only_first.min(n_only_second) as f64);
    // P(X <= k) of a fair coin thrown n times, as an incomplete beta function.
    let at_most = |k: f64| {
        if k < 0.0 {
            0.0
        } else if k >= n {
            1.0
        } else {
            incomplete_beta(n - k, k + 1.0, 0.5)
        }
    };
    let tail = at_most(fewer);
    McNemar {
        n_only_first,
        n_only_second,
        p_exact: (2.0 * tail).min(1.0),
        p_mid: (tail + at_most(fewer - 1.0)).min(1.0),
    }
}

/// Holm's step-down adjustment (1979) of p-values for having tested several at once, in the order given.
///
/// ```
/// // Sorted 0.01, 0.03, 0.04 times 3, 2, 1, never below the one before.
/// assert_eq!(affectory_evaluate::holm(&[0.03, 0.01, 0.04]), [0.06, 0.03, 0.06]);
/// ```
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut at_least: f64 = 0.0;
    for (rank, place) in order.into_iter().enumerate() {
        at_least = at_least.max(p_values[place] * (p_values.len() - rank) as f64).min(1.0);
        adjusted[place] = at_least;
    }
    adjusted
}

/// Places of the rows that both have; both ascend.
fn shared(first: &[u32], second: &[u32]) -> Vec<(usize, usize)> {
    let mut second = second.iter().enumerate().peekable();
    let mut both = Vec::with_capacity(first.len());
    for (a, row) in first.iter().enumerate() {
        while second.next_if(|(_, other)| *other < row).is_some() {}
        if let Some((b, _)) = second.next_if(|(_, other)| *other == row) {
            both.push((a, b));
        }
    }
    both
}

/// Differences of a concordance: the one found, and those of resamples.
struct CccDraws {
    rows: Vec<u32>,
    found: Option<f64>,
    drawn: Vec<Option<f64>>,
}

impl CccDraws {
    /// The mean of two dimensions' differences, where both are of the same images: then each resample of one is of the
    /// same images as the other's.
    fn mean_with(&self, other: &Self) -> Option<Self> {
        let mean = |(a, b): (Option<f64>, Option<f64>)| a.zip(b).map(|(a, b)| (a + b) / 2.0);
        (self.rows == other.rows).then(|| Self {
            rows: self.rows.clone(),
            found: mean((self.found, other.found)),
            drawn: self.drawn.iter().copied().zip(other.drawn.iter().copied()).map(mean).collect(),
        })
    }
}

fn ccc_draws(first: &Pairs, second: &Pairs, bootstrap: Bootstrap) -> CccDraws {
    let both = shared(&first.rows, &second.rows);
    let of = |values: &[f64], places: &dyn Fn(&(usize, usize)) -> usize| {
        both.iter().map(|pair| values[places(pair)]).collect::<Vec<f64>>()
    };
    let truth = of(&first.truth, &|pair| pair.0);
    let guesses = [of(&first.predicted, &|pair| pair.0), of(&second.predicted, &|pair| pair.1)];
    let [found_a, found_b] = [0, 1].map(|run| Moments::of(&truth, &guesses[run]).ccc());
    // One seed and one number of rows: both see the same rows in each resample.
    let [drawn_a, drawn_b] = [0, 1].map(|run| bootstrap.redraw_moments(&truth, &guesses[run]));
    CccDraws {
        rows: both.iter().map(|&(a, _)| first.rows[a]).collect(),
        found: found_a.zip(found_b).map(|(a, b)| b - a),
        drawn: drawn_a.iter().zip(&drawn_b).map(|(a, b)| Some(b.ccc()? - a.ccc()?)).collect(),
    }
}

fn difference(found: Option<f64>, drawn: Vec<f64>, confidence: f64) -> Option<PairedDifference> {
    let share = |n: usize| (n + 1) as f64 / (drawn.len() + 1) as f64;
    let below = share(drawn.iter().filter(|&&difference| difference <= 0.0).count());
    let above = share(drawn.iter().filter(|&&difference| difference >= 0.0).count());
    Some(PairedDifference {
        difference: found?,
        interval: percentile_interval(&drawn, confidence)?,
        p: (2.0 * below.min(above)).min(1.0),
    })
}

#[cfg(test)]
mod tests {
    use affectory_core::LabelSet;

    use super::*;
    use crate::{Missing, match_images, read_table};

    const BOOTSTRAP: Bootstrap = Bootstrap { n_resamples: 2000, confidence: 0.95, seed: 5 };

    /// 400 images; of ten the first run has the first `a` right, the second the first `b` of the reversed ten.
    fn runs(a: usize, b: usize) -> [Matched; 2] {
        let truth: String = (0..400).map(|row| format!("{row},happy,{}\n", (row % 21) as f64 / 10.0 - 1.0)).collect();
        let answers = |is_right: &dyn Fn(usize) -> bool, slope: f64| -> String {
            let label = |row| if is_right(row % 10) { "happy" } else { "sad" };
            let value = |row: usize| slope * ((row % 21) as f64 / 10.0 - 1.0) + (row % 3) as f64 / 10.0;
            (0..400).map(|row| format!("{row},{},{}\n", label(row), value(row))).collect()
        };
        let table = |text: &str| read_table(format!("image,expression,valence\n{text}").as_bytes(), "t").unwrap();
        let matched = |text: &str| {
            let labels = LabelSet::parse("happy,sad").unwrap();
            match_images(&table(&truth), &table(text), &labels, None, Missing::Refused).unwrap()
        };
        [matched(&answers(&|row| row < a, 0.5)), matched(&answers(&|row| 9 - row < b, 0.9))]
    }

    #[test]
    fn a_clear_difference_is_found_and_none_where_there_is_none() {
        let [first, second] = runs(6, 8);
        let found = compare_pair(&first, &second, BOOTSTRAP);
        let accuracy = found.accuracy.unwrap();
        // Of ten 2 only the first has right and 4 only the second: the variance of the difference is
        // 0.6 - 0.2^2, the standard error over 400 images sqrt(0.56 / 400) = 0.0374.
        assert!((accuracy.difference - 0.2).abs() < 1e-12 && accuracy.p < 0.002, "{accuracy:?}");
        assert!((accuracy.interval.std.unwrap() - 0.0374).abs() < 0.003, "{accuracy:?}");
        let mcnemar = found.mcnemar.unwrap();
        assert_eq!((mcnemar.n_only_first, mcnemar.n_only_second), (80, 160));
        assert!(found.valence_ccc.unwrap().difference > 0.1 && found.valence_ccc.unwrap().p < 0.002);
        assert_eq!(found.arousal_ccc, None);
        let same = compare_pair(&first, &first, BOOTSTRAP);
        assert_eq!((same.accuracy.unwrap().p, same.f1_macro.unwrap().p), (1.0, 1.0));
        assert_eq!((same.valence_ccc.unwrap().p, same.mcnemar.unwrap().p_exact), (1.0, 1.0));
    }

    #[test]
    fn only_images_that_both_answered_are_compared() {
        assert_eq!(shared(&[0, 2, 3, 7], &[1, 2, 7, 9]), [(1, 1), (3, 2)]);
        assert_eq!(shared(&[], &[1]), []);
    }
}

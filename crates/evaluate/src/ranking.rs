//! Does a class's score rank its own faces above the others: ROC AUC and average precision?

use rayon::prelude::*;

use crate::confusion::{Class, mean, ratio, weighted_mean};

/// One score per row and class, row by row. Scores are finite; they need not be probabilities.
#[derive(Debug, Clone, Copy)]
pub struct Scores<'a> {
    values: &'a [f64],
    n_classes: usize,
}

impl<'a> Scores<'a> {
    /// Views `values` as rows of `n_classes`; `None` if they are not whole rows of finite numbers.
    pub fn new(values: &'a [f64], n_classes: usize) -> Option<Self> {
        let whole = n_classes > 0 && values.len().is_multiple_of(n_classes);
        (whole && values.par_iter().with_min_len(1 << 14).all(|value| value.is_finite()))
            .then_some(Self { values, n_classes })
    }

    /// Number of classes.
    pub fn n_classes(self) -> usize {
        self.n_classes
    }

    /// The rows, for several threads.
    pub(crate) fn par_rows(self) -> rayon::slice::ChunksExact<'a, f64> {
        self.values.par_chunks_exact(self.n_classes)
    }

    /// Adds up a figure of every row and its truth: chunks in parallel, the same sum on any number of threads.
    pub(crate) fn sum<S: Send>(
        self,
        truth: &[Class],
        zero: impl Fn() -> S + Sync,
        add_row: impl Fn(&mut S, &[f64], Class) + Sync,
        merge: impl Fn(&mut S, S),
    ) -> S {
        const CHUNK: usize = 1 << 14;
        let chunks = self.values.par_chunks(CHUNK * self.n_classes).zip(truth.par_chunks(CHUNK));
        let sums: Vec<S> = chunks
            .map(|(rows, truth)| {
                let mut sum = zero();
                rows.chunks_exact(self.n_classes).zip(truth).for_each(|(row, &truth)| add_row(&mut sum, row, truth));
                sum
            })
            .collect();
        let mut total = zero();
        sums.into_iter().for_each(|sum| merge(&mut total, sum));
        total
    }

    /// The rows.
    pub fn rows(self) -> std::slice::ChunksExact<'a, f64> {
        self.values.chunks_exact(self.n_classes)
    }
}

/// How well one score tells positives from negatives.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RankingScore {
    /// Chance that a positive scores above a negative, ties a half (Mann-Whitney); undefined without either.
    pub roc_auc: Option<f64>,
    /// Sum of `(R_n - R_{n-1}) P_n` over distinct thresholds, not interpolated; undefined without positives.
    pub average_precision: Option<f64>,
    /// The same with all positives weighing as much as all negatives (Jeni, Cohn, De la Torre 2013).
    pub average_precision_1to1: Option<f64>,
    /// Trapezoid under the precision-recall points: optimistic, only for comparison with old papers.
    pub pr_auc_trapezoid: Option<f64>,
    /// Number of positives.
    pub n_positives: usize,
    /// Number of negatives.
    pub n_negatives: usize,
}

/// Each class against the rest, in O(n log n), classes in parallel.
///
/// # Panics
/// If truth is shorter than the scores' rows.
pub fn rank_classes(truth: &[Class], scores: Scores<'_>) -> Vec<RankingScore> {
    (0..scores.n_classes)
        .into_par_iter()
        .map(|class| {
            let (positives, negatives) = split_by_truth(truth, scores, class);
            rank(&positives, &negatives)
        })
        .collect()
}

/// All classes' scores in one ranking: every row gives one positive and `n_classes - 1` negatives.
///
/// # Panics
/// If truth is shorter than the scores' rows.
pub fn rank_micro(truth: &[Class], scores: Scores<'_>) -> RankingScore {
    let split = (0..scores.n_classes).into_par_iter().map(|class| split_by_truth(truth, scores, class));
    let (positives, negatives): (Vec<Vec<u64>>, Vec<Vec<u64>>) = split.unzip();
    let merged = |lists: Vec<Vec<u64>>| {
        let mut all = lists.concat();
        // The stable sort finds the sorted runs and only merges them.
        all.sort();
        all
    };
    let (positives, negatives) = rayon::join(|| merged(positives), || merged(negatives));
    rank(&positives, &negatives)
}

/// Mean over the classes where the metric is defined.
pub fn macro_mean(ranking: &[RankingScore], metric: fn(&RankingScore) -> Option<f64>) -> Option<f64> {
    mean(ranking.iter().map(metric))
}

/// Mean over the classes where the metric is defined, weighted by their positives.
pub fn support_mean(ranking: &[RankingScore], metric: fn(&RankingScore) -> Option<f64>) -> Option<f64> {
    let weights: Vec<f64> = ranking.iter().map(|score| score.n_positives as f64).collect();
    weighted_mean(&ranking.iter().map(metric).collect::<Vec<_>>(), &weights)
}

/// One class's scores as ordered keys, those of its own faces apart, each ascending.
fn split_by_truth(truth: &[Class], scores: Scores<'_>, class: usize) -> (Vec<u64>, Vec<u64>) {
    assert!(truth.len() >= scores.rows().len(), "a truth for every row");
    let n_positives = truth.iter().filter(|&&truth| usize::from(truth) == class).count();
    let mut positives = Vec::with_capacity(n_positives);
    let mut negatives = Vec::with_capacity(truth.len() - n_positives);
    for (row, &truth) in scores.rows().zip(truth) {
        if usize::from(truth) == class { &mut positives } else { &mut negatives }.push(ordered(row[class]));
    }
    positives.sort_unstable();
    negatives.sort_unstable();
    (positives, negatives)
}

/// Bits that compare as integers the way the numbers compare; -0 equals 0.
pub(crate) fn ordered(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// Walks down the thresholds of two ascending lists.
fn rank(positives: &[u64], negatives: &[u64]) -> RankingScore {
    let (n_positives, n_negatives) = (positives.len(), negatives.len());
    let (p, n) = (n_positives as f64, n_negatives as f64);
    let mut score = RankingScore { n_positives, n_negatives, ..RankingScore::default() };
    let (mut above, mut steps, mut even_steps, mut trapezoid) = (0.0, 0.0, 0.0, 0.0);
    let (mut hits, mut false_alarms, mut last_precision) = (0usize, 0usize, 1.0);
    while hits < n_positives {
        // From the top: the next distinct score on either side, then everything that ties with it.
        let threshold = match (positives[..n_positives - hits].last(), negatives[..n_negatives - false_alarms].last()) {
            (Some(&a), Some(&b)) => a.max(b),
            (Some(&a), None) => a,
            (None, _) => break,
        };
        let new_hits = count_ties(&positives[..n_positives - hits], threshold);
        let new_alarms = count_ties(&negatives[..n_negatives - false_alarms], threshold);
        above += new_alarms as f64 * (hits as f64 + new_hits as f64 / 2.0);
        hits += new_hits;
        false_alarms += new_alarms;
        let precision = hits as f64 / (hits + false_alarms) as f64;
        steps += new_hits as f64 * precision;
        trapezoid += new_hits as f64 * f64::midpoint(precision, last_precision);
        if n > 0.0 {
            let even = hits as f64 / p;
            even_steps += new_hits as f64 * (even / (even + false_alarms as f64 / n));
        }
        last_precision = precision;
    }
    // Negatives below every positive are outranked by all of them.
    above += (n_negatives - false_alarms) as f64 * p;
    score.roc_auc = ratio(above, p * n);
    score.average_precision = ratio(steps, p);
    score.pr_auc_trapezoid = ratio(trapezoid, p);
    score.average_precision_1to1 = if n > 0.0 { ratio(even_steps, p) } else { None };
    score
}

/// One class's scores in descending order, to be ranked again with other numbers of each row.
pub(crate) struct Ranked {
    /// (row, whether it is of the class, whether the next row's score is another one).
    order: Vec<(u32, bool, bool)>,
}

impl Ranked {
    pub fn new(scores: &[f64], is_positive: impl Fn(usize) -> bool) -> Self {
        let mut order: Vec<(u64, u32)> = scores.iter().enumerate().map(|(i, &s)| (ordered(s), i as u32)).collect();
        order.sort_unstable_by(|a, b| b.cmp(a));
        let is_last = |place: usize| order.get(place + 1).is_none_or(|next| next.0 != order[place].0);
        let of_place = |(place, &(_, row)): (usize, &(u64, u32))| (row, is_positive(row as usize), is_last(place));
        Self { order: order.iter().enumerate().map(of_place).collect() }
    }

    /// The figures with row `i` taken `times[i]` times; without the trapezoid.
    pub fn score(&self, times: &[u32]) -> RankingScore {
        let of_class = |wanted: bool| -> usize {
            let rows = self.order.iter().filter(|(_, is_positive, _)| *is_positive == wanted);
            rows.map(|&(row, ..)| times[row as usize] as usize).sum()
        };
        let (n_positives, n_negatives) = (of_class(true), of_class(false));
        let (p, n) = (n_positives as f64, n_negatives as f64);
        let (mut above, mut steps, mut even_steps) = (0.0, 0.0, 0.0);
        let (mut hits, mut alarms, mut new_hits, mut new_alarms) = (0.0, 0.0, 0.0, 0.0);
        for &(row, is_positive, is_last_of_ties) in &self.order {
            *(if is_positive { &mut new_hits } else { &mut new_alarms }) += f64::from(times[row as usize]);
            if is_last_of_ties {
                above += new_alarms * (hits + new_hits / 2.0);
                hits += new_hits;
                alarms += new_alarms;
                if new_hits > 0.0 {
                    steps += new_hits * (hits / (hits + alarms));
                    even_steps += new_hits * (hits * n / (hits * n + alarms * p));
                }
                (new_hits, new_alarms) = (0.0, 0.0);
            }
        }
        RankingScore {
            roc_auc: ratio(above, p * n),
            average_precision: ratio(steps, p),
            average_precision_1to1: if n > 0.0 { ratio(even_steps, p) } else { None },
            pr_auc_trapezoid: None,
            n_positives,
            n_negatives,
        }
    }
}

fn count_ties(ascending: &[u64], threshold: u64) -> usize {
    ascending.iter().rev().take_while(|&&key| key == threshold).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(positives: &[f64], negatives: &[f64]) -> RankingScore {
        let keys = |values: &[f64]| {
            let mut keys: Vec<u64> = values.iter().map(|&value| ordered(value)).collect();
            keys.sort_unstable();
            keys
        };
        rank(&keys(positives), &keys(negatives))
    }

    #[test]
    fn worked_example() {
        // Descending: + 0.8, - 0.4, + 0.35, - 0.1: three of four pairs in order; AP = (1 + 2/3) / 2.
        let score = of(&[0.8, 0.35], &[0.4, 0.1]);
        assert_eq!(score.roc_auc, Some(0.75));
        assert!((score.average_precision.unwrap() - 5.0 / 6.0).abs() < 1e-12);
    }

    #[test]
    fn ties_count_a_half_and_average_precision_is_then_the_prevalence() {
        let score = of(&[0.25], &[0.25, 0.25, 0.25]);
        assert_eq!((score.roc_auc, score.average_precision), (Some(0.5), Some(0.25)));
        assert_eq!(score.average_precision_1to1, Some(0.5));
        assert_eq!(of(&[0.0], &[-0.0]).roc_auc, Some(0.5), "-0 and 0 are the same score");
    }

    #[test]
    fn without_a_positive_or_a_negative_there_is_no_auc() {
        assert_eq!(of(&[], &[0.1]).roc_auc, None);
        assert_eq!(of(&[], &[0.1]).average_precision, None);
        assert_eq!(of(&[0.1], &[]).roc_auc, None);
    }

    proptest! {
        #[test]
        fn rows_taken_several_times_rank_as_if_they_stood_there_so_often(
            rows in prop::collection::vec((-4i8..4, any::<bool>(), 0u32..4), 1..40),
        ) {
            let scores: Vec<f64> = rows.iter().map(|row| f64::from(row.0)).collect();
            let times: Vec<u32> = rows.iter().map(|row| row.2).collect();
            let found = Ranked::new(&scores, |row| rows[row].1).score(&times);
            let repeated = |wanted: bool| {
                let of_class = rows.iter().filter(|row| row.1 == wanted);
                of_class.flat_map(|row| vec![f64::from(row.0); row.2 as usize]).collect::<Vec<_>>()
            };
            let expected = of(&repeated(true), &repeated(false));
            let near = |a: Option<f64>, b: Option<f64>| a.is_some() == b.is_some()
                && (a.unwrap_or(0.0) - b.unwrap_or(0.0)).abs() < 1e-12;
            prop_assert!(near(found.roc_auc, expected.roc_auc), "{found:?} {expected:?}");
            prop_assert!(near(found.average_precision, expected.average_precision));
            prop_assert!(near(found.average_precision_1to1, expected.average_precision_1to1));
            prop_assert_eq!((found.n_positives, found.n_negatives), (expected.n_positives, expected.n_negatives));
        }

        #[test]
        fn auc_is_the_share_of_ordered_pairs(
            positives in prop::collection::vec(-4i8..4, 1..20), negatives in prop::collection::vec(-4i8..4, 1..20),
        ) {
            let pairs = positives.iter().flat_map(|p| negatives.iter().map(move |n| (p, n)));
            let won: f64 = pairs.map(|(p, n)| match p.cmp(n) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            }).sum();
            let floats = |values: &[i8]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
            let auc = of(&floats(&positives), &floats(&negatives)).roc_auc.unwrap();
            prop_assert!((auc - won / (positives.len() * negatives.len()) as f64).abs() < 1e-12);
        }
    }
}

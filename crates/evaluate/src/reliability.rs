//! How far can the annotations be trusted: Krippendorff's alpha, Fleiss' kappa, intraclass correlation?

use rayon::prelude::*;

use crate::confusion::ratio;
use crate::ranking::ordered;

/// What the distance between two ratings means to Krippendorff's alpha.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Equal or not.
    Nominal,
    /// By the number of ratings between them.
    Ordinal,
    /// By their squared difference.
    Interval,
}

/// Ratings grouped by what was rated; gaps are simply absent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Units {
    values: Vec<f64>,
    ends: Vec<usize>,
}

impl Units {
    /// One group of finite ratings for each unit.
    pub fn new(units: impl IntoIterator<Item = impl IntoIterator<Item = f64>>) -> Self {
        let mut grouped = Self::default();
        for unit in units {
            grouped.values.extend(unit);
            grouped.ends.push(grouped.values.len());
        }
        grouped
    }

    /// The ratings, unit by unit.
    pub fn iter(&self) -> impl Iterator<Item = &[f64]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.values[start..end])
    }

    /// Only the units with at least two ratings: the others have nothing to agree with.
    fn pairable(&self) -> Self {
        Self::new(self.iter().filter(|unit| unit.len() >= 2).map(|unit| unit.iter().copied()))
    }

    /// Every value replaced by the middle of the places it takes in the order of all values.
    fn mid_ranks(&self) -> Self {
        let mut places: Vec<(u64, usize)> =
            self.values.iter().enumerate().map(|(place, &value)| (ordered(value), place)).collect();
        places.par_sort_unstable();
        let mut values = vec![0.0; places.len()];
        let mut n_below = 0;
        for ties in places.chunk_by(|a, b| a.0 == b.0) {
            ties.iter().for_each(|&(_, place)| values[place] = n_below as f64 + ties.len() as f64 / 2.0);
            n_below += ties.len();
        }
        Self { values, ends: self.ends.clone() }
    }
}

/// Krippendorff's alpha (Krippendorff 2011), 1 for full agreement, 0 for chance; undefined with fewer than
/// two distinct values among the units with at least two ratings.
///
/// Closed forms instead of the coincidence matrix: interval needs sums of squares only, O(n); ordinal is
/// interval on mid-ranks, and nominal counts equal values, O(n log n).
///
/// ```
/// use affectory_evaluate::{Level, Units, krippendorff_alpha};
///
/// // Two coders on four faces, one disagreement: observed 2/8, expected 30/56.
/// let units = Units::new([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 1.0]]);
/// let alpha = krippendorff_alpha(&units, Level::Nominal).unwrap();
/// assert!((alpha - (1.0 - (2.0 / 8.0) / (30.0 / 56.0))).abs() < 1e-12);
/// ```
pub fn krippendorff_alpha(units: &Units, level: Level) -> Option<f64> {
    let units = units.pairable();
    let first = units.values.first()?;
    if units.values.iter().all(|value| value == first) {
        return None;
    }
    match level {
        Level::Nominal => alpha(&units, |values| {
            if let [a, b] = values {
                return f64::from(u8::from(a != b)) * 2.0; // Most units of most projects: no list to sort.
            }
            let mut keys: Vec<u64> = values.iter().map(|&value| ordered(value)).collect();
            keys.sort_unstable();
            let n = values.len() as f64;
            n * n - keys.chunk_by(|a, b| a == b).map(|ties| (ties.len() * ties.len()) as f64).sum::<f64>()
        }),
        Level::Ordinal => alpha(&units.mid_ranks(), squared_differences),
        Level::Interval => alpha(&units, squared_differences),
    }
}

/// `1 - observed / expected`; `disagreement` sums the distances over all ordered pairs of a group.
fn alpha(units: &Units, disagreement: impl Fn(&[f64]) -> f64) -> Option<f64> {
    let n = units.values.len() as f64;
    let observed: f64 = units.iter().map(|unit| disagreement(unit) / (unit.len() - 1) as f64).sum();
    ratio(observed * (n - 1.0), disagreement(&units.values)).map(|share| 1.0 - share)
}

/// Sum of `(x_i - x_j)^2` over all ordered pairs: `2 n` times the squared distances to the mean.
fn squared_differences(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    2.0 * n * values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>()
}

/// Fleiss' kappa (1971) from counts of each class, a row for each unit; undefined unless every unit has the
/// same number of ratings, at least 2, and more than one class occurs.
pub fn fleiss_kappa(counts: &[Vec<u32>]) -> Option<f64> {
    let n_ratings: u32 = counts.first()?.iter().sum();
    if n_ratings < 2 || counts.iter().any(|unit| unit.iter().sum::<u32>() != n_ratings) {
        return None;
    }
    let mut sums = FleissSums::new(n_ratings as usize, counts[0].len());
    counts.iter().for_each(|unit| sums.add(unit));
    sums.kappa()
}

/// What Fleiss' kappa needs to know of units with one number of ratings.
pub(crate) struct FleissSums {
    n_ratings: u64,
    n_units: u64,
    of_class: Vec<u64>,
    equal_pairs: u64,
}

impl FleissSums {
    pub fn new(n_ratings: usize, n_classes: usize) -> Self {
        Self { n_ratings: n_ratings as u64, n_units: 0, of_class: vec![0; n_classes], equal_pairs: 0 }
    }

    /// One more unit, whose counts add up to the number of ratings.
    pub fn add(&mut self, counts: &[u32]) {
        self.n_units += 1;
        for (total, &count) in self.of_class.iter_mut().zip(counts) {
            *total += u64::from(count);
            self.equal_pairs += u64::from(count) * u64::from(count.saturating_sub(1));
        }
    }

    pub fn kappa(&self) -> Option<f64> {
        // One class only: nothing to disagree about.
        if self.of_class.iter().filter(|&&total| total > 0).count() < 2 {
            return None;
        }
        let n_values = (self.n_units * self.n_ratings) as f64;
        let observed = self.equal_pairs as f64 / (n_values * (self.n_ratings - 1) as f64);
        let chance: f64 = self.of_class.iter().map(|&total| (total as f64 / n_values).powi(2)).sum();
        Some((observed - chance) / (1.0 - chance))
    }
}

/// Intraclass correlations of Shrout and Fleiss (1979).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Icc {
    /// ICC(1,1): each unit rated by other annotators, one rating.
    pub one_way: f64,
    /// ICC(2,1): the annotators are a sample, one rating.
    pub two_way_random: f64,
    /// ICC(3,1): these annotators only, one rating.
    pub two_way_mixed: f64,
    /// ICC(1,k): mean of the k ratings.
    pub one_way_mean: f64,
    /// ICC(2,k): mean of the k ratings.
    pub two_way_random_mean: f64,
    /// ICC(3,k): mean of the k ratings.
    pub two_way_mixed_mean: f64,
}

/// Intraclass correlations of complete data, `ratings[annotator][unit]`; undefined below two annotators or
/// units, for lists of different length, when all values are equal.
pub fn icc(ratings: &[&[f64]]) -> Option<Icc> {
    let (k, n) = (ratings.len(), ratings.first()?.len());
    let first = *ratings[0].first()?;
    let all_equal = ratings.iter().copied().flatten().all(|&value| value == first);
    if k < 2 || n < 2 || all_equal || ratings.iter().any(|annotator| annotator.len() != n) {
        return None;
    }
    let (k_real, n_real) = (k as f64, n as f64);
    let grand = ratings.iter().copied().flatten().sum::<f64>() / (k_real * n_real);
    let deviation = |value: f64| (value - grand) * (value - grand);
    let total: f64 = ratings.iter().copied().flatten().map(|&value| deviation(value)).sum();
    let unit_mean = |unit: usize| ratings.iter().map(|annotator| annotator[unit]).sum::<f64>() / k_real;
    let between_units = k_real * (0..n).map(|unit| deviation(unit_mean(unit))).sum::<f64>();
    let between_annotators =
        n_real * ratings.iter().map(|annotator| deviation(annotator.iter().sum::<f64>() / n_real)).sum::<f64>();
    let units = between_units / (n_real - 1.0);
    let annotators = between_annotators / (k_real - 1.0);
    let within = (total - between_units) / (n_real * (k_real - 1.0));
    let residual = (total - between_units - between_annotators) / ((n_real - 1.0) * (k_real - 1.0));
    Some(Icc {
        one_way: (units - within) / (units + (k_real - 1.0) * within),
        two_way_random: (units - residual)
            / (units + (k_real - 1.0) * residual + k_real * (annotators - residual) / n_real),
        two_way_mixed: (units - residual) / (units + (k_real - 1.0) * residual),
        one_way_mean: (units - within) / units,
        two_way_random_mean: (units - residual) / (units + (annotators - residual) / n_real),
        two_way_mixed_mean: (units - residual) / units,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn krippendorffs_own_example_is_met() {
        // Krippendorff 2011, three coders, 0/1 data of section C: alpha = 0.095 for two coders on ten units.
        let a = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        let b = [1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0];
        let units = Units::new(a.iter().zip(&b).map(|(&a, &b)| [a, b]));
        let alpha = krippendorff_alpha(&units, Level::Nominal).unwrap();
        assert!((alpha - (1.0 - 19.0 * 4.0 / (6.0 * 14.0))).abs() < 1e-12, "{alpha}");
    }

    #[test]
    fn shrout_and_fleiss_table_is_met() {
        let judges: [&[f64]; 4] = [
            &[9.0, 6.0, 8.0, 7.0, 10.0, 6.0],
            &[2.0, 1.0, 4.0, 1.0, 5.0, 2.0],
            &[5.0, 3.0, 6.0, 2.0, 6.0, 4.0],
            &[8.0, 2.0, 8.0, 6.0, 9.0, 7.0],
        ];
        let icc = icc(&judges).unwrap();
        let rounded = [icc.one_way, icc.two_way_random, icc.two_way_mixed].map(|v| (v * 100.0).round());
        assert_eq!(rounded, [17.0, 29.0, 71.0]);
        let means = [icc.one_way_mean, icc.two_way_random_mean, icc.two_way_mixed_mean].map(|v| (v * 100.0).round());
        assert_eq!(means, [44.0, 62.0, 91.0]);
    }

    #[test]
    fn fleiss_needs_the_same_number_of_ratings_everywhere() {
        // Two units, three ratings: 3+0 and 1+2. Observed (1 + 1/3) / 2, chance (2/3)^2 + (1/3)^2.
        let kappa = fleiss_kappa(&[vec![3, 0], vec![1, 2]]).unwrap();
        assert!((kappa - (2.0 / 3.0 - 5.0 / 9.0) / (4.0 / 9.0)).abs() < 1e-12);
        assert_eq!(fleiss_kappa(&[vec![3, 0], vec![1, 1]]), None);
        assert_eq!(fleiss_kappa(&[vec![0, 2], vec![0, 2]]), None);
        assert_eq!(fleiss_kappa(&[]), None);
    }

    #[test]
    fn nothing_to_agree_on_is_undefined() {
        assert_eq!(krippendorff_alpha(&Units::new([vec![1.0], vec![2.0]]), Level::Nominal), None);
        assert_eq!(krippendorff_alpha(&Units::new([vec![0.1; 3]]), Level::Interval), None);
        assert_eq!(icc(&[&[0.5; 3], &[0.5; 3]]), None);
    }

    /// The definition, pair by pair, with the distance function written out.
    fn naive(units: &[Vec<i8>], level: Level) -> Option<f64> {
        let pairable: Vec<&Vec<i8>> = units.iter().filter(|unit| unit.len() >= 2).collect();
        let all: Vec<i8> = pairable.iter().copied().flatten().copied().collect();
        let count = |value: i8| all.iter().filter(|&&other| other == value).count() as f64;
        let distance = |a: i8, b: i8| match level {
            Level::Nominal => f64::from(u8::from(a != b)),
            Level::Interval => f64::from(a - b).powi(2),
            Level::Ordinal => {
                let between: f64 = (a.min(b)..=a.max(b)).map(count).sum();
                (between - f64::midpoint(count(a), count(b))).powi(2)
            }
        };
        let pairs = |group: &[i8]| -> f64 {
            group
                .iter()
                .enumerate()
                .flat_map(|(i, &a)| group.iter().enumerate().filter(move |&(j, _)| i != j).map(move |(_, &b)| (a, b)))
                .map(|(a, b)| distance(a, b))
                .sum()
        };
        let n = all.len() as f64;
        let observed: f64 = pairable.iter().map(|unit| pairs(unit) / (unit.len() - 1) as f64).sum::<f64>() / n;
        let expected = pairs(&all) / (n * (n - 1.0));
        (expected > 0.0).then(|| 1.0 - observed / expected)
    }

    proptest! {
        #[test]
        fn closed_forms_equal_the_definition(units in prop::collection::vec(prop::collection::vec(-2i8..3, 0..5), 1..12)) {
            for level in [Level::Nominal, Level::Ordinal, Level::Interval] {
                let closed = Units::new(units.iter().map(|unit| unit.iter().map(|&value| f64::from(value))));
                match (krippendorff_alpha(&closed, level), naive(&units, level)) {
                    (Some(a), Some(b)) => prop_assert!((a - b).abs() < 1e-9, "{:?}: {} != {}", level, a, b),
                    (a, b) => prop_assert_eq!(a, b),
                }
            }
        }
    }
}

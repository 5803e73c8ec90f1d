//! How do counts and sums over rows come out when rows are drawn anew, without drawing every row one by one?
//!
//! A resample of n rows is a multinomial draw of how often each row is taken. Two shortcuts keep exactly that
//! distribution. What only depends on counts (a confusion matrix) is drawn as counts: a few binomials for each
//! resample, whatever n. What is made of sums over rows (moments) is drawn in two steps: how many draws fall into
//! each block of 512 rows, by binomials, then which rows of the block, from nine random bits each. So a block stays
//! in the fastest cache while all resamples pass over it, and a row costs a few additions for each resample.
//!
//! Everything random follows from seed, resample and block: the same on any number of threads, and two statistics of
//! the same number of rows see the same rows, which is what makes differences between them paired.

use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::binomial::binomial;
use crate::bootstrap::Bootstrap;
use crate::regression::{Centred, Moments};

/// Rows of a block: nine random bits choose one, seven of them are in a random number of 64 bits.
const BLOCK: usize = 1 << 9;
/// Blocks that one thread adds up before sums are put together.
const GROUP: usize = 32;

/// Streams of the generator, so that no two uses share random numbers.
const DRAWS_OF_BLOCK: u64 = 1 << 63;
const BLOCKS_OF_RESAMPLE: u64 = 1 << 62;
const ROWS_OF_RESAMPLE: u64 = 1 << 61;

impl Bootstrap {
    /// The statistic of every resample of rows that are known by their counts, e.g. the cells of a confusion
    /// matrix: O(cells) each. Counts must be whole numbers.
    ///
    /// ```
    /// use affectory_evaluate::{Bootstrap, percentile_interval};
    ///
    /// // 150 of 200 right: the standard error is sqrt(0.75 * 0.25 / 200) = 0.031.
    /// let bootstrap = Bootstrap { n_resamples: 1000, confidence: 0.95, seed: 1 };
    /// let shares = bootstrap.redraw_counts(&[150.0, 50.0], |counts| counts[0] / 200.0);
    /// let interval = percentile_interval(&shares, 0.95).unwrap();
    /// assert!((interval.low - 0.69).abs() < 0.01 && (interval.high - 0.81).abs() < 0.01);
    /// ```
    pub fn redraw_counts<T: Send>(&self, counts: &[f64], statistic: impl Fn(&[f64]) -> T + Sync) -> Vec<T> {
        let draw = |drawn: &mut Vec<f64>, resample: u64| {
            let mut random = self.random(resample);
            drawn.clear();
            drawn.extend(multinomial(&mut random, counts.iter().map(|&count| count as u64)).map(|n| n as f64));
            statistic(drawn)
        };
        (0..self.n_resamples as u64).into_par_iter().map_init(Vec::new, draw).collect()
    }

    /// For every resample the sums of `terms(row)` over the rows drawn from `0..n_rows`.
    pub fn redraw_sums<const N: usize>(
        &self,
        n_rows: usize,
        terms: impl Fn(usize) -> [f64; N] + Sync,
    ) -> Vec<[f64; N]> {
        let n_blocks = n_rows.div_ceil(BLOCK);
        let n_rows_of = |block: usize| (n_rows - block * BLOCK).min(BLOCK);
        // Block by block for each resample, how many draws fall into it.
        let n_draws: Vec<Vec<u32>> = (0..self.n_resamples as u64)
            .into_par_iter()
            .map(|resample| {
                let mut random = self.random(BLOCKS_OF_RESAMPLE | resample);
                let sizes = (0..n_blocks).map(|block| n_rows_of(block) as u64);
                multinomial(&mut random, sizes).map(|n| u32::try_from(n).unwrap_or(u32::MAX)).collect()
            })
            .collect();
        let n_groups = n_blocks.div_ceil(GROUP);
        let groups: Vec<Vec<[f64; N]>> = (0..n_groups)
            .into_par_iter()
            .map(|group| {
                let mut sums = vec![[0.0; N]; self.n_resamples];
                let mut times = [0u32; BLOCK];
                for block in group * GROUP..((group + 1) * GROUP).min(n_blocks) {
                    let n_rows = n_rows_of(block);
                    let rows: Vec<[f64; N]> = (0..n_rows).map(|row| terms(block * BLOCK + row)).collect();
                    let mut random = self.random(DRAWS_OF_BLOCK | block as u64);
                    for (sum, n_draws) in sums.iter_mut().zip(&n_draws) {
                        times.fill(0);
                        draw_rows(&mut random, n_draws[block], n_rows, &mut times);
                        for (row, &times) in rows.iter().zip(&times) {
                            let times = f64::from(times);
                            sum.iter_mut().zip(row).for_each(|(sum, term)| *sum += times * term);
                        }
                    }
                }
                sums
            })
            .collect();
        let mut total = vec![[0.0; N]; self.n_resamples];
        for sums in groups {
            let pairs = total.iter_mut().flatten().zip(sums.iter().flatten());
            pairs.for_each(|(total, sum)| *total += sum);
        }
        total
    }

    /// The moments of every resample of pairs; of slices of different length the shorter decides.
    pub fn redraw_moments(&self, truth: &[f64], predicted: &[f64]) -> Vec<Moments> {
        let n_rows = truth.len().min(predicted.len());
        if n_rows == 0 {
            return Vec::new();
        }
        let centred = Centred::about_means(truth, predicted);
        let sums = self.redraw_sums(n_rows, |row| centred.terms(truth[row], predicted[row]));
        sums.into_iter().map(|sums| centred.moments(n_rows as f64, sums)).collect()
    }

    /// How often each of `n_rows` rows is drawn in one resample.
    pub(crate) fn draw_times(&self, n_rows: u32, resample: u64, times: &mut Vec<u32>) {
        times.clear();
        times.resize(n_rows as usize, 0);
        let mut random = self.random(ROWS_OF_RESAMPLE | resample);
        (0..n_rows).for_each(|_| times[random.random_range(0..n_rows) as usize] += 1);
    }

    fn random(&self, stream: u64) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(stream);
        random
    }
}

/// As many draws as there are counts, each falling on a cell with the chance of its share: binomials one after the
/// other, each of what the cells before it left.
fn multinomial(random: &mut ChaCha8Rng, counts: impl Iterator<Item = u64> + Clone) -> impl Iterator<Item = u64> {
    let mut mass: u64 = counts.clone().sum();
    let mut left = mass;
    counts.map(move |count| {
        let drawn = if mass == 0 { 0 } else { binomial(random, left, count as f64 / mass as f64) };
        left -= drawn;
        mass -= count;
        drawn
    })
}

fn draw_rows(random: &mut ChaCha8Rng, n_draws: u32, n_rows: usize, times: &mut [u32; BLOCK]) {
    const PER_NUMBER: u32 = u64::BITS / BLOCK.trailing_zeros();
    if n_rows < BLOCK {
        (0..n_draws).for_each(|_| times[random.random_range(0..n_rows as u32) as usize] += 1);
        return;
    }
    let mut left = n_draws;
    while left > 0 {
        let mut bits = random.next_u64();
        for _ in 0..left.min(PER_NUMBER) {
            times[bits as usize % BLOCK] += 1;
            bits >>= BLOCK.trailing_zeros();
        }
        left = left.saturating_sub(PER_NUMBER);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Averaged, ConfusionMatrix, percentile_interval};

    #[test]
    fn every_resample_has_as_many_rows_as_there_are() {
        let bootstrap = Bootstrap { n_resamples: 20, confidence: 0.95, seed: 3 };
        for n_rows in [1, 511, 512, 513, 40_000] {
            let sums = bootstrap.redraw_sums(n_rows, |row| [1.0, row as f64]);
            assert!(sums.iter().all(|sums| sums[0] == n_rows as f64), "{n_rows}");
        }
        let totals = bootstrap.redraw_counts(&[3.0, 0.0, 7.0], |counts| (counts.iter().sum::<f64>(), counts[1]));
        assert!(totals.iter().all(|&totals| totals == (10.0, 0.0)));
        assert_eq!(bootstrap.redraw_sums(0, |_| [1.0]), vec![[0.0]; 20]);
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let bootstrap = Bootstrap { n_resamples: 50, confidence: 0.95, seed: 3 };
        let truth: Vec<f64> = (0..50_000).map(|row| f64::from(row % 97) / 97.0).collect();
        let guess: Vec<f64> = (0..50_000).map(|row| f64::from(row % 89) / 89.0).collect();
        let on = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| bootstrap.redraw_moments(&truth, &guess))
        };
        assert_eq!(on(1), on(5));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// Both are 4,000 draws from one distribution: their ends differ by the Monte-Carlo error of a quantile,
        /// sqrt(0.025 * 0.975 / 4000) / density, 0.04 standard errors; and by the steps of few rows.
        #[test]
        fn shortcuts_agree_with_the_bootstrap_of_rows(
            rows in prop::collection::vec((0u8..3, 0u8..3, -1.0f64..1.0, -0.3f64..0.3), 150..600), seed in 0u64..1000,
        ) {
            let bootstrap = Bootstrap { n_resamples: 4000, confidence: 0.95, seed };
            let matrix_of = |drawn: &[u32]| {
                let pairs = drawn.iter().map(|&row| (rows[row as usize].0, rows[row as usize].1));
                let (truth, predicted): (Vec<u8>, Vec<u8>) = pairs.unzip();
                ConfusionMatrix::count(&truth, &predicted, 3)
            };
            let all: Vec<u32> = (0..rows.len() as u32).collect();
            let matrix = matrix_of(&all);
            let truth: Vec<f64> = rows.iter().map(|row| row.2).collect();
            let guess: Vec<f64> = rows.iter().map(|row| 0.5 * row.2 + row.3).collect();
            let moments = bootstrap.redraw_moments(&truth, &guess);
            let n_rows = rows.len() as u32;
            let drawn = |values: &[f64], rows: &[u32]| rows.iter().map(|&row| values[row as usize]).collect::<Vec<_>>();
            for (fast, slow) in [
                (
                    bootstrap.redraw_counts(matrix.cells(), |cells| matrix.with_cells(cells).accuracy()),
                    bootstrap.interval(n_rows, |rows| matrix_of(rows).accuracy()),
                ),
                (
                    bootstrap.redraw_counts(matrix.cells(), |cells| {
                        matrix.with_cells(cells).f1_macro(Averaged::Union)
                    }),
                    bootstrap.interval(n_rows, |rows| matrix_of(rows).f1_macro(Averaged::Union)),
                ),
                (
                    moments.iter().map(Moments::ccc).collect(),
                    bootstrap.interval(n_rows, |rows| Moments::of(&drawn(&truth, rows), &drawn(&guess, rows)).ccc()),
                ),
                (
                    moments.iter().map(|m| m.score().rmse).collect(),
                    bootstrap.interval(n_rows, |rows| {
                        Moments::of(&drawn(&truth, rows), &drawn(&guess, rows)).score().rmse
                    }),
                ),
                (
                    moments.iter().map(|m| m.score().sagr).collect(),
                    bootstrap.interval(n_rows, |rows| {
                        Moments::of(&drawn(&truth, rows), &drawn(&guess, rows)).score().sagr
                    }),
                ),
            ] {
                let fast: Vec<f64> = fast.into_iter().flatten().collect();
                let (fast, slow) = (percentile_interval(&fast, 0.95).unwrap(), slow.unwrap());
                let tolerance = 0.25 * slow.std.unwrap() + 1.0 / f64::from(n_rows) + 1e-12;
                prop_assert!((fast.low - slow.low).abs() < tolerance, "{fast:?} {slow:?}");
                prop_assert!((fast.high - slow.high).abs() < tolerance, "{fast:?} {slow:?}");
                prop_assert!((fast.std.unwrap() / slow.std.unwrap() - 1.0).abs() < 0.08, "{fast:?} {slow:?}");
            }
        }
    }
}

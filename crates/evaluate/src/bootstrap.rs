//! How much would a figure move if other faces had been drawn: percentile intervals of the bootstrap?

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// What the resamples say of one statistic (Efron 1979).
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Mean over the resamples.
    pub mean: f64,
    /// Standard deviation over the resamples, divided by n - 1; undefined for one.
    pub std: Option<f64>,
}

/// The percentile interval at `confidence` (0.95: from the 2.5th to the 97.5th percentile), interpolated
/// linearly between order statistics (type 7 of Hyndman and Fan 1996); undefined without statistics.
pub fn percentile_interval(statistics: &[f64], confidence: f64) -> Option<Interval> {
    let mut sorted = statistics.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let quantile = |share: f64| {
        let place = share.clamp(0.0, 1.0) * last as f64;
        let below = place.floor() as usize;
        let above = (below + 1).min(last);
        sorted[below] + (place - place.floor()) * (sorted[above] - sorted[below])
    };
    let n = sorted.len() as f64;
    let mean = sorted.iter().sum::<f64>() / n;
    let squares: f64 = sorted.iter().map(|value| (value - mean) * (value - mean)).sum();
    let tail = (1.0 - confidence) / 2.0;
    let std = (n > 1.0).then(|| (squares / (n - 1.0)).sqrt());
    Some(Interval { low: quantile(tail), high: quantile(1.0 - tail), mean, std })
}

/// A seeded bootstrap over rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// Number of resamples; 1,000 is customary.
    pub n_resamples: usize,
    /// Share of the resamples within the interval, e.g. 0.95.
    pub confidence: f64,
    /// The same seed gives the same interval, on any number of threads.
    pub seed: u64,
}

impl Bootstrap {
    /// The interval of `statistic`, which gets the rows of a resample (drawn with replacement from `0..n_rows`)
    /// and may be undefined for some; undefined when it is so for all.
    pub fn interval(&self, n_rows: u32, statistic: impl Fn(&[u32]) -> Option<f64> + Sync) -> Option<Interval> {
        if n_rows == 0 {
            return None;
        }
        let statistics: Vec<f64> = (0..self.n_resamples as u64)
            .into_par_iter()
            .map_init(Vec::new, |rows, resample| {
                let mut random = ChaCha8Rng::seed_from_u64(self.seed);
                random.set_stream(resample);
                rows.clear();
                rows.extend((0..n_rows).map(|_| random.random_range(0..n_rows)));
                statistic(rows)
            })
            .flatten()
            .collect();
        percentile_interval(&statistics, self.confidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_between_order_statistics() {
        let interval = percentile_interval(&[4.0, 1.0, 3.0, 2.0, 5.0], 0.5).unwrap();
        assert_eq!((interval.low, interval.high, interval.mean), (2.0, 4.0, 3.0));
        assert_eq!(interval.std, Some(2.5f64.sqrt()));
        assert_eq!(percentile_interval(&[], 0.95), None);
    }

    #[test]
    fn the_same_seed_gives_the_same_interval_around_the_figure() {
        let hits = |rows: &[u32]| Some(rows.iter().filter(|&&row| row < 150).count() as f64 / rows.len() as f64);
        let bootstrap = Bootstrap { n_resamples: 400, confidence: 0.95, seed: 7 };
        let interval = bootstrap.interval(200, hits).unwrap();
        assert_eq!(Some(interval), bootstrap.interval(200, hits));
        assert_ne!(Some(interval), Bootstrap { seed: 8, ..bootstrap }.interval(200, hits));
        // Standard error sqrt(0.75 * 0.25 / 200) = 0.031.
        assert!(interval.low > 0.66 && interval.low < 0.72 && interval.high > 0.78 && interval.high < 0.84);
        assert_eq!(bootstrap.interval(0, hits), None);
    }
}

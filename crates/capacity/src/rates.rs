//! How fast and how large is each thing? Measured figures and assumptions, from a file.

use std::collections::BTreeMap;

/// The built-in rates, with where each comes from.
pub const BUILT_IN: &str = include_str!("../rates.toml");

/// Why a file of rates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RatesError {
    /// No TOML, a name that is not known, or one that is missing.
    #[error("{0}")]
    Shape(String),
    /// A number out of its range.
    #[error("{name} = {value} is outside {low} to {high}")]
    Range {
        /// Section and name.
        name: String,
        /// What was given.
        value: f64,
        /// The least that makes sense.
        low: f64,
        /// The most.
        high: f64,
    },
}

/// All that a simulation is told about speeds and sizes.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// As in `collect.toml` and `affectory dispatch`.
    pub settings: Settings,
    /// Measured on a machine that the file names.
    pub measured: Measured,
    /// Not measured: with a reason in the file.
    pub assumed: Assumed,
}

/// What a lab sets.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Fetches of a worker under way at once.
    pub concurrency: u32,
    /// Of those, to one host.
    pub per_host: u32,
    /// Between two starts at one host, ms.
    pub pause_ms: f64,
    /// Shards of a stage that wait for a worker.
    pub ahead: u32,
}

/// Costs of one thing each.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Core time of one fetch: network, hash, store, its share of recording, ms.
    pub fetch_cpu_ms: f64,
    /// Core time of looking for faces in one image: decoding, detection, landmarks, crops, ms.
    pub face_cpu_ms: f64,
    /// Core time of a process's start, ms.
    pub start_cpu_ms: f64,
    /// Until the local disk has an image, beside all others, us; 0 on S3, where `put_ms` says that.
    pub flush_us: f64,
    /// How long a transaction takes the catalogue however small it is, ms.
    pub commit_ms: f64,
    /// How much longer for each fetch in it, us.
    pub fetch_row_us: f64,
    /// How much longer for each searched image in it, us.
    pub face_row_us: f64,
    /// Catalogue on SQLite, with indexes, a candidate with its hit; an image; a face: bytes.
    pub sqlite_bytes: RowBytes,
    /// The same on PostgreSQL, after vacuum.
    pub postgres_bytes: RowBytes,
    /// A crop of a face, kB.
    pub crop_kb: f64,
}

/// Bytes of a row with all that belongs to it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowBytes {
    /// Of a candidate and one hit.
    pub candidate: f64,
    /// Of an image and the detector's note about it.
    pub image: f64,
    /// Of a face.
    pub face: f64,
}

/// What the world outside is like.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumed {
    /// Median time to a host's answer, ms (log-normal).
    pub latency_ms: f64,
    /// Standard deviation of its natural logarithm.
    pub latency_sigma: f64,
    /// Mean size of an image, kB.
    pub image_kb: f64,
    /// What a worker's machine receives, Mbit/s.
    pub network_mbit: f64,
    /// Until the store has an image, ms.
    pub put_ms: f64,
    /// Until an image is read, ms.
    pub read_ms: f64,
    /// Candidates that lead to no image, 0 to 1.
    pub dead_share: f64,
    /// Fetched images that nobody had before, 0 to 1.
    pub new_share: f64,
    /// Faces found in a new image.
    pub faces_per_image: f64,
    /// Candidates for each host, on average.
    pub candidates_per_host: f64,
    /// Zipf's exponent of the hosts' sizes; 0: all equal.
    pub zipf: f64,
    /// Mean days until a worker dies; 0: never.
    pub days_to_failure: f64,
    /// Until a dead worker is replaced, s.
    pub restart_s: f64,
}

impl Rates {
    /// The built-in ones.
    pub fn built_in() -> Rates {
        Self::parse(BUILT_IN).expect("the built-in rates are well-formed: a test reads them")
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// [`RatesError`], in one line.
    pub fn parse(text: &str) -> Result<Rates, RatesError> {
        let rates: Rates = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
            RatesError::Shape(format!("line {line}: {}", error.message()))
        })?;
        rates.check()?;
        Ok(rates)
    }

    fn check(&self) -> Result<(), RatesError> {
        let (is, m, a) = (&self.settings, &self.measured, &self.assumed);
        let most_ms = 3_600_000.0;
        let ranges = BTreeMap::from([
            ("settings.concurrency", (f64::from(is.concurrency), 1.0, 4_096.0)),
            ("settings.per_host", (f64::from(is.per_host), 1.0, 64.0)),
            ("settings.pause_ms", (is.pause_ms, 0.0, most_ms)),
            ("settings.ahead", (f64::from(is.ahead), 1.0, 5_000.0)),
            ("measured.fetch_cpu_ms", (m.fetch_cpu_ms, 0.001, most_ms)),
            ("measured.face_cpu_ms", (m.face_cpu_ms, 0.001, most_ms)),
            ("measured.start_cpu_ms", (m.start_cpu_ms, 0.0, most_ms)),
            ("measured.flush_us", (m.flush_us, 0.0, 1e6)),
            ("measured.commit_ms", (m.commit_ms, 0.0, most_ms)),
            ("measured.fetch_row_us", (m.fetch_row_us, 0.0, 1e6)),
            ("measured.face_row_us", (m.face_row_us, 0.0, 1e6)),
            ("measured.sqlite_bytes.candidate", (m.sqlite_bytes.candidate, 0.0, 1e6)),
            ("measured.sqlite_bytes.image", (m.sqlite_bytes.image, 0.0, 1e6)),
            ("measured.sqlite_bytes.face", (m.sqlite_bytes.face, 0.0, 1e6)),
            ("measured.postgres_bytes.candidate", (m.postgres_bytes.candidate, 0.0, 1e6)),
            ("measured.postgres_bytes.image", (m.postgres_bytes.image, 0.0, 1e6)),
            ("measured.postgres_bytes.face", (m.postgres_bytes.face, 0.0, 1e6)),
            ("measured.crop_kb", (m.crop_kb, 0.0, 1e6)),
            ("assumed.latency_ms", (a.latency_ms, 0.01, 30_000.0)),
            ("assumed.latency_sigma", (a.latency_sigma, 0.0, 3.0)),
            ("assumed.image_kb", (a.image_kb, 0.01, 65_536.0)),
            ("assumed.network_mbit", (a.network_mbit, 0.1, 1e6)),
            ("assumed.put_ms", (a.put_ms, 0.0, most_ms)),
            ("assumed.read_ms", (a.read_ms, 0.0, most_ms)),
            ("assumed.dead_share", (a.dead_share, 0.0, 1.0)),
            ("assumed.new_share", (a.new_share, 0.0, 1.0)),
            ("assumed.faces_per_image", (a.faces_per_image, 0.0, 1_000.0)),
            ("assumed.candidates_per_host", (a.candidates_per_host, 1.0, 1e9)),
            ("assumed.zipf", (a.zipf, 0.0, 4.0)),
            ("assumed.days_to_failure", (a.days_to_failure, 0.0, 1e6)),
            ("assumed.restart_s", (a.restart_s, 0.0, 1e6)),
        ]);
        match ranges.into_iter().find(|(_, (value, low, high))| !(low..=high).contains(&value)) {
            Some((name, (value, low, high))) => Err(RatesError::Range { name: name.into(), value, low, high }),
            None => Ok(()),
        }
    }

    /// Mean time for which a fetch takes one of a worker's places, s.
    pub fn fetch_s(&self) -> f64 {
        let a = &self.assumed;
        let latency_ms = a.latency_ms * (a.latency_sigma * a.latency_sigma / 2.0).exp();
        let alive = 1.0 - a.dead_share;
        (latency_ms + alive * a.put_ms + self.measured.fetch_cpu_ms) / 1e3 + alive * self.transfer_s()
    }

    /// How long the line of a machine is busy with one image, s.
    pub fn transfer_s(&self) -> f64 {
        self.assumed.image_kb * 8.0 / 1e3 / self.assumed.network_mbit
    }

    /// Mean time between two candidates of one host, s.
    pub fn pace_s(&self) -> f64 {
        (self.settings.pause_ms / 1e3).max(self.fetch_s() / f64::from(self.settings.per_host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_rates_are_well_formed_and_nonsense_is_one_line() {
        let rates = Rates::built_in();
        assert!(rates.pace_s() >= 0.5);
        for (old, new, says) in [
            ("concurrency = 64", "concurrency = 0", "settings.concurrency = 0 is outside 1 to 4096"),
            ("concurrency = 64", "concurency = 64", "unknown field `concurency`"),
            ("zipf = 1.0", "zipf = nan", "assumed.zipf = NaN"),
            ("zipf = 1.0", "", "missing field `zipf`"),
        ] {
            let text = BUILT_IN.replace(old, new);
            assert_ne!(text, BUILT_IN, "{old}");
            let error = Rates::parse(&text).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains('\n'), "{error}");
        }
    }
}

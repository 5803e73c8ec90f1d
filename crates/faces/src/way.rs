//! What does whoever follows an image learn of the search for faces in it?

use std::time::{Duration, Instant};

use affectory_catalog::{ScanOutcome, ScanStatus};
use affectory_core::{Sha256Hex, WAY};
use tracing::Level;

/// When what happened to an image of a batch.
pub(crate) struct Footprint {
    pub(crate) hash: Sha256Hex,
    /// When its batch had been claimed.
    pub(crate) began: Instant,
    pub(crate) read: Instant,
    /// When a core was free for it.
    pub(crate) taken: Instant,
    pub(crate) decoded: Instant,
    pub(crate) seen: Instant,
}

/// Tells of a batch that has just been recorded.
pub(crate) fn tell(
    outcomes: &[ScanOutcome],
    footprints: &[Footprint],
    (detector, worker): (&str, &str),
    shard: Option<&str>,
) {
    if !tracing::enabled!(target: WAY, Level::INFO) {
        return;
    }
    let us = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    for (outcome, footprint) in outcomes.iter().zip(footprints) {
        let Footprint { hash, began, read, taken, decoded, seen } = footprint;
        let n_faces = outcome.faces.len() + outcome.updates.iter().filter(|update| update.found.is_some()).count();
        let all_us = us(began.elapsed());
        tracing::info!(
            target: WAY,
            step = "faces",
            hash = hash.as_str(),
            ago_us = all_us,
            took_us = all_us,
            part.read = us(*read - *began),
            part.wait = us(*taken - *read),
            part.decode = us(*decoded - *taken),
            part.detect = us(*seen - *decoded),
            part.record = us(seen.elapsed()),
            failed = (outcome.status == ScanStatus::Unreadable).then_some("unreadable"),
            n_faces = n_faces as u64,
            detector,
            shard,
            worker,
        );
    }
}

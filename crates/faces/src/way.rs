//! What does whoever follows an image learn of the search for faces in it?

use std::time::Instant;

use affectory_catalog::{ScanOutcome, ScanStatus};
use affectory_core::{Sha256Hex, WAY, way_us};
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
    for (outcome, footprint) in outcomes.iter().zip(footprints) {
        let Footprint { hash, began, read, taken, decoded, seen } = footprint;
        let n_faces = outcome.faces.len() + outcome.updates.iter().filter(|update| update.found.is_some()).count();
        let all_us = way_us(began.elapsed());
        tracing::info!(
            target: WAY,
            step = "faces",
            hash = hash.as_str(),
            ago_us = all_us,
            took_us = all_us,
            part.read = way_us(*read - *began),
            part.wait = way_us(*taken - *read),
            part.decode = way_us(*decoded - *taken),
            part.detect = way_us(*seen - *decoded),
            part.record = way_us(seen.elapsed()),
            failed = (outcome.status == ScanStatus::Unreadable).then_some("unreadable"),
            n_faces = n_faces as u64,
            detector,
            shard,
            worker,
        );
    }
}

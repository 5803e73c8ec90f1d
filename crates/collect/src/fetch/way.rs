//! What does whoever follows an image learn of its fetch?

use std::sync::Arc;

use affectory_catalog::{FetchEnd, FetchRecord};
use affectory_core::{Sha256Hex, WAY, way_us};
use affectory_imaging::sha256;
use tracing::Level;

use super::hand::{Done, Times};

/// What is kept of an ended fetch until it is known what follows from it.
pub(super) struct Footprint {
    address: Sha256Hex,
    host: String,
    is_first: bool,
    times: Times,
    shard: Option<Arc<str>>,
}

impl Footprint {
    /// `None`: nobody follows.
    pub(super) fn of(done: &Done, shard: Option<&Arc<str>>) -> Option<Footprint> {
        tracing::enabled!(target: WAY, Level::INFO).then(|| Footprint {
            // Where it came from is told by its hash: an address may hold a name or a key.
            address: sha256(done.candidate.url.as_bytes()),
            host: done.candidate.host.clone(),
            is_first: done.candidate.attempts == 0,
            times: done.times,
            shard: shard.cloned(),
        })
    }

    /// An image is followed by its hash; an address that gave none by its own.
    pub(super) fn tell(self, record: &FetchRecord, worker: &str) {
        let Times { began, answered, ended } = self.times;
        let address = (&self.address, self.is_first.then_some("address"));
        let ((hash, brings), status, failed, bytes) = match &record.end {
            FetchEnd::Image(image) => ((&image.sha256, Some("image")), Some(200), None, Some(image.size_bytes)),
            FetchEnd::Unchanged => (address, Some(304), None, None),
            FetchEnd::Again { .. } | FetchEnd::Rejected | FetchEnd::Failed => {
                (address, record.http_status, Some(record.outcome), None)
            }
        };
        tracing::info!(
            target: WAY,
            step = "fetch",
            hash = hash.as_str(),
            brings,
            ago_us = way_us(began.elapsed()),
            took_us = way_us(ended - began),
            part.request = way_us(answered - began),
            part.store = way_us(ended - answered),
            failed,
            outcome = record.outcome,
            status = status.map(u64::from),
            bytes,
            host = self.host.as_str(),
            address = self.address.as_str(),
            shard = self.shard.as_deref(),
            worker,
        );
    }
}

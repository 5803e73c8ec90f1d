//! How do images get from the queue into a run of the face stage, and when is their shard acknowledged?

use affectory_catalog::{Catalog, ImageRow};
use affectory_core::ImageId;
use affectory_faces::{FacesError, ImageSource};

use crate::aside::Source as _;
use crate::queue::{Held, Taker};
use crate::{Activity, Shard, WorkerCounts};

/// Images whose shards come from the queue, leased in the catalogue.
#[derive(Debug)]
pub struct QueuedImages<'a> {
    catalog: &'a Catalog,
    detector: &'a str,
    worker: &'a str,
    taker: Taker,
    activity: &'a Activity,
    held: Option<Held>,
    /// Whether anything of the shard in hand was left to do.
    has_found: bool,
    counts: WorkerCounts,
}

impl<'a> QueuedImages<'a> {
    /// `taker` takes shards of [`crate::WorkStage::Faces`]. Shards of other detectors are left to other workers.
    pub fn new(
        catalog: &'a Catalog,
        (detector, worker): (&'a str, &'a str),
        taker: Taker,
        activity: &'a Activity,
    ) -> Self {
        let counts = WorkerCounts::default();
        Self { catalog, detector, worker, taker, activity, held: None, has_found: false, counts }
    }

    /// What became of the shards.
    pub fn counts(&self) -> &WorkerCounts {
        &self.counts
    }

    /// Gives back what is in hand: somebody else may go on at once.
    pub async fn close(&mut self) {
        if let Some(held) = self.held.take() {
            self.counts.given_back += 1;
            held.give_back().await;
        }
    }

    async fn end(&mut self) {
        if let Some(held) = self.held.take() {
            if self.has_found {
                self.counts.done += 1;
            } else {
                self.counts.nothing_left += 1;
            }
            held.done().await;
        }
    }
}

impl ImageSource for QueuedImages<'_> {
    async fn claim(&mut self, limit: u32, now_ms: i64, lease_ms: i64) -> Result<Vec<ImageRow>, FacesError> {
        loop {
            if let Some(held) = &mut self.held
                && let Shard::Faces { first, last, detector, .. } = &held.shard
                && detector == self.detector
            {
                let range = (ImageId(*first), ImageId(*last));
                held.keep().await;
                let who = (self.detector, self.worker);
                let images = self.catalog.claim_images_within(who, range, limit, (now_ms, lease_ms)).await?;
                if !images.is_empty() {
                    self.has_found = true;
                    self.activity.note(now_ms);
                    return Ok(images);
                }
            }
            // What was claimed before is recorded by now.
            self.end().await;
            let Some(mut held) = self.taker.next().await else { return Ok(Vec::new()) };
            held.waited_ms = self.counts.came(held.published_ms, now_ms);
            self.has_found = false;
            self.held = Some(held);
        }
    }

    fn shard(&self) -> Option<&str> {
        self.held.as_ref().map(|held| &*held.hash)
    }
}

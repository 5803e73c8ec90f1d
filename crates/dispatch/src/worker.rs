//! What do the stages of one worker share?

use std::sync::atomic::{AtomicI64, Ordering};

/// When a worker last had something to do, ms UTC.
#[derive(Debug, Default)]
pub struct Activity(AtomicI64);

impl Activity {
    /// Begins now.
    pub fn new(now_ms: i64) -> Activity {
        Activity(AtomicI64::new(now_ms))
    }

    pub(crate) fn note(&self, now_ms: i64) {
        self.0.fetch_max(now_ms, Ordering::Relaxed);
    }

    /// Since when there is nothing to do.
    pub fn last_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What became of a stage's shards at one worker.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct WorkerCounts {
    /// Worked off.
    pub done: u64,
    /// Somebody else had done them, or was at them.
    pub nothing_left: u64,
    /// Given back before their end.
    pub given_back: u64,
    /// How long each had waited in the queue, ms, in the order they came.
    #[serde(skip)]
    pub waits_ms: Vec<i64>,
}

/// Waits that are kept.
const WAITS_KEPT: usize = 100_000;

impl WorkerCounts {
    /// Notes how long a shard had waited, and says it.
    pub(crate) fn came(&mut self, published_ms: i64, now_ms: i64) -> i64 {
        let waited_ms = (now_ms - published_ms).max(0);
        if self.waits_ms.len() < WAITS_KEPT {
            self.waits_ms.push(waited_ms);
        }
        waited_ms
    }

    /// Whether any came.
    pub fn has_come(&self) -> bool {
        self.done + self.nothing_left + self.given_back > 0
    }

    /// The wait in the queue that so many of a hundred did not exceed, ms.
    pub fn wait_ms(&self, percent: usize) -> Option<i64> {
        let mut sorted = self.waits_ms.clone();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        sorted.get(last * percent.min(100) / 100).copied()
    }
}

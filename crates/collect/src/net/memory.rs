//! How much memory may the bodies of all fetches under way take together, whatever servers send?

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a body of unknown length gets before anything has come.
const UNKNOWN_BYTES: u64 = 1 << 20;

/// Memory is counted in pieces of this many bytes: a semaphore counts to 2^32.
const PIECE_BYTES: u64 = 1 << 10;

/// The memory for bodies. Whoever wants to read one reserves its length first, and waits if there is no room.
#[derive(Debug, Clone)]
pub(crate) struct BodyMemory {
    pieces: Arc<Semaphore>,
    /// A body of unknown length that grows beyond [`UNKNOWN_BYTES`] goes on alone: such bodies never wait for memory that
    /// others of their kind hold. So the whole is bounded by the total and one largest body.
    growth: Arc<Semaphore>,
}

/// A body's part of the memory, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    size_bytes: u64,
    _pieces: Option<OwnedSemaphorePermit>,
    growth: Arc<Semaphore>,
    grown: Option<OwnedSemaphorePermit>,
}

impl BodyMemory {
    /// `total_bytes` for all bodies together.
    pub(crate) fn new(total_bytes: u64) -> Self {
        let n_pieces = usize::try_from(total_bytes.div_ceil(PIECE_BYTES)).unwrap_or(usize::MAX);
        Self {
            pieces: Arc::new(Semaphore::new(n_pieces.min(Semaphore::MAX_PERMITS))),
            growth: Arc::new(Semaphore::new(1)),
        }
    }

    /// Waits until there is room for a body of the announced length, or for the first part of one of unknown length.
    pub(crate) async fn reserve(&self, announced_bytes: Option<u64>) -> Reservation {
        let size_bytes = announced_bytes.unwrap_or(UNKNOWN_BYTES);
        let n_pieces = u32::try_from(size_bytes.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX);
        // Never closed, so it is never refused.
        let pieces = Arc::clone(&self.pieces).acquire_many_owned(n_pieces).await.ok();
        Reservation { size_bytes, _pieces: pieces, growth: Arc::clone(&self.growth), grown: None }
    }
}

impl Reservation {
    /// Waits until the body may be as long as this.
    pub(crate) async fn grow_to(&mut self, size_bytes: u64) {
        if size_bytes > self.size_bytes && self.grown.is_none() {
            self.grown = Arc::clone(&self.growth).acquire_owned().await.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn bodies_wait_for_room_and_those_of_unknown_length_grow_one_at_a_time() {
        let memory = BodyMemory::new(3 * UNKNOWN_BYTES);
        let large = memory.reserve(Some(UNKNOWN_BYTES)).now_or_never().unwrap();
        let mut unknown = memory.reserve(None).now_or_never().unwrap();
        let mut other = memory.reserve(None).now_or_never().unwrap();
        assert!(memory.reserve(Some(1)).now_or_never().is_none(), "the memory is full");
        assert!(unknown.grow_to(UNKNOWN_BYTES).now_or_never().is_some(), "what it has already");
        assert!(unknown.grow_to(9 * UNKNOWN_BYTES).now_or_never().is_some());
        assert!(other.grow_to(UNKNOWN_BYTES + 1).now_or_never().is_none(), "another one is growing");
        drop(unknown);
        assert!(other.grow_to(UNKNOWN_BYTES + 1).now_or_never().is_some());
        drop(large);
        assert!(memory.reserve(Some(2 * UNKNOWN_BYTES)).now_or_never().is_some());
    }
}

//! What is offered to workers, and when is all done? As `dispatch/src/offer.rs` does it.

use super::{Event, MS, Micros, SECOND, World};

/// Between two looks.
const PAUSE: Micros = 300 * MS;
/// A host that was offered is not offered again within this time.
const AGAIN: Micros = 60 * SECOND;
/// Whether all is done is asked so often.
const COUNT_EVERY: Micros = 2 * SECOND;
/// Hosts looked at in one turn.
const MOST_LISTED: usize = 20_000;
const MOST_CANDIDATES: u64 = 1_000;
const ENOUGH_CANDIDATES: u64 = 500;
const MOST_HOSTS: usize = 64;
const MOST_IMAGES: u64 = 512;

impl World<'_> {
    pub(super) fn turn(&mut self) {
        let ahead = self.rates.settings.ahead as usize;
        let n_fetch = self.offer_hosts(ahead.saturating_sub(self.fetch_queue.len()));
        let n_faces = self.offer_images(ahead.saturating_sub(self.face_queue.len()));
        if n_fetch + n_faces > 0 {
            self.wake_the_idle(n_fetch > 0, n_faces > 0);
        } else if self.counted_at.is_none_or(|at| self.now >= at + COUNT_EVERY) {
            self.counted_at = Some(self.now);
            self.is_known_done = self.is_done();
        }
        self.after(PAUSE, Event::Turn);
    }

    fn offer_hosts(&mut self, room: usize) -> usize {
        if room == 0 {
            return 0;
        }
        let now = self.now;
        let is_fresh = |host: &u32| self.hosts[*host as usize].offered_at.is_none_or(|at| now >= at + AGAIN);
        let fresh: Vec<u32> =
            self.free.iter().take(MOST_LISTED).copied().filter(is_fresh).take(room * MOST_HOSTS).collect();
        let mut shards = cut(fresh.iter().map(|host| (*host, self.hosts[*host as usize].left)));
        shards.truncate(room);
        for (host, _) in shards.iter().flatten() {
            self.hosts[*host as usize].offered_at = Some(now);
        }
        let n_offered = shards.len();
        self.fetch_queue.extend(shards);
        self.outcome.fetch_shards += n_offered as u64;
        n_offered
    }

    fn offer_images(&mut self, room: usize) -> usize {
        let is_busy = !self.face_queue.is_empty() || self.face_shards_in_work > 0;
        let mut n_offered = 0;
        while n_offered < room && self.images > 0 {
            let n = self.images.min(MOST_IMAGES);
            // While there is other work, few images wait for more to come.
            if n < MOST_IMAGES && (is_busy || n_offered > 0) {
                break;
            }
            self.images -= n;
            self.face_queue.push_back(n);
            n_offered += 1;
        }
        self.outcome.face_shards += n_offered as u64;
        n_offered
    }
}

/// Hosts in shards of 500 to 1,000 candidates.
fn cut(hosts: impl Iterator<Item = (u32, u64)>) -> Vec<Vec<(u32, u64)>> {
    let (mut shards, mut shard, mut n_candidates) = (Vec::new(), Vec::new(), 0);
    for (host, left) in hosts {
        let n = left.min(MOST_CANDIDATES);
        if !shard.is_empty() && (n_candidates + n > MOST_CANDIDATES || shard.len() >= MOST_HOSTS) {
            shards.push(std::mem::take(&mut shard));
            n_candidates = 0;
        }
        shard.push((host, n));
        n_candidates += n;
        if n_candidates >= ENOUGH_CANDIDATES {
            shards.push(std::mem::take(&mut shard));
            n_candidates = 0;
        }
    }
    shards.extend(Some(shard).filter(|shard| !shard.is_empty()));
    shards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_cut_as_the_dispatcher_cuts_them() {
        // The case of `dispatch/src/offer.rs`.
        let sizes = [3, 999, 1_000, 400, 400, 400, 1, 1, 1].into_iter().chain(std::iter::repeat_n(1, 200));
        let shards = cut((0..).zip(sizes));
        let sizes: Vec<u64> = shards.iter().map(|shard| shard.iter().map(|(_, n)| n).sum()).collect();
        assert_eq!(sizes[..4], [3, 999, 1_000, 800]);
        assert!(shards.iter().all(|shard| shard.len() <= MOST_HOSTS));
    }

    #[test]
    fn the_constants_are_those_of_the_program() {
        let (offer, shard) =
            (include_str!("../../../dispatch/src/offer.rs"), include_str!("../../../dispatch/src/shard.rs"));
        let (fetch, scan) = (include_str!("../../../collect/src/fetch.rs"), include_str!("../../../faces/src/scan.rs"));
        for (text, line) in [
            (offer, "PAUSE: Duration = Duration::from_millis(300)"),
            (offer, "AGAIN_MS: i64 = 60_000"),
            (offer, "COUNT_EVERY_MS: i64 = 2_000"),
            (offer, "MOST_LISTED: usize = 20_000"),
            (shard, "MOST_CANDIDATES: u32 = 1_000"),
            (shard, "ENOUGH_CANDIDATES: u64 = 500"),
            (shard, "MOST_HOSTS: usize = 64"),
            (shard, "MOST_IMAGES: u32 = 512"),
            (fetch, "LEASE_MS: i64 = 2 * 60 * 1000"),
            (fetch, "BATCH: usize = 500"),
            (fetch, "MOST_UNRECORDED: usize = 4 * BATCH"),
            (fetch, "FLUSH: Duration = Duration::from_secs(1)"),
            (fetch, "CLAIM_PAUSE: Duration = Duration::from_millis(250)"),
            (fetch, "concurrency as usize * 2).saturating_sub"),
            (scan, "BATCH: u32 = 64"),
            (scan, "LEASE_MS: i64 = 10 * 60 * 1000"),
            (scan, "IN_FLIGHT: usize = 16"),
            (scan, "FEED_PAUSE: Duration = Duration::from_millis(250)"),
        ] {
            assert!(text.contains(line), "{line}: the simulation has to follow");
        }
    }
}

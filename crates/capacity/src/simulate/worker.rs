//! What does one worker do, in which order? As `collect/src/fetch.rs` and `faces/src/scan.rs` do it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::Rng as _;

use super::machine::Task;
use super::{Event, MS, Micros, Of, SECOND, World, micros};
use crate::Way;

/// Outcomes in one transaction.
const BATCH: usize = 500;
/// Outcomes that may wait; beyond them nothing new is started.
const MOST_UNRECORDED: usize = 4 * BATCH;
/// Outcomes are recorded at least so often.
const FLUSH: Micros = SECOND;
/// More hosts, and more images, are asked for no more often than this.
const CLAIM_PAUSE: Micros = 250 * MS;
/// Leases of hosts, renewed every third of it.
const HOST_LEASE: Micros = 120 * SECOND;
/// Leases of images.
const IMAGE_LEASE: Micros = 600 * SECOND;
/// Images searched at a time.
const IMAGES: u64 = 64;
/// Of those read, and of their crops stored, at once.
const IN_FLIGHT: u64 = 16;

#[derive(Debug, Default)]
pub(super) struct Worker {
    pub(super) life: u32,
    is_up: bool,
    held: Vec<u32>,
    /// Hosts of those with something left to start or to end.
    n_active: usize,
    /// Hosts that may start a fetch, by when.
    ready: BinaryHeap<Reverse<(Micros, u32)>>,
    n_under_way: u32,
    /// Outcomes that wait, and those that are being recorded; whether there is an image.
    ended: Vec<(u32, bool)>,
    recording: Vec<(u32, bool)>,
    pub(super) is_flush_due: bool,
    pub(super) wakes_at: Option<Micros>,
    is_claim_due: bool,
    /// Images of the shard in hand that are not claimed; those of the batch; of these, not searched yet.
    images_left: u64,
    images_claimed: u64,
    images_open: u64,
    is_looking: bool,
}

impl World<'_> {
    fn machine_of(&self, worker: usize) -> usize {
        worker % self.machines.len()
    }

    fn commit_s(&self) -> f64 {
        self.rates.measured.commit_ms / 1e3
    }

    pub(super) fn begins(&mut self, worker: usize) {
        let of = Of { worker, life: self.workers[worker].life };
        let takes = micros(self.rates.measured.start_cpu_ms / 1e3);
        self.compute(self.machine_of(worker), Task::Starts { takes, worker: Some(of) });
        let days = self.rates.assumed.days_to_failure;
        if days > 0.0 {
            let life_s = -self.random.random::<f64>().max(1e-300).ln() * days * 86_400.0;
            self.after(micros(life_s), Event::Dies(of));
        }
    }

    pub(super) fn is_up(&mut self, of: Of) {
        let worker = &mut self.workers[of.worker];
        (worker.is_up, worker.is_claim_due, worker.is_looking) = (true, true, true);
        self.after(0, Event::Claims(of));
        self.after(0, Event::LooksForImages(of));
    }

    /// What was just offered is found by workers at their next look.
    pub(super) fn wake_the_idle(&mut self, are_hosts: bool, are_images: bool) {
        for at in 0..self.workers.len() {
            let worker = &self.workers[at];
            let of = Of { worker: at, life: worker.life };
            let is_looking = worker.is_looking;
            if !worker.is_up {
                continue;
            }
            if are_hosts && self.room_of(at) > 0 {
                self.claim_soon(of);
            }
            if are_images && !is_looking {
                self.look_soon(of);
            }
        }
    }

    /// Hosts that it may hold beside those it has.
    fn room_of(&self, worker: usize) -> usize {
        (2 * self.rates.settings.concurrency as usize).saturating_sub(self.workers[worker].held.len())
    }

    fn claim_soon(&mut self, of: Of) {
        if !std::mem::replace(&mut self.workers[of.worker].is_claim_due, true) {
            let wait = self.random.random_range(0..CLAIM_PAUSE);
            self.after(wait, Event::Claims(of));
        }
    }

    fn look_soon(&mut self, of: Of) {
        self.workers[of.worker].is_looking = true;
        let wait = self.random.random_range(0..CLAIM_PAUSE);
        self.after(wait, Event::LooksForImages(of));
    }

    pub(super) fn claims(&mut self, of: Of) {
        self.workers[of.worker].is_claim_due = false;
        while self.room_of(of.worker) > 0 {
            let shares: Vec<(u32, u64)> = match self.plan.way {
                Way::Alone => self.free.iter().take(self.room_of(of.worker)).map(|host| (*host, u64::MAX)).collect(),
                Way::Queue => self.fetch_queue.pop_front().unwrap_or_default(),
            };
            if shares.is_empty() {
                break;
            }
            self.catalogue.commit(self.now, micros(self.commit_s()));
            for (at, at_most) in shares {
                // Else it is in somebody's hands, or done.
                if self.free.remove(&at) {
                    let host = &mut self.hosts[at as usize];
                    host.share = host.left.min(at_most);
                    self.workers[of.worker].held.push(at);
                    self.workers[of.worker].n_active += 1;
                    self.list(of.worker, at);
                }
            }
        }
        self.start_what_may(of);
    }

    /// Puts a host among those that may start a fetch, if it may.
    fn list(&mut self, worker: usize, at: u32) {
        let host = &mut self.hosts[at as usize];
        if !host.is_listed && host.share > 0 && host.n_under_way < self.rates.settings.per_host {
            host.is_listed = true;
            self.workers[worker].ready.push(Reverse((host.free_at, at)));
        }
    }

    pub(super) fn start_what_may(&mut self, of: Of) {
        let pause = micros(self.rates.settings.pause_ms / 1e3);
        loop {
            let worker = &mut self.workers[of.worker];
            if worker.n_under_way >= self.rates.settings.concurrency || worker.ended.len() >= MOST_UNRECORDED {
                return;
            }
            let Some(&Reverse((free_at, at))) = worker.ready.peek() else { return };
            if free_at > self.now {
                if worker.wakes_at.is_none_or(|wakes_at| wakes_at > free_at) {
                    worker.wakes_at = Some(free_at);
                    self.at(free_at, Event::Wakes(of));
                }
                return;
            }
            worker.ready.pop();
            worker.n_under_way += 1;
            let host = &mut self.hosts[at as usize];
            (host.is_listed, host.free_at) = (false, self.now + pause);
            host.share -= 1;
            host.n_under_way += 1;
            self.list(of.worker, at);
            let latency = self.latency();
            self.slot_time += latency;
            self.after(latency, Event::Answered(of, at));
        }
    }

    /// The answer's bytes come over the machine's line, then a core looks at them.
    pub(super) fn answered(&mut self, of: Of, host: u32) {
        let is_image = self.random.random::<f64>() >= self.rates.assumed.dead_share;
        let takes = micros(self.rates.measured.fetch_cpu_ms / 1e3);
        let transfer = if is_image { micros(self.rates.transfer_s()) } else { 0 };
        let at = self.machine_of(of.worker);
        let machine = &mut self.machines[at];
        machine.line_free_at = machine.line_free_at.max(self.now) + transfer;
        machine.line_busy += transfer;
        let arrived = machine.line_free_at;
        self.slot_time += arrived - self.now + takes;
        self.at(arrived, Event::Arrived { machine: at, task: Task::Fetches { takes, of, host, is_image } });
    }

    pub(super) fn is_fetched(&mut self, of: Of, host: u32, is_image: bool) {
        let put = if is_image { micros(self.rates.assumed.put_ms / 1e3) } else { 0 };
        self.slot_time += put;
        self.after(put, Event::Ended(of, host, is_image));
    }

    pub(super) fn ended(&mut self, of: Of, at: u32, is_image: bool) {
        let host = &mut self.hosts[at as usize];
        host.n_under_way -= 1;
        let is_idle = host.share == 0 && host.n_under_way == 0;
        let worker = &mut self.workers[of.worker];
        worker.n_under_way -= 1;
        worker.n_active -= usize::from(is_idle);
        worker.ended.push((at, is_image));
        // Once all that it holds is worked off, it does not wait for more.
        if worker.ended.len() >= BATCH || worker.n_active == 0 {
            self.start_recording(of);
        } else if !std::mem::replace(&mut worker.is_flush_due, true) {
            self.after(FLUSH, Event::Flushes(of));
        }
        self.list(of.worker, at);
        self.start_what_may(of);
    }

    /// One batch at a time: objects to the disk, then rows.
    pub(super) fn start_recording(&mut self, of: Of) {
        let worker = &mut self.workers[of.worker];
        if !worker.recording.is_empty() || worker.ended.is_empty() {
            return;
        }
        worker.recording = std::mem::take(&mut worker.ended);
        let n_objects = worker.recording.iter().filter(|(_, is_image)| *is_image).count() as f64;
        let at = self.machine_of(of.worker);
        let machine = &mut self.machines[at];
        machine.disk_free_at =
            machine.disk_free_at.max(self.now) + micros(n_objects * self.rates.measured.flush_us / 1e6);
        let flushed = machine.disk_free_at;
        self.at(flushed, Event::Flushed(of));
    }

    pub(super) fn flushed(&mut self, of: Of) {
        let rows = self.workers[of.worker].recording.len() as f64;
        let takes = micros(self.commit_s() + rows * self.rates.measured.fetch_row_us / 1e6);
        let committed = self.catalogue.commit(self.now, takes);
        self.at(committed, Event::Recorded(of));
    }

    pub(super) fn recorded(&mut self, of: Of) {
        for (at, is_image) in std::mem::take(&mut self.workers[of.worker].recording) {
            self.hosts[at as usize].left -= 1;
            self.outcome.ended += 1;
            self.image_rest += if is_image { self.rates.assumed.new_share } else { 0.0 };
            // Whole images; a billionth is what sums of shares lose.
            if self.image_rest > 1.0 - 1e-9 {
                self.image_rest -= 1.0;
                self.images += 1;
                self.outcome.images += 1;
            }
        }
        self.mark();
        let worker = &mut self.workers[of.worker];
        if worker.ended.is_empty() {
            self.give_back_idle(of);
        } else if worker.ended.len() >= BATCH || worker.n_active == 0 {
            self.start_recording(of);
        } else if !std::mem::replace(&mut worker.is_flush_due, true) {
            self.after(FLUSH, Event::Flushes(of));
        }
        if self.plan.way == Way::Alone && !self.workers[of.worker].is_looking && self.images > 0 {
            self.look_soon(of);
        }
        self.start_what_may(of);
    }

    fn give_back_idle(&mut self, of: Of) {
        let held = std::mem::take(&mut self.workers[of.worker].held);
        let (idle, still): (Vec<u32>, Vec<u32>) = held.into_iter().partition(|at| {
            let host = &self.hosts[*at as usize];
            host.share == 0 && host.n_under_way == 0
        });
        self.workers[of.worker].held = still;
        if !idle.is_empty() {
            self.catalogue.commit(self.now, micros(self.commit_s()));
            idle.into_iter().for_each(|at| self.host_is_free(at));
            self.claim_soon(of);
        }
    }

    pub(super) fn host_is_free(&mut self, at: u32) {
        if self.hosts[at as usize].left > 0 {
            self.free.insert(at);
        }
    }

    pub(super) fn looks_for_images(&mut self, of: Of) {
        if self.workers[of.worker].images_left == 0 {
            let shard = match self.plan.way {
                Way::Alone => self.images.min(IMAGES),
                Way::Queue => self.face_queue.pop_front().unwrap_or(0),
            };
            self.images -= if self.plan.way == Way::Alone { shard } else { 0 };
            self.face_shards_in_work += u64::from(shard > 0);
            self.workers[of.worker].images_left = shard;
        }
        let worker = &mut self.workers[of.worker];
        let n = worker.images_left.min(IMAGES);
        worker.is_looking = n > 0;
        worker.images_left -= n;
        (worker.images_claimed, worker.images_open) = (n, n);
        if n > 0 {
            let claimed = self.catalogue.commit(self.now, micros(self.commit_s()));
            let read = micros(n.div_ceil(IN_FLIGHT) as f64 * self.rates.assumed.read_ms / 1e3);
            self.at(claimed + read, Event::Read(of));
        }
    }

    pub(super) fn images_are_read(&mut self, of: Of) {
        let takes = micros(self.rates.measured.face_cpu_ms / 1e3);
        for _ in 0..self.workers[of.worker].images_claimed {
            self.compute(self.machine_of(of.worker), Task::Searches { takes, of });
        }
    }

    /// One image of a batch; after the last one its crops are stored.
    pub(super) fn is_searched(&mut self, of: Of) {
        let worker = &mut self.workers[of.worker];
        worker.images_open -= 1;
        if worker.images_open == 0 {
            let n_crops = worker.images_claimed as f64 * self.rates.assumed.faces_per_image;
            let rounds = (n_crops / IN_FLIGHT as f64).ceil();
            self.after(micros(rounds * self.rates.assumed.put_ms / 1e3), Event::Stored(of));
        }
    }

    pub(super) fn stored(&mut self, of: Of) {
        let n = self.workers[of.worker].images_claimed as f64;
        let takes = micros(self.commit_s() + n * self.rates.measured.face_row_us / 1e6);
        let committed = self.catalogue.commit(self.now, takes);
        self.at(committed, Event::Searched(of));
    }

    pub(super) fn searched(&mut self, of: Of) {
        let worker = &mut self.workers[of.worker];
        self.outcome.searched += std::mem::take(&mut worker.images_claimed);
        self.face_shards_in_work -= u64::from(worker.images_left == 0);
        self.mark();
        self.looks_for_images(of);
    }

    /// What it did and did not record is lost, and its leases end by themselves.
    pub(super) fn dies(&mut self, of: Of) {
        let life = of.life + 1;
        let dead = std::mem::replace(&mut self.workers[of.worker], Worker { life, ..Worker::default() });
        self.outcome.deaths += 1;
        self.outcome.lost += (dead.ended.len() + dead.recording.len()) as u64 + u64::from(dead.n_under_way);
        for at in dead.held {
            let host = &mut self.hosts[at as usize];
            (host.share, host.n_under_way, host.is_listed) = (0, 0, false);
            let rest = HOST_LEASE - self.random.random_range(0..HOST_LEASE / 3);
            self.after(rest, Event::HostFreed(at));
        }
        let images = dead.images_left + dead.images_claimed;
        if images > 0 {
            self.face_shards_in_work -= 1;
            self.after(IMAGE_LEASE, Event::ImagesFreed(images));
        }
        self.after(micros(self.rates.assumed.restart_s), Event::Begins { worker: of.worker });
    }
}

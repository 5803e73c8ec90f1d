//! What happens, event by event, when workers share a list of candidates?
//!
//! The same loops as in `dispatch`, `collect` and `faces`, without their work: each fetch, each batch, each turn of the
//! dispatcher is an event at its time, and cores, lines and the catalogue are places that one waits for.

mod dispatcher;
mod machine;
mod worker;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use self::machine::{Machine, Task};
use self::worker::Worker;
use crate::{Outcome, Plan, Rates, Way, host_sizes};

/// A microsecond is the unit of time.
type Micros = u64;

const MS: Micros = 1_000;
const SECOND: Micros = 1_000_000;

fn micros(seconds: f64) -> Micros {
    (seconds.max(0.0) * 1e6).round() as Micros
}

/// Something that happens to a process is void once it has died: `life` is then another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Of {
    worker: usize,
    life: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The dispatcher looks.
    Turn,
    /// A process starts.
    Begins { worker: usize },
    /// It may ask for hosts.
    Claims(Of),
    /// A host's pause is over.
    Wakes(Of),
    /// A host answered.
    Answered(Of, u32),
    /// The line brought the whole answer.
    Arrived { machine: usize, task: Task },
    /// A core has done something.
    Computed { machine: usize, task: Task },
    /// The store has the image.
    Ended(Of, u32, bool),
    /// Outcomes are due to be recorded.
    Flushes(Of),
    /// A batch's objects are on the disk.
    Flushed(Of),
    /// A batch of fetches is committed.
    Recorded(Of),
    /// The face stage asks for images.
    LooksForImages(Of),
    /// A batch of images is read.
    Read(Of),
    /// Its crops are stored.
    Stored(Of),
    /// A batch of searched images is committed.
    Searched(Of),
    /// A process dies.
    Dies(Of),
    /// A dead one's lease of a host is over.
    HostFreed(u32),
    /// A dead one's leases of images are over.
    ImagesFreed(u64),
}

/// A host as the catalogue and whoever has it know it.
#[derive(Debug, Clone, Copy, Default)]
struct Host {
    /// Not recorded yet.
    left: u64,
    /// Of those, not started yet by whoever has it, within the share.
    share: u64,
    n_under_way: u32,
    free_at: Micros,
    is_listed: bool,
    offered_at: Option<Micros>,
}

/// Commits one after the other, whoever asks.
#[derive(Debug, Default)]
struct Catalogue {
    free_at: Micros,
    busy: Micros,
    n_commits: u64,
}

impl Catalogue {
    /// When a transaction that is ready `now` is committed.
    fn commit(&mut self, now: Micros, takes: Micros) -> Micros {
        self.free_at = self.free_at.max(now) + takes;
        self.busy += takes;
        self.n_commits += 1;
        self.free_at
    }
}

struct World<'a> {
    plan: &'a Plan,
    rates: &'a Rates,
    random: ChaCha8Rng,
    now: Micros,
    events: BinaryHeap<Reverse<(Micros, u64, Event)>>,
    n_events: u64,
    /// In the order in which they are due.
    hosts: Vec<Host>,
    /// Due and not leased.
    free: BTreeSet<u32>,
    fetch_queue: VecDeque<Vec<(u32, u64)>>,
    face_queue: VecDeque<u64>,
    face_shards_in_work: u64,
    /// Recorded and not offered.
    images: u64,
    /// Part of an image that is not a whole one yet.
    image_rest: f64,
    /// When the dispatcher last asked whether all is done, and whether it was.
    counted_at: Option<Micros>,
    is_known_done: bool,
    catalogue: Catalogue,
    machines: Vec<Machine>,
    workers: Vec<Worker>,
    /// When so large a share was done.
    marks: [(f64, Option<Micros>); 3],
    slot_time: Micros,
    outcome: Outcome,
}

/// Simulates a plan to its end. Events are some four a candidate: meant for up to a few million.
pub fn simulate(plan: &Plan, rates: &Rates) -> Outcome {
    let mut world = World::new(plan, rates);
    while let Some(Reverse((at, _, event))) = world.events.pop() {
        world.now = at;
        world.happens(event);
        if world.is_over() {
            break;
        }
    }
    world.end()
}

impl<'a> World<'a> {
    fn new(plan: &'a Plan, rates: &'a Rates) -> World<'a> {
        let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
        // In the order in which a shuffled list meets them: a host of n candidates is met first after about 1/n of it.
        let sizes = host_sizes(plan.candidates, plan.hosts, rates.assumed.zipf);
        let mut met: Vec<(f64, u64)> =
            sizes.into_iter().map(|size| (-random.random::<f64>().max(1e-300).ln() / size as f64, size)).collect();
        met.sort_by(|a, b| a.0.total_cmp(&b.0));
        let hosts: Vec<Host> = met.into_iter().map(|(_, left)| Host { left, ..Host::default() }).collect();
        let mut world = World {
            plan,
            rates,
            random,
            now: 0,
            events: BinaryHeap::new(),
            n_events: 0,
            free: (0..hosts.len() as u32).collect(),
            hosts,
            fetch_queue: VecDeque::new(),
            face_queue: VecDeque::new(),
            face_shards_in_work: 0,
            images: 0,
            image_rest: 0.0,
            counted_at: None,
            is_known_done: false,
            catalogue: Catalogue::default(),
            machines: (0..plan.machines).map(|_| Machine::new(plan.cores)).collect(),
            workers: (0..plan.workers).map(|_| Worker::default()).collect(),
            marks: [0.9, 0.99, 1.0].map(|share| (share, None)),
            slot_time: 0,
            outcome: Outcome::default(),
        };
        for worker in 0..world.workers.len() {
            world.after(0, Event::Begins { worker });
        }
        if plan.way == Way::Queue {
            let takes = micros(rates.measured.start_cpu_ms / 1e3);
            world.compute(0, Task::Starts { takes, worker: None });
        }
        world
    }

    fn after(&mut self, wait: Micros, event: Event) {
        self.at(self.now + wait, event);
    }

    fn at(&mut self, at: Micros, event: Event) {
        self.n_events += 1;
        self.events.push(Reverse((at, self.n_events, event)));
    }

    fn is_alive(&self, of: Of) -> bool {
        self.workers[of.worker].life == of.life
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Turn => self.turn(),
            Event::Begins { worker } => self.begins(worker),
            Event::Arrived { machine, task } => self.compute(machine, task),
            Event::Computed { machine, task } => self.computed(machine, task),
            Event::HostFreed(host) => {
                self.host_is_free(host);
                self.wake_the_idle(self.plan.way == Way::Alone, false);
            }
            Event::ImagesFreed(n) => {
                self.images += n;
                self.wake_the_idle(false, self.plan.way == Way::Alone);
            }
            Event::Claims(of)
            | Event::Wakes(of)
            | Event::Answered(of, _)
            | Event::Ended(of, ..)
            | Event::Flushes(of)
            | Event::Flushed(of)
            | Event::Recorded(of)
            | Event::LooksForImages(of)
            | Event::Read(of)
            | Event::Stored(of)
            | Event::Searched(of)
            | Event::Dies(of)
                if !self.is_alive(of) => {}
            Event::Claims(of) => self.claims(of),
            Event::Wakes(of) => {
                self.workers[of.worker].wakes_at = None;
                self.start_what_may(of);
            }
            Event::Answered(of, host) => self.answered(of, host),
            Event::Ended(of, host, is_image) => self.ended(of, host, is_image),
            Event::Flushes(of) => {
                self.workers[of.worker].is_flush_due = false;
                self.start_recording(of);
            }
            Event::Flushed(of) => self.flushed(of),
            Event::Recorded(of) => self.recorded(of),
            Event::LooksForImages(of) => self.looks_for_images(of),
            Event::Read(of) => self.images_are_read(of),
            Event::Stored(of) => self.stored(of),
            Event::Searched(of) => self.searched(of),
            Event::Dies(of) => self.dies(of),
        }
    }

    /// Whether every candidate has its outcome and every image was searched.
    fn is_done(&self) -> bool {
        self.outcome.ended == self.plan.candidates && self.outcome.searched == self.outcome.images
    }

    /// Notes what share of everything was fetched and searched by now.
    fn mark(&mut self) {
        let a = &self.rates.assumed;
        let candidates = self.plan.candidates as f64;
        let images = candidates * (1.0 - a.dead_share) * a.new_share;
        let share = (self.outcome.ended as f64 / candidates).min(self.outcome.searched as f64 / images.max(1e-9));
        let share = if self.is_done() { 1.0 } else { share.min(1.0 - 1e-9) };
        for (wanted, at) in &mut self.marks {
            if share >= *wanted {
                at.get_or_insert(self.now);
            }
        }
    }

    fn is_over(&self) -> bool {
        match self.plan.way {
            Way::Alone => self.is_done(),
            // The dispatcher has to find out.
            Way::Queue => self.is_known_done,
        }
    }

    /// A time to an answer, drawn.
    fn latency(&mut self) -> Micros {
        let a = &self.rates.assumed;
        // Box and Muller's way to a normal deviate.
        let (u, v): (f64, f64) = (self.random.random::<f64>().max(1e-300), self.random.random());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        micros(a.latency_ms / 1e3 * (a.latency_sigma * normal).exp()).min(30 * SECOND)
    }

    fn end(self) -> Outcome {
        // Hosts are given back before a process ends.
        let seconds = self.now.max(self.catalogue.free_at) as f64 / 1e6;
        let machines = f64::from(self.plan.machines);
        let of = |busy: Micros, places: f64| if seconds > 0.0 { busy as f64 / 1e6 / seconds / places } else { 0.0 };
        let cpu: Micros = self.machines.iter().map(|machine| machine.busy).sum();
        let line: Micros = self.machines.iter().map(|machine| machine.line_busy).sum();
        let places = f64::from(self.plan.workers) * f64::from(self.rates.settings.concurrency);
        Outcome {
            seconds,
            marks_s: self.marks.map(|(_, at)| at.map_or(seconds, |at| at as f64 / 1e6)),
            cores: of(cpu, machines * f64::from(self.plan.cores)),
            catalogue: of(self.catalogue.busy, 1.0),
            network: of(line, machines),
            fetches: of(self.slot_time, places),
            commits: self.catalogue.n_commits,
            ..self.outcome
        }
    }
}

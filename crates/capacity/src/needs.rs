//! What does a project need: of cores, bytes, requests, rows, messages, connections, and workers for so many days?

use crate::{Plan, Rates, Resource, Way, fluid, simulate};

/// Candidates up to which a plan is simulated event by event.
pub const EXACT: u64 = 500_000;

/// Connections to PostgreSQL that one process may open (`catalog`), and those to leave for people and backups.
const CONNECTIONS: u64 = 8;
const CONNECTIONS_BESIDE: u64 = 20;

/// Bytes of a shard of hosts as a message: JSON around each host's name, number and first candidate, and its head.
const BYTES_PER_HOST: f64 = 64.0;
const BYTES_PER_MESSAGE: f64 = 120.0;

/// Candidates of a shard of hosts, and images of one, on average: shards of hosts have 500 to 1,000.
const PER_FETCH_SHARD: f64 = 700.0;
const PER_FACE_SHARD: f64 = 512.0;

/// What a stage costs.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct StageCost {
    /// Its name.
    pub stage: &'static str,
    /// Hours of one core.
    pub cpu_h: f64,
    /// Received from outside, bytes.
    pub received_bytes: f64,
    /// Put into the store, bytes.
    pub stored_bytes: f64,
    /// Requests to S3.
    pub puts: f64,
    /// See there.
    pub gets: f64,
    /// Rows written or changed in the catalogue.
    pub rows: f64,
    /// Transactions.
    pub commits: f64,
    /// The catalogue's growth on SQLite and on PostgreSQL, bytes.
    pub sqlite_bytes: f64,
    /// See there.
    pub postgres_bytes: f64,
    /// Messages over JetStream, acknowledgements included.
    pub messages: f64,
    /// Bytes of the shards.
    pub message_bytes: f64,
}

/// What a whole project needs.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Needs {
    /// By stage; for as many candidates as were asked for.
    pub stages: [StageCost; 3],
    /// Connections to PostgreSQL at most.
    pub connections: u64,
    /// Hash partitions of the largest tables, each of 100 GB at most, a power of two.
    pub partitions: u64,
}

/// What so many candidates of this kind come to with so many workers.
pub fn needs(candidates: u64, workers: u32, rates: &Rates) -> Needs {
    let (m, a) = (&rates.measured, &rates.assumed);
    let n = candidates as f64;
    let fetched = n * (1.0 - a.dead_share);
    let images = fetched * a.new_share;
    let faces = images * a.faces_per_image;
    let list = StageCost {
        stage: "list",
        // A candidate and its hit.
        rows: n * 2.0,
        sqlite_bytes: n * m.sqlite_bytes.candidate,
        postgres_bytes: n * m.postgres_bytes.candidate,
        ..StageCost::default()
    };
    let (fetch_shards, face_shards) = (n / PER_FETCH_SHARD, images / PER_FACE_SHARD);
    let fetch = StageCost {
        stage: "fetch",
        cpu_h: n * m.fetch_cpu_ms / 3.6e6,
        received_bytes: fetched * a.image_kb * 1e3,
        stored_bytes: images * a.image_kb * 1e3,
        // What is known already is put again: only the catalogue tells that, and later.
        puts: fetched,
        rows: n + images,
        commits: n / 500.0,
        sqlite_bytes: images * m.sqlite_bytes.image,
        postgres_bytes: images * m.postgres_bytes.image,
        // The shard and its acknowledgement.
        messages: fetch_shards * 2.0,
        message_bytes: fetch_shards * BYTES_PER_MESSAGE
            + n / a.candidates_per_host.min(PER_FETCH_SHARD) * BYTES_PER_HOST,
        ..StageCost::default()
    };
    let search = StageCost {
        stage: "faces",
        cpu_h: images * m.face_cpu_ms / 3.6e6,
        stored_bytes: faces * m.crop_kb * 1e3,
        puts: faces,
        gets: images,
        // The image, the detector's note, and faces.
        rows: images * 2.0 + faces,
        commits: images / 64.0 * 2.0,
        sqlite_bytes: faces * m.sqlite_bytes.face,
        postgres_bytes: faces * m.postgres_bytes.face,
        messages: face_shards * 2.0,
        message_bytes: face_shards * BYTES_PER_MESSAGE,
        ..StageCost::default()
    };
    let postgres_bytes = list.postgres_bytes.max(search.postgres_bytes);
    Needs {
        stages: [list, fetch, search],
        // The dispatcher and the server are processes, too.
        connections: (u64::from(workers) + 2) * CONNECTIONS + CONNECTIONS_BESIDE,
        partitions: ((postgres_bytes / 100e9).ceil() as u64).max(1).next_power_of_two(),
    }
}

/// How many workers, each on a machine of its own, have it done within `seconds`, if a number of workers can.
///
/// # Errors
/// The bound that no number of workers moves, if that is the longer one.
pub fn workers_for(plan: &Plan, rates: &Rates, seconds: f64, behind: f64) -> Result<u32, (Resource, f64)> {
    let one = fluid(&Plan { workers: 1, machines: 1, ..plan.clone() }, rates);
    if let Some(bound) = one.bounds.iter().find(|bound| !bound.resource.is_of_workers() && bound.seconds > seconds) {
        return Err((bound.resource, bound.seconds));
    }
    let of_workers = one.bounds.iter().filter(|bound| bound.resource.is_of_workers());
    let longest = of_workers.map(|bound| bound.seconds).fold(0.0, f64::max);
    Ok((longest * behind / seconds).ceil().clamp(1.0, f64::from(u32::MAX)) as u32)
}

/// By how much the program stays behind what its machines could do, 1 for not at all: from a simulation of at most [`EXACT`]
/// candidates for at most eight workers, at hosts of equal size, for of the others the tail is known.
pub fn stay_behind(plan: &Plan, rates: &Rates) -> f64 {
    let mut rates = rates.clone();
    rates.assumed.zipf = 0.0;
    let workers = plan.workers.min(8);
    let candidates = plan.candidates.min(EXACT);
    let hosts = (plan.hosts as f64 * candidates as f64 / plan.candidates as f64).ceil() as u64;
    let part = Plan { candidates, hosts, workers, machines: workers.min(plan.machines), ..plan.clone() };
    (simulate(&part, &rates).seconds / fluid(&part, &rates).seconds()).max(1.0)
}

impl Plan {
    /// With workers on a machine each.
    pub fn with_workers(candidates: u64, hosts: u64, (workers, cores): (u32, u32), seed: u64) -> Plan {
        Plan { candidates, hosts, workers, machines: workers, cores, way: Way::Queue, seed }
    }
}

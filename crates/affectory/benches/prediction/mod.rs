//! What does a simulation say of these runs, told only what one machine alone costs?

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use affectory_capacity::{Plan, Rates, Way, simulate};
use affectory_catalog::{FetchEnd, FetchRecord, FetchedImage, Project};
use affectory_core::{CandidateId, Sha256Hex};
use sha2::{Digest as _, Sha256};

/// How long a command ran, and its cores' time with that of the servers it asks.
pub struct Cost {
    pub seconds: f64,
    pub cpu_s: f64,
}

/// Runs a command to its end.
pub fn cost_of(mut command: Command, beside: Option<&Child>) -> Cost {
    let servers_s = || beside.map_or(0.0, |child| cpu_s(child.id())) + postgres_s();
    let before = servers_s();
    let began = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut own = 0.0_f64;
    let status = loop {
        own = own.max(cpu_s(child.id()));
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    assert!(status.success(), "{command:?}");
    let seconds = began.elapsed().as_secs_f64();
    Cost { seconds, cpu_s: own + servers_s() - before }
}

/// Core time of all PostgreSQL there is, with that of processes of it that have ended: on a machine that does nothing else.
fn postgres_s() -> f64 {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = processes.filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok());
    stats.filter(|stat| stat.contains("(postgres)")).map(|stat| ticks(&stat, 4)).sum()
}

/// User and system time of a process so far, s; 0 once it has ended.
fn cpu_s(pid: u32) -> f64 {
    ticks(&std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default(), 2)
}

/// User and system time, and with 4 that of ended children, from Linux's ticks of 10 ms.
fn ticks(stat: &str, n_fields: usize) -> f64 {
    // The name in brackets may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    fields.skip(11).take(n_fields).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// How long a transaction of one fetch takes, and how much longer each further one makes it, s: the first `n` candidates
/// of a project that is good for nothing else.
pub async fn recording(project: &Project, n: i64) -> (f64, f64) {
    let record = |id: i64| FetchRecord {
        id: CandidateId(id),
        end: FetchEnd::Image(FetchedImage {
            sha256: Sha256Hex::from_digest(&Sha256::digest(id.to_le_bytes()).into()),
            width: 72,
            height: 72,
            format: "jpeg".into(),
            size_bytes: 1_000,
        }),
        outcome: "fetched",
        detail: None,
        http_status: Some(200),
        final_url: None,
        etag: None,
        last_modified: None,
        elapsed_ms: 1,
    };
    let n_single = 50.min(n / 2);
    let began = Instant::now();
    for id in 1..=n_single {
        project.catalog.record_fetches(&[record(id)], 1).await.unwrap();
    }
    let commit_s = began.elapsed().as_secs_f64() / n_single as f64;
    let (began, mut n_batches) = (Instant::now(), 0);
    for first in (n_single + 1..=n).step_by(500) {
        let records: Vec<FetchRecord> = (first..=n.min(first + 499)).map(record).collect();
        project.catalog.record_fetches(&records, 1).await.unwrap();
        n_batches += 1;
    }
    let row_s = (began.elapsed().as_secs_f64() - commit_s * f64::from(n_batches)) / (n - n_single) as f64;
    (commit_s, row_s.max(0.0))
}

/// What one machine alone costs.
pub struct Alone {
    /// A command that finds nothing to do.
    pub start: Cost,
    /// Fetching only, the server's time included.
    pub fetch: Cost,
    /// Searching what that brought.
    pub faces: Cost,
    pub commit_s: f64,
    pub row_s: f64,
    pub n_images: usize,
}

/// Predicts runs of `n` addresses at `hosts` hosts.
pub struct Prediction {
    rates: Rates,
    plan: Plan,
}

impl Prediction {
    pub fn from(alone: &Alone, (n, hosts): (usize, usize)) -> Prediction {
        let mut rates = Rates::built_in();
        let per_candidate_ms = (alone.fetch.cpu_s - alone.start.cpu_s) * 1e3 / n as f64;
        let per_image_ms = (alone.faces.cpu_s - alone.start.cpu_s) * 1e3 / alone.n_images as f64;
        let (is, m, a) = (&mut rates.settings, &mut rates.measured, &mut rates.assumed);
        (is.concurrency, is.per_host, is.pause_ms, is.ahead) = (64, 4, 0.0, 16);
        (m.fetch_cpu_ms, m.face_cpu_ms) = (per_candidate_ms.max(0.001), per_image_ms.max(0.001));
        (m.start_cpu_ms, m.commit_ms) = (alone.start.cpu_s * 1e3, alone.commit_s * 1e3);
        (m.fetch_row_us, m.face_row_us) = (alone.row_s * 1e6, alone.row_s * 1e6);
        // Loopback and a folder: next to no time but that of cores and disk.
        (a.latency_ms, a.latency_sigma, a.put_ms, a.read_ms) = (0.1, 0.0, 0.0, 0.0);
        (a.image_kb, a.network_mbit, a.dead_share, a.zipf, a.days_to_failure) = (1.0, 1e6, 0.0, 0.0, 0.0);
        a.new_share = 0.0;
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
        let plan = Plan {
            candidates: n as u64,
            hosts: hosts as u64,
            workers: 1,
            machines: 1,
            cores,
            way: Way::Alone,
            seed: 1,
        };
        // What fetching alone took beyond its cores' time is put down to the disk.
        let (mut low, mut high) = (0.0, 20_000.0);
        for _ in 0..30 {
            rates.measured.flush_us = f64::midpoint(low, high);
            let is_longer = simulate(&plan, &rates).seconds > alone.fetch.seconds;
            if is_longer { high = rates.measured.flush_us } else { low = rates.measured.flush_us }
        }
        rates.measured.flush_us = low;
        rates.assumed.new_share = alone.n_images as f64 / n as f64;
        let m = &rates.measured;
        println!(
            "one process: fetching {:.1} s, searching {:.1} s; a fetch {:.3} ms of CPU and {:.0} us of the disk, an image {:.2} ms of \
             CPU, a start {:.0} ms, a transaction {:.2} ms and {:.0} us a row",
            alone.fetch.seconds,
            alone.faces.seconds,
            m.fetch_cpu_ms,
            m.flush_us,
            m.face_cpu_ms,
            m.start_cpu_ms,
            m.commit_ms,
            m.fetch_row_us
        );
        Prediction { rates, plan }
    }

    /// Seconds until all is done by one process alone (0 workers), or by a dispatcher with workers on this machine.
    pub fn seconds(&self, n_workers: usize) -> f64 {
        let way = if n_workers == 0 { Way::Alone } else { Way::Queue };
        simulate(&Plan { workers: n_workers.max(1) as u32, way, ..self.plan.clone() }, &self.rates).seconds
    }
}

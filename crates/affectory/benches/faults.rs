//! What breaks, and how soon does the shared work go on?
//!
//! `cargo bench -p affectory --bench faults [ADDRESSES]` (default 18,000), with AFFECTORY_TEST_NATS_SERVER set as
//! `scripts/test-servers start` does. Three workers and a dispatcher, each a process in a folder of its own, fetch pictures
//! from 200 hosts of loopback, with the catalogue on a PostgreSQL cluster of this run's own, the objects in a bucket of a
//! real S3 server, and a queue of three nats-servers. One thing after the other is broken meanwhile; printed is a table of
//! what that cost. The run fails if any address ends otherwise than with one machine alone, or is fetched more often than
//! docs/workers.md says.
//!
//! The server of pictures takes its time for each answer, so that the pace is the workers' and not the processor's.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

#[path = "../../catalog/tests/catalog/buckets.rs"]
#[expect(dead_code, reason = "the catalogue's stories use more of it")]
mod buckets;
#[path = "../../catalog/tests/catalog/cluster.rs"]
mod cluster;
#[path = "../tests/lab/mod.rs"]
#[expect(dead_code, reason = "the workers' stories use more of it")]
mod lab;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use affectory_catalog::{Project, Secrets};
use tokio::runtime::Runtime;

use self::buckets::{Fault, S3};
use self::cluster::Cluster;
use self::lab::{End, Line, Nats};

/// Hosts of the addresses.
const HOSTS: usize = 200;

/// Workers at any time.
const WORKERS: usize = 3;

/// How long the server of pictures thinks: three workers with four requests each come to 60 addresses a second.
const ANSWERS_AFTER_MS: u64 = 200;

/// How long the pace is watched before each fault, which is how long it is watched after the one before.
const QUIET: Duration = Duration::from_secs(12);

/// The pace is looked at so often, each time over a second.
const STEP: Duration = Duration::from_millis(100);

/// Longest wait for anything to go on.
const PATIENCE: Duration = Duration::from_secs(180);

/// Fetched and not yet recorded when a worker is killed, at most (docs/workers.md).
const RECORDED_TOGETHER: usize = 500;

/// The dispatcher, and who works alone.
const NO_WORKER: u32 = 0;

fn main() {
    let n: usize = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(18_000);
    let Some(nats) = Nats::start_cluster() else { return };
    let web = Web::start();
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("alone");
    made(&mut lab::affectory(&alone, &["init", alone.to_str().unwrap()]));
    std::fs::write(alone.join("collect.toml"), settings(NO_WORKER, 64)).unwrap();
    lab::put_on_the_list(&alone, &Secrets::default(), &web.addresses(n));
    made(&mut lab::affectory(&alone, &["collect", "run", "--no-search"]));
    let end_alone = lab::end_of(&alone);
    assert_eq!(web.asked.lock().unwrap().len(), n, "one machine alone asks for every address once");

    web.asked.lock().unwrap().clear();
    web.answers_after_ms.store(ANSWERS_AFTER_MS, Ordering::Relaxed);
    let mut site = Site::new(folder.path().join("shared"), nats, web, n);
    let mut skipped = Vec::new();
    let mut broken = vec![site.kills_a_worker()];
    broken.extend((0..site.nats.len()).map(|at| site.kills_a_queue_server(at)));
    broken.extend(["fast", "immediate"].map(|mode| site.restarts_postgres(mode)));
    broken.push(site.has_a_busy_store());
    broken.push(site.cuts_a_line());
    match site.has_a_wrong_clock() {
        Some(fault) => broken.push(fault),
        None => skipped.push(
            "a clock 5 minutes ahead: SKIPPED, `faketime` is not installed (apt-get install faketime)".to_owned(),
        ),
    }
    skipped.push(
        "a full disk: SKIPPED, with objects on S3 and the catalogue on PostgreSQL nothing of a worker's is on a disk; see \
         a_worker_whose_disk_is_full_gives_its_work_back_and_ends_with_one_line in tests/workers.rs"
            .to_owned(),
    );
    let (end, asked) = site.finish();
    report(&broken, &skipped, (&end_alone, &end), &asked);
}

fn settings(worker: u32, concurrency: u32) -> String {
    format!(
        "contact = \"worker-{worker}@example.org\"\n[fetch]\npause_ms = 5\nper_host = 2\nconcurrency = {concurrency}\n\
         open_networks = [\"127.0.0.0/8\"]\n"
    )
}

fn made(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", lab::said(output));
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An address that somebody asked for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    at: Instant,
    number: usize,
    worker: u32,
}

/// The server of pictures.
struct Web {
    port: u16,
    answers_after_ms: Arc<AtomicU64>,
    /// In the order of their times.
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Web {
    fn start() -> Web {
        let (answers_after_ms, asked) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (after_ms, log) = (Arc::clone(&answers_after_ms), Arc::clone(&asked));
        let port = lab::serve_pictures(move |number, agent| {
            let worker = agent.split("worker-").nth(1).and_then(|rest| rest.split('@').next()).unwrap();
            let worker = worker.parse().unwrap();
            {
                let mut log = log.lock().unwrap();
                log.push(Asked { at: Instant::now(), number, worker });
            }
            std::thread::sleep(Duration::from_millis(after_ms.load(Ordering::Relaxed)));
        });
        Web { port, answers_after_ms, asked }
    }

    fn addresses(&self, n: usize) -> Vec<String> {
        lab::addresses(self.port, n, HOSTS)
    }

    /// When the first address after that was asked for, by that worker or by anybody.
    fn first_after(&self, moment: Instant, worker: Option<u32>) -> Option<Instant> {
        let asked = self.asked.lock().unwrap();
        let later = &asked[asked.partition_point(|asked| asked.at < moment)..];
        later.iter().find(|asked| worker.is_none_or(|worker| asked.worker == worker)).map(|asked| asked.at)
    }

    /// Addresses a second in that time.
    fn pace(&self, from: Instant, to: Instant, worker: Option<u32>) -> f64 {
        let asked = self.asked.lock().unwrap();
        let place = |moment| asked.partition_point(|asked| asked.at < moment);
        let within = &asked[place(from)..place(to)];
        let n = within.iter().filter(|asked| worker.is_none_or(|worker| asked.worker == worker)).count();
        n as f64 / (to - from).as_secs_f64()
    }

    fn n_left(&self, n: usize) -> usize {
        let asked = self.asked.lock().unwrap();
        n - asked.iter().map(|asked| asked.number).collect::<BTreeSet<usize>>().len()
    }
}

/// A process of the program on a machine of its own: a folder that says where everything is, and what it says itself.
struct Process {
    folder: PathBuf,
    child: Child,
}

impl Process {
    fn start(folder: &Path, command: &mut Command) -> Process {
        let file = |name: &str| File::create(folder.join(name)).unwrap();
        let child = command.stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap();
        Process { folder: folder.to_owned(), child }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn said(&self) -> String {
        ["stdout", "stderr"].map(|name| std::fs::read_to_string(self.folder.join(name)).unwrap()).concat()
    }

    /// Waits for its end, which has to be a good one.
    fn end(&mut self) {
        wait_until("a process ends", || self.child.try_wait().unwrap().is_some());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.said());
    }

    fn stop(&mut self) {
        lab::signal(&self.child, "-TERM");
        self.end();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What was broken, and what was seen.
struct Broken {
    name: String,
    /// Addresses a second before.
    pace: f64,
    began: Instant,
    ended: Instant,
    went_on: String,
    /// From its end to the first second at half the pace.
    back: Duration,
    /// How long the pace was less than half of that, until the next thing was broken.
    slow: Duration,
}

/// What shows that work goes on.
enum Sign {
    /// Somebody, or that worker, asks for an address after it began.
    SinceItBegan(Option<u32>),
    /// The same after its end.
    SinceItsEnd(Option<u32>),
    /// More addresses are done with in the catalogue than at its end.
    Recorded,
}

/// Everything that the work needs.
struct Site {
    root: PathBuf,
    n: usize,
    /// `affectory.toml` without a queue.
    config: String,
    n_started: u32,
    workers: Vec<Process>,
    dispatcher: Option<Process>,
    nats: Vec<Nats>,
    s3: S3,
    cluster: Cluster,
    web: Web,
    runtime: Runtime,
}

impl Site {
    /// With everybody at work, and the pace known.
    fn new(root: PathBuf, nats: Vec<Nats>, web: Web, n: usize) -> Site {
        let (s3, cluster, runtime) = (S3::start(), Cluster::start(), Runtime::new().unwrap());
        let (config, n_started, workers, dispatcher) = (String::new(), 0, Vec::new(), None);
        let mut site = Site { root, n, config, n_started, workers, dispatcher, nats, s3, cluster, web, runtime };
        let root = site.root.clone();
        let (catalog, objects) = (site.cluster.url(), site.s3.place("lab"));
        let init = ["init", root.to_str().unwrap(), "--catalog", &catalog, "--objects", &objects];
        made(&mut site.command(&root, &init));
        site.config = std::fs::read_to_string(root.join("affectory.toml")).unwrap();
        lab::put_on_the_list(&root, &site.secrets(), &site.web.addresses(n));
        lab::set_queue(&root, &site.ports());
        // A cluster takes a moment to choose who leads.
        let has_leader = || site.command(&root, &["queue"]).output().unwrap().status.success();
        wait_until("the cluster has a leader", has_leader);
        let mut dispatch = site.command(&root, &["dispatch", "--until-done"]);
        site.dispatcher = Some(Process::start(&root, &mut dispatch));
        for _ in 0..WORKERS {
            let number = site.start_worker(&site.ports());
            site.wait_for(number);
        }
        site.watch();
        site
    }

    /// The program with the key of the bucket.
    fn command(&self, folder: &Path, args: &[&str]) -> Command {
        let mut command = lab::affectory(folder, args);
        command.envs(self.s3.variables());
        command
    }

    fn secrets(&self) -> Secrets {
        Secrets { s3: self.s3.access(20), ..Secrets::default() }
    }

    fn ports(&self) -> Vec<u16> {
        self.nats.iter().map(|nats| nats.port).collect()
    }

    /// The number and the folder of one more machine, which reaches the queue at these ports.
    fn machine(&mut self, ports: &[u16]) -> (u32, PathBuf) {
        self.n_started += 1;
        let folder = self.root.with_file_name(format!("machine{}", self.n_started));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("affectory.toml"), &self.config).unwrap();
        lab::set_queue(&folder, ports);
        std::fs::write(folder.join("collect.toml"), settings(self.n_started, 4)).unwrap();
        (self.n_started, folder)
    }

    fn start_worker(&mut self, ports: &[u16]) -> u32 {
        let (number, folder) = self.machine(ports);
        let mut command = self.command(&folder, &["--json", "worker"]);
        self.workers.push(Process::start(&folder, &mut command));
        number
    }

    fn wait_for(&self, worker: u32) {
        let is_at_work = || self.web.asked.lock().unwrap().iter().any(|asked| asked.worker == worker);
        wait_until("a worker has something to do", is_at_work);
    }

    /// Lets the work go on for a while.
    fn watch(&mut self) {
        std::thread::sleep(QUIET);
        let is_over = self.dispatcher.as_mut().unwrap().child.try_wait().unwrap().is_some();
        assert!(!is_over && self.web.n_left(self.n) > 0, "no work is left to be disturbed: give more addresses");
    }

    /// Breaks something, and watches the pace of everybody, or of one worker. `how` returns once it is whole again.
    fn breaks(&mut self, name: impl Into<String>, whose: Option<u32>, how: impl FnOnce(&mut Site) -> Sign) -> Broken {
        let (name, began) = (name.into(), Instant::now());
        let pace = self.web.pace(began - QUIET, began, whose);
        println!("{name}, at {pace:.0} addresses a second; {} are left", self.web.n_left(self.n));
        let sign = how(self);
        let ended = Instant::now();
        let went_on = match sign {
            Sign::SinceItBegan(worker) => format!("{:.1} s after it began", self.asked_after(began, worker)),
            Sign::SinceItsEnd(worker) => format!("{:.1} s after its end", self.asked_after(ended, worker)),
            Sign::Recorded => format!("recorded {:.1} s after its end", self.recorded_after(ended)),
        };
        let is_slow = |from: Instant| self.web.pace(from, from + Duration::from_secs(1), whose) < pace / 2.0;
        let mut from = ended;
        loop {
            std::thread::sleep((from + Duration::from_secs(1)).saturating_duration_since(Instant::now()));
            if !is_slow(from) {
                break;
            }
            assert!(ended.elapsed() < PATIENCE, "{name}: waited in vain for half the pace, {:.0} a second", pace / 2.0);
            from += STEP;
        }
        self.watch();
        let is_slow = |from: Instant| self.web.pace(from, from + Duration::from_secs(1), whose) < pace / 2.0;
        let seen = began.elapsed().saturating_sub(Duration::from_secs(1));
        let n_slow = (0..).map(|at| STEP * at).take_while(|at| *at < seen).filter(|at| is_slow(began + *at)).count();
        let slow = STEP.mul_f64(n_slow as f64);
        Broken { name, pace, began, ended, went_on, back: from - ended, slow }
    }

    /// Seconds from then until somebody, or that worker, asked for an address.
    fn asked_after(&self, moment: Instant, worker: Option<u32>) -> f64 {
        wait_until("somebody asks for an address", || self.web.first_after(moment, worker).is_some());
        (self.web.first_after(moment, worker).unwrap() - moment).as_secs_f64()
    }

    /// Seconds from then, which is now, until more was recorded.
    fn recorded_after(&self, moment: Instant) -> f64 {
        let opened = self.runtime.block_on(Project::open_with(&self.root, &self.secrets()));
        let project = opened.unwrap();
        let n_recorded = || {
            let counted = self.runtime.block_on(project.catalog.count_outcomes()).unwrap();
            counted.iter().filter(|row| row.outcome.is_some()).map(|row| row.candidates).sum::<u64>()
        };
        let n_before = n_recorded();
        wait_until("more is recorded", || n_recorded() > n_before);
        let seconds = moment.elapsed().as_secs_f64();
        self.runtime.block_on(project.catalog.close());
        seconds
    }

    fn kills_a_worker(&mut self) -> Broken {
        self.breaks("`kill -9` of one of three workers, another started", None, |site| {
            site.workers.remove(0).kill();
            Sign::SinceItBegan(Some(site.start_worker(&site.ports())))
        })
    }

    fn kills_a_queue_server(&mut self, at: usize) -> Broken {
        let which = ["first", "second", "third"][at];
        self.breaks(format!("`kill -9` of the {which} of three nats-servers"), None, |site| {
            site.nats[at].kill();
            std::thread::sleep(Duration::from_secs(5));
            site.nats[at].start_again();
            Sign::SinceItBegan(None)
        })
    }

    fn restarts_postgres(&mut self, mode: &str) -> Broken {
        self.breaks(format!("`pg_ctl restart --mode {mode}`"), None, |site| {
            site.cluster.control(&["restart", "--mode", mode]);
            Sign::Recorded
        })
    }

    fn has_a_busy_store(&mut self) -> Broken {
        self.breaks("S3 answers 503 to everything", None, |site| {
            let a_minute = Duration::from_secs(60);
            site.s3.set(Fault::Busy(Instant::now() + a_minute));
            std::thread::sleep(a_minute);
            Sign::SinceItsEnd(None)
        })
    }

    fn cuts_a_line(&mut self) -> Broken {
        let lines: Vec<Line> = self.ports().into_iter().map(Line::to).collect();
        self.workers.remove(0).stop();
        let far = self.start_worker(&lines.iter().map(|line| line.port).collect::<Vec<u16>>());
        self.wait_for(far);
        self.watch();
        self.breaks("the line between one worker and the queue cut (that worker's pace)", Some(far), |_| {
            lines.iter().for_each(|line| line.is_cut.store(true, Ordering::Relaxed));
            std::thread::sleep(Duration::from_secs(10));
            lines.iter().for_each(|line| line.is_cut.store(false, Ordering::Relaxed));
            Sign::SinceItsEnd(Some(far))
        })
    }

    /// `None` where time cannot be faked.
    fn has_a_wrong_clock(&mut self) -> Option<Broken> {
        let ahead = || {
            let mut command = Command::new("faketime");
            // Only what the clock on the wall says.
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").args(["-f", "+5m"]);
            command
        };
        if !ahead().arg("true").status().is_ok_and(|status| status.success()) {
            return None;
        }
        Some(self.breaks("a worker restarted with its clock 5 minutes ahead, then set right", None, |site| {
            site.workers.remove(0).stop();
            let (_, folder) = site.machine(&site.ports());
            let right = site.command(&folder, &["worker"]);
            let mut wrong = ahead();
            wrong.arg(right.get_program()).args(right.get_args()).envs(site.s3.variables());
            let output = wrong.output().unwrap();
            let code = output.status.code();
            let text = lab::said(output);
            let is_said = text.contains("clock is") && text.contains("s ahead of the database's: set it (NTP)");
            assert!(code == Some(1) && is_said && text.trim().lines().count() == 1, "{code:?}: {text}");
            println!("  {}", text.trim());
            Sign::SinceItsEnd(Some(site.start_worker(&site.ports())))
        }))
    }

    /// Waits for the end of all work; how it ended, and what was asked for.
    fn finish(mut self) -> (End, Vec<Asked>) {
        while self.web.n_left(self.n) > 0 {
            let now = Instant::now();
            assert!(self.web.pace(now - PATIENCE, now, None) > 0.0, "the work stands still");
            std::thread::sleep(STEP);
        }
        self.dispatcher.take().unwrap().end();
        let queue = lab::json_of(self.command(&self.root, &["--json", "queue"]));
        assert_eq!(queue["given_up"], 0, "{queue}");
        self.workers.iter_mut().for_each(Process::stop);
        let end = lab::end_in(&self.s3.file("lab"), |args| self.command(&self.root, args));
        let asked = self.web.asked.lock().unwrap().clone();
        (end, asked)
    }
}

/// Prints the table, and ends with an error if anything was lost or done too often.
fn report(broken: &[Broken], skipped: &[String], (alone, shared): (&End, &End), asked: &[Asked]) {
    let mut times: BTreeMap<usize, Vec<Instant>> = BTreeMap::new();
    for Asked { at, number, .. } in asked {
        times.entry(*number).or_default().push(*at);
    }
    // What was asked for before a fault's end, and after the one before, may have been lost by that fault.
    let lost_by = |at: &Instant| broken.iter().position(|fault| fault.ended >= *at).unwrap_or(broken.len() - 1);
    let (mut n_twice, mut n_lost) = (vec![0; broken.len()], vec![0; broken.len()]);
    for again in times.values().filter(|times| times.len() > 1) {
        n_twice[lost_by(&again[0])] += again.len() - 1;
    }
    let ended: BTreeSet<&String> = shared.0.iter().collect();
    let lost: Vec<&String> = alone.0.iter().filter(|line| !ended.contains(line)).collect();
    for line in &lost {
        let number = line.split(".jpg").next().and_then(|before| before.rsplit('/').next()).unwrap();
        let first = times.get(&number.parse().unwrap()).map(|times| times[0]);
        // One that was never asked for is lost by whatever broke first.
        n_lost[first.map_or(0, |first| lost_by(&first))] += 1;
    }
    let n = times.len();
    let took_s = asked.last().unwrap().at.duration_since(asked[0].at).as_secs_f64();
    println!("\n{n} addresses at {HOSTS} hosts, {WORKERS} workers, {took_s:.0} s\n");
    println!(
        "| what breaks | addresses/s before | for | work goes on | back at half the pace, after its end | in all below \
         it | lost | fetched twice |\n|---|---:|---:|---|---:|---:|---:|---:|"
    );
    for (Broken { name, pace, began, ended, went_on, back, slow }, (lost, twice)) in
        broken.iter().zip(n_lost.iter().zip(&n_twice))
    {
        let [lasted, back, slow] = [*ended - *began, *back, *slow].map(|time| format!("{:.1} s", time.as_secs_f64()));
        println!("| {name} | {pace:.0} | {lasted} | {went_on} | {back} | {slow} | {lost} | {twice} |");
    }
    skipped.iter().for_each(|line| println!("\n{line}"));
    assert!(lost.is_empty(), "{} addresses did not end as with one machine alone, such as {}", lost.len(), lost[0]);
    assert!(shared == alone, "the end is not that of one machine alone");
    assert!(times.values().all(|times| times.len() <= 2), "an address was fetched more than twice");
    assert!(n_twice[0] <= RECORDED_TOGETHER, "{} addresses were fetched again", n_twice[0]);
    assert_eq!(n_twice[1..].iter().sum::<usize>(), 0, "no worker died: nothing is fetched twice");
}

//! Do several workers end where one machine alone ends, whoever is killed on the way, with a real nats-server between them?

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

mod catalogue;
mod lab;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use affectory_catalog::{Packing, Project, QueueConfig, Secrets};
use affectory_core::Stop;
use affectory_dispatch::{
    Activity, Credentials, DispatchError, Queue, Shard, ShardWork, Urgency, WorkStage, Worked, work_off,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use self::lab::{
    Line, Nats, addresses, affectory, end_of, ended, json, put_on_the_list, said, serve, serve_pictures, signal,
    wait_until,
};

/// Addresses, at this many hosts.
const N: usize = 2_400;
const HOSTS: usize = 24;

/// Each test starts half a dozen processes: one test at a time.
static TURN: Mutex<()> = Mutex::new(());

/// A project with a list of addresses, a server they lead to, and how often that was asked.
struct Lab {
    folder: tempfile::TempDir,
    port: u16,
    n_requests: Arc<AtomicU64>,
    _turn: MutexGuard<'static, ()>,
}

impl Lab {
    fn new() -> Lab {
        let n_requests = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&n_requests);
        let port = serve_pictures(move |_, _| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Lab { folder: tempfile::tempdir().unwrap(), port, n_requests, _turn: turn }
    }

    fn project(&self, name: &str) -> PathBuf {
        let root = self.folder.path().join(name);
        let init = ["init", root.to_str().unwrap(), "--catalog", &catalogue::catalog()];
        assert!(affectory(&root, &init).output().unwrap().status.success());
        let settings = "contact = \"lab@example.org\"\n[fetch]\npause_ms = 5\nper_host = 2\nconcurrency = 4\n\
                        open_networks = [\"127.0.0.0/8\"]\n";
        std::fs::write(root.join("collect.toml"), settings).unwrap();
        put_on_the_list(&root, &Secrets::default(), &addresses(self.port, N, HOSTS));
        root
    }
}

/// A collector of traces that keeps what it is told, each span with the process that told it; or one that never answers.
struct Collector {
    port: u16,
    spans: Arc<Mutex<Vec<(String, Span)>>>,
}

impl Collector {
    fn start(answers: bool) -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let collector = Collector { port: listener.local_addr().unwrap().port(), spans: Arc::default() };
        let spans = Arc::clone(&collector.spans);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if answers {
                    let spans = Arc::clone(&spans);
                    std::thread::spawn(move || while take_spans(&stream, &spans).is_some() {});
                } else {
                    // Stays open, and is never read.
                    std::mem::forget(stream);
                }
            }
        });
        collector
    }

    /// A command whose traces go there.
    fn follow(&self, command: &mut Command, ratio: &str) {
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", self.port))
            .env("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
            .env("OTEL_TRACES_SAMPLER_ARG", ratio);
    }
}

/// Reads one request and answers it.
fn take_spans(mut stream: &TcpStream, spans: &Mutex<Vec<(String, Span)>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut n_bytes = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_lowercase();
        if let Some(length) = line.strip_prefix("content-length:") {
            n_bytes = length.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; n_bytes];
    reader.read_exact(&mut body).ok()?;
    for batch in ExportTraceServiceRequest::decode(&*body).unwrap().resource_spans {
        let attributes = batch.resource.unwrap().attributes;
        let instance = attributes.iter().find(|attribute| attribute.key == "service.instance.id").unwrap();
        let instance = format!("{:?}", instance.value);
        let told = batch.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.lock().unwrap().extend(told.map(|span| (instance.clone(), span)));
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()
}

/// A small disk in a folder's place, gone with this.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, size: &str) -> Option<Disk> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(at).output();
        mount.is_ok_and(|output| output.status.success()).then(|| Disk(at.to_owned()))
    }

    fn resize(&self, size: &str) {
        let options = format!("remount,{size}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn worker(project: &Path) -> Child {
    affectory(project, &["--json", "worker"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Publishes by hand, as anybody can who reaches the server.
fn publish(port: u16, messages: &[(&str, &str)]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    for (subject, payload) in messages {
        let n = payload.len();
        write!(stream, "CONNECT {{\"verbose\":false}}\r\nPUB {subject} answer {n}\r\n{payload}\r\nPING\r\n").unwrap();
    }
    // The server's information, and its answer to each ping.
    let mut heard = Vec::new();
    wait_until("it heard us", || {
        let mut buffer = [0; 4096];
        let n = stream.read(&mut buffer).unwrap();
        heard.extend_from_slice(&buffer[..n]);
        String::from_utf8_lossy(&heard).matches("PONG").count() == messages.len()
    });
}

#[test]
fn whoever_is_killed_nothing_is_lost_and_nothing_is_done_twice() {
    let Some(mut nats) = Nats::start() else { return };
    let lab = Lab::new();
    let alone = lab.project("alone");
    json(&alone, &["collect", "run", "--no-search"]);
    let n_alone = lab.n_requests.swap(0, Ordering::Relaxed);
    assert_eq!(n_alone, N as u64);

    let shared = lab.project("shared");
    serve(&shared, std::slice::from_ref(&nats));
    let mut dispatcher = affectory(&shared, &["dispatch", "--until-done", "--ahead", "4"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut workers: Vec<Child> = (0..3).map(|_| worker(&shared)).collect();
    let n_done = |part: usize| lab.n_requests.load(Ordering::Relaxed) >= (N * part / 10) as u64;
    wait_until("a tenth is fetched", || n_done(1));
    workers[0].kill().unwrap();
    workers[0].wait().unwrap();
    // It frees what the dead one held; on another machine that would take until the leases end.
    workers.push(worker(&shared));
    wait_until("three tenths are fetched", || n_done(3));
    nats.kill();
    std::thread::sleep(Duration::from_secs(1));
    nats.start_again();
    wait_until("half is fetched", || n_done(5));
    publish(nats.port, &[("$JS.API.STREAM.DELETE.lab-work", "")]);
    dispatcher.kill().unwrap();
    dispatcher.wait().unwrap();
    // Asked to end, it ends what it has begun and gives the rest back.
    signal(&workers[1], "-TERM");
    let left = ended(workers.remove(1));
    let said_left = said(left.clone());
    assert!(left.status.success(), "{said_left}");
    let dispatched = affectory(&shared, &["--json", "dispatch", "--until-done"]).output().unwrap();
    assert!(dispatched.status.success(), "{}", said(dispatched));
    // A shard offered twice, or that its worker was about to acknowledge, outlives the work by a little; what was handed to
    // somebody dead, by a minute.
    wait_until("no shard is left", || {
        let queue = json(&shared, &["queue"]);
        let is_empty = |stage| queue["stages"][stage] == serde_json::json!({ "waiting": 0, "urgent": 0, "in_work": 0 });
        ["fetch", "faces"].into_iter().all(is_empty)
    });
    let mut n_shards = 0;
    for child in workers.drain(1..) {
        signal(&child, "-TERM");
        let output = ended(child);
        assert!(output.status.success(), "{}", said(output));
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        n_shards += document["fetch"]["shards"]["done"].as_u64().unwrap();
    }
    assert!(n_shards > 0);
    assert_eq!(end_of(&shared), end_of(&alone));
    // A fetch that was under way when its worker died is done again, and no other.
    let n_shared = lab.n_requests.load(Ordering::Relaxed);
    assert!((N as u64..=(N + 2 * 500) as u64).contains(&n_shared), "{n_shared} requests for {N} addresses");
}

#[test]
fn one_images_way_through_two_processes_is_one_trace_and_a_deaf_collector_costs_nothing() {
    let Some(nats) = Nats::start() else { return };
    let lab = Lab::new();
    let alone = lab.project("alone");
    let began = Instant::now();
    json(&alone, &["collect", "run", "--no-search"]);
    let took_alone = began.elapsed();

    let shared = lab.project("shared");
    serve(&shared, std::slice::from_ref(&nats));
    let collector = Collector::start(true);
    let start = |args: &[&str]| {
        let mut command = affectory(&shared, args);
        collector.follow(&mut command, "0.5");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let workers = ["fetch", "faces"].map(|stage| start(&["worker", "--stage", stage]));
    let dispatched = ended(start(&["dispatch", "--until-done"]));
    assert!(dispatched.status.success(), "{}", said(dispatched));
    for worker in workers {
        signal(&worker, "-TERM");
        let output = ended(worker);
        let text = said(output.clone());
        assert!(output.status.success() && !text.contains("span"), "{text}");
    }
    let end = end_of(&shared);
    assert_eq!(end, end_of(&alone));

    let spans = collector.spans.lock().unwrap();
    let mut n_followed = 0;
    for hash in &end.1 {
        let of_trace: Vec<_> = spans.iter().filter(|(_, span)| hex(&span.trace_id) == hash[..32]).collect();
        if of_trace.is_empty() {
            continue;
        }
        n_followed += 1;
        let named = |name: &str| of_trace.iter().filter(|(_, span)| span.name == name).collect::<Vec<_>>();
        let (roots, fetches, faces) = (named("image"), named("fetch"), named("faces"));
        assert!(!roots.is_empty() && roots.len() == fetches.len() && faces.len() == 1, "{of_trace:?}");
        assert!(roots.iter().all(|(_, root)| hex(&root.span_id) == hash[32..48] && root.parent_span_id.is_empty()));
        let (looker, look) = faces[0];
        let (fetcher, fetch) = fetches.iter().min_by_key(|(_, fetch)| fetch.start_time_unix_nano).unwrap();
        assert_ne!(looker, fetcher);
        for span in [look, fetch] {
            assert_eq!(hex(&span.parent_span_id), hash[32..48]);
            assert!(span.start_time_unix_nano < span.end_time_unix_nano);
            assert!(span.links.len() == 1 && span.status.as_ref().is_none_or(|status| status.code == 0));
        }
        assert!(fetch.end_time_unix_nano <= look.start_time_unix_nano, "{fetch:?} {look:?}");
    }
    let n_images = end.1.len();
    println!("{n_followed} of {n_images} images were followed, in {} spans", spans.len());
    assert!(n_followed * 10 > n_images * 4 && n_followed * 10 < n_images * 6);
    let is_gone = |span: &Span| span.status.as_ref().is_some_and(|status| status.code == 2 && status.message == "gone");
    let n_gone = spans.iter().filter(|(_, span)| span.name == "fetch" && is_gone(span)).count();
    assert!(n_gone > N / 10 * 3 / 10, "{n_gone}");
    // A shard's own trace is the one to which its images' steps are linked.
    let shards: Vec<_> =
        spans.iter().filter(|(_, span)| span.name == "shard").map(|(_, span)| &span.trace_id).collect();
    assert!(spans.iter().any(|(_, span)| span.links.iter().any(|link| shards.contains(&&link.trace_id))));
    let everything = format!("{:?}", spans.iter().map(|(_, span)| (&span.name, &span.attributes)).collect::<Vec<_>>());
    assert!(!everything.contains("http:") && !everything.contains(".jpg"), "no address is told");

    let deaf = lab.project("deaf");
    let (began, collector) = (Instant::now(), Collector::start(false));
    let mut command = affectory(&deaf, &["collect", "run", "--no-search"]);
    collector.follow(&mut command, "1");
    let output = ended(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let text = said(output.clone());
    let took_deaf = began.elapsed();
    println!("{took_alone:.1?} without traces, {took_deaf:.1?} with a collector that never answers");
    assert!(took_deaf < 2 * took_alone + Duration::from_secs(10), "its end waits 5 s for it");
    assert!(output.status.success() && text.contains("never reached the collector"), "{text}");
    assert_eq!(end_of(&deaf), end_of(&alone));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_cluster_loses_one_server_after_the_other_and_no_work() {
    let Some(mut cluster) = Nats::start_cluster() else { return };
    let lab = Lab::new();
    let alone = lab.project("alone");
    json(&alone, &["collect", "run", "--no-search"]);
    lab.n_requests.store(0, Ordering::Relaxed);
    let shared = lab.project("shared");
    serve(&shared, &cluster);
    // A cluster takes a moment to choose who leads.
    wait_until("the cluster has a leader", || affectory(&shared, &["queue"]).output().unwrap().status.success());
    let workers: Vec<Child> = (0..2).map(|_| worker(&shared)).collect();
    let dispatcher =
        affectory(&shared, &["dispatch", "--until-done"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    for (n, nats) in cluster.iter_mut().enumerate() {
        wait_until("a fifth more is fetched", || lab.n_requests.load(Ordering::Relaxed) >= (N * (n + 1) / 5) as u64);
        nats.kill();
        std::thread::sleep(Duration::from_millis(500));
        nats.start_again();
    }
    let output = ended(dispatcher);
    assert!(output.status.success(), "{}", said(output));
    for worker in workers {
        signal(&worker, "-TERM");
        let output = ended(worker);
        assert!(output.status.success(), "{}", said(output));
    }
    assert_eq!(end_of(&shared), end_of(&alone));
    assert_eq!(lab.n_requests.load(Ordering::Relaxed), N as u64, "no worker died: nothing is fetched twice");
}

#[test]
fn a_worker_that_is_cut_off_from_the_queue_records_what_it_has_and_goes_on_afterwards() {
    let Some(nats) = Nats::start() else { return };
    let lab = Lab::new();
    let alone = lab.project("alone");
    json(&alone, &["collect", "run", "--no-search"]);
    lab.n_requests.store(0, Ordering::Relaxed);
    let shared = lab.project("shared");
    let line = Line::to(nats.port);
    serve(&shared, std::slice::from_ref(&nats));
    let path = shared.join("affectory.toml");
    let direct = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, direct.replace(&format!(":{}\"", nats.port), &format!(":{}\"", line.port))).unwrap();
    let far = worker(&shared);
    wait_until("the far worker is connected", || line.n_heard.load(Ordering::Relaxed) > 1_000);
    std::fs::write(&path, direct).unwrap();
    let dispatcher = affectory(&shared, &["dispatch", "--until-done", "--ahead", "2"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let n_done = || lab.n_requests.load(Ordering::Relaxed);
    wait_until("a tenth is fetched", || n_done() >= N as u64 / 10);
    line.is_cut.store(true, Ordering::Relaxed);
    let near = worker(&shared);
    wait_until("four tenths are fetched", || n_done() >= N as u64 * 4 / 10);
    signal(&near, "-TERM");
    assert!(ended(near).status.success());
    // Longer than it waits for an answer.
    std::thread::sleep(Duration::from_secs(6));
    line.is_cut.store(false, Ordering::Relaxed);
    let (healed, n_left) = (Instant::now(), N as u64 - n_done());
    let output = ended(dispatcher);
    println!("{n_left} addresses were left, and done {:.1} s after the line was whole", healed.elapsed().as_secs_f64());
    assert!(output.status.success(), "{}", said(output));
    signal(&far, "-TERM");
    let output = ended(far);
    assert!(output.status.success(), "{}", said(output));
    assert_eq!(end_of(&shared), end_of(&alone));
    assert_eq!(n_done(), N as u64, "nothing is fetched twice");
}

#[test]
fn a_worker_whose_disk_is_full_gives_its_work_back_and_ends_with_one_line() {
    let Some(nats) = Nats::start() else { return };
    let lab = Lab::new();
    let alone = lab.project("alone");
    json(&alone, &["collect", "run", "--no-search"]);
    let shared = lab.project("shared");
    serve(&shared, std::slice::from_ref(&nats));
    let objects = shared.join("objects");
    std::fs::create_dir_all(&objects).unwrap();
    let Some(disk) = Disk::mount(&objects, "size=2m") else {
        println!("SKIPPED: a full disk cannot be tried here, because mounting a small tmpfs needs root");
        return;
    };
    let dispatcher =
        affectory(&shared, &["dispatch", "--until-done"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let output = affectory(&shared, &["worker"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = said(output);
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error")).collect();
    assert!(errors.len() == 1 && errors[0].contains("No space"), "{text}");
    disk.resize("size=64m");
    let (began, n_left) = (Instant::now(), json(&shared, &["collect", "status"])["pace"]["waiting"].clone());
    let another = worker(&shared);
    let output = ended(dispatcher);
    println!("{n_left} addresses were left, and done {:.1} s after there was room", began.elapsed().as_secs_f64());
    assert!(output.status.success(), "{}", said(output));
    signal(&another, "-TERM");
    let output = ended(another);
    assert!(output.status.success(), "{}", said(output));
    assert_eq!(end_of(&shared), end_of(&alone));
}

/// A project with a hundred drawn faces, a pool of all of them and a release.
fn faces_project(lab: &Lab, name: &str) -> PathBuf {
    let root = lab.folder.path().join(name);
    let faces = lab.folder.path().join("faces");
    affectory_synthetic::write_folder(&faces, 100, 3, 48).unwrap();
    json(&root, &["init", root.to_str().unwrap(), "--catalog", &catalogue::catalog()]);
    json(&root, &["import", "folder", faces.to_str().unwrap()]);
    json(&root, &["pools", "add", "p", "--order", "uncertainty", "--labelled"]);
    json(&root, &["release", "build", "r"]);
    root
}

/// What a model thinks of each face, the packs with their hashes, and how often the pool was ordered.
fn seen_and_packed(root: &Path) -> (String, Packing, usize) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let project = Project::open(root).await.unwrap();
        let catalog = &project.catalog;
        let seen = format!("{:?}", catalog.list_sure_categories(0.0).await.unwrap());
        let release = catalog.find_release("r").await.unwrap().id;
        let packing = catalog.find_packing(release).await.unwrap().unwrap();
        let log = catalog.list_audit(None, 100).await.unwrap();
        catalog.close().await;
        (seen, packing, log.iter().filter(|row| row.action == "order-pool").count())
    })
}

#[test]
fn workers_let_a_model_see_a_pool_and_pack_a_release_as_one_machine_does() {
    let Some(nats) = Nats::start() else { return };
    let lab = Lab::new();
    let (alone, shared) = (faces_project(&lab, "alone"), faces_project(&lab, "shared"));
    assert_eq!(json(&alone, &["pools", "suggest", "p"])["faces"], 100);
    json(&alone, &["release", "pack", "r", "--images-per-pack", "5"]);

    serve(&shared, std::slice::from_ref(&nats));
    for (args, expected) in [
        (&["--stage", "predict"][..], "--stage predict needs --pool"),
        (&["--stage", "pack"], "--stage pack needs --release"),
        (&["--pool", "q"], "there are: p"),
        (&["--release", "x"], "there are: r"),
    ] {
        let text = said(affectory(&shared, &[&["dispatch"], args].concat()).output().unwrap());
        assert!(text.contains(expected) && text.trim().lines().count() == 1, "{text}");
    }
    let offer = ["--json", "dispatch", "--pool", "p", "--release", "r", "--images-per-pack", "5", "--until-done"];
    let dispatcher = affectory(&shared, &offer).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let look = ["--json", "worker", "--stage", "predict,pack"];
    let start = || affectory(&shared, &look).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut workers: Vec<Child> = (0..3).map(|_| start()).collect();
    let written = || seen_and_packed(&shared).1.packs.iter().filter(|pack| pack.written.is_some()).count();
    wait_until("some packs are written", || {
        // Another process may be dividing the release just now.
        std::panic::catch_unwind(written).is_ok_and(|n| n > 2)
    });
    // One is asked to end, and gives back what it has begun.
    signal(&workers[0], "-TERM");
    let mut documents = vec![ended(workers.remove(0))];
    let offered = ended(dispatcher);
    assert!(offered.status.success(), "{}", said(offered));
    let offered: serde_json::Value = serde_json::from_slice(&offered.stdout).unwrap();
    assert_eq!((&offered["unseen"], offered["predict_shards"].as_u64()), (&0.into(), Some(1)), "{offered}");
    for child in workers {
        signal(&child, "-TERM");
        documents.push(ended(child));
    }
    let n_packs: u64 = documents
        .iter()
        .map(|output| {
            let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            document["pack"]["work"]["packs"].as_u64().unwrap_or(0)
        })
        .sum();
    let found = seen_and_packed(&shared);
    assert_eq!(found, seen_and_packed(&alone));
    let packing = found.1;
    assert!(n_packs >= packing.packs.len() as u64 && packing.packs.len() >= 20, "{n_packs}");

    // A withdrawal is one pack more.
    let manifest = std::fs::read_to_string(shared.join("releases/r/manifest.csv")).unwrap();
    let image = manifest.lines().nth(1).unwrap().split(',').nth(1).unwrap();
    json(&shared, &["release", "withdraw", image, "--reason", "asked for"]);
    let offer = affectory(&shared, &["--json", "dispatch", "--release", "r", "--until-done"]);
    let dispatcher = { offer }.stdout(Stdio::piped()).spawn().unwrap();
    let done = json(&shared, &["worker", "--stage", "pack", "--exit-when-idle", "4"]);
    assert_eq!(done["pack"]["work"]["packs"], 1, "{done}");
    assert!(ended(dispatcher).status.success());
    let n_changed = packing.packs.iter().zip(&seen_and_packed(&shared).1.packs).filter(|(a, b)| a != b).count();
    assert_eq!(n_changed, 1);
}

/// Notes which releases it was to pack.
struct Noting(Vec<String>);

impl ShardWork for Noting {
    async fn work(&mut self, shard: &Shard) -> Result<Worked, DispatchError> {
        if let Shard::Pack { release, .. } = shard {
            self.0.push(release.clone());
        }
        Ok(Worked::Done)
    }
}

#[test]
fn what_is_urgent_is_taken_before_what_has_waited_longer() {
    let Some(nats) = Nats::start() else { return };
    let lab = Lab::new();
    let project = lab.project("p");
    serve(&project, std::slice::from_ref(&nats));
    let settings =
        QueueConfig { servers: vec![format!("nats://127.0.0.1:{}", nats.port)], name: "lab".into(), replicas: 1 };
    let taken = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let queue = Queue::connect(&settings, &Credentials::None).await.unwrap();
        let pack =
            |name: &str| Shard::Pack { release: name.into(), split: affectory_core::Split::Test, number: 0, round: 1 };
        for (name, urgency) in [("a", Urgency::Usual), ("b", Urgency::Usual), ("now", Urgency::Urgent)] {
            assert!(queue.offer(&pack(name), urgency).await.unwrap());
        }
        let text = said(affectory(&project, &["queue"]).output().unwrap());
        assert!(text.contains("pack      3 shards wait (1 of them urgent)"), "{text}");
        let (mut noting, activity) = (Noting(Vec::new()), Activity::new(0));
        let taker = queue.take(WorkStage::Pack).await.unwrap();
        let counts = work_off(&mut noting, taker, (&activity, || false), || 0, &Stop::default()).await.unwrap();
        assert_eq!(counts.done, 3);
        noting.0
    });
    assert_eq!(taken, ["now", "a", "b"]);
}

#[test]
fn a_shard_that_makes_no_sense_is_given_up_with_the_reason() {
    let Some(nats) = Nats::start() else { return };
    let lab = Lab::new();
    let project = lab.project("p");
    serve(&project, std::slice::from_ref(&nats));
    // Makes the streams.
    assert_eq!(json(&project, &["queue"])["given_up"], 0);
    let other = "{\"stage\":\"fetch\",\"hosts\":[{\"host\":\"a\",\"at_most\":1,\"first\":null}]}";
    publish(nats.port, &[("lab.work.fetch", "\u{1b}[31mnonsense"), ("lab.work.faces", other)]);
    json(&project, &["worker", "--exit-when-idle", "2"]);
    let queue = json(&project, &["queue"]);
    let reasons = queue["last_given_up"].to_string();
    assert!(queue["given_up"] == 2 && reasons.contains("not a shard") && reasons.contains("another stage"), "{queue}");
    let text = said(affectory(&project, &["queue"]).output().unwrap());
    assert!(!text.contains('\u{1b}') && text.contains("given up  2"), "{text}");
}

#[test]
fn a_queue_that_is_not_there_is_one_line_that_says_what_to_do() {
    let lab = Lab::new();
    let project = lab.project("p");
    let told = |expected: &str| {
        for command in [&["worker"][..], &["dispatch"], &["queue"]] {
            let output = affectory(&project, command).output().unwrap();
            assert_eq!(output.status.code(), Some(1));
            let text = said(output);
            assert!(text.contains(expected) && text.trim().lines().count() == 1, "{text}");
        }
    };
    told("names no queue: add [queue]");
    let path = project.join("affectory.toml");
    let plain = std::fs::read_to_string(&path).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (server, expected) in [
        (format!("nats://127.0.0.1:{free}"), "is nats-server running there with JetStream"),
        ("http://127.0.0.1".to_owned(), "does not begin with nats://"),
        ("nats://me:secret@127.0.0.1".to_owned(), "take it out"),
    ] {
        std::fs::write(&path, format!("{plain}\n[queue]\nservers = [\"{server}\"]\n")).unwrap();
        told(expected);
    }
    std::fs::write(&path, format!("{plain}\n[queue]\nservers = [\"nats://127.0.0.1\"]\nname = \"a.b\"\n")).unwrap();
    told("name = \"a.b\"");
}

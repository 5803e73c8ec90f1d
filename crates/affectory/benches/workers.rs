//! What does it cost to share the work over a queue, and what do more workers bring?
//!
//! `cargo bench -p affectory --bench workers [ADDRESSES]` (default 20,000), with AFFECTORY_TEST_NATS_SERVER set as
//! `scripts/test-servers start` does. Every address leads to a small picture on one of 200 hosts of an nginx on loopback;
//! each is fetched and searched for a face: by `collect run` alone, then by a dispatcher with 1, 2 and 4 workers, each a
//! process of its own. All have a fresh project (on PostgreSQL with AFFECTORY_TEST_CATALOG=postgres), and the same
//! settings. Printed are images a second, the ratio to one machine alone, how long shards waited in the queue, and beside
//! each what a simulation (`affectory capacity`) says of it that knows only what fetching, searching and recording cost one
//! process that does one of them after the other: nothing is fitted to the runs it predicts.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

#[path = "../tests/catalogue/mod.rs"]
mod catalogue;
#[expect(dead_code, reason = "only its nginx and its list of addresses are wanted")]
mod loopback;
mod prediction;

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use affectory_catalog::Project;
use affectory_imaging::{RgbImage, encode_jpeg};
use kuva::backend::svg::SvgBackend;
use kuva::plot::LinePlot;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;

use self::prediction::{Alone, Prediction, cost_of, recording};

const HOSTS: usize = 200;
const PICTURES: usize = 1_000;

/// What one way of working came to.
struct Outcome {
    name: String,
    seconds: f64,
    /// Of the fetch stage's shards, median and 95 %, ms.
    waits_ms: Option<(i64, i64)>,
}

fn main() {
    let n: usize = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(20_000);
    let folder = tempfile::tempdir().unwrap();
    let www = folder.path().join("www");
    std::fs::create_dir(&www).unwrap();
    for number in 0..PICTURES {
        let picture = RgbImage::filled(72, 72 + (number / 256) as u32, [number as u8, 120, 90]);
        std::fs::write(www.join(format!("{number}.jpg")), encode_jpeg(&picture, 90).unwrap()).unwrap();
    }
    let hosts: Vec<String> = (1..=HOSTS).map(|at| format!("127.0.1.{at}")).collect();
    let Some((mut nginx, address)) = loopback::serve_at(folder.path(), &hosts) else {
        println!("SKIPPED: nginx is not installed (apt-get install nginx-light)");
        return;
    };
    let port = address.rsplit(':').next().unwrap().to_owned();
    let Some((mut nats, queue)) = nats(folder.path()) else { return };
    let costs = costs_of_one(folder.path(), &port, n, &nginx);
    let prediction = Prediction::from(&costs, (n, HOSTS));
    let mut outcomes = Vec::new();
    let alone = project(folder.path(), "alone", &port, n);
    let began = Instant::now();
    assert!(affectory(&alone, &["collect", "run", "--no-search"]).status().unwrap().success());
    outcomes.push(Outcome { name: "alone".into(), seconds: began.elapsed().as_secs_f64(), waits_ms: None });
    check(&alone, n);
    for n_workers in [1, 2, 4] {
        let name = format!("workers{n_workers}");
        let root = project(folder.path(), &name, &port, n);
        let path = root.join("affectory.toml");
        let settings = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{settings}\n[queue]\nservers = [\"{queue}\"]\nname = \"{name}\"\n")).unwrap();
        outcomes.push(shared(&root, n_workers));
        check(&root, n);
    }
    let alone = outcomes[0].seconds;
    println!("{n} addresses at {HOSTS} hosts, fetched and searched for faces");
    for (Outcome { name, seconds, waits_ms }, n_workers) in outcomes.iter().zip([0, 1, 2, 4]) {
        let predicted = prediction.seconds(n_workers);
        let waited = waits_ms.map(|(half, most)| format!("; shards waited {half} ms (median), {most} ms (95 %)"));
        println!(
            "{name:9} {seconds:6.1} s, {:6.0} images/s, {:.2} of alone; predicted {predicted:6.1} s ({:+.0} %){}",
            n as f64 / seconds,
            alone / seconds,
            (predicted / seconds - 1.0) * 100.0,
            waited.unwrap_or_default()
        );
    }
    draw(&outcomes, n);
    for child in [&mut nginx, &mut nats] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn affectory(project: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_affectory"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.arg("--project").arg(project).args(args);
    command
}

fn project(folder: &Path, name: &str, port: &str, n: usize) -> PathBuf {
    let root = folder.join(name);
    let catalog = catalogue::catalog();
    let init = ["init", root.to_str().unwrap(), "--catalog", &catalog];
    assert!(affectory(&root, &init).status().unwrap().success());
    let settings = "contact = \"lab@example.org\"\n[fetch]\npause_ms = 0\nper_host = 4\nconcurrency = 64\n\
                    open_networks = [\"127.0.0.0/8\"]\n";
    std::fs::write(root.join("collect.toml"), settings).unwrap();
    let url = |at: usize| format!("http://127.0.1.{}:{port}/{}.jpg?{at}", 1 + at % HOSTS, at % PICTURES);
    let urls: Vec<String> = (0..n).map(url).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let project = Project::open(&root).await.unwrap();
        loopback::put_on_the_list(&project, &urls).await;
        project.catalog.close().await;
    });
    root
}

/// What one process costs that fetches, then searches; and what recording costs, in projects of their own.
fn costs_of_one(folder: &Path, port: &str, n: usize, nginx: &Child) -> Alone {
    let root = project(folder, "costs", port, n);
    let fetch = cost_of(affectory(&root, &["collect", "run", "--no-search", "--no-faces"]), Some(nginx));
    let faces = cost_of(affectory(&root, &["faces", "run"]), None);
    let start = cost_of(affectory(&root, &["collect", "run", "--no-search"]), None);
    check(&root, n);
    let root = project(folder, "recording", port, n);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = runtime.block_on(Project::open(&root)).unwrap();
    let (commit_s, row_s) = runtime.block_on(recording(&place, n as i64));
    runtime.block_on(place.catalog.close());
    Alone { start, fetch, faces, commit_s, row_s, n_images: n.min(PICTURES) }
}

/// A nats-server of our own.
fn nats(folder: &Path) -> Option<(Child, String)> {
    #[expect(clippy::disallowed_methods, reason = "a benchmark asks where its server is")]
    let program = std::env::var_os("AFFECTORY_TEST_NATS_SERVER");
    let Some(program) = program else {
        println!("SKIPPED: AFFECTORY_TEST_NATS_SERVER names no nats-server (scripts/test-servers start)");
        return None;
    };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let store = folder.join("nats");
    let args = ["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd", store.to_str().unwrap()];
    let child = Command::new(program).args(args).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "nats-server does not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
    Some((child, format!("nats://127.0.0.1:{port}")))
}

/// A dispatcher and its workers, until nothing is left.
fn shared(root: &Path, n_workers: usize) -> Outcome {
    let began = Instant::now();
    let workers: Vec<Child> = (0..n_workers)
        .map(|_| affectory(root, &["--json", "worker"]).stdout(Stdio::piped()).spawn().unwrap())
        .collect();
    assert!(affectory(root, &["dispatch", "--until-done"]).status().unwrap().success());
    let seconds = began.elapsed().as_secs_f64();
    let mut waits = Vec::new();
    for worker in &workers {
        assert!(Command::new("kill").arg(worker.id().to_string()).status().unwrap().success());
    }
    for worker in workers {
        let said = worker.wait_with_output().unwrap();
        let document: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        let wait = &document["fetch"]["wait_ms"];
        waits.extend(wait["p50"].as_i64().zip(wait["p95"].as_i64()));
    }
    // Of workers that differ, the longer waits.
    let waits_ms = waits.into_iter().reduce(|(a, b), (c, d)| (a.max(c), b.max(d)));
    Outcome { name: format!("{n_workers} workers"), seconds, waits_ms }
}

/// Everything is fetched and looked at, by whoever did it.
fn check(root: &Path, n: usize) {
    let said = affectory(root, &["--json", "collect", "status"]).stdout(Stdio::piped()).output().unwrap();
    let status: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    let outcomes = status["outcomes"].as_array().unwrap();
    let fetched =
        outcomes.iter().filter(|row| row["state"] == "fetched").map(|row| row["candidates"].as_u64().unwrap());
    assert_eq!(fetched.sum::<u64>(), n as u64, "{status}");
    let said = affectory(root, &["--json", "faces", "status"]).stdout(Stdio::piped()).output().unwrap();
    let status: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((status["pending"].as_u64(), status["leased"].as_u64()), (Some(0), Some(0)), "{status}");
}

fn draw(outcomes: &[Outcome], n: usize) {
    let points: Vec<(f64, f64)> =
        [1.0, 2.0, 4.0].into_iter().zip(&outcomes[1..]).map(|(x, outcome)| (x, n as f64 / outcome.seconds)).collect();
    let line = |points, colour, label| LinePlot::new().with_data(points).with_color(colour).with_legend(label);
    let alone = n as f64 / outcomes[0].seconds;
    let plots: Vec<Plot> = vec![
        line(points, "steelblue", "workers over the queue").into(),
        line(vec![(1.0, alone), (4.0, alone)], "gray", "one process alone").into(),
    ];
    let layout = Layout::auto_from_plots(&plots)
        .with_title("Fetching and finding faces")
        .with_x_label("workers")
        .with_y_label("images a second");
    let svg = SvgBackend.render_scene(&render_multiple(plots, layout));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/workers.svg");
    if std::fs::write(&path, svg).is_ok() {
        println!("drawn: docs/workers.svg");
    }
}

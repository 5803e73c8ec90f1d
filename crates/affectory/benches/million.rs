//! Does collecting stay as fast and as small when the catalogue grows to a million addresses, and does it end the same
//! however often it is killed?
//!
//! `cargo bench -p affectory --bench million [QUERIES]`: plans all queries (or so many for each expression and language),
//! asks a local provider for four pages of eighty each, and fetches all of it from a thousand hosts on loopback, of whose
//! addresses 4 % are gone, 1 % fail once, 2 % are no pictures and 5 % lie on slow hosts. Once undisturbed, with images/s
//! for each 10,000 (also as `docs/collect-million.svg`) and the largest memory; once more, killed thirty times; then both
//! projects are compared: outcomes, hits, counts and every object. The whole takes about half an hour.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use affectory_imaging::{RgbImage, encode_png};
use kuva::backend::svg::SvgBackend;
use kuva::plot::LinePlot;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Blocks of eighty photographs that queries are answered with: 23,256 pages draw a million different ones from them.
const BLOCKS: u64 = 17_000;
const PAGE: u64 = 80;
const PAGES: u64 = 4;
const HOSTS: u64 = 1_000;
const KILLS: u32 = 30;
const STEP: u64 = 10_000;

/// The provider and a thousand image servers.
#[derive(Default)]
struct Site {
    port: u16,
    n_served: AtomicU64,
    /// When each further 10,000 images had been served.
    steps: Mutex<Vec<Instant>>,
    /// Photographs that have failed once.
    failed_once: Mutex<HashSet<u64>>,
}

#[tokio::main]
async fn main() {
    let limit: Option<u32> = std::env::args().find_map(|arg| arg.parse().ok());
    let folder = tempfile::tempdir().unwrap();
    let site = start().await;
    let (calm, wild) =
        (project(folder.path(), "calm", site.port, limit), project(folder.path(), "wild", site.port, limit));
    let length = tokio::task::block_in_place(|| undisturbed(&site, &calm, limit.is_none()));
    site.failed_once.lock().unwrap().clear();
    tokio::task::block_in_place(|| killed(&wild, length));
    let (expected, found) = (state(&calm), state(&wild));
    assert_eq!(found.0, expected.0, "outcomes, hits and counts differ");
    assert!(found.1 == expected.1, "the stores differ");
    println!("killed and undisturbed are equal: {} objects, {}", found.1.len(), found.0["outcomes"]);
}

/// Searches, then fetches, and says how fast and how large each was; the time of both.
fn undisturbed(site: &Site, project: &Path, is_whole: bool) -> Duration {
    let began = Instant::now();
    let (seconds, peak) = measured(affectory(project, &["--json", "collect", "run", "--no-fetch", "--no-faces"]));
    let status = json(project, &["collect", "status"]);
    let sum =
        |key: &str| status["searches"].as_array().unwrap().iter().map(|row| row[key].as_u64().unwrap()).sum::<u64>();
    let waiting = status["pace"]["waiting"].as_u64().unwrap();
    println!(
        "searched: {} pages, {} hits, {waiting} addresses in {seconds:.0} s ({:.0} hits/s); peak memory {peak} MB",
        sum("pages"),
        sum("hits"),
        sum("hits") as f64 / seconds
    );
    let start = Instant::now();
    *site.steps.lock().unwrap() = vec![start];
    site.n_served.store(0, Ordering::Relaxed);
    let (seconds, peak) =
        measured(affectory(project, &["--json", "collect", "run", "--no-search", "--no-faces", "--patience", "200"]));
    let steps = site.steps.lock().unwrap().clone();
    let rates: Vec<(f64, f64)> = (1..)
        .zip(steps.windows(2))
        .map(|(n, pair)| ((n * STEP) as f64, STEP as f64 / (pair[1] - pair[0]).as_secs_f64()))
        .collect();
    for (n, rate) in rates.iter().filter(|(n, _)| rates.len() <= 10 || (*n as u64).is_multiple_of(10 * STEP)) {
        println!("  images {:9} to {n:9}: {rate:.0} images/s", n - STEP as f64);
    }
    let mean = |part: &[(f64, f64)]| part.iter().map(|(_, rate)| rate).sum::<f64>() / part.len().max(1) as f64;
    let tenth = rates.len().div_ceil(10);
    println!(
        "fetched: {} addresses asked for in {seconds:.0} s; first tenth {:.0} images/s, last tenth {:.0} images/s; peak \
         memory {peak} MB",
        site.n_served.load(Ordering::Relaxed),
        mean(&rates[..tenth.min(rates.len())]),
        // The very last step waits for what failed once.
        mean(&rates[rates.len().saturating_sub(tenth + 2)..rates.len().saturating_sub(2)]),
    );
    if is_whole {
        plot(rates);
    }
    began.elapsed()
}

/// Runs to the end with thirty kills on the way, spread over the time that an undisturbed run takes.
fn killed(project: &Path, length: Duration) {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
    let mut n_hit = 0;
    for _ in 0..KILLS {
        let mut child = spawn(affectory(project, &["collect", "run", "--no-faces"]));
        std::thread::sleep(length.mul_f64(random.random_range(0.1..1.5) / f64::from(KILLS)));
        n_hit += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let began = Instant::now();
    let (_, peak) = measured(affectory(project, &["collect", "run", "--no-faces", "--patience", "200"]));
    println!("killed {n_hit} times, then to its end in {:.0} s; peak memory {peak} MB", began.elapsed().as_secs_f64());
}

/// Everything that must not depend on kills: what the catalogue counts, and the objects in the store.
fn state(project: &Path) -> (serde_json::Value, Vec<String>) {
    let status = json(project, &["collect", "status"]);
    let counts = json(project, &["doctor"])["project"]["counts"].clone();
    let mut objects = Vec::new();
    for folder in std::fs::read_dir(project.join("objects")).unwrap() {
        for object in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            objects.push(object.unwrap().file_name().into_string().unwrap());
        }
    }
    // A kill leaves what was being written under a name of its own.
    objects.retain(|name| name.len() == 64);
    objects.sort_unstable();
    let counted = serde_json::json!({
        "outcomes": status["outcomes"], "searches": status["searches"], "yield": status["yield"], "counts": counts,
    });
    (counted, objects)
}

fn plot(rates: Vec<(f64, f64)>) {
    let line = LinePlot::new().with_data(rates).with_color("#1b6ca8").with_stroke_width(1.5);
    let plots = vec![Plot::Line(line)];
    let layout = Layout::auto_from_plots(&plots)
        .with_title("1,000 loopback hosts, a million addresses")
        .with_x_label("images asked for")
        .with_y_label("images/s for each 10,000");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/collect-million.svg");
    std::fs::write(path, SvgBackend.render_scene(&render_multiple(plots, layout))).unwrap();
}

fn affectory(project: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_affectory"));
    command.env("AFFECTORY_PEXELS_KEY", "sesame").stdin(Stdio::null()).arg("--project").arg(project).args(args);
    command
}

fn json(project: &Path, args: &[&str]) -> serde_json::Value {
    let output = affectory(project, &[&["--json"], args].concat()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn spawn(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Seconds of a whole command, and its largest memory in MB.
fn measured(command: Command) -> (f64, u64) {
    let began = Instant::now();
    let mut child = spawn(command);
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        peak = peak.max(peak_memory(child.id()));
        std::thread::sleep(Duration::from_millis(200));
    };
    assert!(status.success(), "the command failed");
    (began.elapsed().as_secs_f64(), peak)
}

fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn project(folder: &Path, name: &str, port: u16, limit: Option<u32>) -> PathBuf {
    let project = folder.join(name);
    std::fs::create_dir(&project).unwrap();
    let settings = format!(
        "contact = \"lab@example.org\"\n[[provider]]\nkind = \"pexels\"\nbase_url = \"http://127.0.0.1:{port}\"\n\
         pause_ms = 0\ndaily_budget = 1000000\nmax_results = {}\n[fetch]\nconcurrency = 256\nper_host = 4\npause_ms = 0\n\
         open_networks = [\"127.0.0.0/8\"]\n",
        PAGE * PAGES
    );
    std::fs::write(project.join("collect.toml"), settings).unwrap();
    assert!(affectory(&project, &["init"]).arg(&project).output().unwrap().status.success());
    let limit = limit.map(|limit| limit.to_string());
    let mut args = vec!["collect", "plan"];
    args.extend(limit.iter().flat_map(|limit| ["--limit", limit.as_str()]));
    println!("{name}: {} queries planned", json(&project, &args)["total"]);
    project
}

async fn start() -> Arc<Site> {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let site = Arc::new(Site { port: listener.local_addr().unwrap().port(), ..Site::default() });
    let shared = Arc::clone(&site);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let site = Arc::clone(&shared);
            tokio::spawn(async move { site.serve(stream).await });
        }
    });
    site
}

impl Site {
    /// Answers one request after the other until the client goes away.
    async fn serve(&self, stream: TcpStream) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        loop {
            let first = lines.next_line().await.ok()??;
            while !lines.next_line().await.ok()??.is_empty() {}
            let path = first.split(' ').nth(1)?;
            let (status, body) = self.answer(path).await;
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            write.write_all(&[head.as_bytes(), &body].concat()).await.ok()?;
        }
    }

    async fn answer(&self, path: &str) -> (&'static str, Vec<u8>) {
        if path.starts_with("/v1/search") {
            return ("200 OK", self.page(path).to_string().into_bytes());
        }
        let number = path.strip_prefix("/photo/").and_then(|name| name.strip_suffix(".png")?.parse::<u64>().ok());
        let Some(number) = number else { return ("404 Not Found", Vec::new()) };
        let n_served = self.n_served.fetch_add(1, Ordering::Relaxed) + 1;
        if n_served.is_multiple_of(STEP) {
            self.steps.lock().unwrap().push(Instant::now());
        }
        if host(number) % 20 == 7 {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        // Of every hundred addresses of a host.
        match number / HOSTS % 100 {
            0..4 => ("404 Not Found", Vec::new()),
            4 if self.failed_once.lock().unwrap().insert(number) => ("503 Service Unavailable", Vec::new()),
            5 => ("200 OK", b"<!doctype html><title>no picture</title>".to_vec()),
            6 => ("200 OK", picture(number)[..20].to_vec()),
            _ => ("200 OK", picture(number)),
        }
    }

    /// A page of a query: the same for the same request, whenever it comes.
    fn page(&self, path: &str) -> serde_json::Value {
        let hash =
            path.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        // The low bits of this hash follow the last bytes of the path alone.
        let first = (hash >> 20) % BLOCKS * PAGE;
        let photos: Vec<_> = (first..first + PAGE)
            .map(|number| {
                let at = host(number);
                let address = format!("http://127.1.{}.{}:{}", at / 200, at % 200 + 1, self.port);
                serde_json::json!({
                    "id": number, "url": format!("https://pages.example/{number}"), "photographer": "somebody",
                    "alt": "a face", "src": { "original": format!("{address}/photo/{number}.png") },
                })
            })
            .collect();
        serde_json::json!({ "photos": photos, "total_results": PAGE * PAGES, "next_page": "https://api.example/next" })
    }
}

fn host(number: u64) -> u64 {
    number % HOSTS
}

/// Of ten photographs the last is the one before it: the same picture under two addresses.
fn picture(number: u64) -> Vec<u8> {
    let seed = if number % 10 == 9 { number - 1 } else { number };
    let mut pixels = vec![0; 16 * 8 * 3];
    rand_chacha::ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut pixels);
    encode_png(&RgbImage { width: 16, height: 8, pixels }).unwrap()
}

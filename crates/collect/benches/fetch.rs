//! How fast are originals fetched, hashed and kept beside img2dataset, on one loopback nginx and the same addresses?
//!
//! `cargo bench -p affectory-collect --bench fetch [N]` with Debian's nginx installed and `AFFECTORY_YARDSTICK_PYTHON`, a
//! Python that has img2dataset. Wall time of the whole work on both sides: ours ends with everything in the catalogue and
//! the store, img2dataset's (with its start, as a user meets it) with tar shards, without resizing.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

mod loopback;

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use affectory_catalog::{Project, ProjectConfig};
use affectory_collect::{CatalogHosts, Client, CollectSettings, FetchPlace, FetchRequest, fetch};
use affectory_core::{Silent, Stop};
use affectory_imaging::{RgbImage, encode_jpeg};
use loopback::{count_done, img2dataset, now_ms, put_on_the_list, serve};
use rand::{RngCore as _, SeedableRng as _};

/// As AffectNet's mean face image is about: 350 to 425 pixels a side, some 40 kB.
const SIDE: u32 = 350;

#[tokio::main]
async fn main() {
    let n_images: usize = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(4_000);
    let folder = tempfile::tempdir().unwrap();
    draw(&folder.path().join("www"), n_images);
    let Some((mut nginx, address)) = serve(folder.path()) else {
        println!("SKIPPED: nginx is not installed (apt-get install nginx-light)");
        return;
    };
    let urls: Vec<String> = (0..n_images).map(|n| format!("{address}/{n}.jpg")).collect();
    for round in 1..=3 {
        let cpu_before = cpu_seconds();
        let seconds = ours(&folder.path().join(format!("project{round}")), &urls).await;
        println!(
            "affectory, round {round}: {seconds:.2} s, {:.0} images/s, {:.2} s of CPU",
            n_images as f64 / seconds,
            cpu_seconds() - cpu_before
        );
    }
    theirs(folder.path(), &urls);
    nginx.kill().unwrap();
    nginx.wait().unwrap();
}

/// Pictures that are all different and compress like photographs: noise on a coarse grid, smoothed by the encoder.
fn draw(folder: &Path, n_images: usize) {
    std::fs::create_dir(folder).unwrap();
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    for n in 0..n_images {
        let mut cells = vec![0u8; 70 * 70 * 3];
        random.fill_bytes(&mut cells);
        let cell = |x: u32, y: u32, channel: u32| cells[((y / 5 * 70 + x / 5) * 3 + channel) as usize];
        let pixels = (0..SIDE * SIDE * 3).map(|at| cell(at / 3 % SIDE, at / 3 / SIDE, at % 3)).collect();
        let picture = RgbImage { width: SIDE, height: SIDE, pixels };
        std::fs::write(folder.join(format!("{n}.jpg")), encode_jpeg(&picture, 80).unwrap()).unwrap();
    }
}

/// User and system time of this process so far, which tells more than the clock when the machine does other things, too.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().filter_map(|&at| fields.get(at)?.parse::<f64>().ok()).sum();
    ticks / 100.0
}

async fn ours(folder: &Path, urls: &[String]) -> f64 {
    let project = Project::init(folder, ProjectConfig::default()).await.unwrap();
    let text = "contact = \"lab@example.org\"\n[fetch]\nconcurrency = 64\nper_host = 64\npause_ms = 0\n\
                open_networks = [\"127.0.0.1\"]\n";
    let settings = CollectSettings::parse("collect.toml".as_ref(), text).unwrap();
    put_on_the_list(&project, urls).await;
    let began = Instant::now();
    let client = Client::new(settings.client().unwrap()).unwrap();
    let request = FetchRequest { worker: "w".into(), patience_ms: 0, seed: 1 };
    let place = FetchPlace { catalog: &project.catalog, store: &project.store };
    let mut hosts = CatalogHosts { catalog: &project.catalog, worker: "w" };
    let source = (&mut hosts, || false);
    let done =
        fetch(place, &client, (&request, &settings.fetch), source, now_ms, (&Stop::default(), &Silent)).await.unwrap();
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(done.fetched, urls.len() as u64, "{done:?}");
    seconds
}

#[expect(clippy::disallowed_methods, reason = "a benchmark asks where its yardstick is")]
fn theirs(folder: &Path, urls: &[String]) {
    let Ok(python) = std::env::var("AFFECTORY_YARDSTICK_PYTHON") else {
        println!("img2dataset: SKIPPED, AFFECTORY_YARDSTICK_PYTHON names no Python that has it");
        return;
    };
    let list = folder.join("urls.txt");
    std::fs::write(&list, urls.join("\n")).unwrap();
    for n_processes in ["1", "2"] {
        let output = folder.join(format!("shards{n_processes}"));
        let began = Instant::now();
        let status = img2dataset(&python, &list, &output, n_processes)
            .args(["--resize_mode=no", "--disable_all_reencoding=True"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        let seconds = began.elapsed().as_secs_f64();
        assert!(status.success(), "img2dataset failed");
        let n_done = count_done(&output);
        println!(
            "img2dataset, {n_processes} processes x 64 threads: {seconds:.2} s, {n_done} images, {:.0} images/s",
            n_done as f64 / seconds
        );
    }
}

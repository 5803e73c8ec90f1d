//! How fast are originals fetched, hashed and kept beside img2dataset, on one loopback nginx and the same addresses?
//!
//! `cargo bench -p affectory --bench fetch [N]` with Debian's nginx installed and `AFFECTORY_YARDSTICK_PYTHON`, a Python
//! that has img2dataset. Both sides: a whole command, wall time with its start. Ours is `collect run --no-search
//! --no-faces` and ends with everything in the catalogue and the store; img2dataset ends with tar shards, without resizing.
//! Memory: resident, all processes of a command, sampled ten times a second.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

#[path = "loopback/command.rs"]
mod command;
mod loopback;
#[path = "loopback/pictures.rs"]
mod pictures;

use std::path::Path;

use affectory_imaging::{RgbImage, encode_jpeg};
use command::{Cost, affectory, project_with, timed};
use loopback::{count_done, img2dataset, serve};
use pictures::draw_photographs;
use rand::{RngCore as _, SeedableRng as _};

/// About as AffectNet's faces are in the mean.
const SIDE: u32 = 350;

const ROUNDS: u32 = 3;

#[tokio::main]
async fn main() {
    let n_images: usize = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(4_000);
    for (name, draw) in [("photographs", draw_faces as fn(&Path, usize) -> u64), ("noise", draw_noise)] {
        let folder = tempfile::tempdir().unwrap();
        let n_bytes = draw(&folder.path().join("www"), n_images);
        println!("{n_images} JPEGs of {SIDE}x{SIDE}, {name}, {} kB each in the mean", n_bytes / n_images as u64 / 1000);
        let Some((mut nginx, address)) = serve(folder.path()) else {
            println!("SKIPPED: nginx is not installed (apt-get install nginx-light)");
            return;
        };
        let urls: Vec<String> = (0..n_images).map(|n| format!("{address}/{n}.jpg")).collect();
        beside_each_other(folder.path(), &urls).await;
        nginx.kill().unwrap();
        nginx.wait().unwrap();
    }
}

/// Takes turns, so that what else the machine does meets both.
async fn beside_each_other(folder: &Path, urls: &[String]) {
    let (mut ours_s, mut theirs_s) = (Vec::new(), [Vec::new(), Vec::new()]);
    for round in 1..=ROUNDS {
        let cost = ours(&folder.join(format!("project{round}")), urls).await;
        print(&format!("affectory, round {round}"), &cost, urls.len() as u64);
        ours_s.push(cost.seconds);
        for (times, n_processes) in theirs_s.iter_mut().zip(["1", "2"]) {
            times.extend(theirs(folder, urls, n_processes, round));
        }
    }
    let ours = median(ours_s);
    let best = theirs_s.into_iter().filter(|times| !times.is_empty()).map(median).min_by(f64::total_cmp);
    if let Some(best) = best {
        println!("by medians, its better number of processes: {ours:.2} and {best:.2} s: {:.1}x", best / ours);
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// As the benchmark of resized pictures serves them.
fn draw_faces(folder: &Path, n_images: usize) -> u64 {
    draw_photographs(folder, n_images, &[(SIDE, SIDE)])
}

/// Pictures that are all different and five times as large, so that copying and hashing bytes is most of the work: noise on
/// a coarse grid.
fn draw_noise(folder: &Path, n_images: usize) -> u64 {
    std::fs::create_dir(folder).unwrap();
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let mut n_bytes = 0;
    for n in 0..n_images {
        let mut cells = vec![0u8; 70 * 70 * 3];
        random.fill_bytes(&mut cells);
        let cell = |x: u32, y: u32, channel: u32| cells[((y / 5 * 70 + x / 5) * 3 + channel) as usize];
        let pixels = (0..SIDE * SIDE * 3).map(|at| cell(at / 3 % SIDE, at / 3 / SIDE, at % 3)).collect();
        let picture = encode_jpeg(&RgbImage { width: SIDE, height: SIDE, pixels }, 80).unwrap();
        n_bytes += picture.len() as u64;
        std::fs::write(folder.join(format!("{n}.jpg")), picture).unwrap();
    }
    n_bytes
}

fn print(who: &str, cost: &Cost, n_images: u64) {
    let Cost { seconds, cpu_seconds, mb } = cost;
    let rate = n_images as f64 / seconds;
    println!("{who}: {seconds:.2} s, {n_images} images, {rate:.0} images/s, {mb} MB, CPU {cpu_seconds:.2} s");
}

async fn ours(folder: &Path, urls: &[String]) -> Cost {
    let project = project_with(folder, urls).await;
    let fetch = ["collect", "run", "--no-search", "--no-faces", "--patience", "0"];
    let cost = timed(affectory().arg("--project").arg(folder).args(fetch));
    let outcomes = project.catalog.count_outcomes().await.unwrap();
    let n_fetched: u64 = outcomes.iter().filter(|row| row.state == "fetched").map(|row| row.candidates).sum();
    assert_eq!(n_fetched, urls.len() as u64, "{outcomes:?}");
    project.catalog.close().await;
    cost
}

/// Seconds of the whole command, if there is one.
fn theirs(folder: &Path, urls: &[String], n_processes: &str, round: u32) -> Option<f64> {
    let (mut command, output) = img2dataset(folder, urls, n_processes, round)?;
    let cost = timed(command.args(["--resize_mode=no", "--disable_all_reencoding=True"]));
    print(&format!("img2dataset, {n_processes} processes x 64 threads"), &cost, count_done(&output));
    Some(cost.seconds)
}

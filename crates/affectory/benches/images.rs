//! How fast do addresses become a training set beside img2dataset, and in how much memory?
//!
//! `cargo bench -p affectory --bench images [N]` with Debian's nginx installed and `AFFECTORY_YARDSTICK_PYTHON`, a Python
//! that has img2dataset. Both sides: whole commands from the list of addresses to WebDataset shards of 256x256 JPEGs
//! (white border, quality 95), wall time with their start. Ours are two, `collect run --no-search` and `collect export`,
//! and what is fetched stays in the project. Memory: resident, all processes of a command, sampled ten times a second.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

#[path = "loopback/command.rs"]
mod command;
mod loopback;
#[path = "loopback/pictures.rs"]
mod pictures;

use std::path::Path;

use command::{affectory, project_with, timed};
use loopback::{count_done, img2dataset, serve};
use pictures::draw_photographs;

const ROUNDS: u32 = 3;

#[tokio::main]
async fn main() {
    let n_images: usize = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(4_000);
    for (name, sizes) in [
        ("all 350x350", [(350, 350); 5]),
        ("80 % 425x425, 20 % 1280x960", [(425, 425), (425, 425), (425, 425), (425, 425), (1280, 960)]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let n_bytes = draw_photographs(&folder.path().join("www"), n_images, &sizes);
        println!("{n_images} JPEGs, {name}, {} kB each in the mean", n_bytes / n_images as u64 / 1000);
        let Some((mut nginx, address)) = serve(folder.path()) else {
            println!("SKIPPED: nginx is not installed (apt-get install nginx-light)");
            return;
        };
        let urls: Vec<String> = (0..n_images).map(|n| format!("{address}/{n}.jpg")).collect();
        for round in 1..=ROUNDS {
            ours(&folder.path().join(format!("project{round}")), &urls).await;
            for n_processes in ["1", "2"] {
                theirs(folder.path(), &urls, n_processes, round);
            }
        }
        nginx.kill().unwrap();
        nginx.wait().unwrap();
    }
}

async fn ours(folder: &Path, urls: &[String]) {
    let project = project_with(folder, urls).await;
    project.catalog.close().await;
    let in_project = |args: &[&str]| timed(affectory().arg("--project").arg(folder).args(args));
    let fetching = in_project(&["collect", "run", "--no-search", "--no-faces", "--patience", "0"]);
    let out = folder.join("shards");
    let exporting = in_project(&["collect", "export", "--out", &out.display().to_string()]);
    let stats: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("stats.json")).unwrap()).unwrap();
    assert_eq!(stats["images"], urls.len());
    let seconds = fetching.seconds + exporting.seconds;
    println!(
        "affectory: {seconds:.2} s ({:.2} fetching, {:.2} exporting), {:.0} images/s, {} MB, CPU {:.2} + {:.2} s",
        fetching.seconds,
        exporting.seconds,
        urls.len() as f64 / seconds,
        fetching.mb.max(exporting.mb),
        fetching.cpu_seconds,
        exporting.cpu_seconds,
    );
}

fn theirs(folder: &Path, urls: &[String], n_processes: &str, round: u32) {
    let Some((mut command, output)) = img2dataset(folder, urls, n_processes, round) else { return };
    let cost = timed(command.args(["--image_size=256", "--resize_mode=border", "--encode_quality=95"]));
    let n_done = count_done(&output);
    println!(
        "img2dataset, {n_processes} processes x 64 threads: {:.2} s, {n_done} images, {:.0} images/s, {} MB, CPU {:.2} s",
        cost.seconds,
        n_done as f64 / cost.seconds,
        cost.mb,
        cost.cpu_seconds,
    );
}

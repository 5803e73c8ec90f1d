//! How fast do photographs become expressions, from the file to the answer, beside an off-the-shelf Python package?
//!
//! `cargo bench -p affectory --bench predict [N]`, with `scenes` and `inthewild` in the folder `AFFECTORY_DATA` names and a
//! Python that has fer 25.10.3 in `AFFECTORY_YARDSTICK_PYTHON`. Ours is the whole command `predict` with its start; of
//! fer (MTCNN and a small network, weights in its wheel) start and first picture are left out. Both read one picture at a
//! time and may use all cores; ours finds 68 landmarks, valence and arousal besides. DeepFace and py-feat would be better
//! known, but their weights lie outside PyPI, where this was measured nothing else can be reached.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const ROUNDS: u32 = 3;

#[expect(clippy::disallowed_methods, reason = "a benchmark asks where data and yardstick are")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn main() {
    let n_pictures: usize = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(200);
    let Some(data) = variable("AFFECTORY_DATA") else {
        println!("SKIPPED: the pictures are in AFFECTORY_DATA, which is not set");
        return;
    };
    let mut paths = pictures(&Path::new(&data).join("inthewild/images"));
    let step = paths.len().div_ceil(n_pictures).max(1);
    paths = paths.into_iter().step_by(step).chain(pictures(&Path::new(&data).join("scenes"))).collect();
    println!("{} pictures", paths.len());
    let python = variable("AFFECTORY_YARDSTICK_PYTHON");
    for _ in 0..ROUNDS {
        let ours = affectory(&paths);
        ours.say("affectory predict");
        let Some(python) = &python else {
            println!("SKIPPED: fer, AFFECTORY_YARDSTICK_PYTHON names no Python that has it");
            continue;
        };
        let theirs = fer(python, &paths);
        theirs.say("fer, MTCNN");
        println!("ratio: {:.1} by wall clock, {:.1} by CPU time", theirs.wall / ours.wall, theirs.cpu / ours.cpu);
    }
}

/// The pictures of a folder, by name.
fn pictures(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "jpg" || ending == "png"));
    paths.sort();
    paths
}

struct Cost {
    wall: f64,
    /// On all cores.
    cpu: f64,
    n_faces: usize,
    n_failed: usize,
    n_pictures: usize,
}

impl Cost {
    fn say(&self, who: &str) {
        let ms = |seconds: f64| seconds * 1000.0 / self.n_pictures as f64;
        println!(
            "{who:20} {:7.1} ms a picture, CPU {:7.1} ms, {} faces, {} failed",
            ms(self.wall),
            ms(self.cpu),
            self.n_faces,
            self.n_failed
        );
    }
}

fn affectory(paths: &[PathBuf]) -> Cost {
    let (began, cpu) = (Instant::now(), cpu_of_children());
    let mut command = Command::new(env!("CARGO_BIN_EXE_affectory"));
    let output = command.args(["--json", "predict"]).args(paths).stderr(Stdio::null()).output().unwrap();
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_of_children() - cpu);
    assert!(output.status.success());
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let images = answer["images"].as_array().unwrap();
    let n_faces = images.iter().filter_map(|image| image["faces"].as_array()).map(Vec::len).sum();
    let n_failed = images.iter().filter(|image| !image["error"].is_null()).count();
    Cost { wall, cpu, n_faces, n_failed, n_pictures: paths.len() }
}

fn fer(python: &str, paths: &[PathBuf]) -> Cost {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/predict.py");
    let mut command = Command::new(python);
    command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let lines: String = paths.iter().map(|path| format!("{}\n", path.canonicalize().unwrap().display())).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the yardstick failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let figures: Vec<f64> = text.lines().last().unwrap().split(' ').map(|figure| figure.parse().unwrap()).collect();
    Cost {
        wall: figures[0],
        cpu: figures[1],
        n_faces: figures[2] as usize,
        n_failed: figures[3] as usize,
        n_pictures: paths.len(),
    }
}

/// CPU seconds of all processes that ended below this one.
fn cpu_of_children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // cutime and cstime, in ticks of 10 ms.
    (fields[13].parse::<f64>().unwrap() + fields[14].parse::<f64>().unwrap()) / 100.0
}

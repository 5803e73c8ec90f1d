//! How fast are faces found, beside facenet-pytorch on the same pictures with the same thresholds?
//!
//! `cargo bench -p affectory-faces --bench detect`, with `inthewild/images` in the folder `AFFECTORY_DATA` names and a
//! Python that has facenet-pytorch in `AFFECTORY_YARDSTICK_PYTHON`. Decoding is left out on both sides, one picture is
//! handled at a time on both sides, and both may use all cores; a second line of ours works on several pictures at once,
//! as `faces run` does. The aim is 1.5 times the yardstick's speed at equal recall.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use affectory_faces::{FaceDetector as _, Mtcnn, MtcnnSettings};
use affectory_imaging::{Limits, RgbImage, decode};
use rayon::prelude::*;

/// Pictures taken, evenly spread.
const N_PICTURES: usize = 300;

#[expect(clippy::disallowed_methods, reason = "a benchmark asks where data and yardstick are")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn main() {
    let Some(data) = variable("AFFECTORY_DATA") else {
        println!("SKIPPED: the pictures are in AFFECTORY_DATA, which is not set");
        return;
    };
    let folder = Path::new(&data).join("inthewild/images");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let step = paths.len().div_ceil(N_PICTURES).max(1);
    let paths: Vec<PathBuf> = paths.into_iter().step_by(step).collect();
    let read = |path: &PathBuf| decode(&std::fs::read(path).unwrap(), &Limits::default()).unwrap().image;
    let pictures: Vec<RgbImage> = paths.iter().map(read).collect();
    let detector = Mtcnn::bundled(MtcnnSettings::default()).unwrap();
    let has_face = |picture: &RgbImage| !detector.detect(picture).is_empty();
    has_face(&pictures[0]);

    let n = pictures.len() as f64;
    let say = |who: &str, seconds: f64, found: usize| {
        println!("{who:32} {:7.2} ms a picture, {found} of {n} with a face", seconds * 1000.0 / n);
    };
    let began = Instant::now();
    let found = pictures.iter().filter(|picture| has_face(picture)).count();
    let alone = began.elapsed().as_secs_f64();
    say("ours, one at a time", alone, found);
    let began = Instant::now();
    let found = pictures.par_iter().filter(|picture| has_face(picture)).count();
    let together = began.elapsed().as_secs_f64();
    say("ours, several at once", together, found);

    let Some(python) = variable("AFFECTORY_YARDSTICK_PYTHON") else {
        println!("SKIPPED: the yardstick needs AFFECTORY_YARDSTICK_PYTHON, a Python with facenet-pytorch 2.6.0");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/facenet.py");
    let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines: String = paths.iter().map(|path| format!("{}\n", path.canonicalize().unwrap().display())).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the yardstick failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let (seconds, found) = text.trim().split_once(' ').unwrap();
    let theirs: f64 = seconds.parse().unwrap();
    say("facenet-pytorch, one at a time", theirs, found.parse().unwrap());
    println!("ratio: {:.2} one at a time, {:.2} several at once (aim 1.5)", theirs / alone, theirs / together);
}

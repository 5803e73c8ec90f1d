//! How many frames a second does `predict` read from a video, does it slow down, and does its memory grow?
//!
//! `cargo bench -p affectory --bench video [SECONDS]` with ffmpeg installed. The clip is 1280x720 with one face, 30 frames a
//! second: `scenes/single_face.mp4` of the folder that `AFFECTORY_DATA` names, else the portrait inside the program, moving.
//! Ten seconds of it, then SECONDS (600), by the built program with its table; how fast ffmpeg alone decodes it; and the
//! package `fer` with MTCNN (its weights are in the wheel) on the first 100 frames, by the Python that
//! `AFFECTORY_YARDSTICK_PYTHON` names. Memory: the most that our process had resident, without ffmpeg's.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]
#![expect(clippy::disallowed_methods, reason = "a benchmark asks where its data and its yardstick are")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// What the yardstick does: whole frames, as its documentation shows.
const FER: &str = "
import sys, time, cv2
from fer import FER
detector = FER(mtcnn=True)
video = cv2.VideoCapture(sys.argv[1])
frames = [video.read()[1] for _ in range(110)]
for frame in frames[:10]: detector.detect_emotions(frame)
began, faces = time.time(), 0
for frame in frames[10:]: faces += len(detector.detect_emotions(frame))
print(f'{100 / (time.time() - began):.2f} frames/s, {faces} faces in 100 frames')
";

fn main() {
    let seconds: u32 = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(600);
    if Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).status().is_err() {
        println!("SKIPPED: ffmpeg is not installed (apt-get install ffmpeg)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (short, long) = (folder.path().join("short.mp4"), folder.path().join("long.mp4"));
    make_short(&short);
    ffmpeg(&["-stream_loop", "-1", "-i", text(&short), "-t", &seconds.to_string(), "-c", "copy", text(&long)]);

    let began = Instant::now();
    ffmpeg(&["-i", text(&short), "-f", "null", "-"]);
    println!("ffmpeg alone, decoding: {:.0} frames/s", 300.0 / began.elapsed().as_secs_f64());
    let first = ours(&short);
    println!("10 s: {first}");
    let last = ours(&long);
    println!("{seconds} s: {last}");
    println!("memory, {seconds} s over 10 s: {:.3}", last.mb / first.mb);
    match std::env::var("AFFECTORY_YARDSTICK_PYTHON") {
        Err(_) => println!("fer: SKIPPED, AFFECTORY_YARDSTICK_PYTHON names no Python that has it"),
        Ok(python) => {
            let output = Command::new(python).args(["-c", FER, text(&short)]).stderr(Stdio::null()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            println!("fer, MTCNN: {}", said.lines().last().unwrap_or("it gave no answer"));
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn ffmpeg(args: &[&str]) {
    let mut command = Command::new("ffmpeg");
    command.args(["-y", "-nostdin", "-loglevel", "error"]).args(args);
    assert!(command.status().unwrap().success(), "{args:?}");
}

fn make_short(to: &Path) {
    let scene = std::env::var_os("AFFECTORY_DATA").map(|data| PathBuf::from(data).join("scenes/single_face.mp4"));
    let encode = ["-t", "10", "-r", "30", "-an", "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"];
    match scene.filter(|scene| scene.is_file()) {
        Some(scene) => {
            println!("clip: scenes/single_face.mp4");
            let input = ["-stream_loop", "-1", "-i", text(&scene), "-vf", "scale=1280:720"];
            ffmpeg(&[&input[..], &encode, &[text(to)]].concat());
        }
        None => {
            println!("clip: the portrait inside the program, moving");
            let portrait = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/astronaut.png");
            let graph = "color=c=0x707070:s=1280x720:r=30[wall];[wall][0:v]overlay=x='380+300*sin(t)':y=100";
            let input = ["-loop", "1", "-framerate", "30", "-i", text(&portrait), "-filter_complex", graph];
            ffmpeg(&[&input[..], &encode, &[text(to)]].concat());
        }
    }
}

/// One run of our program.
struct Run {
    n_frames: usize,
    seconds: f64,
    /// Frames a second of the first and last tenth of the frames, without the start.
    first: f64,
    last: f64,
    /// Most resident.
    mb: f64,
    /// CPU seconds of our process.
    cpu: f64,
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Run { n_frames, seconds, first, last, mb, cpu } = self;
        let rate = *n_frames as f64 / seconds;
        write!(
            f,
            "{n_frames} frames in {seconds:.1} s, {rate:.1} frames/s with its start; first tenth {first:.1}, last tenth \
             {last:.1}; CPU {:.1} ms a frame; {mb:.0} MB",
            cpu * 1000.0 / *n_frames as f64
        )
    }
}

fn ours(clip: &Path) -> Run {
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_affectory"))
        .args(["predict", text(clip), "--csv", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id();
    let mut frames: Vec<f64> = Vec::new();
    let (mut mb, mut cpu) = (0.0, 0.0);
    let mut last_frame = None;
    for line in BufReader::new(child.stdout.take().unwrap()).lines().skip(1) {
        let line = line.unwrap();
        let frame: usize = line[text(clip).len() + 1..].split(',').next().unwrap().parse().unwrap();
        if last_frame.replace(frame) != Some(frame) {
            frames.push(began.elapsed().as_secs_f64());
        }
        if frame % 50 == 49 {
            (mb, cpu) = (resident_most_mb(pid), cpu_seconds(pid));
        }
    }
    assert!(child.wait().unwrap().success());
    let seconds = began.elapsed().as_secs_f64();
    let n_frames = frames.len();
    let rate = |from: usize, to: usize| (to - from) as f64 / (frames[to] - frames[from]);
    let tenth = n_frames / 10;
    Run { n_frames, seconds, first: rate(0, tenth), last: rate(n_frames - 1 - tenth, n_frames - 1), mb, cpu }
}

/// The most resident memory that a process had so far.
fn resident_most_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = |line: &str| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok();
    status.lines().find_map(kib).unwrap_or(0.0) / 1000.0
}

fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(')').map_or(Vec::new(), |(_, rest)| rest.split_whitespace().collect());
    // utime and stime, in ticks of 10 ms.
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

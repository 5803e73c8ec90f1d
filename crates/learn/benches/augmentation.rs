//! How fast does a crop become a training example, beside torchvision's transforms (v2) on the same pixels?
//!
//! `cargo bench -p affectory-learn --bench augmentation`, with a Python that has torchvision in
//! `AFFECTORY_YARDSTICK_PYTHON`. Both sides: mirror, turn, scale, shift (bilinear), light and contrast, standardised floats, a blank
//! rectangle in every second picture, mixing within the batch; decoding is left out. One thread, user and system time. Sides take
//! turns; what is printed is each one's median. Not quite the same: ours standardises every picture by its own mean and
//! deviation, theirs by constants, which is less work.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use affectory_learn::{Colour, Recipe, augment, blend};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Faces of a batch.
const BATCH: usize = 64;

/// Times the sides take turns.
const N_TURNS: usize = 5;

/// Pixels of a turn, about: some seconds of CPU time, which is counted in ticks of 10 ms.
const PIXELS_A_TURN: usize = 60_000_000;

#[expect(clippy::disallowed_methods, reason = "a benchmark asks where its yardstick is")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn main() {
    let python = variable("AFFECTORY_YARDSTICK_PYTHON");
    for (side, colour) in [(48, Colour::Grey), (112, Colour::Rgb), (224, Colour::Rgb)] {
        let (n_pixels, n_channels) = (side * side, colour.n_channels());
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let crops: Vec<u8> = (0..BATCH * n_pixels * n_channels).map(|_| rng.random()).collect();
        // The recipe's own, with nothing left out.
        let recipe = Recipe { input_side: side as u32, colour, mixup: 0.2, ..Recipe::default() };
        let n_rounds = PIXELS_A_TURN.div_ceil(BATCH * n_pixels * n_channels);
        let (mut our_us, mut their_us) = (Vec::new(), Vec::new());
        for _ in 0..N_TURNS {
            our_us.push(ours(&crops, side, &recipe, n_rounds));
            their_us.extend(python.as_ref().and_then(|python| theirs(python, &crops, &recipe, n_rounds)));
        }
        let ours = median(&mut our_us).unwrap();
        let about = format!("{side}x{side}, {n_channels} channels");
        match median(&mut their_us) {
            Some(theirs) => println!(
                "{about:22} affectory {ours:8.1} us a face, torchvision {theirs:8.1} us: {:.2}x its speed",
                theirs / ours
            ),
            None => println!(
                "{about:22} affectory {ours:8.1} us a face (SKIPPED: AFFECTORY_YARDSTICK_PYTHON names no Python with torchvision)"
            ),
        }
    }
}

fn median(all: &mut [f64]) -> Option<f64> {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied()
}

/// CPU microseconds a face.
fn ours(crops: &[u8], side: usize, recipe: &Recipe, n_rounds: usize) -> f64 {
    let n_channels = recipe.colour.n_channels();
    let n_values = side * side * n_channels;
    let mut batch = vec![0.0; crops.len()];
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let began = cpu_seconds();
    for _ in 0..n_rounds {
        for (crop, out) in black_box(crops).chunks_exact(n_values).zip(batch.chunks_exact_mut(n_values)) {
            augment(crop, side, n_channels, recipe, &mut rng, out);
        }
        blend(&mut batch, BATCH, 0.8);
        black_box(&batch);
    }
    (cpu_seconds() - began) * 1e6 / (n_rounds * BATCH) as f64
}

/// The same of torchvision; `None` if this Python has none.
fn theirs(python: &str, crops: &[u8], recipe: &Recipe, n_rounds: usize) -> Option<f64> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/augmentation.py");
    let knobs =
        [recipe.rotate_degrees, recipe.scale_spread, recipe.shift_share, recipe.light_spread, recipe.erase_share];
    let mut child = Command::new(python)
        .arg(script)
        .args([BATCH, recipe.colour.n_channels(), recipe.input_side as usize, n_rounds].map(|v| v.to_string()))
        .args(knobs.map(|v| v.to_string()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    // One that has no torchvision ends before it has read them.
    let _ = child.stdin.take()?.write_all(crops);
    let output = child.wait_with_output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // utime and stime, in ticks of 10 ms.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

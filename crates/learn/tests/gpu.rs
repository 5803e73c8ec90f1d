//! Does a network learn on a graphics processor what it learns on the CPU, and go on there and back?
//!
//! A software Vulkan (Debian: mesa-vulkan-drivers) will do. `cargo test --features wgpu --test gpu`; on NVIDIA's
//! also with `cuda`.

#![cfg(any(feature = "cuda", feature = "wgpu"))]
#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use affectory_core::{BoundingBox, Expression, LabelSet, Progress, Silent, Split, Stop};
use affectory_imaging::{RgbImage, encode_png};
use affectory_learn::recipe::Recipe;
use affectory_learn::{Alone, Hardware, LearnError, RunIdentity, Sample, TrainJob, TrainReport, train};
use burn::tensor::Device;

const EXPRESSIONS: [Expression; 3] = [Expression::Neutral, Expression::Happy, Expression::Sad];

/// Stripes across, down or aslant.
fn picture(number: usize) -> RgbImage {
    let pixels = (0..48 * 48).flat_map(|at| {
        let (x, y) = (at % 48 + number, at / 48 + 2 * number);
        let along = [x, y, x + y][number % 3];
        [(along * 37 % 251) as u8; 3]
    });
    RgbImage { width: 48, height: 48, pixels: pixels.collect() }
}

/// A small network without dropout and without chance in its pictures, from the same weights wherever it learns.
fn job(folder: &Path, hardware: Hardware, epochs: u32) -> TrainJob {
    let labels = LabelSet::eight();
    let knobs =
        ["widths=[8, 16]", "blocks=[1, 1]", "input_side=48", "dropout=0.0", "batch_size=16", "rotate_degrees=0.0"];
    let plain = ["flip=false", "scale_spread=0.0", "shift_share=0.0", "light_spread=0.0", "erase_share=0.0"];
    let knobs: Vec<String> = knobs.iter().chain(&plain).map(ToString::to_string).collect();
    let recipe = Recipe { epochs, ..Recipe::find("affectory-s").unwrap().with_knobs("affectory-s", &knobs).unwrap() };
    // Made once: the device's random numbers are everybody's, and tests run side by side.
    static START: OnceLock<Vec<u8>> = OnceLock::new();
    let start = START.get_or_init(|| {
        let device = Device::flex();
        device.seed(7);
        recipe.network(labels.n_classes()).init(&device).to_safetensors(HashMap::new()).unwrap()
    });
    let sample = |number: usize| Sample {
        name: format!("face{number}"),
        image: number.to_string(),
        bounding_box: BoundingBox::whole(48, 48),
        five: None,
        expression: Some(EXPRESSIONS[number % 3]),
        votes: [0; 11],
        valence: Some(0.5 - (number % 3) as f32 / 2.0),
        arousal: Some(0.1),
        split: if number < 48 { Split::Train } else { Split::Valid },
        pack: 0,
    };
    let identity = RunIdentity {
        release: "stripes".into(),
        manifest_sha256: "00".into(),
        recipe: "small".into(),
        labels: labels.to_string(),
        seed: 3,
        is_proxy: false,
        is_packed: false,
        version: "0".into(),
    };
    TrainJob {
        samples: (0..66).map(sample).collect(),
        read: Arc::new(|name: &str| {
            let number = name.parse().map_err(|e: std::num::ParseIntError| e.to_string())?;
            encode_png(&picture(number)).map_err(|e| e.to_string())
        }),
        recipe,
        labels,
        seed: 3,
        identity,
        folder: folder.to_owned(),
        n_loader_threads: 1,
        crop_budget_bytes: 1 << 20,
        start_weights: Some(start.clone()),
        hardware,
        team: Arc::new(Alone),
    }
}

/// Asks for the end while the first epoch of its own is scored.
struct StopAtValidation(Stop);

impl Progress for StopAtValidation {
    fn begin(&self, what: &str, _total: Option<u64>) {
        if what == "validate" {
            self.0.request();
        }
    }
    fn advance(&self, _n: u64) {}
    fn note(&self, _text: &str) {}
    fn end(&self) {}
}

fn trained(folder: &Path, hardware: Hardware) -> Option<TrainReport> {
    match train(&job(folder, hardware, 4), &Stop::default(), &Silent) {
        Err(LearnError::Hardware(reason)) => {
            println!("SKIPPED: {reason}");
            None
        }
        report => Some(report.unwrap()),
    }
}

#[test]
fn a_gpu_learns_what_the_cpu_learns() {
    let folder = tempfile::tempdir().unwrap();
    let Some(gpus) = trained(&folder.path().join("gpu"), Hardware::Gpu(0)) else { return };
    let cpus = trained(&folder.path().join("cpu"), Hardware::Cpu).unwrap();
    for (gpu, cpu) in gpus.history.iter().zip(&cpus.history) {
        println!("epoch {}: loss {} and {}", gpu.epoch, gpu.train_loss, cpu.train_loss);
        assert!((gpu.train_loss - cpu.train_loss).abs() < 0.02 * cpu.train_loss, "epoch {}", gpu.epoch);
    }
    assert!(gpus.history[3].train_loss < 0.8 * gpus.history[0].train_loss);
    assert_eq!(gpus.n_parameters, cpus.n_parameters);
}

#[test]
fn a_run_goes_on_on_other_hardware() {
    let folder = tempfile::tempdir().unwrap();
    let mut knows = Vec::new();
    for hardware in [Hardware::Cpu, Hardware::Gpu(0), Hardware::Cpu] {
        let stop = Stop::default();
        let job = job(folder.path(), hardware, 3);
        let seen = knows.len();
        let report = match train(&job, &stop, &StopAtValidation(stop.clone())) {
            Err(LearnError::Hardware(reason)) => return println!("SKIPPED: {reason}"),
            report => report.unwrap(),
        };
        assert!(report.history.len() == seen + 1 && report.history[..seen] == knows[..], "{hardware:?}");
        knows = report.history;
    }
    assert!(folder.path().join("model.safetensors").exists());
}

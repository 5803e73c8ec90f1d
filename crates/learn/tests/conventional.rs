//! Are our gradient histograms scikit-image's, and our linear machines scikit-learn's?
//!
//! The committed goldens are made by `conventional_goldens.py` from numbers that a formula gives; real pictures are in
//! the directory that `AFFECTORY_DATA` names.

#![expect(clippy::unwrap_used, reason = "a golden of another shape shall fail the test")]

use std::path::PathBuf;

use affectory_imaging::{Limits, decode};
use affectory_learn::Colour;
use affectory_learn::conventional::{
    ClassWeights, Features, Fit, HogOptions, LinearOptions, Loss, Pixels, fit_affect, fit_classes, hog,
};
use serde_json::Value;

#[test]
fn histograms_of_drawn_slopes_are_scikit_images() {
    let goldens = goldens();
    for case in goldens["hog"].as_array().unwrap() {
        let count = |name: &str| case[name].as_u64().unwrap() as usize;
        let (height, width, n_channels) = (count("height"), count("width"), count("channels"));
        let place = |i: usize| (i / (width * n_channels), i / n_channels % width, i % n_channels);
        let values: Vec<u8> = (0..height * width * n_channels)
            .map(place)
            .map(|(y, x, c)| {
                let noise = hashed((y * width + x) as u32, c as u32) >> 27;
                ((x * 5 + y * 3 * (c + 1) + noise as usize) % 256) as u8
            })
            .collect();
        let colour = if n_channels == 1 { Colour::Grey } else { Colour::Rgb };
        let found = hog(Pixels { values: &values, width, height, colour }, &options(case)).unwrap();
        let distance = distance(&found, &floats(&case["values"]));
        assert!(distance <= 1e-5, "{}: {distance}", options_text(case));
    }
}

#[test]
fn histograms_of_photographs_are_scikit_images() {
    let Some(folder) = data("hog/hog_vectors.json") else { return };
    let document: Value = serde_json::from_slice(&std::fs::read(folder.join("hog_vectors.json")).unwrap()).unwrap();
    let (mut n_cases, mut worst) = (0, 0.0f64);
    for case in document["cases"].as_array().unwrap() {
        // The others are OpenCV's, another definition.
        let Some(config) = case.get("config").filter(|config| config.get("opencv").is_none()) else { continue };
        let name = case["image"].as_str().unwrap();
        let picture = decode(&std::fs::read(folder.join(name)).unwrap(), &Limits::default()).unwrap().image;
        let grey: Vec<u8> = picture.pixels.iter().copied().step_by(3).collect();
        let (values, colour) =
            if name.contains("gray") { (&grey, Colour::Grey) } else { (&picture.pixels, Colour::Rgb) };
        let (width, height) = (picture.width as usize, picture.height as usize);
        let found = hog(Pixels { values, width, height, colour }, &options(config)).unwrap();
        let distance = distance(&found, &npy(&std::fs::read(folder.join(case["npy"].as_str().unwrap())).unwrap()));
        assert!(distance <= 1e-5, "{name}, {}: {distance}", options_text(config));
        (n_cases, worst) = (n_cases + 1, worst.max(distance));
    }
    assert_eq!(n_cases, 15);
    println!("{n_cases} descriptors, furthest number {worst:.1e} away");
}

#[test]
fn linear_machines_are_scikit_learns() {
    let goldens = goldens();
    let [n_faces, n_columns] = ["n_faces", "n_features"].map(|name| goldens[name].as_u64().unwrap() as usize);
    let value = |i: usize| {
        let h = hashed((i / n_columns) as u32, (i % n_columns) as u32);
        (h >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    let values: Vec<f32> = (0..n_faces * n_columns).map(value).collect();
    let features = Features::new(&values, n_columns).unwrap();
    let classes: Vec<(usize, usize)> =
        goldens["classes"].as_str().unwrap().bytes().map(|digit| usize::from(digit - b'0')).enumerate().collect();
    let targets: Vec<(usize, f64)> = floats(&goldens["targets"]).into_iter().enumerate().collect();
    for case in goldens["machines"].as_array().unwrap() {
        let options = |tolerance: f64| LinearOptions {
            cost: case["cost"].as_f64().unwrap(),
            loss: if case["loss"] == "l1" { Loss::L1 } else { Loss::L2 },
            epsilon: case["epsilon"].as_f64().unwrap_or(0.0),
            tolerance,
            max_iterations: 100_000,
            ..LinearOptions::default()
        };
        let fit = |options: &LinearOptions| -> Vec<Fit> {
            if case["kind"] == "targets" {
                let [valence, arousal] = fit_affect(features, [&targets, &[]], options).unwrap();
                assert_eq!(arousal, None);
                return vec![valence.unwrap()];
            }
            let weights = match case["weights"].as_str().unwrap() {
                "none" => ClassWeights::None,
                "balanced" => ClassWeights::Balanced,
                _ => ClassWeights::Rarest,
            };
            fit_classes(features, &classes, 4, weights, options).unwrap().into_iter().flatten().collect()
        };
        let name = format!("{} {} {} {}", case["kind"], case["loss"], case["weights"], case["epsilon"]);
        // The usual tolerance is enough for the objective, a strict one for the coefficients.
        for (tolerance, objective_share, coefficient_distance) in [(1e-4, 5e-4, 2e-2), (1e-5, 5e-5, 2e-3)] {
            let fits = fit(&options(tolerance));
            assert_eq!(fits.len(), case["coefficients"].as_array().unwrap().len());
            let goldens = floats(&case["objectives"]).into_iter().zip(case["coefficients"].as_array().unwrap());
            for (fit, (objective, coefficients)) in fits.iter().zip(goldens) {
                assert!(fit.converged, "{name}");
                let share = fit.objective / objective - 1.0;
                assert!(share.abs() <= objective_share, "{name}: objective {share:e} off at {tolerance}");
                let found = fit.weights.iter().chain([&fit.bias]).zip(floats(coefficients));
                let furthest = found.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(furthest <= coefficient_distance, "{name}: coefficient {furthest:e} off at {tolerance}");
            }
        }
    }
}

/// The hash of `conventional_goldens.py`.
fn hashed(a: u32, b: u32) -> u32 {
    let mut h = a.wrapping_mul(2_654_435_761).wrapping_add(b.wrapping_mul(40_503));
    for (shift, factor) in [(15, 2_246_822_519), (13, 3_266_489_917)] {
        h = (h ^ (h >> shift)).wrapping_mul(factor);
    }
    h ^ (h >> 16)
}

fn goldens() -> Value {
    serde_json::from_str(include_str!("conventional_goldens.json")).unwrap()
}

fn options(case: &Value) -> HogOptions {
    let mut options = case.as_object().unwrap().clone();
    options
        .retain(|key, _| ["orientations", "pixels_per_cell", "cells_per_block", "block_norm"].contains(&key.as_str()));
    serde_json::from_value(options.into()).unwrap()
}

fn options_text(case: &Value) -> String {
    format!("{:?}", options(case))
}

fn floats(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn distance(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
}

/// The values of a NumPy file of 64-bit floats.
fn npy(bytes: &[u8]) -> Vec<f64> {
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[header..].chunks_exact(8).map(|eight| f64::from_le_bytes(eight.try_into().unwrap())).collect()
}

/// The folder of a file of the shared data, if it is there.
fn data(file: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "a test asks where the data lies")]
    let named = std::env::var_os("AFFECTORY_DATA").map(PathBuf::from);
    let root = named.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")));
    let path = root.join(file);
    if !path.exists() {
        println!("SKIPPED: {file} is not in {} (no AFFECTORY_DATA)", root.display());
        return None;
    }
    path.parent().map(PathBuf::from)
}

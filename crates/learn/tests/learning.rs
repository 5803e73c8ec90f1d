//! Does training keep its promises about when it ends and what it leaves alone?

#![expect(clippy::unwrap_used, reason = "an error here is a failed test")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use affectory_core::{BoundingBox, Expression, LabelSet, Silent, Split, Stop};
use affectory_imaging::{RgbImage, encode_png};
use affectory_learn::{Alone, Hardware, Predictor, Recipe, RunIdentity, Sample, TrainJob, train};
use burn::tensor::Device;
use safetensors::SafeTensors;

/// Stripes whose direction is the expression.
fn picture(number: usize) -> RgbImage {
    let pixels = (0..32 * 32).flat_map(|at| {
        let (x, y) = (at % 32 + number / 3, at / 32);
        [((if number.is_multiple_of(3) { x } else { y }) * 29 % 256) as u8; 3]
    });
    RgbImage { width: 32, height: 32, pixels: pixels.collect() }
}

/// Two of three labels have faces to learn from, and all three faces that are scored.
fn job(folder: &Path, knobs: &[&str]) -> TrainJob {
    let small = ["widths=[8, 16]", "blocks=[1, 1]", "input_side=32", "batch_size=8"];
    let knobs: Vec<String> = small.iter().chain(knobs).map(ToString::to_string).collect();
    let recipe = Recipe::find("affectory-s").unwrap().with_knobs("affectory-s", &knobs).unwrap();
    let labels = LabelSet::parse("happy,sad,fear").unwrap();
    let sample = |number: usize| Sample {
        name: format!("face{number}"),
        image: number.to_string(),
        bounding_box: BoundingBox::whole(32, 32),
        five: None,
        expression: Some(match number {
            30 => Expression::Fear,
            _ if number.is_multiple_of(3) => Expression::Happy,
            _ => Expression::Sad,
        }),
        votes: [0; 11],
        valence: Some(0.2),
        arousal: Some(0.1),
        split: if number < 24 { Split::Train } else { Split::Valid },
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
        samples: (0..36).map(sample).collect(),
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
        start_weights: None,
        hardware: Hardware::Cpu,
        team: Arc::new(Alone),
    }
}

#[test]
fn training_ends_after_so_many_epochs_that_were_no_better_and_knows_that_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    for patience in [1, 3] {
        let here = folder.path().join(patience.to_string());
        let job = job(&here, &["epochs=60", &format!("patience={patience}")]);
        let report = train(&job, &Stop::default(), &Silent).unwrap();
        let best = report.best.unwrap().epoch;
        assert!(report.is_complete && report.history.len() < 60, "{} epochs", report.history.len());
        assert_eq!(report.history.len() as u32, best + patience);
        // The same command again learns nothing more.
        let again = train(&job, &Stop::default(), &Silent).unwrap();
        assert_eq!(
            (again.history.len(), again.best.unwrap().epoch, again.is_complete),
            (report.history.len(), best, true)
        );
    }
}

#[test]
fn frozen_features_stay_as_they_were_to_the_last_bit_and_the_heads_learn() {
    let folder = tempfile::tempdir().unwrap();
    let fresh = job(folder.path(), &["epochs=1"]);
    let device = Device::flex();
    device.seed(7);
    let start = fresh.recipe.network(3).init(&device).to_safetensors(HashMap::new()).unwrap();
    let trained = |name: &str, is_frozen: bool| {
        let here = folder.path().join(name);
        let frozen = format!("freeze_features={is_frozen}");
        // Without an average, which would keep a share of what it began with.
        let knobs = ["epochs=3", "start_from=\"elsewhere\"", "ema_decay=0.0", &frozen];
        let job = TrainJob { start_weights: Some(start.clone()), ..job(&here, &knobs) };
        train(&job, &Stop::default(), &Silent).unwrap();
        std::fs::read(here.join("model.safetensors")).unwrap()
    };
    let before = SafeTensors::deserialize(&start).unwrap();
    for (name, is_frozen) in [("frozen", true), ("free", false)] {
        let after = trained(name, is_frozen);
        let after = SafeTensors::deserialize(&after).unwrap();
        let same = |wanted: bool| -> Vec<&str> {
            let of = |name: &&str| before.tensor(name).unwrap().data() == after.tensor(name).unwrap().data();
            let mut names: Vec<&str> = before.names().into_iter().filter(|name| of(name) == wanted).collect();
            names.sort_unstable();
            names
        };
        let is_head = |name: &&str| name.contains(".expression.") || name.contains(".valence_arousal.");
        println!("{name}: as they were {:?}", same(true));
        assert_eq!(before.names().len(), after.names().len());
        match is_frozen {
            // Batch statistics, too.
            true => assert!(same(true).iter().all(|name| !is_head(name)) && same(false).iter().all(is_head)),
            false => assert!(same(true).is_empty()),
        }
    }
}

#[test]
fn a_label_without_a_face_to_learn_from_cannot_be_said() {
    let folder = tempfile::tempdir().unwrap();
    train(&job(folder.path(), &["epochs=1"]), &Stop::default(), &Silent).unwrap();
    let model = Predictor::load(folder.path()).unwrap();
    assert_eq!(model.can_say(), [Expression::Happy, Expression::Sad]);
    assert_eq!(model.card().unwrap().never_learnt, [Expression::Fear]);
    assert!(model.cannot_produce().contains(&Expression::Fear));
    // Votes are something to learn from, too, if the recipe asks for them.
    let voted = folder.path().join("voted");
    let mut job = job(&voted, &["epochs=1", "targets=\"votes\"", "min_votes=1"]);
    job.samples[0].votes[Expression::Happy.index()] = 2;
    job.samples[0].votes[Expression::Fear.index()] = 1;
    train(&job, &Stop::default(), &Silent).unwrap();
    assert_eq!(Predictor::load(&voted).unwrap().can_say().len(), 3);
}

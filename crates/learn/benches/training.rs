//! How many images a second does a training step see, beside PyTorch with the same network, batch and optimizer?
//!
//! `cargo bench -p affectory-learn --bench training [-- RECIPE...]`, with a Python that has torch in `AFFECTORY_YARDSTICK_PYTHON`. A
//! step is forward, loss, backward and Nesterov SGD with weight decay on random pixels; reading images is left out on
//! both sides. Both may use all cores. The aim is PyTorch's speed.

#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use affectory_learn::Recipe;
use affectory_nets::{Network, descent};
use burn::optim::GradientsParams;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Distribution, Tensor};

/// Recipe and steps timed.
const CASES: [(&str, usize); 3] = [("affectory-s", 20), ("affectory-m", 6), ("alexnet", 6)];
const N_CLASSES: usize = 8;
/// Rounds of both sides in turn; the best of each counts.
const N_ROUNDS: usize = 3;

#[expect(clippy::disallowed_methods, reason = "a benchmark asks where its yardstick is")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Images a second over `n_steps`, after one step that is not counted.
fn ours(recipe: &Recipe, n_steps: usize) -> f64 {
    let device = Device::flex().autodiff();
    device.seed(1);
    let mut network: Network = recipe.network(N_CLASSES).init(&device);
    let mut optimizer = descent(0.9, 5e-4);
    let side = recipe.input_side as usize;
    let shape = [recipe.batch_size, recipe.colour.n_channels(), side, side];
    let faces = Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);
    let mut began = Instant::now();
    for step in 0..=n_steps {
        if step == 1 {
            began = Instant::now();
        }
        let outputs = network.forward(faces.clone());
        let affect = outputs.valence_arousal;
        let loss = log_softmax(outputs.logits, 1).mean().mul_scalar(-1.0) + (affect.clone() * affect).mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(0.01, network, gradients);
    }
    (n_steps * recipe.batch_size) as f64 / began.elapsed().as_secs_f64()
}

fn pytorch(python: &str, name: &str, recipe: &Recipe, n_steps: usize) -> Option<f64> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/training.py");
    let list = |values: &[usize]| values.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let output = Command::new(python)
        .arg(script)
        .args([name, &recipe.batch_size.to_string(), &recipe.input_side.to_string(), &n_steps.to_string()])
        .args([list(&recipe.widths), list(&recipe.blocks)])
        .output()
        .ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

fn main() {
    let python = variable("AFFECTORY_YARDSTICK_PYTHON");
    let asked_for: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for (name, n_steps) in CASES {
        if !asked_for.is_empty() && !asked_for.iter().any(|asked| asked == name) {
            continue;
        }
        let recipe = Recipe::find(name).unwrap();
        let (mut best, mut theirs) = (0.0f64, None::<f64>);
        for _ in 0..N_ROUNDS {
            best = best.max(ours(&recipe, n_steps));
            if let Some(python) = &python {
                let round = pytorch(python, name, &recipe, n_steps);
                theirs = theirs.into_iter().chain(round).reduce(f64::max);
            }
        }
        let about = format!("{name}, {0}x{0}, batch {1}", recipe.input_side, recipe.batch_size);
        match theirs {
            Some(theirs) => println!(
                "{about:36} affectory {best:7.1} images/s, PyTorch {theirs:7.1} images/s: {:.2}x",
                best / theirs
            ),
            None => println!(
                "{about:36} affectory {best:7.1} images/s (SKIPPED PyTorch: AFFECTORY_YARDSTICK_PYTHON is no Python with torch)"
            ),
        }
    }
}

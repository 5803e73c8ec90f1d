//! How does a network learn from a release? One visible loop: batch, loss, step; after each epoch a score and a checkpoint.

use std::path::PathBuf;
use std::sync::Arc;

use affectory_core::{LabelSet, Progress, Split, Stop};
use affectory_nets::{Network, Outputs};
use burn::module::Module;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Device, Tensor, TensorData};

use crate::LearnError;
use crate::checkpoint::{Epoch, RunFolder, RunIdentity, State};
use crate::data::{Faces, ReadImage, Sample};
use crate::loader::{Batch, Batches, Plan, epoch_seed};
use crate::recipe::Recipe;
use crate::scores::{Guess, score};

/// Everything a run is made of.
pub struct TrainJob {
    /// Items of the release; `train` is learnt, `valid` chooses the epoch, `test` is never looked at.
    pub samples: Vec<Sample>,
    /// Where the images are.
    pub read: ReadImage,
    /// The knobs.
    pub recipe: Recipe,
    /// The classes.
    pub labels: LabelSet,
    /// Everything random follows from it.
    pub seed: u64,
    /// What the run is made from, to be saved with it.
    pub identity: RunIdentity,
    /// Folder of the run: created, or resumed if it holds the same run.
    pub folder: PathBuf,
    /// Threads that read images ahead.
    pub n_loader_threads: usize,
    /// Memory for crops that are kept between epochs, bytes.
    pub crop_budget_bytes: u64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainReport {
    /// Every epoch so far.
    pub history: Vec<Epoch>,
    /// The best epoch, by [`Epoch::selection`].
    pub best: Option<Epoch>,
    /// Whether all epochs are done; otherwise the same command goes on.
    pub is_complete: bool,
    /// Weights in the network.
    pub n_parameters: usize,
}

/// Trains until the last epoch or until `stop`, which loses at most the epoch in hand.
///
/// # Errors
/// [`LearnError`]; the folder can be resumed after any of them.
pub fn train(job: &TrainJob, stop: &Stop, progress: &dyn Progress) -> Result<TrainReport, LearnError> {
    let in_split = |split: Split| -> Vec<Sample> {
        job.samples.iter().filter(|s| s.split == split && is_usable(s, &job.labels)).cloned().collect()
    };
    let faces = |samples| Arc::new(Faces::new(samples, Arc::clone(&job.read), &job.recipe, job.crop_budget_bytes));
    let train_faces = faces(in_split(Split::Train));
    let valid_faces = faces(in_split(Split::Valid));
    if train_faces.is_empty() {
        return Err(LearnError::EmptySplit("train"));
    }
    if valid_faces.is_empty() {
        return Err(LearnError::EmptySplit("valid"));
    }

    let folder = RunFolder::open(&job.folder, &job.identity, &job.recipe)?;
    let device = Device::flex().autodiff();
    device.seed(job.seed);
    let mut network = job.recipe.network(job.labels.n_classes()).init(&device);
    let n_parameters = network.num_params();
    let mut optimizer = sgd(&job.recipe);
    let mut state = State::default();
    if let Some((saved, network_record, optimizer_bytes)) = folder.last_checkpoint()? {
        let bad =
            |e: burn::store::RecordError| LearnError::BadModel { path: job.folder.clone(), reason: e.to_string() };
        network = network.try_load_record(network_record).map_err(bad)?;
        optimizer = optimizer.from_bytes(optimizer_bytes).map_err(bad)?;
        state = saved;
    }

    for epoch in state.history.len() as u32 + 1..=job.recipe.epochs {
        let seed = epoch_seed(job.seed, epoch);
        // Dropout draws from the device: seeded here, an epoch is the same whether or not the run was cut before it.
        device.seed(seed);
        let plan = Plan {
            recipe: job.recipe.clone(),
            labels: job.labels.clone(),
            seed: Some(seed),
            n_threads: job.n_loader_threads,
        };
        let batches = Batches::start(&train_faces, plan.clone());
        let n_batches = batches.n_batches();
        let mut loss_sum = 0.0;
        progress.begin(
            &format!("epoch {epoch}/{}", job.recipe.epochs),
            Some((n_batches * job.recipe.batch_size.min(train_faces.len())) as u64),
        );
        for (batch_idx, batch) in batches.enumerate() {
            if stop.is_requested() {
                progress.end();
                return Ok(report(state, &job.recipe, n_parameters));
            }
            let batch = batch?;
            let n_faces = batch.faces.len();
            let done = f64::from(epoch - 1) + batch_idx as f64 / n_batches as f64;
            let outputs = network.forward(pixels(&batch, job, &device));
            let loss = loss(outputs, &batch, job, &device);
            let value: f64 = f64::from(loss.clone().into_scalar::<f32>());
            if !value.is_finite() {
                return Err(LearnError::Diverged { epoch });
            }
            loss_sum += value;
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(learning_rate(&job.recipe, done), network, gradients);
            progress.advance(n_faces as u64);
            progress.note(&format!("loss {:.3}", loss_sum / (batch_idx + 1) as f64));
        }
        progress.end();

        let plan = Plan { seed: None, ..plan };
        let guesses = predict_faces(&network.valid(), &valid_faces, plan, progress)?;
        let scores = score(valid_faces.samples(), &guesses, &job.labels);
        let finished = Epoch { epoch, train_loss: loss_sum / n_batches as f64, scores };
        if state.best.as_ref().is_none_or(|best| finished.selection() > best.selection()) {
            folder.save_best(&network, job, &finished)?;
            folder.save_predictions(valid_faces.samples(), &guesses, &job.labels)?;
            state.best = Some(finished.clone());
        }
        state.history.push(finished);
        folder.save_checkpoint(&state, &network, &optimizer)?;
    }
    Ok(report(state, &job.recipe, n_parameters))
}

fn report(state: State, recipe: &Recipe, n_parameters: usize) -> TrainReport {
    let is_complete = state.history.len() as u32 >= recipe.epochs;
    TrainReport { history: state.history, best: state.best, is_complete, n_parameters }
}

/// A face teaches something if it has an expression in the label set, or a valence, or an arousal.
fn is_usable(sample: &Sample, labels: &LabelSet) -> bool {
    sample.expression.is_some_and(|e| labels.class_of(e).is_some())
        || sample.valence.is_some()
        || sample.arousal.is_some()
}

fn sgd(recipe: &Recipe) -> ModuleOptimizer {
    SgdConfig::new()
        .with_momentum(Some(
            MomentumConfig::new().with_momentum(recipe.momentum).with_dampening(0.0).with_nesterov(true),
        ))
        .with_weight_decay(Some(WeightDecayConfig::new(recipe.weight_decay)))
        .init()
}

/// Linear warm-up, then a cosine to 0 (Loshchilov and Hutter 2017, one period). `done` is in epochs.
pub fn learning_rate(recipe: &Recipe, done: f64) -> f64 {
    let warmup = recipe.warmup_epochs.min(f64::from(recipe.epochs));
    if done < warmup {
        // The first step already moves: a rate of exactly 0 would waste it.
        return recipe.learning_rate * (done + 0.01) / (warmup + 0.01);
    }
    let rest = f64::from(recipe.epochs) - warmup;
    let share = if rest > 0.0 { (done - warmup) / rest } else { 1.0 };
    recipe.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())
}

fn pixels(batch: &Batch, job: &TrainJob, device: &Device) -> Tensor<4> {
    let side = job.recipe.input_side as usize;
    let shape = [batch.faces.len(), job.recipe.colour.n_channels(), side, side];
    Tensor::from_data(TensorData::new(batch.pixels.clone(), shape), device)
}

/// Cross-entropy with the target distribution, plus the weighted mean squared error of valence and arousal;
/// each averaged over the faces that have the label, so that either may be missing.
fn loss(outputs: Outputs, batch: &Batch, job: &TrainJob, device: &Device) -> Tensor<1> {
    let n_faces = batch.faces.len();
    let n_classes = job.labels.n_classes();
    let tensor = |values: &[f32], columns: usize| {
        Tensor::<2>::from_data(TensorData::new(values.to_vec(), [n_faces, columns]), device)
    };
    let labelled: f32 = batch.distributions.iter().sum();
    let cross_entropy = (log_softmax(outputs.logits, 1) * tensor(&batch.distributions, n_classes)) // [batch, classes]
        .sum()
        .mul_scalar(-1.0 / labelled.max(1.0));
    let known: f32 = batch.valence_arousal_known.iter().sum();
    let distance = (outputs.valence_arousal - tensor(&batch.valence_arousal, 2)) // [batch, 2]
        * tensor(&batch.valence_arousal_known, 2);
    let squared = (distance.clone() * distance).sum().mul_scalar(1.0 / known.max(1.0));
    cross_entropy + squared.mul_scalar(job.recipe.valence_arousal_weight)
}

/// The network's answer for every face of a split, in order.
fn predict_faces(
    network: &Network,
    faces: &Arc<Faces>,
    plan: Plan,
    progress: &dyn Progress,
) -> Result<Vec<Guess>, LearnError> {
    let device = Device::flex();
    let side = plan.recipe.input_side as usize;
    let n_channels = plan.recipe.colour.n_channels();
    progress.begin("validate", Some(faces.len() as u64));
    let mut guesses = Vec::with_capacity(faces.len());
    for batch in Batches::start(faces, plan) {
        let batch = batch?;
        let shape = [batch.faces.len(), n_channels, side, side];
        guesses.extend(guess(network, Tensor::from_data(TensorData::new(batch.pixels, shape), &device)));
        progress.advance(batch.faces.len() as u64);
    }
    progress.end();
    Ok(guesses)
}

/// Probabilities and clamped valence/arousal for `[batch, channels, side, side]`.
pub(crate) fn guess(network: &Network, faces: Tensor<4>) -> Vec<Guess> {
    let outputs = network.forward(faces);
    let [_, n_classes] = outputs.logits.dims();
    let probabilities: Vec<f32> = softmax(outputs.logits, 1).into_data().iter::<f32>().collect();
    let affect: Vec<f32> = outputs.valence_arousal.into_data().iter::<f32>().collect();
    probabilities
        .chunks_exact(n_classes)
        .zip(affect.chunks_exact(2))
        .map(|(p, va)| Guess {
            probabilities: p.to_vec(),
            valence: va[0].clamp(-1.0, 1.0),
            arousal: va[1].clamp(-1.0, 1.0),
        })
        .collect()
}

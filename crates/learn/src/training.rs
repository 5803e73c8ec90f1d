//! How does a network learn from a release? One visible loop: batch, loss, step; after each epoch a score and a checkpoint.

use std::path::PathBuf;
use std::sync::Arc;

use affectory_core::{Expression, LabelSet, Progress, Split, Stop};
use affectory_nets::{Network, descent};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};

use crate::LearnError;
use crate::checkpoint::{Epoch, RunFolder, RunIdentity, State};
use crate::data::{Faces, ReadImage, Sample};
use crate::hardware::Hardware;
use crate::imbalance::Balance;
use crate::loader::{Batch, Batches, Plan, epoch_seed};
use crate::loss::loss;
use crate::recipe::{Method, Recipe};
use crate::scores::{Guess, score};
use crate::team::{Team, Turn, agree, check_alike, fresh_start, share_start};

/// Everything a run is made of.
#[derive(Clone)]
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
    /// The weights that the recipe's `start_from` names, a safetensors file; `None` where it names none.
    pub start_weights: Option<Vec<u8>>,
    /// On what the network learns; linear machines and the reading of pictures are always the processor's.
    pub hardware: Hardware,
    /// Who trains with us; [`crate::Alone`] if nobody does.
    pub team: Arc<dyn Team>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainReport {
    /// What was trained.
    pub method: Method,
    /// Every epoch so far; with linear machines one entry for each of the recipe's costs.
    pub history: Vec<Epoch>,
    /// C of each entry; empty for a network.
    pub costs: Vec<f64>,
    /// The C chosen for expression, valence and arousal; `None` for what linear machines did not learn, and for a network.
    pub kept_costs: [Option<f64>; 3],
    /// The best epoch, by [`Epoch::selection`].
    pub best: Option<Epoch>,
    /// Whether all epochs are done, or patience ended; otherwise the same command goes on.
    pub is_complete: bool,
    /// Weights in the network.
    pub n_parameters: usize,
}

/// Trains until the last epoch or until `stop`, which loses at most the epoch in hand.
///
/// # Errors
/// [`LearnError`]; the folder can be resumed after any of them.
pub fn train(job: &TrainJob, stop: &Stop, progress: &dyn Progress) -> Result<TrainReport, LearnError> {
    if job.recipe.method != Method::Network && job.team.size() > 1 {
        return Err(LearnError::Team("linear machines are trained by one process".into()));
    }
    if job.recipe.method != Method::Network && job.hardware != Hardware::Cpu {
        return Err(LearnError::Hardware("linear machines are trained on the CPU".into()));
    }
    match job.recipe.method {
        Method::Network => train_network(job, stop, progress),
        Method::HogSvm | Method::IdentitySvm => crate::conventional::train(job, stop, progress),
    }
}

/// Usable faces of the train and of the valid split.
pub(crate) fn faces_to_learn(job: &TrainJob, budget_bytes: u64) -> Result<[Arc<Faces>; 2], LearnError> {
    let faces = |split: Split| {
        let samples: Vec<Sample> =
            job.samples.iter().filter(|s| s.split == split && is_usable(s, job)).cloned().collect();
        Arc::new(Faces::new(samples, Arc::clone(&job.read), &job.recipe, budget_bytes))
    };
    let (train, valid) = (faces(Split::Train), faces(Split::Valid));
    let heads = job.recipe.heads();
    let wanted = [(heads.expression, "expression"), (heads.valence, "valence"), (heads.arousal, "arousal")];
    let wanted: Vec<&str> = wanted.into_iter().filter_map(|(is_wanted, name)| is_wanted.then_some(name)).collect();
    for (faces, split) in [(&train, Split::Train), (&valid, Split::Valid)] {
        if faces.is_empty() {
            return Err(LearnError::EmptySplit { split, wanted: wanted.join(" or ") });
        }
    }
    Ok([train, valid])
}

fn train_network(job: &TrainJob, stop: &Stop, progress: &dyn Progress) -> Result<TrainReport, LearnError> {
    let [train_faces, valid_faces] = faces_to_learn(job, job.crop_budget_bytes)?;
    let scoring = job.hardware.device()?;
    let device = scoring.clone().autodiff();
    device.seed(job.seed);
    let mut network = begin(job, &device)?;
    let team = &*job.team;
    // The first process alone keeps what is learnt; the others have the same in memory.
    let folder = match team.number() {
        0 => Some(RunFolder::open(&job.folder, &job.identity, &job.recipe)?),
        _ => None,
    };
    agree(team, job)?;
    say_what_is_missing(&train_faces, job);
    let n_parameters = network.num_params();
    let mut optimizer = descent(job.recipe.momentum, job.recipe.weight_decay.into());
    let mut state = State::default();
    // What is scored and kept: the running average where the recipe asks for one.
    let mut average = (job.recipe.ema_decay > 0.0).then(|| network.valid());
    let saved = folder.as_ref().map(RunFolder::last_checkpoint).transpose()?.flatten();
    let fresh = || fresh_start(&network, &optimizer, average.as_ref());
    if let Some(saved) = share_start(team, saved, fresh)? {
        let bad = |e: burn::store::RecordError| foreign_checkpoint(job, &e);
        network = network.try_load_record(saved.network).map_err(bad)?;
        optimizer = optimizer.from_bytes(saved.optimizer).map_err(bad)?;
        if let (Some(fresh), Some(record)) = (average.take(), saved.average) {
            average = Some(fresh.try_load_record(record).map_err(bad)?);
        }
        state = saved.state;
    }
    let balance = Arc::new(Balance::new(train_faces.samples(), &job.labels, &job.recipe, job.seed));

    for epoch in state.history.len() as u32 + 1..=job.recipe.epochs {
        if is_out_of_patience(&state, &job.recipe) {
            break;
        }
        let seed = epoch_seed(job.seed, epoch);
        // Dropout draws from the device: seeded here, an epoch is the same whether or not the run was cut before it.
        device.seed(seed);
        let plan = Plan {
            recipe: job.recipe.clone(),
            labels: job.labels.clone(),
            seed: Some(seed),
            balance: Some(Arc::clone(&balance)),
            n_threads: job.n_loader_threads,
            turn: Turn::of(team),
        };
        let mut batches = Batches::start(&train_faces, plan.clone());
        let (n_batches, n_epoch_faces) = (batches.n_batches(), batches.n_faces());
        if job.recipe.batch_parts > 1 && n_epoch_faces < job.recipe.batch_size {
            return Err(LearnError::Team(format!(
                "{n_epoch_faces} faces are less than one batch: set batch_parts = 1"
            )));
        }
        let mut loss_sum = 0.0;
        progress.begin(&format!("epoch {epoch}/{}", job.recipe.epochs), Some(n_epoch_faces as u64));
        for batch_idx in 0..n_batches {
            let stepped = if job.recipe.batch_parts > 1 {
                let place = Place { epoch_seed: seed, batch_idx, is_stopping: stop.is_requested() };
                step_in_parts(network, &mut batches, job, &device, &place)?
            } else if stop.is_requested() {
                None
            } else {
                step(network, &mut batches, job, &device)?
            };
            let Some(Step { network: moved, gradients, loss }) = stepped else {
                progress.end();
                return Ok(report(state, &job.recipe, n_parameters));
            };
            if !loss.is_finite() {
                return Err(LearnError::Diverged { epoch });
            }
            loss_sum += loss;
            let done = f64::from(epoch - 1) + batch_idx as f64 / n_batches as f64;
            network = optimizer.step(learning_rate(&job.recipe, done), moved, gradients);
            if let Some(last) = average.take() {
                let steps = (epoch - 1) as usize * n_batches + batch_idx;
                average = Some(last.moved_towards(&network.valid(), averaging_share(&job.recipe, steps)));
            }
            progress.advance((n_epoch_faces / n_batches) as u64);
            progress.note(&format!("loss {:.3}", loss_sum / (batch_idx + 1) as f64));
        }
        progress.end();
        drop(batches);

        let plan = Plan { seed: None, balance: None, ..plan };
        let scored = average.clone().unwrap_or_else(|| network.valid());
        check_alike(team, &scored)?;
        let guesses = predict_faces((&scored, &scoring), &valid_faces, plan, team, progress)?;
        let scores = score(valid_faces.samples(), &guesses, &job.labels, job.recipe.heads());
        let finished = Epoch { epoch, train_loss: loss_sum / n_batches as f64, scores };
        let is_best = state.best.as_ref().is_none_or(|best| finished.is_better_than(best));
        if is_best {
            state.best = Some(finished.clone());
        }
        state.history.push(finished);
        let Some(folder) = &folder else { continue };
        if let Some(best) = state.best.as_ref().filter(|_| is_best) {
            folder.save_best(&scored, job, best)?;
            folder.save_predictions(valid_faces.samples(), &guesses, &job.labels, job.recipe.heads())?;
        }
        folder.save_checkpoint(&state, &network, &optimizer, average.as_ref())?;
    }
    Ok(report(state, &job.recipe, n_parameters))
}

/// A batch's gradients, and the network with the batch's statistics.
struct Step {
    network: Network,
    gradients: GradientsParams,
    loss: f64,
}

/// Works through the next batch as a whole. `None` if there is none.
fn step(network: Network, batches: &mut Batches, job: &TrainJob, device: &Device) -> Result<Option<Step>, LearnError> {
    let Some(batch) = batches.next().transpose()? else { return Ok(None) };
    let outputs = network.forward(pixels(&batch, job, device));
    let loss = loss(outputs, &batch, &job.recipe, device);
    let value: f64 = f64::from(loss.clone().into_scalar::<f32>());
    let gradients = GradientsParams::from_grads(loss.backward(), &network);
    Ok(Some(Step { network, gradients, loss: value }))
}

/// Where in a run a step is, and whether this process wants to stop before it.
struct Place {
    epoch_seed: u64,
    batch_idx: usize,
    is_stopping: bool,
}

/// Works through this process's parts of the next batch, and adds up with the others' (see [`crate::Team`]). `None` if any
/// process wants to stop.
fn step_in_parts(
    network: Network,
    batches: &mut Batches,
    job: &TrainJob,
    device: &Device,
    place: &Place,
) -> Result<Option<Step>, LearnError> {
    let n_parts = job.recipe.batch_parts;
    let before = network.statistics();
    let (mut network, mut rows, mut last) = (network, Vec::new(), None);
    for part in Turn::of(&*job.team).places(n_parts) {
        // Every part begins where the batch does, whoever has it.
        network = network.with_statistics(&before);
        let part_idx = place.batch_idx * n_parts + part;
        device.seed(epoch_seed(place.epoch_seed, u32::try_from(part_idx).unwrap_or(u32::MAX)));
        let Some(Step { network: seen, gradients, loss }) = step(network, batches, job, device)? else {
            return Ok(None);
        };
        let mut row = seen.row(&gradients);
        row.extend([loss as f32, f32::from(u8::from(place.is_stopping))]);
        rows.push((part, row));
        (network, last) = (seen, Some(gradients));
    }
    let mut mean = job.team.sum(rows).map_err(LearnError::Team)?;
    // A power of two or not, the same in every process.
    mean.iter_mut().for_each(|value| *value /= n_parts as f32);
    let (Some(stopping), Some(loss), Some(last)) = (mean.pop(), mean.pop(), last) else { return Ok(None) };
    let (network, gradients) = network.with_row(&mean, last);
    Ok((stopping == 0.0).then_some(Step { network, gradients, loss: loss.into() }))
}

/// What burn says of a checkpoint that it cannot use names every weight: too long for a message.
fn foreign_checkpoint(job: &TrainJob, error: &burn::store::RecordError) -> LearnError {
    tracing::debug!(%error, "checkpoint refused");
    let reason = "the last folder in checkpoints/ is damaged, or of another network than recipe.toml asks for: remove it, \
                  and training goes on from the one before";
    LearnError::BadModel { path: job.folder.clone(), reason: reason.into() }
}

/// Categories that nobody can learn from these faces.
fn say_what_is_missing(faces: &Faces, job: &TrainJob) {
    if !job.recipe.heads().expression {
        return;
    }
    let has = |label: &Expression| faces.samples().iter().any(|sample| sample.expression == Some(*label));
    let (there, missing): (Vec<Expression>, Vec<Expression>) = job.labels.labels().iter().copied().partition(has);
    let names = |labels: &[Expression]| labels.iter().map(|label| label.name()).collect::<Vec<_>>().join(", ");
    if !missing.is_empty() {
        tracing::warn!(categories = names(&missing), "the train split has no face of these: they are not learnt");
    }
    if there.len() == 1 {
        tracing::warn!(
            category = names(&there),
            "the train split has one category alone: there is nothing to tell apart"
        );
    }
}

/// The network before its first step.
fn begin(job: &TrainJob, device: &Device) -> Result<Network, LearnError> {
    let network = job.recipe.network(job.labels.n_classes()).init(device);
    let network = match &job.start_weights {
        Some(weights) => network.with_features_of(weights).map_err(|e| LearnError::Recipe {
            name: job.identity.recipe.clone(),
            reason: format!("start_from = {:?}: {e}", job.recipe.start_from),
        })?,
        None => network,
    };
    Ok(if job.recipe.freeze_features { network.with_frozen_features() } else { network })
}

/// How far the running average moves towards the weights at a step: all the way at first, so that it forgets the
/// beginning, then by what the decay leaves.
fn averaging_share(recipe: &Recipe, steps: usize) -> f32 {
    let warmed_up = (1.0 + steps as f64) / (10.0 + steps as f64);
    (1.0 - recipe.ema_decay.min(warmed_up)) as f32
}

fn is_out_of_patience(state: &State, recipe: &Recipe) -> bool {
    let since_best = state.history.len() as u32 - state.best.as_ref().map_or(0, |best| best.epoch);
    recipe.patience > 0 && since_best >= recipe.patience
}

fn report(state: State, recipe: &Recipe, n_parameters: usize) -> TrainReport {
    let is_complete = state.history.len() as u32 >= recipe.epochs || is_out_of_patience(&state, recipe);
    TrainReport {
        method: recipe.method,
        history: state.history,
        costs: Vec::new(),
        kept_costs: [None; 3],
        best: state.best,
        is_complete,
        n_parameters,
    }
}

/// A face teaches something if it has a label for one of the heads that are trained.
fn is_usable(sample: &Sample, job: &TrainJob) -> bool {
    let heads = job.recipe.heads();
    heads.expression && sample.expression.is_some_and(|e| job.labels.class_of(e).is_some())
        || heads.valence && sample.valence.is_some()
        || heads.arousal && sample.arousal.is_some()
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

/// The network's answer for every face of a split, in order. Processes that train together share the batches.
fn predict_faces(
    (network, device): (&Network, &Device),
    faces: &Arc<Faces>,
    plan: Plan,
    team: &dyn Team,
    progress: &dyn Progress,
) -> Result<Vec<Guess>, LearnError> {
    let side = plan.recipe.input_side as usize;
    let n_channels = plan.recipe.colour.n_channels();
    progress.begin("validate", Some(faces.len() as u64));
    let nobody = Guess { probabilities: vec![0.0; plan.labels.n_classes()], valence: 0.0, arousal: 0.0 };
    let mut guesses = vec![nobody; faces.len()];
    for batch in Batches::start(faces, plan) {
        let batch = batch?;
        let shape = [batch.faces.len(), n_channels, side, side];
        let found = guess(network, Tensor::from_data(TensorData::new(batch.pixels, shape), device));
        batch.faces.iter().zip(found).for_each(|(&face_idx, found)| guesses[face_idx] = found);
        progress.advance(batch.faces.len() as u64);
    }
    progress.end();
    if team.size() > 1 { all_guesses(&guesses, team) } else { Ok(guesses) }
}

/// Everybody's answers put together: each face was answered by one process, and is zero with the others.
fn all_guesses(own: &[Guess], team: &dyn Team) -> Result<Vec<Guess>, LearnError> {
    let numbers = |guess: &Guess| [&guess.probabilities[..], &[guess.valence, guess.arousal]].concat();
    let row: Vec<f32> = own.iter().flat_map(numbers).collect();
    let n_numbers = own.first().map_or(1, |guess| guess.probabilities.len() + 2);
    let sum = team.sum(vec![(team.number(), row)]).map_err(LearnError::Team)?;
    let guess = |numbers: &[f32]| match numbers {
        [probabilities @ .., valence, arousal] => {
            Some(Guess { probabilities: probabilities.to_vec(), valence: *valence, arousal: *arousal })
        }
        _ => None,
    };
    Ok(sum.chunks_exact(n_numbers).filter_map(guess).collect())
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

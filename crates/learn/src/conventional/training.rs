//! How do linear machines learn from a release? Every face becomes a descriptor once; each C is tried, the valid split decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use affectory_core::{Progress, Stop};
use rayon::prelude::*;

use crate::LearnError;
use crate::checkpoint::{Epoch, RunFolder};
use crate::conventional::descriptor::Descriptor;
use crate::conventional::dual::{Features, Fit, LinearOptions, Loss};
use crate::conventional::linear::{ClassWeights, fit_affect, fit_classes};
use crate::conventional::model::{ConventionalCard, ConventionalModel, Decision, Machines};
use crate::data::{Faces, Sample};
use crate::predict::{ModelCard, read_model, weights_file};
use crate::recipe::Heads;
use crate::scores::{Guess, Scores, score};
use crate::training::{TrainJob, TrainReport, faces_to_learn};

/// Descriptors of both splits are in memory: a larger release wants a shorter descriptor.
const MAX_FEATURE_BYTES: usize = 8 << 30;

/// One C on its way to be compared with the others.
struct Trial {
    cost: f64,
    machines: Machines,
    decisions: Vec<Decision>,
    epoch: Epoch,
}

/// Trains; `stop` ends it between two costs, and the same command begins anew.
pub fn train(job: &TrainJob, stop: &Stop, progress: &dyn Progress) -> Result<TrainReport, LearnError> {
    // A crop is looked at once, so none is kept.
    let [train_faces, valid_faces] = faces_to_learn(job, 0)?;
    let folder = RunFolder::open(&job.folder, &job.identity, &job.recipe)?;
    if let Some(finished) = finished(job)? {
        return Ok(finished);
    }
    let n_features = Descriptor::n_features(&job.recipe)?;
    let n_faces = train_faces.len() + valid_faces.len();
    if n_faces.saturating_mul(n_features).saturating_mul(size_of::<f32>()) > MAX_FEATURE_BYTES {
        return Err(LearnError::Unfit(format!(
            "{n_faces} faces of {n_features} features need more than {} GiB: raise hog_cell or lower input_side",
            MAX_FEATURE_BYTES >> 30
        )));
    }
    let descriptor = Descriptor::of(&job.recipe)?;
    let mut trials: Vec<Trial> = Vec::new();
    let Some(train) = describe(&train_faces, &descriptor, n_features, stop, progress)? else {
        return Ok(report(job, &trials, None, [None; 3]));
    };
    let Some(valid) = describe(&valid_faces, &descriptor, n_features, stop, progress)? else {
        return Ok(report(job, &trials, None, [None; 3]));
    };
    let lessons = Lessons::new(train_faces.samples(), job);
    let (train, valid_samples) = (Features::new(&train, n_features)?, valid_faces.samples());
    progress.begin("linear machines", Some(job.recipe.costs.len() as u64));
    for &cost in &job.recipe.costs {
        if stop.is_requested() {
            progress.end();
            return Ok(report(job, &trials, None, [None; 3]));
        }
        progress.note(&format!("C = {cost}"));
        let (machines, train_loss) = fit(train, &lessons, cost, job)?;
        let decisions: Vec<Decision> =
            valid.par_chunks_exact(n_features).map(|row| machines.decide(row)).collect::<Result<_, _>>()?;
        let scores = score(valid_samples, &guesses(&decisions), &job.labels, lessons.heads);
        let Scores { accuracy, f1_macro, valence_ccc, arousal_ccc } = &scores;
        tracing::info!(cost, accuracy, f1_macro, valence_ccc, arousal_ccc, "scored on the valid split");
        let epoch = Epoch { epoch: trials.len() as u32 + 1, train_loss, scores };
        trials.push(Trial { cost, machines, decisions, epoch });
        progress.advance(1);
    }
    progress.end();

    // With weights for rare categories accuracy is not what the run is for.
    let by_accuracy = job.recipe.class_weights == ClassWeights::None;
    let expression = best(&trials, |s| if by_accuracy { s.accuracy } else { s.f1_macro });
    let [valence, arousal] = [best(&trials, |s| s.valence_ccc), best(&trials, |s| s.arousal_ccc)];
    let (Some(expression), Some(valence), Some(arousal)) = (expression, valence, arousal) else {
        return Ok(report(job, &trials, None, [None; 3]));
    };
    let decisions: Vec<Decision> = (0..valid_samples.len())
        .map(|face| Decision {
            probabilities: expression.decisions[face].probabilities.clone(),
            valence: valence.decisions[face].valence,
            arousal: arousal.decisions[face].arousal,
        })
        .collect();
    let guesses = guesses(&decisions);
    let scores = score(valid_samples, &guesses, &job.labels, lessons.heads);
    let kept = Epoch { scores, ..expression.epoch.clone() };
    let heads = lessons.heads;
    let card = ConventionalCard {
        model: ModelCard {
            has_expression: heads.expression,
            has_valence_arousal: [heads.valence, heads.arousal],
            ..ModelCard::new(job, &kept)
        },
        costs: [(heads.expression, expression), (heads.valence, valence), (heads.arousal, arousal)]
            .map(|(is_learnt, trial)| is_learnt.then_some(trial.cost)),
        never_predicted: Vec::new(),
    };
    tracing::info!(
        expression = card.costs[0],
        valence = card.costs[1],
        arousal = card.costs[2],
        by = if by_accuracy { "accuracy and CCC" } else { "macro F1 and CCC" },
        "C chosen on the valid split"
    );
    let machines = expression.machines.composed(&valence.machines, &arousal.machines);
    let model = ConventionalModel::new(card, machines)?;
    for label in &model.card().never_predicted {
        tracing::warn!(%label, "no face to learn from: never predicted");
    }
    // The model comes last: where it is, the run is complete.
    folder.save_predictions(valid_samples, &guesses, &job.labels, heads)?;
    folder.save_model(&model.to_bytes()?)?;
    Ok(report(job, &trials, Some(kept), model.card().costs))
}

/// What is told of a run whose model is there already; of its costs only the one that expression was kept from.
fn finished(job: &TrainJob) -> Result<Option<TrainReport>, LearnError> {
    let path = weights_file(&job.folder);
    if !path.is_file() {
        return Ok(None);
    }
    let model = ConventionalModel::from_bytes(&path, &read_model(&path)?)?;
    let card = model.card();
    let [expression, valence, arousal] = card.costs;
    Ok(Some(TrainReport {
        method: job.recipe.method,
        history: vec![card.model.epoch.clone()],
        costs: vec![expression.or(valence).or(arousal).unwrap_or_default()],
        kept_costs: card.costs,
        is_complete: true,
        best: Some(card.model.epoch.clone()),
        n_parameters: model.n_parameters(),
    }))
}

/// The highest score, the first of equals; the first trial where there is no score.
fn best(trials: &[Trial], of: impl Fn(&Scores) -> Option<f64>) -> Option<&Trial> {
    let value = |trial: &Trial| of(&trial.epoch.scores).unwrap_or(f64::NEG_INFINITY);
    trials.iter().reduce(|best, trial| if value(trial) > value(best) { trial } else { best })
}

fn report(job: &TrainJob, trials: &[Trial], best: Option<Epoch>, kept_costs: [Option<f64>; 3]) -> TrainReport {
    TrainReport {
        method: job.recipe.method,
        history: trials.iter().map(|trial| trial.epoch.clone()).collect(),
        costs: trials.iter().map(|trial| trial.cost).collect(),
        kept_costs,
        is_complete: best.is_some(),
        best,
        n_parameters: trials.first().map_or(0, |trial| trial.machines.n_parameters()),
    }
}

/// What is known of the rows of the train split.
struct Lessons {
    heads: Heads,
    classes: Vec<(usize, usize)>,
    affect: [Vec<(usize, f64)>; 2],
}

impl Lessons {
    fn new(samples: &[Sample], job: &TrainJob) -> Self {
        let wanted = job.recipe.heads();
        let class =
            |sample: &Sample| sample.expression.and_then(|e| job.labels.class_of(e)).filter(|_| wanted.expression);
        let classes: Vec<(usize, usize)> =
            samples.iter().enumerate().filter_map(|(row, sample)| Some((row, class(sample)?))).collect();
        let known = |is_wanted: bool, of: fn(&Sample) -> Option<f32>| -> Vec<(usize, f64)> {
            let values = samples.iter().enumerate().filter_map(|(row, sample)| Some((row, f64::from(of(sample)?))));
            values.filter(|_| is_wanted).collect()
        };
        let affect = [known(wanted.valence, |s| s.valence), known(wanted.arousal, |s| s.arousal)];
        let [valence, arousal] = [0, 1].map(|place| !affect[place].is_empty());
        Self { heads: Heads { expression: !classes.is_empty(), valence, arousal }, classes, affect }
    }
}

/// All machines at one C, and the objective of all of them a face.
fn fit(features: Features, lessons: &Lessons, cost: f64, job: &TrainJob) -> Result<(Machines, f64), LearnError> {
    let options = LinearOptions { cost, seed: job.seed, ..LinearOptions::default() };
    let n_classes = job.labels.n_classes();
    let classes = match lessons.heads.expression {
        true => fit_classes(features, &lessons.classes, n_classes, job.recipe.class_weights, &options)?,
        false => Vec::new(),
    };
    // The absolute distance, as scikit-learn's LinearSVR has it.
    let options = LinearOptions { loss: Loss::L1, ..options };
    let affect = fit_affect(features, [&lessons.affect[0], &lessons.affect[1]], &options)?;
    let fits: Vec<&Fit> = classes.iter().chain(&affect).flatten().collect();
    let n_unfinished = fits.iter().filter(|fit| !fit.converged).count();
    if n_unfinished > 0 {
        tracing::warn!(cost, n_unfinished, n_iterations = options.max_iterations, "machines did not converge");
    }
    let objective: f64 = fits.iter().map(|fit| fit.objective).sum();
    let machines = Machines::new(features.n_columns(), &classes, [affect[0].as_ref(), affect[1].as_ref()])?;
    Ok((machines, objective / features.n_rows() as f64))
}

fn guesses(decisions: &[Decision]) -> Vec<Guess> {
    let guess = |decision: &Decision| Guess {
        probabilities: decision.probabilities.clone(),
        valence: decision.valence.unwrap_or(0.0),
        arousal: decision.arousal.unwrap_or(0.0),
    };
    decisions.iter().map(guess).collect()
}

/// The descriptors of all faces, row by row; `None` if it was stopped.
fn describe(
    faces: &Arc<Faces>,
    descriptor: &Descriptor,
    n_features: usize,
    stop: &Stop,
    progress: &dyn Progress,
) -> Result<Option<Vec<f32>>, LearnError> {
    let mut features = vec![0.0; faces.len() * n_features];
    let is_stopped = AtomicBool::new(false);
    progress.begin(descriptor.title(), Some(faces.len() as u64));
    let described = features.par_chunks_exact_mut(n_features).enumerate().try_for_each(|(face_idx, row)| {
        if stop.is_requested() {
            is_stopped.store(true, Ordering::Relaxed);
            return Ok(());
        }
        row.copy_from_slice(&faces.with_crop(face_idx, |crop| descriptor.describe(crop))??);
        progress.advance(1);
        Ok(())
    });
    progress.end();
    described.map(|()| (!is_stopped.into_inner()).then_some(features))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use affectory_core::{BoundingBox, Expression, LabelSet, Silent, Split};
    use affectory_imaging::{RgbImage, encode_png};

    use super::*;
    use crate::predict::Predictor;
    use crate::recipe::{Method, Recipe};
    use crate::{RunIdentity, train};

    /// Stripes whose direction is the expression: down, across, slanting. Valence falls from one to the next.
    fn picture(number: usize) -> RgbImage {
        let (direction, shift) = (number % 3, number / 3);
        let pixels = (0..32 * 32).flat_map(|i| {
            let (x, y) = (i % 32 + shift, i / 32 + shift);
            [((if direction == 0 {
                x
            } else if direction == 1 {
                y
            } else {
                x + y
            }) * 29
                % 256) as u8; 3]
        });
        RgbImage { width: 32, height: 32, pixels: pixels.collect() }
    }

    fn job(folder: &Path) -> TrainJob {
        let expressions = [Expression::Neutral, Expression::Happy, Expression::Sad];
        let sample = |number: usize| Sample {
            name: format!("face{number}"),
            image: number.to_string(),
            bounding_box: BoundingBox::whole(32, 32),
            five: None,
            expression: Some(expressions[number % 3]),
            votes: [0; 11],
            valence: Some(0.5 - (number % 3) as f32 / 2.0),
            arousal: None,
            split: if number < 45 { Split::Train } else { Split::Valid },
            pack: 0,
        };
        let identity = RunIdentity {
            release: "stripes".into(),
            manifest_sha256: "00".into(),
            recipe: "hog-svm".into(),
            labels: "neutral,happy,sad,fear".into(),
            seed: 3,
            is_proxy: false,
            is_packed: false,
            version: "0".into(),
        };
        TrainJob {
            samples: (0..60).map(sample).collect(),
            read: Arc::new(|name: &str| {
                let number = name.parse().map_err(|e: std::num::ParseIntError| e.to_string())?;
                encode_png(&picture(number)).map_err(|e| e.to_string())
            }),
            recipe: Recipe { method: Method::HogSvm, input_side: 32, ..Recipe::default() },
            labels: LabelSet::parse("neutral,happy,sad,fear").expect("four labels"),
            seed: 3,
            identity,
            folder: folder.to_owned(),
            n_loader_threads: 1,
            crop_budget_bytes: 0,
            start_weights: None,
            hardware: crate::Hardware::Cpu,
            team: Arc::new(crate::Alone),
        }
    }

    #[test]
    fn a_run_leaves_what_a_networks_run_leaves_and_its_model_answers() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let job = job(folder.path());
        let report = train(&job, &Stop::default(), &Silent)?;
        let best = report.best.expect("it was not stopped");
        assert!(report.is_complete && report.history.len() == job.recipe.costs.len());
        assert_eq!(report.kept_costs[2], None);
        assert_eq!((best.scores.accuracy, best.scores.arousal_ccc), (Some(1.0), None));
        assert!(best.scores.valence_ccc > Some(0.9), "{:?}", best.scores);
        for name in ["run.json", "recipe.toml", "valid-predictions.csv", "valid-truth.csv", "valid-votes.csv"] {
            assert!(folder.path().join(name).exists(), "{name}");
        }
        let model = folder.path().join("model.safetensors");
        let (predictor, bytes) = (Predictor::load(folder.path())?, std::fs::read(&model)?);
        let found = predictor.predict(&picture(50), &[BoundingBox::whole(32, 32).into()])?;
        assert_eq!(found[0].expression, Some(Expression::Sad));
        assert_eq!(found[0].probabilities[3], (Expression::Fear, 0.0));
        assert!(found[0].valence.is_some_and(|valence| (valence.value() + 0.5).abs() < 0.3), "{found:?}");
        assert_eq!(found[0].arousal, None);
        // The same job gives the same bytes elsewhere; here it is not done again.
        let elsewhere = tempfile::tempdir()?;
        train(&TrainJob { folder: elsewhere.path().to_owned(), ..job.clone() }, &Stop::default(), &Silent)?;
        assert_eq!(std::fs::read(elsewhere.path().join("model.safetensors"))?, bytes);
        let unread = TrainJob { read: Arc::new(|_: &str| Err("not again".into())), ..job };
        let again = train(&unread, &Stop::default(), &Silent)?;
        assert_eq!((again.best, again.kept_costs), (Some(best), report.kept_costs));
        Ok(())
    }

    #[test]
    fn an_empty_split_one_expression_and_a_broken_image_are_one_line_each() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let message = |name: &str, change: &dyn Fn(&mut TrainJob)| {
            let mut job = job(&folder.path().join(name));
            change(&mut job);
            train(&job, &Stop::default(), &Silent).err().map(|e| e.to_string()).unwrap_or_default()
        };
        let empty = message("empty", &|job| job.samples.retain(|s| s.split == Split::Train));
        assert!(
            empty.contains("no item with a label for expression or valence or arousal in split `valid`"),
            "{empty}"
        );
        let one = message("one", &|job| job.samples.iter_mut().for_each(|s| s.expression = Some(Expression::Sad)));
        assert!(one.contains("faces of 1 expressions"), "{one}");
        let broken = message("broken", &|job| job.samples[7].image = "gone".into());
        assert!(broken.starts_with("cannot read image `gone`"), "{broken}");
        Ok(())
    }

    #[test]
    fn a_run_that_is_stopped_keeps_nothing_and_says_so() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let stop = Stop::default();
        stop.request();
        let report = train(&job(folder.path()), &stop, &Silent)?;
        assert!(!report.is_complete && report.best.is_none() && !folder.path().join("model.safetensors").exists());
        Ok(())
    }
}

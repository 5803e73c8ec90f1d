//! `affectory train`: from a release to a run's folder with weights, curves and scores.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use affectory_catalog::Project;
use affectory_core::{CoreError, Expression, LabelSet, Landmarks, Sha256Hex, Split};
use affectory_dispatch::{Meeting, Seat};
use affectory_evaluate::{Evaluation, Missing, match_images};
use affectory_learn::recipe::Method;
use affectory_learn::{
    Alone, LearnError, OPEN_PACKS, Predictor, ReadImage, Recipe, RunIdentity, Sample, Team, TrainJob, TrainReport,
    model_bytes, train,
};
use affectory_release::pack::PackReader;
use affectory_release::{Release, ReleaseItem, load_release};
use anyhow::{Context as _, bail};

use super::{Context, evaluate, shown};
use crate::cli::Train;
use crate::environment::{random, variable};

/// Threads that read images while the network learns.
const LOADER_THREADS: usize = 2;

pub async fn run(context: &Context, args: Train) -> anyhow::Result<()> {
    let project = context.open().await?;
    let (folder, report) = train_one(context, &project, &args).await?;
    // Linear machines have no epochs: their history is one line a C.
    let step = match report.method {
        Method::Network => "epoch",
        Method::HogSvm | Method::IdentitySvm => "    C",
    };
    let named = |number: u32| match report.costs.get((number as usize).saturating_sub(1)) {
        Some(cost) => cost.to_string(),
        None => number.to_string(),
    };
    let mut text = format!("{step}  loss    accuracy  macro F1  CCC valence  CCC arousal   (valid split)\n");
    for epoch in &report.history {
        let s = &epoch.scores;
        let figure = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.4}"));
        text += &format!(
            "{:>5}  {:.4}  {:8}  {:8}  {:11}  {}\n",
            named(epoch.epoch),
            epoch.train_loss,
            figure(s.accuracy),
            figure(s.f1_macro),
            figure(s.valence_ccc),
            figure(s.arousal_ccc)
        );
    }
    if let Some(best) = &report.best {
        let heads = ["expression", "valence", "arousal"].into_iter().zip(report.kept_costs);
        let chosen: Vec<String> = heads.filter_map(|(head, cost)| Some(format!("C {} for {head}", cost?))).collect();
        let kept = match report.method {
            Method::Network => format!("epoch {}", best.epoch),
            Method::HogSvm | Method::IdentitySvm => format!("{}, chosen on the valid split", chosen.join(", ")),
        };
        text += &format!("kept: {kept}, {} weights\n", report.n_parameters);
    }
    let curves = match report.method {
        Method::Network => " curves.svg,",
        Method::HogSvm | Method::IdentitySvm => "",
    };
    text += &match args.process {
        0 => format!("in {}: model.safetensors,{curves} confusion.svg, scores.md", shown(&folder)),
        _ => "process 0 keeps the run".to_owned(),
    };
    let json = serde_json::json!({
        "run": folder, "history": report.history, "best": report.best,
        "costs": report.costs, "kept_costs": report.kept_costs, "is_complete": report.is_complete, "parameters": report.n_parameters,
    });
    context.print(&text, &json)?;
    if !report.is_complete && report.method != Method::Network {
        bail!("stopped before every C was tried: the same command begins anew");
    }
    if !report.is_complete {
        bail!("stopped before the last epoch: the same command goes on from the last whole one");
    }
    Ok(())
}

/// Trains, or goes on training, and scores the best epoch on the valid split; the demo comes through here, too.
pub async fn train_one(context: &Context, project: &Project, args: &Train) -> anyhow::Result<(PathBuf, TrainReport)> {
    let release = load_release(project, &args.release).await?;
    let epochs = args.epochs.map(|epochs| format!("epochs={epochs}"));
    let knobs: Vec<String> = args.knobs.iter().cloned().chain(epochs).collect();
    let recipe = Recipe::find(&args.recipe)?.with_knobs(&args.recipe, &knobs)?;
    let start_weights = start_weights(project, &recipe)?;
    let recipe_name = Path::new(&args.recipe).file_stem().and_then(|s| s.to_str()).unwrap_or("recipe").to_owned();
    let run = args.run.clone().unwrap_or_else(|| format!("{}-{recipe_name}-s{}", args.release, args.seed));
    let folder = run_folder(project, &run)?;
    let identity = RunIdentity {
        release: args.release.clone(),
        manifest_sha256: release.row.manifest_sha256.to_string(),
        recipe: recipe_name,
        labels: release.labels.to_string(),
        seed: args.seed,
        is_proxy: release.items.iter().any(|item| item.is_proxy),
        is_packed: args.packed,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let (samples, read) = match args.packed {
        true => packed(project, &release).await?,
        false => (samples(&release), reader(project)),
    };
    let labels = release.labels.clone();
    let job = TrainJob {
        samples,
        read,
        recipe,
        labels: release.labels,
        seed: args.seed,
        identity,
        folder: folder.clone(),
        n_loader_threads: LOADER_THREADS,
        crop_budget_bytes: args.crop_memory.saturating_mul(1 << 20),
        start_weights,
        hardware: args.on,
        team: Arc::new(Alone),
    };
    let report = match seat(args)? {
        None => train_in_thread(context, job).await?,
        Some(seat) => train_together(context, job, seat).await?,
    };
    let report = report.with_context(|| format!("failed to train in {}", shown(&folder)))?;
    if report.best.is_some() && args.process == 0 {
        score_run(&folder, &labels, Some(&learnt(&folder, &labels)?), Split::Valid)?;
    }
    Ok((folder, report))
}

/// The place among processes that train together, if that was asked for.
fn seat(args: &Train) -> anyhow::Result<Option<Seat>> {
    let Some(address) = args.meet.clone() else { return Ok(None) };
    let token = variable("AFFECTORY_TRAIN_TOKEN").context(
        "set AFFECTORY_TRAIN_TOKEN to the same secret of 16 letters or more for all processes that train together",
    )?;
    let random = random();
    let nonce = random.iter().take(8).fold(0, |nonce: u64, byte| nonce << 8 | u64::from(*byte));
    Ok(Some(Seat { number: args.process, size: args.processes, address, token, nonce }))
}

async fn train_together(
    context: &Context,
    job: TrainJob,
    seat: Seat,
) -> anyhow::Result<Result<TrainReport, LearnError>> {
    let meeting = Arc::new(Meeting::gather(seat, &context.stop, &context.bars).await?);
    let team: Arc<dyn Team> = Arc::clone(&meeting) as _;
    let trained = train_in_thread(context, TrainJob { team, ..job }).await?;
    meeting.leave(trained.as_ref().err().map(ToString::to_string).as_deref()).await;
    Ok(trained)
}

async fn train_in_thread(context: &Context, job: TrainJob) -> anyhow::Result<Result<TrainReport, LearnError>> {
    let (stop, bars) = (context.stop.clone(), context.bars.clone());
    tokio::task::spawn_blocking(move || train(&job, &stop, &bars)).await.context("the trainer ended early")
}

/// The folder of a run of that name.
pub fn run_folder(project: &Project, run: &str) -> anyhow::Result<PathBuf> {
    if run.starts_with('.') || !run.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) || run.len() > 128 {
        bail!("`{run}` is no usable run name: letters, digits, `-`, `_` and `.`; give one with --run");
    }
    Ok(project.runs_dir().join(run))
}

/// The folder of this project's run of that name, else the name: a file, or a model inside the program.
pub fn run_or_name(project: &Project, name: &str) -> String {
    let run = project.runs_dir().join(name);
    if run.is_dir() { run.to_string_lossy().into_owned() } else { name.to_owned() }
}

/// The weights that training starts from, if the recipe names any: a run of this project by its name, or what
/// [`model_bytes`] knows.
fn start_weights(project: &Project, recipe: &Recipe) -> anyhow::Result<Option<Vec<u8>>> {
    if recipe.start_from.is_empty() {
        return Ok(None);
    }
    Ok(Some(
        model_bytes(&run_or_name(project, &recipe.start_from))
            .context("start_from of the recipe: neither a run nor a model")?,
    ))
}

/// Those of the labels that a training's model can say: it had faces of them. All where the folder has no model to ask, and
/// where fewer than two remain, of which nobody can be told apart.
pub fn learnt(folder: &Path, labels: &LabelSet) -> anyhow::Result<LabelSet> {
    if !folder.join("model.safetensors").is_file() {
        return Ok(labels.clone());
    }
    let model = Predictor::load(folder).with_context(|| format!("failed to read the model in {}", shown(folder)))?;
    let said: Vec<&str> = model.can_say().into_iter().map(Expression::name).collect();
    Ok(LabelSet::parse(&said.join(",")).unwrap_or_else(|_| labels.clone()))
}

/// Writes every figure of a split beside its predictions. `can_say` is what the model can answer, where that may be less
/// than the labels.
pub fn score_run(
    folder: &Path,
    labels: &LabelSet,
    can_say: Option<&LabelSet>,
    split: Split,
) -> anyhow::Result<Evaluation> {
    let table = |what: &str| evaluate::read(&folder.join(format!("{split}-{what}.csv")));
    let matched = match_images(&table("truth")?, &table("predictions")?, labels, can_say, Missing::Refused)?;
    let scored = matched.evaluation();
    evaluate::write_json(&folder.join("scores.json"), &scored)?;
    evaluate::write_tables(&folder.join("scores.md"), &scored, affectory_evaluate::Format::Markdown)?;
    evaluate::write_file(&folder.join("confusion.svg"), affectory_evaluate::confusion_svg(&scored).as_bytes())?;
    Ok(scored)
}

/// A release as the trainer sees it.
pub fn samples(release: &Release) -> Vec<Sample> {
    release.items.iter().map(sample).collect()
}

fn sample(item: &ReleaseItem) -> Sample {
    Sample {
        name: item.item.clone(),
        image: item.image_sha256.to_string(),
        bounding_box: item.bounding_box,
        five: item.landmarks.as_ref().map(Landmarks::five),
        expression: Some(item.expression),
        votes: item.votes,
        valence: item.valence.map(affectory_core::Valence::value),
        arousal: item.arousal.map(affectory_core::Arousal::value),
        split: item.split,
        pack: 0,
    }
}

/// Packs that are open at a time: those whose faces are mixed, the next ones, and what the validation reads.
const MOST_OPEN: usize = 2 * OPEN_PACKS + 2 * LOADER_THREADS;

/// The release as the trainer sees it, read out of packs.
async fn packed(project: &Project, release: &Release) -> anyhow::Result<(Vec<Sample>, ReadImage)> {
    let packs = PackReader::open(project, release, MOST_OPEN).await?;
    let of_item = |item: &ReleaseItem| Sample {
        image: format!("{}/{}", item.split, item.image_sha256),
        pack: packs.number_of(item.split, &item.image_sha256),
        ..sample(item)
    };
    let samples = release.items.iter().map(of_item).collect();
    let runtime = tokio::runtime::Handle::current();
    let read: ReadImage = Arc::new(move |image: &str| {
        let (split, sha256) = image.split_once('/').ok_or("an image without a split")?;
        let split: Split = split.parse().map_err(|e: CoreError| e.to_string())?;
        let sha256: Sha256Hex = sha256.parse().map_err(|e: CoreError| e.to_string())?;
        runtime.block_on(packs.read(split, &sha256)).map(|bytes| bytes.to_vec()).map_err(|e| e.to_string())
    });
    Ok((samples, read))
}

/// Learning knows no catalogue: it reads images through this.
pub fn reader(project: &Project) -> ReadImage {
    let store = project.store.clone();
    let runtime = tokio::runtime::Handle::current();
    Arc::new(move |image: &str| {
        let sha256: Sha256Hex = image.parse().map_err(|e: CoreError| e.to_string())?;
        runtime.block_on(store.read(&sha256)).map(|bytes| bytes.to_vec()).map_err(|e| e.to_string())
    })
}

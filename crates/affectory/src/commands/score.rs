//! `affectory score`: lets any model answer a split of a release, and scores it.

use std::path::{Path, PathBuf};

use affectory_catalog::Project;
use affectory_core::{Expression, LabelSet, Split};
use affectory_evaluate::{Bootstrap, Ceiling, Evaluation, Format, class_table, comparison_table};
use affectory_learn::{
    Predictor, RunIdentity, Sample, ScoreIdentity, answers_csv, model_sha256, predict_samples, truth_csv, votes_csv,
};
use affectory_release::load_release;
use anyhow::{Context as _, bail};

use super::{Context, evaluate, onnx_runtime, shown, train};
use crate::cli::Score;
use crate::failure::printable;

pub async fn run(context: &Context, args: &Score) -> anyhow::Result<()> {
    let project = context.open().await?;
    let release = load_release(&project, &args.release).await?;
    let samples: Vec<Sample> = train::samples(&release).into_iter().filter(|s| s.split == args.split).collect();
    if samples.is_empty() {
        bail!("release `{}` has no item in split `{}`", printable(&args.release), args.split);
    }
    let (model, predictor) = open(&project, &args.model)?;
    let run = args.run.clone().unwrap_or_else(|| default_run(&args.release, &args.model, args.split));
    let folder = train::run_folder(&project, &run)?;
    let can_say: Vec<&str> = predictor.can_say().into_iter().map(Expression::name).collect();
    let can_say = LabelSet::parse(&can_say.join(",")).context("the model knows no two labels")?;
    let truth_is_proxy = release.items.iter().any(|item| item.is_proxy);
    let identity = ScoreIdentity {
        run: RunIdentity {
            release: args.release.clone(),
            manifest_sha256: release.row.manifest_sha256.to_string(),
            recipe: predictor.name(),
            labels: can_say.to_string(),
            seed: 0,
            is_proxy: truth_is_proxy || predictor.is_proxy(),
            is_packed: false,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        split: args.split,
        model: args.model.clone(),
        model_sha256: model_sha256(&model)?,
        cannot_produce: predictor.cannot_produce(),
        model_is_proxy: predictor.is_proxy(),
    };
    begin(&folder, &identity)?;
    let n_without_points = match predictor.is_aligned() {
        true => samples.iter().filter(|sample| sample.five.is_none()).count(),
        false => 0,
    };
    let (labels, split) = (release.labels.clone(), args.split);
    let (read, stop, bars) = (train::reader(&project), context.stop.clone(), context.bars.clone());
    let to = folder.clone();
    let work = move || -> anyhow::Result<Scored> {
        let answers = predict_samples(&predictor, &samples, &read, (&stop, &bars))?;
        // Some answers make no score, and all of them are had again in minutes.
        if answers.len() < samples.len() {
            bail!("stopped: the same command begins anew");
        }
        let csv = answers_csv(&samples, &answers, &labels);
        write(&to, split, [truth_csv(&samples), votes_csv(&samples), csv], &labels, &can_say)
    };
    let scored = tokio::task::spawn_blocking(work).await.context("the prediction ended early")??;
    let json = serde_json::json!({
        "run": folder, "identity": identity, "scores": scored.all.to_json(),
        "scores_of_its_labels": scored.producible.as_ref().map(Evaluation::to_json),
        "ceiling": scored.ceiling, "aligned_by_points_found_now": n_without_points,
    });
    let mut text = text(&folder, &identity, truth_is_proxy, &scored);
    if n_without_points > 0 {
        text += &format!(
            "\n{n_without_points} faces have no landmarks in the release: the program's own network found them, in the box, to align \
             the faces (`faces run` before `release build` puts them in)"
        );
    }
    context.print(&text, &json)
}

/// As `evaluate` and `compare` draw, unless they are told otherwise.
const BOOTSTRAP: Bootstrap = Bootstrap { n_resamples: 1000, confidence: 0.95, seed: 1 };

/// Figures over all labels of the release, and over those alone that the model can say, where these are fewer.
struct Scored {
    all: Evaluation,
    producible: Option<Evaluation>,
    /// What one annotator gets right; `None` where no face has two votes.
    ceiling: Option<Ceiling>,
}

/// Writes the tables, and the figures that follow from them.
fn write(
    folder: &Path,
    split: Split,
    [truth, votes, answers]: [String; 3],
    labels: &LabelSet,
    can_say: &LabelSet,
) -> anyhow::Result<Scored> {
    let path = |what: &str| folder.join(format!("{split}-{what}.csv"));
    for (what, table) in [("truth", truth), ("votes", votes), ("predictions", answers)] {
        evaluate::write_file(&path(what), table.as_bytes())?;
    }
    let all = train::score_run(folder, labels, Some(can_say), split)?;
    let ceiling = evaluate::ceiling_of(&path("votes"), &evaluate::read(&path("truth"))?, labels, BOOTSTRAP)?;
    let ceiling = Some(ceiling).filter(|ceiling| ceiling.n > 0);
    let known = labels.labels().iter().filter(|label| can_say.class_of(**label).is_some());
    let known: Vec<&str> = known.map(|label| label.name()).collect();
    if known.len() == labels.n_classes() || known.len() < 2 {
        return Ok(Scored { all, producible: None, ceiling });
    }
    let known = LabelSet::parse(&known.join(","))?;
    let producible = evaluate::score_files(&path("truth"), &path("predictions"), &known, false)?;
    Ok(Scored { all, producible: Some(producible), ceiling })
}

/// A model by its name, and the name by which its files are found: a run of this project, or what `Predictor::open` knows.
fn open(project: &Project, name: &str) -> anyhow::Result<(String, Predictor)> {
    let name = train::run_or_name(project, name);
    let predictor = Predictor::open(&name, &onnx_runtime())
        .with_context(|| format!("failed to open the model `{}`", printable(&name)))?;
    Ok((name, predictor))
}

/// `RELEASE-MODEL-SPLIT`, of what a file name may hold.
fn default_run(release: &str, model: &str, split: Split) -> String {
    let path = Path::new(model);
    let stem = if path.extension().is_some_and(|e| e == "toml" || e == "safetensors") {
        path.file_stem()
    } else {
        path.file_name()
    };
    let name: String = stem
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' })
        .collect();
    format!("{release}-{name}-{split}")
}

/// Makes the folder, unless it holds a training or other answers.
fn begin(folder: &Path, identity: &ScoreIdentity) -> anyhow::Result<()> {
    let path: PathBuf = folder.join("run.json");
    match std::fs::read(&path) {
        Ok(bytes) => {
            let same = |saved: ScoreIdentity| {
                let (mut saved, version) = (saved, identity.run.version.clone());
                saved.run.version = version;
                saved == *identity
            };
            if !serde_json::from_slice(&bytes).is_ok_and(same) {
                bail!(
                    "{} holds a training, or answers of another model or split: choose another --run name, or remove it",
                    shown(folder)
                );
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", shown(&path))),
    }
    std::fs::create_dir_all(folder).with_context(|| format!("failed to create {}", shown(folder)))?;
    evaluate::write_file(&path, &serde_json::to_vec_pretty(identity)?)
}

fn text(folder: &Path, identity: &ScoreIdentity, truth_is_proxy: bool, scored: &Scored) -> String {
    let name = printable(&identity.run.recipe);
    let split = identity.split;
    let mut text =
        comparison_table(&[(&name, &scored.all)], Format::Text) + "\n" + &class_table(&scored.all, Format::Text);
    if let Some(ceiling) = &scored.ceiling {
        text += &format!("\n{}\n", ceiling.in_words(&scored.all.labels).join("\n"));
    }
    if let Some(producible) = &scored.producible {
        let labels = scored.all.labels.iter().filter(|label| !producible.labels.contains(label));
        let names: Vec<&str> = labels.copied().map(Expression::name).collect();
        let figure = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
        text += &format!(
            "\n{name} cannot say {}: its {} faces count as errors above; without them accuracy {}, F1 (macro) {} on {} faces\n",
            names.join(", "),
            producible.n_left_out,
            figure(producible.accuracy),
            figure(producible.f1_macro),
            producible.n,
        );
    }
    if scored.all.valence.ccc.is_some() {
        let proxy = |is_proxy: bool| if is_proxy { "a PROXY (a formula, not people)" } else { "no proxy" };
        let (truth, model) = (proxy(truth_is_proxy), proxy(identity.model_is_proxy));
        text += &format!("\nvalence and arousal: the release's are {truth}, the model's {model}\n");
    }
    text += &format!(
        "\nscored on the {split} split of {}\nin {}: {split}-predictions.csv, {split}-truth.csv, {split}-votes.csv, scores.json, \
         scores.md, confusion.svg",
        printable(&identity.run.release),
        shown(folder)
    );
    text
}

//! `affectory compare`: several runs, or prediction files, in one table.

use std::path::{Path, PathBuf};

use affectory_core::{Expression, LabelSet, Split};
use affectory_evaluate::{Format, Run, Table, check_same_truth, compare_runs, match_images};
use anyhow::{Context as _, bail};

use super::{Context, evaluate, shown, train};
use crate::cli::Compare;

/// What is to be compared, before anything is matched.
struct Entry {
    name: String,
    predictions: Table,
    truth: Table,
    /// What the model can say; unknown for a file that only names labels.
    can_say: Option<LabelSet>,
    is_proxy: bool,
    release: Option<String>,
    /// Where a run's folder has its votes.
    votes: Option<PathBuf>,
    /// Of a run: valid, unless `affectory score` answered another one.
    split: Option<Split>,
    /// Whether the images also chose the epoch.
    is_training: bool,
}

pub async fn run(context: &Context, args: &Compare) -> anyhow::Result<()> {
    let mut entries: Vec<Entry> = Vec::new();
    for named in &args.runs {
        let entry = match named.split_once('=') {
            Some((name, csv)) if !Path::new(named).is_dir() => from_csv(name, Path::new(csv), args.truth.as_deref())?,
            _ => from_folder(&folder_of(context, named).await?)?,
        };
        if entries.iter().any(|other| other.name == entry.name) {
            bail!("two runs are called `{}`: give one another name", entry.name);
        }
        entries.push(entry);
    }
    let truth = entries.first().context("no runs")?.truth.clone();
    for entry in &entries[1..] {
        check_same_truth(&truth, &entry.truth)?;
    }
    let labels = match &args.labels {
        Some(text) => LabelSet::parse(text).context("--labels")?,
        None => labels_of(&entries)?,
    };
    let bootstrap = evaluate::bootstrap(&args.resampling);
    let votes = args
        .votes
        .clone()
        .or_else(|| entries.iter().filter_map(|entry| entry.votes.as_ref()).find(|path| path.is_file()).cloned());
    let ceiling = votes.map(|path| evaluate::ceiling_of(&path, &truth, &labels, bootstrap)).transpose()?;
    // Where each image has one annotator, nobody knows how others would have done.
    let ceiling = ceiling.filter(|ceiling| ceiling.n > 0);
    let images = images_of(&entries, args.truth.as_deref());
    let runs = entries
        .into_iter()
        .map(|entry| {
            let missing = evaluate::missing(args.allow_missing);
            let matched = match_images(&truth, &entry.predictions, &labels, entry.can_say.as_ref(), missing)?;
            Ok(Run { name: entry.name, matched, is_proxy: entry.is_proxy })
        })
        .collect::<anyhow::Result<Vec<Run>>>()?;
    let comparison = compare_runs(&runs, ceiling, &images, bootstrap);
    for (path, format) in [(&args.markdown, Format::Markdown), (&args.latex, Format::Latex)] {
        if let Some(path) = path {
            evaluate::write_file(path, comparison.tables(format).as_bytes())?;
        }
    }
    if let Some(path) = &args.csv {
        evaluate::write_file(path, comparison.to_csv().as_bytes())?;
    }
    if let Some(path) = &args.report {
        let page = affectory_evaluate::comparison_html(&comparison, env!("CARGO_PKG_VERSION"));
        evaluate::write_file(path, page.as_bytes())?;
    }
    context.print(&comparison.tables(Format::Text), &comparison.to_json())
}

/// A folder as named, or the run of that name in the project.
async fn folder_of(context: &Context, named: &str) -> anyhow::Result<PathBuf> {
    let folder = PathBuf::from(named);
    if folder.is_dir() {
        return Ok(folder);
    }
    let project = context.open().await.with_context(|| format!("there is no folder `{named}`"))?;
    let folder = project.runs_dir().join(named);
    if named.contains(['/', '\\']) || !folder.is_dir() {
        bail!(
            "there is no run `{named}` in {}; a model is scored first (`affectory score`), predictions are given as \
             NAME=FILE.csv",
            shown(&project.runs_dir())
        );
    }
    Ok(folder)
}

fn from_folder(folder: &Path) -> anyhow::Result<Entry> {
    let path = folder.join("run.json");
    let text = std::fs::read(&path).with_context(|| format!("failed to read {}: is this a run?", shown(&path)))?;
    let run: serde_json::Value =
        serde_json::from_slice(&text).with_context(|| format!("failed to read {}", shown(&path)))?;
    let field = |name: &str| run[name].as_str().with_context(|| format!("{} has no `{name}`", shown(&path)));
    // Only what `affectory score` wrote names a split.
    let split = match run.get("split") {
        Some(split) => serde_json::from_value::<Split>(split.clone()).with_context(|| shown(&path))?,
        None => Split::Valid,
    };
    let [predictions, truth, votes] =
        ["predictions", "truth", "votes"].map(|what| folder.join(format!("{split}-{what}.csv")));
    if !predictions.is_file() {
        bail!("{} is missing: train the run to its first whole epoch", shown(&predictions));
    }
    let labels = LabelSet::parse(field("labels")?).with_context(|| format!("failed to read {}", shown(&path)))?;
    let is_training = run.get("split").is_none();
    // What was scored names what its model can say; a training names the labels of its release.
    let can_say = if is_training { train::learnt(folder, &labels)? } else { labels };
    let name = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = name.file_name().map_or_else(|| shown(folder), |name| shown(Path::new(name)));
    Ok(Entry {
        name,
        predictions: evaluate::read(&predictions)?,
        truth: evaluate::read(&truth)?,
        can_say: Some(can_say),
        is_proxy: run["is_proxy"].as_bool().with_context(|| format!("{} has no `is_proxy`", shown(&path)))?,
        release: Some(field("release")?.to_owned()),
        votes: Some(votes),
        split: Some(split),
        is_training,
    })
}

fn from_csv(name: &str, predictions: &Path, truth: Option<&Path>) -> anyhow::Result<Entry> {
    let truth = truth.with_context(|| format!("`{name}` is a file of predictions: give their --truth"))?;
    let predictions = evaluate::read(predictions)?;
    let scored: Vec<&str> = predictions.score_labels.iter().map(|label| label.name()).collect();
    // Labels alone do not tell what else the model might have said.
    let can_say = if scored.len() < 2 { None } else { Some(LabelSet::parse(&scored.join(","))?) };
    let truth = evaluate::read(truth)?;
    Ok(Entry {
        name: name.to_owned(),
        predictions,
        truth,
        can_say,
        is_proxy: false,
        release: None,
        votes: None,
        split: None,
        is_training: false,
    })
}

/// Every label that one of the runs can say, in AffectNet's order; the eight where no run tells.
fn labels_of(entries: &[Entry]) -> anyhow::Result<LabelSet> {
    let said = |label: &Expression| {
        entries.iter().filter_map(|entry| entry.can_say.as_ref()).any(|set| set.class_of(*label).is_some())
    };
    let labels: Vec<&str> = Expression::ALL.iter().filter(|label| said(label)).map(|label| label.name()).collect();
    if labels.is_empty() { Ok(LabelSet::eight()) } else { Ok(LabelSet::parse(&labels.join(","))?) }
}

/// Which images these are, for the reader of the table.
fn images_of(entries: &[Entry], truth: Option<&Path>) -> String {
    let mut releases: Vec<&str> = entries.iter().filter_map(|entry| entry.release.as_deref()).collect();
    releases.sort_unstable();
    releases.dedup();
    match truth.filter(|_| releases.is_empty()) {
        Some(truth) => format!("images of {}", shown(truth)),
        None => {
            let split = entries.iter().find_map(|entry| entry.split).unwrap_or(Split::Valid);
            let chose =
                if entries.iter().any(|entry| entry.is_training) { ", which also chose each run's epoch" } else { "" };
            format!("{split} split of {}{chose}", releases.join(" and "))
        }
    }
}

//! `affectory evaluate`: scores one CSV against another.

use std::io::Write as _;
use std::path::Path;

use affectory_core::LabelSet;
use affectory_evaluate::{
    Bootstrap, Ceiling, Evaluation, Format, Intervals, Missing, Table, ceiling, class_table, comparison_table,
    confusion_table, evaluate, figure_table, intervals, match_images, read_table, read_votes,
};
use anyhow::Context as _;

use super::{Context, shown};
use crate::cli::{Evaluate, Resampling};

pub fn run(context: &Context, args: &Evaluate) -> anyhow::Result<()> {
    let labels = LabelSet::parse(&args.labels).context("--labels")?;
    let truth = read(&args.truth)?;
    let missing = missing(args.allow_missing);
    let matched = match_images(&truth, &read(&args.predictions)?, &labels, None, missing)?;
    let bootstrap = bootstrap(&args.resampling);
    let ceiling = args.votes.as_deref().map(|path| ceiling_of(path, &truth, &labels, bootstrap)).transpose()?;
    let (evaluation, bounds) = (matched.evaluation(), intervals(&matched, bootstrap));
    let document = document(&evaluation, &bounds, ceiling.as_ref());
    let all = |format| cited_tables(&evaluation, &bounds, ceiling.as_ref(), format);
    if let Some(path) = &args.markdown {
        write_file(path, all(Format::Markdown).as_bytes())?;
    }
    if let Some(path) = &args.latex {
        write_file(path, all(Format::Latex).as_bytes())?;
    }
    let text = all(Format::Text);
    match &args.out {
        Some(path) => {
            write_file(path, serde_json::to_string_pretty(&document)?.as_bytes())?;
            context.print_text(&text)
        }
        None => context.print(&text, &document),
    }
}

/// 95 % intervals from as many resamples as asked for.
pub fn bootstrap(args: &Resampling) -> Bootstrap {
    Bootstrap { n_resamples: args.resamples as usize, confidence: 0.95, seed: args.seed }
}

/// What to do with images that lack an answer.
pub fn missing(may_miss: bool) -> Missing {
    if may_miss { Missing::LeftOut } else { Missing::Refused }
}

/// What one annotator gets right of what the others say.
pub fn ceiling_of(votes: &Path, truth: &Table, labels: &LabelSet, bootstrap: Bootstrap) -> anyhow::Result<Ceiling> {
    let file = std::fs::File::open(votes).with_context(|| format!("failed to read {}", shown(votes)))?;
    Ok(ceiling(&read_votes(file, &shown(votes))?.of_truth(truth, labels)?, labels, bootstrap))
}

/// The contract's document, with how sure its figures are.
fn document(evaluation: &Evaluation, bounds: &Intervals, ceiling: Option<&Ceiling>) -> serde_json::Value {
    let mut document = evaluation.to_json();
    document["intervals"] = bounds.to_json(&evaluation.labels);
    document["bootstrap"] = serde_json::json!({ "resamples": bounds.bootstrap.n_resamples, "confidence": bounds.bootstrap.confidence,
                            "seed": bounds.bootstrap.seed });
    if let Some(ceiling) = ceiling {
        document["ceiling"] = serde_json::json!(ceiling);
    }
    document
}

fn cited_tables(evaluation: &Evaluation, bounds: &Intervals, ceiling: Option<&Ceiling>, format: Format) -> String {
    let mut text = [
        figure_table(evaluation, bounds, format),
        class_table(evaluation, format),
        confusion_table(evaluation, format),
    ]
    .join("\n");
    let comment = if format == Format::Latex { "% " } else { "" };
    if bounds.bootstrap.n_resamples > 0 {
        let Bootstrap { n_resamples, confidence, seed } = bounds.bootstrap;
        let percent = confidence * 100.0;
        text += &format!(
            "\n{comment}intervals: {percent:.0} % percentile, {n_resamples} bootstrap resamples of images, seed {seed}\n"
        );
    }
    if let Some(ceiling) = ceiling {
        let figure = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
        text += &format!(
            "\n{comment}one annotator against the others ({} images): accuracy {}, macro F1 {}\n",
            ceiling.n,
            figure(ceiling.accuracy),
            figure(ceiling.f1_macro)
        );
    }
    text
}

/// Every figure of a prediction file.
pub fn score_files(truth: &Path, predictions: &Path, labels: &LabelSet, may_miss: bool) -> anyhow::Result<Evaluation> {
    Ok(evaluate(&read(truth)?, &read(predictions)?, labels, missing(may_miss))?)
}

/// A truth or predictions table.
pub fn read(path: &Path) -> anyhow::Result<Table> {
    let file = std::fs::File::open(path).with_context(|| format!("failed to read {}", shown(path)))?;
    Ok(read_table(file, &shown(path))?)
}

fn tables(evaluation: &Evaluation, format: Format) -> String {
    [
        comparison_table(&[("predictions", evaluation)], format),
        class_table(evaluation, format),
        confusion_table(evaluation, format),
    ]
    .join("\n")
}

/// Writes the tables in one format.
pub fn write_tables(path: &Path, evaluation: &Evaluation, format: Format) -> anyhow::Result<()> {
    write_file(path, tables(evaluation, format).as_bytes())
}

/// Writes the figures as JSON.
pub fn write_json(path: &Path, evaluation: &Evaluation) -> anyhow::Result<()> {
    write_file(path, serde_json::to_string_pretty(&evaluation.to_json())?.as_bytes())
}

/// Writes a file whole or not at all.
pub fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut builder = tempfile::Builder::new();
        // Results are for the whole lab: as readable as any other new file here.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    write().with_context(|| format!("failed to write {}", shown(path)))
}

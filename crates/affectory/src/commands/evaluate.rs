//! `affectory evaluate`: scores one CSV against another.

use std::io::Write as _;
use std::path::Path;

use affectory_core::LabelSet;
use affectory_evaluate::{
    Evaluation, Format, Missing, Table, class_table, comparison_table, confusion_table, evaluate, read_table,
};
use anyhow::Context as _;

use super::{Context, shown};
use crate::cli::Evaluate;

pub fn run(context: &Context, args: &Evaluate) -> anyhow::Result<()> {
    let labels = LabelSet::parse(&args.labels).context("--labels")?;
    let evaluation = score_files(&args.truth, &args.predictions, &labels, args.allow_missing)?;
    if let Some(path) = &args.markdown {
        write_tables(path, &evaluation, Format::Markdown)?;
    }
    if let Some(path) = &args.latex {
        write_tables(path, &evaluation, Format::Latex)?;
    }
    let text = tables(&evaluation, Format::Text);
    match &args.out {
        Some(path) => {
            write_json(path, &evaluation)?;
            context.print_text(&text)
        }
        None => context.print(&text, &evaluation.to_json()),
    }
}

/// Every figure of a prediction file.
pub fn score_files(truth: &Path, predictions: &Path, labels: &LabelSet, may_miss: bool) -> anyhow::Result<Evaluation> {
    let missing = if may_miss { Missing::LeftOut } else { Missing::Refused };
    Ok(evaluate(&read(truth)?, &read(predictions)?, labels, missing)?)
}

fn read(path: &Path) -> anyhow::Result<Table> {
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

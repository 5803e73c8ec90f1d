//! `affectory evaluate`: scores one CSV against another.

use std::cell::Cell;
use std::io::Write as _;
use std::path::Path;

use affectory_core::LabelSet;
use affectory_evaluate::{
    Bootstrap, Calibration, Ceiling, Evaluation, EvaluationReport, Format, Gap, Intervals, Matched, Missing, Scores,
    Subgroups, Table, Temperature, apply_temperature, calibration, ceiling, class_table, comparison_table,
    confusion_table, evaluate, evaluation_html, figure_table, fit_temperature, intervals, likely_label_errors,
    match_images, read_table, read_votes, subgroup_table, subgroups, surest_errors,
};
use anyhow::Context as _;

use super::report_pictures::Pictures;
use super::{Context, shown};
use crate::cli::{Evaluate, Resampling};

pub async fn run(context: &Context, args: Evaluate) -> anyhow::Result<()> {
    let pictures = Pictures::of(context, &args).await?;
    let out = args.out.clone();
    let work = move || cite(&args, &pictures);
    let (text, document) = tokio::task::spawn_blocking(work).await.context("the evaluation ended early")??;
    match out {
        Some(path) => {
            write_file(&path, serde_json::to_string_pretty(&document)?.as_bytes())?;
            context.print_text(&text)
        }
        None => context.print(&text, &document),
    }
}

/// The figures as text and as the contract's document; what else was asked for is written.
fn cite(args: &Evaluate, pictures: &Pictures) -> anyhow::Result<(String, serde_json::Value)> {
    let labels = LabelSet::parse(&args.labels).context("--labels")?;
    let truth = read(&args.truth)?;
    let missing = missing(args.allow_missing);
    let matched = match_images(&truth, &read(&args.predictions)?, &labels, None, missing)?;
    let bootstrap = bootstrap(&args.resampling);
    let ceiling = args.votes.as_deref().map(|path| ceiling_of(path, &truth, &labels, bootstrap)).transpose()?;
    let (evaluation, bounds) = (matched.evaluation(), intervals(&matched, bootstrap));
    let cited = Cited {
        evaluation: &evaluation,
        bounds: &bounds,
        ceiling: ceiling.as_ref(),
        calibrations: calibrations(args, &matched, &labels)?,
        subgroups: subgroups(&matched, &truth, bootstrap),
    };
    let document = cited.document();
    let all = |format| cited.tables(format);
    if let Some(path) = &args.report {
        write_report(path, args, (&truth, &matched), &cited, pictures)?;
    }
    if let Some(path) = &args.markdown {
        write_file(path, all(Format::Markdown).as_bytes())?;
    }
    if let Some(path) = &args.latex {
        write_file(path, all(Format::Latex).as_bytes())?;
    }
    Ok((all(Format::Text), document))
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

/// Figures with all that is said about them.
struct Cited<'a> {
    evaluation: &'a Evaluation,
    bounds: &'a Intervals,
    ceiling: Option<&'a Ceiling>,
    calibrations: Calibrations,
    subgroups: Vec<Subgroups>,
}

/// How far the probabilities mean what they say.
#[derive(Default)]
struct Calibrations {
    as_predicted: Option<Calibration>,
    scaled: Option<Calibration>,
    temperature: Option<Temperature>,
}

fn calibrations(args: &Evaluate, matched: &Matched, labels: &LabelSet) -> anyhow::Result<Calibrations> {
    let n_classes = labels.n_classes();
    let of = |values: &[f64]| calibration(&matched.score_truth, Scores::new(values, n_classes)?);
    let probabilities = matched.probabilities();
    let mut found = Calibrations { as_predicted: probabilities.as_deref().and_then(of), ..Calibrations::default() };
    if let (Some(truth), Some(predictions)) = (&args.fit_truth, &args.fit_predictions) {
        let missing = missing(args.allow_missing);
        let other = match_images(&read(truth)?, &read(predictions)?, labels, None, missing)?;
        let fitted = other
            .probabilities()
            .and_then(|values| fit_temperature(&other.score_truth, Scores::new(&values, n_classes)?));
        let fitted = fitted.with_context(|| {
            format!("{} has no probabilities to fit a temperature on: give p_<label> columns", shown(predictions))
        })?;
        found.temperature = Some(fitted);
        found.scaled = probabilities
            .as_deref()
            .and_then(|values| of(&apply_temperature(Scores::new(values, n_classes)?, fitted.temperature)));
    }
    Ok(found)
}

impl Cited<'_> {
    /// The contract's document, with how sure its figures are.
    fn document(&self) -> serde_json::Value {
        let mut document = self.evaluation.to_json();
        let Bootstrap { n_resamples, confidence, seed } = self.bounds.bootstrap;
        document["intervals"] = self.bounds.to_json(&self.evaluation.labels);
        document["bootstrap"] = serde_json::json!({ "resamples": n_resamples, "confidence": confidence, "seed": seed });
        document["ceiling"] = serde_json::json!(self.ceiling);
        document["calibration"] = serde_json::json!({
            "as_predicted": self.calibrations.as_predicted, "scaled": self.calibrations.scaled,
            "temperature": self.calibrations.temperature,
        });
        document["subgroups"] = serde_json::json!(self.subgroups);
        document
    }

    fn tables(&self, format: Format) -> String {
        let mut text = [
            figure_table(self.evaluation, self.bounds, format),
            class_table(self.evaluation, format),
            confusion_table(self.evaluation, format),
        ]
        .join("\n");
        for column in &self.subgroups {
            text += &format!("\n{}", subgroup_table(column, format));
        }
        for note in self.notes() {
            let comment = if format == Format::Latex { "% " } else { "" };
            text += &format!("\n{comment}{}\n", crate::failure::printable(&note));
        }
        text
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let Bootstrap { n_resamples, confidence, seed } = self.bounds.bootstrap;
        if n_resamples > 0 {
            let percent = confidence * 100.0;
            notes.push(format!(
                "intervals: {percent:.0} % percentile, {n_resamples} bootstrap resamples of images, seed {seed}"
            ));
        }
        if let Some(ceiling) = self.ceiling {
            notes.extend(ceiling.in_words(&self.evaluation.labels));
        }
        let Calibrations { as_predicted, scaled, temperature } = &self.calibrations;
        for (name, found) in [("calibration", as_predicted), ("temperature-scaled", scaled)] {
            if let Some(Calibration { ece, mce, adaptive_ece, log_loss, brier, .. }) = found {
                notes.push(format!(
                    "{name}: ECE {ece:.3}, MCE {mce:.3}, adaptive ECE {adaptive_ece:.3} (15 bins), log loss \
                     {log_loss:.3}, Brier {brier:.3}"
                ));
            }
        }
        notes.extend(temperature.map(|fitted| format!("temperature: {:.3}", fitted.temperature)));
        for column in &self.subgroups {
            for Gap { metric, difference, best, worst } in &column.gaps {
                notes.push(format!(
                    "largest gap by {}: {metric} {difference:.3}, from {best} to {worst} (at least 30 images each)",
                    column.name
                ));
            }
        }
        notes
    }
}

/// Pictures on a sheet of errors.
const SHEET: usize = 48;

fn write_report(
    path: &Path,
    args: &Evaluate,
    (truth, matched): (&Table, &Matched),
    cited: &Cited<'_>,
    pictures: &Pictures,
) -> anyhow::Result<()> {
    let (n_asked, n_shown) = (Cell::new(0), Cell::new(0));
    let picture = |name: &str| {
        let found = pictures.small(name);
        n_asked.set(n_asked.get() + 1);
        n_shown.set(n_shown.get() + usize::from(found.is_some()));
        found
    };
    let fitted_on = args.fit_predictions.as_deref().map(shown).unwrap_or_default();
    let page = evaluation_html(&EvaluationReport {
        title: &shown(&args.predictions),
        version: env!("CARGO_PKG_VERSION"),
        truth,
        matched,
        intervals: cited.bounds,
        ceiling: cited.ceiling,
        temperature: cited.calibrations.temperature.map(|fitted| (fitted, fitted_on.as_str())),
        subgroups: &cited.subgroups,
        surest_errors: &surest_errors(matched, SHEET),
        label_errors: &likely_label_errors(matched, SHEET),
        picture: &picture,
    });
    if n_asked.get() > 0 && n_shown.get() == 0 {
        pictures.hint().into_iter().for_each(|hint| tracing::warn!("{hint}"));
    }
    write_file(path, page.as_bytes())
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

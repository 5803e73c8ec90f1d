//! `affectory annotations`: how well do annotators agree, and what do they say together, and how does their log travel?

use std::io::{BufWriter, ErrorKind, Write as _};
use std::path::Path;

use affectory_annotate::{
    AnnotateError, ConsensusReport, ConsensusRequest, LogImport, RatingLog, export_log, figures, import_log,
    record_consensus,
};
use affectory_core::AnnotationId;
use affectory_evaluate::{ConsensusMethod, DawidSkeneOptions, WeightedMeanOptions};
use anyhow::{Context as _, bail};

use super::{Context, shown};
use crate::cli::{Annotations, ConsensusArgs, LogExport, LogImportArgs, Method};
use crate::environment::now_ms;

pub async fn run(context: &Context, args: Annotations) -> anyhow::Result<()> {
    match args {
        Annotations::Agreement => show_agreement(context).await,
        Annotations::Consensus(args) if args.list => list_consensuses(context).await,
        Annotations::Consensus(args) => form_consensus(context, &args).await,
        Annotations::Export(args) => write_log(context, &args).await,
        Annotations::Import(args) => read_log(context, args).await,
    }
}

/// The figures of the server's pages, from the same code.
async fn show_agreement(context: &Context) -> anyhow::Result<()> {
    let project = context.open().await?;
    let mut log = RatingLog::default();
    log.refresh(&project.catalog).await?;
    let figures = tokio::task::block_in_place(|| figures(&log, &[]));
    let json = serde_json::to_value(figures.agreement)?;
    let mut text = format!("{} annotations\n", figures.n_annotations);
    flatten("", &json, &mut text);
    context.print(&text, &json)
}

/// One line a figure; lists (annotator by annotator) are for `--json`.
fn flatten(prefix: &str, value: &serde_json::Value, text: &mut String) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, field) in fields {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&name, field, text);
            }
        }
        serde_json::Value::Array(_) => {}
        serde_json::Value::Null => *text += &format!("{prefix:40} undefined\n"),
        serde_json::Value::Number(number) => {
            *text += &match number.as_f64().filter(|_| number.is_f64()) {
                Some(figure) => format!("{prefix:40} {figure:.4}\n"),
                None => format!("{prefix:40} {number}\n"),
            };
        }
        serde_json::Value::Bool(_) | serde_json::Value::String(_) => *text += &format!("{prefix:40} {value}\n"),
    }
}

async fn form_consensus(context: &Context, args: &ConsensusArgs) -> anyhow::Result<()> {
    let method = method(args)?;
    let project = context.open().await?;
    let request = ConsensusRequest {
        method,
        upto: args.upto.map(AnnotationId),
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let report = record_consensus(&project.catalog, &request, (&context.stop, &context.bars), now_ms()).await?;
    let mut json = serde_json::to_value(&report)?;
    // Both are JSON as text in the catalogue.
    for name in ["parameters", "details"] {
        json[name] = serde_json::from_str(json[name].as_str().unwrap_or("null"))?;
    }
    context.print(&describe(&report), &json)
}

fn method(args: &ConsensusArgs) -> anyhow::Result<ConsensusMethod> {
    Ok(match args.method {
        Method::SoftLabel => ConsensusMethod::SoftLabel(args.smoothing.unwrap_or(0.0)),
        Method::DawidSkene => {
            let default = DawidSkeneOptions::default();
            let smoothing = args.smoothing.unwrap_or(default.smoothing);
            ConsensusMethod::DawidSkene(DawidSkeneOptions { smoothing, ..default })
        }
        Method::Majority | Method::WeightedMean if args.smoothing.is_some() => {
            bail!("--smoothing is for the methods soft-label and dawid-skene")
        }
        Method::Majority => ConsensusMethod::Majority,
        Method::WeightedMean => ConsensusMethod::WeightedMean(WeightedMeanOptions::default()),
    })
}

fn describe(report: &ConsensusReport) -> String {
    let (run, summary) = (&report.run, &report.summary);
    let agreement = summary.mean_agreement.map_or("undefined".to_owned(), |mean| format!("{mean:.4}"));
    let rows = [
        ("faces", summary.n_faces.to_string()),
        ("with a category", summary.n_with_category.to_string()),
        ("without: a tie", summary.n_ties.to_string()),
        ("without: nobody gave one", summary.n_without_votes.to_string()),
        ("adjudicated", summary.n_adjudicated.to_string()),
        ("with proxy valence or arousal", summary.n_proxy.to_string()),
        ("mean agreement (two votes or more)", agreement),
    ];
    let mut text = format!(
        "consensus {} by {} {}: {} annotations up to {}\n\n",
        report.id, run.method, run.parameters, run.n_annotations, run.last_annotation_id
    );
    for (name, value) in rows {
        text += &format!("{name:36} {value:>12}\n");
    }
    text + &format!("\nSHA-256 of the inputs {}\nSHA-256 of the result {}", run.inputs_sha256, run.result_sha256)
}

async fn list_consensuses(context: &Context) -> anyhow::Result<()> {
    let runs = context.open().await?.catalog.list_consensus_runs().await?;
    let mut text =
        format!("{:>4}  {:14} {:>10} {:>12} {:>10}  result\n", "id", "method", "faces", "annotations", "up to");
    for row in &runs {
        let run = &row.run;
        let result = if row.is_complete { &run.result_sha256.as_str()[..16] } else { "not complete" };
        text += &format!(
            "{:>4}  {:14} {:>10} {:>12} {:>10}  {result}\n",
            row.id, run.method, run.n_faces, run.n_annotations, run.last_annotation_id
        );
    }
    if runs.is_empty() {
        text = "no consensus yet: form one with `affectory annotations consensus`".into();
    }
    let mut json = serde_json::to_value(&runs)?;
    for run in json.as_array_mut().into_iter().flatten() {
        run["parameters"] = serde_json::from_str(run["parameters"].as_str().unwrap_or("null"))?;
        // Every annotator's confusion is for the run's own document.
        if let Some(run) = run.as_object_mut() {
            run.remove("details");
        }
    }
    context.print(&text, &json)
}

async fn write_log(context: &Context, args: &LogExport) -> anyhow::Result<()> {
    let catalog = context.open().await?.catalog;
    let (version, beside) = (env!("CARGO_PKG_VERSION"), (&context.stop, &context.bars as _));
    let Some(path) = args.out.as_deref().filter(|path| *path != Path::new("-")) else {
        let mut out = BufWriter::new(std::io::stdout());
        return match export_log(&catalog, version, &mut out, beside).await {
            // The reader has seen enough.
            Err(AnnotateError::Write(error)) if error.kind() == ErrorKind::BrokenPipe => {
                // What is left in the buffer has no reader either.
                let _ = out.into_parts();
                Ok(())
            }
            other => Ok(other.map(drop)?),
        };
    };
    let failed = || format!("failed to write {}", shown(path));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    let mut out = BufWriter::new(file.as_file_mut());
    let report = export_log(&catalog, version, &mut out, beside).await.with_context(failed)?;
    out.flush().with_context(failed)?;
    drop(out);
    file.as_file().sync_all().with_context(failed)?;
    file.persist(path).map_err(|error| error.error).with_context(failed)?;
    let text = format!(
        "{} annotations of {} annotators on {} faces in {}",
        report.n_annotations,
        report.n_annotators,
        report.n_faces,
        shown(path)
    );
    context.print(&text, &serde_json::to_value(report)?)
}

async fn read_log(context: &Context, args: LogImportArgs) -> anyhow::Result<()> {
    let project = context.open().await?;
    let request = LogImport { file: args.file, rename_people: args.rename_people };
    let report = import_log(&project, &request, (&context.stop, &context.bars), now_ms()).await?;
    let mut text = format!(
        "{}: {} new annotations; {} known already; {} rejected",
        shown(&request.file),
        report.n_added,
        report.n_known,
        report.n_rejected
    );
    if report.n_rejected > 0 {
        text += &format!(" (see {})", shown(&report.rejects));
    }
    context.print(&text, &serde_json::to_value(&report)?)?;
    if report.stopped {
        bail!("stopped before the end: the same command goes on from here");
    }
    if report.n_missing > 0 {
        bail!("the file ends {} annotations early: it was cut off, fetch it again", report.n_missing);
    }
    Ok(())
}

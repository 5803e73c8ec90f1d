//! `affectory export-model`: a trained model for other programs.

use std::path::Path;

use affectory_learn::{ModelFormat, export_model, model_bytes};
use anyhow::Context as _;

use super::{Context, evaluate, shown};
use crate::cli;

pub async fn run(context: &Context, args: &cli::ExportModel) -> anyhow::Result<()> {
    let path = match context.open().await {
        Ok(project) if project.runs_dir().join(&args.model).is_dir() => project.runs_dir().join(&args.model),
        // A model file needs no project.
        _ => Path::new(&args.model).to_owned(),
    };
    let bytes = model_bytes(&path.to_string_lossy()).context("neither a run of this project nor a model file")?;
    let format = match args.format {
        cli::ModelFormat::Onnx => ModelFormat::Onnx,
        cli::ModelFormat::Safetensors => ModelFormat::Safetensors,
    };
    let file = export_model(&path, &bytes, format)?;
    evaluate::write_file(&args.out, &file)?;
    let text = format!("{}: {} bytes", shown(&args.out), file.len());
    context.print(&text, &serde_json::json!({ "file": args.out, "bytes": file.len() }))
}

//! `affectory export-model`: a trained model for other programs.

use std::path::Path;

use affectory_learn::{ModelFormat, export_model, model_bytes};
use anyhow::Context as _;

use super::{Context, evaluate, shown, train};
use crate::cli;

pub async fn run(context: &Context, args: &cli::ExportModel) -> anyhow::Result<()> {
    let name = match context.open().await {
        Ok(project) => train::run_or_name(&project, &args.model),
        // A model file needs no project.
        Err(_) => args.model.clone(),
    };
    let bytes = model_bytes(&name).context("neither a run of this project nor a model file")?;
    let format = match args.format {
        cli::ModelFormat::Onnx => ModelFormat::Onnx,
        cli::ModelFormat::Safetensors => ModelFormat::Safetensors,
    };
    let file = export_model(Path::new(&name), &bytes, format)?;
    evaluate::write_file(&args.out, &file)?;
    let text = format!("{}: {} bytes", shown(&args.out), file.len());
    context.print(&text, &serde_json::json!({ "file": args.out, "bytes": file.len() }))
}

//! Which room does each command call? One module a command; what they share is the [`Context`].

mod accounts;
mod annotations;
mod capacity;
mod challenge;
mod check_agreement;
mod collect;
mod compare;
mod demo;
mod doctor;
mod evaluate;
mod export_model;
mod faces;
mod import;
mod init;
mod operations;
mod people;
mod pools;
mod portal;
mod predict;
mod project;
mod recipes;
mod release;
mod report_pictures;
mod score;
mod serve;
mod train;
mod workers;

use std::io::Write as _;
use std::path::PathBuf;

use affectory_catalog::{Project, S3Access, Secrets};
use affectory_core::Stop;
use affectory_learn::Predictor;
use anyhow::Context as _;

pub use check_agreement::run as check_agreement;

use crate::cli::{Cli, Command};
use crate::terminal::{Bars, stop_on_signals};
use crate::{environment, failure};

/// What every command knows: where the project is, how to print, when to stop.
pub struct Context {
    project: Option<PathBuf>,
    is_json: bool,
    stop: Stop,
    bars: Bars,
}

/// Runs one command.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    let context = Context { project: cli.project, is_json: cli.json, stop: stop_on_signals(), bars: Bars::default() };
    match cli.command {
        Command::Demo(args) => demo::run(&context, args).await,
        Command::Init(args) => init::run(&context, args).await,
        Command::Collect(command) => collect::run(&context, command).await,
        Command::Import(args) => import::run(&context, args).await,
        Command::Faces(args) => faces::run(&context, args).await,
        Command::Serve(args) => serve::run(&context, &args).await,
        Command::Accounts(command) => accounts::run(&context, command).await,
        Command::Pools(command) => pools::run(&context, command).await,
        Command::Annotations(args) => annotations::run(&context, args).await,
        Command::Release(args) => release::run(&context, args).await,
        Command::Recipes(args) => recipes::run(&context, &args),
        Command::Train(args) => train::run(&context, args).await,
        Command::Score(args) => score::run(&context, &args).await,
        Command::Evaluate(args) => evaluate::run(&context, args).await,
        Command::Challenge(command) => challenge::run(&context, command).await,
        Command::ExportModel(args) => export_model::run(&context, &args).await,
        Command::Compare(args) => compare::run(&context, &args).await,
        Command::Predict(args) => predict::run(&context, &args),
        Command::Portal(command) => portal::run(&context, command).await,
        Command::Fetch(args) => portal::fetch(&context, &args).await,
        Command::Audit(command) => people::audit(&context, command).await,
        Command::Person(command) => people::person(&context, command).await,
        Command::Project(command) => project::run(&context, command).await,
        Command::Backup(args) => people::backup(&context, &args).await,
        Command::Restore(args) => people::bring_back(&context, &args).await,
        Command::Dispatch(args) => workers::dispatch_work(&context, &args).await,
        Command::Worker(args) => workers::work(&context, &args).await,
        Command::Queue(args) => workers::queue(&context, &args).await,
        Command::Capacity(args) => capacity::run(&context, &args),
        Command::Doctor => doctor::run(&context).await,
        Command::CheckAgreement => anyhow::bail!("check-agreement is called before anything else is started"),
    }
}

impl Context {
    /// Opens the project that the user named, or the nearest one upwards.
    async fn open(&self) -> anyhow::Result<Project> {
        Ok(Project::open_with(&self.dir()?, &secrets()).await?)
    }

    /// The folder of that project.
    fn dir(&self) -> anyhow::Result<PathBuf> {
        if let Some(dir) = &self.project {
            return Ok(dir.clone());
        }
        let here = environment::current_dir().context("failed to find out where we are")?;
        Project::find_upwards(&here).with_context(|| {
            format!(
                "no project: there is no affectory.toml in {} or above it; make one with `affectory init DIR`, or name \
                 one with --project DIR",
                here.display()
            )
        })
    }

    /// Puts one document on stdout: `json` with `--json`, else the text.
    fn print(&self, text: &str, json: &serde_json::Value) -> anyhow::Result<()> {
        if self.is_json { self.print_text(&format!("{json:#}")) } else { self.print_text(text) }
    }

    /// Puts text on stdout, whatever `--json` says: the document went elsewhere.
    fn print_text(&self, text: &str) -> anyhow::Result<()> {
        match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
            // The reader has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other.context("failed to write to stdout"),
        }
    }
}

/// The library that runs models which users bring as ONNX.
fn onnx_runtime() -> PathBuf {
    environment::variable("ORT_DYLIB_PATH").map_or_else(|| "libonnxruntime.so".into(), PathBuf::from)
}

/// The program that reads videos.
fn ffmpeg() -> PathBuf {
    environment::variable("AFFECTORY_FFMPEG").map_or_else(|| "ffmpeg".into(), PathBuf::from)
}

/// The model that `--model` names, else the one inside the program.
fn model(name: Option<&str>) -> anyhow::Result<Predictor> {
    Ok(Predictor::open(name.unwrap_or("affectory-s"), &onnx_runtime())?)
}

/// What opens databases and buckets; it never stands in a file.
fn secrets() -> Secrets {
    let s3 = S3Access::new(environment::variables("AWS_"));
    Secrets { postgres_password: environment::variable("AFFECTORY_DB_PASSWORD"), s3 }
}

/// A path as the terminal may show it.
fn shown(path: &std::path::Path) -> String {
    failure::printable(&path.display().to_string())
}

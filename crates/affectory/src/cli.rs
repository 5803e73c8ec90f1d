//! Which commands are there, and what do they take? Words and defaults only; behaviour is in `commands`.

mod annotate;
mod capacity;
mod challenge;
mod collect;
mod learn;
mod portal;
mod predict;
mod release;
mod workers;

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub use annotate::{
    AccountAdd, AccountPassword, AccountRole, AccountsCommand, Annotations, ConsensusArgs, LogExport, LogImportArgs,
    Method, PoolAdd, PoolGold, PoolOrder, PoolSuggest, PoolsCommand,
};
pub use capacity::Capacity;
pub use challenge::{
    ChallengeClose, ChallengeCommand, ChallengeCreate, ChallengeKeyFile, ChallengeName, ChallengeScore,
    ChallengeTables, ExpressionMetric, TableFormat, Task,
};
pub use collect::{
    CollectCommand, CollectExport, CollectList, CollectPlan, CollectReport, CollectRetry, CollectRun, CollectStatus,
    ImageMode, ShardKind,
};
pub use learn::{Compare, Evaluate, ExportModel, ModelFormat, Recipes, Resampling, Score, Train};
pub use portal::{AuditCommand, Backup, Fetch, PersonCommand, PortalCommand, PortalHolders, PortalTrace, Restore};
pub use predict::Predict;
pub use release::{Format, Import, ReleaseBuild, ReleaseCommand, ReleaseExport, ReleasePack, ReleaseWithdraw};
pub use workers::{DispatchArgs, QueueArgs, SharedStage, WorkerArgs};

/// The whole life of a facial affect database: import, faces, releases, training, evaluation, prediction.
#[derive(Debug, Parser)]
#[command(name = "affectory", version, arg_required_else_help = true)]
pub struct Cli {
    /// Project folder [default: the nearest folder upwards with an affectory.toml]
    #[arg(long, global = true, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// One JSON document on stdout instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// More log lines on stderr (-vv for all)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    #[command(subcommand)]
    pub command: Command,
}

/// Reads the command line; also the command's name, such as `affectory collect run`.
pub fn parse() -> Result<(Cli, String), clap::Error> {
    let matches = Cli::command().try_get_matches()?;
    let mut name = "affectory".to_owned();
    let mut here = &matches;
    while let Some((word, below)) = here.subcommand() {
        name = format!("{name} {word}");
        here = below;
    }
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut Cli::command()))?;
    Ok((cli, name))
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Walk the whole way once on bundled sample data: import, faces, release, training, scores, predictions
    Demo(Demo),
    /// Make a new project
    Init(Init),
    /// Find images by emotion keywords: plan queries, ask search engines, fetch what they point at
    #[command(subcommand)]
    Collect(CollectCommand),
    /// Bring labelled images in
    Import(Import),
    /// Look for faces in the project's images
    #[command(subcommand)]
    Faces(FacesCommand),
    /// Serve the pages: annotate, watch over the annotations, and, with a portal.toml, ask for and get releases
    Serve(Serve),
    /// Who may sign in
    #[command(subcommand)]
    Accounts(AccountsCommand),
    /// Sets of faces to annotate, and the rules by which they are given out
    #[command(subcommand)]
    Pools(PoolsCommand),
    /// What annotators said
    #[command(subcommand)]
    Annotations(Annotations),
    /// Build, check and export releases
    #[command(subcommand)]
    Release(ReleaseCommand),
    /// List the training recipes inside the program, or show one with every knob explained
    Recipes(Recipes),
    /// Train a network on a release
    Train(Train),
    /// Let any model answer a split of a release, and score it: a run's folder for `evaluate` and comparisons
    Score(Score),
    /// Score predictions against truth
    Evaluate(Evaluate),
    /// A challenge on a test set that nobody sees: seal its labels, score what is handed in, rank, close
    #[command(subcommand)]
    Challenge(ChallengeCommand),
    /// Write a trained model for other programs
    ExportModel(ExportModel),
    /// Put several runs beside each other, with intervals and tests on the same images
    Compare(Compare),
    /// Read expression, valence and arousal from pictures, videos and cameras
    Predict(Predict),
    /// Licensed access to releases: what is offered, packages, traces of leaks
    #[command(subcommand)]
    Portal(PortalCommand),
    /// Download what was granted, go on where it was stopped, and check it
    Fetch(Fetch),
    /// The log of who did what
    #[command(subcommand)]
    Audit(AuditCommand),
    /// What is known of one person
    #[command(subcommand)]
    Person(PersonCommand),
    /// Where the project keeps its catalogue
    #[command(subcommand)]
    Project(ProjectCommand),
    /// Copy the project, also while it is served
    Backup(Backup),
    /// Make a project of a copy
    Restore(Restore),
    /// Offer what is due to workers on other machines
    Dispatch(DispatchArgs),
    /// Work at what a dispatcher offers: fetch, look for faces, let a model see them, pack releases
    Worker(WorkerArgs),
    /// How much work waits in the queue, and what was given up
    Queue(QueueArgs),
    /// How long a project of so many addresses takes and what it needs: a calculation and a simulation, nothing is sent
    Capacity(Capacity),
    /// Say what was found: database, storage, models, codecs
    Doctor,
    /// Compare a signed agreement on stdin with the issued one; the server starts it, with limits
    #[command(hide = true)]
    CheckAgreement,
}

#[derive(Debug, Args)]
pub struct Demo {
    /// Walk on FER+ in this folder (ferplus-train.tar, ferplus-valid.tar) instead of drawn faces
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where the project is made [default: affectory-demo]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Faces to draw
    #[arg(long, default_value_t = 2000)]
    pub faces: u32,
    /// Passes over the training split [default: 20 on drawn faces, the recipe's own on FER+]
    #[arg(long)]
    pub epochs: Option<u32>,
    /// Everything random follows from it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

#[derive(Debug, Args)]
pub struct Init {
    /// Folder of the new project
    pub dir: PathBuf,
    /// `sqlite`, or a postgres:// URL (its password comes from AFFECTORY_DB_PASSWORD)
    #[arg(long, default_value = "sqlite")]
    pub catalog: String,
    /// `local`, a folder, or `s3://BUCKET/PREFIX` for the image store; keys and server come from AWS_... (docs/storage.md)
    #[arg(long, default_value = "local")]
    pub objects: String,
}

#[derive(Debug, Subcommand)]
pub enum ProjectCommand {
    /// Move the catalogue to PostgreSQL or the images to S3, or back; stop servers and workers first
    Move(ProjectMove),
}

#[derive(Debug, Args)]
pub struct ProjectMove {
    /// The catalogue: `sqlite`, or the postgres:// URL of an empty database (its password comes from
    /// AFFECTORY_NEW_DB_PASSWORD or AFFECTORY_DB_PASSWORD). The images: `local`, a folder, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "PLACE")]
    pub to: String,
}

#[derive(Debug, Subcommand)]
pub enum FacesCommand {
    /// Find faces, their landmarks and quality in every image that waits; several processes may do so at once
    Run(FacesRun),
    /// How far the detector is
    Status(FacesStatus),
}

/// Who looks for faces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detector {
    /// The one inside the program.
    Mtcnn,
    /// An ONNX file of the user's.
    Yunet(PathBuf),
}

impl std::str::FromStr for Detector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "mtcnn" => Ok(Detector::Mtcnn),
            Some(("yunet", file)) if !file.is_empty() => Ok(Detector::Yunet(file.into())),
            _ => Err("known are `mtcnn` and `yunet=FILE.onnx`".into()),
        }
    }
}

#[derive(Debug, Args)]
pub struct FacesStatus {
    /// `mtcnn`, or `yunet=FILE.onnx` [default: mtcnn]
    #[arg(long, default_value = "mtcnn", hide_default_value = true, value_name = "DETECTOR")]
    pub detector: Detector,
}

#[derive(Debug, Args)]
pub struct FacesRun {
    /// `mtcnn`, which is inside the program, or `yunet=FILE.onnx` [default: mtcnn]
    #[arg(long, default_value = "mtcnn", hide_default_value = true, value_name = "DETECTOR")]
    pub detector: Detector,
    /// mtcnn: smallest face to look for, pixels
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(12..=4096))]
    pub min_face: u32,
    /// Keep no aligned crops in the image store
    #[arg(long)]
    pub no_crops: bool,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    pub bind: std::net::SocketAddr,
    /// Under which address browsers know it, when a proxy with TLS stands before it: https://annotate.example.org
    #[arg(long, value_name = "URL", value_parser = public_url)]
    pub url: Option<String>,
    /// Answer /healthz, /readyz and /metrics (Prometheus) on this address: for a network of your own
    #[arg(long, value_name = "ADDR")]
    pub operations: Option<std::net::SocketAddr>,
}

fn public_url(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_plain =
        host.is_some_and(|host| !host.is_empty() && !host.trim_end_matches('/').contains(['/', '?', '#', '@']));
    if is_plain { Ok(text.to_owned()) } else { Err("is no address such as https://annotate.example.org".into()) }
}

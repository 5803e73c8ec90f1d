//! Which commands are there, and what do they take? Words and defaults only; behaviour is in `commands`.

mod capacity;
mod challenge;
mod portal;
mod predict;
mod workers;

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

pub use capacity::Capacity;
pub use challenge::{
    ChallengeClose, ChallengeCommand, ChallengeCreate, ChallengeKeyFile, ChallengeName, ChallengeScore,
    ChallengeTables, ExpressionMetric, TableFormat, Task,
};
pub use portal::{AuditCommand, Backup, Fetch, PersonCommand, PortalCommand, PortalHolders, PortalTrace, Restore};
pub use predict::Predict;
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
pub enum CollectCommand {
    /// Show the queries by language and expression, and put them on the project's list; sends nothing
    Plan(CollectPlan),
    /// Ask the providers in collect.toml and fetch what they point at; goes on where it was stopped or killed
    Run(CollectRun),
    /// How far searching and fetching are, by language, engine and outcome
    Status(CollectStatus),
    /// Print addresses one a line, with how their last attempt ended and why
    List(CollectList),
    /// Put addresses back on the list that ended in certain ways
    Retry(CollectRetry),
    /// Write the fetched images, resized, as WebDataset or Parquet shards; goes on where it was stopped or killed
    Export(CollectExport),
    /// Write one HTML file for a paper's supplement: drop-out at each step, counts, duplicates, licences, sample faces
    Report(CollectReport),
}

#[derive(Debug, Args)]
pub struct CollectPlan {
    /// Languages such as en,de [default: all]
    #[arg(long, value_delimiter = ',', value_name = "CODES")]
    pub languages: Vec<String>,
    /// Expressions such as fear,contempt [default: all eight]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub expressions: Vec<String>,
    /// At most so many queries for each expression in each language
    #[arg(long)]
    pub limit: Option<usize>,
    /// Fixes which queries a limit takes
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only show the plan
    #[arg(long)]
    pub show: bool,
    /// Print every query of the plan, one a line
    #[arg(long)]
    pub list: bool,
}

#[derive(Debug, Args)]
pub struct CollectRun {
    /// Only fetch what was found before
    #[arg(long, conflicts_with = "no_fetch")]
    pub no_search: bool,
    /// Only search
    #[arg(long)]
    pub no_fetch: bool,
    /// Fixes the jitter of waits before another attempt
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Look for no faces: `affectory faces run` does so later
    #[arg(long)]
    pub no_faces: bool,
    /// `mtcnn`, which is inside the program, or `yunet=FILE.onnx` [default: mtcnn]
    #[arg(long, default_value = "mtcnn", hide_default_value = true, value_name = "DETECTOR")]
    pub detector: Detector,
    /// Longest wait for something that is due later, seconds
    #[arg(long, default_value_t = 120)]
    pub patience: u32,
}

#[derive(Debug, Args)]
pub struct CollectStatus {
    /// One line for each query: what it was asked for and what it found
    #[arg(long)]
    pub by_query: bool,
}

#[derive(Debug, Args)]
pub struct CollectList {
    /// Outcomes as `collect status` shows them, or their beginnings [default: all addresses]
    #[arg(long, value_delimiter = ',', value_name = "OUTCOMES")]
    pub only: Vec<String>,
    /// At most so many
    #[arg(long)]
    pub limit: Option<usize>,
}

#[derive(Debug, Args)]
pub struct CollectReport {
    /// Where the file is written [default: report.html in the project's folder; with --json: nowhere]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Show no faces: figures only
    #[arg(long)]
    pub no_pictures: bool,
    /// Fixes which faces are shown
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

#[derive(Debug, Args)]
pub struct CollectRetry {
    /// Outcomes as `collect status` shows them, or their beginnings: timeout, http-5xx, connect; 5xx and 4xx are understood
    #[arg(long, required = true, value_delimiter = ',', value_name = "OUTCOMES")]
    pub only: Vec<String>,
}

/// What a shard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShardKind {
    /// Tars with KEY.jpg and KEY.json
    Webdataset,
    /// Tables with the image in a column
    Parquet,
}

/// What becomes of each image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImageMode {
    /// The whole image on a white square
    Border,
    /// The shorter side becomes the size
    #[value(alias = "keep_ratio")]
    KeepRatio,
    /// The square in the middle
    #[value(alias = "center_crop")]
    CenterCrop,
    /// The bytes as fetched, not decoded; --size and --quality do not matter
    Original,
}

#[derive(Debug, Args)]
pub struct CollectExport {
    /// Folder to write to: new, empty, or with an export begun with the same options
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// What a shard is
    #[arg(long, value_enum, default_value = "webdataset")]
    pub format: ShardKind,
    /// Pixels
    #[arg(long, default_value = "256", value_parser = side)]
    pub size: NonZeroU32,
    /// What becomes of each image
    #[arg(long, value_enum, default_value = "border")]
    pub mode: ImageMode,
    /// Quality of the JPEGs
    #[arg(long, default_value_t = 95, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub quality: u8,
    /// Images a shard
    #[arg(long, default_value = "1000", value_parser = shard_size)]
    pub shard_size: NonZeroU32,
    /// Leave out images that look like one found before (perceptual hashes at most 2 of 64 bits apart)
    #[arg(long)]
    pub unique: bool,
}

fn side(text: &str) -> Result<NonZeroU32, String> {
    within(text, 4096)
}

fn shard_size(text: &str) -> Result<NonZeroU32, String> {
    // What a shard is made from is held in memory.
    within(text, 100_000)
}

fn within(text: &str, most: u32) -> Result<NonZeroU32, String> {
    let number = text.parse::<NonZeroU32>().ok().filter(|number| number.get() <= most);
    number.ok_or_else(|| format!("is no whole number from 1 to {most}"))
}

/// How the data lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One sub-folder for each label
    Folder,
    /// A CSV: image,expression,valence,arousal and optional columns
    Csv,
    /// AffectNet's full release (training.csv, validation.csv)
    Affectnet,
    /// AffectNet's eight-label release (train_set, val_set with .npy)
    AffectnetNpy,
    /// FER+ as tar or folder with votes.csv
    Ferplus,
}

#[derive(Debug, Args)]
pub struct Import {
    /// How the data lies on disk
    #[arg(value_enum)]
    pub format: Format,
    /// Files or folders to import
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Name of the source in the catalogue [default: the format's name]
    #[arg(long)]
    pub source: Option<String>,
    /// ferplus: add proxy valence and arousal, a linear map of the votes (always called proxy)
    #[arg(long)]
    pub proxy_va: bool,
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

#[derive(Debug, Subcommand)]
pub enum AccountsCommand {
    /// Make an account
    Add(AccountAdd),
    /// List all accounts
    List,
    /// Give an account another password, and sign it out everywhere
    Password(AccountPassword),
}

/// What somebody may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AccountRole {
    /// From outside the lab: asks for access, takes part in challenges
    Researcher,
    /// Labels the faces that are given to them
    Annotator,
    /// Also sees all figures and settles what stays open
    Reviewer,
    /// Also makes pools, edits tutorial and quiz, answers flags
    Lead,
    /// Also invites people and changes what they may
    Administrator,
}

#[derive(Debug, Args)]
pub struct AccountAdd {
    /// E-mail address
    pub email: String,
    /// What they are called [default: the address]
    #[arg(long)]
    pub name: Option<String>,
    /// What they may
    #[arg(long, value_enum, default_value = "annotator")]
    pub role: AccountRole,
    /// Language of their pages: en, es, pt, de, ar or fa
    #[arg(long, default_value = "en", value_parser = ["en", "es", "pt", "de", "ar", "fa"])]
    pub language: String,
    /// Read the password from stdin instead of asking for it
    #[arg(long)]
    pub password_stdin: bool,
}

#[derive(Debug, Args)]
pub struct AccountPassword {
    /// E-mail address
    pub email: String,
    /// Read the password from stdin instead of asking for it
    #[arg(long)]
    pub password_stdin: bool,
}

#[derive(Debug, Subcommand)]
pub enum PoolsCommand {
    /// Make a pool of the project's faces and open it
    Add(PoolAdd),
    /// List all pools and how far they are
    List,
    /// Let a model look at a pool's faces: what it is least certain of comes first from then on
    Suggest(PoolSuggest),
    /// Give faces of a pool a known answer; they are shown to everybody, at the pool's rate
    Gold(PoolGold),
}

/// In which order a pool's faces are given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PoolOrder {
    /// By the seed
    Random,
    /// Query by query
    Query,
    /// What a model is least certain of first (after `pools suggest`; random until then)
    Uncertainty,
}

#[derive(Debug, Args)]
pub struct PoolAdd {
    /// Its name
    pub name: String,
    /// In which order faces are given out
    #[arg(long, value_enum, default_value = "random")]
    pub order: PoolOrder,
    /// How many annotators see a face of the overlap
    #[arg(long, default_value_t = 2)]
    pub annotators: u32,
    /// Share of faces in the overlap, percent; the others are seen by one annotator
    #[arg(long, default_value_t = 10)]
    pub overlap: u32,
    /// How often a face with a known answer is shown, percent (see `pools gold`)
    #[arg(long, default_value_t = 0)]
    pub gold: u32,
    /// Categories that queries asked for take turns
    #[arg(long)]
    pub balanced: bool,
    /// Show a model's suggestion before the annotator decides
    #[arg(long)]
    pub assisted: bool,
    /// Only for annotators who have passed the quiz
    #[arg(long)]
    pub after_quiz: bool,
    /// Also faces that somebody, or their source, has given a category
    #[arg(long)]
    pub labelled: bool,
    /// Smallest face, pixels
    #[arg(long, default_value_t = 0)]
    pub min_px: u32,
    /// At most so many faces
    #[arg(long)]
    pub limit: Option<usize>,
    /// What is random follows from it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

#[derive(Debug, Args)]
pub struct PoolSuggest {
    /// Name of the pool
    pub name: String,
    /// Model to use: a run's folder, a model.safetensors, `face-api`, or the .toml of an ONNX model [default: affectory-s]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
}

#[derive(Debug, Args)]
pub struct PoolGold {
    /// Name of the pool
    pub name: String,
    /// CSV: face,expression,valence,arousal (valence and arousal may be empty)
    #[arg(value_name = "CSV")]
    pub file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum Annotations {
    /// How well annotators agree
    Agreement,
    /// What all annotators together say of each face, by a method of one's choice; recorded, so that it can be had again
    Consensus(ConsensusArgs),
    /// Write the complete log of annotations as JSON Lines, without accounts and addresses
    Export(LogExport),
    /// Add another project's exported log to this one's, which has the same images; goes on where it was killed
    Import(LogImportArgs),
}

#[derive(Debug, Args)]
pub struct LogExport {
    /// File to write [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct LogImportArgs {
    /// File that `annotations export` wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Put this before people's names, where both projects have a person/0001
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    pub rename_people: Option<String>,
}

fn prefix(text: &str) -> Result<String, String> {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let is_name = (1..=60).contains(&text.len()) && text.chars().all(is_fit);
    if is_name { Ok(text.to_owned()) } else { Err("is no prefix: 1 to 60 of a-z, 0-9, - _ . /".into()) }
}

/// How answers become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// Category by plurality, valence and arousal by mean
    Majority,
    /// As majority, and the distribution of the votes is smoothed
    SoftLabel,
    /// Category by what each annotator takes for what (Dawid and Skene 1979), valence and arousal by mean
    DawidSkene,
    /// Category by plurality, valence and arousal weighted by how near an annotator is to the others
    WeightedMean,
}

#[derive(Debug, Args)]
pub struct ConsensusArgs {
    /// How answers become one
    #[arg(long, value_enum, default_value = "majority")]
    pub method: Method,
    /// soft-label, dawid-skene: what is added to each count [default: 0 for soft-label, 1 for dawid-skene]
    #[arg(long, value_parser = smoothing)]
    pub smoothing: Option<f64>,
    /// Last annotation that takes part, as an earlier run names it [default: all]
    #[arg(long, value_name = "ANNOTATION")]
    pub upto: Option<i64>,
    /// List what was recorded
    #[arg(long, conflicts_with_all = ["method", "smoothing", "upto"])]
    pub list: bool,
}

fn smoothing(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=1000.0).contains(number));
    number.ok_or_else(|| "is no number from 0 to 1000".into())
}

#[derive(Debug, Subcommand)]
pub enum ReleaseCommand {
    /// Freeze the project's labelled faces under a name
    Build(ReleaseBuild),
    /// List all releases
    List,
    /// The count table of a release
    Counts(ReleaseName),
    /// Check a release: manifest, objects, splits
    Verify(ReleaseName),
    /// Write a release in another database's layout
    Export(ReleaseExport),
    /// Put a release's images together in large files of the store, for `train --packed`
    Pack(ReleasePack),
    /// Withdraw an image from every later delivery
    Withdraw(ReleaseWithdraw),
}

#[derive(Debug, Args)]
pub struct ReleaseName {
    /// Name of the release
    pub name: String,
}

#[derive(Debug, Args)]
pub struct ReleaseBuild {
    /// Name of the release; never used again
    pub name: String,
    /// `8`, `7`, `11`, or a list such as happy,sad,anger
    #[arg(long, default_value = "8")]
    pub labels: String,
    /// `given` (as the source says) or shares such as 80,10,10 (train, valid, test)
    #[arg(long, default_value = "80,10,10")]
    pub splits: String,
    /// Everything random follows from it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Perceptual hashes that differ in at most this many bits are near-duplicates and stay in one split
    #[arg(long)]
    pub duplicate_distance: Option<u32>,
}

#[derive(Debug, Args)]
pub struct ReleaseExport {
    /// Name of the release
    pub name: String,
    /// Layout to write
    #[arg(long, value_enum)]
    pub format: Format,
    /// Folder to write to; must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub struct ReleasePack {
    /// Name of the release
    pub name: String,
    /// Images of a file, about [default: 1000, or as it was begun]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub images_per_pack: Option<u32>,
}

#[derive(Debug, Args)]
pub struct ReleaseWithdraw {
    /// SHA-256 of the image
    pub image: String,
    /// Why, for the audit log
    #[arg(long)]
    pub reason: String,
}

#[derive(Debug, Args)]
pub struct Train {
    /// Name of the release
    #[arg(long)]
    pub release: String,
    /// Name of a recipe (see `affectory recipes`) or a .toml file
    #[arg(long, default_value = "affectory-s")]
    pub recipe: String,
    /// Everything random follows from it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Passes over the training split, instead of the recipe's
    #[arg(long)]
    pub epochs: Option<u32>,
    /// A knob of the recipe set otherwise, e.g. `--set input_side=64`; may be repeated
    #[arg(long = "set", value_name = "KNOB=VALUE")]
    pub knobs: Vec<String>,
    /// Name of the run [default: RELEASE-RECIPE-sSEED]
    #[arg(long)]
    pub run: Option<String>,
    /// Memory for crops kept between epochs, MiB
    #[arg(long, default_value_t = 2048)]
    pub crop_memory: u64,
    /// Read images out of packs (`release pack`), and go through them in their order
    #[arg(long)]
    pub packed: bool,
    /// Processes that train this run together, on this or on other machines (docs/workers.md)
    #[arg(long, default_value_t = 1, requires = "meet")]
    pub processes: usize,
    /// Which of them this is, from 0; process 0 keeps the run's folder
    #[arg(long, default_value_t = 0, requires = "meet")]
    pub process: usize,
    /// Where process 0 listens: for itself an address and a port (0.0.0.0:7701), for the others HOST:7701
    #[arg(long, value_name = "ADDRESS")]
    pub meet: Option<String>,
}

#[derive(Debug, Args)]
pub struct Recipes {
    /// A recipe, or a .toml file, to show as a file with every knob explained
    pub recipe: Option<String>,
}

#[derive(Debug, Args)]
pub struct ExportModel {
    /// A run of this project, a model file, or `affectory-s` for the model inside the program
    pub model: String,
    /// What the other program reads
    #[arg(long, value_enum, default_value = "onnx")]
    pub format: ModelFormat,
    /// The file to write
    #[arg(long)]
    pub out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModelFormat {
    /// Graph and weights; pixels in, probabilities and valence/arousal out
    Onnx,
    /// Weights by name
    Safetensors,
}

#[derive(Debug, Args)]
pub struct Score {
    /// A run of this project, a model file, `affectory-s`, `face-api`, or the .toml of an ONNX model (docs/models.md)
    pub model: String,
    /// Name of the release
    #[arg(long)]
    pub release: String,
    /// `valid`, `test` or `train`
    #[arg(long, default_value = "valid")]
    pub split: affectory_core::Split,
    /// Name of the run's folder that is written [default: RELEASE-MODEL-SPLIT]
    #[arg(long)]
    pub run: Option<String>,
}

#[derive(Debug, Args)]
pub struct Evaluate {
    /// CSV: image,expression,valence,arousal
    #[arg(long, value_name = "CSV")]
    pub truth: PathBuf,
    /// CSV: the same, with optional p_<label> columns
    #[arg(long, value_name = "CSV")]
    pub predictions: PathBuf,
    /// `8`, `7`, `11`, or a list such as happy,sad,anger
    #[arg(long, default_value = "8")]
    pub labels: String,
    /// With --json: write the document to this file and the tables to stdout
    #[arg(value_name = "OUT", requires = "json")]
    pub out: Option<PathBuf>,
    /// Leave out and count what the predictions lack, instead of refusing
    #[arg(long)]
    pub allow_missing: bool,
    /// Also write the tables as Markdown
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Also write the tables as LaTeX
    #[arg(long, value_name = "FILE")]
    pub latex: Option<PathBuf>,
    /// CSV of votes, image,<label>,<label>...: shows what one annotator gets right of what the others say
    #[arg(long, value_name = "CSV")]
    pub votes: Option<PathBuf>,
    /// Also write everything as one HTML file: curves, calibration, subgroups (truth columns group_<name>), errors
    #[arg(long, value_name = "HTML")]
    pub report: Option<PathBuf>,
    /// Folder in which the images lie under their names, for small pictures in the report
    #[arg(long, value_name = "DIR", requires = "report")]
    pub images: Option<PathBuf>,
    /// Fit a temperature on these other predictions ...
    #[arg(long, value_name = "CSV", requires = "fit_truth")]
    pub fit_predictions: Option<PathBuf>,
    /// ... and their truth, and show the calibration that it gives
    #[arg(long, value_name = "CSV", requires = "fit_predictions")]
    pub fit_truth: Option<PathBuf>,
    #[command(flatten)]
    pub resampling: Resampling,
}

#[derive(Debug, Args)]
pub struct Resampling {
    /// Bootstrap resamples behind intervals and tests; 0 for none
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub resamples: u32,
    /// The resamples follow from it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

#[derive(Debug, Args)]
pub struct Compare {
    /// A run's name in the project, its folder, or NAME=predictions.csv (with --truth)
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<String>,
    /// CSV of the truth for predictions given as CSV: image,expression,valence,arousal
    #[arg(long, value_name = "CSV")]
    pub truth: Option<PathBuf>,
    /// `8`, `7`, `11`, or a list such as happy,sad,anger [default: those of the runs, 8 for CSV files alone]
    #[arg(long)]
    pub labels: Option<String>,
    /// CSV of votes, image,<label>,<label>... [default: the first run's valid-votes.csv]
    #[arg(long, value_name = "CSV")]
    pub votes: Option<PathBuf>,
    /// Leave out and count what predictions lack, instead of refusing
    #[arg(long)]
    pub allow_missing: bool,
    #[command(flatten)]
    pub resampling: Resampling,
    /// Also write the tables as Markdown
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Also write one line for each figure of each run
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Also write the tables as LaTeX (booktabs)
    #[arg(long, value_name = "FILE")]
    pub latex: Option<PathBuf>,
    /// Also write the tables as one HTML file
    #[arg(long, value_name = "HTML")]
    pub report: Option<PathBuf>,
}

//! What do the commands take that find images and bring them here?

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Detector;

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
    /// Languages such as en,de [default: all]. A file keywords/CODE.toml in the project's folder adds one
    #[arg(long, value_delimiter = ',', value_name = "CODES")]
    pub languages: Vec<String>,
    /// Expressions such as fear,contempt [default: all eight]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub expressions: Vec<String>,
    /// At most so many queries for each expression in each language
    #[arg(long)]
    pub limit: Option<NonZeroUsize>,
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

//! What do the commands take that train, score and compare?

use std::path::PathBuf;

use affectory_learn::Hardware;
use clap::{Args, ValueEnum};

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
    /// What the network learns on: cpu, gpu, or gpu:1 for the second one (in a build with --features cuda or wgpu)
    #[arg(long, value_name = "HARDWARE", default_value = "cpu")]
    pub on: Hardware,
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
    /// Release of the project whose faces are to be seen in the report: for the tables in a run's folder
    #[arg(long, value_name = "NAME", requires = "report", conflicts_with = "images")]
    pub release: Option<String>,
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

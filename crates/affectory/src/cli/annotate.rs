//! What do the commands take that say who annotates which faces, and what comes of it?

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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

//! What do the commands take by which labelled data comes in and releases go out?

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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

//! What can go wrong while learning, for a caller that wants to act on it?

use std::path::PathBuf;

use affectory_core::Split;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// A recipe that is unknown or does not make sense.
    #[error("recipe `{name}`: {reason}")]
    Recipe {
        /// Its name or path.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Hardware that is not there, or cannot be used for this.
    #[error("hardware to learn on: {0}")]
    Hardware(String),
    /// Nothing to learn from.
    #[error(
        "the release has no item with a label for {wanted} in split `{split}`: `release build --splits` deals them out"
    )]
    EmptySplit {
        /// The split.
        split: Split,
        /// What the recipe learns.
        wanted: String,
    },
    /// A face of the release could not be read.
    #[error("cannot read image `{image}`: {reason}")]
    Image {
        /// SHA-256 or path of the image.
        image: String,
        /// Why.
        reason: String,
    },
    /// The reading threads ended before the pass did.
    #[error("a thread that reads training images died; the log above says why")]
    LoaderDied,
    /// The loss is no longer a number.
    #[error("the loss is not a number in epoch {epoch}: try a lower learning_rate")]
    Diverged {
        /// The epoch, from 1.
        epoch: u32,
    },
    /// A run folder that belongs to something else.
    #[error("{path} holds a run of another recipe, release or seed: choose another --run name, or remove it")]
    OtherRun {
        /// The folder.
        path: PathBuf,
    },
    /// A run, a checkpoint or a model that cannot be used.
    #[error("{path}: {reason}")]
    BadModel {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A manifest of a model that somebody else trained which cannot be meant, or is not of that model.
    #[error("manifest {path}: {reason}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An ONNX model that cannot be run.
    #[error(transparent)]
    Onnx(#[from] affectory_onnx::OnnxError),
    /// A file that could not be read or written.
    #[error("cannot {action} {path}")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A picture or options that no histogram of gradients can be made from.
    #[error("HOG: {0}")]
    Hog(String),
    /// Features, classes or targets that a linear machine cannot learn from.
    #[error("cannot fit a linear machine: {0}")]
    Unfit(String),
    /// The processes that train together do not go on.
    #[error("training together: {0}")]
    Team(String),
    /// Weights that do not fit.
    #[error(transparent)]
    Weights(#[from] affectory_nets::WeightsError),
}

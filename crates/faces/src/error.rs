//! What can go wrong while faces are looked for?

use std::path::PathBuf;

use affectory_catalog::CatalogError;
use affectory_imaging::ImagingError;
use affectory_nets::WeightsError;

/// Errors of this crate. A picture that cannot be read is not one: it is recorded as unreadable.
#[derive(Debug, thiserror::Error)]
pub enum FacesError {
    /// The weights inside the program are damaged.
    #[error("a network inside the program cannot be used")]
    Weights(#[from] WeightsError),
    /// A foreign model needs a library that is not there.
    #[error(
        "ONNX models need ONNX Runtime, and {library} cannot be loaded ({reason}): install it (`pip install \
         onnxruntime` will do) and set ORT_DYLIB_PATH to the path of its libonnxruntime"
    )]
    NoRuntime {
        /// What was tried.
        library: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A model file that is not what it should be.
    #[error("{path} is not a YuNet model: {reason}")]
    BadModel {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The project refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// An aligned crop could not be encoded.
    #[error("an aligned crop could not be encoded")]
    Crop(#[from] ImagingError),
    /// A worker thread died.
    #[error("a worker thread died")]
    Worker(#[from] tokio::task::JoinError),
}

//! What can go wrong while faces are looked for?

use std::path::PathBuf;

use affectory_catalog::CatalogError;
use affectory_imaging::ImagingError;
use affectory_nets::WeightsError;
use affectory_onnx::OnnxError;

/// Errors of this crate. A picture that cannot be read is not one: it is recorded as unreadable.
#[derive(Debug, thiserror::Error)]
pub enum FacesError {
    /// The weights inside the program are damaged.
    #[error("a network inside the program cannot be used")]
    Weights(#[from] WeightsError),
    /// A foreign model's library is not there.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
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

//! Why can a model that the user brought not be run?

use std::path::PathBuf;

/// Errors of this crate; each is one line.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The library that runs models is not there.
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
    /// Not there, a device, too large, damaged, or no ONNX at all.
    #[error("{path} cannot be used as an ONNX model: {reason}")]
    BadModel {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The model was loaded and does not take this input.
    #[error("the ONNX model {path} did not run: {reason}")]
    Failed {
        /// The file.
        path: PathBuf,
        /// What the runtime said.
        reason: String,
    },
}

impl OnnxError {
    /// What is wrong, without the file's name: for a caller that has more to say about it.
    pub fn reason(&self) -> &str {
        match self {
            OnnxError::NoRuntime { reason, .. }
            | OnnxError::BadModel { reason, .. }
            | OnnxError::Failed { reason, .. } => reason,
        }
    }
}

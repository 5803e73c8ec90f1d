//! What can stop a dispatcher or a worker as a whole?

use affectory_annotate::AnnotateError;
use affectory_catalog::CatalogError;
use affectory_release::ReleaseError;

/// Errors of this crate. That the queue is away for a while is none: work goes on when it is back.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The catalogue refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A release could not be packed.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// A model could not look at a pool's faces.
    #[error(transparent)]
    Annotate(#[from] AnnotateError),
    /// `[queue]` in `affectory.toml` is wrong.
    #[error("[queue] in affectory.toml: {0}")]
    Settings(String),
    /// The processes that train together do not meet.
    #[error("training together: {0}")]
    Meeting(String),
    /// The queue refused, or is not there.
    #[error("failed to {action} at the queue ({servers}): {reason}")]
    Queue {
        /// What was tried.
        action: &'static str,
        /// Where, without passwords.
        servers: String,
        /// What it said.
        reason: String,
    },
}

//! What can go wrong between a face and its label?

use std::path::PathBuf;

use affectory_catalog::CatalogError;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum AnnotateError {
    /// The catalogue failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A name that is empty, too long, or would be confusing in a path.
    #[error("`{0}` is no name for a pool: 1 to 60 letters, digits, spaces, - or _")]
    BadName(String),
    /// A rule out of its range.
    #[error("{0}")]
    BadRule(String),
    /// Nothing to annotate.
    #[error("no face fits: {0}")]
    NoFaces(String),
    /// A picture could not be made.
    #[error("failed to draw a lesson")]
    Lesson(#[source] affectory_imaging::ImagingError),
    /// It was asked to stop.
    #[error("stopped; the pool `{0}` is not complete and gives nothing out: fill it by the same command")]
    Stopped(String),
    /// A model failed.
    #[error("the model failed: {0}")]
    Suggester(String),
    /// Nothing to agree on.
    #[error("nobody has said anything of any face (as far as it is asked for): import labels or annotate first")]
    NothingSaid,
    /// It was asked to stop.
    #[error("stopped; the consensus by {0} is not complete: the same command begins it again")]
    ConsensusStopped(String),
    /// The log could not be written.
    #[error("failed to write the annotations")]
    Write(#[source] std::io::Error),
    /// It was asked to stop.
    #[error("stopped before all annotations were written")]
    ExportStopped,
    /// A file that could not be used.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file that is no log.
    #[error("{} is no log of annotations: {reason}", path.display())]
    NoLog {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

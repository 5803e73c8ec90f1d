//! What can go wrong between a face and its label?

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
}

//! What can go wrong in the portal, for a caller that wants to act on it?

use std::path::PathBuf;

use affectory_catalog::CatalogError;
use affectory_release::ReleaseError;

/// Errors of this crate. Each names the thing it is about.
#[derive(Debug, thiserror::Error)]
pub enum PortalError {
    /// `portal.toml` says something that cannot be.
    #[error("{path}: {reason}")]
    BadSettings {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A file could not be read or written.
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
    /// The server for letters refused, or is not there.
    #[error("no letter can be sent: {0}")]
    Mail(String),
    /// A thread that prepared a copy ended before it was done.
    #[error("a copy was not prepared: {0}")]
    Thread(String),
    /// A leaked table that names no item.
    #[error("{path}: {reason}")]
    BadLeak {
        /// The table.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The catalogue or the store refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A release could not be read.
    #[error(transparent)]
    Release(#[from] ReleaseError),
}

impl PortalError {
    /// What a failed file operation becomes, for `map_err`.
    pub(crate) fn file(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> PortalError {
        let path = path.to_owned();
        move |source| PortalError::File { action, path, source }
    }
}

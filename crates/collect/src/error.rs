//! What can stop a stage of collection as a whole? What happens to one query or one address is recorded, not an error.

use affectory_catalog::CatalogError;

use crate::{KeywordError, NetError, SettingsError};

/// Errors of the stages.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The catalogue or the store refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// `collect.toml` is wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A keyword file is wrong.
    #[error(transparent)]
    Keywords(#[from] KeywordError),
    /// No HTTP client can be made of the settings.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A task of our own ended without an answer.
    #[error("a fetching task broke off: {0}")]
    Task(#[from] tokio::task::JoinError),
}

//! What can go wrong with the catalogue or the store, for a caller that wants to act on it?

use std::path::PathBuf;

/// Errors of this crate. Each names the thing it is about.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No project there.
    #[error("no project at {0}: there is no affectory.toml in it")]
    NoProject(PathBuf),
    /// `init` where a project is already.
    #[error("{0} already holds a project")]
    ProjectExists(PathBuf),
    /// The schema is newer than this program.
    #[error(
        "the catalogue has schema version {found}, this program knows versions up to {known}: install a newer affectory"
    )]
    NewerSchema {
        /// Version found.
        found: i64,
        /// Newest version this program knows.
        known: i64,
    },
    /// A project whose catalogue file is gone.
    #[error("the project's catalogue {0} is missing: put it back from a copy, or start anew in another folder")]
    NoCatalog(PathBuf),
    /// A project that is not copied here.
    #[error("the project was not copied: {0}")]
    NotCopied(&'static str),
    /// A catalogue that stays where it is.
    #[error("the catalogue was not moved: {0}")]
    NotMoved(String),
    /// A catalogue that was moved away.
    #[error("this catalogue was moved to {0}: write that as `catalog` into affectory.toml")]
    MovedAway(String),
    /// A configuration file that cannot be read.
    #[error("{path}: {reason}")]
    BadConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A release of that name exists.
    #[error("a release named `{0}` exists already, and releases never change: choose another name")]
    ReleaseExists(String),
    /// No release of that name.
    #[error("no release named `{name}` (there are: {known})")]
    NoRelease {
        /// The name asked for.
        name: String,
        /// Names that exist.
        known: String,
    },
    /// An account with that address exists.
    #[error("there is an account for {0} already")]
    AccountExists(String),
    /// A challenge of that name exists.
    #[error("a challenge named `{0}` exists already: choose another name")]
    ChallengeExists(String),
    /// A pool of that name exists.
    #[error("a pool named `{0}` exists already: choose another name")]
    PoolExists(String),
    /// Two computed a consensus by one method at once.
    #[error("another process recorded a consensus by {0} meanwhile, and the rows are of both: run it again")]
    ConsensusOvertaken(String),
    /// No object of that hash in the store.
    #[error("object {0} is not in the image store")]
    NoObject(String),
    /// An object whose bytes no longer have its name as their hash.
    #[error("object {0} is damaged: its bytes have another SHA-256")]
    DamagedObject(String),
    /// A value in the database that this program would not have written.
    #[error("the catalogue holds a value that makes no sense: {0}")]
    Corrupt(String),
    /// The database refused.
    #[error("the catalogue failed while trying to {action}")]
    Database {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: sqlx::Error,
    },
    /// The store refused.
    #[error("the image store failed on object {key}")]
    Store {
        /// The object.
        key: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// The bucket refused, or was not reached for minutes.
    #[error("the image store {place} failed: {problem}")]
    S3 {
        /// The bucket and prefix.
        place: String,
        /// What happened and what to do.
        problem: String,
    },
    /// What was stored could not be brought onto the disk.
    #[error("the image store could not be flushed to the disk")]
    Flush(#[source] std::io::Error),
    /// A file of the project could not be read or written.
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
}

impl CatalogError {
    /// What a failed statement becomes, for `map_err`.
    pub(crate) fn database(action: &'static str) -> impl FnOnce(sqlx::Error) -> CatalogError {
        move |source| CatalogError::Database { action, source }
    }
}

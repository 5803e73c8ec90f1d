//! What can go wrong with a challenge? No text of these holds a label.

use std::path::PathBuf;

use affectory_catalog::CatalogError;

/// Names the thing it is about.
#[derive(Debug, thiserror::Error)]
pub enum ChallengeError {
    /// The key file is none, or not as safe as it must be.
    #[error("the challenge key {path}: {reason}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The cipher refused.
    #[error("the labels could not be sealed: there are too many of them")]
    Sealing,
    /// Sealed labels that do not open.
    #[error("the sealed labels of `{0}` do not open: the key is another challenge's, or the file was changed")]
    Unsealing(String),
    /// A challenge that cannot be made like that.
    #[error("a challenge cannot be made like that: {0}")]
    BadRequest(String),
    /// There is none of that name.
    #[error("there is no challenge named `{0}`")]
    NoChallenge(String),
    /// Another scoring process is at work.
    #[error("another process scores `{0}` already")]
    ScoredElsewhere(String),
    /// The close was asked for too early, or twice.
    #[error("`{name}` cannot be closed: {reason}")]
    NotClosable {
        /// The challenge.
        name: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// The truth or the inputs do not fit each other or the challenge. Nothing more is said.
    #[error("the sealed labels of `{0}` are not about its inputs")]
    OtherInputs(String),
    /// The catalogue or the store failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A file of the challenge could not be read or written.
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

impl ChallengeError {
    /// What a failed file operation becomes, for `map_err`.
    pub(super) fn file(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| ChallengeError::File { action, path, source }
    }
}

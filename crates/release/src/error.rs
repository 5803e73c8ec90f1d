//! What can go wrong with an import, a release or an export, for a caller that wants to act on it?

use std::path::{Path, PathBuf};

use affectory_catalog::CatalogError;

/// Errors of this crate. What is wrong with single rows and files is not among them: see the rejects.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// A source or release name that cannot be a file name.
    #[error("`{0}` is no usable name: 1 to 64 letters, digits, `-`, `_` and `.`, not beginning with `.` or `-`")]
    BadName(String),
    /// The input is not laid out as its format asks.
    #[error("{path}: {reason}")]
    Layout {
        /// The file or folder looked at.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// The file system refused.
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
    /// The catalogue or the store refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Shares of the splits that make no sense.
    #[error("splits {train}, {valid}, {test} are no shares: each at least 0, together 1")]
    BadFractions {
        /// Share of training.
        train: f64,
        /// Share of validation.
        valid: f64,
        /// Share of test.
        test: f64,
    },
    /// A near-duplicate distance that cannot be searched exactly in reasonable time.
    #[error("a near-duplicate distance of {0} bits is more than {max}: unlike faces would count as the same", max = crate::build::MAX_DISTANCE)]
    BadDistance(u32),
    /// No face qualifies.
    #[error("no face can enter the release: {0}")]
    NothingToRelease(String),
    /// The folder of a release is there, the catalogue does not know it, and its content is not what this build makes.
    #[error(
        "{0} holds a manifest that differs from this build's and is not in the catalogue: move it away, or choose another name"
    )]
    ForeignFolder(PathBuf),
    /// A manifest that is not the one recorded, or cannot be read.
    #[error("release `{name}` is damaged: {reason}")]
    Damaged {
        /// The release.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A pack, or the list of packs, that cannot be used.
    #[error("{name} in the store: {reason}; `affectory release pack` writes again what is removed")]
    DamagedPack {
        /// Its name in the store.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Packs of another size than was asked for.
    #[error(
        "release `{name}` is divided already, {found} images a pack and not {wanted}: leave --images-per-pack out to go on"
    )]
    PackedOtherwise {
        /// The release.
        name: String,
        /// Images of a pack.
        found: u32,
        /// Those asked for.
        wanted: u32,
    },
    /// Packs are missing, or older than the last withdrawal.
    #[error("release `{0}` is not packed, or not as it is now: run `affectory release pack {0}`")]
    NotPacked(String),
    /// A pack that would not fit into memory.
    #[error("a pack would have more than a GiB: choose a smaller --images-per-pack")]
    PackTooLarge,
    /// An export into a place that is taken.
    #[error("{0} is there already and not an empty folder: choose another place")]
    TargetTaken(PathBuf),
    /// An export of images into a folder where another one lies.
    #[error(
        "{path} holds an export with other options ({found}; asked for: {wanted}): repeat those, or choose another folder"
    )]
    OtherExport {
        /// The folder.
        path: PathBuf,
        /// The options it was begun with.
        found: String,
        /// Those asked for now.
        wanted: String,
    },
    /// Two exports of images into one folder at a time.
    #[error("another process is exporting to {0}: wait for it, or choose another folder")]
    ExportBusy(PathBuf),
    /// An image that an export needs cannot be used.
    #[error("item {item} cannot be exported: {reason}")]
    Item {
        /// The item.
        item: String,
        /// Why.
        reason: String,
    },
    /// A stop was asked for before the work was whole; nothing of it was kept.
    #[error("stopped; nothing was written")]
    Stopped,
    /// A worker thread died.
    #[error("a worker thread ended early")]
    Worker(#[from] tokio::task::JoinError),
}

impl ReleaseError {
    /// Puts action and path to an I/O error.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ReleaseError + use<> {
        let path = path.to_owned();
        move |source| ReleaseError::File { action, path, source }
    }
}

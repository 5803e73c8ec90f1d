//! Which databases of others can be read, and what does each say of an image before the image is read?
//!
//! One file a format turns its layout into [`Candidate`]s; `pipeline` reads, checks, stores and records them.

pub(crate) mod affectnet;
pub(crate) mod affectnet_npy;
pub(crate) mod csv;
mod ferplus;
mod folder;
mod labels;
mod pipeline;
mod rejects;
mod rows;
mod sighted;
mod source;

use std::path::Path;

use affectory_catalog::NewAnnotation;
use affectory_core::{BoundingBox, Landmarks, Split};

use crate::ReleaseError;
pub use pipeline::{ImportRequest, ImportSummary, import};
pub use rejects::Reject;
pub use source::ImageBytes;

/// How the data to be imported is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportFormat {
    /// A folder with one sub-folder a label, or `train|valid|test/LABEL/`.
    Folder,
    /// A CSV whose header names `image` and labels; images relative to it.
    Csv,
    /// AffectNet's full release: `training.csv`, `validation.csv`, `Manually_Annotated_Images/`.
    AffectNet,
    /// AffectNet's eight-label release: `train_set/`, `val_set/` with `images/` and `annotations/*.npy`.
    AffectNetNpy,
    /// FER+: a tar or folder with PNG and `votes.csv`.
    FerPlus {
        /// Adds valence and arousal by the linear map, as annotator `proxy:ferplus-linear-map`.
        proxy_va: bool,
    },
}

impl ImportFormat {
    /// The name used in commands; also the source's name where none is given.
    pub const fn name(self) -> &'static str {
        match self {
            ImportFormat::Folder => "folder",
            ImportFormat::Csv => "csv",
            ImportFormat::AffectNet => "affectnet",
            ImportFormat::AffectNetNpy => "affectnet-npy",
            ImportFormat::FerPlus { .. } => "ferplus",
        }
    }
}

/// One image as its source describes it.
#[derive(Debug)]
pub struct Candidate {
    /// The file (relative to the import) and line that speak of it, for the rejects.
    pub file: String,
    /// The line, where the file is a table.
    pub line: Option<u64>,
    /// Its path inside the source: the sighting's path.
    pub path: String,
    /// Where its bytes are.
    pub bytes: ImageBytes,
    /// The split the source puts it in.
    pub given_split: Option<Split>,
    /// The page it stood on.
    pub page_url: Option<String>,
    /// Its licence.
    pub license: Option<String>,
    /// The faces in it, at least one.
    pub faces: Vec<CandidateFace>,
}

/// One face of a candidate.
#[derive(Debug)]
pub struct CandidateFace {
    /// The line that speaks of it.
    pub line: Option<u64>,
    /// Its box; `None` is the whole image.
    pub bounding_box: Option<BoundingBox>,
    /// Its landmarks.
    pub landmarks: Option<Landmarks>,
    /// Its labels.
    pub annotations: Vec<NewAnnotation>,
}

/// Candidates in the order of the source, and what had to be left out on the way.
pub type Candidates = Box<dyn Iterator<Item = Result<Candidate, Reject>> + Send>;

/// Opens a source. Tables are read now, images are not.
///
/// # Errors
/// [`ReleaseError::Layout`] that names what was expected, or what the file system refuses.
pub fn candidates(format: ImportFormat, path: &Path, source_name: &str) -> Result<Candidates, ReleaseError> {
    match format {
        ImportFormat::Folder => folder::candidates(path, source_name),
        ImportFormat::Csv => csv::candidates(path, source_name),
        ImportFormat::AffectNet => affectnet::candidates(path, source_name),
        ImportFormat::AffectNetNpy => affectnet_npy::candidates(path, source_name),
        ImportFormat::FerPlus { proxy_va } => ferplus::candidates(path, proxy_va),
    }
}

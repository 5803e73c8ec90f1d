//! How does a row of the log of annotations read outside of its catalogue, where no row number means anything?

use affectory_core::{Arousal, BoundingBox, Expression, Sha256Hex, Valence};

use crate::{AnnotatorKind, PoolRules, Suggestion};

/// An annotation with everything it refers to by name.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedAnnotation {
    /// The image's hash.
    pub image_sha256: Sha256Hex,
    /// The face's box.
    pub bounding_box: BoundingBox,
    /// `given`, or the detector that found the face.
    pub face_origin: String,
    /// Who.
    pub annotator: String,
    /// Who speaks.
    pub kind: AnnotatorKind,
    /// What the answer came with: `source:path`, `adjudication`, or `pool:NAME`.
    pub origin: String,
    /// The how manieth answer of this annotator with this origin on this face, from 0.
    pub revision: u32,
    /// The row it stands in for; none for revision 0.
    pub supersedes: Option<LoggedReference>,
    /// Category.
    pub expression: Option<Expression>,
    /// Valence.
    pub valence: Option<Valence>,
    /// Arousal.
    pub arousal: Option<Arousal>,
    /// When, ms UTC.
    pub created_ms: i64,
    /// The pool it was given in.
    pub pool: Option<String>,
    /// The browser's number of it.
    pub event_id: Option<String>,
    /// Time spent on the face, ms.
    pub elapsed_ms: Option<u32>,
    /// What a model thought, and whether the annotator was shown it.
    pub suggestion: Option<(Suggestion, bool)>,
}

/// Another answer on the same face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedReference {
    /// Whose.
    pub annotator: String,
    /// With which origin.
    pub origin: String,
    /// Which of them.
    pub revision: u32,
}

/// How much a log holds, and the pools that its answers were given in.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogHead {
    /// Rows.
    pub n_annotations: u64,
    /// Annotators with a row.
    pub n_annotators: u64,
    /// Faces with a row.
    pub n_faces: u64,
    /// Names and rules, by name.
    pub pools: Vec<(String, PoolRules)>,
}

/// What became of a row that was to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOutcome {
    /// It is in the log now.
    Added,
    /// It was there.
    Known,
    /// It cannot be, and why.
    Rejected(String),
}

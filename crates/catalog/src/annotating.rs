//! What do pools, the faces given out, and answers look like?

use affectory_core::{
    AnnotationId, AnnotatorId, Arousal, BoundingBox, Expression, FaceId, ImageId, LessonId, PerceptualHash, PoolId,
    Sha256Hex, Valence,
};

use crate::{AnnotatorKind, CatalogError};

/// In which order a pool's faces are given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// By a seed.
    Random,
    /// Face by face of one query's results, then the next query's.
    Query,
    /// What a model is least certain of comes first.
    Uncertainty,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Strategy; 3] = [Strategy::Random, Strategy::Query, Strategy::Uncertainty];

    /// The word in the table and in forms.
    pub const fn name(self) -> &'static str {
        match self {
            Strategy::Random => "random",
            Strategy::Query => "query",
            Strategy::Uncertainty => "uncertainty",
        }
    }

    /// The strategy of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == name)
    }
}

/// Whether a pool's faces are given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PoolState {
    /// Faces are being put in.
    Filling,
    /// They are.
    Open,
    /// Not for now.
    Paused,
}

impl PoolState {
    /// The word in the table.
    pub const fn name(self) -> &'static str {
        match self {
            PoolState::Filling => "filling",
            PoolState::Open => "open",
            PoolState::Paused => "paused",
        }
    }

    pub(crate) fn stored(name: &str) -> Result<Self, CatalogError> {
        let all = [PoolState::Filling, PoolState::Open, PoolState::Paused];
        let found = all.into_iter().find(|state| state.name() == name);
        found.ok_or_else(|| CatalogError::Corrupt(format!("pool state `{name}`")))
    }
}

/// By which rules a pool's faces are given out.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PoolRules {
    /// How many annotators see a face that is in the overlap, 1 or more.
    pub n_annotators: u32,
    /// Share of faces in the overlap, percent; the others are seen by one annotator.
    pub overlap_percent: u32,
    /// How often a face with a known answer is shown, percent of what is shown, at most 50.
    pub gold_percent: u32,
    /// Order.
    pub strategy: Strategy,
    /// Whether guessed categories take turns, so that rare ones are not drowned.
    pub is_balanced: bool,
    /// Whether the annotator sees a model's suggestion before deciding.
    pub is_assisted: bool,
    /// Whether the quiz must be passed first.
    pub needs_quiz: bool,
    /// What is random follows from it.
    pub seed: u64,
}

/// A pool and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PoolRow {
    /// Its row.
    pub id: PoolId,
    /// Its name.
    pub name: String,
    /// Whether faces are given out.
    pub state: PoolState,
    /// By which rules.
    pub rules: PoolRules,
    /// Since when, ms UTC.
    pub created_ms: i64,
    /// Faces in it, gold ones left out.
    pub n_faces: u64,
    /// Answers wanted for them.
    pub n_wanted: u64,
    /// Answers there are, as far as wanted.
    pub n_done: u64,
}

/// A face that could go into a pool, with what decides when it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolCandidate {
    /// Which face.
    pub face_id: FaceId,
    /// On which image.
    pub image_id: ImageId,
    /// How the image looks.
    pub phash: PerceptualHash,
    /// Where on it, as shares of its width and height.
    pub place: [f32; 4],
    /// Shorter side of the face's box in pixels.
    pub side_px: f32,
    /// Lowest query that found the image, and what it was asked for.
    pub query: Option<(i64, Option<Expression>)>,
    /// Whether somebody, or a source, has given it a category.
    pub is_labelled: bool,
}

/// A face as it goes into a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPoolFace {
    /// Which face.
    pub face_id: FaceId,
    /// When it is shown: lower ones first.
    pub place: i64,
    /// The lowest face among those that look alike.
    pub look_id: FaceId,
    /// Category it is guessed to be.
    pub category: Option<Expression>,
    /// How many annotators are to answer.
    pub n_wanted: u32,
}

/// What a model thinks of a face.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Suggestion {
    /// Its category.
    pub expression: Option<Expression>,
    /// Its valence.
    pub valence: Option<Valence>,
    /// Its arousal.
    pub arousal: Option<Arousal>,
    /// The model's name.
    pub by: String,
}

/// A suggestion for a face, and how sure the model is.
#[derive(Debug, Clone, PartialEq)]
pub struct SureSuggestion {
    /// Which face.
    pub face_id: FaceId,
    /// What the model thinks.
    pub suggestion: Suggestion,
    /// Probability of its category, [0, 1].
    pub confidence: f32,
    /// Entropy of its probabilities, nats.
    pub uncertainty: f32,
}

/// A known answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gold {
    /// Which face.
    pub face_id: FaceId,
    /// Its category.
    pub expression: Expression,
    /// Its valence.
    pub valence: Option<Valence>,
    /// Its arousal.
    pub arousal: Option<Arousal>,
}

/// A request for faces to annotate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaceRequest {
    /// From which pool.
    pub pool_id: PoolId,
    /// By whom.
    pub annotator_id: AnnotatorId,
    /// How many they want to hold, those they hold already included.
    pub limit: u32,
    /// Places up to here are known to have nothing for them.
    pub after_place: i64,
    /// The pool's share of gold faces, percent.
    pub gold_percent: u32,
    /// The pool's seed.
    pub seed: u64,
    /// When the leases end, ms UTC.
    pub lease_end_ms: i64,
}

/// Faces that an annotator holds, in the order in which to show them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GivenFaces {
    /// The faces, each with what a model thinks of it.
    pub faces: Vec<(FaceId, Option<Suggestion>)>,
    /// Up to which place the pool has nothing more for them.
    pub passed_place: i64,
}

/// What happened in an annotator's browser.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerEvent {
    /// Made by the browser; the same one twice is recorded once.
    pub id: String,
    /// Who.
    pub annotator_id: AnnotatorId,
    /// In which pool.
    pub pool_id: PoolId,
    /// Before which face.
    pub face_id: FaceId,
    /// When, ms UTC.
    pub time_ms: i64,
    /// What.
    pub act: AnswerAct,
}

/// An answer, or what goes with it.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerAct {
    /// A category, and for the eight expressions a point.
    Answer {
        /// Category.
        expression: Expression,
        /// Valence.
        valence: Option<Valence>,
        /// Arousal.
        arousal: Option<Arousal>,
        /// Time spent on the face, pauses left out, ms.
        elapsed_ms: u32,
    },
    /// Takes the last answer back; the face is theirs again until `lease_end_ms`.
    Undo {
        /// When that lease ends, ms UTC.
        lease_end_ms: i64,
    },
    /// Asks a lead to look.
    Flag(String),
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum EventOutcome {
    /// It is in the catalogue, with what a model had thought of an answered face.
    Recorded(Option<Suggestion>),
    /// It was before.
    Repeated,
    /// The face was never given to them.
    NotGiven,
    /// A face that looks the same was given to them meanwhile.
    LooksAlike,
}

/// One of an annotator's answers.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnAnswer {
    /// The face.
    pub face_id: FaceId,
    /// Its category.
    pub expression: Expression,
    /// Its valence.
    pub valence: Option<Valence>,
    /// Its arousal.
    pub arousal: Option<Arousal>,
    /// When, ms UTC.
    pub created_ms: i64,
}

/// A row of the log of all annotations, as figures are made from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RatingRow {
    /// Its place in the log.
    pub id: AnnotationId,
    /// Which face.
    pub face_id: FaceId,
    /// Who.
    pub annotator_id: AnnotatorId,
    /// Who speaks in it.
    pub kind: AnnotatorKind,
    /// Whether it settles what stayed open.
    pub is_adjudication: bool,
    /// Which row it stands in for.
    pub supersedes: Option<AnnotationId>,
    /// Category.
    pub expression: Option<Expression>,
    /// Valence.
    pub valence: Option<Valence>,
    /// Arousal.
    pub arousal: Option<Arousal>,
    /// When, ms UTC.
    pub created_ms: i64,
    /// Time spent on the face, ms.
    pub elapsed_ms: Option<u32>,
}

/// A question to a lead.
#[derive(Debug, Clone, PartialEq)]
pub struct FlagRow {
    /// Its row.
    pub id: i64,
    /// Which face.
    pub face_id: FaceId,
    /// Who asks.
    pub annotator: String,
    /// What.
    pub note: String,
    /// When, ms UTC.
    pub created_ms: i64,
}

/// Whether a lesson explains or asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LessonKind {
    /// A worked face.
    Tutorial,
    /// A question.
    Quiz,
}

impl LessonKind {
    /// The word in the table.
    pub const fn name(self) -> &'static str {
        match self {
            LessonKind::Tutorial => "tutorial",
            LessonKind::Quiz => "quiz",
        }
    }
}

/// Where a lesson's picture is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LessonPicture {
    /// A face of the project.
    Face(FaceId),
    /// An object of the store.
    Object(Sha256Hex),
}

/// A lesson to be added.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLesson {
    /// Whether it explains or asks.
    pub kind: LessonKind,
    /// Its picture.
    pub picture: LessonPicture,
    /// The right category.
    pub expression: Expression,
    /// The right valence.
    pub valence: Option<Valence>,
    /// The right arousal.
    pub arousal: Option<Arousal>,
    /// Why.
    pub explanation: String,
}

/// A lesson.
#[derive(Debug, Clone, PartialEq)]
pub struct LessonRow {
    /// Its row.
    pub id: LessonId,
    /// What it holds.
    pub lesson: NewLesson,
}

/// Where the picture of a face is, and whether it may be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct FacePicture {
    /// The original's hash.
    pub image_sha256: Sha256Hex,
    /// The face's box on it.
    pub bounding_box: BoundingBox,
    /// Whether the image was withdrawn.
    pub is_withdrawn: bool,
}

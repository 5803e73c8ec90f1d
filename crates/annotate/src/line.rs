//! What does a line of an exported log look like, and which lines are refused?
//!
//! JSON Lines: a header, then one object an annotation, in the log's order. Everything is named by what it is in any
//! catalogue: images by their hash, faces by box and origin, annotators and pools by name.

use affectory_catalog::{AnnotatorKind, LoggedAnnotation, LoggedReference, PoolRules, Strategy, Suggestion};
use affectory_core::{Arousal, BoundingBox, Expression, Valence};

/// What the first line of a file says.
pub(crate) const FORMAT: &str = "affectory-annotations";

/// The version of the format that is written, and the only one that is read.
pub(crate) const VERSION: u32 = 1;

/// Longest name of an annotator, a pool, a model or an event, bytes.
const LONGEST_NAME: usize = 300;

/// Longest origin: a source with a path or address in it, bytes.
const LONGEST_ORIGIN: usize = 8_192;

/// End of the year 9999, ms UTC.
const LAST_MS: i64 = 253_402_300_799_999;

/// The first line.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub format: String,
    pub version: u32,
    /// Version of the program that wrote it.
    pub program: String,
    pub n_annotations: u64,
    pub n_annotators: u64,
    pub n_faces: u64,
    /// The pools that answers were given in.
    pub pools: Vec<Pool>,
}

/// A pool with its rules.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pool {
    pub name: String,
    pub strategy: String,
    pub n_annotators: u32,
    pub overlap_percent: u32,
    pub gold_percent: u32,
    pub is_balanced: bool,
    pub is_assisted: bool,
    pub needs_quiz: bool,
    pub seed: u64,
}

impl Pool {
    pub fn new(name: &str, rules: &PoolRules) -> Self {
        Self {
            name: name.to_owned(),
            strategy: rules.strategy.name().to_owned(),
            n_annotators: rules.n_annotators,
            overlap_percent: rules.overlap_percent,
            gold_percent: rules.gold_percent,
            is_balanced: rules.is_balanced,
            is_assisted: rules.is_assisted,
            needs_quiz: rules.needs_quiz,
            seed: rules.seed,
        }
    }

    pub fn rules(&self) -> Result<PoolRules, String> {
        let strategy = Strategy::from_name(&self.strategy);
        Ok(PoolRules {
            n_annotators: self.n_annotators,
            overlap_percent: self.overlap_percent,
            gold_percent: self.gold_percent,
            strategy: strategy.ok_or_else(|| format!("`{}` is no strategy of pools", self.strategy))?,
            is_balanced: self.is_balanced,
            is_assisted: self.is_assisted,
            needs_quiz: self.needs_quiz,
            seed: self.seed,
        })
    }
}

/// Every other line.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    /// SHA-256 of the image's bytes.
    image: String,
    face: Face,
    annotator: String,
    kind: String,
    origin: String,
    revision: u32,
    supersedes: Option<Reference>,
    expression: Option<Expression>,
    valence: Option<f32>,
    arousal: Option<f32>,
    created_ms: i64,
    pool: Option<String>,
    event: Option<String>,
    elapsed_ms: Option<u32>,
    suggestion: Option<Thought>,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Face {
    x: f32,
    y: f32,
    width: f32,
    height: f32,
    origin: String,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    annotator: String,
    origin: String,
    revision: u32,
}

/// What a model thought of the face.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Thought {
    expression: Option<Expression>,
    valence: Option<f32>,
    arousal: Option<f32>,
    by: String,
    shown: bool,
}

impl Line {
    pub fn new(row: LoggedAnnotation) -> Self {
        let BoundingBox { x, y, width, height } = row.bounding_box;
        Self {
            image: row.image_sha256.as_str().to_owned(),
            face: Face { x, y, width, height, origin: row.face_origin },
            annotator: row.annotator,
            kind: row.kind.name().to_owned(),
            origin: row.origin,
            revision: row.revision,
            supersedes: row.supersedes.map(|older| Reference {
                annotator: older.annotator,
                origin: older.origin,
                revision: older.revision,
            }),
            expression: row.expression,
            valence: row.valence.map(Valence::value),
            arousal: row.arousal.map(Arousal::value),
            created_ms: row.created_ms,
            pool: row.pool,
            event: row.event_id,
            elapsed_ms: row.elapsed_ms,
            suggestion: row.suggestion.map(|(thought, shown)| Thought {
                expression: thought.expression,
                valence: thought.valence.map(Valence::value),
                arousal: thought.arousal.map(Arousal::value),
                by: thought.by,
                shown,
            }),
        }
    }

    /// The annotation it stands for, or why it stands for none.
    pub fn read(text: &[u8]) -> Result<LoggedAnnotation, String> {
        let line: Line = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        check("annotator", &line.annotator, LONGEST_NAME)?;
        check("origin", &line.origin, LONGEST_ORIGIN)?;
        check("face's origin", &line.face.origin, LONGEST_NAME)?;
        let thinker = line.suggestion.as_ref().map(|thought| &thought.by);
        for (what, name) in [("pool", line.pool.as_ref()), ("event", line.event.as_ref()), ("model", thinker)] {
            name.map_or(Ok(()), |name| check(what, name, LONGEST_NAME))?;
        }
        if !(0..=LAST_MS).contains(&line.created_ms) {
            return Err(format!("created_ms {} is no time", line.created_ms));
        }
        let Face { x, y, width, height, origin: face_origin } = line.face;
        let kind = kind_named(&line.kind).ok_or_else(|| format!("`{}` is no kind of annotator", line.kind))?;
        let (valence, arousal) = point(line.valence, line.arousal)?;
        let suggestion = match line.suggestion {
            None => None,
            Some(thought) => {
                let (valence, arousal) = point(thought.valence, thought.arousal)?;
                let (expression, by) = (thought.expression, thought.by);
                Some((Suggestion { expression, valence, arousal, by }, thought.shown))
            }
        };
        Ok(LoggedAnnotation {
            image_sha256: line.image.parse().map_err(text_of)?,
            bounding_box: BoundingBox::new(x, y, width, height).map_err(text_of)?,
            face_origin,
            annotator: line.annotator,
            kind,
            origin: line.origin,
            revision: line.revision,
            supersedes: line.supersedes.map(|older| LoggedReference {
                annotator: older.annotator,
                origin: older.origin,
                revision: older.revision,
            }),
            expression: line.expression,
            valence,
            arousal,
            created_ms: line.created_ms,
            pool: line.pool,
            event_id: line.event,
            elapsed_ms: line.elapsed_ms,
            suggestion,
        })
    }
}

fn point(valence: Option<f32>, arousal: Option<f32>) -> Result<(Option<Valence>, Option<Arousal>), String> {
    let valence = valence.map(Valence::new).transpose().map_err(text_of)?;
    Ok((valence, arousal.map(Arousal::new).transpose().map_err(text_of)?))
}

fn text_of(error: affectory_core::CoreError) -> String {
    error.to_string()
}

fn kind_named(name: &str) -> Option<AnnotatorKind> {
    AnnotatorKind::ALL.into_iter().find(|kind| kind.name() == name)
}

/// Text that both databases keep, and that repaints nobody's terminal.
fn check(what: &str, text: &str, longest: usize) -> Result<(), String> {
    if text.is_empty() || text.len() > longest {
        return Err(format!("the {what} has {} bytes: 1 to {longest} are allowed", text.len()));
    }
    if text.contains(char::is_control) {
        return Err(format!("the {what} has control characters"));
    }
    Ok(())
}

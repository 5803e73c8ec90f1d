//! How well do annotators agree, how is each of them doing, and which faces need a second look?

use std::collections::{BTreeMap, HashMap, HashSet};

use affectory_catalog::{Gold, RatingRow};
use affectory_core::{AnnotationId, AnnotatorId, Expression, FaceId, ValenceArousal};
use affectory_evaluate::{
    Agreement, AnnotatorQuality, Drift, FaceOpinions, Period, Rating, Reference, SecondLook, SecondLookOptions,
    TimedRating, Vote, against_gold, against_others, agreement, annotator_quality, drift, majority, second_look,
};

use crate::RatingLog;

/// Faces weighed against each other at a time.
const WEIGHED: usize = 20_000;

/// Length of a day, ms.
const DAY_MS: i64 = 86_400_000;

/// What is known of all annotations up to a row of the log.
#[derive(Debug, Clone)]
pub struct Figures {
    /// The last row that took part.
    pub last: AnnotationId,
    /// Annotations that stand, of people, imports and renderers.
    pub n_annotations: usize,
    /// How far they agree.
    pub agreement: Agreement,
    /// Annotator by annotator, by id.
    pub annotators: Vec<AnnotatorFigures>,
}

/// One annotator.
#[derive(Debug, Clone)]
pub struct AnnotatorFigures {
    /// Who.
    pub annotator: AnnotatorId,
    /// Faces answered.
    pub n_answers: usize,
    /// Median time on a face, pauses left out, ms; none where it was not measured.
    pub median_ms: Option<u32>,
    /// Time of the last answer, ms UTC.
    pub last_ms: i64,
    /// Answers a day: days since 1970 (UTC) and how many.
    pub days: Vec<(i64, usize)>,
    /// Beside what the others said of the same faces.
    pub beside_others: Option<AnnotatorQuality>,
    /// Beside known answers.
    pub beside_gold: Option<AnnotatorQuality>,
    /// Beside the others, day by day.
    pub drift: Vec<Drift>,
}

/// Computes them: a second or two for a million rows, so a caller that shows them keeps the result.
pub fn figures(log: &RatingLog, gold: &[Gold]) -> Figures {
    let ratings = log.ratings();
    let gold: HashMap<i64, Reference> = gold.iter().map(|gold| (gold.face_id.0, reference(gold))).collect();
    // What nobody else answered says nothing here, and is most of it: it is left out before anything is copied.
    let shared = shared_faces(&ratings);
    let timed = |is_wanted: &dyn Fn(i64) -> bool| -> Vec<TimedRating> {
        let rows = log.independent().zip(&ratings).filter(|(row, _)| is_wanted(row.face_id.0));
        rows.map(|(row, rating)| TimedRating { rating: *rating, annotated_ms: row.created_ms }).collect()
    };
    let mut beside_others = against_others(&timed(&|face| shared.contains(&face)));
    beside_others.retain(|comparison| has_reference(&comparison.reference));
    let mut others = by_annotator(annotator_quality(&beside_others));
    let mut golden = by_annotator(annotator_quality(&against_gold(&timed(&|face| gold.contains_key(&face)), &gold)));
    let mut days: BTreeMap<i64, Vec<Drift>> = BTreeMap::new();
    for day in drift(&beside_others, Period::Days) {
        days.entry(day.quality.annotator).or_default().push(day);
    }
    let mut rows: BTreeMap<AnnotatorId, Vec<&RatingRow>> = BTreeMap::new();
    for row in log.independent() {
        rows.entry(row.annotator_id).or_default().push(row);
    }
    let annotators = rows.into_iter().map(|(annotator, rows)| AnnotatorFigures {
        beside_others: others.remove(&annotator.0),
        beside_gold: golden.remove(&annotator.0),
        drift: days.remove(&annotator.0).unwrap_or_default(),
        ..work_of(annotator, &rows)
    });
    let annotators = annotators.collect();
    Figures { last: log.last(), n_annotations: ratings.len(), agreement: agreement(&ratings), annotators }
}

/// Faces with more than one rating.
fn shared_faces(ratings: &[Rating]) -> HashSet<i64> {
    let mut faces: Vec<i64> = ratings.iter().map(|rating| rating.face).collect();
    faces.sort_unstable();
    faces.chunk_by(|a, b| a == b).filter(|same| same.len() > 1).map(|same| same[0]).collect()
}

fn has_reference(reference: &Reference) -> bool {
    reference.expression.is_some() || reference.valence.is_some() || reference.arousal.is_some()
}

fn reference(gold: &Gold) -> Reference {
    Reference {
        expression: Some(gold.expression),
        valence: gold.valence.map(|valence| valence.value().into()),
        arousal: gold.arousal.map(|arousal| arousal.value().into()),
    }
}

fn by_annotator(quality: Vec<AnnotatorQuality>) -> HashMap<i64, AnnotatorQuality> {
    quality.into_iter().map(|quality| (quality.annotator, quality)).collect()
}

/// How much somebody did, and how fast.
fn work_of(annotator: AnnotatorId, rows: &[&RatingRow]) -> AnnotatorFigures {
    let mut times: Vec<u32> = rows.iter().filter_map(|row| row.elapsed_ms).collect();
    let middle = times.len() / 2;
    let median_ms = (!times.is_empty()).then(|| *times.select_nth_unstable(middle).1);
    let mut days: BTreeMap<i64, usize> = BTreeMap::new();
    for row in rows {
        *days.entry(row.created_ms.div_euclid(DAY_MS)).or_default() += 1;
    }
    AnnotatorFigures {
        annotator,
        n_answers: rows.len(),
        median_ms,
        last_ms: rows.iter().map(|row| row.created_ms).max().unwrap_or(0),
        days: days.into_iter().collect(),
        beside_others: None,
        beside_gold: None,
        drift: Vec::new(),
    }
}

/// The faces somebody should look at again, the most doubtful first, at most `limit`; none that an adjudication has
/// settled. `sure`: categories of which a model is sure, with their probability.
pub fn doubtful_faces(log: &RatingLog, sure: &[(FaceId, Expression, f32)], limit: usize) -> Vec<SecondLook> {
    let settled: HashSet<FaceId> = log.standing().filter(|row| row.is_adjudication).map(|row| row.face_id).collect();
    let sure: HashMap<FaceId, (Expression, f64)> =
        sure.iter().map(|(face, expression, share)| (*face, (*expression, f64::from(*share)))).collect();
    let mut rows: Vec<&RatingRow> = log.independent().filter(|row| !settled.contains(&row.face_id)).collect();
    rows.sort_by_key(|row| row.face_id);
    let opinions = rows.chunk_by(|a, b| a.face_id == b.face_id);
    let mut opinions = opinions.map(|rows| opinions_on(rows, sure.get(&rows[0].face_id).copied())).peekable();
    // The best of some and the best of the others hold the best of all, in a fraction of the memory.
    let (mut kept, mut faces) = (Vec::new(), Vec::new());
    while opinions.peek().is_some() {
        kept.extend(opinions.by_ref().take(WEIGHED));
        faces = second_look(&kept, &SecondLookOptions::default());
        faces.truncate(limit);
        let best: HashSet<i64> = faces.iter().map(|face| face.face).collect();
        kept.retain(|face: &FaceOpinions| best.contains(&face.face));
    }
    faces
}

fn opinions_on(rows: &[&RatingRow], prediction: Option<(Expression, f64)>) -> FaceOpinions {
    let vote = |row: &&RatingRow| Vote {
        expression: row.expression,
        valence: row.valence,
        arousal: row.arousal,
        is_proxy: false,
        is_adjudication: false,
    };
    let votes: Vec<Vote> = rows.iter().map(vote).collect();
    let agreed = majority(&votes);
    let point = agreed.valence.zip(agreed.arousal);
    FaceOpinions {
        face: rows[0].face_id.0,
        n: rows.len(),
        expression: agreed.expression,
        agreement: agreed.agreement.map(f64::from),
        point: point.map(|(valence, arousal)| ValenceArousal { valence, arousal }),
        spread: agreed.valence_spread.into_iter().chain(agreed.arousal_spread).map(f64::from).reduce(f64::max),
        prediction,
    }
}

//! How well do annotators agree, and how is each of them doing?

use std::collections::BTreeMap;

use affectory_catalog::RatingRow;
use affectory_core::{AnnotationId, AnnotatorId};
use affectory_evaluate::{Agreement, agreement};

use crate::RatingLog;

/// Length of a day, ms.
const DAY_MS: i64 = 86_400_000;

/// What is known of all annotations up to a row of the log.
#[derive(Debug, Clone, serde::Serialize)]
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
#[derive(Debug, Clone, serde::Serialize)]
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
}

/// Computes them. Seconds for a million rows: a caller that shows them keeps the result.
pub fn figures(log: &RatingLog) -> Figures {
    let ratings = log.ratings();
    let mut by_annotator: BTreeMap<AnnotatorId, Vec<&RatingRow>> = BTreeMap::new();
    for row in log.independent() {
        by_annotator.entry(row.annotator_id).or_default().push(row);
    }
    let annotators = by_annotator.into_iter().map(|(annotator, rows)| of_one(annotator, &rows)).collect();
    Figures { last: log.last(), n_annotations: ratings.len(), agreement: agreement(&ratings), annotators }
}

fn of_one(annotator: AnnotatorId, rows: &[&RatingRow]) -> AnnotatorFigures {
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
    }
}

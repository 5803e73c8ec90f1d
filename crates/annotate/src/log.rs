//! How is the log of all annotations kept at hand, so that figures of a million rows are seconds old and no more?

use std::time::Duration;

use affectory_catalog::{AnnotatorKind, Catalog, RatingRow};
use affectory_core::AnnotationId;
use affectory_evaluate::Rating;

use crate::AnnotateError;

/// Rows read at a time: decoding them holds a thread of the server for 10 ms, and they take 5 MB.
const PAGE: u32 = 5_000;

/// Rows before the last one that are read again: on PostgreSQL a transaction that began earlier may end later.
const READ_AGAIN: i64 = 10_000;

/// The rows of the log up to a moment, with what supersedes what.
#[derive(Debug, Default)]
pub struct RatingLog {
    /// In the order of their ids.
    rows: Vec<RatingRow>,
    is_superseded: Vec<bool>,
}

impl RatingLog {
    /// Reads what was added since the last time; says whether there was anything.
    ///
    /// # Errors
    /// [`AnnotateError::Catalog`].
    pub async fn refresh(&mut self, catalog: &Catalog) -> Result<bool, AnnotateError> {
        self.refresh_gently(catalog, Duration::ZERO).await
    }

    /// As [`RatingLog::refresh`], with a rest after every few thousand rows, for those who share the machine.
    ///
    /// # Errors
    /// [`AnnotateError::Catalog`].
    pub async fn refresh_gently(&mut self, catalog: &Catalog, rest: Duration) -> Result<bool, AnnotateError> {
        let mut after = AnnotationId(self.last().0.saturating_sub(READ_AGAIN).max(0));
        let mut fresh = Vec::new();
        loop {
            let page = catalog.list_ratings(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            fresh.extend(page.into_iter().filter(|row| self.place_of(row.id).is_err()));
            tokio::time::sleep(rest).await;
        }
        let is_new = !fresh.is_empty();
        self.add(fresh);
        Ok(is_new)
    }

    /// The log as it was when `last` was its last row.
    #[must_use]
    pub fn up_to(mut self, last: AnnotationId) -> Self {
        let n_rows = self.rows.partition_point(|row| row.id <= last);
        self.rows.truncate(n_rows);
        self.add(Vec::new());
        self
    }

    fn add(&mut self, fresh: Vec<RatingRow>) {
        let is_in_order = self.rows.last().zip(fresh.first()).is_none_or(|(last, first)| last.id < first.id);
        // At first there is a million of them, and no second copy.
        if self.rows.is_empty() {
            self.rows = fresh;
        } else {
            self.rows.extend(fresh);
        }
        if !is_in_order {
            self.rows.sort_unstable_by_key(|row| row.id);
        }
        self.is_superseded.clear();
        self.is_superseded.resize(self.rows.len(), false);
        for idx in 0..self.rows.len() {
            if let Some(Ok(older)) = self.rows[idx].supersedes.map(|id| self.place_of(id)) {
                self.is_superseded[older] = true;
            }
        }
    }

    fn place_of(&self, id: AnnotationId) -> Result<usize, usize> {
        self.rows.binary_search_by_key(&id, |row| row.id)
    }

    /// The last row's id; 0 without rows.
    pub fn last(&self) -> AnnotationId {
        self.rows.last().map_or(AnnotationId(0), |row| row.id)
    }

    /// All rows, in the order of their ids.
    pub fn rows(&self) -> &[RatingRow] {
        &self.rows
    }

    /// Rows that no later row supersedes and that say something.
    pub fn standing(&self) -> impl Iterator<Item = &RatingRow> {
        let rows = self.rows.iter().zip(&self.is_superseded).filter(|(_, is_superseded)| !**is_superseded);
        rows.map(|(row, _)| row)
            .filter(|row| row.expression.is_some() || row.valence.is_some() || row.arousal.is_some())
    }

    /// What people, imported annotators and the renderer say, each for themselves: what agreement is computed from. A
    /// formula and a network are no annotators, and a decision on what stayed open is not independent of the answers.
    pub fn independent(&self) -> impl Iterator<Item = &RatingRow> {
        self.standing().filter(|row| is_annotator(row.kind) && !row.is_adjudication)
    }

    /// The same as the figures take it.
    pub fn ratings(&self) -> Vec<Rating> {
        let rating = |row: &RatingRow| Rating {
            face: row.face_id.0,
            annotator: row.annotator_id.0,
            expression: row.expression,
            valence: row.valence.map(|valence| valence.value().into()),
            arousal: row.arousal.map(|arousal| arousal.value().into()),
        };
        self.independent().map(rating).collect()
    }
}

/// Whether what it says is counted: people, imported annotators and the renderer.
pub(crate) fn is_annotator(kind: AnnotatorKind) -> bool {
    match kind {
        AnnotatorKind::Person | AnnotatorKind::Imported | AnnotatorKind::Synthetic => true,
        AnnotatorKind::Proxy | AnnotatorKind::Model => false,
    }
}

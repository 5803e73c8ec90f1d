//! What do annotators say of faces that queries for an expression found?

use affectory_catalog::IntentVotes;
use affectory_core::Expression;
use affectory_evaluate::plurality;

/// One row of AffectNet's table of query against annotation.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct IntentRow {
    /// The expression asked for.
    pub intent: Expression,
    /// Faces by the category that most of their annotators chose, by index.
    pub counts: [u64; 11],
    /// Faces whose annotators are tied.
    pub undecided: u64,
}

impl IntentRow {
    /// All annotated faces of the row.
    pub fn faces(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.undecided
    }
}

/// Decides each face by the rule of the consensus that releases are built on.
pub(super) fn intent_rows(votes: &[IntentVotes]) -> Vec<IntentRow> {
    let mut rows: Vec<IntentRow> = Vec::new();
    for IntentVotes { intent, votes, faces } in votes {
        let known = rows.iter().position(|row| row.intent == *intent);
        let at = known.unwrap_or_else(|| {
            rows.push(IntentRow { intent: *intent, counts: [0; 11], undecided: 0 });
            rows.len() - 1
        });
        match plurality(votes).and_then(|chosen| rows[at].counts.get_mut(chosen)) {
            Some(count) => *count += faces,
            None => rows[at].undecided += faces,
        }
    }
    rows.sort_unstable_by_key(|row| row.intent);
    rows
}

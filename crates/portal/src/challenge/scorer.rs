//! The scoring process: what does it do with the submissions that wait, and who is ahead?
//!
//! It is the only one with the key. Web servers are other processes without it, so how long an answer of theirs takes
//! cannot depend on a label. Killed at any point, it scores again what it had not recorded, and records once.

use std::collections::HashMap;
use std::fs::{File, TryLockError};

use affectory_catalog::{
    BoardRow, ChallengeMetric, ChallengeRow, ChallengeTask, Half, NewScore, Phase, Project, ScoreRow, SubmissionRow,
};
use affectory_core::{LabelSet, Sha256Hex, SubmissionId, TeamId};
use affectory_evaluate::{Matched, Table, read_table};

use super::error::ChallengeError;
use super::halves::Halves;
use super::key::ChallengeKey;
use super::ladder::{Best, climb, shown_interval};
use super::make::{SEALED, challenge_folder, read_inputs, sha256};
use super::ranks::ranks;
use super::scoring::{answers, figure, interval, match_half, p_of_equality, paired};
use super::sealed::unseal;

/// What a team is told of a file that was valid and could not be scored all the same. The cause may be about labels.
const NOT_SCORED: &str = "the file could not be scored; the organisers can find out why";

/// Submissions read from the queue at once.
const AT_ONCE: u32 = 100;

/// A challenge with its labels open.
pub struct Scorer {
    project: Project,
    challenge: ChallengeRow,
    labels: LabelSet,
    halves: Halves,
    /// Held while this lives; the system lets go of it when the process ends, however it ends.
    _lock: File,
}

/// What one pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct ScoredNow {
    /// Submissions scored.
    pub n_scored: u64,
    /// Submissions that were queued and cannot be scored.
    pub n_refused: u64,
}

/// Tables of submissions, read once in a pass.
type Tables = HashMap<Sha256Hex, Table>;

impl Scorer {
    /// Opens the labels of a challenge. Only one process at a time does.
    ///
    /// # Errors
    /// [`ChallengeError::NoChallenge`], [`ChallengeError::ScoredElsewhere`], [`ChallengeError::Unsealing`], or
    /// [`ChallengeError::OtherInputs`].
    pub async fn open(project: &Project, key: &ChallengeKey, name: &str) -> Result<Self, ChallengeError> {
        let found = project.catalog.find_challenge(name).await?;
        let challenge = found.ok_or_else(|| ChallengeError::NoChallenge(name.to_owned()))?;
        let folder = challenge_folder(project, name);
        let path = folder.join("scoring.lock");
        let lock = File::create(&path).map_err(ChallengeError::file("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ChallengeError::ScoredElsewhere(name.to_owned())),
            Err(TryLockError::Error(error)) => return Err(ChallengeError::file("lock", &path)(error)),
        }
        let path = folder.join(SEALED);
        let sealed = std::fs::read(&path).map_err(ChallengeError::file("read", &path))?;
        let other = || ChallengeError::OtherInputs(name.to_owned());
        if sha256(&sealed) != challenge.challenge.sealed_sha256 {
            return Err(ChallengeError::Unsealing(name.to_owned()));
        }
        // Errors of reading the truth would quote it.
        let truth = read_table(unseal(&sealed, name, key)?.as_slice(), "labels").map_err(|_| other())?;
        let mut names: Vec<&str> = truth.rows.iter().map(|row| row.image.as_str()).collect();
        names.sort_unstable();
        if names != read_inputs(project, &challenge)? {
            return Err(other());
        }
        let labels = LabelSet::parse(&challenge.challenge.labels).map_err(|_| other())?;
        let halves = Halves::of(&truth, name, key);
        Ok(Self { project: project.clone(), challenge, labels, halves, _lock: lock })
    }

    /// Scores all that waits, and brings the public boards up to date.
    ///
    /// # Errors
    /// What the catalogue or the store refuses; what was recorded before stays.
    pub async fn score_queued(&self, now_ms: i64) -> Result<ScoredNow, ChallengeError> {
        let catalog = &self.project.catalog;
        let (mut done, mut tables) = (ScoredNow::default(), Tables::new());
        let mut scores = catalog.list_scores(self.challenge.id).await?;
        loop {
            let queued = catalog.list_queued(self.challenge.id, AT_ONCE).await?;
            for submission in &queued {
                match self.score(submission, &scores, &mut tables).await? {
                    Some(found) => {
                        if catalog.record_scores(submission.id, &found, now_ms).await? {
                            done.n_scored += 1;
                            scores.extend(found.into_iter().map(|score| ScoreRow {
                                submission_id: submission.id,
                                team_id: submission.team_id,
                                is_withdrawn: false,
                                submitted_ms: submission.submitted_ms,
                                score,
                            }));
                        }
                    }
                    None => {
                        done.n_refused += u64::from(catalog.refuse_submission(submission.id, NOT_SCORED, now_ms).await?)
                    }
                }
            }
            if queued.is_empty() {
                break;
            }
        }
        // Read again: some may have been withdrawn meanwhile.
        let scores = catalog.list_scores(self.challenge.id).await?;
        for &metric in &self.challenge.challenge.metrics {
            let standing = public_standing(&scores, metric.task());
            let before = catalog.read_board(self.challenge.id, metric.task(), Half::Public).await?;
            if !is_board_of(&before, &standing) {
                let board = self.board(metric, Half::Public, standing, &mut tables).await?;
                catalog.write_board(self.challenge.id, metric.task(), &board, now_ms).await?;
            }
        }
        Ok(done)
    }

    /// Scores what still waits, ranks the teams on the private half and reveals it. `is_early` closes a challenge that
    /// still takes submissions.
    ///
    /// # Errors
    /// [`ChallengeError::NotClosable`]; what the catalogue or the store refuses.
    pub async fn close(&self, is_early: bool, now_ms: i64) -> Result<(), ChallengeError> {
        let not = |reason: &str| ChallengeError::NotClosable {
            name: self.challenge.challenge.name.clone(),
            reason: reason.to_owned(),
        };
        match self.challenge.phase(now_ms) {
            Phase::Closed => return Err(not("it is closed already")),
            Phase::Announced | Phase::Development | Phase::Final if !is_early => {
                return Err(not("it still takes submissions; --early closes it all the same"));
            }
            Phase::Announced | Phase::Development | Phase::Final | Phase::Ended => {}
        }
        self.score_queued(now_ms).await?;
        let scores = self.project.catalog.list_scores(self.challenge.id).await?;
        let (mut boards, mut tables) = (Vec::new(), Tables::new());
        for &metric in &self.challenge.challenge.metrics {
            let standing = private_standing(&scores, metric.task(), self.challenge.challenge.final_opens_ms);
            boards.push((metric.task(), self.board(metric, Half::Private, standing, &mut tables).await?));
        }
        if self.project.catalog.close_challenge(&self.challenge, &boards, now_ms).await? {
            return Ok(());
        }
        Err(not("another submission came in meanwhile: try again"))
    }

    /// The scores of a submission in each task that it answers; `None` where it cannot be scored.
    async fn score(
        &self,
        submission: &SubmissionRow,
        before: &[ScoreRow],
        tables: &mut Tables,
    ) -> Result<Option<Vec<NewScore>>, ChallengeError> {
        let Some(table) = self.table(submission.sha256.as_ref(), tables).await? else { return Ok(None) };
        let of_half = |half: &Table, table: &Table| match_half(half, table, &self.labels).ok();
        let (Some(public), Some(private)) =
            (of_half(&self.halves.public, &table), of_half(&self.halves.private, &table))
        else {
            return Ok(None);
        };
        let detail =
            serde_json::json!({ "public": all_figures(&public), "private": all_figures(&private) }).to_string();
        let is_final = submission.submitted_ms >= self.challenge.challenge.final_opens_ms;
        let mut found = Vec::new();
        for &metric in &self.challenge.challenge.metrics {
            let task = metric.task();
            if !answers(task, &public) || !answers(task, &private) {
                continue;
            }
            let score = figure(metric, &public);
            let (public_shown, is_accepted) = if is_final {
                (None, false)
            } else {
                let of_team = |row: &&ScoreRow| {
                    row.team_id == submission.team_id && row.score.task == task && row.score.public_shown.is_some()
                };
                let k = before.iter().filter(of_team).count() as u64 + 1;
                let best = before.iter().filter(of_team).rfind(|row| row.score.is_accepted);
                let best_matched = match best {
                    Some(best) => self.matched(best.submission_id, Half::Public, tables).await?,
                    None => None,
                };
                let standing =
                    best.and_then(|row| Some(Best { shown: row.score.public_shown?, score: row.score.public_true }));
                let error = || paired(metric, best_matched.as_ref()?, &public)?.interval.std;
                let rung = climb(standing, score, k, error);
                (Some(rung.shown), rung.is_accepted)
            };
            let private_true = figure(metric, &private);
            found.push(NewScore {
                task,
                public_shown,
                is_accepted,
                public_true: score,
                private_true,
                detail: detail.clone(),
            });
        }
        Ok((!found.is_empty()).then_some(found))
    }

    /// A leaderboard of those that stand for their teams.
    async fn board(
        &self,
        metric: ChallengeMetric,
        half: Half,
        standing: Vec<&ScoreRow>,
        tables: &mut Tables,
    ) -> Result<Vec<BoardRow>, ChallengeError> {
        let mut entries: Vec<(&ScoreRow, f64, Matched)> = Vec::new();
        for row in standing {
            let score = match half {
                Half::Public => row.score.public_shown.unwrap_or(row.score.public_true),
                Half::Private => row.score.private_true,
            };
            if let Some(matched) = self.matched(row.submission_id, half, tables).await? {
                entries.push((row, score, matched));
            }
        }
        // Of equal scores the earlier one stands above.
        entries.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.submission_id.cmp(&b.0.submission_id)));
        let found = ranks(entries.len(), |leader, other| p_of_equality(metric, &entries[other].2, &entries[leader].2));
        let row = |((row, score, matched), rank): (&(&ScoreRow, f64, Matched), super::ranks::Rank)| {
            let exact = interval(metric, matched).map_or((*score, *score), |bounds| (bounds.low, bounds.high));
            let (low, high) = match half {
                Half::Public => shown_interval(*score, row.score.public_true, exact.0, exact.1),
                Half::Private => exact,
            };
            BoardRow {
                team_id: row.team_id,
                team: String::new(),
                submission_id: row.submission_id,
                rank: rank.rank,
                is_tied: rank.is_tied,
                score: *score,
                low,
                high,
            }
        };
        Ok(entries.iter().zip(found).map(row).collect())
    }

    async fn matched(
        &self,
        submission: SubmissionId,
        half: Half,
        tables: &mut Tables,
    ) -> Result<Option<Matched>, ChallengeError> {
        let sha256 = self.project.catalog.find_submission_object(submission).await?;
        let Some(table) = self.table(sha256.as_ref(), tables).await? else { return Ok(None) };
        let truth = match half {
            Half::Public => &self.halves.public,
            Half::Private => &self.halves.private,
        };
        Ok(match_half(truth, &table, &self.labels).ok())
    }

    async fn table(&self, sha256: Option<&Sha256Hex>, tables: &mut Tables) -> Result<Option<Table>, ChallengeError> {
        let Some(sha256) = sha256 else { return Ok(None) };
        if let Some(table) = tables.get(sha256) {
            return Ok(Some(table.clone()));
        }
        let bytes = self.project.store.read(sha256).await?;
        let Ok(table) = read_table(bytes.as_ref(), "predictions") else { return Ok(None) };
        // A board of a hundred teams; more are read again.
        if tables.len() >= 128 {
            tables.clear();
        }
        tables.insert(sha256.clone(), table.clone());
        Ok(Some(table))
    }
}

/// The last accepted submission of each team.
fn public_standing(scores: &[ScoreRow], task: ChallengeTask) -> Vec<&ScoreRow> {
    let mut last: HashMap<TeamId, &ScoreRow> = HashMap::new();
    for row in scores.iter().filter(|row| row.score.task == task && row.score.is_accepted && !row.is_withdrawn) {
        last.insert(row.team_id, row);
    }
    last.into_values().collect()
}

/// The last submission of each team in the final phase; where there is none, what stands for it on the public board.
fn private_standing(scores: &[ScoreRow], task: ChallengeTask, final_opens_ms: i64) -> Vec<&ScoreRow> {
    let mut last: HashMap<TeamId, &ScoreRow> =
        public_standing(scores, task).into_iter().map(|row| (row.team_id, row)).collect();
    let is_final = |row: &&ScoreRow| row.score.task == task && row.submitted_ms >= final_opens_ms && !row.is_withdrawn;
    for row in scores.iter().filter(is_final) {
        last.insert(row.team_id, row);
    }
    last.into_values().collect()
}

/// Whether a board, read without what was withdrawn, is of exactly these and has no gap in its ranks.
fn is_board_of(board: &[BoardRow], standing: &[&ScoreRow]) -> bool {
    let mut wanted: Vec<SubmissionId> = standing.iter().map(|row| row.submission_id).collect();
    let mut found: Vec<SubmissionId> = board.iter().map(|row| row.submission_id).collect();
    wanted.sort_unstable();
    found.sort_unstable();
    let follows = |(place, row): (usize, &BoardRow)| {
        row.rank as usize == place + 1 || place.checked_sub(1).is_some_and(|before| board[before].rank == row.rank)
    };
    wanted == found && board.iter().enumerate().all(follows)
}

/// Every figure of `evaluate` but the confusion matrix, whose sums are counts of labels.
fn all_figures(matched: &Matched) -> serde_json::Value {
    let mut figures = matched.evaluation().to_json();
    if let Some(figures) = figures.as_object_mut() {
        figures.remove("confusion");
    }
    figures
}

//! What are challenges, teams, submissions and scores, as the catalogue keeps them?

use affectory_core::{AccountId, ChallengeId, Sha256Hex, SubmissionId, TeamId};

use crate::CatalogError;

/// What participants are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChallengeTask {
    /// One of the challenge's categories for each image.
    Expression,
    /// Valence and arousal of each image.
    ValenceArousal,
}

impl ChallengeTask {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Expression, Self::ValenceArousal];

    /// The word in tables, commands and forms.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expression => "expression",
            Self::ValenceArousal => "valence-arousal",
        }
    }

    /// The task of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.name() == name)
    }

    fn stored(name: &str) -> Result<Self, CatalogError> {
        Self::from_name(name).ok_or_else(|| CatalogError::Corrupt(format!("task `{name}`")))
    }
}

/// By which figure a task's submissions are ranked; more is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChallengeMetric {
    /// Share of right categories.
    Accuracy,
    /// Mean recall over the categories.
    BalancedAccuracy,
    /// Mean F1 over the categories.
    F1Macro,
    /// Mean of the concordances of valence and arousal.
    MeanCcc,
}

impl ChallengeMetric {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Accuracy, Self::BalancedAccuracy, Self::F1Macro, Self::MeanCcc];

    /// The word in tables and commands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced_accuracy",
            Self::F1Macro => "f1_macro",
            Self::MeanCcc => "mean_ccc",
        }
    }

    /// The metric of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// What it is a figure of.
    pub const fn task(self) -> ChallengeTask {
        match self {
            Self::Accuracy | Self::BalancedAccuracy | Self::F1Macro => ChallengeTask::Expression,
            Self::MeanCcc => ChallengeTask::ValenceArousal,
        }
    }
}

/// A challenge to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChallenge {
    /// Small letters, digits and hyphens: it stands in addresses and is a folder's name.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// What else participants must know.
    pub rules: String,
    /// The release whose split is withheld, if it is one.
    pub release: Option<String>,
    /// The categories, as a label set is written.
    pub labels: String,
    /// The metric of each task; a task stands once.
    pub metrics: Vec<ChallengeMetric>,
    /// Images to answer.
    pub n_inputs: u64,
    /// SHA-256 of `inputs.csv`.
    pub inputs_sha256: Sha256Hex,
    /// SHA-256 of `labels.sealed`.
    pub sealed_sha256: Sha256Hex,
    /// Valid submissions that a team may make on one day, UTC.
    pub per_day: u32,
    /// From when submissions are taken, ms UTC.
    pub opens_ms: i64,
    /// From when they are for the private half, ms UTC.
    pub final_opens_ms: i64,
    /// From when none is taken, ms UTC.
    pub closes_ms: i64,
}

/// A challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChallengeRow {
    /// Its row.
    pub id: ChallengeId,
    /// What it was made of.
    pub challenge: NewChallenge,
    /// When, ms UTC.
    pub created_ms: i64,
    /// When its private scores were revealed, ms UTC.
    pub closed_ms: Option<i64>,
}

/// Where a challenge is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is taken yet.
    Announced,
    /// Submissions show their score on the public half, through the Ladder.
    Development,
    /// Submissions show nothing; the last of each team counts.
    Final,
    /// Nothing is taken any more; the private scores are not revealed yet.
    Ended,
    /// The private scores are revealed.
    Closed,
}

impl Phase {
    /// As pages call it.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Announced => "announced",
            Phase::Development => "development",
            Phase::Final => "final",
            Phase::Ended => "ended",
            Phase::Closed => "closed",
        }
    }
}

impl ChallengeRow {
    /// Where it is at a time.
    pub fn phase(&self, now_ms: i64) -> Phase {
        let NewChallenge { opens_ms, final_opens_ms, closes_ms, .. } = self.challenge;
        match now_ms {
            _ if self.closed_ms.is_some() => Phase::Closed,
            _ if now_ms < opens_ms => Phase::Announced,
            _ if now_ms < final_opens_ms => Phase::Development,
            _ if now_ms < closes_ms => Phase::Final,
            _ => Phase::Ended,
        }
    }

    /// The metric of a task; `None` where the challenge does not ask for it.
    pub fn metric(&self, task: ChallengeTask) -> Option<ChallengeMetric> {
        self.challenge.metrics.iter().copied().find(|metric| metric.task() == task)
    }
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamRow {
    /// Its row.
    pub id: TeamId,
    /// Where it takes part.
    pub challenge_id: ChallengeId,
    /// What it calls itself; text from outside.
    pub name: String,
    /// When it was made, ms UTC.
    pub created_ms: i64,
}

/// Somebody in a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamMember {
    /// Who.
    pub account_id: AccountId,
    /// What they are called; text from outside.
    pub name: String,
    /// When they left, ms UTC: whoever was in a team that has submitted stays bound to it.
    pub left_ms: Option<i64>,
}

/// What became of a wish to be in a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TeamOutcome {
    /// They are in it.
    Joined(TeamRow),
    /// They are in a team of this challenge, or were in one when it submitted.
    AlreadyBound,
    /// Another team has that name.
    NameTaken,
    /// The invitation is used up, expired or unknown, or the challenge is over.
    NoInvitation,
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubmissionState {
    /// Valid, and waiting for the scoring process.
    Queued,
    /// Scored.
    Scored,
    /// Not valid: it counts for nothing.
    Refused,
    /// Taken back by its team.
    Withdrawn,
}

impl SubmissionState {
    const ALL: [Self; 4] = [Self::Queued, Self::Scored, Self::Refused, Self::Withdrawn];

    /// The word in the table and on pages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Scored => "scored",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
        }
    }

    pub(crate) fn stored(name: &str) -> Result<Self, CatalogError> {
        let found = Self::ALL.into_iter().find(|state| state.name() == name);
        found.ok_or_else(|| CatalogError::Corrupt(format!("submission state `{name}`")))
    }
}

/// A file that somebody handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSubmission<'a> {
    /// To which challenge.
    pub challenge_id: ChallengeId,
    /// By whom; the team is theirs.
    pub account_id: AccountId,
    /// The object with its bytes; `None` where it is refused, and its bytes kept nowhere.
    pub sha256: Option<&'a Sha256Hex>,
    /// What the file was called; text from outside.
    pub file_name: &'a str,
    /// Its size, bytes.
    pub size_bytes: u64,
    /// What is wrong with it, a sentence each.
    pub problems: &'a [String],
}

/// What became of handing in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubmissionOutcome {
    /// It is written down, as queued or refused.
    Recorded(SubmissionId),
    /// They are in no team.
    NoTeam,
    /// The challenge takes nothing now.
    NotOpen,
    /// The team has made all valid submissions of the day.
    QuotaUsed,
    /// The team has had so many files refused today that no more are looked at.
    TooManyRefused,
}

/// A submission.
#[derive(Debug, Clone, PartialEq)]
pub struct SubmissionRow {
    /// Its row.
    pub id: SubmissionId,
    /// To which challenge.
    pub challenge_id: ChallengeId,
    /// Whose.
    pub team_id: TeamId,
    /// What the team calls itself; text from outside.
    pub team: String,
    /// Who handed it in.
    pub account_id: AccountId,
    /// What became of it.
    pub state: SubmissionState,
    /// The object with its bytes.
    pub sha256: Option<Sha256Hex>,
    /// What the file was called; text from outside.
    pub file_name: String,
    /// Its size, bytes.
    pub size_bytes: u64,
    /// What is wrong with it, a sentence each.
    pub problems: Vec<String>,
    /// When it came, ms UTC.
    pub submitted_ms: i64,
}

/// A task's score of a submission, as the scoring process found it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewScore {
    /// Of which task.
    pub task: ChallengeTask,
    /// What its team is shown of the public half: what the Ladder gives. `None` in the final phase.
    pub public_shown: Option<f64>,
    /// Whether it stands for its team on the public board.
    pub is_accepted: bool,
    /// The metric on the public half; for the organisers, after the close.
    pub public_true: f64,
    /// The metric on the private half; for everybody, after the close.
    pub private_true: f64,
    /// All figures of both halves, as JSON; for the organisers, after the close.
    pub detail: String,
}

/// A score that is written down.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRow {
    /// Of which submission.
    pub submission_id: SubmissionId,
    /// By which team.
    pub team_id: TeamId,
    /// Whether it was taken back since.
    pub is_withdrawn: bool,
    /// When the submission came, ms UTC.
    pub submitted_ms: i64,
    /// The score, without its detail.
    pub score: NewScore,
}

/// A half of the test set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// Shown through the Ladder while the challenge runs.
    Public,
    /// Revealed at the close.
    Private,
}

impl Half {
    /// The word in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Half::Public => "public",
            Half::Private => "private",
        }
    }
}

/// A line of a leaderboard.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct BoardRow {
    /// Whose.
    pub team_id: TeamId,
    /// What the team calls itself; text from outside, filled in when the board is read.
    #[serde(default, skip_serializing)]
    pub team: String,
    /// Which submission stands for it.
    pub submission_id: SubmissionId,
    /// Its rank from 1; those that no test can tell from the first of their group share one.
    pub rank: u32,
    /// Whether others share the rank.
    pub is_tied: bool,
    /// The score.
    pub score: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

pub(crate) fn stored_task(name: &str) -> Result<ChallengeTask, CatalogError> {
    ChallengeTask::stored(name)
}

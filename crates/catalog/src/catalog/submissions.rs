//! What was handed in to a challenge, does it count, and what did the scoring process find?

use affectory_again::again;
use affectory_core::{AccountId, ChallengeId, Sha256Hex, SubmissionId, TeamId};

use super::audit::{COMMAND_LINE, Entry, append};
use super::challenges::team_of;
use crate::challenging::{
    NewScore, NewSubmission, ScoreRow, SubmissionOutcome, SubmissionRow, SubmissionState, stored_task,
};
use crate::database::{Row, Turn, Value, Work};
use crate::people::Account;
use crate::{Catalog, CatalogError};

/// Files of one team that are looked at and refused on one day: each costs a reading of the whole file.
const REFUSED_PER_DAY: i64 = 100;

/// A day, ms.
const DAY_MS: i64 = 86_400_000;

#[again]
impl Catalog {
    /// Writes a submission down: refused where it has problems, else queued, if the team has any left of the day (UTC).
    /// Counting and writing are one transaction with a turn of its own, so that two at once cannot get around the quota.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn submit(
        &self,
        new: &NewSubmission<'_>,
        by: &Account,
        now_ms: i64,
    ) -> Result<SubmissionOutcome, CatalogError> {
        let failed = || CatalogError::database("write a submission down");
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Challenge).await.map_err(failed())?;
        let Some(team) = team_of(&mut work, new.challenge_id, new.account_id).await? else {
            return Ok(SubmissionOutcome::NoTeam);
        };
        let open = work
            .fetch(
                "select per_day from challenge
                 where id = $1 and opens_ms <= $2 and closes_ms > $2 and closed_ms is null",
                vec![new.challenge_id.0.into(), now_ms.into()],
            )
            .await
            .map_err(failed())?;
        let Some(row) = open.first() else { return Ok(SubmissionOutcome::NotOpen) };
        let per_day = row.int(0)?;
        let (n_used, n_refused) = count_day(&mut work, team.id, now_ms).await?;
        if n_used >= per_day {
            return Ok(SubmissionOutcome::QuotaUsed);
        }
        if n_refused >= REFUSED_PER_DAY {
            return Ok(SubmissionOutcome::TooManyRefused);
        }
        let state = if new.sha256.is_some() { SubmissionState::Queued } else { SubmissionState::Refused };
        let rows = work
            .fetch(
                "insert into submission (challenge_id, team_id, account_id, state, sha256, file_name, size_bytes,
                     problems, submitted_ms)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning id",
                vec![
                    new.challenge_id.0.into(),
                    team.id.0.into(),
                    new.account_id.0.into(),
                    state.name().into(),
                    Value::Text(new.sha256.map(|sha256| sha256.as_str().to_owned())),
                    new.file_name.into(),
                    new.size_bytes.cast_signed().into(),
                    // Texts always have a JSON form.
                    serde_json::to_string(new.problems).unwrap_or_default().as_str().into(),
                    now_ms.into(),
                ],
            )
            .await
            .map_err(failed())?;
        let id = rows.first().ok_or_else(|| CatalogError::Corrupt("a submission without a row".into()))?.int(0)?;
        let (actor, subject) = (by.actor(), format!("submission/{id}"));
        let detail = new.sha256.map_or(state.name(), |sha256| sha256.as_str());
        append(&mut work, &Entry { actor: &actor, action: "submit", subject: &subject, detail, time_ms: now_ms })
            .await?;
        work.commit().await.map_err(failed())?;
        Ok(SubmissionOutcome::Recorded(SubmissionId(id)))
    }

    /// How many submissions of a team count for the day of that time, UTC.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_submissions_of_day(&self, team: TeamId, now_ms: i64) -> Result<u64, CatalogError> {
        let mut work = self.database.read().await.map_err(CatalogError::database("count submissions"))?;
        let (n_used, _) = count_day(&mut work, team, now_ms).await?;
        Ok(n_used.max(0).cast_unsigned())
    }

    /// Submissions of a challenge, or of one team of it, newest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_submissions(
        &self,
        challenge: ChallengeId,
        team: Option<TeamId>,
        limit: u32,
    ) -> Result<Vec<SubmissionRow>, CatalogError> {
        let failed = || CatalogError::database("list submissions");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select submission.id, submission.challenge_id, team_id, name, account_id, state, sha256, file_name,
                        size_bytes, problems, submitted_ms
                 from submission join team on team.id = team_id
                 where submission.challenge_id = $1 and ($2 = 0 or team_id = $2) order by submission.id desc limit $3",
                vec![challenge.0.into(), team.map_or(0, |team| team.0).into(), i64::from(limit).into()],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(submission_row).collect()
    }

    /// The object with a submission's bytes.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_submission_object(&self, submission: SubmissionId) -> Result<Option<Sha256Hex>, CatalogError> {
        let failed = || CatalogError::database("look for a submission");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch("select sha256 from submission where id = $1", vec![submission.0.into()])
            .await
            .map_err(failed())?;
        rows.first().map_or(Ok(None), |row| row.optional_sha256(0))
    }

    /// Submissions that wait for the scoring process, oldest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_queued(&self, challenge: ChallengeId, limit: u32) -> Result<Vec<SubmissionRow>, CatalogError> {
        let failed = || CatalogError::database("list submissions");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select submission.id, submission.challenge_id, team_id, name, account_id, state, sha256, file_name,
                        size_bytes, problems, submitted_ms
                 from submission join team on team.id = team_id
                 where submission.challenge_id = $1 and state = 'queued' order by submission.id limit $2",
                vec![challenge.0.into(), i64::from(limit).into()],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(submission_row).collect()
    }

    /// Records what the scoring process found, once: false where the submission waits no longer.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn record_scores(
        &self,
        submission: SubmissionId,
        scores: &[NewScore],
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let failed = || CatalogError::database("record scores");
        let mut work = self.database.write().await.map_err(failed())?;
        let n = work
            .execute(
                "update submission set state = 'scored' where id = $1 and state = 'queued'",
                vec![submission.0.into()],
            )
            .await
            .map_err(failed())?;
        if n == 0 {
            return Ok(false);
        }
        for score in scores {
            work.execute(
                "insert into score (submission_id, task, public_shown, is_accepted, public_true, private_true, detail)
                 values ($1, $2, $3, $4, $5, $6, $7)",
                vec![
                    submission.0.into(),
                    score.task.name().into(),
                    score.public_shown.into(),
                    i64::from(score.is_accepted).into(),
                    Some(score.public_true).into(),
                    Some(score.private_true).into(),
                    score.detail.as_str().into(),
                ],
            )
            .await
            .map_err(failed())?;
        }
        let subject = format!("submission/{submission}");
        let entry = Entry { actor: COMMAND_LINE, action: "score", subject: &subject, detail: "", time_ms: now_ms };
        append(&mut work, &entry).await?;
        work.commit().await.map_err(failed())?;
        Ok(true)
    }

    /// Takes a submission that waits out of the queue, with what is wrong with it; false where it waits no longer.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn refuse_submission(
        &self,
        submission: SubmissionId,
        problem: &str,
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let failed = || CatalogError::database("refuse a submission");
        let mut work = self.database.write().await.map_err(failed())?;
        let n = work
            .execute(
                "update submission set state = 'refused', problems = $2 where id = $1 and state = 'queued'",
                vec![submission.0.into(), serde_json::to_string(&[problem]).unwrap_or_default().as_str().into()],
            )
            .await
            .map_err(failed())?;
        if n == 0 {
            return Ok(false);
        }
        let subject = format!("submission/{submission}");
        let entry = Entry {
            actor: COMMAND_LINE,
            action: "refuse-submission",
            subject: &subject,
            detail: problem,
            time_ms: now_ms,
        };
        append(&mut work, &entry).await?;
        work.commit().await.map_err(failed())?;
        Ok(true)
    }

    /// Takes a submission back for its team, until the challenge is closed; false where it is not theirs, or counts for
    /// nothing anyway. It still counts for the day's quota and for the Ladder.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn withdraw_submission(
        &self,
        submission: SubmissionId,
        by: &Account,
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let failed = || CatalogError::database("withdraw a submission");
        let mut work = self.database.write().await.map_err(failed())?;
        // Not while a challenge is being closed: its boards were computed with this one.
        work.take_turn(Turn::Challenge).await.map_err(failed())?;
        let n = work
            .execute(
                "update submission set state = 'withdrawn' where id = $1 and state in ('queued', 'scored')
                     and team_id in (select team_id from team_member where account_id = $2 and left_ms is null)
                     and challenge_id in (select id from challenge where closed_ms is null)",
                vec![submission.0.into(), by.id.0.into()],
            )
            .await
            .map_err(failed())?;
        if n == 0 {
            return Ok(false);
        }
        let (actor, subject) = (by.actor(), format!("submission/{submission}"));
        let entry =
            Entry { actor: &actor, action: "withdraw-submission", subject: &subject, detail: "", time_ms: now_ms };
        append(&mut work, &entry).await?;
        work.commit().await.map_err(failed())?;
        Ok(true)
    }

    /// All scores of a challenge, in the order in which the submissions came.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_scores(&self, challenge: ChallengeId) -> Result<Vec<ScoreRow>, CatalogError> {
        let failed = || CatalogError::database("list scores");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select submission_id, team_id, state, submitted_ms, task, public_shown, is_accepted, public_true,
                        private_true, detail
                 from score join submission on submission.id = submission_id
                 where challenge_id = $1 order by submission_id, task",
                vec![challenge.0.into()],
            )
            .await
            .map_err(failed())?;
        let score = |row: &Row| {
            Ok(ScoreRow {
                submission_id: SubmissionId(row.int(0)?),
                team_id: TeamId(row.int(1)?),
                is_withdrawn: SubmissionState::stored(&row.text(2)?)? == SubmissionState::Withdrawn,
                submitted_ms: row.int(3)?,
                score: NewScore {
                    task: stored_task(&row.text(4)?)?,
                    public_shown: row.optional_double(5)?,
                    is_accepted: row.int(6)? == 1,
                    public_true: row.double(7)?,
                    private_true: row.double(8)?,
                    detail: row.text(9)?,
                },
            })
        };
        rows.iter().map(score).collect()
    }
}

/// Of the day of a time, UTC: how many submissions of a team count, and how many were refused.
async fn count_day(work: &mut Work, team: TeamId, now_ms: i64) -> Result<(i64, i64), CatalogError> {
    let day_ms = now_ms.div_euclid(DAY_MS) * DAY_MS;
    let rows = work
        .fetch(
            "select cast(coalesce(sum(case when state = 'refused' then 0 else 1 end), 0) as bigint),
                    cast(coalesce(sum(case when state = 'refused' then 1 else 0 end), 0) as bigint)
             from submission where team_id = $1 and submitted_ms >= $2 and submitted_ms < $3",
            vec![team.0.into(), day_ms.into(), (day_ms + DAY_MS).into()],
        )
        .await
        .map_err(CatalogError::database("count submissions"))?;
    rows.first().map_or(Ok((0, 0)), |row| Ok((row.int(0)?, row.int(1)?)))
}

fn submission_row(row: &Row) -> Result<SubmissionRow, CatalogError> {
    Ok(SubmissionRow {
        id: SubmissionId(row.int(0)?),
        challenge_id: ChallengeId(row.int(1)?),
        team_id: TeamId(row.int(2)?),
        team: row.text(3)?,
        account_id: AccountId(row.int(4)?),
        state: SubmissionState::stored(&row.text(5)?)?,
        sha256: row.optional_sha256(6)?,
        file_name: row.text(7)?,
        size_bytes: row.count(8)?,
        problems: serde_json::from_str(&row.text(9)?)
            .map_err(|error| CatalogError::Corrupt(format!("the problems of a submission: {error}")))?,
        submitted_ms: row.int(10)?,
    })
}

//! Which challenges are there, which teams take part, and who is in which?

use affectory_again::again;
use affectory_core::{AccountId, ChallengeId, Sha256Hex, TeamId};

use super::audit::{COMMAND_LINE, Entry, append};
use crate::challenging::{
    BoardRow, ChallengeMetric, ChallengeRow, ChallengeTask, Half, NewChallenge, TeamMember, TeamOutcome, TeamRow,
};
use crate::database::{Row, Turn, Value, Work};
use crate::people::Account;
use crate::{Catalog, CatalogError};

#[again]
impl Catalog {
    /// Makes a challenge with its tasks.
    ///
    /// # Errors
    /// [`CatalogError::ChallengeExists`] or [`CatalogError::Database`].
    pub async fn insert_challenge(&self, new: &NewChallenge, now_ms: i64) -> Result<ChallengeRow, CatalogError> {
        let failed = || CatalogError::database("make a challenge");
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Challenge).await.map_err(failed())?;
        let values: Vec<Value> = vec![
            new.name.as_str().into(),
            new.title.as_str().into(),
            new.rules.as_str().into(),
            Value::Text(new.release.clone()),
            new.labels.as_str().into(),
            new.n_inputs.cast_signed().into(),
            new.inputs_sha256.as_str().into(),
            new.sealed_sha256.as_str().into(),
            i64::from(new.per_day).into(),
            new.opens_ms.into(),
            new.final_opens_ms.into(),
            new.closes_ms.into(),
            now_ms.into(),
        ];
        let rows = work
            .fetch(
                "insert into challenge (name, title, rules, release_name, labels, n_inputs, inputs_sha256,
                     sealed_sha256, per_day, opens_ms, final_opens_ms, closes_ms, created_ms)
                 select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13
                 where not exists (select 1 from challenge where name = $1) returning id",
                values,
            )
            .await
            .map_err(failed())?;
        let Some(row) = rows.first() else { return Err(CatalogError::ChallengeExists(new.name.clone())) };
        let id = row.int(0)?;
        for (place, metric) in (0_i64..).zip(&new.metrics) {
            work.execute(
                "insert into challenge_task (challenge_id, place, metric) values ($1, $2, $3)",
                vec![id.into(), place.into(), metric.name().into()],
            )
            .await
            .map_err(failed())?;
        }
        let entry = Entry {
            actor: COMMAND_LINE,
            action: "make-challenge",
            subject: &new.name,
            detail: new.sealed_sha256.as_str(),
            time_ms: now_ms,
        };
        append(&mut work, &entry).await?;
        work.commit().await.map_err(failed())?;
        Ok(ChallengeRow { id: ChallengeId(id), challenge: new.clone(), created_ms: now_ms, closed_ms: None })
    }

    /// All challenges, newest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_challenges(&self) -> Result<Vec<ChallengeRow>, CatalogError> {
        let failed = || CatalogError::database("list challenges");
        let mut work = self.database.read().await.map_err(failed())?;
        let tasks = work
            .fetch("select challenge_id, metric from challenge_task order by challenge_id, place", vec![])
            .await
            .map_err(failed())?;
        let mut metrics = Vec::new();
        for row in &tasks {
            let name = row.text(1)?;
            let metric = ChallengeMetric::from_name(&name);
            metrics.push((row.int(0)?, metric.ok_or_else(|| CatalogError::Corrupt(format!("metric `{name}`")))?));
        }
        let rows = work
            .fetch(
                "select id, name, title, rules, release_name, labels, n_inputs, inputs_sha256, sealed_sha256, per_day,
                        opens_ms, final_opens_ms, closes_ms, created_ms, closed_ms
                 from challenge order by id desc",
                vec![],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(|row| challenge_row(row, &metrics)).collect()
    }

    /// The challenge of that name.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_challenge(&self, name: &str) -> Result<Option<ChallengeRow>, CatalogError> {
        // There are as many as a lab holds in its life.
        Ok(self.list_challenges().await?.into_iter().find(|row| row.challenge.name == name))
    }

    /// Makes a team of which an account is the first member.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn insert_team(
        &self,
        challenge: ChallengeId,
        name: &str,
        by: &Account,
        now_ms: i64,
    ) -> Result<TeamOutcome, CatalogError> {
        let failed = || CatalogError::database("make a team");
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Challenge).await.map_err(failed())?;
        if is_bound(&mut work, challenge, by.id).await? {
            return Ok(TeamOutcome::AlreadyBound);
        }
        let rows = work
            .fetch(
                "insert into team (challenge_id, name, created_ms) select $1, $2, $3
                 where not exists (select 1 from team where challenge_id = $1 and name = $2) returning id",
                vec![challenge.0.into(), name.into(), now_ms.into()],
            )
            .await
            .map_err(failed())?;
        let Some(row) = rows.first() else { return Ok(TeamOutcome::NameTaken) };
        let team =
            TeamRow { id: TeamId(row.int(0)?), challenge_id: challenge, name: name.to_owned(), created_ms: now_ms };
        join(&mut work, &team, by, "make-team", now_ms).await?;
        work.commit().await.map_err(failed())?;
        Ok(TeamOutcome::Joined(team))
    }

    /// The team that an account is in.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_team_of(
        &self,
        challenge: ChallengeId,
        account: AccountId,
    ) -> Result<Option<TeamRow>, CatalogError> {
        let mut work = self.database.read().await.map_err(CatalogError::database("look for a team"))?;
        team_of(&mut work, challenge, account).await
    }

    /// Who is or was in a team, in the order in which they came.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_members(&self, team: TeamId) -> Result<Vec<TeamMember>, CatalogError> {
        let failed = || CatalogError::database("list a team");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select account_id, name, left_ms from team_member join account on account.id = account_id
                 where team_id = $1 order by joined_ms, account_id",
                vec![team.0.into()],
            )
            .await
            .map_err(failed())?;
        let member = |row: &Row| {
            Ok(TeamMember { account_id: AccountId(row.int(0)?), name: row.text(1)?, left_ms: row.optional_int(2)? })
        };
        rows.iter().map(member).collect()
    }

    /// Writes an invitation to the account's team down; false where they are in none.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn insert_team_invitation(
        &self,
        challenge: ChallengeId,
        token: &Sha256Hex,
        by: &Account,
        expires_ms: i64,
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let failed = || CatalogError::database("invite to a team");
        let mut work = self.database.write().await.map_err(failed())?;
        let Some(team) = team_of(&mut work, challenge, by.id).await? else { return Ok(false) };
        work.execute(
            "insert into team_invitation (token_sha256, team_id, invited_by, created_ms, expires_ms)
             values ($1, $2, $3, $4, $5)",
            vec![token.as_str().into(), team.id.0.into(), by.id.0.into(), now_ms.into(), expires_ms.into()],
        )
        .await
        .map_err(failed())?;
        let (actor, subject) = (by.actor(), format!("team/{}", team.id));
        let entry = Entry { actor: &actor, action: "invite-to-team", subject: &subject, detail: "", time_ms: now_ms };
        append(&mut work, &entry).await?;
        work.commit().await.map_err(failed())?;
        Ok(true)
    }

    /// To which team an invitation leads, while it can be used.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_team_invitation(&self, token: &Sha256Hex, now_ms: i64) -> Result<Option<TeamRow>, CatalogError> {
        let mut work = self.database.read().await.map_err(CatalogError::database("read an invitation"))?;
        invited_to(&mut work, token, now_ms).await
    }

    /// Takes an invitation up. Of two at once one succeeds.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn accept_team_invitation(
        &self,
        token: &Sha256Hex,
        by: &Account,
        now_ms: i64,
    ) -> Result<TeamOutcome, CatalogError> {
        let failed = || CatalogError::database("join a team");
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Challenge).await.map_err(failed())?;
        let Some(team) = invited_to(&mut work, token, now_ms).await? else { return Ok(TeamOutcome::NoInvitation) };
        if is_bound(&mut work, team.challenge_id, by.id).await? {
            return Ok(TeamOutcome::AlreadyBound);
        }
        work.execute(
            "update team_invitation set used_ms = $2, used_by = $3 where token_sha256 = $1",
            vec![token.as_str().into(), now_ms.into(), by.id.0.into()],
        )
        .await
        .map_err(failed())?;
        join(&mut work, &team, by, "join-team", now_ms).await?;
        work.commit().await.map_err(failed())?;
        Ok(TeamOutcome::Joined(team))
    }

    /// Takes an account out of its team; false where it is in none. Once the team has submitted it stays bound to it.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn leave_team(&self, challenge: ChallengeId, by: &Account, now_ms: i64) -> Result<bool, CatalogError> {
        let failed = || CatalogError::database("leave a team");
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Challenge).await.map_err(failed())?;
        let Some(team) = team_of(&mut work, challenge, by.id).await? else { return Ok(false) };
        let who = || vec![challenge.0.into(), by.id.0.into(), Value::from(team.id.0)];
        let n_freed = work
            .execute(
                "delete from team_member where challenge_id = $1 and account_id = $2
                 and not exists (select 1 from submission where team_id = $3 and state <> 'refused')",
                who(),
            )
            .await
            .map_err(failed())?;
        if n_freed == 0 {
            work.execute(
                "update team_member set left_ms = $3 where challenge_id = $1 and account_id = $2",
                vec![challenge.0.into(), by.id.0.into(), now_ms.into()],
            )
            .await
            .map_err(failed())?;
        }
        let (actor, subject) = (by.actor(), format!("team/{}", team.id));
        let detail = if n_freed == 0 { "bound to it" } else { "" };
        append(&mut work, &Entry { actor: &actor, action: "leave-team", subject: &subject, detail, time_ms: now_ms })
            .await?;
        work.commit().await.map_err(failed())?;
        Ok(true)
    }

    /// A leaderboard as it was computed last, without submissions that were withdrawn since.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn read_board(
        &self,
        challenge: ChallengeId,
        task: ChallengeTask,
        half: Half,
    ) -> Result<Vec<BoardRow>, CatalogError> {
        let failed = || CatalogError::database("read a leaderboard");
        let mut work = self.database.read().await.map_err(failed())?;
        let found = work
            .fetch(
                "select standings from challenge_board where challenge_id = $1 and task = $2 and half = $3",
                vec![challenge.0.into(), task.name().into(), half.name().into()],
            )
            .await
            .map_err(failed())?;
        let Some(row) = found.first() else { return Ok(Vec::new()) };
        let board: Vec<BoardRow> =
            serde_json::from_str(&row.text(0)?).map_err(|error| CatalogError::Corrupt(format!("a board: {error}")))?;
        let standing = work
            .fetch(
                "select submission.id, name from submission join team on team.id = team_id
                 where submission.challenge_id = $1 and state = 'scored'",
                vec![challenge.0.into()],
            )
            .await
            .map_err(failed())?;
        let mut names = std::collections::HashMap::new();
        for row in &standing {
            names.insert(row.int(0)?, row.text(1)?);
        }
        let named = |row: BoardRow| Some(BoardRow { team: names.get(&row.submission_id.0)?.clone(), ..row });
        Ok(board.into_iter().filter_map(named).collect())
    }

    /// Replaces a leaderboard.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn write_board(
        &self,
        challenge: ChallengeId,
        task: ChallengeTask,
        board: &[BoardRow],
        now_ms: i64,
    ) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("write a leaderboard");
        let mut work = self.database.write().await.map_err(failed())?;
        store_board(&mut work, challenge, task, Half::Public, board, now_ms).await?;
        work.commit().await.map_err(failed())
    }

    /// Reveals the private boards and ends a challenge, in one transaction; false where it is closed already, or a
    /// submission still waits.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn close_challenge(
        &self,
        challenge: &ChallengeRow,
        boards: &[(ChallengeTask, Vec<BoardRow>)],
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let failed = || CatalogError::database("close a challenge");
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Challenge).await.map_err(failed())?;
        let n = work
            .execute(
                "update challenge set closed_ms = $2 where id = $1 and closed_ms is null and not exists
                     (select 1 from submission where challenge_id = $1 and state = 'queued')",
                vec![challenge.id.0.into(), now_ms.into()],
            )
            .await
            .map_err(failed())?;
        if n == 0 {
            return Ok(false);
        }
        for (task, board) in boards {
            store_board(&mut work, challenge.id, *task, Half::Private, board, now_ms).await?;
        }
        let entry = Entry {
            actor: COMMAND_LINE,
            action: "close-challenge",
            subject: &challenge.challenge.name,
            detail: "",
            time_ms: now_ms,
        };
        append(&mut work, &entry).await?;
        work.commit().await.map_err(failed())?;
        Ok(true)
    }
}

/// The team that an account is in now.
pub(super) async fn team_of(
    work: &mut Work,
    challenge: ChallengeId,
    account: AccountId,
) -> Result<Option<TeamRow>, CatalogError> {
    let rows = work
        .fetch(
            "select team.id, team.challenge_id, name, created_ms from team join team_member on team_id = team.id
             where team_member.challenge_id = $1 and account_id = $2 and left_ms is null",
            vec![challenge.0.into(), account.0.into()],
        )
        .await
        .map_err(CatalogError::database("look for a team"))?;
    rows.first().map(team_row).transpose()
}

async fn is_bound(work: &mut Work, challenge: ChallengeId, account: AccountId) -> Result<bool, CatalogError> {
    let rows = work
        .fetch(
            "select 1 from team_member where challenge_id = $1 and account_id = $2",
            vec![challenge.0.into(), account.0.into()],
        )
        .await
        .map_err(CatalogError::database("look for a team"))?;
    Ok(!rows.is_empty())
}

async fn invited_to(work: &mut Work, token: &Sha256Hex, now_ms: i64) -> Result<Option<TeamRow>, CatalogError> {
    let rows = work
        .fetch(
            "select team.id, challenge_id, team.name, team.created_ms from team_invitation
             join team on team.id = team_id join challenge on challenge.id = challenge_id
             where token_sha256 = $1 and used_ms is null and expires_ms > $2 and closes_ms > $2 and closed_ms is null",
            vec![token.as_str().into(), now_ms.into()],
        )
        .await
        .map_err(CatalogError::database("read an invitation"))?;
    rows.first().map(team_row).transpose()
}

async fn join(work: &mut Work, team: &TeamRow, by: &Account, action: &str, now_ms: i64) -> Result<(), CatalogError> {
    work.execute(
        "insert into team_member (challenge_id, account_id, team_id, joined_ms) values ($1, $2, $3, $4)",
        vec![team.challenge_id.0.into(), by.id.0.into(), team.id.0.into(), now_ms.into()],
    )
    .await
    .map_err(CatalogError::database("join a team"))?;
    let (actor, subject) = (by.actor(), format!("team/{}", team.id));
    append(work, &Entry { actor: &actor, action, subject: &subject, detail: "", time_ms: now_ms }).await
}

async fn store_board(
    work: &mut Work,
    challenge: ChallengeId,
    task: ChallengeTask,
    half: Half,
    board: &[BoardRow],
    now_ms: i64,
) -> Result<(), CatalogError> {
    // Numbers in a struct always have a JSON form.
    let standings = serde_json::to_string(board).unwrap_or_default();
    work.execute(
        "insert into challenge_board (challenge_id, task, half, standings, computed_ms) values ($1, $2, $3, $4, $5)
         on conflict (challenge_id, task, half)
         do update set standings = excluded.standings, computed_ms = excluded.computed_ms",
        vec![challenge.0.into(), task.name().into(), half.name().into(), standings.as_str().into(), now_ms.into()],
    )
    .await
    .map_err(CatalogError::database("write a leaderboard"))?;
    Ok(())
}

fn team_row(row: &Row) -> Result<TeamRow, CatalogError> {
    Ok(TeamRow {
        id: TeamId(row.int(0)?),
        challenge_id: ChallengeId(row.int(1)?),
        name: row.text(2)?,
        created_ms: row.int(3)?,
    })
}

fn challenge_row(row: &Row, metrics: &[(i64, ChallengeMetric)]) -> Result<ChallengeRow, CatalogError> {
    let id = row.int(0)?;
    Ok(ChallengeRow {
        id: ChallengeId(id),
        challenge: NewChallenge {
            name: row.text(1)?,
            title: row.text(2)?,
            rules: row.text(3)?,
            release: row.optional_text(4)?,
            labels: row.text(5)?,
            metrics: metrics.iter().filter(|(of, _)| *of == id).map(|(_, metric)| *metric).collect(),
            n_inputs: row.count(6)?,
            inputs_sha256: row.sha256(7)?,
            sealed_sha256: row.sha256(8)?,
            per_day: row.unsigned(9)?,
            opens_ms: row.int(10)?,
            final_opens_ms: row.int(11)?,
            closes_ms: row.int(12)?,
        },
        created_ms: row.int(13)?,
        closed_ms: row.optional_int(14)?,
    })
}

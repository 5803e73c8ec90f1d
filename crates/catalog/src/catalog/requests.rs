//! Who asks for access, how far is each request, and what was decided?

use affectory_again::again;
use affectory_core::{AccountId, ReleaseId, RequestId, Sha256Hex};

use super::audit::{Entry, append};
use super::grants;
use super::letters::queue;
use crate::database::{Row, Value, Work};
use crate::people::Account;
use crate::portal::{Applicant, NewLetter, NewRequest, NoteRow, RequestChange, RequestRow, RequestState, Student};
use crate::{Catalog, CatalogError};

/// The columns of [`request_row`].
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select access_request.id, release_id, release.name, state, account_id, access_request.name, email, position,
                    institution, orcid, web_page, purpose, student_name, student_email, agreement_number,
                    agreement_sha256, signed_sha256, signed_report, access_request.created_ms, submitted_ms,
                    decided_ms, decided_by, reason
             from access_request join release on release.id = release_id ",
            $rest
        )
    };
}

/// Who acts before anybody has an account.
const OUTSIDE: &str = "somebody outside";

#[again]
impl Catalog {
    /// Records a request and the letter with the link that confirms its address.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn insert_request(
        &self,
        new: &NewRequest,
        letters: &[NewLetter],
        now_ms: i64,
    ) -> Result<RequestId, CatalogError> {
        let failed = || CatalogError::database("record a request");
        let mut work = self.database.write().await.map_err(failed())?;
        let Applicant { name, email, position, institution, orcid, web_page, purpose } = &new.applicant;
        let mut values: Vec<Value> = vec![new.release_id.0.into()];
        values.extend([name, email, position, institution, orcid, web_page, purpose].map(|text| text.as_str().into()));
        values.push(Value::Text(new.student.as_ref().map(|student| student.name.clone())));
        values.push(Value::Text(new.student.as_ref().map(|student| student.email.clone())));
        values.extend([new.link.sha256.as_str().into(), new.link.expires_ms.into(), now_ms.into()]);
        let rows = work
            .fetch(
                "insert into access_request (release_id, state, name, email, position, institution, orcid, web_page,
                    purpose, student_name, student_email, token_sha256, token_expires_ms, created_ms)
                 values ($1, 'unconfirmed', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) returning id",
                values,
            )
            .await
            .map_err(failed())?;
        let id = rows
            .first()
            .map_or_else(|| Err(CatalogError::Corrupt("a request without a row".into())), |row| row.int(0))?;
        queue(&mut work, letters, now_ms).await?;
        audit(&mut work, OUTSIDE, "ask for access", RequestId(id), "", now_ms).await?;
        work.commit().await.map_err(failed())?;
        Ok(RequestId(id))
    }

    /// The request that a mailed link opens, if it still does.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_request_by_link(
        &self,
        word: &Sha256Hex,
        now_ms: i64,
    ) -> Result<Option<RequestRow>, CatalogError> {
        let values = vec![word.as_str().into(), now_ms.into()];
        let found = self.requests(select!("where token_sha256 = $1 and token_expires_ms > $2"), values).await?;
        Ok(found.into_iter().next())
    }

    /// One request.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_request(&self, id: RequestId) -> Result<Option<RequestRow>, CatalogError> {
        Ok(self.requests(select!("where access_request.id = $1"), vec![id.0.into()]).await?.into_iter().next())
    }

    /// An account's requests, newest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_own_requests(&self, account: AccountId) -> Result<Vec<RequestRow>, CatalogError> {
        self.requests(select!("where account_id = $1 order by access_request.id desc"), vec![account.0.into()]).await
    }

    /// Requests in a state, those that wait longest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_requests(&self, state: RequestState) -> Result<Vec<RequestRow>, CatalogError> {
        let values = vec![state.name().into()];
        self.requests(
            select!("where state = $1 order by coalesce(submitted_ms, access_request.created_ms), access_request.id"),
            values,
        )
        .await
    }

    /// Other requests by the same address, name, ORCID iD or institution's domain: what a reviewer should know of.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_related_requests(&self, request: &RequestRow) -> Result<Vec<RequestRow>, CatalogError> {
        let applicant = &request.applicant;
        let domain = applicant.email.split_once('@').map_or("", |(_, domain)| domain);
        // Said by length and place, not by `like`: an address may hold its wildcards.
        self.requests(
            select!(
                "where access_request.id <> $1
                   and (email = $2 or lower(access_request.name) = lower($3) or (orcid <> '' and orcid = $4)
                        or substr(email, length(email) - length($5)) = '@' || $5)
                 order by access_request.id desc limit 50"
            ),
            vec![
                request.id.0.into(),
                applicant.email.as_str().into(),
                applicant.name.as_str().into(),
                applicant.orcid.as_str().into(),
                domain.into(),
            ],
        )
        .await
    }

    async fn requests(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<RequestRow>, CatalogError> {
        let failed = || CatalogError::database("read requests");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work.fetch(sql, values.clone()).await.map_err(failed())?;
        rows.iter().map(request_row).collect()
    }

    /// Changes a request, its letters and the audit entry with it. False where its state does not allow that, also
    /// because somebody else was faster: nothing is changed then.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn change_request(
        &self,
        id: RequestId,
        change: &RequestChange<'_>,
        actor: Option<&Account>,
        letters: &[NewLetter],
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let failed = || CatalogError::database("change a request");
        let mut work = self.database.write().await.map_err(failed())?;
        let (request, by) = (Value::from(id.0), Value::from(actor.map(|account| account.id.0)));
        let (sql, mut values, action) = match change {
            RequestChange::ToSupervisor(link) => (
                "update access_request set state = 'with-supervisor', token_sha256 = $2, token_expires_ms = $3
                 where id = $1 and state = 'unconfirmed' and student_email is not null",
                vec![link.sha256.as_str().into(), link.expires_ms.into()],
                "confirm a student's request",
            ),
            RequestChange::Own { account, applicant, number, agreement } => {
                let Applicant { name, email, position, institution, orcid, web_page, purpose } = applicant;
                let mut values: Vec<Value> = vec![account.0.into()];
                let texts = [name, email, position, institution, orcid, web_page, purpose];
                values.extend(texts.map(|text| text.as_str().into()));
                values.extend([(*number).into(), agreement.as_str().into()]);
                (
                    "update access_request set state = 'agreement', token_sha256 = null, token_expires_ms = null,
                        account_id = $2, name = $3, email = $4, position = $5, institution = $6, orcid = $7,
                        web_page = $8, purpose = $9, agreement_number = $10, agreement_sha256 = $11
                     where id = $1 and (state = 'with-supervisor' or state = 'unconfirmed' and student_email is null)",
                    values,
                    "own a request",
                )
            }
            RequestChange::Submit { signed, report } => (
                "update access_request set state = 'submitted', signed_sha256 = $2, signed_report = $3,
                    submitted_ms = $4, reminded_ms = null
                 where id = $1 and state in ('agreement', 'asked-back', 'submitted')",
                vec![signed.as_str().into(), (*report).into(), now_ms.into()],
                "hand in a signed agreement",
            ),
            RequestChange::Answer(_) => (
                "update access_request set state = 'submitted', submitted_ms = $2, reminded_ms = null
                 where id = $1 and state = 'asked-back' and signed_sha256 is not null",
                vec![now_ms.into()],
                "answer a reviewer",
            ),
            RequestChange::AskBack(_) => (
                "update access_request set state = 'asked-back' where id = $1 and state = 'submitted'",
                vec![],
                "ask back",
            ),
            RequestChange::Refuse(reason) => (
                "update access_request set state = 'refused', reason = $2, decided_ms = $3, decided_by = $4
                 where id = $1 and state in ('submitted', 'asked-back')",
                vec![(*reason).into(), now_ms.into(), by],
                "refuse a request",
            ),
            RequestChange::Grant { .. } => (
                "update access_request set state = 'granted', decided_ms = $2, decided_by = $3
                 where id = $1 and state = 'submitted'",
                vec![now_ms.into(), by],
                "grant a request",
            ),
            RequestChange::Withdraw => (
                "update access_request set state = 'withdrawn', decided_ms = $2, token_sha256 = null,
                    token_expires_ms = null
                 where id = $1 and state in ('unconfirmed', 'with-supervisor', 'agreement', 'submitted', 'asked-back')",
                vec![now_ms.into()],
                "take a request back",
            ),
        };
        values.insert(0, request);
        if work.execute(sql, values.clone()).await.map_err(failed())? == 0 {
            return Ok(false);
        }
        if let (RequestChange::Answer(text) | RequestChange::AskBack(text), Some(account)) = (change, actor) {
            work.execute(
                "insert into request_note (access_request_id, account_id, text, created_ms) values ($1, $2, $3, $4)",
                vec![id.0.into(), account.id.0.into(), (*text).into(), now_ms.into()],
            )
            .await
            .map_err(failed())?;
        }
        if let (RequestChange::Grant { seed, expires_ms, student_link }, Some(account)) = (change, actor) {
            grants::insert(&mut work, id, seed, *expires_ms, *student_link, account, now_ms).await?;
        }
        queue(&mut work, letters, now_ms).await?;
        let who = actor.map_or_else(|| OUTSIDE.to_owned(), Account::actor);
        audit(&mut work, &who, action, id, "", now_ms).await?;
        work.commit().await.map_err(failed())?;
        Ok(true)
    }

    /// Forgets requests whose address nobody confirmed until `before_ms`: they hold names and addresses, perhaps of people who
    /// never asked.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn forget_unconfirmed(&self, before_ms: i64) -> Result<u64, CatalogError> {
        let failed = || CatalogError::database("forget unconfirmed requests");
        let mut work = self.database.write().await.map_err(failed())?;
        let sql = "delete from access_request where state = 'unconfirmed' and token_expires_ms < $1";
        let n_forgotten = work.execute(sql, vec![before_ms.into()]).await.map_err(failed())?;
        work.commit().await.map_err(failed())?;
        Ok(n_forgotten)
    }

    /// What was asked and answered about a request, oldest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_request_notes(&self, id: RequestId) -> Result<Vec<NoteRow>, CatalogError> {
        let failed = || CatalogError::database("read a request's notes");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select request_note.account_id, request_note.account_id = access_request.account_id, text,
                        request_note.created_ms
                 from request_note join access_request on access_request.id = access_request_id
                 where access_request_id = $1 order by request_note.id",
                vec![id.0.into()],
            )
            .await
            .map_err(failed())?;
        let note = |row: &Row| {
            Ok(NoteRow {
                account_id: AccountId(row.int(0)?),
                is_owner: row.boolean(1)?,
                text: row.text(2)?,
                created_ms: row.int(3)?,
            })
        };
        rows.iter().map(note).collect()
    }

    /// Objects that requests name: agreements as issued and as they came back signed.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_agreement_objects(&self) -> Result<Vec<Sha256Hex>, CatalogError> {
        let failed = || CatalogError::database("list agreements");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select agreement_sha256 from access_request where agreement_sha256 is not null
                 union select signed_sha256 from access_request where signed_sha256 is not null",
                vec![],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(|row| row.sha256(0)).collect()
    }

    /// How long the last requests waited from being handed in to the decision, ms, newest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_waiting_times(&self, limit: u32) -> Result<Vec<i64>, CatalogError> {
        let failed = || CatalogError::database("read how long requests waited");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select decided_ms - submitted_ms from access_request
                 where state in ('granted', 'refused') and submitted_ms is not null
                 order by decided_ms desc limit $1",
                vec![i64::from(limit).into()],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(|row| row.int(0)).collect()
    }

    /// Requests of which nobody has been reminded since `before_ms`, and that have waited since then; they count as
    /// reminded of now, and the letters that `write` makes of them are queued.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn remind(
        &self,
        state: RequestState,
        before_ms: i64,
        write: impl Fn(&RequestRow) -> Vec<NewLetter> + Send,
        now_ms: i64,
    ) -> Result<u64, CatalogError> {
        let failed = || CatalogError::database("remind of requests");
        let mut work = self.database.write().await.map_err(failed())?;
        let rows = work
            .fetch(
                select!(
                    "where state = $1 and coalesce(reminded_ms, submitted_ms, access_request.created_ms) < $2
                     order by access_request.id limit 100"
                ),
                vec![state.name().into(), before_ms.into()],
            )
            .await
            .map_err(failed())?;
        let mut n_reminded = 0;
        for row in &rows {
            let request = request_row(row)?;
            // Another web server may have been faster.
            let is_ours = work
                .execute(
                    "update access_request set reminded_ms = $2
                     where id = $1 and state = $3 and coalesce(reminded_ms, submitted_ms, created_ms) < $4",
                    vec![request.id.0.into(), now_ms.into(), state.name().into(), before_ms.into()],
                )
                .await
                .map_err(failed())?;
            if is_ours > 0 {
                queue(&mut work, &write(&request), now_ms).await?;
                n_reminded += 1;
            }
        }
        work.commit().await.map_err(failed())?;
        Ok(n_reminded)
    }
}

fn request_row(row: &Row) -> Result<RequestRow, CatalogError> {
    let student = match (row.optional_text(12)?, row.optional_text(13)?) {
        (Some(name), Some(email)) => Some(Student { name, email }),
        _ => None,
    };
    Ok(RequestRow {
        id: RequestId(row.int(0)?),
        release_id: ReleaseId(row.int(1)?),
        release: row.text(2)?,
        state: RequestState::stored(&row.text(3)?)?,
        account_id: row.optional_int(4)?.map(AccountId),
        applicant: Applicant {
            name: row.text(5)?,
            email: row.text(6)?,
            position: row.text(7)?,
            institution: row.text(8)?,
            orcid: row.text(9)?,
            web_page: row.text(10)?,
            purpose: row.text(11)?,
        },
        student,
        agreement_number: row.optional_text(14)?,
        agreement_sha256: row.optional_sha256(15)?,
        signed_sha256: row.optional_sha256(16)?,
        signed_report: row.optional_text(17)?,
        created_ms: row.int(18)?,
        submitted_ms: row.optional_int(19)?,
        decided_ms: row.optional_int(20)?,
        decided_by: row.optional_int(21)?.map(AccountId),
        reason: row.optional_text(22)?,
    })
}

async fn audit(
    work: &mut Work,
    actor: &str,
    action: &str,
    id: RequestId,
    detail: &str,
    time_ms: i64,
) -> Result<(), CatalogError> {
    let subject = format!("request/{id}");
    append(work, &Entry { actor, action, subject: &subject, detail, time_ms }).await
}

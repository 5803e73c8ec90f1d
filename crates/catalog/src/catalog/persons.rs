//! What is known of one person, and how is it forgotten where the law asks? The audit log names people by their account's
//! number only, so it stays as it is, and fits.

use affectory_again::again;
use affectory_core::{AccountId, Sha256Hex};
use serde_json::{Map, Value as Json, json};

use super::audit::{COMMAND_LINE, Entry, append};
use crate::database::{Row, Value, Work};
use crate::{Catalog, CatalogError};

/// What is left where a name or an address stood.
const ERASED: &str = "erased";

/// A table of what is known: its name, its columns, and the statement that finds rows by address ($1) or account ($2).
type Known = (&'static str, &'static [&'static str], &'static str);

/// Secrets are left out: they are of no use to the person, and of some to whoever steals the file.
const KNOWN: [Known; 12] = [
    (
        "account",
        &["email", "name", "role", "language", "created_ms", "disabled_ms"],
        "select email, name, role, language, cast(created_ms as text), cast(disabled_ms as text) from account
         where id = $2 or email = $1",
    ),
    (
        "invitations",
        &["email", "role", "created_ms", "used_ms"],
        "select email, role, cast(created_ms as text), cast(used_ms as text) from invitation where email = $1 or $2 = -2",
    ),
    (
        "requests",
        &["state", "name", "email", "position", "institution", "orcid", "web_page", "purpose", "student_name", "student_email",
          "agreement_number", "agreement_sha256", "signed_sha256", "signed_report", "created_ms", "reason"],
        "select state, name, email, position, institution, orcid, web_page, purpose, student_name, student_email,
                agreement_number, agreement_sha256, signed_sha256, signed_report, cast(created_ms as text), reason
         from access_request where account_id = $2 or email = $1 or student_email = $1 order by id",
    ),
    (
        "notes",
        &["text", "created_ms"],
        "select text, cast(created_ms as text) from request_note where (account_id = $2 or $1 = '')
         and account_id = $2 order by id",
    ),
    (
        "grants",
        &["release", "granted_ms", "expires_ms", "revoked_ms", "revoke_reason"],
        "select release.name, cast(granted_ms as text), cast(expires_ms as text), cast(revoked_ms as text), revoke_reason
         from access_grant join release on release.id = release_id
         where account_id = $2 and $1 is not null order by access_grant.id",
    ),
    (
        "memberships",
        &["name", "email", "invited_ms", "accepted_ms", "removed_ms"],
        "select name, email, cast(invited_ms as text), cast(accepted_ms as text), cast(removed_ms as text) from grant_member
         where account_id = $2 or email = $1 order by id",
    ),
    (
        "tokens",
        &["name", "created_ms", "expires_ms", "last_used_ms"],
        "select name, cast(created_ms as text), cast(expires_ms as text), cast(last_used_ms as text) from access_token
         where account_id = $2 and $1 is not null order by id",
    ),
    (
        "downloads",
        &["file", "first_byte", "n_bytes", "sent_bytes", "started_ms"],
        "select file, cast(first_byte as text), cast(n_bytes as text), cast(sent_bytes as text), cast(started_ms as text)
         from download where account_id = $2 and $1 is not null order by id",
    ),
    (
        "letters",
        &["recipient", "subject", "body", "created_ms", "sent_ms"],
        "select recipient, subject, body, cast(created_ms as text), cast(sent_ms as text) from letter
         where recipient = $1 or $2 = -2 order by id",
    ),
    (
        "withdrawals",
        &["email", "picture", "reason", "created_ms", "answer"],
        "select email, picture, reason, cast(created_ms as text), answer from withdrawal_request
         where email = $1 or $2 = -2 order by id",
    ),
    (
        "teams",
        &["challenge", "team", "joined_ms", "left_ms"],
        "select challenge.name, team.name, cast(joined_ms as text), cast(left_ms as text) from team_member
         join team on team.id = team_id join challenge on challenge.id = team_member.challenge_id
         where account_id = $2 and $1 is not null order by joined_ms",
    ),
    (
        "submissions",
        &["file_name", "sha256", "state", "submitted_ms"],
        "select file_name, sha256, state, cast(submitted_ms as text) from submission
         where account_id = $2 and $1 is not null order by id",
    ),
];

/// Why nobody was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotErased {
    /// Nothing is known of that address.
    Unknown,
    /// A grant is open: it is revoked first, so that the copies are accounted for.
    HasAccess,
    /// They are the last administrator.
    LastAdministrator,
}

#[again]
impl Catalog {
    /// Everything the catalogue knows of whoever has an address, as one document; the answers they gave as an annotator are
    /// in the annotations' export under the name it has here.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn export_person(&self, email: &str) -> Result<Json, CatalogError> {
        let failed = || CatalogError::database("read what is known of a person");
        let mut work = self.database.read().await.map_err(failed())?;
        let (account, annotator) = account_of(&mut work, email).await?;
        let mut document = Map::new();
        document.insert("email".into(), email.into());
        document.insert("annotator".into(), annotator.into());
        for (name, columns, sql) in KNOWN {
            let rows = work.fetch(sql, vec![email.into(), account.into()]).await.map_err(failed())?;
            let entry = |row: &Row| {
                let column = |(n, name): (usize, &&str)| Ok(((*name).to_owned(), Json::from(row.optional_text(n)?)));
                columns.iter().enumerate().map(column).collect::<Result<Map<_, _>, CatalogError>>().map(Json::from)
            };
            let rows = rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
            document.insert(name.into(), rows.into());
        }
        let subject = format!("account/{account}");
        let sql =
            "select action, subject, cast(time_ms as text) from audit where actor = $1 or subject = $1 order by id";
        let rows = work.fetch(sql, vec![subject.as_str().into()]).await.map_err(failed())?;
        let act = |row: &Row| Ok(json!({ "action": row.text(0)?, "subject": row.text(1)?, "time_ms": row.text(2)? }));
        document.insert("audit".into(), rows.iter().map(act).collect::<Result<Vec<_>, CatalogError>>()?.into());
        Ok(document.into())
    }

    /// Forgets whoever has an address: names, addresses and texts go, and the hashes of signed agreements are given back for
    /// the store to drop. What remains says that somebody was there: grants and downloads by number, answers under the
    /// annotator's name, which says nothing of the person.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn erase_person(
        &self,
        email: &str,
        now_ms: i64,
    ) -> Result<Result<Vec<Sha256Hex>, NotErased>, CatalogError> {
        let failed = || CatalogError::database("forget a person");
        let mut work = self.database.write().await.map_err(failed())?;
        let (account, _) = account_of(&mut work, email).await?;
        let values = || vec![Value::from(email), Value::from(account)];
        let asks = [
            (
                "select 1 from access_grant where account_id = $2 and $1 is not null and revoked_ms is null
                   and expires_ms > $3",
                NotErased::HasAccess,
            ),
            (
                "select 1 from account where id = $2 and $1 is not null and role = 'administrator' and $3 > 0
                   and (select count(*) from account where role = 'administrator' and disabled_ms is null) = 1",
                NotErased::LastAdministrator,
            ),
        ];
        for (sql, why) in asks {
            let mut values = values();
            values.push(now_ms.into());
            if !work.fetch(sql, values).await.map_err(failed())?.is_empty() {
                return Ok(Err(why));
            }
        }
        let rows = work
            .fetch(
                "select agreement_sha256, signed_sha256 from access_request where account_id = $2 or email = $1",
                values(),
            )
            .await
            .map_err(failed())?;
        let mut objects = Vec::new();
        for row in &rows {
            objects.extend([row.optional_sha256(0)?, row.optional_sha256(1)?].into_iter().flatten());
        }
        let gone = format!("{ERASED}-{account}@invalid");
        let mut n_changed = 0;
        for sql in [
            "update account set email = $3, name = 'erased', password_hash = null, disabled_ms = coalesce(disabled_ms, $4)
             where id = $2 or email = $1",
            "delete from session where account_id = $2 and $1 <> $3 and $4 > 0",
            "update access_token set name = 'erased', revoked_ms = coalesce(revoked_ms, $4)
             where account_id = $2 and $1 <> $3",
            "update invitation set email = $3, used_ms = coalesce(used_ms, $4) where email = $1 and $2 > -2",
            "update access_request set name = 'erased', email = $3, position = '', institution = '', orcid = '',
                web_page = '', purpose = '', signed_report = null, reason = null, token_sha256 = null,
                agreement_sha256 = null, signed_sha256 = null,
                state = case when state in ('granted', 'refused') then state else 'withdrawn' end,
                decided_ms = coalesce(decided_ms, $4)
             where account_id = $2 or email = $1",
            "update access_request set student_name = 'erased', student_email = $3
             where student_email = $1 and $2 > -2 and $4 > 0",
            "update request_note set text = 'erased' where account_id = $2 and $1 <> $3 and $4 > 0",
            "update grant_member set name = 'erased', email = $3, token_sha256 = null, removed_ms = coalesce(removed_ms, $4)
             where account_id = $2 or email = $1",
            "update team_member set left_ms = coalesce(left_ms, $4) where account_id = $2 and $1 <> $3",
            "update submission set file_name = 'erased', problems = '[]' where account_id = $2 and $1 <> $3 and $4 > 0",
            "delete from letter where recipient = $1 and $2 > -2 and $3 <> $1 and $4 > 0",
            "update withdrawal_request set email = $3, reason = '' where email = $1 and $2 > -2 and $4 > 0",
        ] {
            let mut values = values();
            values.extend([gone.as_str().into(), now_ms.into()]);
            n_changed += work.execute(sql, values).await.map_err(failed())?;
        }
        if n_changed == 0 {
            return Ok(Err(NotErased::Unknown));
        }
        let subject = if account > 0 { format!("account/{account}") } else { "somebody outside".to_owned() };
        let entry =
            Entry { actor: COMMAND_LINE, action: "erase a person", subject: &subject, detail: "", time_ms: now_ms };
        append(&mut work, &entry).await?;
        work.commit().await.map_err(failed())?;
        Ok(Ok(objects))
    }
}

/// The account of an address with the name it annotates under; -1 and nothing where there is none.
async fn account_of(work: &mut Work, email: &str) -> Result<(i64, Option<String>), CatalogError> {
    let rows = work
        .fetch(
            "select account.id, annotator.name from account left join annotator on annotator.id = annotator_id
             where email = $1",
            vec![email.into()],
        )
        .await
        .map_err(CatalogError::database("look for an account"))?;
    let found =
        rows.first().map(|row| Ok::<_, CatalogError>((AccountId(row.int(0)?), row.optional_text(1)?))).transpose()?;
    Ok(found.map_or((-1, None), |(id, name)| (id.0, name)))
}

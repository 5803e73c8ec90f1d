//! Who has an account, who is invited, and who is signed in?

use affectory_again::again;
use affectory_core::{AccountId, AnnotatorId, Sha256Hex};

use super::audit::{COMMAND_LINE, Entry, append};
use crate::database::{Row, Turn, Work};
use crate::people::{Account, AccountChange, Invitation, NewAccount, Role};
use crate::{Catalog, CatalogError};

#[again]
impl Catalog {
    /// Number of accounts: 0 at the first start of a server.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_accounts(&self) -> Result<u64, CatalogError> {
        let failed = || CatalogError::database("count accounts");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work.fetch("select count(*) from account", vec![]).await.map_err(failed())?;
        rows.first().map_or(Ok(0), |row| row.count(0))
    }

    /// Makes an account with an annotator of its own.
    ///
    /// # Errors
    /// [`CatalogError::AccountExists`] or [`CatalogError::Database`].
    pub async fn insert_account(
        &self,
        new: &NewAccount<'_>,
        actor: &str,
        now_ms: i64,
    ) -> Result<Account, CatalogError> {
        let failed = || CatalogError::database("make an account");
        let mut work = self.database.write().await.map_err(failed())?;
        let account = insert(&mut work, new, actor, now_ms).await?;
        work.commit().await.map_err(failed())?;
        Ok(account)
    }

    /// Invites somebody; the letter is the caller's business.
    ///
    /// # Errors
    /// [`CatalogError::AccountExists`] or [`CatalogError::Database`].
    pub async fn insert_invitation(
        &self,
        new: &Invitation,
        invited_by: Option<&Account>,
        now_ms: i64,
    ) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("invite somebody");
        let mut work = self.database.write().await.map_err(failed())?;
        refuse_known(&mut work, &new.email).await?;
        work.execute(
            "insert into invitation (token_sha256, email, role, language, invited_by, created_ms, expires_ms)
             values ($1, $2, $3, $4, $5, $6, $7)",
            vec![
                new.token_sha256.as_str().into(),
                new.email.as_str().into(),
                new.role.name().into(),
                new.language.as_str().into(),
                invited_by.map(|account| account.id.0).into(),
                now_ms.into(),
                new.expires_ms.into(),
            ],
        )
        .await
        .map_err(failed())?;
        let actor = invited_by.map_or_else(|| COMMAND_LINE.to_owned(), Account::actor);
        let entry = Entry { actor: &actor, action: "invite", subject: new.role.name(), detail: "", time_ms: now_ms };
        append(&mut work, &entry).await?;
        work.commit().await.map_err(failed())
    }

    /// The invitation with that token, if it can still be used.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_invitation(&self, token: &Sha256Hex, now_ms: i64) -> Result<Option<Invitation>, CatalogError> {
        let mut work = self.database.read().await.map_err(CatalogError::database("read an invitation"))?;
        invitation(&mut work, token, now_ms).await
    }

    /// Turns an invitation into an account; `None` where it is used up, expired or unknown. Of two at once one succeeds.
    ///
    /// # Errors
    /// [`CatalogError::AccountExists`] or [`CatalogError::Database`].
    pub async fn accept_invitation(
        &self,
        token: &Sha256Hex,
        name: &str,
        password_hash: &str,
        now_ms: i64,
    ) -> Result<Option<Account>, CatalogError> {
        let failed = || CatalogError::database("accept an invitation");
        let mut work = self.database.write().await.map_err(failed())?;
        let Some(found) = invitation(&mut work, token, now_ms).await? else { return Ok(None) };
        let used = work
            .execute(
                "update invitation set used_ms = $1 where token_sha256 = $2 and used_ms is null",
                vec![now_ms.into(), token.as_str().into()],
            )
            .await
            .map_err(failed())?;
        if used == 0 {
            return Ok(None);
        }
        let new = NewAccount { email: &found.email, name, role: found.role, language: &found.language, password_hash };
        let account = insert(&mut work, &new, "invitation", now_ms).await?;
        work.commit().await.map_err(failed())?;
        Ok(Some(account))
    }

    /// The account of that address with its password's hash, disabled ones included.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_login(&self, email: &str) -> Result<Option<(Account, String)>, CatalogError> {
        let failed = || CatalogError::database("look for an account");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select id, email, name, role, annotator_id, language, created_ms, disabled_ms, qualified_ms,
                        coalesce(password_hash, '')
                 from account where email = $1",
                vec![email.into()],
            )
            .await
            .map_err(failed())?;
        rows.first().map(|row| Ok((account_row(row)?, row.text(9)?))).transpose()
    }

    /// All accounts, oldest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_accounts(&self) -> Result<Vec<Account>, CatalogError> {
        let failed = || CatalogError::database("list accounts");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select id, email, name, role, annotator_id, language, created_ms, disabled_ms, qualified_ms
                 from account order by id",
                vec![],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(account_row).collect()
    }

    /// Changes an account. Whoever may no longer what they could is signed out everywhere. The last administrator stays
    /// one: false then, or where there is no such account.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn change_account(
        &self,
        id: AccountId,
        change: AccountChange<'_>,
        actor: &str,
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let failed = || CatalogError::database("change an account");
        let mut work = self.database.write().await.map_err(failed())?;
        // Taken before administrators are counted: of two who take each other's role away one is the last, and stays.
        work.take_turn(Turn::Audit).await.map_err(failed())?;
        let (sql, value, action, detail) = match change {
            AccountChange::Role(role) => {
                ("update account set role = $2 where id = $1", role.name().into(), "change-role", role.name())
            }
            AccountChange::Disabled(true) => {
                ("update account set disabled_ms = $2 where id = $1", now_ms.into(), "disable", "")
            }
            AccountChange::Disabled(false) => {
                ("update account set disabled_ms = $2 where id = $1", None::<i64>.into(), "enable", "")
            }
            AccountChange::Password(hash) => {
                ("update account set password_hash = $2 where id = $1", hash.into(), "change-password", "")
            }
            AccountChange::Language(code) => {
                ("update account set language = $2 where id = $1", code.into(), "change-language", code)
            }
        };
        let changed = work.execute(sql, vec![id.0.into(), value]).await.map_err(failed())?;
        let rows = work
            .fetch("select count(*) from account where role = 'administrator' and disabled_ms is null", vec![])
            .await
            .map_err(failed())?;
        // Dropped without a commit, the change is undone.
        if changed == 0 || rows.first().map_or(Ok(0), |row| row.int(0))? == 0 {
            return Ok(false);
        }
        if !matches!(change, AccountChange::Language(_) | AccountChange::Disabled(false)) {
            work.execute("delete from session where account_id = $1", vec![id.0.into()]).await.map_err(failed())?;
        }
        let subject = format!("account/{id}");
        append(&mut work, &Entry { actor, action, subject: &subject, detail, time_ms: now_ms }).await?;
        work.commit().await.map_err(failed())?;
        Ok(true)
    }

    /// Signs an account in under a token that the server keeps as its hash only; sessions that have ended are swept.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn open_session(
        &self,
        account: &Account,
        token: &Sha256Hex,
        expires_ms: i64,
        now_ms: i64,
    ) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("sign somebody in");
        let mut work = self.database.write().await.map_err(failed())?;
        work.execute("delete from session where expires_ms <= $1", vec![now_ms.into()]).await.map_err(failed())?;
        work.execute(
            "insert into session (token_sha256, account_id, created_ms, expires_ms) values ($1, $2, $3, $4)",
            vec![token.as_str().into(), account.id.0.into(), now_ms.into(), expires_ms.into()],
        )
        .await
        .map_err(failed())?;
        let actor = account.actor();
        append(&mut work, &Entry { actor: &actor, action: "sign-in", subject: &actor, detail: "", time_ms: now_ms })
            .await?;
        work.commit().await.map_err(failed())
    }

    /// Whose session that is, if it has not ended and they may still sign in.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_session(&self, token: &Sha256Hex, now_ms: i64) -> Result<Option<Account>, CatalogError> {
        let failed = || CatalogError::database("read a session");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select account.id, email, name, role, annotator_id, language, account.created_ms, disabled_ms,
                        qualified_ms
                 from session join account on account.id = account_id
                 where token_sha256 = $1 and expires_ms > $2 and disabled_ms is null",
                vec![token.as_str().into(), now_ms.into()],
            )
            .await
            .map_err(failed())?;
        rows.first().map(account_row).transpose()
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn close_session(&self, token: &Sha256Hex, actor: &str, now_ms: i64) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("sign somebody out");
        let mut work = self.database.write().await.map_err(failed())?;
        let ended = work
            .execute("delete from session where token_sha256 = $1", vec![token.as_str().into()])
            .await
            .map_err(failed())?;
        if ended > 0 {
            let entry = Entry { actor, action: "sign-out", subject: actor, detail: "", time_ms: now_ms };
            append(&mut work, &entry).await?;
        }
        work.commit().await.map_err(failed())
    }
}

async fn insert(work: &mut Work, new: &NewAccount<'_>, actor: &str, now_ms: i64) -> Result<Account, CatalogError> {
    let failed = || CatalogError::database("make an account");
    refuse_known(work, new.email).await?;
    let rows = work
        .fetch(
            "insert into account (email, name, role, language, password_hash, created_ms)
             values ($1, $2, $3, $4, $5, $6) returning id",
            vec![
                new.email.into(),
                new.name.into(),
                new.role.name().into(),
                new.language.into(),
                new.password_hash.into(),
                now_ms.into(),
            ],
        )
        .await
        .map_err(failed())?;
    let id = rows.first().ok_or_else(|| CatalogError::Corrupt("an account without a row".into()))?.int(0)?;
    // The name says nothing of the person: it goes into exports and papers. Somebody of another project, whose log was
    // imported here, may have it already.
    let mut made = Vec::new();
    let mut n_taken = 0;
    while made.is_empty() {
        let name = if n_taken == 0 { format!("person/{id:04}") } else { format!("person/{id:04}-{}", n_taken + 1) };
        made = work
            .fetch(
                "insert into annotator (name, kind) values ($1, 'person') on conflict (name) do nothing returning id",
                vec![name.as_str().into()],
            )
            .await
            .map_err(failed())?;
        n_taken += 1;
    }
    let annotator = made.first().ok_or_else(|| CatalogError::Corrupt("an annotator without a row".into()))?.int(0)?;
    work.execute("update account set annotator_id = $1 where id = $2", vec![annotator.into(), id.into()])
        .await
        .map_err(failed())?;
    let subject = format!("account/{id}");
    let entry = Entry { actor, action: "make-account", subject: &subject, detail: new.role.name(), time_ms: now_ms };
    append(work, &entry).await?;
    Ok(Account {
        id: AccountId(id),
        email: new.email.to_owned(),
        name: new.name.to_owned(),
        role: new.role,
        annotator_id: AnnotatorId(annotator),
        language: new.language.to_owned(),
        created_ms: now_ms,
        disabled_ms: None,
        qualified_ms: None,
    })
}

async fn refuse_known(work: &mut Work, email: &str) -> Result<(), CatalogError> {
    let rows = work
        .fetch("select 1 from account where email = $1", vec![email.into()])
        .await
        .map_err(CatalogError::database("look for an account"))?;
    if rows.is_empty() { Ok(()) } else { Err(CatalogError::AccountExists(email.to_owned())) }
}

async fn invitation(work: &mut Work, token: &Sha256Hex, now_ms: i64) -> Result<Option<Invitation>, CatalogError> {
    let rows = work
        .fetch(
            "select email, role, language, expires_ms from invitation
             where token_sha256 = $1 and used_ms is null and expires_ms > $2",
            vec![token.as_str().into(), now_ms.into()],
        )
        .await
        .map_err(CatalogError::database("read an invitation"))?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(Invitation {
        token_sha256: token.clone(),
        email: row.text(0)?,
        role: Role::stored(&row.text(1)?)?,
        language: row.text(2)?,
        expires_ms: row.int(3)?,
    }))
}

pub(super) fn account_row(row: &Row) -> Result<Account, CatalogError> {
    Ok(Account {
        id: AccountId(row.int(0)?),
        email: row.text(1)?,
        name: row.text(2)?,
        role: Role::stored(&row.text(3)?)?,
        annotator_id: AnnotatorId(row.int(4)?),
        language: row.text(5)?,
        created_ms: row.int(6)?,
        disabled_ms: row.optional_int(7)?,
        qualified_ms: row.optional_int(8)?,
    })
}

//! Who has access to which release, through whom, and by which tokens?

use affectory_again::again;
use affectory_core::{AccountId, GrantId, MemberId, ReleaseId, RequestId, Sha256Hex, TokenId};

use super::accounts::account_row;
use super::audit::{Entry, append};
use super::letters::queue;
use crate::database::{Row, Value, Work};
use crate::people::Account;
use crate::portal::{GrantRow, LinkWord, MemberRow, NewLetter, Student, TokenRow};
use crate::{Catalog, CatalogError};

/// That a token is in use is written down at most this often, ms: a download asks for it many times.
const USED_EVERY_MS: i64 = 5 * 60_000;

/// The columns of [`grant_row`].
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select access_grant.id, access_request_id, access_grant.account_id, access_grant.release_id, release.name,
                    account.name, account.email, access_grant.seed, granted_ms, expires_ms, renewal_asked_ms, revoked_ms,
                    revoke_reason
             from access_grant join release on release.id = access_grant.release_id
                               join account on account.id = access_grant.account_id ",
            $rest
        )
    };
}

/// Makes the grant of a request, and invites the student on whose behalf it was asked.
pub(super) async fn insert(
    work: &mut Work,
    request: RequestId,
    seed: &str,
    expires_ms: i64,
    student_link: Option<&LinkWord>,
    by: &Account,
    now_ms: i64,
) -> Result<(), CatalogError> {
    let failed = || CatalogError::database("grant a request");
    let rows = work
        .fetch(
            "insert into access_grant (access_request_id, account_id, release_id, seed, granted_ms, granted_by, expires_ms)
             select id, account_id, release_id, $2, $3, $4, $5 from access_request where id = $1 returning id",
            vec![request.0.into(), seed.into(), now_ms.into(), by.id.0.into(), expires_ms.into()],
        )
        .await
        .map_err(failed())?;
    let Some(row) = rows.first() else { return Err(CatalogError::Corrupt("a grant without a request".into())) };
    let Some(link) = student_link else { return Ok(()) };
    work.execute(
        "insert into grant_member (access_grant_id, name, email, token_sha256, token_expires_ms, invited_ms)
         select $2, student_name, student_email, $3, $4, $5 from access_request
         where id = $1 and student_email is not null",
        vec![request.0.into(), row.int(0)?.into(), link.sha256.as_str().into(), link.expires_ms.into(), now_ms.into()],
    )
    .await
    .map_err(failed())?;
    Ok(())
}

#[again]
impl Catalog {
    /// All grants, newest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_grants(&self) -> Result<Vec<GrantRow>, CatalogError> {
        self.grants(select!("order by access_grant.id desc"), vec![]).await
    }

    /// One grant.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_grant(&self, id: GrantId) -> Result<Option<GrantRow>, CatalogError> {
        Ok(self.grants(select!("where access_grant.id = $1"), vec![id.0.into()]).await?.into_iter().next())
    }

    /// Grants that an account owns or is a member of, ended ones included, newest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_own_grants(&self, account: AccountId) -> Result<Vec<GrantRow>, CatalogError> {
        self.grants(
            select!(
                "where access_grant.account_id = $1 or access_grant.id in (
                    select access_grant_id from grant_member where account_id = $1 and removed_ms is null)
                 order by access_grant.id desc"
            ),
            vec![account.0.into()],
        )
        .await
    }

    /// The grant if an account may download under it now: as its owner, or as a member who accepted and is still one.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_open_grant(
        &self,
        id: GrantId,
        account: AccountId,
        now_ms: i64,
    ) -> Result<Option<GrantRow>, CatalogError> {
        let found = self
            .grants(
                select!(
                    "where access_grant.id = $1 and revoked_ms is null and expires_ms > $3
                       and account.disabled_ms is null
                       and (access_grant.account_id = $2 or exists (
                            select 1 from grant_member join account as member on member.id = grant_member.account_id
                            where access_grant_id = $1 and grant_member.account_id = $2 and removed_ms is null
                              and accepted_ms is not null and member.disabled_ms is null))"
                ),
                vec![id.0.into(), account.0.into(), now_ms.into()],
            )
            .await?;
        Ok(found.into_iter().next())
    }

    async fn grants(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<GrantRow>, CatalogError> {
        let failed = || CatalogError::database("read grants");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work.fetch(sql, values.clone()).await.map_err(failed())?;
        rows.iter().map(grant_row).collect()
    }

    /// Ends a grant at once; false where it had ended so before.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn revoke_grant(
        &self,
        id: GrantId,
        reason: &str,
        by: &Account,
        letters: &[NewLetter],
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let sql = "update access_grant set revoked_ms = $2, revoked_by = $3, revoke_reason = $4
                   where id = $1 and revoked_ms is null";
        let values = vec![id.0.into(), now_ms.into(), by.id.0.into(), reason.into()];
        self.change_grant(sql, values, (id, "revoke a grant"), by, letters, now_ms).await
    }

    /// A grant's owner asks for more time; false where it is asked for already or the grant was revoked.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn ask_renewal(
        &self,
        id: GrantId,
        owner: &Account,
        letters: &[NewLetter],
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let sql = "update access_grant set renewal_asked_ms = $2
                   where id = $1 and account_id = $3 and revoked_ms is null and renewal_asked_ms is null";
        let values = vec![id.0.into(), now_ms.into(), owner.id.0.into()];
        self.change_grant(sql, values, (id, "ask for renewal"), owner, letters, now_ms).await
    }

    /// Gives a grant more time; false where it was revoked.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn renew_grant(
        &self,
        id: GrantId,
        expires_ms: i64,
        by: &Account,
        letters: &[NewLetter],
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let sql =
            "update access_grant set expires_ms = $2, renewal_asked_ms = null where id = $1 and revoked_ms is null";
        self.change_grant(sql, vec![id.0.into(), expires_ms.into()], (id, "renew a grant"), by, letters, now_ms).await
    }

    async fn change_grant(
        &self,
        sql: &'static str,
        values: Vec<Value>,
        (id, action): (GrantId, &'static str),
        by: &Account,
        letters: &[NewLetter],
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let failed = || CatalogError::database("change a grant");
        let mut work = self.database.write().await.map_err(failed())?;
        if work.execute(sql, values.clone()).await.map_err(failed())? == 0 {
            return Ok(false);
        }
        queue(&mut work, letters, now_ms).await?;
        audit(&mut work, by, action, &format!("grant/{id}"), now_ms).await?;
        work.commit().await.map_err(failed())?;
        Ok(true)
    }

    /// Members of a grant, those removed included, oldest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_grant_members(&self, grant: GrantId) -> Result<Vec<MemberRow>, CatalogError> {
        let failed = || CatalogError::database("read a grant's members");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select id, access_grant_id, name, email, account_id, invited_ms, accepted_ms, removed_ms
                 from grant_member where access_grant_id = $1 order by id",
                vec![grant.0.into()],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(member_row).collect()
    }

    /// A grant's owner names somebody, who gets a link; false where they are named already.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn invite_member(
        &self,
        grant: GrantId,
        person: &Student,
        link: &LinkWord,
        owner: &Account,
        letters: &[NewLetter],
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let sql = "insert into grant_member (access_grant_id, name, email, token_sha256, token_expires_ms, invited_ms)
                   select $1, $2, $3, $4, $5, $6 where not exists (
                       select 1 from grant_member where access_grant_id = $1 and email = $3 and removed_ms is null)";
        let values = vec![
            grant.0.into(),
            person.name.as_str().into(),
            person.email.as_str().into(),
            link.sha256.as_str().into(),
            link.expires_ms.into(),
            now_ms.into(),
        ];
        self.change_grant(sql, values, (grant, "name a member"), owner, letters, now_ms).await
    }

    /// A grant's owner no longer answers for somebody; false where that was so before.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn remove_member(
        &self,
        grant: GrantId,
        member: MemberId,
        owner: &Account,
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let sql = "update grant_member set removed_ms = $3, token_sha256 = null
                   where access_grant_id = $1 and id = $2 and removed_ms is null";
        let values = vec![grant.0.into(), member.0.into(), now_ms.into()];
        self.change_grant(sql, values, (grant, "remove a member"), owner, &[], now_ms).await
    }

    /// The invitation that a mailed link opens, with its grant, if both still hold.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_member_by_link(
        &self,
        word: &Sha256Hex,
        now_ms: i64,
    ) -> Result<Option<(MemberRow, GrantRow)>, CatalogError> {
        let failed = || CatalogError::database("read an invitation");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select id, access_grant_id, name, email, account_id, invited_ms, accepted_ms, removed_ms
                 from grant_member where token_sha256 = $1 and token_expires_ms > $2 and removed_ms is null",
                vec![word.as_str().into(), now_ms.into()],
            )
            .await
            .map_err(failed())?;
        drop(work);
        let Some(member) = rows.first().map(member_row).transpose()? else { return Ok(None) };
        let grant = self.find_grant(member.grant_id).await?;
        Ok(grant.filter(|grant| grant.is_open(now_ms)).map(|grant| (member, grant)))
    }

    /// A member accepts the terms; false where the link no longer holds.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn accept_membership(
        &self,
        member: &MemberRow,
        account: &Account,
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let sql = "update grant_member set account_id = $2, accepted_ms = $3, token_sha256 = null
                   where id = $1 and accepted_ms is null and removed_ms is null and token_sha256 is not null";
        let values = vec![member.id.0.into(), account.id.0.into(), now_ms.into()];
        self.change_grant(sql, values, (member.grant_id, "accept the terms"), account, &[], now_ms).await
    }

    /// Makes a personal token.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn insert_token(
        &self,
        owner: &Account,
        name: &str,
        word: &LinkWord,
        now_ms: i64,
    ) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("make a token");
        let mut work = self.database.write().await.map_err(failed())?;
        let rows = work
            .fetch(
                "insert into access_token (account_id, name, token_sha256, created_ms, expires_ms)
                 values ($1, $2, $3, $4, $5) returning id",
                vec![
                    owner.id.0.into(),
                    name.into(),
                    word.sha256.as_str().into(),
                    now_ms.into(),
                    word.expires_ms.into(),
                ],
            )
            .await
            .map_err(failed())?;
        let id = rows.first().map_or(Ok(0), |row| row.int(0))?;
        audit(&mut work, owner, "make a token", &format!("token/{id}"), now_ms).await?;
        work.commit().await.map_err(failed())
    }

    /// An account's tokens, newest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_tokens(&self, account: AccountId) -> Result<Vec<TokenRow>, CatalogError> {
        let failed = || CatalogError::database("read tokens");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select id, name, created_ms, expires_ms, last_used_ms, revoked_ms from access_token
                 where account_id = $1 order by id desc",
                vec![account.0.into()],
            )
            .await
            .map_err(failed())?;
        let token = |row: &Row| {
            Ok(TokenRow {
                id: TokenId(row.int(0)?),
                name: row.text(1)?,
                created_ms: row.int(2)?,
                expires_ms: row.int(3)?,
                last_used_ms: row.optional_int(4)?,
                revoked_ms: row.optional_int(5)?,
            })
        };
        rows.iter().map(token).collect()
    }

    /// Ends one of an account's tokens; false where it is not theirs or had ended.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn revoke_token(&self, id: TokenId, owner: &Account, now_ms: i64) -> Result<bool, CatalogError> {
        let failed = || CatalogError::database("end a token");
        let mut work = self.database.write().await.map_err(failed())?;
        let n_changed = work
            .execute(
                "update access_token set revoked_ms = $3 where id = $1 and account_id = $2 and revoked_ms is null",
                vec![id.0.into(), owner.id.0.into(), now_ms.into()],
            )
            .await
            .map_err(failed())?;
        if n_changed == 0 {
            return Ok(false);
        }
        audit(&mut work, owner, "end a token", &format!("token/{id}"), now_ms).await?;
        work.commit().await.map_err(failed())?;
        Ok(true)
    }

    /// Whose token that is, if it holds and they may still sign in.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_token(&self, word: &Sha256Hex, now_ms: i64) -> Result<Option<Account>, CatalogError> {
        let failed = || CatalogError::database("read a token");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select account.id, email, account.name, role, annotator_id, language, account.created_ms, disabled_ms,
                        qualified_ms, coalesce(last_used_ms, 0)
                 from access_token join account on account.id = account_id
                 where token_sha256 = $1 and expires_ms > $2 and revoked_ms is null and disabled_ms is null",
                vec![word.as_str().into(), now_ms.into()],
            )
            .await
            .map_err(failed())?;
        drop(work);
        let Some(row) = rows.first() else { return Ok(None) };
        let account = account_row(row)?;
        if row.int(9)? < now_ms - USED_EVERY_MS {
            let mut work = self.database.write().await.map_err(failed())?;
            let values = vec![word.as_str().into(), now_ms.into()];
            work.execute("update access_token set last_used_ms = $2 where token_sha256 = $1", values)
                .await
                .map_err(failed())?;
            work.commit().await.map_err(failed())?;
        }
        Ok(Some(account))
    }
}

fn grant_row(row: &Row) -> Result<GrantRow, CatalogError> {
    Ok(GrantRow {
        id: GrantId(row.int(0)?),
        request_id: RequestId(row.int(1)?),
        account_id: AccountId(row.int(2)?),
        release_id: ReleaseId(row.int(3)?),
        release: row.text(4)?,
        owner: Student { name: row.text(5)?, email: row.text(6)? },
        seed: row.text(7)?,
        granted_ms: row.int(8)?,
        expires_ms: row.int(9)?,
        renewal_asked_ms: row.optional_int(10)?,
        revoked_ms: row.optional_int(11)?,
        revoke_reason: row.optional_text(12)?,
    })
}

fn member_row(row: &Row) -> Result<MemberRow, CatalogError> {
    Ok(MemberRow {
        id: MemberId(row.int(0)?),
        grant_id: GrantId(row.int(1)?),
        person: Student { name: row.text(2)?, email: row.text(3)? },
        account_id: row.optional_int(4)?.map(AccountId),
        invited_ms: row.int(5)?,
        accepted_ms: row.optional_int(6)?,
        removed_ms: row.optional_int(7)?,
    })
}

async fn audit(work: &mut Work, by: &Account, action: &str, subject: &str, time_ms: i64) -> Result<(), CatalogError> {
    let actor = by.actor();
    append(work, &Entry { actor: &actor, action, subject, detail: "", time_ms }).await
}

//! Who did what and when, in a log that shows when somebody changed it?

use affectory_again::again;
use affectory_core::Sha256Hex;
use sha2::{Digest as _, Sha256};

use crate::database::{Row, Turn, Value, Work, without_nul};
use crate::people::AuditRow;
use crate::{Catalog, CatalogError};

/// What is written down of one act.
pub(super) struct Entry<'a> {
    pub(super) actor: &'a str,
    pub(super) action: &'a str,
    pub(super) subject: &'a str,
    pub(super) detail: &'a str,
    pub(super) time_ms: i64,
}

/// Who acts where no account does: the person at the command line.
pub const COMMAND_LINE: &str = "command line";

/// What the first entry has for its predecessor's hash.
const BEGINNING: &str = "";

impl Entry<'_> {
    /// SHA-256 over the previous hash and the entry. Each text is preceded by its length in bytes, so that no two
    /// entries read alike.
    fn hash(&self, previous: &str) -> Sha256Hex {
        let mut hasher = Sha256::new();
        for text in [previous, self.actor, self.action, self.subject, self.detail] {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
        hasher.update(self.time_ms.to_le_bytes());
        Sha256Hex::from_digest(&hasher.finalize().into())
    }
}

/// Adds an entry to the end of the chain, in the transaction of the act itself.
pub(super) async fn append(work: &mut Work, entry: &Entry<'_>) -> Result<(), CatalogError> {
    let failed = || CatalogError::database("write the audit log");
    work.take_turn(Turn::Audit).await.map_err(failed())?;
    let last = work.fetch("select hash from audit order by id desc limit 1", vec![]).await.map_err(failed())?;
    let previous = last.first().map_or(Ok(BEGINNING.to_owned()), |row| row.text(0))?;
    // What is hashed is what will be read.
    let [actor, action, subject, detail] = [entry.actor, entry.action, entry.subject, entry.detail].map(without_nul);
    let entry = Entry { actor: &actor, action: &action, subject: &subject, detail: &detail, time_ms: entry.time_ms };
    let hash = entry.hash(&previous);
    let values: Vec<Value> = vec![
        previous.as_str().into(),
        hash.as_str().into(),
        entry.actor.into(),
        entry.action.into(),
        entry.subject.into(),
        entry.detail.into(),
        entry.time_ms.into(),
    ];
    work.execute(
        "insert into audit (previous_hash, hash, actor, action, subject, detail, time_ms)
         values ($1, $2, $3, $4, $5, $6, $7)",
        values,
    )
    .await
    .map_err(failed())?;
    Ok(())
}

/// That this catalogue was brought here, in the transaction that brought it.
pub(crate) async fn record_move(work: &mut Work, what: &str, now_ms: i64) -> Result<(), CatalogError> {
    let action = "catalogue move";
    append(work, &Entry { actor: COMMAND_LINE, action, subject: "catalogue", detail: what, time_ms: now_ms }).await
}

#[again]
impl Catalog {
    /// Entries before `before` (`None`: from the end), newest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_audit(&self, before: Option<i64>, limit: u32) -> Result<Vec<AuditRow>, CatalogError> {
        let failed = || CatalogError::database("read the audit log");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select id, actor, action, subject, detail, time_ms from audit where id < $1 order by id desc limit $2",
                vec![before.unwrap_or(i64::MAX).into(), i64::from(limit).into()],
            )
            .await
            .map_err(failed())?;
        let entry = |row: &Row| {
            Ok(AuditRow {
                id: row.int(0)?,
                actor: row.text(1)?,
                action: row.text(2)?,
                subject: row.text(3)?,
                detail: row.text(4)?,
                time_ms: row.int(5)?,
            })
        };
        rows.iter().map(entry).collect()
    }

    /// Checks the hash chain of the audit log; says how many entries it has, or the first one that does not fit.
    ///
    /// Entries cut off the end leave a chain that fits: whoever must know that keeps the last hash elsewhere.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn verify_audit(&self) -> Result<Result<u64, i64>, CatalogError> {
        let failed = || CatalogError::database("read the audit log");
        let mut work = self.database.read().await.map_err(failed())?;
        let (mut previous, mut last_id, mut n_entries) = (BEGINNING.to_owned(), 0, 0);
        loop {
            let rows = work
                .fetch(
                    "select id, previous_hash, hash, actor, action, subject, detail, time_ms from audit
                     where id > $1 order by id limit 10000",
                    vec![Value::from(last_id)],
                )
                .await
                .map_err(failed())?;
            if rows.is_empty() {
                return Ok(Ok(n_entries));
            }
            for row in &rows {
                let (id, hash) = (row.int(0)?, row.text(2)?);
                let (actor, action, subject, detail) = (row.text(3)?, row.text(4)?, row.text(5)?, row.text(6)?);
                let entry =
                    Entry { actor: &actor, action: &action, subject: &subject, detail: &detail, time_ms: row.int(7)? };
                if row.text(1)? != previous || entry.hash(&previous).as_str() != hash {
                    return Ok(Err(id));
                }
                (previous, last_id, n_entries) = (hash, id, n_entries + 1);
            }
        }
    }
}

//! Which letters are to be sent?

use affectory_again::again;

use crate::database::{Row, Value, Work, batch};
use crate::portal::{LetterRow, NewLetter};
use crate::{Catalog, CatalogError};

/// Puts letters into the queue, in the transaction of what they tell of.
pub(super) async fn queue(work: &mut Work, letters: &[NewLetter], now_ms: i64) -> Result<(), CatalogError> {
    if letters.is_empty() {
        return Ok(());
    }
    let rows = batch(letters.iter().map(|letter| (&letter.recipient, &letter.subject, &letter.body)));
    work.execute(
        "insert into letter (recipient, subject, body, created_ms, next_attempt_ms)
         select value ->> 0, value ->> 1, value ->> 2, $2, $2 from json_each($1) as new order by key",
        vec![rows, now_ms.into()],
    )
    .await
    .map_err(CatalogError::database("queue a letter"))?;
    Ok(())
}

#[again]
impl Catalog {
    /// The oldest letter that is due, for whoever asks, who must have sent it by `until_ms`: after that it is due again. Of
    /// two who ask in the same moment one may get nothing, and the letter that it asks for later.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn claim_letter(&self, now_ms: i64, until_ms: i64) -> Result<Option<LetterRow>, CatalogError> {
        let failed = || CatalogError::database("claim a letter");
        let mut work = self.database.write().await.map_err(failed())?;
        let rows = work
            .fetch(
                // Whoever waited for the other's transaction looks at the row once more.
                "update letter set next_attempt_ms = $2
                 where id = (select id from letter where next_attempt_ms <= $1 order by id limit 1)
                     and next_attempt_ms <= $1
                 returning id, recipient, subject, body, created_ms, n_attempts, last_error, sent_ms, next_attempt_ms",
                vec![now_ms.into(), until_ms.into()],
            )
            .await
            .map_err(failed())?;
        work.commit().await.map_err(failed())?;
        rows.first().map(letter_row).transpose()
    }

    /// The newest letters, sent or not.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_letters(&self, limit: u32) -> Result<Vec<LetterRow>, CatalogError> {
        self.letters(
            "select id, recipient, subject, body, created_ms, n_attempts, last_error, sent_ms, next_attempt_ms
             from letter order by id desc limit $1",
            vec![i64::from(limit).into()],
        )
        .await
    }

    async fn letters(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<LetterRow>, CatalogError> {
        let failed = || CatalogError::database("read letters");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work.fetch(sql, values.clone()).await.map_err(failed())?;
        rows.iter().map(letter_row).collect()
    }

    /// Puts letters into the queue that tell of nothing that is recorded here.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn queue_letters(&self, letters: &[NewLetter], now_ms: i64) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("queue letters");
        let mut work = self.database.write().await.map_err(failed())?;
        queue(&mut work, letters, now_ms).await?;
        work.commit().await.map_err(failed())
    }

    /// A letter was sent: what stood in it goes, because links do.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn letter_sent(&self, id: i64, now_ms: i64) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("record that a letter was sent");
        let mut work = self.database.write().await.map_err(failed())?;
        work.execute(
            "update letter set sent_ms = $2, next_attempt_ms = null, body = '', last_error = null,
                    n_attempts = n_attempts + 1
             where id = $1",
            vec![id.into(), now_ms.into()],
        )
        .await
        .map_err(failed())?;
        work.commit().await.map_err(failed())
    }

    /// A letter was not sent; `again_ms` is when to try again, `None` to give it up.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn letter_failed(&self, id: i64, reason: &str, again_ms: Option<i64>) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("record that a letter was not sent");
        let mut work = self.database.write().await.map_err(failed())?;
        work.execute(
            "update letter set last_error = $2, next_attempt_ms = $3, n_attempts = n_attempts + 1 where id = $1",
            vec![id.into(), reason.into(), again_ms.into()],
        )
        .await
        .map_err(failed())?;
        work.commit().await.map_err(failed())
    }
}

fn letter_row(row: &Row) -> Result<LetterRow, CatalogError> {
    Ok(LetterRow {
        id: row.int(0)?,
        letter: NewLetter { recipient: row.text(1)?, subject: row.text(2)?, body: row.text(3)? },
        created_ms: row.int(4)?,
        n_attempts: row.count(5)?,
        last_error: row.optional_text(6)?,
        sent_ms: row.optional_int(7)?,
        next_attempt_ms: row.optional_int(8)?,
    })
}

//! Who asks for a picture to be taken out, and what were they answered?

use affectory_again::again;
use affectory_core::Sha256Hex;

use super::audit::{Entry, append};
use super::letters::queue;
use crate::database::Row;
use crate::people::Account;
use crate::portal::{NewLetter, WithdrawalRow};
use crate::{Catalog, CatalogError};

#[again]
impl Catalog {
    /// Records that somebody asks.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn insert_withdrawal(
        &self,
        email: &str,
        picture: &str,
        reason: &str,
        letters: &[NewLetter],
        now_ms: i64,
    ) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("record a request for withdrawal");
        let mut work = self.database.write().await.map_err(failed())?;
        work.execute(
            "insert into withdrawal_request (email, picture, reason, created_ms) values ($1, $2, $3, $4)",
            vec![email.into(), picture.into(), reason.into(), now_ms.into()],
        )
        .await
        .map_err(failed())?;
        queue(&mut work, letters, now_ms).await?;
        work.commit().await.map_err(failed())
    }

    /// All of them: those that wait first, oldest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_withdrawals(&self) -> Result<Vec<WithdrawalRow>, CatalogError> {
        let failed = || CatalogError::database("read requests for withdrawal");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select id, email, picture, reason, created_ms, decided_ms, answer from withdrawal_request
                 order by case when decided_ms is null then 0 else 1 end, id",
                vec![],
            )
            .await
            .map_err(failed())?;
        let withdrawal = |row: &Row| {
            Ok(WithdrawalRow {
                id: row.int(0)?,
                email: row.text(1)?,
                picture: row.text(2)?,
                reason: row.text(3)?,
                created_ms: row.int(4)?,
                decided_ms: row.optional_int(5)?,
                answer: row.optional_text(6)?,
            })
        };
        rows.iter().map(withdrawal).collect()
    }

    /// Answers one; false where somebody else was faster.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn answer_withdrawal(
        &self,
        id: i64,
        image: Option<&Sha256Hex>,
        answer: &str,
        by: &Account,
        letters: &[NewLetter],
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let failed = || CatalogError::database("answer a request for withdrawal");
        let mut work = self.database.write().await.map_err(failed())?;
        let n_changed = work
            .execute(
                "update withdrawal_request set decided_ms = $2, decided_by = $3, answer = $4,
                    image_id = (select id from image where sha256 = $5)
                 where id = $1 and decided_ms is null",
                vec![
                    id.into(),
                    now_ms.into(),
                    by.id.0.into(),
                    answer.into(),
                    image.map_or("", |sha256| sha256.as_str()).into(),
                ],
            )
            .await
            .map_err(failed())?;
        if n_changed == 0 {
            return Ok(false);
        }
        queue(&mut work, letters, now_ms).await?;
        let (actor, subject) = (by.actor(), format!("withdrawal/{id}"));
        let entry =
            Entry { actor: &actor, action: "answer a withdrawal", subject: &subject, detail: "", time_ms: now_ms };
        append(&mut work, &entry).await?;
        work.commit().await.map_err(failed())?;
        Ok(true)
    }
}

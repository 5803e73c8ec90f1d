//! How fast does fetching go? One row a minute, added up by all workers.

use affectory_again::again;

use crate::collection::{FetchEnd, FetchRecord, PaceRow};
use crate::database::Work;
use crate::{Catalog, CatalogError};

const MINUTE_MS: i64 = 60_000;

#[again]
impl Catalog {
    /// What was fetched in each minute from `since_ms` on in which anything was, oldest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_pace(&self, since_ms: i64) -> Result<Vec<PaceRow>, CatalogError> {
        let failed = || CatalogError::database("list what was fetched by the minute");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select minute, n_ended, n_images, n_bytes from pace where minute >= $1 order by minute",
                vec![since_ms.div_euclid(MINUTE_MS).into()],
            )
            .await
            .map_err(failed())?;
        rows.iter()
            .map(|row| {
                Ok(PaceRow {
                    start_ms: row.int(0)? * MINUTE_MS,
                    ended: row.count(1)?,
                    images: row.count(2)?,
                    size_bytes: row.count(3)?,
                })
            })
            .collect()
    }
}

/// Adds a batch of attempts to its minute.
pub(super) async fn record(work: &mut Work, records: &[FetchRecord], now_ms: i64) -> Result<(), sqlx::Error> {
    let (mut n_ended, mut n_images, mut n_bytes) = (0i64, 0i64, 0i64);
    for record in records {
        n_ended += i64::from(!matches!(record.end, FetchEnd::Again { .. }));
        if let FetchEnd::Image(image) = &record.end {
            n_images += 1;
            n_bytes = n_bytes.saturating_add_unsigned(image.size_bytes);
        }
    }
    work.execute(
        "insert into pace (minute, n_ended, n_images, n_bytes) values ($1, $2, $3, $4)
         on conflict (minute) do update set n_ended = pace.n_ended + excluded.n_ended,
             n_images = pace.n_images + excluded.n_images, n_bytes = pace.n_bytes + excluded.n_bytes",
        vec![now_ms.div_euclid(MINUTE_MS).into(), n_ended.into(), n_images.into(), n_bytes.into()],
    )
    .await
    .map(drop)
}

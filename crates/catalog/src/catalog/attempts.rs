//! How often has somebody tried, whichever web server they asked?

use affectory_again::again;
use affectory_core::Sha256Hex;

use crate::people::AttemptLimit;
use crate::{Catalog, CatalogError};

#[again]
impl Catalog {
    /// Counts one more attempt under each of the limits, in the order in which everybody gives them. Where one of them is
    /// reached none is counted, and the answer is when it ends, ms UTC.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_attempt(&self, limits: &[AttemptLimit], now_ms: i64) -> Result<Option<i64>, CatalogError> {
        let failed = || CatalogError::database("count an attempt");
        let mut work = self.database.write().await.map_err(failed())?;
        let mut ends_ms = None;
        for limit in limits {
            let rows = work
                .fetch(
                    "insert into attempt (of_sha256, n, ends_ms) values ($1, 1, $2)
                     on conflict (of_sha256) do update set
                         n = case when attempt.ends_ms > $3 then attempt.n + 1 else 1 end,
                         ends_ms = case when attempt.ends_ms > $3 then attempt.ends_ms else excluded.ends_ms end
                     returning n, ends_ms",
                    vec![limit.of.as_str().into(), (now_ms + limit.window_ms).into(), now_ms.into()],
                )
                .await
                .map_err(failed())?;
            let row = rows.first().ok_or_else(|| CatalogError::Corrupt("an attempt without a row".into()))?;
            if row.int(0)? > i64::from(limit.n) {
                ends_ms = ends_ms.max(Some(row.int(1)?));
            }
        }
        // Dropped without a commit, nothing is counted.
        if ends_ms.is_none() {
            work.commit().await.map_err(failed())?;
        }
        Ok(ends_ms)
    }

    /// An attempt succeeded: it counts no longer under `one`, and under `all` none does.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn forgive_attempts(&self, one: &Sha256Hex, all: &Sha256Hex) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("forget attempts");
        let mut work = self.database.write().await.map_err(failed())?;
        work.execute("update attempt set n = n - 1 where of_sha256 = $1 and n > 1", vec![one.as_str().into()])
            .await
            .map_err(failed())?;
        work.execute("delete from attempt where of_sha256 = $1", vec![all.as_str().into()]).await.map_err(failed())?;
        work.commit().await.map_err(failed())
    }

    /// Sweeps attempts that no longer count; says of how many accounts and addresses.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn sweep_attempts(&self, now_ms: i64) -> Result<u64, CatalogError> {
        let failed = || CatalogError::database("sweep attempts");
        let mut work = self.database.write().await.map_err(failed())?;
        let n = work.execute("delete from attempt where ends_ms <= $1", vec![now_ms.into()]).await.map_err(failed())?;
        work.commit().await.map_err(failed())?;
        Ok(n)
    }
}

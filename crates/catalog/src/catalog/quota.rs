//! May a provider be asked now? The ledger of requests, day by day, and who has refused.

use affectory_again::again;
use affectory_core::SearchId;

use super::searches::give_back;
use crate::collection::{QuotaRow, Refusal, Spending};
use crate::database::Value;
use crate::{Catalog, CatalogError};

/// A provider's day, UTC.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[again]
impl Catalog {
    /// Notes a request before it is sent, if the day's budget allows it, the provider has not refused to be asked now, and
    /// `pause_ms` have passed since it was last asked, by whatever process. A request that is then not sent stays noted: the
    /// ledger may say too much, and never too little.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn spend_quota(
        &self,
        provider: &str,
        budget: u64,
        pause_ms: u64,
        now_ms: i64,
    ) -> Result<Spending, CatalogError> {
        let failed = || CatalogError::database("note a request");
        let budget = i64::try_from(budget).unwrap_or(i64::MAX);
        if budget == 0 {
            return Ok(Spending::Spent);
        }
        let day = now_ms.div_euclid(DAY_MS);
        let next_ms = now_ms.saturating_add_unsigned(pause_ms);
        let mut work = self.database.write().await.map_err(failed())?;
        let noted = work
            .execute(
                "insert into quota (provider, day, n_requests, next_ms)
                 select $1, $2, 1, $4
                 where not exists (select 1 from refusal where provider = $1 and until_ms > $5)
                 on conflict (provider, day) do update set n_requests = quota.n_requests + 1, next_ms = excluded.next_ms
                 where quota.n_requests < $3 and quota.next_ms <= $5",
                vec![provider.into(), day.into(), budget.into(), next_ms.into(), now_ms.into()],
            )
            .await
            .map_err(failed())?;
        if noted == 1 {
            work.commit().await.map_err(failed())?;
            return Ok(Spending::Granted);
        }
        let refusals = work
            .fetch(
                "select until_ms, reason from refusal where provider = $1 and until_ms > $2",
                vec![provider.into(), now_ms.into()],
            )
            .await
            .map_err(failed())?;
        if let Some(row) = refusals.first() {
            return Ok(Spending::Refused { until_ms: row.int(0)?, reason: row.text(1)? });
        }
        let rows = work
            .fetch(
                "select n_requests, next_ms from quota where provider = $1 and day = $2",
                vec![provider.into(), day.into()],
            )
            .await
            .map_err(failed())?;
        let Some(row) = rows.first() else { return Ok(Spending::Spent) };
        if row.int(0)? >= budget { Ok(Spending::Spent) } else { Ok(Spending::Wait { until_ms: row.int(1)? }) }
    }

    /// Requests by provider and day, the newest day first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_quota(&self) -> Result<Vec<QuotaRow>, CatalogError> {
        let failed = || CatalogError::database("list requests");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch("select provider, day, n_requests from quota order by day desc, provider", vec![])
            .await
            .map_err(failed())?;
        rows.iter()
            .map(|row| Ok(QuotaRow { provider: row.text(0)?, day: row.int(1)?, requests: row.count(2)? }))
            .collect()
    }

    /// Records that a provider refused, whatever it is asked: gives the search back, due at `refusal.until_ms` or at once,
    /// and counts the refusals in a row. `refusal.refusals` is not read.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn record_refusal(
        &self,
        (search, worker): (SearchId, &str),
        refusal: &Refusal,
    ) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("record a provider's refusal");
        let mut work = self.database.write().await.map_err(failed())?;
        work.execute(
            "insert into refusal (provider, until_ms, n_refusals, reason, refused_ms) values ($1, $2, 1, $3, $4)
             on conflict (provider) do update set n_refusals = refusal.n_refusals + 1, until_ms = excluded.until_ms,
                 reason = excluded.reason, refused_ms = excluded.refused_ms",
            vec![
                refusal.provider.as_str().into(),
                Value::Int(refusal.until_ms),
                refusal.reason.as_str().into(),
                refusal.refused_ms.into(),
            ],
        )
        .await
        .map_err(failed())?;
        let due_ms = refusal.until_ms.unwrap_or(refusal.refused_ms);
        give_back(&mut work, search, worker, due_ms).await.map_err(failed())?;
        work.commit().await.map_err(failed())
    }

    /// Providers that refused and have not answered since, by name.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_refusals(&self) -> Result<Vec<Refusal>, CatalogError> {
        let failed = || CatalogError::database("list refusals");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch("select provider, until_ms, n_refusals, reason, refused_ms from refusal order by provider", vec![])
            .await
            .map_err(failed())?;
        rows.iter()
            .map(|row| {
                Ok(Refusal {
                    provider: row.text(0)?,
                    until_ms: row.optional_int(1)?,
                    refusals: row.unsigned(2)?,
                    reason: row.text(3)?,
                    refused_ms: row.int(4)?,
                })
            })
            .collect()
    }
}

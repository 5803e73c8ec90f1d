//! Which addresses are to be fetched now, who is at which host, and how did each fetch end?

use affectory_again::again;
use affectory_core::CandidateId;

use super::{drops, pace};

use crate::collection::{
    CandidateRow, CandidateState, FetchEnd, FetchRecord, HostPlace, NewHit, OutcomeCount, RecordedFetches, YieldCount,
};
use crate::database::{Row, Turn, Value, Work, batch};
use crate::{Catalog, CatalogError};

#[again]
impl Catalog {
    /// Leases up to `limit` hosts that have something to fetch, the longest due first. No two workers have the same host
    /// while its lease lasts.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn claim_hosts(
        &self,
        worker: &str,
        limit: u32,
        now_ms: i64,
        lease_ms: i64,
    ) -> Result<Vec<String>, CatalogError> {
        let statement = "update host set worker = $1, lease_end_ms = $3
             where name in (
                 select name from host where due_ms <= $2 and lease_end_ms <= $2 order by due_ms, name limit $4)
             returning name";
        let values = [worker.into(), now_ms.into(), (now_ms + lease_ms).into(), i64::from(limit).into()];
        self.lease_hosts(statement, &values).await
    }

    /// Leases hosts by a statement that returns their names.
    pub(super) async fn lease_hosts(
        &self,
        statement: &'static str,
        values: &[Value],
    ) -> Result<Vec<String>, CatalogError> {
        let failed = || CatalogError::database("claim hosts");
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Hosts).await.map_err(failed())?;
        let rows = work.fetch(statement, values.to_vec()).await.map_err(failed())?;
        work.commit().await.map_err(failed())?;
        let mut hosts: Vec<String> = rows.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?;
        // The engines return them in an order of their own.
        hosts.sort_unstable();
        Ok(hosts)
    }

    /// Makes all leases of a worker last until `lease_end_ms`; says how many hosts are still its own.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn renew_hosts(&self, worker: &str, lease_end_ms: i64) -> Result<u64, CatalogError> {
        let failed = || CatalogError::database("renew leases");
        let mut work = self.database.write().await.map_err(failed())?;
        let n_renewed = work
            .execute("update host set lease_end_ms = $2 where worker = $1", vec![worker.into(), lease_end_ms.into()])
            .await
            .map_err(failed())?;
        work.commit().await.map_err(failed())?;
        Ok(n_renewed)
    }

    /// The next candidates of each host's queue after the place where it was left off, at most `per_host` each.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_due_candidates(
        &self,
        places: &[HostPlace],
        per_host: u32,
        now_ms: i64,
    ) -> Result<Vec<CandidateRow>, CatalogError> {
        let failed = || CatalogError::database("list candidates");
        let mut work = self.database.read().await.map_err(failed())?;
        let mut candidates = Vec::new();
        // One statement a host: PostgreSQL plans a join with a limit for each host as a scan of the whole table.
        for place in places {
            let rows = work
                .fetch(
                    "select id, url, host, attempts, next_attempt_ms, etag, last_modified from candidate
                     where host = $1 and next_attempt_ms <= $2 and (next_attempt_ms, id) > ($3, $4)
                     order by next_attempt_ms, id limit $5",
                    vec![
                        place.host.as_str().into(),
                        now_ms.into(),
                        place.due_ms.into(),
                        place.id.0.into(),
                        i64::from(per_host).into(),
                    ],
                )
                .await
                .map_err(failed())?;
            for row in &rows {
                candidates.push(candidate_row(row)?);
            }
        }
        Ok(candidates)
    }

    /// Records how attempts ended, with the images they brought, in one transaction.
    ///
    /// # Errors
    /// [`CatalogError::Database`]; nothing of the batch is recorded then.
    pub async fn record_fetches(&self, records: &[FetchRecord], now_ms: i64) -> Result<RecordedFetches, CatalogError> {
        if records.is_empty() {
            return Ok(RecordedFetches::default());
        }
        let failed = || CatalogError::database("record fetches");
        let mut work = self.database.write().await.map_err(failed())?;
        // Images get their numbers in the order they become visible: see the scan for faces.
        work.take_turn(Turn::Import).await.map_err(failed())?;
        let images = records.iter().filter_map(|record| match &record.end {
            FetchEnd::Image(image) => Some((&image.sha256, image.width, image.height, &image.format, image.size_bytes)),
            _ => None,
        });
        let new_images = work
            .execute(
                "insert into image (sha256, phash, phash_known, width, height, format, size_bytes, first_seen_ms)
                 select value ->> 0, 0, 0, cast(value ->> 1 as bigint), cast(value ->> 2 as bigint), value ->> 3,
                        cast(value ->> 4 as bigint), $2
                 from json_each($1) as new
                 where not exists (select 1 from image where image.sha256 = new.value ->> 0)
                 order by key
                 on conflict (sha256) do nothing",
                vec![batch(images), now_ms.into()],
            )
            .await
            .map_err(failed())?;
        let ends = batch(records.iter().map(End::of));
        work.execute(
            "update candidate set state = ended.value ->> 'state', outcome = ended.value ->> 'outcome',
                 last_error = ended.value ->> 'detail', next_attempt_ms = cast(ended.value ->> 'again_ms' as bigint),
                 attempts = attempts + 1, image_id = coalesce(
                     (select image.id from image where image.sha256 = ended.value ->> 'sha256'), image_id),
                 http_status = cast(ended.value ->> 'http_status' as bigint),
                 final_url = ended.value ->> 'final_url', etag = coalesce(ended.value ->> 'etag', etag),
                 last_modified = coalesce(ended.value ->> 'last_modified', last_modified),
                 size_bytes = coalesce(cast(ended.value ->> 'size_bytes' as bigint), size_bytes),
                 elapsed_ms = cast(ended.value ->> 'elapsed_ms' as bigint), ended_ms = $2
             from json_each($1) as ended
             where candidate.id = cast(ended.value ->> 'id' as bigint)",
            vec![ends, now_ms.into()],
        )
        .await
        .map_err(failed())?;
        pace::record(&mut work, records, now_ms).await.map_err(failed())?;
        let stored = records.iter().filter_map(|record| match &record.end {
            FetchEnd::Image(image) => Some(image.sha256.as_str()),
            _ => None,
        });
        drops::undo_drops(&mut work, stored).await.map_err(failed())?;
        work.commit().await.map_err(failed())?;
        let ended = records.iter().filter(|record| !matches!(record.end, FetchEnd::Again { .. })).count() as u64;
        Ok(RecordedFetches { new_images, ended })
    }

    /// Gives hosts back; each is due again when its next candidate is.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn release_hosts(&self, worker: &str, hosts: &[String]) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("give hosts back");
        let mut work = self.database.write().await.map_err(failed())?;
        // A page of hits that is being recorded must not make a host due between our look at its candidates and the end.
        work.take_turn(Turn::Collect).await.map_err(failed())?;
        work.execute(
            "update host set worker = null, lease_end_ms = 0, due_ms = (
                 select min(next_attempt_ms) from candidate
                 where candidate.host = host.name and next_attempt_ms is not null)
             where worker = $1 and name in (select value ->> 0 from json_each($2))",
            vec![worker.into(), batch(hosts.iter().map(|host| [host]))],
        )
        .await
        .map_err(failed())?;
        work.commit().await.map_err(failed())
    }

    /// Gives hosts back that want to be left alone, each until a time, ms UTC: until then nobody gets them, whatever else is
    /// found there meanwhile. That is a lease that nobody holds.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn let_hosts_rest(&self, worker: &str, hosts: &[(String, i64)]) -> Result<(), CatalogError> {
        if hosts.is_empty() {
            return Ok(());
        }
        let failed = || CatalogError::database("let hosts rest");
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Collect).await.map_err(failed())?;
        for (host, until_ms) in hosts {
            work.execute(
                "update host set worker = null, lease_end_ms = $3, due_ms = (
                     select min(case when next_attempt_ms > $3 then next_attempt_ms else $3 end) from candidate
                     where candidate.host = host.name and next_attempt_ms is not null)
                 where worker = $1 and name = $2",
                vec![worker.into(), host.as_str().into(), (*until_ms).into()],
            )
            .await
            .map_err(failed())?;
        }
        work.commit().await.map_err(failed())
    }

    /// When the next host that nobody works on is due, ms UTC; `None`: nothing waits.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn next_host_due(&self, now_ms: i64) -> Result<Option<i64>, CatalogError> {
        let failed = || CatalogError::database("find the next host");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select min(case when lease_end_ms > due_ms then lease_end_ms else due_ms end) from host
                 where due_ms is not null and (worker is null or lease_end_ms <= $1)",
                vec![now_ms.into()],
            )
            .await
            .map_err(failed())?;
        rows.first().map_or(Ok(None), |row| row.optional_int(0))
    }

    /// Workers that hold leases of hosts or searches.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_collectors(&self) -> Result<Vec<String>, CatalogError> {
        let failed = || CatalogError::database("list workers");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select worker from host where worker is not null
                 union select worker from search where worker is not null
                 order by worker",
                vec![],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    /// Gives back all leases of a worker that is known to be dead.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn release_collector(&self, worker: &str) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("give leases back");
        let mut work = self.database.write().await.map_err(failed())?;
        for statement in [
            "update host set worker = null, lease_end_ms = 0 where worker = $1",
            "update search set worker = null, lease_end_ms = 0 where worker = $1",
        ] {
            work.execute(statement, vec![worker.into()]).await.map_err(failed())?;
        }
        work.commit().await.map_err(failed())
    }

    /// Opens candidates again whose last attempt ended in one of these classes; says how many. Those that were fetched
    /// keep their image and are asked for again under the condition that they changed.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn retry_candidates(&self, outcomes: &[String], now_ms: i64) -> Result<u64, CatalogError> {
        let failed = || CatalogError::database("open candidates again");
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Collect).await.map_err(failed())?;
        let classes = || batch(outcomes.iter().map(|outcome| [outcome]));
        let n_opened = work
            .execute(
                "update candidate set state = 'new', attempts = 0, next_attempt_ms = $2
                 where (next_attempt_ms is null or next_attempt_ms > $2)
                     and outcome in (select value ->> 0 from json_each($1))",
                vec![classes(), now_ms.into()],
            )
            .await
            .map_err(failed())?;
        work.execute(
            "update host set due_ms = $1
             where (due_ms is null or due_ms > $1)
                 and exists (select 1 from candidate where candidate.host = host.name and next_attempt_ms <= $1)",
            vec![now_ms.into()],
        )
        .await
        .map_err(failed())?;
        work.commit().await.map_err(failed())?;
        Ok(n_opened)
    }

    /// Candidates by state and by how their last attempt ended.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_outcomes(&self) -> Result<Vec<OutcomeCount>, CatalogError> {
        let failed = || CatalogError::database("count candidates");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select state, outcome, count(*) from candidate group by state, outcome order by state, outcome",
                vec![],
            )
            .await
            .map_err(failed())?;
        rows.iter()
            .map(|row| {
                Ok(OutcomeCount { state: row.text(0)?, outcome: row.optional_text(1)?, candidates: row.count(2)? })
            })
            .collect()
    }

    /// Up to `limit` addresses after `after`, by id: those whose last attempt ended in one of these classes, or all.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_candidates(
        &self,
        outcomes: Option<&[String]>,
        after: CandidateId,
        limit: u32,
    ) -> Result<Vec<CandidateState>, CatalogError> {
        let failed = || CatalogError::database("list addresses");
        let mut work = self.database.read().await.map_err(failed())?;
        let classes = batch(outcomes.unwrap_or_default().iter().map(|outcome| [outcome]));
        let rows = work
            .fetch(
                "select candidate.id, url, state, outcome, last_error, http_status, attempts, sha256, unusable
                 from candidate left join image on image.id = candidate.image_id
                 where candidate.id > $1 and ($2 = 1 or outcome in (select value ->> 0 from json_each($3)))
                 order by candidate.id limit $4",
                vec![after.0.into(), i64::from(outcomes.is_none()).into(), classes, i64::from(limit).into()],
            )
            .await
            .map_err(failed())?;
        rows.iter()
            .map(|row| {
                Ok(CandidateState {
                    id: CandidateId(row.int(0)?),
                    url: row.text(1)?,
                    state: row.text(2)?,
                    outcome: row.optional_text(3)?,
                    detail: row.optional_text(4)?,
                    http_status: row.optional_int(5)?.and_then(|status| u16::try_from(status).ok()),
                    attempts: row.unsigned(6)?,
                    sha256: row.optional_text(7)?,
                    unusable: row.optional_text(8)?,
                })
            })
            .collect()
    }

    /// What searches led to, by engine, language and expression. An address that several searches answered with counts
    /// in each.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_yield(&self) -> Result<Vec<YieldCount>, CatalogError> {
        let failed = || CatalogError::database("count what searches led to");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select hit.engine, language, expression, count(distinct candidate.id),
                        count(distinct case when candidate.state = 'fetched' then candidate.id end)
                 from hit join candidate on candidate.id = hit.candidate_id
                     join search on search.id = hit.search_id join query on query.id = search.query_id
                 group by hit.engine, language, expression
                 order by hit.engine, language, expression",
                vec![],
            )
            .await
            .map_err(failed())?;
        rows.iter()
            .map(|row| {
                Ok(YieldCount {
                    engine: row.text(0)?,
                    language: row.text(1)?,
                    expression: row.expression(2)?,
                    candidates: row.count(3)?,
                    fetched: row.count(4)?,
                })
            })
            .collect()
    }
}

/// Addresses nobody had answered with before, due at once; their hosts become due with them.
pub(super) async fn insert_candidates(work: &mut Work, hits: &[NewHit], now_ms: i64) -> Result<u64, sqlx::Error> {
    let rows = || batch(hits.iter().map(|hit| (&hit.url, &hit.url_sha256, &hit.host, &hit.page_url, &hit.license)));
    let n_new = work
        .execute(
            "insert into candidate (url, url_sha256, host, page_url, license, next_attempt_ms, found_ms)
             select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, $2, $2
             from json_each($1) as new
             where true
             order by key
             on conflict (url_sha256) do nothing",
            vec![rows(), now_ms.into()],
        )
        .await?;
    if n_new > 0 {
        // A host that is leased now keeps its lease: its worker asks for more candidates before it gives the host back.
        work.execute(
            "insert into host (name, due_ms)
             select distinct value ->> 2, cast($2 as bigint) from json_each($1) as new
             where exists (select 1 from candidate
                 where candidate.url_sha256 = new.value ->> 1 and candidate.next_attempt_ms is not null)
             on conflict (name) do update set due_ms = case
                 when host.due_ms is null or host.due_ms > excluded.due_ms then excluded.due_ms else host.due_ms end",
            vec![rows(), now_ms.into()],
        )
        .await?;
    }
    Ok(n_new)
}

/// What an attempt changes in its candidate's row. The places are those of the statement.
#[derive(serde::Serialize)]
struct End<'a> {
    id: CandidateId,
    state: &'static str,
    outcome: &'static str,
    detail: Option<&'a str>,
    again_ms: Option<i64>,
    sha256: Option<&'a str>,
    size_bytes: Option<u64>,
    http_status: Option<u16>,
    final_url: Option<&'a str>,
    etag: Option<&'a str>,
    last_modified: Option<&'a str>,
    elapsed_ms: u64,
}

impl End<'_> {
    fn of(record: &FetchRecord) -> End<'_> {
        let (state, again_ms, image) = match &record.end {
            FetchEnd::Image(image) => ("fetched", None, Some(image)),
            FetchEnd::Unchanged => ("fetched", None, None),
            FetchEnd::Again { again_ms } => ("new", Some(*again_ms), None),
            FetchEnd::Rejected => ("rejected", None, None),
            FetchEnd::Failed => ("failed", None, None),
        };
        End {
            id: record.id,
            state,
            outcome: record.outcome,
            detail: record.detail.as_deref(),
            again_ms,
            sha256: image.map(|image| image.sha256.as_str()),
            size_bytes: image.map(|image| image.size_bytes),
            http_status: record.http_status,
            final_url: record.final_url.as_deref(),
            etag: record.etag.as_deref(),
            last_modified: record.last_modified.as_deref(),
            elapsed_ms: record.elapsed_ms,
        }
    }
}

fn candidate_row(row: &Row) -> Result<CandidateRow, CatalogError> {
    Ok(CandidateRow {
        id: CandidateId(row.int(0)?),
        url: row.text(1)?,
        host: row.text(2)?,
        attempts: row.unsigned(3)?,
        due_ms: row.int(4)?,
        etag: row.optional_text(5)?,
        last_modified: row.optional_text(6)?,
    })
}

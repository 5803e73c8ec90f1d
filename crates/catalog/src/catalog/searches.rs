//! Which searches are planned, which goes on next, and what did its page bring?

use affectory_again::again;
use affectory_core::SearchId;

use super::candidates::insert_candidates;
use crate::collection::{
    LeftOutCount, NewHit, NewPage, NewQuery, PageOutcome, QueryState, SearchCount, SearchFailure, SearchFailureCount,
    SearchNext, SearchRow,
};
use crate::database::{Row, Turn, Value, Work, batch};
use crate::{Catalog, CatalogError};

#[again]
impl Catalog {
    /// Records queries and opens a search for each; says how many are new. A query known already stays as it is.
    ///
    /// # Errors
    /// [`CatalogError::Database`]; nothing is recorded then.
    pub async fn plan_queries(&self, queries: &[NewQuery], now_ms: i64) -> Result<u64, CatalogError> {
        let failed = || CatalogError::database("record the plan");
        let rows = batch(queries.iter().map(|query| {
            let negatives = serde_json::to_string(&query.negatives).unwrap_or_default();
            (&query.provider, &query.text, &query.language, query.expression.map(|e| e.index()), negatives)
        }));
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Collect).await.map_err(failed())?;
        let n_new = work
            .execute(
                "insert into query (provider, text, language, expression, negatives, created_ms)
                 select value ->> 0, value ->> 1, value ->> 2, cast(value ->> 3 as bigint), value ->> 4, $2
                 from json_each($1) as new
                 where true
                 order by key
                 on conflict (provider, text, language) do nothing",
                vec![rows, now_ms.into()],
            )
            .await
            .map_err(failed())?;
        // Also for queries of an older program, which had no searches.
        work.execute(
            "insert into search (query_id, provider, due_ms)
             select id, provider, $1 from query
             where not exists (select 1 from search where search.query_id = query.id)
             order by id",
            vec![now_ms.into()],
        )
        .await
        .map_err(failed())?;
        work.commit().await.map_err(failed())?;
        Ok(n_new)
    }

    /// Leases the search of a provider that goes on next: of those that are due, the one with the fewest pages, so that
    /// every query gets its first page before any gets its second.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn claim_search(
        &self,
        provider: &str,
        worker: &str,
        now_ms: i64,
        lease_ms: i64,
    ) -> Result<Option<SearchRow>, CatalogError> {
        let failed = || CatalogError::database("claim a search");
        let mut work = self.database.write().await.map_err(failed())?;
        // One at a time: two that look at once would both see the same search free.
        work.take_turn(Turn::Search).await.map_err(failed())?;
        let rows = work
            .fetch(
                "update search set worker = $2, lease_end_ms = $4
                 where id = (
                     select id from search where provider = $1 and due_ms <= $3 and lease_end_ms <= $3
                     order by n_pages, id limit 1)
                 returning id, slice, cursor, n_pages, n_hits, attempts, query_id",
                vec![provider.into(), worker.into(), now_ms.into(), (now_ms + lease_ms).into()],
            )
            .await
            .map_err(failed())?;
        let Some(row) = rows.first() else { return Ok(None) };
        let queries = work
            .fetch(
                "select provider, text, language, expression, negatives,
                        (select cast(sum(n_hits) as bigint) from search where query_id = query.id)
                 from query where id = $1",
                vec![row.int(6)?.into()],
            )
            .await
            .map_err(failed())?;
        work.commit().await.map_err(failed())?;
        let Some(query) = queries.first() else {
            return Err(CatalogError::Corrupt(format!("search {} without a query", row.int(0)?)));
        };
        Ok(Some(SearchRow {
            id: SearchId(row.int(0)?),
            query: query_row(query)?,
            slice: row.text(1)?,
            cursor: row.optional_text(2)?,
            n_pages: row.count(3)?,
            n_hits: row.count(4)?,
            query_hits: query.count(5)?,
            attempts: row.unsigned(5)?,
        }))
    }

    /// When the next search of a provider is due, ms UTC; `None` if all are over. Leased ones count when their lease ends.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn next_search_due(&self, provider: &str) -> Result<Option<i64>, CatalogError> {
        let failed = || CatalogError::database("find the next search");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select min(case when lease_end_ms > due_ms then lease_end_ms else due_ms end) from search
                 where provider = $1 and due_ms is not null",
                vec![provider.into()],
            )
            .await
            .map_err(failed())?;
        rows.first().map_or(Ok(None), |row| row.optional_int(0))
    }

    /// Every query that was planned, in the order of planning, with how far it is and what it found.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_queries(&self) -> Result<Vec<QueryState>, CatalogError> {
        let failed = || CatalogError::database("list queries");
        let mut work = self.database.read().await.map_err(failed())?;
        // Slices of one query may answer with the same address.
        let rows = work
            .fetch(
                "with found as (
                     select search.query_id, candidate_id from hit join search on search.id = hit.search_id
                     group by search.query_id, candidate_id),
                 per_query as (
                     select found.query_id, count(*) as n_addresses, count(image_id) as n_fetched
                     from found cross join candidate where candidate.id = found.candidate_id
                     group by found.query_id),
                 asked as (
                     select query_id, count(case when state = 'open' then 1 end) as n_open,
                            count(case when state = 'failed' then 1 end) as n_failed,
                            cast(sum(n_pages) as bigint) as n_pages, cast(sum(n_hits) as bigint) as n_hits
                     from search group by query_id)
                 select query.provider, text, language, expression, n_open, n_failed, n_pages, n_hits,
                        coalesce(n_addresses, 0), coalesce(n_fetched, 0)
                 from query join asked on asked.query_id = query.id left join per_query on per_query.query_id = query.id
                 order by query.id",
                vec![],
            )
            .await
            .map_err(failed())?;
        rows.iter()
            .map(|row| {
                Ok(QueryState {
                    provider: row.text(0)?,
                    text: row.text(1)?,
                    language: row.text(2)?,
                    expression: row.expression(3)?,
                    open: row.count(4)?,
                    failed: row.count(5)?,
                    pages: row.count(6)?,
                    hits: row.count(7)?,
                    addresses: row.count(8)?,
                    fetched: row.count(9)?,
                })
            })
            .collect()
    }

    /// Records a page: its hits, new candidates, their hosts, what was left out, and where the search goes on, in one
    /// transaction; what the provider refused before is over. Nothing is recorded if the search is no longer this worker's
    /// (its lease ended and another has it).
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn record_page(
        &self,
        key: (SearchId, &str),
        page: &NewPage<'_>,
        now_ms: i64,
    ) -> Result<PageOutcome, CatalogError> {
        self.page(key, page, now_ms).await.map_err(CatalogError::database("record a page of hits"))
    }

    async fn page(
        &self,
        (search, worker): (SearchId, &str),
        page: &NewPage<'_>,
        now_ms: i64,
    ) -> Result<PageOutcome, sqlx::Error> {
        let NewPage { hits, left_out, next, total } = *page;
        let (state, cursor) = match next {
            SearchNext::Page(cursor) => ("open", Some(cursor.clone())),
            SearchNext::Done => ("done", None),
            SearchNext::Split(_) => ("split", None),
        };
        let mut work = self.database.write().await?;
        work.take_turn(Turn::Collect).await?;
        let is_ours = work
            .execute(
                "update search set worker = null, lease_end_ms = 0, attempts = 0, last_error = null,
                     n_pages = n_pages + 1, state = $3, cursor = $4, total = coalesce($5, total),
                     due_ms = case when $3 = 'open' then due_ms end
                 where id = $1 and worker = $2",
                vec![
                    search.0.into(),
                    worker.into(),
                    state.into(),
                    Value::Text(cursor),
                    Value::Int(total.and_then(|total| i64::try_from(total).ok())),
                ],
            )
            .await?;
        if is_ours == 0 {
            return Ok(PageOutcome::default());
        }
        let candidates = insert_candidates(&mut work, hits, now_ms).await?;
        let hits = insert_hits(&mut work, search, hits, now_ms).await?;
        work.execute(
            "update search set n_hits = n_hits + $2 where id = $1",
            vec![search.0.into(), i64::try_from(hits).unwrap_or(i64::MAX).into()],
        )
        .await?;
        if !left_out.is_empty() {
            work.execute(
                "insert into left_out (search_id, reason, n)
                 select $2, value ->> 0, cast(value ->> 1 as bigint) from json_each($1) as new
                 where true
                 on conflict (search_id, reason) do update set n = left_out.n + excluded.n",
                vec![batch(left_out.iter()), search.0.into()],
            )
            .await?;
        }
        work.execute(
            "delete from refusal where provider = (select provider from search where id = $1)",
            vec![search.0.into()],
        )
        .await?;
        if let SearchNext::Split(slices) = next {
            work.execute(
                "insert into search (query_id, provider, slice, due_ms)
                 select query_id, provider, new.value ->> 0, $3 from json_each($2) as new cross join search
                 where search.id = $1
                 order by new.key
                 on conflict (query_id, slice) do nothing",
                vec![search.0.into(), batch(slices.iter().map(|slice| [slice])), now_ms.into()],
            )
            .await?;
        }
        work.commit().await?;
        Ok(PageOutcome { hits, candidates })
    }

    /// Records that an attempt failed, and whether it is worth another.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn record_search_failure(
        &self,
        (search, worker): (SearchId, &str),
        failure: &SearchFailure,
    ) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("record a failed search");
        let mut work = self.database.write().await.map_err(failed())?;
        work.execute(
            "update search set worker = null, lease_end_ms = 0, attempts = attempts + 1, last_error = $3, due_ms = $4,
                 state = case when $4 is null then 'failed' else 'open' end
             where id = $1 and worker = $2",
            vec![search.0.into(), worker.into(), failure.reason.as_str().into(), Value::Int(failure.again_ms)],
        )
        .await
        .map_err(failed())?;
        work.commit().await.map_err(failed())
    }

    /// Gives a search back unasked: the day's budget is spent, or a stop was asked for.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn return_search(&self, (search, worker): (SearchId, &str), due_ms: i64) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("give a search back");
        let mut work = self.database.write().await.map_err(failed())?;
        give_back(&mut work, search, worker, due_ms).await.map_err(failed())?;
        work.commit().await.map_err(failed())
    }

    /// Ends all searches of a search's query that are open: what they have found is enough.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn end_query(&self, search: SearchId) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("end a query's searches");
        let mut work = self.database.write().await.map_err(failed())?;
        work.execute(
            "update search set state = 'done', due_ms = null, cursor = null, worker = null, lease_end_ms = 0
             where state = 'open' and query_id = (select query_id from search where id = $1)",
            vec![search.0.into()],
        )
        .await
        .map_err(failed())?;
        work.commit().await.map_err(failed())
    }

    /// Why searches failed whose last attempt did, by provider, the most frequent first, at most `limit`.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_search_failures(&self, limit: u32) -> Result<Vec<SearchFailureCount>, CatalogError> {
        let failed = || CatalogError::database("count failed searches");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select provider, state, last_error, count(*) as n_searches from search
                 where last_error is not null
                 group by provider, state, last_error
                 order by n_searches desc, provider, state, last_error limit $1",
                vec![i64::from(limit).into()],
            )
            .await
            .map_err(failed())?;
        rows.iter()
            .map(|row| {
                Ok(SearchFailureCount {
                    provider: row.text(0)?,
                    state: row.text(1)?,
                    reason: row.text(2)?,
                    searches: row.count(3)?,
                })
            })
            .collect()
    }

    /// Results that became no candidate, by provider and reason, the most frequent first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_left_out(&self) -> Result<Vec<LeftOutCount>, CatalogError> {
        let failed = || CatalogError::database("count results that were left out");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select provider, reason, cast(sum(n) as bigint) as n_results
                 from left_out join search on search.id = left_out.search_id
                 group by provider, reason
                 order by n_results desc, provider, reason",
                vec![],
            )
            .await
            .map_err(failed())?;
        rows.iter()
            .map(|row| Ok(LeftOutCount { provider: row.text(0)?, reason: row.text(1)?, results: row.count(2)? }))
            .collect()
    }

    /// How far the searches are, by provider, language and expression.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_searches(&self) -> Result<Vec<SearchCount>, CatalogError> {
        let failed = || CatalogError::database("count searches");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select query.provider, language, expression, count(distinct query.id),
                        cast(sum(case when state = 'open' then 1 else 0 end) as bigint),
                        cast(sum(case when state = 'failed' then 1 else 0 end) as bigint),
                        cast(sum(n_pages) as bigint), cast(sum(n_hits) as bigint)
                 from query join search on search.query_id = query.id
                 group by query.provider, language, expression
                 order by query.provider, language, expression",
                vec![],
            )
            .await
            .map_err(failed())?;
        rows.iter()
            .map(|row| {
                Ok(SearchCount {
                    provider: row.text(0)?,
                    language: row.text(1)?,
                    expression: row.expression(2)?,
                    queries: row.count(3)?,
                    open: row.count(4)?,
                    failed: row.count(5)?,
                    pages: row.count(6)?,
                    hits: row.count(7)?,
                })
            })
            .collect()
    }
}

/// Ends a worker's lease of a search that is due at `due_ms`.
pub(super) async fn give_back(work: &mut Work, search: SearchId, worker: &str, due_ms: i64) -> Result<(), sqlx::Error> {
    let update = "update search set worker = null, lease_end_ms = 0, due_ms = $3 where id = $1 and worker = $2";
    work.execute(update, vec![search.0.into(), worker.into(), due_ms.into()]).await.map(|_| ())
}

async fn insert_hits(work: &mut Work, search: SearchId, hits: &[NewHit], now_ms: i64) -> Result<u64, sqlx::Error> {
    let rows = batch(hits.iter().map(|hit| {
        (
            &hit.url_sha256,
            hit.rank,
            &hit.engine,
            &hit.page_url,
            &hit.title,
            &hit.license,
            &hit.license_url,
            &hit.creator,
            &hit.attribution,
        )
    }));
    work.execute(
        "insert into hit (search_id, candidate_id, rank, engine, page_url, title, license, license_url, creator,
             attribution, found_ms)
         select $2, candidate.id, cast(value ->> 1 as bigint), value ->> 2, value ->> 3, value ->> 4, value ->> 5,
                value ->> 6, value ->> 7, value ->> 8, $3
         from json_each($1) as new cross join candidate
         where candidate.url_sha256 = new.value ->> 0
         order by new.key
         on conflict (search_id, candidate_id) do nothing",
        vec![rows, search.0.into(), now_ms.into()],
    )
    .await
}

fn query_row(row: &Row) -> Result<NewQuery, CatalogError> {
    Ok(NewQuery {
        provider: row.text(0)?,
        text: row.text(1)?,
        language: row.text(2)?,
        expression: row.expression(3)?,
        negatives: serde_json::from_str(&row.text(4)?)
            .map_err(|error| CatalogError::Corrupt(format!("negative terms of a query: {error}")))?,
    })
}

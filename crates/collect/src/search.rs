//! What do search engines answer to the plan? Query by query and page by page, within each provider's pace and budget.
//!
//! A page's hits and the place where the search goes on are one transaction: a kill repeats at most the request under way.

use std::collections::BTreeMap;

use affectory_catalog::{Catalog, NewHit, NewPage, NewQuery, Refusal, SearchFailure, SearchNext, SearchRow, Spending};
use affectory_core::{Progress, SearchId, Stop};
use futures::future::try_join_all;
use tokio::time::{Duration, sleep};

use crate::{
    ApiAnswer, ApiClient, Ask, CollectError, FetchSettings, Hit, NextStep, Page, PlannedQuery, ProviderFailure,
    SearchProvider, Secret, SkipReason, UploadSlice, normalize, plan_slices, registrable_domain, url_key,
};

/// A search that nobody reports on for this long is handed out again.
const LEASE_MS: i64 = 5 * 60 * 1000;

/// Failed attempts in a row after which a search is given up.
const MAX_ATTEMPTS: u32 = 6;

/// The first wait after a failure; it doubles each time.
const FIRST_BACKOFF_MS: i64 = 15_000;

/// Longest wait between two attempts that is ours to choose.
const MAX_BACKOFF_MS: i64 = 60 * 60 * 1000;

/// The first wait for a quota of which nobody says when it is there again; it doubles each time.
const FIRST_QUOTA_WAIT_MS: i64 = 60_000;

/// How long a stop may have to wait for us to notice.
const TICK: Duration = Duration::from_millis(200);

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Where upload dates begin: the first photo site that tells them opened in February 2004.
const FIRST_UPLOAD_MS: i64 = 1_075_593_600_000;

/// What a run of searching needs to know.
#[derive(Debug, Clone)]
pub struct SearchRequest {
    /// Who holds the leases; different for every process.
    pub worker: String,
    /// Longest wait for a search that is due later; beyond it the run ends, and the next one goes on.
    pub patience_ms: i64,
}

/// What a run of searching did with one provider.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct SearchSummary {
    /// The provider.
    pub provider: String,
    /// Pages read.
    pub pages: u64,
    /// Hits recorded.
    pub hits: u64,
    /// Addresses nobody had answered with before.
    pub candidates: u64,
    /// Results and parts of pages that were left out.
    pub left_out: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Why it ended before all searches were over, if it did.
    pub ended_early: Option<String>,
}

/// Records a plan for each of these providers; says how many queries are new.
///
/// # Errors
/// [`CollectError::Catalog`].
pub async fn record_plan(
    catalog: &Catalog,
    providers: &[&str],
    plan: &[PlannedQuery],
    now_ms: i64,
) -> Result<u64, CollectError> {
    let mut n_new = 0;
    for provider in providers {
        // A few thousand queries a transaction keep each of them short.
        for part in plan.chunks(5_000) {
            let queries: Vec<NewQuery> = part
                .iter()
                .map(|query| NewQuery {
                    provider: (*provider).to_owned(),
                    text: query.text.clone(),
                    language: query.language.code.clone(),
                    expression: Some(query.expression),
                    negatives: query.negatives().to_vec(),
                })
                .collect();
            n_new += catalog.plan_queries(&queries, now_ms).await?;
        }
    }
    Ok(n_new)
}

/// Asks all providers at once, each at its own pace, until their searches are over, their budgets spent, or a stop is
/// asked for.
///
/// # Errors
/// If the catalogue cannot be used. What a provider refuses is recorded and summed up.
pub async fn search(
    catalog: &Catalog,
    providers: &[Box<dyn SearchProvider>],
    api: &ApiClient,
    (request, fetch): (&SearchRequest, &FetchSettings),
    now_ms: impl Fn() -> i64 + Sync,
    (stop, progress): (&Stop, &dyn Progress),
) -> Result<Vec<SearchSummary>, CollectError> {
    let now_ms: &(dyn Fn() -> i64 + Sync) = &now_ms;
    try_join_all(providers.iter().map(|provider| {
        let turn = Turn { catalog, provider: provider.as_ref(), api, request, fetch, now_ms, stop, progress };
        turn.run()
    }))
    .await
}

/// One provider's way through its searches.
struct Turn<'a> {
    catalog: &'a Catalog,
    provider: &'a dyn SearchProvider,
    api: &'a ApiClient,
    request: &'a SearchRequest,
    fetch: &'a FetchSettings,
    now_ms: &'a (dyn Fn() -> i64 + Sync),
    stop: &'a Stop,
    progress: &'a dyn Progress,
}

/// A token and when it ends, ms UTC.
type HeldToken = Option<(Secret, i64)>;

/// What a part of a page that failed counts as in the catalogue, such as one of the engines that SearXNG asks.
const MISSING_PART: &str = "missing-part";

impl Turn<'_> {
    async fn run(self) -> Result<SearchSummary, CollectError> {
        let mut summary = SearchSummary { provider: self.provider.name().to_owned(), ..SearchSummary::default() };
        let mut token = None;
        loop {
            if self.stop.is_requested() {
                summary.ended_early = Some("stopped".into());
                return Ok(summary);
            }
            let now_ms = (self.now_ms)();
            let claimed =
                self.catalog.claim_search(self.provider.name(), &self.request.worker, now_ms, LEASE_MS).await?;
            let Some(search) = claimed else {
                match self.catalog.next_search_due(self.provider.name()).await? {
                    None => return Ok(summary),
                    Some(due_ms) if due_ms - now_ms <= self.request.patience_ms => self.wait(due_ms - now_ms).await,
                    Some(_) => {
                        summary.ended_early = Some("the rest is due later".into());
                        return Ok(summary);
                    }
                }
                continue;
            };
            let limits = self.provider.limits();
            if limits.wanted.is_some_and(|wanted| search.query_hits >= wanted.into()) {
                self.catalog.end_query(search.id).await?;
                continue;
            }
            let key = (search.id, self.request.worker.as_str());
            let name = self.provider.name();
            match self.catalog.spend_quota(name, limits.daily_budget.into(), limits.pause_ms, now_ms).await? {
                Spending::Granted => {}
                Spending::Wait { until_ms } => {
                    // Not held meanwhile: the pause may be longer than the lease.
                    self.catalog.return_search(key, now_ms).await?;
                    self.wait(until_ms - now_ms).await;
                    continue;
                }
                Spending::Refused { until_ms, reason } => {
                    self.catalog.return_search(key, until_ms).await?;
                    if until_ms - now_ms > self.request.patience_ms {
                        summary.ended_early = Some(reason);
                        return Ok(summary);
                    }
                    // The quota is the provider's, so its other searches wait, too.
                    self.wait(until_ms - now_ms).await;
                    continue;
                }
                Spending::Spent => {
                    self.catalog.return_search(key, (now_ms.div_euclid(DAY_MS) + 1) * DAY_MS).await?;
                    summary.ended_early = Some("the day's budget is spent".into());
                    return Ok(summary);
                }
            }
            match self.page(&search, &mut token).await {
                Ok(page) => self.record(&search, page, &mut summary).await?,
                Err(failure) => {
                    if let Some(reason) = self.fail(&search, &failure, &mut token, &mut summary).await? {
                        summary.ended_early = Some(reason);
                        return Ok(summary);
                    }
                }
            }
        }
    }

    /// Asks for the page where a search goes on.
    async fn page(&self, search: &SearchRow, token: &mut HeldToken) -> Result<Page, ProviderFailure> {
        if let Some(request) = self.provider.token_request()
            && token.as_ref().is_none_or(|(_, end_ms)| *end_ms <= (self.now_ms)())
        {
            let reply = self.api.ask(&request).await.map_err(|failure| unreachable_provider(&failure))?;
            let fresh = self.provider.read_token(&reply.answer((self.now_ms)()))?;
            *token = Some((fresh.secret, (self.now_ms)() + fresh.expires_in_ms));
        }
        let slice = match search.slice.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|error: crate::BadSlice| refused(&error))?),
        };
        let ask = Ask {
            text: &search.query.text,
            language: &search.query.language,
            negatives: &search.query.negatives,
            slice,
            cursor: search.cursor.as_deref(),
            token: token.as_ref().map(|(secret, _)| secret),
        };
        let request = self.provider.request(&ask)?;
        let reply = self.api.ask(&request).await.map_err(|failure| unreachable_provider(&failure))?;
        let answer: ApiAnswer<'_> = reply.answer((self.now_ms)());
        self.provider.read(&ask, &answer)
    }

    async fn record(&self, search: &SearchRow, page: Page, summary: &mut SearchSummary) -> Result<(), CollectError> {
        for part in &page.partial {
            tracing::warn!(provider = self.provider.name(), "a part of the answer is missing: {part}");
        }
        let wanted = self.provider.limits().wanted;
        let rest = wanted.map_or(u64::MAX, |wanted| u64::from(wanted).saturating_sub(search.query_hits));
        let mut left_out: BTreeMap<&'static str, u64> =
            page.skipped.iter().map(|(reason, n)| (reason.as_str(), u64::from(*n))).collect();
        if !page.partial.is_empty() {
            left_out.insert(MISSING_PART, page.partial.len() as u64);
        }
        let mut hits: Vec<NewHit> = Vec::with_capacity(page.hits.len());
        for hit in &page.hits {
            match self.new_hit(hit) {
                Ok(hit) if (hits.len() as u64) < rest => hits.push(hit),
                Ok(_) => *left_out.entry(SkipReason::OverCap.as_str()).or_default() += 1,
                Err(reason) => *left_out.entry(reason.as_str()).or_default() += 1,
            }
        }
        summary.left_out += left_out.values().sum::<u64>();
        let now_ms = (self.now_ms)();
        let next = self.next(search, &page, now_ms);
        let key = (search.id, self.request.worker.as_str());
        let page = NewPage { hits: &hits, left_out: &left_out, next: &next, total: page.total };
        let outcome = self.catalog.record_page(key, &page, now_ms).await?;
        summary.pages += 1;
        summary.hits += outcome.hits;
        summary.candidates += outcome.candidates;
        self.progress.note(&format!("{}: {}", self.provider.name(), summary.candidates));
        Ok(())
    }

    /// Where the search goes on. One with more answers than the provider hands out is cut by upload date, once: its parts
    /// are searches of their own.
    fn next(&self, search: &SearchRow, page: &Page, now_ms: i64) -> SearchNext {
        let limits = self.provider.limits();
        let cap = u64::from(limits.max_results);
        // Who wants no more than the provider hands out needs no slices.
        let is_capped =
            page.total.is_some_and(|total| total > cap) && limits.wanted.is_none_or(|wanted| u64::from(wanted) > cap);
        if limits.slices_by_upload_date && search.cursor.is_none() && is_capped {
            let whole = || UploadSlice::new(FIRST_UPLOAD_MS, now_ms.div_euclid(DAY_MS) * DAY_MS + DAY_MS).ok();
            let span = if search.slice.is_empty() { whole() } else { search.slice.parse().ok() };
            let parts = span.map(|span| plan_slices(span, page.total.unwrap_or(0), cap)).unwrap_or_default();
            if parts.len() > 1 {
                return SearchNext::Split(parts.iter().map(ToString::to_string).collect());
            }
        }
        page.next.clone().map_or(SearchNext::Done, SearchNext::Page)
    }

    /// Refuses what must not be fetched: an image of an excluded host or on a page of one (whose pictures mostly lie
    /// somewhere else), an address that is none.
    fn new_hit(&self, hit: &Hit) -> Result<NewHit, SkipReason> {
        let url = normalize(hit.image_url.as_str(), None).map_err(|_| SkipReason::BadUrl)?;
        let page_host = hit.page_url.as_ref().and_then(|page| page.host_str());
        if [url.host_str(), page_host].into_iter().flatten().any(|host| self.fetch.excludes(host)) {
            return Err(SkipReason::ExcludedHost);
        }
        Ok(NewHit {
            rank: hit.rank,
            url_sha256: url_key(&url),
            host: registrable_domain(&url),
            url: url.into(),
            engine: hit.engine.clone().unwrap_or_else(|| self.provider.name().to_owned()),
            page_url: hit.page_url.as_ref().map(ToString::to_string),
            title: hit.title.clone(),
            license: hit.license.clone(),
            license_url: hit.license_url.as_ref().map(ToString::to_string),
            creator: hit.creator.clone(),
            attribution: hit.attribution.clone(),
        })
    }

    /// Records a failure; `Some` says why the whole provider is left alone.
    async fn fail(
        &self,
        search: &SearchRow,
        failure: &ProviderFailure,
        token: &mut HeldToken,
        summary: &mut SearchSummary,
    ) -> Result<Option<String>, CollectError> {
        summary.failures += 1;
        tracing::warn!(provider = self.provider.name(), query = search.query.text, "{failure}");
        let key = (search.id, self.request.worker.as_str());
        let now_ms = (self.now_ms)();
        let backoff_ms = (FIRST_BACKOFF_MS << search.attempts.min(10)).min(MAX_BACKOFF_MS);
        let again = |after_ms: i64| SearchFailure { reason: failure.to_string(), again_ms: Some(now_ms + after_ms) };
        let over = || SearchFailure { reason: failure.to_string(), again_ms: None };
        match failure.next_step() {
            NextStep::StopProvider => {
                self.refuse(key, failure, None).await?;
                Ok(Some(failure.to_string()))
            }
            NextStep::WaitForQuota { after_ms } => {
                let n_refusals = self.n_refusals().await?;
                let wait_ms = after_ms.unwrap_or_else(|| quota_wait_ms(n_refusals, now_ms));
                // Whoever asks next, also another process and the next run, waits for that.
                self.refuse(key, failure, Some(now_ms + wait_ms)).await?;
                Ok((wait_ms > self.request.patience_ms).then(|| failure.to_string()))
            }
            NextStep::RenewToken => {
                *token = None;
                let step = if search.attempts + 1 < MAX_ATTEMPTS { again(0) } else { over() };
                self.catalog.record_search_failure(key, &step).await?;
                Ok(None)
            }
            NextStep::Retry { after_ms } => {
                let wait_ms = after_ms.unwrap_or(0).max(backoff_ms);
                let step = if search.attempts + 1 < MAX_ATTEMPTS { again(wait_ms) } else { over() };
                self.catalog.record_search_failure(key, &step).await?;
                Ok(None)
            }
            NextStep::SkipQuery => {
                self.catalog.record_search_failure(key, &over()).await?;
                Ok(None)
            }
        }
    }

    /// Records that the provider refused as such, whatever the query.
    async fn refuse(
        &self,
        key: (SearchId, &str),
        failure: &ProviderFailure,
        until_ms: Option<i64>,
    ) -> Result<(), CollectError> {
        let refusal = Refusal {
            provider: self.provider.name().to_owned(),
            until_ms,
            refusals: 1,
            reason: failure.to_string(),
            refused_ms: (self.now_ms)(),
        };
        Ok(self.catalog.record_refusal(key, &refusal).await?)
    }

    /// How often the provider has refused in a row, in this run and before.
    async fn n_refusals(&self) -> Result<u32, CollectError> {
        let refusals = self.catalog.list_refusals().await?;
        let ours = refusals.iter().find(|refusal| refusal.provider == self.provider.name());
        Ok(ours.map_or(0, |refusal| refusal.refusals))
    }

    /// Waits, unless a stop is asked for.
    async fn wait(&self, wait_ms: i64) {
        let end = tokio::time::Instant::now() + Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0));
        while !self.stop.is_requested() {
            let rest = end.saturating_duration_since(tokio::time::Instant::now());
            if rest.is_zero() {
                return;
            }
            sleep(rest.min(TICK)).await;
        }
    }
}

/// How long a provider is left alone that says its quota is spent, and not until when, `n_refusals` times in a row before:
/// it doubles from a minute, for it may be the quota of a second, and ends with the day, for it may be the day's.
fn quota_wait_ms(n_refusals: u32, now_ms: i64) -> i64 {
    let tomorrow_ms = DAY_MS - now_ms.rem_euclid(DAY_MS);
    (FIRST_QUOTA_WAIT_MS << n_refusals.min(12)).min(tomorrow_ms.max(FIRST_QUOTA_WAIT_MS))
}

/// A provider that did not answer at all may do so later.
fn unreachable_provider(failure: &crate::FetchFailure) -> ProviderFailure {
    ProviderFailure::Busy { retry_after_ms: None, message: failure.to_string() }
}

fn refused(reason: &dyn std::fmt::Display) -> ProviderFailure {
    ProviderFailure::Refused { message: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A quota of a minute must not cost a day, and one of a day must not be asked for all day long.
    #[test]
    fn a_spent_quota_is_waited_for_from_a_minute_up_to_the_next_day() {
        let noon_ms = 20_000 * DAY_MS + DAY_MS / 2;
        let minutes = [0, 1, 2, 9, 10, 60].map(|n_refusals| quota_wait_ms(n_refusals, noon_ms) / 60_000);
        assert_eq!(minutes, [1, 2, 4, 512, 12 * 60, 12 * 60]);
        assert_eq!(quota_wait_ms(5, noon_ms + DAY_MS / 2 - 1), 60_000, "never less than a minute");
    }
}

//! How do candidates become images in the store, politely, all at once, and each with exactly one outcome?
//!
//! One loop keeps many fetches under way. It leases hosts, takes candidates from each host's queue in the catalogue,
//! starts what a host's pace allows, and records outcomes in batches. What is not recorded when the process dies is
//! fetched again, and nothing else.

mod hand;
mod hosts;
mod outcome;
mod way;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use affectory_catalog::{
    CandidateRow, Catalog, CatalogError, FetchEnd, FetchRecord, HostPlace, ImageStore, RecordedFetches,
};
use affectory_core::{CandidateId, Progress, Stop};
use affectory_imaging::Limits;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep_until, timeout};

use self::hand::{Done, Fault, Hand};
pub use self::hosts::{CatalogHosts, HostShare, HostSource};
use self::outcome::{MAX_BACKOFF_MS, record_of};
use self::way::Footprint;
use crate::{Client, CollectError, FetchFailure, FetchSettings};

/// A host nobody reports on for this long is handed out again.
const LEASE_MS: i64 = 2 * 60 * 1000;

/// Candidates taken from a host's queue at a time, at most.
const CHUNK: u32 = 500;

/// Candidates of all leased hosts that are held in memory, about: with many hosts each has fewer.
const MOST_HELD: u32 = 30_000;

/// Outcomes in one transaction: enough that its disk flush is cheap, few enough that a kill costs little.
const BATCH: usize = 500;

/// Outcomes that may wait for a batch to be recorded; beyond them nothing new is started.
const MOST_UNRECORDED: usize = 4 * BATCH;

/// Outcomes are recorded at least this often.
const FLUSH: Duration = Duration::from_secs(1);

/// The catalogue is asked for more hosts no more often than this.
const CLAIM_PAUSE: Duration = Duration::from_millis(250);

/// After a stop, fetches under way have this long to end.
const GRACE: Duration = Duration::from_secs(10);

/// Longest pause of a whole host that is waited for, whether it said that we ask too much or its robots.txt has a
/// crawl-delay. One that wants a longer rest is given back until then.
const MAX_HOST_PAUSE: Duration = Duration::from_secs(60);

/// What a run of fetching needs to know.
#[derive(Debug, Clone)]
pub struct FetchRequest {
    /// Who holds the leases; different for every process.
    pub worker: String,
    /// Longest wait for a candidate that is due later; beyond it the run ends, and the next one goes on.
    pub patience_ms: i64,
    /// Jitter follows from it.
    pub seed: u64,
}

/// What a run of fetching did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct FetchSummary {
    /// Candidates that have an image now.
    pub fetched: u64,
    /// Images nobody had before.
    pub new_images: u64,
    /// Candidates that are and stay without one.
    pub rejected: u64,
    /// Candidates tried often enough.
    pub failed: u64,
    /// Attempts that are to be repeated.
    pub postponed: u64,
    /// When the next candidate is due, ms UTC, if any is.
    pub next_due_ms: Option<i64>,
    /// Whether a stop was asked for before the end.
    pub stopped: bool,
}

/// Where the images go.
#[derive(Debug, Clone, Copy)]
pub struct FetchPlace<'a> {
    /// The queue and the record.
    pub catalog: &'a Catalog,
    /// The bytes.
    pub store: &'a ImageStore,
}

/// Fetches what is due at the hosts that `source` gives, until there is none and `is_fed` says that nothing more will come.
/// Several processes may do so at once.
///
/// # Errors
/// If the catalogue or the store cannot be used. How an address ended is recorded, and no error.
pub async fn fetch(
    place: FetchPlace<'_>,
    client: &Client,
    (request, settings): (&FetchRequest, &FetchSettings),
    (source, is_fed): (&mut impl HostSource, impl Fn() -> bool),
    now_ms: impl Fn() -> i64,
    (stop, progress): (&Stop, &dyn Progress),
) -> Result<FetchSummary, CollectError> {
    let withdrawn = place.catalog.list_withdrawn().await?.into_iter().collect();
    let hand = Arc::new(Hand {
        client: client.clone(),
        store: place.store.clone(),
        limits: Limits { max_bytes: settings.max_bytes, ..Limits::default() },
        max_ratio: settings.max_ratio,
        withdrawn,
    });
    let mut run = Run {
        catalog: place.catalog,
        source,
        hand,
        request,
        settings,
        hosts: HashMap::new(),
        ready: BinaryHeap::new(),
        under_way: JoinSet::new(),
        ended: Vec::new(),
        recording: JoinSet::new(),
        summary: FetchSummary::default(),
    };
    progress.begin("fetch", None);
    let (mut next_claim, mut next_flush) = (Instant::now(), Instant::now() + FLUSH);
    let mut renewed_ms = now_ms();
    loop {
        if stop.is_requested() {
            run.summary.stopped = true;
            break;
        }
        if Instant::now() >= next_claim {
            run.take_hosts(now_ms()).await?;
            next_claim = Instant::now() + CLAIM_PAUSE;
        }
        run.take_candidates(now_ms()).await?;
        run.start_what_may();
        if run.ended.len() >= BATCH || Instant::now() >= next_flush {
            run.start_recording(now_ms());
            progress.note(&run.describe());
            next_flush = Instant::now() + FLUSH;
        }
        // The disk does not keep up: what ends meanwhile must not pile up.
        while run.ended.len() >= MOST_UNRECORDED {
            progress.advance(run.finish_recording().await?);
            run.start_recording(now_ms());
        }
        if now_ms() - renewed_ms > LEASE_MS / 3 {
            place.catalog.renew_hosts(&request.worker, now_ms() + LEASE_MS).await?;
            renewed_ms = now_ms();
        }
        if run.under_way.is_empty() && run.has_idle_hosts_only() {
            progress.advance(run.flush(now_ms()).await?);
            run.give_back_idle().await?;
            run.take_hosts(now_ms()).await?;
            if run.hosts.is_empty() {
                let due_ms = run.source.next_due(now_ms()).await?;
                let is_soon = due_ms.is_some_and(|due_ms| due_ms - now_ms() <= request.patience_ms);
                if !is_soon && !is_fed() {
                    run.summary.next_due_ms = due_ms;
                    break;
                }
                let wait_s = due_ms.map(|due_ms| (due_ms - now_ms()).max(0) / 1000);
                let next = wait_s.map(|wait_s| format!("; the next attempt is due in {wait_s} s")).unwrap_or_default();
                progress.note(&(run.describe() + &next));
                tokio::time::sleep(CLAIM_PAUSE).await;
            }
            continue;
        }
        let wake = run.next_start().unwrap_or(next_flush).min(next_flush).min(next_claim.max(Instant::now()));
        tokio::select! {
            Some(done) = run.under_way.join_next() => run.end(done?, now_ms())?,
            Some(recorded) = run.recording.join_next() => {
                progress.advance(run.note_recorded(recorded??));
                run.give_back_idle().await?;
            }
            () = sleep_until(wake.max(Instant::now() + Duration::from_millis(1))) => {}
        }
        // What has ended meanwhile is taken in one go.
        while let Some(done) = run.under_way.try_join_next() {
            run.end(done?, now_ms())?;
        }
    }
    run.wind_up(&now_ms).await?;
    progress.end();
    Ok(run.summary)
}

/// A leased host.
struct HostState {
    queue: VecDeque<CandidateRow>,
    place: HostPlace,
    n_under_way: u32,
    /// Between two starts: the settings' own, or the crawl-delay of its robots.txt once that is known.
    pause: Duration,
    free_at: Instant,
    is_listed: bool,
    is_drained: bool,
    /// Until when it wants to be left alone, ms UTC: nothing more is started there.
    rests_until_ms: Option<i64>,
    /// Candidates that may still be taken from its queue.
    n_left: u32,
    shard: Option<Arc<str>>,
}

struct Run<'a, S> {
    catalog: &'a Catalog,
    source: &'a mut S,
    hand: Arc<Hand>,
    request: &'a FetchRequest,
    settings: &'a FetchSettings,
    hosts: HashMap<String, HostState>,
    /// Hosts that may start a fetch, by when; each at most once.
    ready: BinaryHeap<Reverse<(Instant, String)>>,
    under_way: JoinSet<Done>,
    ended: Vec<FetchRecord>,
    /// The batch that is being recorded while fetching goes on; one at most.
    recording: JoinSet<Result<Recorded, CatalogError>>,
    summary: FetchSummary,
}

/// A batch and what it came to.
type Recorded = (Vec<FetchRecord>, RecordedFetches);

impl<S: HostSource> Run<'_, S> {
    /// Leases hosts while there is room for them.
    async fn take_hosts(&mut self, now_ms: i64) -> Result<(), CollectError> {
        // Twice as many hosts as fetches: while one host pauses, another one is asked.
        let room = (self.settings.concurrency as usize * 2).saturating_sub(self.hosts.len());
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        for HostShare { host, at_most, shard } in self.source.take(room, now_ms, LEASE_MS).await? {
            let place = HostPlace { host: host.clone(), due_ms: i64::MIN, id: CandidateId(0) };
            let state = HostState {
                queue: VecDeque::new(),
                place,
                n_under_way: 0,
                pause: Duration::from_millis(self.settings.pause_ms),
                free_at: Instant::now(),
                is_listed: false,
                is_drained: false,
                rests_until_ms: None,
                n_left: at_most,
                shard,
            };
            // One of ours, if our lease ended while the machine slept: what is under way there still counts.
            self.hosts.entry(host).or_insert(state);
        }
        Ok(())
    }

    /// Fills the queues that run low.
    async fn take_candidates(&mut self, now_ms: i64) -> Result<(), CollectError> {
        let low = (self.settings.per_host * 2) as usize;
        let wanting = self.hosts.values().filter(|host| !host.is_drained && host.queue.len() < low);
        let places: Vec<HostPlace> = wanting.map(|host| host.place.clone()).collect();
        if places.is_empty() {
            return Ok(());
        }
        let n_hosts = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX).max(1);
        let chunk = (MOST_HELD / n_hosts).clamp(self.settings.per_host * 4, CHUNK);
        let taken = self.catalog.list_due_candidates(&places, chunk, now_ms).await?;
        let mut n_taken: HashMap<String, u32> = HashMap::new();
        for candidate in taken {
            *n_taken.entry(candidate.host.clone()).or_default() += 1;
            if let Some(host) = self.hosts.get_mut(&candidate.host).filter(|host| host.n_left > 0) {
                host.n_left -= 1;
                host.place.due_ms = candidate.due_ms;
                host.place.id = candidate.id;
                host.queue.push_back(candidate);
            }
        }
        for place in &places {
            if let Some(host) = self.hosts.get_mut(&place.host) {
                host.is_drained = host.n_left == 0 || n_taken.get(&place.host).copied().unwrap_or(0) < chunk;
            }
            self.list(&place.host);
        }
        Ok(())
    }

    /// Puts a host among those that may start a fetch, if it may.
    fn list(&mut self, name: &str) {
        let Some(host) = self.hosts.get_mut(name) else { return };
        if !host.is_listed && !host.queue.is_empty() && host.n_under_way < self.settings.per_host {
            host.is_listed = true;
            self.ready.push(Reverse((host.free_at, name.to_owned())));
        }
    }

    /// When the next fetch may start; `None` if that is not a question of time.
    fn next_start(&self) -> Option<Instant> {
        if self.under_way.len() >= self.settings.concurrency as usize {
            return None;
        }
        self.ready.peek().map(|Reverse((free_at, _))| *free_at)
    }

    fn start_what_may(&mut self) {
        while let Some(free_at) = self.next_start() {
            let now = Instant::now();
            if free_at > now {
                return;
            }
            let Some(Reverse((_, name))) = self.ready.pop() else { return };
            let Some(host) = self.hosts.get_mut(&name) else { continue };
            host.is_listed = false;
            // Paused since it was listed, because it said that we ask too much.
            if host.free_at <= now
                && let Some(candidate) = host.queue.pop_front()
            {
                host.n_under_way += 1;
                host.free_at = now + host.pause;
                let hand = Arc::clone(&self.hand);
                self.under_way.spawn(async move { hand.fetch(candidate).await });
            }
            self.list(&name);
        }
    }

    /// Decides what follows from an ended fetch.
    fn end(&mut self, done: Done, now_ms: i64) -> Result<(), CollectError> {
        if let Some(host) = self.hosts.get_mut(&done.candidate.host) {
            host.n_under_way -= 1;
            if let Some(delay) = done.crawl_delay.map(|delay| delay.min(MAX_HOST_PAUSE))
                && delay > host.pause
            {
                host.pause = delay;
                host.free_at = host.free_at.max(Instant::now() + delay);
            }
            if let Err(Fault::Fetch(failure @ (FetchFailure::RateLimited { .. } | FetchFailure::ServerStatus { .. }))) =
                &done.result
                && let Some(retry_after) = failure.retry_after()
            {
                let wait_ms = retry_after.wait_ms(now_ms).min(MAX_BACKOFF_MS);
                let pause = Duration::from_millis(wait_ms);
                if pause <= MAX_HOST_PAUSE {
                    host.free_at = host.free_at.max(Instant::now() + pause);
                } else {
                    let until_ms = now_ms.saturating_add_unsigned(wait_ms);
                    host.rests_until_ms = host.rests_until_ms.max(Some(until_ms));
                    host.queue.clear();
                    host.is_drained = true;
                }
            }
        }
        self.list(&done.candidate.host);
        let shard = self.hosts.get(&done.candidate.host).and_then(|host| host.shard.as_ref());
        let footprint = Footprint::of(&done, shard);
        let record = record_of(done, self.request.seed, now_ms)?;
        if let Some(footprint) = footprint {
            footprint.tell(&record, &self.request.worker);
        }
        self.ended.push(record);
        Ok(())
    }

    /// Sets out to record what has ended, unless a batch is being recorded: then it waits for the next turn.
    fn start_recording(&mut self, now_ms: i64) {
        if !self.recording.is_empty() || self.ended.is_empty() {
            return;
        }
        let records = std::mem::take(&mut self.ended);
        let (catalog, store) = (self.catalog.clone(), self.hand.store.clone());
        self.recording.spawn(async move {
            // Objects first: a row that outlives a power cut must not name one that does not.
            store.flush().await?;
            let recorded = catalog.record_fetches(&records, now_ms).await?;
            Ok((records, recorded))
        });
    }

    /// Waits for the batch that is being recorded, if one is; says how many candidates are over.
    async fn finish_recording(&mut self) -> Result<u64, CollectError> {
        match self.recording.join_next().await {
            Some(recorded) => Ok(self.note_recorded(recorded??)),
            None => Ok(0),
        }
    }

    fn note_recorded(&mut self, (records, recorded): Recorded) -> u64 {
        for record in records {
            match record.end {
                FetchEnd::Image(_) | FetchEnd::Unchanged => self.summary.fetched += 1,
                FetchEnd::Again { .. } => self.summary.postponed += 1,
                FetchEnd::Rejected => self.summary.rejected += 1,
                FetchEnd::Failed => self.summary.failed += 1,
            }
        }
        self.summary.new_images += recorded.new_images;
        recorded.ended
    }

    /// Records all that has ended; says how many candidates are over.
    async fn flush(&mut self, now_ms: i64) -> Result<u64, CollectError> {
        let mut n_ended = self.finish_recording().await?;
        self.start_recording(now_ms);
        n_ended += self.finish_recording().await?;
        self.give_back_idle().await?;
        Ok(n_ended)
    }

    /// What a watcher wants to know beside the number of candidates that are over.
    fn describe(&self) -> String {
        let FetchSummary { fetched, new_images, rejected, failed, postponed, .. } = self.summary;
        format!(
            "{fetched} fetched, {new_images} new images, {} without one, {postponed} put off; {} under way, {} hosts",
            rejected + failed,
            self.under_way.len(),
            self.hosts.len()
        )
    }

    fn has_idle_hosts_only(&self) -> bool {
        self.hosts.values().all(HostState::is_idle)
    }

    /// Gives hosts back that have nothing left, so that others (and we ourselves, later) find them. Only once their
    /// outcomes are recorded: the catalogue tells from them when a host is due again.
    async fn give_back_idle(&mut self) -> Result<(), CollectError> {
        if !self.ended.is_empty() || !self.recording.is_empty() {
            return Ok(());
        }
        let idle: Vec<String> =
            self.hosts.iter().filter(|(_, host)| host.is_idle()).map(|(name, _)| name.clone()).collect();
        if !idle.is_empty() {
            self.let_rest(&idle).await?;
            self.source.give_back(&idle, true).await?;
            self.hosts.retain(|_, host| !host.is_idle());
        }
        Ok(())
    }

    /// Writes down until when those of these hosts are to be left alone that want it; they are ours no more then.
    async fn let_rest(&self, hosts: &[String]) -> Result<(), CollectError> {
        let resting = hosts.iter().filter_map(|name| Some((name.clone(), self.hosts.get(name)?.rests_until_ms?)));
        let resting: Vec<(String, i64)> = resting.collect();
        Ok(self.catalog.let_hosts_rest(&self.request.worker, &resting).await?)
    }

    /// Lets fetches under way end within their grace, records, and gives everything back.
    async fn wind_up(&mut self, now_ms: &impl Fn() -> i64) -> Result<(), CollectError> {
        let end = Instant::now() + GRACE;
        while let Ok(Some(done)) =
            timeout(end.saturating_duration_since(Instant::now()), self.under_way.join_next()).await
        {
            self.end(done?, now_ms())?;
        }
        // Whoever is still at it is cut off: not recorded, so fetched again.
        self.under_way.shutdown().await;
        self.flush(now_ms()).await?;
        let rest: Vec<String> = self.hosts.keys().cloned().collect();
        self.let_rest(&rest).await?;
        self.hosts.clear();
        self.source.give_back(&rest, false).await
    }
}

impl HostState {
    fn is_idle(&self) -> bool {
        self.is_drained && self.queue.is_empty() && self.n_under_way == 0
    }
}

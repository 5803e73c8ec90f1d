//! Which robots.txt are known already, without keeping a million of them?

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::failure::FetchFailure;
use super::robots::Robots;

/// What became of a robots.txt.
#[derive(Debug, Clone)]
pub(crate) enum RobotsAnswer {
    /// Its rules; none where there is no such file.
    Rules(Arc<Robots>),
    /// Nobody knows, so all is forbidden for now.
    Unreachable(FetchFailure),
}

/// An answer and the time up to which it is believed.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) answer: RobotsAnswer,
    until: Instant,
}

/// Filled by the first who asks, waited for by all others; if the first gives up, the next one asks.
type Cell = Arc<OnceCell<Known>>;

/// Robots by origin, in two generations: when the young one is full it becomes the old one, and the old one is
/// forgotten, so that what is used stays and memory has a bound.
#[derive(Debug)]
pub(crate) struct RobotsCache {
    generations: Mutex<Generations>,
    lifetime: Duration,
    retry: Duration,
    /// Of one generation.
    max_origins: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<String, Cell>,
    young_bytes: usize,
    old: HashMap<String, Cell>,
}

impl RobotsCache {
    pub(crate) fn new(lifetime: Duration, retry: Duration, max_origins: usize, max_bytes: usize) -> Self {
        let (max_origins, max_bytes) = ((max_origins / 2).max(1), max_bytes / 2);
        Self { generations: Mutex::default(), lifetime, retry, max_origins, max_bytes }
    }

    /// The answer for an origin, asked for once however many wait.
    pub(crate) async fn answer<F>(&self, origin: &str, ask: impl FnOnce() -> F) -> RobotsAnswer
    where
        F: Future<Output = RobotsAnswer>,
    {
        let cell = self.cell(origin, Instant::now());
        let fill = async || {
            let answer = ask().await;
            let (lifetime, size_bytes) = match &answer {
                RobotsAnswer::Rules(robots) => (self.lifetime, robots.size_bytes()),
                RobotsAnswer::Unreachable(_) => (self.retry, 0),
            };
            self.lock().young_bytes += size_bytes;
            Known { answer, until: Instant::now() + lifetime }
        };
        cell.get_or_init(fill).await.answer.clone()
    }

    /// The answer for an origin, if it is known.
    pub(crate) fn known(&self, origin: &str) -> Option<RobotsAnswer> {
        let generations = self.lock();
        let cell = generations.young.get(origin).or_else(|| generations.old.get(origin))?;
        cell.get().map(|known| known.answer.clone())
    }

    fn cell(&self, origin: &str, now: Instant) -> Cell {
        let mut generations = self.lock();
        let is_fresh = |cell: &Cell| cell.get().is_none_or(|known| known.until > now);
        if let Some(cell) = generations.young.get(origin).filter(|cell| is_fresh(cell)) {
            return Arc::clone(cell);
        }
        if generations.young.len() >= self.max_origins || generations.young_bytes > self.max_bytes {
            generations.old = std::mem::take(&mut generations.young);
            generations.young_bytes = 0;
        }
        let cell = generations.old.remove(origin).filter(is_fresh).unwrap_or_default();
        if let Some(Known { answer: RobotsAnswer::Rules(robots), .. }) = cell.get() {
            generations.young_bytes += robots.size_bytes();
        }
        generations.young.insert(origin.to_owned(), Arc::clone(&cell));
        cell
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        // Nothing panics while it is held; if something did, the maps are still maps.
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn rules(text: &str) -> RobotsAnswer {
        RobotsAnswer::Rules(Arc::new(Robots::parse(text.as_bytes(), "affectory")))
    }

    fn cache(max_origins: usize, max_bytes: usize) -> RobotsCache {
        RobotsCache::new(Duration::from_secs(100), Duration::from_secs(20), max_origins, max_bytes)
    }

    #[tokio::test]
    async fn many_who_wait_ask_once() {
        let (cache, n_asked) = (cache(10, 1000), AtomicUsize::new(0));
        let ask = || async {
            n_asked.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            rules("")
        };
        futures::future::join_all((0..50).map(|_| cache.answer("http://e.example", ask))).await;
        assert_eq!(n_asked.into_inner(), 1);
    }

    #[tokio::test]
    async fn a_waiter_asks_when_the_first_one_gives_up() {
        let cache = cache(10, 1000);
        let hanging = cache.answer("http://e.example", std::future::pending);
        assert!(tokio::time::timeout(Duration::from_millis(5), hanging).await.is_err());
        assert!(matches!(cache.answer("http://e.example", async || rules("")).await, RobotsAnswer::Rules(_)));
    }

    #[tokio::test]
    async fn answers_expire_and_unreachable_ones_sooner() {
        let cache = cache(10, 1000);
        cache.answer("http://good.example", async || rules("")).await;
        cache.answer("http://bad.example", async || RobotsAnswer::Unreachable(FetchFailure::ConnectTimeout)).await;
        let is_known = |origin: &str, after_s: u64| {
            cache.cell(origin, Instant::now() + Duration::from_secs(after_s)).get().is_some()
        };
        assert!(is_known("http://good.example", 50) && is_known("http://bad.example", 0));
        assert!(!is_known("http://bad.example", 21));
        assert!(!is_known("http://good.example", 102));
    }

    #[tokio::test]
    async fn memory_has_a_bound_and_what_is_used_stays() {
        let by_count = cache(20, usize::MAX);
        let by_bytes = cache(usize::MAX, 4000);
        let long = format!("User-agent: *\nDisallow: /{}", "a".repeat(500));
        for number in 0..1000 {
            for cache in [&by_count, &by_bytes] {
                cache.answer(&format!("http://{number}.example"), async || rules(&long)).await;
                cache.answer("http://used.example", async || rules("")).await;
                let generations = cache.lock();
                assert!(generations.young.len() + generations.old.len() <= 24);
            }
        }
        assert!(by_count.known("http://used.example").is_some() && by_count.known("http://3.example").is_none());
    }
}

//! How is a site spared that redirects lead to? Whoever fetches paces the sites it asks itself, and cannot know where their
//! answers send it: ten thousand short links may all end at one server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

/// Longest wait of one fetch at one site's gate; whoever would wait longer comes back later.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Sites that are remembered; with one more, those where nobody is and that nobody waits for are forgotten.
const MAX_SITES: usize = 4_096;

/// Lets so many redirected fetches at a time into each site, and one each pause.
pub(super) struct Gate {
    per_site: usize,
    pause: Duration,
    sites: Mutex<HashMap<String, Arc<Site>>>,
}

struct Site {
    permits: Arc<Semaphore>,
    /// When the next one may start.
    next: Mutex<Instant>,
}

/// Leave to ask a site, until it is dropped.
pub(super) struct Pass {
    _permit: OwnedSemaphorePermit,
    /// A site where somebody is must not be forgotten: it would let in as many again.
    _site: Arc<Site>,
}

impl Gate {
    pub(super) fn new(per_site: usize, pause: Duration) -> Self {
        Self { per_site, pause, sites: Mutex::default() }
    }

    /// Waits until the site may be asked, `crawl_delay` being what its robots.txt wants; `None` if that takes too long.
    pub(super) async fn enter(&self, site: &str, crawl_delay: Option<Duration>) -> Option<Pass> {
        let latest = Instant::now() + MAX_WAIT;
        let site = self.site(site);
        let permit = timeout_at(latest, Arc::clone(&site.permits).acquire_owned()).await.ok()?.ok()?;
        let start = site.reserve(self.pause.max(crawl_delay.unwrap_or_default()), latest)?;
        sleep_until(start).await;
        Some(Pass { _permit: permit, _site: site })
    }

    fn site(&self, name: &str) -> Arc<Site> {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(site) = sites.get(name) {
            return Arc::clone(site);
        }
        if sites.len() >= MAX_SITES {
            let now = Instant::now();
            sites.retain(|_, site| Arc::strong_count(site) > 1 || *site.next() > now);
        }
        let site =
            Arc::new(Site { permits: Arc::new(Semaphore::new(self.per_site)), next: Mutex::new(Instant::now()) });
        sites.insert(name.to_owned(), Arc::clone(&site));
        site
    }
}

impl Site {
    fn next(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next free start, unless that is after `latest`: then it stays free.
    fn reserve(&self, pause: Duration, latest: Instant) -> Option<Instant> {
        let mut next = self.next();
        let start = (*next).max(Instant::now());
        if start > latest {
            return None;
        }
        *next = start + pause;
        Some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_site_is_entered_by_so_many_at_a_time_and_once_each_pause() {
        let gate = Arc::new(Gate::new(2, Duration::from_millis(500)));
        let began = Instant::now();
        let at = || began.elapsed().as_millis();
        let first = gate.enter("a.example", None).await.unwrap();
        assert_eq!(at(), 0);
        let second = gate.enter("a.example", None).await.unwrap();
        assert_eq!(at(), 500);
        let _other = gate.enter("b.example", None).await.unwrap();
        assert_eq!(at(), 500, "another site has a gate of its own");
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter("a.example", None).await.is_some() }
        });
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(!waiting.is_finished(), "two are inside");
        drop(first);
        assert!(waiting.await.unwrap());
        drop(second);
        // A crawl-delay holds back whoever comes after.
        drop(gate.enter("a.example", Some(Duration::from_secs(20))).await.unwrap());
        let before = at();
        drop(gate.enter("a.example", None).await.unwrap());
        assert_eq!(at() - before, 20_000);
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_wait_for_more_than_a_minute_is_sent_away_and_takes_no_turn() {
        let gate = Gate::new(1, Duration::from_secs(45));
        let inside = gate.enter("a.example", None).await.unwrap();
        assert!(gate.enter("a.example", None).await.is_none());
        drop(inside);
        assert!(gate.enter("a.example", None).await.is_some());
        let hour = Some(Duration::from_secs(3_600));
        assert!(gate.enter("a.example", hour).await.is_some());
        assert!(gate.enter("a.example", None).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn sites_are_forgotten_but_not_where_somebody_is() {
        let gate = Gate::new(1, Duration::ZERO);
        let _inside = gate.enter("0.example", None).await.unwrap();
        for n in 1..=MAX_SITES {
            gate.enter(&format!("{n}.example"), None).await.unwrap();
        }
        let n_sites = gate.sites.lock().unwrap().len();
        assert!(n_sites <= 2, "{n_sites}");
        assert!(gate.enter("0.example", None).await.is_none(), "it lets one in, who is still there");
    }
}

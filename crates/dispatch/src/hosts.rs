//! How do hosts get from the queue into a run of fetching, and when is their shard acknowledged?

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use affectory_catalog::Catalog;
use affectory_collect::{CollectError, HostShare, HostSource};

use crate::aside::Aside;
use crate::queue::{Held, PATIENCE, Taker};
use crate::{Activity, Shard, WorkerCounts};

/// How long a run of fetching waits for a shard: what is under way has to be answered meanwhile.
const SHORT_WAIT: Duration = Duration::from_millis(50);

/// Hosts whose shards come from the queue, leased in the catalogue.
#[derive(Debug)]
pub struct QueuedHosts<'a> {
    catalog: &'a Catalog,
    worker: &'a str,
    taker: Aside<Held>,
    activity: &'a Activity,
    held: Vec<Begun>,
    counts: WorkerCounts,
}

/// A shard, and which of its hosts are still worked on.
#[derive(Debug)]
struct Begun {
    held: Held,
    hosts: HashSet<String>,
}

impl<'a> QueuedHosts<'a> {
    /// `taker` takes shards of [`crate::WorkStage::Fetch`].
    pub fn new(catalog: &'a Catalog, worker: &'a str, taker: Taker, activity: &'a Activity) -> Self {
        let taker = Aside::new(taker);
        Self { catalog, worker, taker, activity, held: Vec::new(), counts: WorkerCounts::default() }
    }

    /// What became of the shards.
    pub fn counts(&self) -> &WorkerCounts {
        &self.counts
    }

    /// Gives back what is in hand, after an error: somebody else may go on at once. What was fetched and could not be
    /// recorded is fetched again.
    pub async fn close(&mut self) {
        for Begun { held, hosts } in self.held.drain(..) {
            let hosts: Vec<String> = hosts.into_iter().collect();
            if let Err(error) = self.catalog.release_hosts(self.worker, &hosts).await {
                tracing::warn!("{} hosts stay ours until their leases end: {error}", hosts.len());
            }
            self.counts.given_back += 1;
            held.give_back().await;
        }
        if let Some(held) = self.taker.late(PATIENCE).await {
            self.counts.given_back += 1;
            held.give_back().await;
        }
    }
}

impl HostSource for QueuedHosts<'_> {
    async fn take(&mut self, room: u32, now_ms: i64, lease_ms: i64) -> Result<Vec<HostShare>, CollectError> {
        for begun in &mut self.held {
            begun.held.keep().await;
        }
        let mut shares = Vec::new();
        loop {
            let next = match shares.len() < room as usize {
                true => self.taker.next(SHORT_WAIT).await,
                // One that comes late is worked at all the same: the queue has given it to us.
                false => self.taker.late(Duration::ZERO).await,
            };
            let Some(mut held) = next else { break };
            let Shard::Fetch { hosts } = &held.shard else { break };
            held.waited_ms = self.counts.came(held.published_ms, now_ms);
            let wanted: HashMap<String, u32> = hosts.iter().map(|host| (host.host.clone(), host.at_most)).collect();
            let names: Vec<String> = wanted.keys().cloned().collect();
            let claimed = self.catalog.claim_named_hosts(self.worker, &names, now_ms, lease_ms).await?;
            if claimed.is_empty() {
                // Done, or in somebody's hands; were that one dead, its hosts are offered again when their leases end.
                self.counts.nothing_left += 1;
                held.done().await;
                continue;
            }
            let share = |host: &String| HostShare {
                host: host.clone(),
                at_most: wanted.get(host).copied().unwrap_or(0),
                shard: Some(held.hash.clone()),
            };
            shares.extend(claimed.iter().map(share));
            self.held.push(Begun { held, hosts: claimed.into_iter().collect() });
        }
        if !self.held.is_empty() {
            self.activity.note(now_ms);
        }
        Ok(shares)
    }

    async fn give_back(&mut self, hosts: &[String], is_done: bool) -> Result<(), CollectError> {
        self.catalog.release_hosts(self.worker, hosts).await?;
        let mut still = Vec::new();
        for mut begun in self.held.drain(..) {
            let n_before = begun.hosts.len();
            begun.hosts.retain(|host| !hosts.contains(host));
            if !is_done && begun.hosts.len() < n_before {
                self.counts.given_back += 1;
                begun.held.give_back().await;
            } else if begun.hosts.is_empty() {
                self.counts.done += 1;
                begun.held.done().await;
            } else {
                still.push(begun);
            }
        }
        self.held = still;
        Ok(())
    }

    async fn next_due(&mut self, _now_ms: i64) -> Result<Option<i64>, CollectError> {
        // The dispatcher watches the time.
        Ok(None)
    }
}

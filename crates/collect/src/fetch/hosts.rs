//! Where does a run of fetching get its hosts from, and who is told when it is done with them?

use std::future::Future;
use std::sync::Arc;

use affectory_catalog::Catalog;

use crate::CollectError;

/// A leased host, and how much of its queue is to be worked off now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostShare {
    /// The host (registrable domain).
    pub host: String,
    /// Candidates to be taken from its queue, at most.
    pub at_most: u32,
    /// The shard it came with, by its hash.
    pub shard: Option<Arc<str>>,
}

/// Gives leased hosts out, and takes them back.
pub trait HostSource: Send {
    /// About `room` more hosts, none if there is none now. Their leases last until `now_ms + lease_ms`, and are made to last
    /// longer by whoever works on them. Called now and then without room, too: a source may have to tell others that what it
    /// gave is still worked on.
    fn take(
        &mut self,
        room: u32,
        now_ms: i64,
        lease_ms: i64,
    ) -> impl Future<Output = Result<Vec<HostShare>, CollectError>> + Send;

    /// Takes hosts back whose outcomes are recorded. `is_done`: their share is worked off; else the run ends before.
    fn give_back(&mut self, hosts: &[String], is_done: bool) -> impl Future<Output = Result<(), CollectError>> + Send;

    /// When more may come although there is nothing now, ms UTC, if that is known.
    fn next_due(&mut self, now_ms: i64) -> impl Future<Output = Result<Option<i64>, CollectError>> + Send;
}

/// All hosts of a catalogue, the longest due first: the way of one machine, which asks nobody else.
#[derive(Debug)]
pub struct CatalogHosts<'a> {
    /// Where they stand.
    pub catalog: &'a Catalog,
    /// Who holds the leases.
    pub worker: &'a str,
}

impl HostSource for CatalogHosts<'_> {
    async fn take(&mut self, room: u32, now_ms: i64, lease_ms: i64) -> Result<Vec<HostShare>, CollectError> {
        if room == 0 {
            return Ok(vec![]);
        }
        let hosts = self.catalog.claim_hosts(self.worker, room, now_ms, lease_ms).await?;
        Ok(hosts.into_iter().map(|host| HostShare { host, at_most: u32::MAX, shard: None }).collect())
    }

    async fn give_back(&mut self, hosts: &[String], _is_done: bool) -> Result<(), CollectError> {
        Ok(self.catalog.release_hosts(self.worker, hosts).await?)
    }

    async fn next_due(&mut self, now_ms: i64) -> Result<Option<i64>, CollectError> {
        Ok(self.catalog.next_host_due(now_ms).await?)
    }
}

//! To which addresses does a name lead, now, and which of them may be used?
//!
//! The client connects to nothing but what this resolver returned, so a name that changes its answer between a check and
//! a connection gains nothing: there is no second look-up.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::address::{AddressKind, Network, check_address};
use super::failure::FetchFailure;

/// Most addresses of one name that are looked at.
const MAX_ANSWERS: usize = 16;

/// Look-ups of the system that run at once. One that hangs can't be called off and keeps its thread, so their number
/// needs a bound; half a minute later the system gives up by itself.
const MAX_SYSTEM_LOOKUPS: usize = 64;

/// Who is asked for a name's addresses: the system, or in tests a script.
pub trait Lookup: Send + Sync + 'static {
    /// The addresses of a name, in the order in which to try them.
    fn lookup(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the operating system.
#[derive(Debug)]
pub struct SystemLookup {
    permits: Arc<Semaphore>,
}

impl Default for SystemLookup {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(MAX_SYSTEM_LOOKUPS)) }
    }
}

impl Lookup for SystemLookup {
    fn lookup(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let (permits, host) = (Arc::clone(&self.permits), host.to_owned());
        async move {
            let permit = permits.acquire_owned().await.map_err(io::Error::other)?;
            // A task of its own, so that the permit is held for as long as the thread is, whoever stopped waiting.
            let asking = tokio::spawn(async move {
                let found = tokio::net::lookup_host((host.as_str(), 0)).await;
                drop(permit);
                found.map(|addresses| addresses.take(MAX_ANSWERS).map(|address| address.ip()).collect())
            });
            asking.await.map_err(io::Error::other)?
        }
        .boxed()
    }
}

/// Drops forbidden addresses from what a [`Lookup`] says.
pub(crate) struct GuardedResolver {
    pub(crate) lookup: Arc<dyn Lookup>,
    pub(crate) open_networks: Vec<Network>,
    pub(crate) timeout: Duration,
}

/// Why a name leads nowhere; found again in the chain of causes of the client's error.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ResolveRefusal {
    #[error("`{host}` leads to {kind} address {address}")]
    Forbidden { host: String, address: IpAddr, kind: AddressKind },
    #[error("failed to resolve `{host}`: {reason}")]
    Failed { host: String, reason: String },
    #[error("resolving `{host}` took too long")]
    TimedOut { host: String },
}

impl From<ResolveRefusal> for FetchFailure {
    fn from(refusal: ResolveRefusal) -> Self {
        match refusal {
            ResolveRefusal::Forbidden { host, address, kind } => FetchFailure::ForbiddenAddress { host, address, kind },
            ResolveRefusal::Failed { host, reason } => FetchFailure::Dns { host, reason },
            ResolveRefusal::TimedOut { host } => FetchFailure::DnsTimeout { host },
        }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let asking = tokio::time::timeout(self.timeout, self.lookup.lookup(&host));
        let open = self.open_networks.clone();
        async move {
            let answer = match asking.await {
                Ok(answer) => allowed(host, answer, &open)?,
                Err(_) => return Err(ResolveRefusal::TimedOut { host }.into()),
            };
            let addresses: Addrs = Box::new(answer.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        }
        .boxed()
    }
}

fn allowed(host: String, answer: io::Result<Vec<IpAddr>>, open: &[Network]) -> Result<Vec<IpAddr>, ResolveRefusal> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(e) => return Err(ResolveRefusal::Failed { host, reason: e.to_string() }),
    };
    let mut forbidden = None;
    let mut allowed = Vec::new();
    for address in answer.into_iter().take(MAX_ANSWERS) {
        match check_address(address, open) {
            Ok(()) => allowed.push(address),
            Err(kind) => forbidden = forbidden.or(Some((address, kind))),
        }
    }
    match (allowed.is_empty(), forbidden) {
        (false, _) => Ok(allowed),
        (true, Some((address, kind))) => Err(ResolveRefusal::Forbidden { host, address, kind }),
        (true, None) => Err(ResolveRefusal::Failed { host, reason: "no address".into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_addresses_are_dropped_and_named_when_nothing_is_left() {
        let answer = |addresses: &[&str]| {
            let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
            allowed("e.example".into(), Ok(addresses), &[])
        };
        assert_eq!(answer(&["10.0.0.1", "8.8.8.8", "::1"]).unwrap(), ["8.8.8.8".parse::<IpAddr>().unwrap()]);
        assert!(matches!(
            answer(&["169.254.169.254", "10.0.0.1"]),
            Err(ResolveRefusal::Forbidden { kind: AddressKind::Metadata, .. })
        ));
        assert!(matches!(answer(&[]), Err(ResolveRefusal::Failed { .. })));
        assert_eq!(answer(&["8.8.8.8"; 100]).unwrap().len(), MAX_ANSWERS);
    }
}

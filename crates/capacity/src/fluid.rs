//! How long must it take at the least, and which of the bounds is the tightest?
//!
//! Each thing that a candidate needs is a bound by itself: all of it, divided by how much of it there is in a second. A
//! host is one, too: it is asked at its pace by one worker, however many there are. If work can be moved about freely, the
//! largest of these is the time for all (for hosts with a largest rate each and a largest rate of all, this is McNaughton's
//! theorem of 1959 on preemptive schedules), and what is done until a time is the smaller of what the machines can do and
//! what the hosts let happen. The event-by-event simulation tells how far the program stays behind it.

use crate::{Plan, Rates, Way, host_sizes};

/// One bound.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Bound {
    /// What there is too little of.
    pub resource: Resource,
    /// Time for all that is needed of it, s.
    pub seconds: f64,
}

/// What can be short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// Cores of all machines: searching for faces above all.
    Cores,
    /// Fetches under way at once.
    Fetches,
    /// Hosts that workers may hold at once, each asked at its pace.
    Places,
    /// The machines' lines.
    Network,
    /// Transactions of the catalogue, one after the other.
    Catalogue,
    /// The pace of the largest host.
    LargestHost,
}

impl Resource {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Resource::Cores => "cores",
            Resource::Fetches => "fetches under way",
            Resource::Places => "hosts held at once",
            Resource::Network => "network",
            Resource::Catalogue => "catalogue",
            Resource::LargestHost => "the largest host's pace",
        }
    }

    /// Whether more workers help.
    pub const fn is_of_workers(self) -> bool {
        match self {
            Resource::Cores | Resource::Fetches | Resource::Places | Resource::Network => true,
            Resource::Catalogue | Resource::LargestHost => false,
        }
    }
}

/// The calculated end of a plan.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Fluid {
    /// The tightest first.
    pub bounds: Vec<Bound>,
    /// The tightest of them but for the largest host: what the machines need for everything, s.
    pub bulk_s: f64,
    /// When the hosts, all asked at once by as many machines as it takes, are done with 90, 99 and 100 %, s.
    pub hosts_s: [f64; 3],
    /// The largest host's candidates.
    pub largest_host: u64,
    /// Hosts that take longer than all machines together need for everything, and their candidates.
    pub late_hosts: u64,
    /// See there.
    pub late_candidates: u64,
}

impl Fluid {
    /// The least time for all, s.
    pub fn seconds(&self) -> f64 {
        self.bounds.first().map_or(0.0, |bound| bound.seconds)
    }

    /// When 90, 99 and 100 % of the candidates are done, s, if machines stay `behind` their bound: 1 is the earliest.
    pub fn marks_s(&self, behind: f64) -> [f64; 3] {
        let [part, most, all] = self.hosts_s;
        let bulk_s = self.bulk_s * behind;
        [part.max(bulk_s * 0.9), most.max(bulk_s * 0.99), all.max(bulk_s)]
    }

    /// The tightest bound.
    pub fn bottleneck(&self) -> Option<Resource> {
        self.bounds.first().map(|bound| bound.resource)
    }
}

/// Calculates the bounds of a plan, whatever its size.
pub fn fluid(plan: &Plan, rates: &Rates) -> Fluid {
    let sizes = host_sizes(plan.candidates, plan.hosts, rates.assumed.zipf);
    let (m, a, is) = (&rates.measured, &rates.assumed, &rates.settings);
    let (n, machines, workers) = (plan.candidates as f64, f64::from(plan.machines), f64::from(plan.workers));
    let fetched = n * (1.0 - a.dead_share);
    let images = fetched * a.new_share;
    let host_s = |size: u64| host_seconds(size, plan.way, rates);
    let of = |resource, seconds| Bound { resource, seconds };
    let cores_s = (n * m.fetch_cpu_ms + images * m.face_cpu_ms) / 1e3 / machines / f64::from(plan.cores);
    let places = workers * 2.0 * f64::from(is.concurrency);
    let rows_s = (n * m.fetch_row_us + images * m.face_row_us) / 1e6;
    // A batch of up to 500 fetches, or 64 images, which are claimed and recorded.
    let commits_s = (n / 500.0 + images / 64.0 * 2.0) * m.commit_ms / 1e3;
    let mut bounds = vec![
        of(Resource::Cores, cores_s),
        of(Resource::Fetches, n * rates.fetch_s() / (workers * f64::from(is.concurrency))),
        of(Resource::Places, n * rates.pace_s() / places),
        of(Resource::Network, fetched * rates.transfer_s() / machines),
        of(Resource::Catalogue, rows_s + commits_s),
    ];
    let bulk_s = bounds.iter().map(|bound| bound.seconds).fold(0.0, f64::max);
    let largest_host = sizes.first().copied().unwrap_or(0);
    bounds.push(of(Resource::LargestHost, host_s(largest_host)));
    bounds.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let n_late = sizes.partition_point(|size| host_s(*size) > bulk_s);
    Fluid {
        bounds,
        bulk_s,
        hosts_s: [0.9, 0.99, 1.0].map(|share| hosts_until(&sizes, share, host_s)),
        largest_host,
        late_hosts: n_late as u64,
        late_candidates: sizes[..n_late].iter().sum(),
    }
}

/// How long one host takes if it is always worked on, s.
fn host_seconds(size: u64, way: Way, rates: &Rates) -> f64 {
    let pace_s = rates.pace_s();
    // A shard has at most 1,000 candidates of a host; it is offered again no sooner than after 60 s, and between two of its
    // shards lie the last batch's second, half a turn of the dispatcher and half a worker's pause.
    let between_s = match way {
        Way::Alone => 0.0,
        Way::Queue => (60.0 - 1_000.0 * pace_s).max(0.8),
    };
    size as f64 * pace_s + (size.saturating_sub(1) / 1_000) as f64 * between_s
}

/// When the hosts, all asked at once, have let that share of all candidates happen, s.
fn hosts_until(sizes: &[u64], share: f64, host_s: impl Fn(u64) -> f64) -> f64 {
    let whole: u64 = sizes.iter().sum();
    let wanted = (whole as f64 * share).ceil() as u64;
    let largest = sizes.first().copied().unwrap_or(0);
    // The least number that each host may have had done: found by halves.
    let done = |each: u64| sizes.iter().map(|size| (*size).min(each)).sum::<u64>();
    let (mut low, mut high) = (0, largest);
    while low < high {
        let middle = low + (high - low) / 2;
        if done(middle) >= wanted { high = middle } else { low = middle + 1 }
    }
    host_s(high)
}

//! The room that answers: how long will it take and what will it need, before anybody buys it?
//!
//! In: a [`Plan`] (how many addresses at how many hosts, how many workers) and [`Rates`] (what each thing costs: measured,
//! or assumed with a reason). Out: the time to the end, what there is too little of, and what it all amounts to.
//!
//! There are two ways to the time, and each checks the other.
//!
//! [`simulate()`] plays the program's own loops event by event: hosts with their pace, shards as the dispatcher cuts and
//! offers them, workers that lease hosts, fetch, record in batches, search images in batches, share cores, line, disk and
//! catalogue, and die. It is exact in the order of things, takes about a second for half a million candidates, and is meant
//! for up to [`EXACT`]. A billion would take an hour and gigabytes, and would tell nothing more: batches, turns and
//! leases last seconds, and the sums over days are what counts.
//!
//! [`fluid()`] calculates: each resource is a bound, the tightest one is the steady state, and the tail (large hosts, which
//! no number of machines makes faster) is summed host by host, so that it is as exact for a billion as for a thousand.
//!
//! Tests hold them against each other where both can run: the simulation is never faster than a bound, and not much slower
//! than the tightest. For a plan beyond [`EXACT`], [`stay_behind()`] simulates a part of its steady state, and tells by how much
//! the program stays behind its bounds there.
//!
//! Not simulated: asking search engines (their quotas decide), repeated attempts, hosts that ask to be left alone, people
//! who annotate. Absent: the clock, files, networks, the other crates; a test compares the constants with theirs.
//!
//! ```
//! use affectory_capacity::{Plan, Rates, Resource, Way, fluid, simulate};
//!
//! let rates = Rates::built_in();
//! let plan =
//!     Plan { candidates: 2_000, hosts: 4, workers: 1, machines: 1, cores: 2, way: Way::Queue, seed: 1 };
//! let (exact, bounds) = (simulate(&plan, &rates), fluid(&plan, &rates));
//! assert_eq!(exact.ended, 2_000);
//! // 960 of the addresses are at one host, which is asked twice a second.
//! assert_eq!((bounds.bottleneck(), bounds.largest_host), (Some(Resource::LargestHost), 960));
//! assert!(exact.seconds >= 479.5 && exact.seconds < 500.0, "{}", exact.seconds);
//! ```

mod fluid;
mod hosts;
mod needs;
mod plan;
mod rates;
mod simulate;

pub use fluid::{Bound, Fluid, Resource, fluid};
pub use hosts::host_sizes;
pub use needs::{EXACT, Needs, StageCost, needs, stay_behind, workers_for};
pub use plan::{Outcome, Plan, Way};
pub use rates::{Assumed, BUILT_IN, Measured, Rates, RatesError, RowBytes, Settings};
pub use simulate::simulate;

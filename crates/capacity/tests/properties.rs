//! What holds of every plan, however drawn? Nothing is lost, nothing is faster than it can be, the same seed says the same.

use affectory_capacity::{Plan, Rates, Resource, Way, fluid, host_sizes, needs, simulate, stay_behind, workers_for};
use proptest::prelude::*;

prop_compose! {
    fn plans()(candidates in 1_u64..6_000, hosts in 1_u64..300, workers in 1_u32..6, machines in 1_u32..4,
               cores in 1_u32..4, is_alone in any::<bool>(), seed in any::<u64>()) -> Plan {
        let way = if is_alone { Way::Alone } else { Way::Queue };
        let workers = if is_alone { 1 } else { workers };
        Plan { candidates, hosts, workers, machines: machines.min(workers), cores, way, seed }
    }
}

prop_compose! {
    fn rates()(concurrency in 1_u32..80, per_host in 1_u32..5, pause_ms in prop_oneof![Just(0.0), Just(20.0)],
               fetch_cpu_ms in 0.1..3.0, face_cpu_ms in 0.5..20.0, flush_us in 0.0..2_000.0, commit_ms in 0.0..20.0,
               fetch_row_us in 0.0..500.0, latency_ms in 0.1..200.0, dead_share in 0.0..1.0, new_share in 0.0..1.0,
               zipf in 0.0..2.0) -> Rates {
        let mut rates = Rates::built_in();
        let (is, m, a) = (&mut rates.settings, &mut rates.measured, &mut rates.assumed);
        (is.concurrency, is.per_host, is.pause_ms) = (concurrency, per_host, pause_ms);
        (m.fetch_cpu_ms, m.face_cpu_ms, m.flush_us) = (fetch_cpu_ms, face_cpu_ms, flush_us);
        (m.commit_ms, m.fetch_row_us, m.face_row_us) = (commit_ms, fetch_row_us, fetch_row_us);
        (a.latency_ms, a.dead_share, a.new_share, a.zipf) = (latency_ms, dead_share, new_share, zipf);
        a.days_to_failure = 0.0;
        rates
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hosts_add_up(candidates in 1_u64..1_000_000, hosts in 1_u64..5_000, zipf in 0.0..3.0) {
        let sizes = host_sizes(candidates, hosts, zipf);
        prop_assert_eq!(sizes.iter().sum::<u64>(), candidates);
        prop_assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes.len() as u64 <= hosts && !sizes.contains(&0));
    }

    #[test]
    fn every_candidate_ends_once_and_no_sooner_than_each_bound_allows(plan in plans(), rates in rates()) {
        let outcome = simulate(&plan, &rates);
        prop_assert_eq!((outcome.ended, outcome.lost), (plan.candidates, 0));
        prop_assert_eq!(outcome.searched, outcome.images);
        prop_assert!(outcome.images <= plan.candidates);
        prop_assert!(outcome.marks_s.is_sorted() && outcome.marks_s[2] <= outcome.seconds);
        for share in [outcome.cores, outcome.catalogue, outcome.network, outcome.fetches] {
            prop_assert!((0.0..=1.0 + 1e-6).contains(&share), "{outcome:?}");
        }
        // Bounds that draws decide (who is dead, how long an answer takes) are taken as they fell.
        let cpu_s = (plan.candidates as f64 * rates.measured.fetch_cpu_ms
            + outcome.images as f64 * rates.measured.face_cpu_ms) / 1e3;
        prop_assert!(outcome.seconds + 1e-3 >= cpu_s / f64::from(plan.machines * plan.cores));
        let rows_s = (plan.candidates as f64 * rates.measured.fetch_row_us
            + outcome.searched as f64 * rates.measured.face_row_us) / 1e6;
        prop_assert!(outcome.seconds + 1e-2 >= rows_s + outcome.commits as f64 * rates.measured.commit_ms / 1e3 * 0.99);
        let largest = host_sizes(plan.candidates, plan.hosts, rates.assumed.zipf)[0];
        prop_assert!(outcome.seconds >= (largest - 1) as f64 * rates.settings.pause_ms / 1e3);
    }

    #[test]
    fn the_same_seed_says_the_same(plan in plans(), rates in rates()) {
        prop_assert_eq!(simulate(&plan, &rates), simulate(&plan, &rates));
    }

    #[test]
    fn more_workers_are_not_slower(plan in plans(), rates in rates()) {
        // Without luck: other numbers of workers draw other times for the same address.
        let mut rates = rates;
        (rates.assumed.latency_sigma, rates.assumed.dead_share) = (0.0, 0.0);
        let of = |workers| simulate(&Plan { workers, machines: workers, way: Way::Queue, ..plan.clone() }, &rates);
        let (one, many) = (of(1), of(1 + plan.workers));
        // Rounding: who looks a moment later, a host's next share that waits for its minute, a last batch.
        prop_assert!(many.seconds <= one.seconds * 1.05 + 5.0, "{one:?} {many:?}");
    }

    #[test]
    fn what_dies_costs_time_and_loses_nothing(plan in plans(), rates in rates()) {
        let mut rates = rates;
        rates.assumed.days_to_failure = 20.0 / 86_400.0;
        rates.assumed.restart_s = 5.0;
        let outcome = simulate(&plan, &rates);
        prop_assert_eq!((outcome.ended, outcome.searched), (plan.candidates, outcome.images));
        prop_assert!(outcome.lost == 0 || outcome.deaths > 0);
    }
}

/// A plan, and the name of what is short in it.
fn cases() -> Vec<(&'static str, Plan, Rates)> {
    let mut rates = Rates::built_in();
    rates.assumed.days_to_failure = 0.0;
    let plan = |workers, hosts| Plan::with_workers(60_000, hosts, (workers, 2), 7);
    let with = |change: fn(&mut Rates)| {
        let mut rates = rates.clone();
        change(&mut rates);
        rates
    };
    vec![
        ("cores", plan(4, 6_000), with(|rates| rates.assumed.zipf = 0.0)),
        ("largest host", plan(4, 600), rates.clone()),
        ("largest host, one worker", plan(1, 6_000), rates.clone()),
        (
            "fetches",
            plan(2, 6_000),
            with(|rates| {
                (rates.assumed.zipf, rates.settings.concurrency, rates.measured.face_cpu_ms) = (0.0, 16, 1.0);
                rates.settings.pause_ms = 0.0;
            }),
        ),
        (
            "network",
            plan(2, 6_000),
            with(|rates| {
                (rates.assumed.zipf, rates.assumed.network_mbit, rates.measured.face_cpu_ms) = (0.0, 50.0, 1.0);
            }),
        ),
        (
            "catalogue",
            plan(8, 6_000),
            with(|rates| {
                (rates.assumed.zipf, rates.measured.fetch_row_us, rates.measured.face_cpu_ms) = (0.0, 5_000.0, 1.0);
            }),
        ),
    ]
}

#[test]
fn both_ways_agree_where_both_can_run() {
    for (name, plan, rates) in cases() {
        let (exact, least) = (simulate(&plan, &rates), fluid(&plan, &rates));
        let behind = exact.seconds / least.seconds();
        println!(
            "{name}: {:.0} s, bound {:.0} s ({:?}), {behind:.3}",
            exact.seconds,
            least.seconds(),
            least.bottleneck()
        );
        assert!((1.0..1.2).contains(&behind), "{name}: {exact:?} {least:?}");
        assert!(exact.marks_s[0] >= least.marks_s(1.0)[0] * 0.95, "{name}: {exact:?} {least:?}");
    }
}

#[test]
fn a_part_stands_for_a_billion() {
    let rates = Rates::built_in();
    let plan = Plan::with_workers(1_000_000_000, 10_000_000, (64, 2), 1);
    let least = fluid(&plan, &rates);
    assert_eq!(least.bottleneck(), Some(Resource::LargestHost));
    let behind = stay_behind(&plan, &rates);
    assert!((1.0..1.2).contains(&behind), "{behind}");
    assert!(least.marks_s(behind)[0] < least.marks_s(behind)[2] / 5.0, "{least:?}");
    // No number of workers makes the largest host faster; a year is enough for nobody.
    let (resource, seconds) = workers_for(&plan, &rates, 30.0 * 86_400.0, 1.0).unwrap_err();
    assert_eq!((resource, seconds), (Resource::LargestHost, least.seconds()));
    let many = workers_for(&plan, &rates, seconds, 1.0).unwrap();
    let after = fluid(&Plan::with_workers(plan.candidates, plan.hosts, (many, 2), 1), &rates);
    assert!(after.seconds() <= seconds * 1.001);
}

#[test]
fn a_worked_case_of_what_is_needed() {
    let mut rates = Rates::built_in();
    (rates.assumed.dead_share, rates.assumed.new_share, rates.assumed.faces_per_image) = (0.5, 0.5, 2.0);
    (rates.assumed.image_kb, rates.measured.face_cpu_ms) = (100.0, 36.0);
    let [list, fetch, faces] = needs(1_000_000, 10, &rates).stages;
    // A million addresses, half a million fetched, a quarter of a million new, half a million faces.
    assert_eq!((list.rows, fetch.rows, faces.rows), (2e6, 1.25e6, 1e6));
    assert_eq!((fetch.puts, fetch.received_bytes, fetch.stored_bytes), (5e5, 5e10, 2.5e10));
    assert_eq!((faces.gets, faces.puts, faces.cpu_h), (2.5e5, 5e5, 2.5));
    assert_eq!(needs(1_000_000, 10, &rates).connections, 12 * 8 + 20);
}

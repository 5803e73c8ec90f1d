//! Is a provider asked no more than it allows, by whatever process, and is what it did not bring counted?

use std::collections::BTreeMap;

use affectory_catalog::{Catalog, LeftOutCount, NewPage, Refusal, Spending};

use crate::collection::{claimed, hit, query};
use crate::engines::{Engine, engines};

#[tokio::test]
async fn a_budget_is_never_overspent_by_two_at_once() {
    const DAY_MS: i64 = 86_400_000;
    for Engine { url, catalog, .. } in engines("quota").await {
        let other = Catalog::connect(&url).await.unwrap();
        let mut n_granted = 0;
        for _ in 0..10 {
            let (a, b) =
                tokio::join!(catalog.spend_quota("p", 11, 0, 7 * DAY_MS), other.spend_quota("p", 11, 0, 7 * DAY_MS));
            n_granted += [a.unwrap(), b.unwrap()].iter().filter(|spending| **spending == Spending::Granted).count();
        }
        assert_eq!(n_granted, 11);
        assert_eq!(catalog.spend_quota("p", 1, 0, 8 * DAY_MS).await.unwrap(), Spending::Granted);
        assert_eq!(catalog.spend_quota("p", 0, 0, 9 * DAY_MS).await.unwrap(), Spending::Spent);
        assert_eq!(catalog.list_quota().await.unwrap()[1].requests, 11);
        // Between two requests lies the pause, whoever sends them.
        assert_eq!(catalog.spend_quota("q", 9, 500, 1_000).await.unwrap(), Spending::Granted);
        assert_eq!(other.spend_quota("q", 9, 500, 1_499).await.unwrap(), Spending::Wait { until_ms: 1_500 });
        assert_eq!(other.spend_quota("q", 9, 500, 1_500).await.unwrap(), Spending::Granted);
    }
}

#[tokio::test]
async fn who_refused_is_not_asked_by_another_process_until_then_and_is_forgiven_with_its_next_answer() {
    for Engine { url, catalog, .. } in engines("refusal").await {
        let other = Catalog::connect(&url).await.unwrap();
        catalog.plan_queries(&[query(0), query(1)], 10).await.unwrap();
        let refusal = |until_ms: Option<i64>, refused_ms: i64| Refusal {
            provider: "p".into(),
            until_ms,
            refusals: 1,
            reason: "it's spent".into(),
            refused_ms,
        };
        let search = claimed(&catalog, "w", 20).await;
        catalog.record_refusal((search.id, "w"), &refusal(Some(5_000), 20)).await.unwrap();
        let asked = async |now_ms: i64| other.spend_quota("p", 9, 0, now_ms).await.unwrap();
        assert_eq!(asked(4_999).await, Spending::Refused { until_ms: 5_000, reason: "it's spent".into() });
        assert_eq!(other.list_quota().await.unwrap(), [], "a request that was not granted is not in the ledger");
        assert_eq!(other.spend_quota("q", 9, 0, 4_999).await.unwrap(), Spending::Granted);
        assert_eq!(asked(5_000).await, Spending::Granted);

        // The other search is free meanwhile, the refused one not before its time.
        let second = claimed(&catalog, "w", 30).await;
        assert_ne!(second.id, search.id);
        catalog.record_refusal((second.id, "w"), &refusal(None, 6_000)).await.unwrap();
        assert_eq!(catalog.list_refusals().await.unwrap(), [Refusal { refusals: 2, ..refusal(None, 6_000) }]);
        assert_eq!(asked(6_001).await, Spending::Granted, "who asks anew after a refused key may have another key");

        let again = claimed(&catalog, "w", 6_002).await;
        catalog.record_page((again.id, "w"), &NewPage::last(&[hit(1, 1)]), 6_003).await.unwrap();
        assert_eq!(catalog.list_refusals().await.unwrap(), []);
    }
}

#[tokio::test]
async fn what_was_left_out_is_counted_by_reason_and_not_by_a_worker_that_came_too_late() {
    for Engine { catalog, .. } in engines("left_out").await {
        catalog.plan_queries(&[query(0), query(1)], 10).await.unwrap();
        for (n, counts) in [BTreeMap::from([("bad-url", 2), ("other-license", 1)]), BTreeMap::from([("bad-url", 5)])]
            .into_iter()
            .enumerate()
        {
            let search = claimed(&catalog, "w", 20).await;
            let page = NewPage { left_out: &counts, ..NewPage::last(&[]) };
            catalog.record_page((search.id, "late"), &page, 30 + n as i64).await.unwrap();
            catalog.record_page((search.id, "w"), &page, 30 + n as i64).await.unwrap();
        }
        let count = |reason: &str, results| LeftOutCount { provider: "p".into(), reason: reason.into(), results };
        assert_eq!(catalog.count_left_out().await.unwrap(), [count("bad-url", 7), count("other-license", 1)]);
    }
}

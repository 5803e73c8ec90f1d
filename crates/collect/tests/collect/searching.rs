//! Does a search end well over HTTP with every kind of provider, whatever it does, and where enough was found?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use affectory_collect::Host;
use affectory_core::Expression;

use super::stages::Lab;
use super::support::{Reply, Request, Server};

/// Every kind at one server, which tells them apart by their paths.
fn all_kinds(server: &Server, more: &str) -> String {
    let provider = |(kind, own): &(&str, &str)| {
        let base = server.url("");
        format!("[[provider]]\nkind = \"{kind}\"\nbase_url = \"{base}\"\npause_ms = 0\nlicenses = []\n{own}{more}")
    };
    KINDS.iter().map(provider).collect()
}

/// Kinds and what only they need.
const KINDS: [(&str, &str); 8] = [
    ("searxng", ""),
    ("brave", ""),
    ("openverse", ""),
    ("commons", ""),
    ("flickr", ""),
    ("serpapi", ""),
    ("pexels", ""),
    ("google", "engine_id = \"cx\"\n"),
];

/// A page in the shape of the kind that asks, with two results that nobody saw before, and one more page to come.
fn endless(n_results: &AtomicU64, path: &str) -> Reply {
    let n = n_results.fetch_add(2, Ordering::SeqCst);
    let [a, b] = [n, n + 1].map(|n| format!("https://images.example/{n}.jpg"));
    let body = match path.split('?').next().unwrap() {
        "/v1/auth_tokens/token/" => serde_json::json!({ "access_token": "t", "expires_in": 43_200 }),
        "/search" => serde_json::json!({ "results": [{ "img_src": a }, { "img_src": b }] }),
        "/res/v1/images/search" => {
            serde_json::json!({ "results": [{ "properties": { "url": a } }, { "properties": { "url": b } }] })
        }
        "/v1/images/" => serde_json::json!({
            "results": [{ "url": a, "license": "by" }, { "url": b, "license": "by" }], "page_count": 9_999,
        }),
        "/w/api.php" => serde_json::json!({
            "continue": { "gsroffset": n + 2, "continue": "-||" },
            "query": { "pages": [
                { "title": "a", "index": 1, "imageinfo": [{ "url": a }] },
                { "title": "b", "index": 2, "imageinfo": [{ "url": b }] },
            ] },
        }),
        "/services/rest/" => serde_json::json!({
            "stat": "ok",
            "photos": { "pages": 9_999, "total": "121528", "photo": [{ "id": "1", "url_l": a }, { "id": "2", "url_l": b }] },
        }),
        "/search.json" => serde_json::json!({
            "search_metadata": { "status": "Success" }, "images_results": [{ "original": a }, { "original": b }],
            "serpapi_pagination": { "next": "x" },
        }),
        "/v1/search" => serde_json::json!({
            "photos": [{ "src": { "original": a } }, { "src": { "original": b } }], "next_page": "x",
        }),
        "/customsearch/v1" => serde_json::json!({
            "items": [{ "link": a }, { "link": b }], "queries": { "nextPage": [{ "startIndex": n + 2 }] },
        }),
        _ => return Reply::status(404),
    };
    Reply::body(body.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_next_page_ends_at_the_results_that_were_wanted_with_every_kind() {
    let n_results = AtomicU64::new(0);
    let server = Server::start(move |request: &Request| endless(&n_results, &request.path)).await;
    let lab = Lab::with(&all_kinds(&server, "max_results = 7\n")).await;
    lab.plan_one().await;
    for summary in lab.search().await {
        // Two results a page; the eighth is one too many. Brave gives one page.
        let expected = if summary.provider == "brave" { (1, 2, 0) } else { (4, 7, 0) };
        assert_eq!((summary.pages, summary.hits, summary.failures), expected, "{summary:?}");
        assert_eq!(summary.ended_early, None, "{summary:?}");
    }
    let n_asked = server.requests().len();
    assert!(lab.search().await.iter().all(|summary| summary.pages == 0));
    assert_eq!(server.requests().len(), n_asked, "nothing is left to be asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_says_429_is_not_asked_with_another_query_and_again_after_a_minute() {
    let server = Server::always(Reply::status(429)).await;
    let lab = Lab::with(&all_kinds(&server, "")).await;
    lab.plan(1).await;
    for summary in lab.search().await {
        assert_eq!((summary.pages, summary.failures), (0, 1), "{summary:?}");
        let why = summary.ended_early.as_deref().unwrap_or_default();
        assert!(why.contains("the quota is spent"), "{summary:?}");
    }
    assert_eq!(server.requests().len(), KINDS.len());

    // The next run knows of it, asks after that minute, and waits for twice as long then.
    lab.clock_ms.fetch_add(59_999, Ordering::SeqCst);
    for summary in lab.search().await {
        assert_eq!(summary.failures, 0, "{summary:?}");
        assert!(summary.ended_early.is_some_and(|why| why.contains("the quota is spent")));
    }
    assert_eq!(server.requests().len(), KINDS.len());
    lab.clock_ms.fetch_add(1, Ordering::SeqCst);
    lab.search().await;
    assert_eq!(server.requests().len(), 2 * KINDS.len());
    for refusal in lab.project.catalog.list_refusals().await.unwrap() {
        assert_eq!((refusal.refusals, refusal.until_ms), (2, Some(lab.now_ms() + 120_000)), "{refusal:?}");
    }
}

/// Issue 4's list of tricks, as results. What is refused here leaves its reason in the catalogue, and no address; what an
/// address alone does not tell is refused when it is fetched.
#[tokio::test(flavor = "multi_thread")]
async fn every_result_that_becomes_no_address_leaves_its_reason() {
    let long = format!("https://x.example/{}", "a".repeat(5_000));
    let addresses = [
        "file:///etc/passwd",
        "data:image/png;base64,AA",
        "ftp://x.example/1.jpg",
        "http://good.example@169.254.169.254/1.jpg",
        "https://user:word@x.example/1.jpg",
        "http://[::1",
        &long,
        "https://cdn.stock.example/1.jpg",
        "https://x.example/1.jpg",
        "https://x.example/2.jpg",
    ];
    let mut photos: Vec<_> = addresses.iter().map(|url| serde_json::json!({ "src": { "original": url } })).collect();
    photos.extend([serde_json::json!(7), serde_json::json!({ "src": { "original": "" } })]);
    let server = Server::always(Reply::body(serde_json::json!({ "photos": photos }).to_string())).await;
    let base = server.url("");
    let settings = format!("[[provider]]\nkind = \"pexels\"\nbase_url = \"{base}\"\npause_ms = 0\nmax_results = 11\n");
    let mut lab = Lab::with(&settings).await;
    lab.settings.fetch.excluded_hosts = vec![Host::try_from("stock.example".to_owned()).unwrap()];
    lab.plan_one().await;
    let summary = &lab.search().await[0];
    let mut counts: Vec<(String, u64)> = Vec::new();
    for row in lab.project.catalog.count_left_out().await.unwrap() {
        counts.push((row.reason, row.results));
    }
    counts.sort();
    let expected = [
        ("bad-url", 1),
        ("excluded-host", 1),
        ("forbidden-scheme", 3),
        ("long-url", 1),
        ("no-image", 1),
        ("not-wanted", 1),
        ("user-info", 2),
    ];
    assert_eq!(counts, expected.map(|(reason, n)| (reason.to_owned(), n)));
    assert_eq!((summary.hits, summary.left_out), (2, 10), "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_whose_bytes_never_end_costs_an_attempt_and_its_reason_is_kept() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{\"results\": [".to_vec();
    let server = Server::always(Reply::Drip(head, Duration::from_millis(20))).await;
    let mut lab = Lab::with(&all_kinds(&server, "")).await;
    lab.settings.fetch.timeout_s = 1;
    lab.plan_one().await;
    for summary in lab.search().await {
        assert_eq!((summary.pages, summary.failures), (0, 1), "{summary:?}");
        assert_eq!(summary.ended_early.as_deref(), Some("the rest is due later"), "{summary:?}");
    }
    let failures = lab.project.catalog.count_search_failures(99).await.unwrap();
    assert_eq!(failures.len(), KINDS.len(), "{failures:?}");
    for failure in failures {
        assert_eq!((failure.state.as_str(), failure.searches), ("open", 1), "{failure:?}");
        assert!(failure.reason.contains("took too long"), "{failure:?}");
    }
}

/// Flickr with 121,528 results of every query and 3,000 of every slice, 500 a page or as many as are asked for.
async fn flickr() -> Server {
    let n_photos = Arc::new(AtomicU64::new(0));
    Server::start(move |request: &Request| {
        let number = |name: &str| {
            let value = request.path.split(['?', '&']).find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            value.and_then(|value| value.parse::<u64>().ok())
        };
        let total = if number("min_upload_date").is_some() { 3_000 } else { 121_528 };
        let n = number("per_page").unwrap();
        let first = n_photos.fetch_add(n, Ordering::SeqCst);
        let photos: Vec<_> = (first..first + n)
            .map(|n| serde_json::json!({ "id": n, "url_l": format!("https://live.example/{n}.jpg") }))
            .collect();
        let photos = serde_json::json!({ "pages": total / n, "total": total.to_string(), "photo": photos });
        Reply::body(serde_json::json!({ "stat": "ok", "photos": photos }).to_string())
    })
    .await
}

async fn flickr_lab(server: &Server, max_results: u32) -> Lab {
    let base = server.url("");
    let lab = Lab::with(&format!(
        "[[provider]]\nkind = \"flickr\"\nbase_url = \"{base}\"\npause_ms = 0\nmax_results = {max_results}\n"
    ))
    .await;
    // 2026: before 2004 there is nothing to slice.
    lab.clock_ms.store(1_790_000_000_000, Ordering::SeqCst);
    lab.plan_one().await;
    lab
}

/// It used to become more than 2,000 searches: sliced until each slice had no more than what was wanted of the query.
#[tokio::test(flavor = "multi_thread")]
async fn who_wants_a_hundred_of_a_hundred_thousand_results_asks_once() {
    let server = flickr().await;
    let lab = flickr_lab(&server, 100).await;
    let summary = &lab.search().await[0];
    assert_eq!((summary.pages, summary.hits, summary.ended_early.as_deref()), (1, 100, None), "{summary:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_more_than_flickr_hands_out_asks_slices_until_it_is_enough() {
    let server = flickr().await;
    let lab = flickr_lab(&server, 4_800).await;
    let summary = &lab.search().await[0];
    // 500 of the query as a whole, which shows that it needs slices, then the first page of nine slices.
    assert_eq!((summary.pages, summary.hits, summary.left_out), (10, 4_800, 200), "{summary:?}");
    assert_eq!(summary.ended_early, None);
    assert_eq!(server.requests().len(), 10);
    let counts = &lab.project.catalog.count_searches().await.unwrap()[0];
    assert_eq!((counts.open, counts.failed), (0, 0), "the other slices are over, too");
}

/// A stock site's page shows pictures of its delivery network, whose name nobody has on a list.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_that_stands_on_a_page_of_an_excluded_host() {
    let server = Server::always(Reply::body(
        r#"{"photos": [
            {"url": "https://www.stock.example/1", "src": {"original": "https://cdn.example/1.jpg"}},
            {"url": "https://blog.example/2", "src": {"original": "https://cdn.example/2.jpg"}}]}"#,
    ))
    .await;
    let base = server.url("");
    let mut lab = Lab::with(&format!("[[provider]]\nkind = \"pexels\"\nbase_url = \"{base}\"\npause_ms = 0\n")).await;
    lab.settings.fetch.excluded_hosts = vec![Host::try_from("stock.example".to_owned()).unwrap()];
    lab.plan_one().await;
    let summary = &lab.search().await[0];
    assert_eq!((summary.hits, summary.left_out), (1, 1), "{summary:?}");
}

impl Lab {
    /// One German query for each provider.
    async fn plan_one(&self) {
        let n_new = self.plan_for(vec![Expression::Happy], 1).await;
        assert_eq!(n_new, self.settings.providers.len() as u64);
    }
}

//! What does a collection make of servers that are busy, gone, silent or wrong, and of being stopped?
//!
//! img2dataset 1.47, which a lab would use otherwise, was read and measured for what it does wrong. Each of that has a test
//! here, which says what we do instead:
//!
//! | img2dataset | the test |
//! |---|---|
//! | opens a connection for every request | `net::answers::connections_are_reused` |
//! | times each read of a socket only, so that a byte every half second holds a shard | `net::limits::slowness_holds_no_slot` |
//! | reads a body without limit | `net::limits::bytes_have_a_limit` |
//! | decodes a PNG of 20000x20000 before it looks at its area | [`a_picture_too_large_to_decode_is_refused_by_its_header`] |
//! | asks again at once for what is not there (404) | [`what_is_not_there_is_asked_for_once`] |
//! | ignores Retry-After | [`a_busy_host_is_asked_again_when_it_said_and_not_before`], [`a_host_that_asks_for_an_hour_is_left_alone_for_an_hour`] |
//! | follows redirects into the loopback network | `net::addresses::redirects_into_forbidden_places_are_refused` |
//! | opens `file://` in the list | `net::url::tests::tricks_are_refused` beside the code; in a whole run `every_hostile_address_and_broken_file_has_its_class_in_the_catalogue` in `affectory/tests/collect.rs` |
//! | never asks for robots.txt | `net::robots::robots_txt_is_asked_once_and_obeyed_at_every_hop` |
//! | misses an X-Robots-Tag that is meant for it | `net::robots::x_robots_tag_is_obeyed_when_it_is_meant_for_us` |
//! | calls itself a browser | `net::answers::requests_say_who_asks_and_offer_no_compression` |
//! | takes the same address and the same picture again and again | `stages::a_plan_becomes_images_once_with_every_sighting` |
//! | does not ask later for what failed | `stages::a_server_that_is_busy_is_asked_again_later_and_given_up_at_last` |
//! | after a stop, fetches whole shards again, and only from the very same list | [`a_stopped_run_goes_on_without_repeating_anything_also_when_the_list_has_grown`]; killed: `a_collection_killed_twelve_times_ends_as_an_undisturbed_one` in `affectory/tests/collect.rs` |
//! | leaves a short but valid tar when it is killed | `an_export_killed_at_any_moment_leaves_whole_shards_and_goes_on` there |
//! | says in free text why an address failed | `net::answers::statuses_have_classes_and_retry_after_is_kept`, and every test here that names a class |
//!
//! That it takes 782 MB to install is measured, in the README.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use affectory_core::Stop;
use affectory_imaging::{RgbImage, encode_png};

use super::stages::{Lab, pexels_at, picture};
use super::support::{Reply, Request, Server};

/// A lab that found these pictures at a server of images, and the server that told it.
async fn lab_that_found(numbers: Range<u32>, images: &Server) -> Lab {
    let image = images.url("");
    let provider = Server::start(move |_| photos(&image, numbers.clone())).await;
    let lab = Lab::with(&pexels_at(&provider)).await;
    lab.plan(1).await;
    lab.search().await;
    lab
}

/// One page of results, as Pexels writes it.
fn photos(server: &str, numbers: Range<u32>) -> Reply {
    let photos: Vec<_> =
        numbers.map(|n| serde_json::json!({ "src": { "original": format!("{server}/{n}.jpg") } })).collect();
    Reply::body(serde_json::json!({ "photos": photos, "total_results": photos.len() }).to_string())
}

/// Requests for pictures until now.
fn n_asked(images: &Server) -> usize {
    images.requests().iter().filter(|request| request.path != "/robots.txt").count()
}

fn jump(lab: &Lab, seconds: i64) {
    lab.clock_ms.fetch_add(seconds * 1000, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_too_large_to_decode_is_refused_by_its_header() {
    let mut png = encode_png(&RgbImage::filled(8, 8, [1, 2, 3])).unwrap();
    // Width and height stand behind the first chunk's name, its checksum behind its 13 bytes.
    png[16..24].copy_from_slice(&[0, 0, 0x4e, 0x20, 0, 0, 0x4e, 0x20]);
    png[29..33].copy_from_slice(&[0x6c, 0x12, 0xd1, 0x6e]);
    let images = Server::always(Reply::body(png)).await;
    let lab = lab_that_found(0..1, &images).await;
    lab.fetch().await;
    assert_eq!(lab.outcomes().await, [("too-many-pixels".to_owned(), 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_asked_for_once() {
    let images = Server::always(Reply::status(404)).await;
    let lab = lab_that_found(0..3, &images).await;
    let done = lab.fetch().await;
    assert_eq!((done.rejected, done.postponed, done.next_due_ms), (3, 0, None));
    jump(&lab, 30 * 24 * 3600);
    lab.fetch().await;
    assert_eq!(n_asked(&images), 3);
}

/// Its own back-off, of 70 s and up to a quarter more, would be over long before.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_host_is_asked_again_when_it_said_and_not_before() {
    let was_asked: Arc<[AtomicBool; 2]> = Arc::default();
    let images = Server::start(move |request: &Request| match request.path.as_str() {
        "/robots.txt" => Reply::status(404),
        "/0.jpg" if !was_asked[0].swap(true, Ordering::SeqCst) => Reply::status(503).with("Retry-After", "200"),
        // The lab's clock is at 1,000 s now.
        "/1.jpg" if !was_asked[1].swap(true, Ordering::SeqCst) => {
            Reply::status(429).with("Retry-After", "Thu, 01 Jan 1970 00:21:40 GMT")
        }
        _ => Reply::body(picture(request.path.as_bytes()[1])),
    })
    .await;
    let lab = lab_that_found(0..2, &images).await;
    let first = lab.fetch().await;
    assert_eq!((first.postponed, first.next_due_ms), (2, Some(1_300_000)));
    assert_eq!(lab.outcomes().await, [("http-5xx".to_owned(), 1), ("rate-limited".to_owned(), 1)]);
    jump(&lab, 299);
    lab.fetch().await;
    assert_eq!(n_asked(&images), 2);
    // What failed together does not come back together: up to a quarter later.
    jump(&lab, 300 / 4 + 1);
    assert_eq!(lab.fetch().await.fetched, 2);
    assert_eq!((n_asked(&images), lab.outcomes().await), (4, vec![("fetched".to_owned(), 2)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_asks_for_an_hour_is_left_alone_for_an_hour() {
    let is_busy = Arc::new(AtomicBool::new(true));
    let busy = Arc::clone(&is_busy);
    let images = Server::start(move |request: &Request| match request.path.as_str() {
        "/robots.txt" => Reply::status(404),
        _ if busy.load(Ordering::SeqCst) => Reply::status(429).with("Retry-After", "3600"),
        _ => Reply::body(picture(request.path.as_bytes()[1])),
    })
    .await;
    let mut lab = lab_that_found(0..4, &images).await;
    lab.settings.fetch.per_host = 1;
    let first = lab.fetch().await;
    // Not asked for the others, nor waited for.
    assert_eq!((first.postponed, first.next_due_ms, n_asked(&images)), (1, Some(lab.now_ms() + 3_600_000), 1));
    is_busy.store(false, Ordering::SeqCst);
    jump(&lab, 3_599);
    lab.fetch().await;
    assert_eq!(n_asked(&images), 1);
    jump(&lab, 1);
    assert_eq!(lab.fetch().await.fetched, 3);
    jump(&lab, 3_600 / 4);
    assert_eq!((lab.fetch().await.fetched, n_asked(&images)), (1, 5));
}

/// Not even whether it has a robots.txt: that is asked once for all that wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_says_nothing_costs_one_wait_and_not_one_a_picture() {
    let images = Server::start(|_| Reply::RawThenSilence(Vec::new())).await;
    let mut lab = lab_that_found(0..9, &images).await;
    lab.settings.fetch.timeout_s = 1;
    lab.settings.fetch.per_host = 1;
    assert_eq!(lab.fetch().await.postponed, 9);
    assert_eq!(lab.outcomes().await, [("robots-unreachable".to_owned(), 9)]);
    assert_eq!(images.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_run_goes_on_without_repeating_anything_also_when_the_list_has_grown() {
    let images = Server::start(|request: &Request| match request.path.as_str() {
        "/robots.txt" => Reply::status(404),
        path => Reply::body(picture(path.as_bytes()[1])),
    })
    .await;
    let has_grown = Arc::new(AtomicBool::new(false));
    let (grown, image) = (Arc::clone(&has_grown), images.url(""));
    let provider = Server::start(move |_| photos(&image, if grown.load(Ordering::SeqCst) { 2..8 } else { 0..6 })).await;
    let mut lab = Lab::with(&pexels_at(&provider)).await;
    lab.plan(1).await;
    lab.search().await;
    (lab.settings.fetch.per_host, lab.settings.fetch.pause_ms) = (1, 500);
    let stop = Stop::default();
    let watch = async {
        while lab.outcomes().await.iter().all(|(outcome, _)| outcome != "fetched") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stop.request();
    };
    let (first, ()) = tokio::join!(lab.fetch_until(&stop), watch);
    assert!(first.stopped && (1..6).contains(&first.fetched), "{first:?}");

    has_grown.store(true, Ordering::SeqCst);
    lab.plan(2).await;
    lab.search().await;
    lab.settings.fetch.pause_ms = 0;
    assert_eq!(lab.fetch().await.fetched, 8 - first.fetched);
    for number in 0..8 {
        assert_eq!(images.count(&format!("/{number}.jpg")), 1, "{number}");
    }
}

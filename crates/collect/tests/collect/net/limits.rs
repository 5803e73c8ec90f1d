//! Does everything end that would not end by itself?

use std::fs::File;
use std::process::Command;
use std::time::{Duration, Instant};

use affectory_collect::{Client, ClientSettings};
use futures::future::join_all;

use super::addresses::Scripted;
use super::{class_of, client, fetch, fetch_with, head, head_and, jpeg, settings};
use crate::support::{Reply, Server};

#[tokio::test]
async fn redirects_end() {
    let server = Server::start(|request| match request.path.as_str() {
        "/a" => Reply::redirect("/b"),
        "/b" => Reply::redirect("/a#again"),
        "/self" => Reply::redirect("/self"),
        "/nowhere" => Reply::status(302),
        "/robots.txt" => Reply::status(404),
        path => Reply::redirect(format!("{path}x")),
    })
    .await;
    for (path, class) in [
        ("/a", "redirect-loop"),
        ("/self", "redirect-loop"),
        ("/on", "too-many-redirects"),
        ("/nowhere", "bad-redirect"),
    ] {
        assert_eq!(fetch(&server.url(path)).await.unwrap_err().class(), class, "{path}");
    }
    assert_eq!((server.count("/onxxxxx"), server.count("/onxxxxxx")), (1, 0));
}

#[tokio::test]
async fn slowness_holds_no_slot() {
    let short = Duration::from_millis(150);
    let base = ClientSettings { respect_robots: false, ..settings() };
    let silent = ClientSettings { connect_timeout: Duration::from_secs(1), headers_timeout: short, ..base.clone() };
    let ended = join_all([
        class_of(silent.clone(), Reply::RawThenSilence(Vec::new())),
        class_of(silent.clone(), Reply::RawThenSilence(b"HTTP/1.1 200 OK\r\nX: ".to_vec())),
        class_of(silent, Reply::Drip(b"HTTP/1.1 200 OK\r\nX: ".to_vec(), short / 10)),
    ]);
    assert_eq!(ended.await, ["timeout-headers"; 3]);

    let picture = head_and("Content-Length: 5000\r\n", &jpeg(100));
    let watched = ClientSettings { progress_window: short, min_window_bytes: 1000, ..base.clone() };
    assert_eq!(class_of(watched.clone(), Reply::Drip(picture.clone(), short / 10)).await, "too-slow");
    assert_eq!(class_of(watched, Reply::RawThenSilence(picture.clone())).await, "too-slow");
    let hurried = ClientSettings { body_timeout: short, ..base.clone() };
    assert_eq!(class_of(hurried, Reply::Drip(picture.clone(), short / 10)).await, "timeout-body");
    let total = ClientSettings { total_timeout: short, ..base };
    assert_eq!(class_of(total, Reply::Drip(picture, short / 10)).await, "timeout-total");
}

#[tokio::test]
async fn bytes_have_a_limit() {
    let flood = |lines: &str| Reply::Flood(head_and(lines, &jpeg(100)), vec![7; 10_000]);
    assert_eq!(class_of(settings(), flood("")).await, "too-large");
    assert_eq!(class_of(settings(), flood("Content-Length: 300000000\r\n")).await, "too-large");
    assert_eq!(class_of(settings(), Reply::body(jpeg(100_000))).await, "image");
    assert_eq!(class_of(settings(), Reply::body(jpeg(100_001))).await, "too-large");
    // Announced, so refused although nothing of it comes.
    let announced = Reply::RawThenSilence(head("Content-Length: 100001\r\n"));
    assert_eq!(class_of(settings(), announced).await, "too-large");
    let chunks = format!("{:x}\r\n{}\r\n", 50_000, "x".repeat(50_000)).into_bytes();
    let endless = Reply::Flood(head_and("Transfer-Encoding: chunked\r\n", b"4\r\n\xff\xd8\xff\xe0\r\n"), chunks);
    assert_eq!(class_of(settings(), endless).await, "too-large");
}

#[tokio::test]
async fn headers_have_a_limit() {
    let settings = ClientSettings { respect_robots: false, ..settings() };
    let long = Reply::body(jpeg(100)).with("X-Long", "a".repeat(100_000));
    assert_eq!(class_of(settings.clone(), long).await, "headers-too-large");
    let many = Reply::Raw(head_and(&"X: y\r\n".repeat(101), &jpeg(100)));
    assert_eq!(class_of(settings.clone(), many).await, "headers-too-large");
    let endless = Reply::Flood(b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'a'; 10_000]);
    assert_eq!(class_of(settings.clone(), endless).await, "headers-too-large");
    assert_eq!(class_of(settings.clone(), Reply::Raw(b"220 mail ready\r\n\r\n".to_vec())).await, "protocol");
    assert_eq!(class_of(settings, Reply::Raw(Vec::new())).await, "connect");
}

/// Each idle connection is an open file: with thousands of hosts they would be all that a process may have.
#[tokio::test]
async fn connections_are_kept_for_as_many_sites_as_the_settings_say() {
    for (max_idle_sites, n_connections) in [(2, 2), (1, 4)] {
        let server = Server::always(Reply::body(jpeg(100))).await;
        let settings = ClientSettings { max_idle_sites, respect_robots: false, ..settings() };
        let client = Client::new(settings).unwrap();
        for host in ["127.0.0.1", "localhost", "127.0.0.1", "localhost"] {
            fetch_with(&client, &format!("http://{host}:{}/x", server.port())).await.unwrap();
        }
        assert_eq!(server.n_connections(), n_connections, "{max_idle_sites}");
    }
}

/// Set for a process that has few of them.
const FEW_DESCRIPTORS: &str = "AFFECTORY_TEST_FEW_DESCRIPTORS";

#[test]
#[expect(clippy::disallowed_methods, reason = "a test asks whether it is the process that it started")]
fn an_address_is_not_blamed_when_this_process_has_no_socket_left() {
    if std::env::var_os(FEW_DESCRIPTORS).is_none() {
        // A process of its own: running out of sockets would meet the other tests.
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n 64; exec \"$@\"", "sh"]).arg(std::env::current_exe().unwrap());
        shell.args(["--exact", "net::limits::an_address_is_not_blamed_when_this_process_has_no_socket_left"]);
        let output = shell.env(FEW_DESCRIPTORS, "1").output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let server = Server::always(Reply::body(jpeg(100))).await;
        let (client, url) = (client(), server.url("/x"));
        let all: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        assert!(!all.is_empty());
        let freed = async {
            tokio::time::sleep(Duration::from_millis(250)).await;
            drop(all);
        };
        let (ended, ()) = tokio::join!(fetch_with(&client, &url), freed);
        assert_eq!(ended.unwrap().bytes, jpeg(100));
    });
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_no_success() {
    let short = Reply::Raw(head_and("Content-Length: 5000\r\n", &jpeg(4999)));
    assert_eq!(class_of(settings(), short).await, "incomplete-body");
    let chunk = [b"64\r\n", jpeg(100).as_slice(), b"\r\n"].concat();
    let unfinished = Reply::Raw(head_and("Transfer-Encoding: chunked\r\n", &chunk));
    assert_eq!(class_of(settings(), unfinished).await, "incomplete-body");
    // Longer than announced: what was announced is the body, and the rest is nobody's answer.
    let server =
        Server::always(Reply::Raw(head_and("Content-Length: 100\r\n", &[jpeg(100), jpeg(100)].concat()))).await;
    let client = client();
    for _ in 0..2 {
        assert_eq!(fetch_with(&client, &server.url("/x")).await.unwrap().bytes, jpeg(100));
    }
}

#[tokio::test]
async fn encoded_bodies_are_refused_unread() {
    for encoding in ["gzip", "br", "GZip, gzip"] {
        let bomb = Reply::RawThenSilence(head(&format!("Content-Encoding: {encoding}\r\nContent-Length: 1000\r\n")));
        assert_eq!(class_of(settings(), bomb).await, "encoded-body");
    }
    assert_eq!(class_of(settings(), Reply::body(jpeg(100)).with("Content-Encoding", "identity")).await, "image");
}

#[tokio::test]
async fn content_is_sniffed_and_ends_early() {
    let page = format!("<!doctype html>{}", " ".repeat(200));
    let endless =
        Reply::RawThenSilence(head_and("Content-Type: image/jpeg\r\nContent-Length: 90000\r\n", page.as_bytes()));
    assert_eq!(class_of(settings(), endless).await, "not-an-image");
    assert_eq!(class_of(settings(), Reply::body("<html>").with("Content-Type", "image/jpeg")).await, "not-an-image");
    assert_eq!(class_of(settings(), Reply::body("")).await, "not-an-image");
    assert_eq!(class_of(settings(), Reply::body(jpeg(20)).with("Content-Type", "text/html")).await, "image");
}

/// Four sites whose pictures all lie at a fifth: it is asked once each pause, and what is left of a fetch's time does not
/// run while it waits for that.
#[tokio::test]
async fn a_site_that_redirects_lead_to_is_paced_like_one_that_is_asked_itself() {
    let server = Server::start(|request| match request.path.as_str() {
        "/robots.txt" => Reply::status(404),
        "/picture" => Reply::body(jpeg(100)),
        path => Reply::redirect(format!("http://cdn.example:{}/picture", path.trim_start_matches('/'))),
    })
    .await;
    let pause = Duration::from_millis(400);
    let total_timeout = Duration::from_secs(1);
    let client = |redirect_pause| {
        let settings = ClientSettings { redirect_pause, redirects_per_site: 1, total_timeout, ..settings() };
        Client::with_lookup(settings, Scripted::new(&[&["127.0.0.1"]]).0).unwrap()
    };
    let paced = client(pause);
    let began = Instant::now();
    let port = server.port();
    let fetched = join_all(["a", "b", "c", "d"].map(async |name| {
        let url = format!("http://{name}.example:{port}/{port}");
        // `.example` is nobody's suffix: each of these is a site of its own.
        fetch_with(&paced, &url).await.map(|image| image.n_redirects)
    }))
    .await;
    assert_eq!(fetched, [const { Ok(1) }; 4]);
    assert!(began.elapsed() >= 3 * pause, "{:?}", began.elapsed());
    // A redirect within a site is the site's own affair: none of these waits for an hour.
    let patient = client(Duration::from_secs(3_600));
    let within = Server::start(|request| match request.path.as_str() {
        "/robots.txt" => Reply::status(404),
        "/picture" => Reply::body(jpeg(100)),
        _ => Reply::redirect("/picture"),
    })
    .await;
    for _ in 0..4 {
        fetch_with(&patient, &format!("http://e.example:{}/x", within.port())).await.unwrap();
    }
}

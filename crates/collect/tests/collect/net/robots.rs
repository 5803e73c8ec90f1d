//! Are the words of a site's owner obeyed?

use std::time::Duration;

use affectory_collect::{Client, ClientSettings, FetchFailure, parse};
use futures::future::join_all;

use super::{class_of, client, fetch, fetch_with, head, head_and, jpeg, settings};
use crate::support::{Reply, Server};

#[tokio::test]
async fn x_robots_tag_is_obeyed_when_it_is_meant_for_us() {
    let tagged =
        |tags: &[&str]| tags.iter().fold(Reply::body(jpeg(100)), |reply, tag| reply.with("X-Robots-Tag", *tag));
    for (tags, class) in [
        (&["noai"][..], "x-robots-tag"),
        (&["nofollow, NoImageAI"], "x-robots-tag"),
        (&["nofollow", "affectory: noindex"], "x-robots-tag"),
        (&["otherbot: noindex"], "image"),
        (&["otherbot: noindex", "none"], "x-robots-tag"),
    ] {
        assert_eq!(class_of(settings(), tagged(tags)).await, class, "{tags:?}");
    }
    let unread = Reply::RawThenSilence(head("X-Robots-Tag: noai\r\nContent-Length: 1000\r\n"));
    assert_eq!(class_of(settings(), unread).await, "x-robots-tag");
    let bold = ClientSettings { respect_x_robots_tag: false, ..settings() };
    assert_eq!(class_of(bold, tagged(&["noai"])).await, "image");
}

#[tokio::test]
async fn robots_txt_is_asked_once_and_obeyed_at_every_hop() {
    let server = Server::start(|request| match request.path.as_str() {
        "/robots.txt" => Reply::body("User-agent: affectory\nDisallow: /private\nCrawl-delay: 2"),
        "/hop" => Reply::redirect("/private/x"),
        _ => Reply::body(jpeg(100)),
    })
    .await;
    let client = client();
    let url = |path: &str| parse(&server.url(path), None).unwrap();
    assert_eq!(client.crawl_delay(&url("/x")), None);
    let urls = ["/x", "/y", "/private/x", "/hop"].map(|path| server.url(path));
    let ended = join_all(urls.iter().map(|url| fetch_with(&client, url))).await;
    let classes: Vec<_> = ended.iter().map(|e| e.as_ref().map_or_else(FetchFailure::class, |_| "image")).collect();
    assert_eq!(classes, ["image", "image", "robots", "robots"]);
    assert_eq!((server.count("/robots.txt"), server.count("/private/x")), (1, 0));
    assert_eq!(client.crawl_delay(&url("/x")), Some(Duration::from_secs(2)));

    let bold = Client::new(ClientSettings { respect_robots: false, ..settings() }).unwrap();
    fetch_with(&bold, &server.url("/private/x")).await.unwrap();
    assert_eq!(server.count("/robots.txt"), 1);
}

#[tokio::test]
async fn what_becomes_of_robots_txt_decides_what_is_allowed() {
    let long = format!("#{}\nUser-agent: *\nDisallow: /", "x".repeat(600 << 10));
    for (robots, class) in [
        (Reply::status(404), "image"),
        (Reply::status(403), "image"),
        (Reply::status(429), "robots-unreachable"),
        (Reply::status(503), "robots-unreachable"),
        (Reply::redirect("/moved"), "robots"),
        (Reply::redirect("/robots.txt"), "image"),
        (Reply::redirect("http://169.254.169.254/"), "robots-unreachable"),
        (Reply::redirect("file:///etc/passwd"), "robots-unreachable"),
        (Reply::body("User-agent: *\nDisallow: /").with("Content-Encoding", "gzip"), "robots-unreachable"),
        (Reply::Raw(head_and("Content-Length: 100\r\n", b"User-agent")), "robots-unreachable"),
        (Reply::body(long), "image"), // the rule lies beyond the limit
        (Reply::Flood(head(""), b"# for ever\n".to_vec()), "image"),
        (Reply::body("<html>not found</html>"), "image"),
    ] {
        let told = format!("{robots:.80?}");
        let server = Server::start(move |request| match request.path.as_str() {
            "/robots.txt" => robots.clone(),
            "/moved" => Reply::body("User-agent: *\nDisallow: /"),
            _ => Reply::body(jpeg(100)),
        })
        .await;
        let ended = fetch(&server.url("/x")).await;
        assert_eq!(ended.as_ref().map_or_else(FetchFailure::class, |_| "image"), class, "{told}");
        assert_eq!(server.count("/x"), usize::from(class == "image"), "{told}");
    }
}

#[tokio::test]
async fn an_unreachable_robots_txt_is_for_later() {
    let server = Server::start(|_| Reply::status(503).with("Retry-After", "9")).await;
    let client = client();
    let failure = fetch_with(&client, &server.url("/x")).await.unwrap_err();
    assert!(failure.is_retryable() && failure.retry_after_ms(0) == Some(9000), "{failure:?}");
    // Not asked again for each of the site's pictures.
    fetch_with(&client, &server.url("/y")).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
}

//! What does an ordinary server bring, and in which words does it say no?

use affectory_collect::{Client, ClientSettings, FetchFailure, Fetched, RetryAfter, Validators, normalize};
use affectory_imaging::ImageFormat;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::{class_of, client, fetch, fetch_with, jpeg, settings};
use crate::support::{Reply, Request, Server};

#[tokio::test]
async fn a_picture_comes_with_what_is_known_of_it() {
    let server = Server::start(|request| match request.path.as_str() {
        "/x" => Reply::redirect("/y?utm_source=kept&s=%7e"),
        "/y?utm_source=kept&s=%7e" => Reply::body(jpeg(5000))
            .with("Content-Type", "image/png")
            .with("ETag", "\"v1\"")
            .with("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
        _ => Reply::status(404),
    })
    .await;
    let image = fetch(&server.url("/x")).await.unwrap();
    assert_eq!(image.bytes, jpeg(5000));
    assert_eq!((image.format, image.n_redirects), (ImageFormat::Jpeg, 1));
    assert_eq!(image.declared_type.as_deref(), Some("image/png"));
    assert_eq!(image.final_url.as_str(), server.url("/y?utm_source=kept&s=%7e"));
    let etag = Some("\"v1\"".to_owned());
    assert_eq!(image.validators, Validators { etag, last_modified: Some("Wed, 21 Oct 2015 07:28:00 GMT".into()) });
}

#[tokio::test]
async fn connections_are_reused() {
    let server = Server::always(Reply::body(jpeg(20_000))).await;
    let client = client();
    for number in 0..20 {
        fetch_with(&client, &server.url(&format!("/{number}.jpg"))).await.unwrap();
    }
    assert_eq!((server.requests().len(), server.n_connections()), (21, 1));
}

#[tokio::test]
async fn requests_say_who_asks_and_offer_no_compression() {
    let server = Server::always(Reply::body(jpeg(100))).await;
    let settings = ClientSettings { contact: Some("https://lab.example/crawl".into()), ..settings() };
    fetch_with(&Client::new(settings).unwrap(), &server.url("/x")).await.unwrap();
    for request in server.requests() {
        let agent = request.header("user-agent").unwrap();
        assert!(agent.starts_with("affectory/") && agent.contains("https://lab.example/crawl"), "{agent}");
        assert_eq!(request.header("accept-encoding"), None);
        assert_eq!((request.header("cookie"), request.header("referer")), (None, None));
    }
}

#[tokio::test]
async fn settings_that_make_no_header_are_refused() {
    for (product_token, contact) in
        [("", None), ("affectory/2", None), ("affectory", Some("a\r\nX-Evil: b".to_owned()))]
    {
        assert!(Client::new(ClientSettings { product_token: product_token.into(), contact, ..settings() }).is_err());
    }
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let server = Server::start(|request| match request.path.as_str() {
        "/same" if request.header("if-none-match") == Some("\"v1\"") => Reply::status(304),
        "/same" | "/new" => Reply::body(jpeg(100)),
        "/confused" => Reply::status(304),
        _ => Reply::status(404),
    })
    .await;
    let client = client();
    let known = Validators { etag: Some("\"v1\"".into()), last_modified: Some("Wed, 21 Oct 2015 07:28:00 GMT".into()) };
    let again = |path: &str| normalize(&server.url(path), None).unwrap();
    let same = client.fetch(&again("/same"), Some(&known)).await.unwrap();
    assert!(matches!(same, Fetched::NotModified { final_url } if final_url == again("/same")));
    assert!(matches!(client.fetch(&again("/new"), Some(&known)).await, Ok(Fetched::Image(_))));
    assert_eq!(fetch(&server.url("/confused")).await.unwrap_err().class(), "http-other");
    let is_asked = |request: &Request| request.header("if-modified-since") == known.last_modified.as_deref();
    assert!(server.requests().iter().filter(|request| request.path == "/new").all(is_asked));
}

#[tokio::test]
async fn no_connection_and_no_encryption_have_their_own_word() {
    let port = Server::always(Reply::status(200)).await.port(); // dropped: nobody listens there
    assert_eq!(fetch(&format!("http://127.0.0.1:{port}/x")).await.unwrap_err().class(), "connect");
    // Plain HTTP where encryption is expected.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/x", listener.local_addr().unwrap());
    let answering = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream // held until the other side is done
    };
    let (_stream, ended) = tokio::join!(answering, fetch(&url));
    assert_eq!(ended.unwrap_err().class(), "tls");
}

#[tokio::test]
async fn statuses_have_classes_and_retry_after_is_kept() {
    let base = ClientSettings { respect_robots: false, ..settings() };
    for (status, class) in [
        (404, "gone"),
        (410, "gone"),
        (401, "http-4xx"),
        (403, "http-4xx"),
        (429, "rate-limited"),
        (500, "http-5xx"),
        (503, "http-5xx"),
        (204, "http-other"),
        (206, "http-other"),
        (300, "http-other"),
        (305, "http-other"),
    ] {
        assert_eq!(class_of(base.clone(), Reply::status(status)).await, class, "{status}");
    }
    let server = Server::start(|request| match request.path.as_str() {
        "/seconds" => Reply::status(429).with("Retry-After", "7"),
        "/date" => Reply::status(503).with("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"),
        _ => Reply::status(429),
    })
    .await;
    let client = Client::new(base).unwrap();
    let seconds = fetch_with(&client, &server.url("/seconds")).await.unwrap_err();
    assert_eq!(seconds, FetchFailure::RateLimited { retry_after: Some(RetryAfter::InMs(7000)) });
    let date = fetch_with(&client, &server.url("/date")).await.unwrap_err();
    assert_eq!((date.retry_after_ms(1_445_412_479_000), date.is_retryable()), (Some(1000), true));
    assert_eq!(fetch_with(&client, &server.url("/none")).await.unwrap_err().retry_after_ms(0), None);
    // One request each: who asks again, and when, is decided elsewhere.
    assert_eq!(server.requests().len(), 3);
}

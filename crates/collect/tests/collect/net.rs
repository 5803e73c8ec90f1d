//! Does a fetch end well, or with the right word, whatever the server does?

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use affectory_collect::{
    AddressKind, Client, ClientSettings, FetchFailure, Fetched, FetchedImage, Lookup, RetryAfter, Validators,
    normalize, parse,
};
use affectory_imaging::ImageFormat;
use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::support::{Reply, Request, Server};

/// Short enough to wait for, and only the first loopback address is open.
fn settings() -> ClientSettings {
    ClientSettings {
        open_networks: vec!["127.0.0.1/32".parse().unwrap()],
        max_body_bytes: 100_000,
        progress_window: Duration::from_secs(5),
        min_window_bytes: 1,
        ..ClientSettings::default()
    }
}

fn client() -> Client {
    Client::new(settings()).unwrap()
}

async fn fetch_with(client: &Client, url: &str) -> Result<FetchedImage, FetchFailure> {
    let url = parse(url, None)?;
    let fetching = client.fetch(&url, None);
    match tokio::time::timeout(Duration::from_secs(60), fetching).await.expect("a fetch has to end")? {
        Fetched::Image(image) => Ok(image),
        Fetched::NotModified { .. } => panic!("no condition was sent"),
    }
}

async fn fetch(url: &str) -> Result<FetchedImage, FetchFailure> {
    fetch_with(&client(), url).await
}

/// How a fetch ends whose server always answers like this.
async fn class_of(settings: ClientSettings, reply: Reply) -> &'static str {
    let server = Server::always(reply).await;
    let ended = fetch_with(&Client::new(settings).unwrap(), &server.url("/x.jpg")).await;
    ended.map_or_else(|failure| failure.class(), |_| "image")
}

/// Bytes that begin and end like a JPEG.
fn jpeg(size_bytes: usize) -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xe0];
    bytes.resize(size_bytes - 2, 7);
    bytes.extend([0xff, 0xd9]);
    bytes
}

fn head(lines: &str) -> Vec<u8> {
    [b"HTTP/1.1 200 OK\r\n", lines.as_bytes(), b"\r\n"].concat()
}

fn head_and(lines: &str, body: &[u8]) -> Vec<u8> {
    [head(lines).as_slice(), body].concat()
}

/// Names that lead to the addresses given, one answer after the other, the last one again and again.
struct Scripted {
    answers: Vec<Vec<IpAddr>>,
    n_asked: Arc<AtomicUsize>,
}

impl Scripted {
    fn new(answers: &[&[&str]]) -> (Arc<Self>, Arc<AtomicUsize>) {
        let n_asked = Arc::new(AtomicUsize::new(0));
        let parsed = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        (Arc::new(Self { answers: answers.iter().map(parsed).collect(), n_asked: Arc::clone(&n_asked) }), n_asked)
    }
}

impl Lookup for Scripted {
    fn lookup(&self, _: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let turn = self.n_asked.fetch_add(1, Ordering::SeqCst).min(self.answers.len() - 1);
        let answer = self.answers[turn].clone();
        async move { Ok(answer) }.boxed()
    }
}

struct Hanging;

impl Lookup for Hanging {
    fn lookup(&self, _: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        std::future::pending().boxed()
    }
}

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
    assert_eq!(same, Fetched::NotModified { final_url: again("/same") });
    assert!(matches!(client.fetch(&again("/new"), Some(&known)).await, Ok(Fetched::Image(_))));
    assert_eq!(fetch(&server.url("/confused")).await.unwrap_err().class(), "http-other");
    let is_asked = |request: &Request| request.header("if-modified-since") == known.last_modified.as_deref();
    assert!(server.requests().iter().filter(|request| request.path == "/new").all(is_asked));
}

#[tokio::test]
async fn addresses_that_are_not_open_are_refused_in_every_form() {
    for url in [
        "http://127.0.0.2/",
        "http://2130706434/",
        "http://0x7f.2/",
        "http://0177.0.0.2/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.2]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://10.0.0.1/",
        "http://192.168.0.1/",
        "http://0.0.0.0/",
        "http://[64:ff9b::7f00:2]/",
        "https://172.16.0.1/",
    ] {
        assert_eq!(fetch(url).await.unwrap_err().class(), "forbidden-address", "{url}");
    }
    let closed = Client::new(ClientSettings::default()).unwrap();
    let server = Server::always(Reply::body(jpeg(100))).await;
    for host in ["127.0.0.1", "localhost"] {
        let failure = fetch_with(&closed, &format!("http://{host}:{}/x", server.port())).await.unwrap_err();
        assert!(matches!(failure, FetchFailure::ForbiddenAddress { kind: AddressKind::Loopback, .. }), "{failure:?}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn redirects_into_forbidden_places_are_refused() {
    let server = Server::start(|request| match request.path.strip_prefix("/to?") {
        Some(target) => Reply::redirect(target),
        None => Reply::status(404),
    })
    .await;
    let port = server.port();
    for (target, class) in [
        (format!("http://127.0.0.2:{port}/x"), "forbidden-address"),
        (format!("//127.0.0.2:{port}/x"), "forbidden-address"),
        (format!("http://2130706434:{port}/x"), "forbidden-address"),
        (format!("http://[::ffff:7f00:2]:{port}/x"), "forbidden-address"),
        ("http://169.254.169.254/latest/meta-data/".into(), "forbidden-address"),
        ("file:///etc/passwd".into(), "forbidden-scheme"),
        ("ftp://e.example/x".into(), "forbidden-scheme"),
        ("data:image/png;base64,AAAA".into(), "forbidden-scheme"),
        (format!("http://good.example@127.0.0.1:{port}/x"), "bad-url"),
        ("http://".into(), "bad-url"),
        (format!("/{}", "a".repeat(5000)), "bad-url"),
    ] {
        assert_eq!(fetch(&server.url(&format!("/to?{target}"))).await.unwrap_err().class(), class, "{target}");
    }
}

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
async fn a_name_that_changes_its_answer_reaches_nothing_forbidden() {
    let server = Server::start(|request| match request.path.as_str() {
        "/x" => Reply::redirect("/y").with("Connection", "close"), // so that the name is looked up again
        _ => Reply::body(jpeg(100)),
    })
    .await;
    let (lookup, n_asked) = Scripted::new(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let client = Client::with_lookup(ClientSettings { respect_robots: false, ..settings() }, lookup).unwrap();
    let url = format!("http://changing.example:{}", server.port());
    fetch_with(&client, &format!("{url}/y")).await.unwrap();
    // A connection is made to what was checked: there is no second question in between.
    assert_eq!(n_asked.load(Ordering::SeqCst), 1);
    let failure = fetch_with(&client, &format!("{url}/x")).await.unwrap_err();
    assert_eq!(failure.class(), "forbidden-address");
    assert_eq!((server.count("/x"), server.count("/y")), (1, 1));
}

#[tokio::test]
async fn names_that_lead_nowhere_have_their_own_word() {
    let class = async |lookup: Arc<dyn Lookup>| {
        let settings = ClientSettings { resolve_timeout: Duration::from_millis(50), ..settings() };
        fetch_with(&Client::with_lookup(settings, lookup).unwrap(), "http://e.example/x").await.unwrap_err().class()
    };
    assert_eq!(class(Scripted::new(&[&[]]).0).await, "dns");
    assert_eq!(class(Scripted::new(&[&["10.0.0.1", "::1"]]).0).await, "forbidden-address");
    assert_eq!(class(Arc::new(Hanging)).await, "timeout-dns");
    let server = Server::always(Reply::body(jpeg(100))).await;
    let mixed = Client::with_lookup(settings(), Scripted::new(&[&["10.0.0.1", "127.0.0.1"]]).0).unwrap();
    fetch_with(&mixed, &format!("http://e.example:{}/x", server.port())).await.unwrap();
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

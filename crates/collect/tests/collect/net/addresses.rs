//! Is any address reached that should not be?

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use affectory_collect::{AddressKind, Client, ClientSettings, FetchFailure, Host, Lookup};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{fetch, fetch_with, jpeg, settings};
use crate::support::{Reply, Server};

/// Names that lead to the addresses given, one answer after the other, the last one again and again.
pub(super) struct Scripted {
    answers: Vec<Vec<IpAddr>>,
    n_asked: Arc<AtomicUsize>,
}

impl Scripted {
    pub(super) fn new(answers: &[&[&str]]) -> (Arc<Self>, Arc<AtomicUsize>) {
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
        (format!("http://good.example@127.0.0.1:{port}/x"), "user-info"),
        ("http://".into(), "bad-url"),
        (format!("/{}", "a".repeat(5000)), "long-url"),
    ] {
        assert_eq!(fetch(&server.url(&format!("/to?{target}"))).await.unwrap_err().class(), class, "{target}");
    }
}

/// The settings say that nothing is taken from there: then it is not asked, either, nor for its robots.txt.
#[tokio::test]
async fn a_redirect_to_an_excluded_host_ends_before_that_is_asked() {
    let server = Server::start(|request| match request.path.strip_prefix("/to?") {
        Some(target) => Reply::redirect(target),
        None if request.path == "/robots.txt" => Reply::status(404),
        None => Reply::body(jpeg(100)),
    })
    .await;
    let excluded_hosts = vec![Host::try_from("localhost".to_owned()).unwrap()];
    let client = Client::new(ClientSettings { excluded_hosts, ..settings() }).unwrap();
    let excluded = format!("http://stock.localhost:{}/x", server.port());
    for url in [server.url(&format!("/to?{excluded}")), server.url(&format!("/to?/to?{excluded}")), excluded] {
        assert_eq!(fetch_with(&client, &url).await.unwrap_err().class(), "excluded-host", "{url}");
    }
    assert_eq!((server.count("/x"), server.count("/robots.txt")), (0, 1));
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

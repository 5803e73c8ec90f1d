//! Does a plan become images with their provenance, when the provider and the image server are real servers that misbehave?

use affectory_catalog::{Project, ProjectConfig};
use affectory_collect::{
    ApiClient, CatalogHosts, Client, CollectSettings, FetchPlace, FetchRequest, FetchSummary, Keywords, PlanOptions,
    SearchRequest, SearchSummary, build_providers, fetch, record_plan, search,
};
use affectory_core::{Expression, FaceId, Silent, Stop};
use affectory_imaging::{RgbImage, encode_jpeg};
use std::sync::atomic::{AtomicI64, Ordering};

use super::support::{Reply, Request, Server};

/// A project, its settings, and a clock that jumps where a wait would be.
pub struct Lab {
    pub project: Project,
    pub settings: CollectSettings,
    pub clock_ms: AtomicI64,
    _folder: tempfile::TempDir,
}

impl Lab {
    pub async fn with(provider: &str) -> Lab {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::init(&folder.path().join("p"), ProjectConfig::default()).await.unwrap();
        let text = format!(
            "contact = \"lab@example.org\"\n{provider}\n[fetch]\npause_ms = 0\nper_host = 8\ntimeout_s = 5\n\
             open_networks = [\"127.0.0.1\"]\n"
        );
        let settings = CollectSettings::parse("collect.toml".as_ref(), &text).unwrap();
        Lab { project, settings, clock_ms: AtomicI64::new(1_000_000), _folder: folder }
    }

    pub fn now_ms(&self) -> i64 {
        self.clock_ms.load(Ordering::SeqCst)
    }

    /// So many German queries for each expression and each provider.
    pub async fn plan(&self, limit: usize) -> u64 {
        self.plan_for(Vec::new(), limit).await
    }

    /// The same for some expressions.
    pub async fn plan_for(&self, expressions: Vec<Expression>, limit: usize) -> u64 {
        let languages = vec!["de".into()];
        let options = PlanOptions { languages, expressions, limit: Some(limit), ..PlanOptions::default() };
        let plan = Keywords::bundled().unwrap().plan(&options).unwrap();
        let names: Vec<&str> = self.settings.providers.iter().map(|provider| provider.name()).collect();
        record_plan(&self.project.catalog, &names, &plan, self.now_ms()).await.unwrap()
    }

    pub async fn search(&self) -> Vec<SearchSummary> {
        let providers = build_providers(&self.settings, |_| Some("sesame".into())).unwrap();
        let api = ApiClient::new(&self.settings.client().unwrap()).unwrap();
        let request = SearchRequest { worker: "w".into(), patience_ms: 0 };
        let request = (&request, &self.settings.fetch);
        search(&self.project.catalog, &providers, &api, request, || self.now_ms(), (&Stop::default(), &Silent))
            .await
            .unwrap()
    }

    pub async fn fetch(&self) -> FetchSummary {
        self.fetch_until(&Stop::default()).await
    }

    pub async fn fetch_until(&self, stop: &Stop) -> FetchSummary {
        let client = Client::new(self.settings.client().unwrap()).unwrap();
        let request = FetchRequest { worker: "w".into(), patience_ms: 0, seed: 1 };
        let place = FetchPlace { catalog: &self.project.catalog, store: &self.project.store };
        let request = (&request, &self.settings.fetch);
        let mut hosts = CatalogHosts { catalog: &self.project.catalog, worker: &request.0.worker };
        fetch(place, &client, request, (&mut hosts, || false), || self.now_ms(), (stop, &Silent)).await.unwrap()
    }

    /// (outcome, number), sorted.
    pub async fn outcomes(&self) -> Vec<(String, u64)> {
        let rows = self.project.catalog.count_outcomes().await.unwrap();
        rows.into_iter().map(|row| (row.outcome.unwrap_or_default(), row.candidates)).collect()
    }
}

pub fn picture(shade: u8) -> Vec<u8> {
    encode_jpeg(&RgbImage::filled(40, 30, [shade, 90, 40]), 90).unwrap()
}

/// The settings of a provider of pictures by Pexels' words at this server.
pub fn pexels_at(provider: &Server) -> String {
    format!("[[provider]]\nkind = \"pexels\"\nbase_url = \"{}\"\npause_ms = 0\n", provider.url(""))
}

/// Answers as Pexels does: two pages of two photographs for each query.
fn pexels(images: &Server) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let image = images.url("");
    move |request: &Request| {
        assert_eq!(request.header("authorization"), Some("sesame"));
        let is_second = request.path.contains("page=2") && !request.path.contains("page=20");
        let photos: Vec<_> = (0..2)
            .map(|n| {
                let n = n + if is_second { 2 } else { 0 };
                serde_json::json!({
                    "id": n, "width": "40", "height": 30, "url": format!("https://pages.example/{n}"),
                    "photographer": "A <b>B</b>", "src": { "original": format!("{image}/photo/{n}.jpg?utm_source=x") },
                    "alt": "face",
                })
            })
            .collect();
        let next = (!is_second).then_some("https://api.example/v1/search?page=2");
        let body = serde_json::json!({ "page": 1, "total_results": 4, "photos": photos, "next_page": next });
        Reply::body(body.to_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_becomes_images_once_with_every_sighting() {
    let images = Server::start(|request: &Request| match request.path.as_str() {
        "/robots.txt" => Reply::status(404),
        // Two addresses, one picture.
        "/photo/0.jpg" | "/photo/1.jpg" => Reply::body(picture(200)).with("etag", "\"v1\""),
        "/photo/2.jpg" => Reply::body(picture(100)),
        _ => Reply::status(404),
    })
    .await;
    let provider = Server::start(pexels(&images)).await;
    let lab = Lab::with(&(pexels_at(&provider) + "max_results = 160\n")).await;
    assert_eq!(lab.plan(1).await, 8);
    assert_eq!(lab.plan(1).await, 0);
    let searched = &lab.search().await[0];
    assert_eq!((searched.pages, searched.hits, searched.candidates, searched.failures), (16, 32, 4, 0), "{searched:?}");
    let fetched = lab.fetch().await;
    assert_eq!((fetched.fetched, fetched.new_images, fetched.rejected), (3, 2, 1));
    assert_eq!(lab.outcomes().await, [("fetched".to_owned(), 3), ("gone".to_owned(), 1)]);
    let counts = lab.project.catalog.project_counts().await.unwrap();
    // Eight queries saw each of three addresses.
    assert_eq!((counts.images, counts.sightings), (2, 24));
    assert!(lab.project.catalog.list_labelled_faces(FaceId(0), 9).await.unwrap().is_empty());
    // Again: nothing is asked, nothing fetched.
    let n_requests = images.requests().len();
    assert_eq!((lab.search().await[0].pages, lab.fetch().await.fetched), (0, 0));
    assert_eq!(images.requests().len(), n_requests);

    // Asked for again under a condition, and told that nothing has changed.
    lab.clock_ms.fetch_add(1000, Ordering::SeqCst);
    lab.project.catalog.retry_candidates(&["fetched".to_owned()], lab.now_ms()).await.unwrap();
    lab.fetch().await;
    let conditional = images.requests().iter().filter(|request| request.header("if-none-match").is_some()).count();
    assert_eq!(conditional, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_busy_is_asked_again_later_and_given_up_at_last() {
    let images = Server::start(|request: &Request| match request.path.as_str() {
        "/robots.txt" => Reply::status(404),
        _ => Reply::status(503),
    })
    .await;
    let provider = Server::start(pexels(&images)).await;
    let lab = Lab::with(&pexels_at(&provider)).await;
    lab.plan(1).await;
    lab.search().await;
    let first = lab.fetch().await;
    assert_eq!((first.postponed, first.failed), (4, 0));
    assert!(first.next_due_ms.is_some_and(|due_ms| due_ms >= lab.now_ms() + 70_000));
    for _ in 0..2 {
        lab.clock_ms.fetch_add(3_600_000, Ordering::SeqCst);
        assert_eq!(lab.fetch().await.postponed, 4);
    }
    lab.clock_ms.fetch_add(3_600_000, Ordering::SeqCst);
    let last = lab.fetch().await;
    assert_eq!((last.failed, last.next_due_ms), (4, None));
    assert_eq!(lab.outcomes().await, [("http-5xx".to_owned(), 4)]);
}

/// A flat picture of two megapixels in a few hundred bytes: nothing is decoded to find that out.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_to_fill_a_memory_is_refused_by_its_header() {
    let bomb = affectory_imaging::encode_png(&RgbImage::filled(2_000, 1_000, [0, 0, 0])).unwrap();
    assert!(bomb.len() < 12_000, "{}", bomb.len());
    let images = Server::start(move |request: &Request| match request.path.as_str() {
        "/robots.txt" => Reply::status(404),
        "/photo/0.jpg" => Reply::body(bomb.clone()),
        _ => Reply::body(picture(7)),
    })
    .await;
    let provider = Server::start(pexels(&images)).await;
    let lab = Lab::with(&pexels_at(&provider)).await;
    lab.plan(1).await;
    lab.search().await;
    lab.fetch().await;
    assert_eq!(lab.outcomes().await, [("fetched".to_owned(), 3), ("too-compressed".to_owned(), 1)]);
}

/// With a crawl-delay the second picture waits for much longer than this test does.
#[tokio::test(flavor = "multi_thread")]
async fn a_crawl_delay_holds_the_rest_of_the_host_back() {
    let images = Server::start(|request: &Request| match request.path.as_str() {
        "/robots.txt" => Reply::body("User-agent: *\nCrawl-delay: 3600\n"),
        _ => Reply::body(picture(7)),
    })
    .await;
    let provider = Server::start(pexels(&images)).await;
    let mut lab = Lab::with(&pexels_at(&provider)).await;
    lab.settings.fetch.per_host = 1;
    lab.plan(1).await;
    lab.search().await;
    let stop = Stop::default();
    let watch = async {
        while lab.outcomes().await.iter().all(|(outcome, _)| outcome != "fetched") {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        stop.request();
    };
    let (summary, ()) = tokio::join!(lab.fetch_until(&stop), watch);
    assert_eq!((summary.fetched, summary.stopped), (1, true));
    assert_eq!(images.requests().iter().filter(|request| request.path.starts_with("/photo")).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_misbehaves_costs_attempts_and_nothing_else() {
    let images = Server::always(Reply::status(404)).await;
    let good = pexels(&images);
    let n_asked = AtomicI64::new(0);
    let provider = Server::start(move |request: &Request| match n_asked.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::status(500),
        1 => Reply::body("{\"photos\": [{\"src\""),
        2 => Reply::body("{\"photos\": 7}"),
        3 => Reply::status(302).with("location", "http://169.254.169.254/"),
        _ => good(request),
    })
    .await;
    let lab = Lab::with(&(pexels_at(&provider) + "daily_budget = 12\n")).await;
    lab.plan(1).await;
    // A redirect is a wrong address: the provider is left alone until somebody looks.
    let first = &lab.search().await[0];
    assert_eq!(first.failures, 4, "{first:?}");
    assert!(first.ended_early.as_ref().is_some_and(|reason| reason.contains("base_url")), "{first:?}");
    // Twelve requests a day, four of them spent.
    lab.clock_ms.fetch_add(3_600_000, Ordering::SeqCst);
    let second = &lab.search().await[0];
    assert_eq!((second.pages, second.ended_early.as_deref()), (8, Some("the day's budget is spent")), "{second:?}");
    lab.clock_ms.fetch_add(24 * 3_600_000, Ordering::SeqCst);
    let third = &lab.search().await[0];
    assert_eq!((third.pages, third.hits, third.ended_early.as_deref()), (8, 16, None), "{third:?}");
}

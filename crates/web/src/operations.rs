//! What does somebody want to know who keeps the program running? Probes and metrics, on a listener of their own.
//!
//! Most figures are counted in the catalogue, which is the record: any one process tells how far all of them are, and a
//! process that was killed is not missing from a sum. Only what is about a process itself is counted in it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use affectory_catalog::{CatalogError, Project};
use affectory_core::{Sha256Hex, Stop};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures::future::BoxFuture;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use crate::app::App;

/// Figures are counted again after this time, ms, however often they are asked for: on a large catalogue it takes seconds.
const COUNTED_EVERY_MS: i64 = 10_000;

/// How long catalogue and store may take before the process counts as not ready.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// Buckets of how long answers take: 1 ms, 2 ms, 4 ms, ... 32 s.
const N_BUCKETS: u16 = 16;

type Labels = Vec<(&'static str, String)>;
type Value = Gauge<f64, AtomicU64>;

/// Shards of one stage, as a queue counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardFigures {
    /// The stage's name.
    pub stage: &'static str,
    /// Nobody has them.
    pub waiting: u64,
    /// Workers have them.
    pub in_work: u64,
}

/// Asks a queue: its shards by stage, and how many were given up; or why that is not known.
pub type QueueFigures = Arc<dyn Fn() -> BoxFuture<'static, Result<(Vec<ShardFigures>, u64), String>> + Send + Sync>;

/// What the operations' listener answers from.
pub struct Operations {
    project: Project,
    detector: String,
    clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    started_ms: i64,
    http: Option<Arc<HttpFigures>>,
    queue: Option<QueueFigures>,
    counted: tokio::sync::Mutex<Option<(i64, String)>>,
}

impl Operations {
    /// Of a process that works on `project`; `detector` is whose progress is told, `clock` says the time, ms UTC.
    pub fn new(project: Project, detector: &str, clock: Arc<dyn Fn() -> i64 + Send + Sync>) -> Operations {
        let started_ms = clock();
        Operations {
            project,
            detector: detector.to_owned(),
            clock,
            started_ms,
            http: None,
            queue: None,
            counted: tokio::sync::Mutex::default(),
        }
    }

    /// Tells of a server's requests as well.
    #[must_use]
    pub fn with_server(self, app: &App) -> Operations {
        Operations { http: Some(Arc::clone(&app.http)), ..self }
    }

    /// Tells of a queue's shards as well.
    #[must_use]
    pub fn with_queue(self, queue: QueueFigures) -> Operations {
        Operations { queue: Some(queue), ..self }
    }

    async fn metrics(&self) -> Result<String, CatalogError> {
        let now_ms = (self.clock)();
        let mut counted = self.counted.lock().await;
        if let Some((at_ms, text)) = &*counted
            && (0..COUNTED_EVERY_MS).contains(&(now_ms - at_ms))
        {
            return Ok(text.clone());
        }
        let text = self.count(now_ms).await?;
        *counted = Some((now_ms, text.clone()));
        Ok(text)
    }

    async fn count(&self, now_ms: i64) -> Result<String, CatalogError> {
        let began = Instant::now();
        let catalog = &self.project.catalog;
        let mut figures = Figures(Registry::with_prefix("affectory"));

        let mut rows = Vec::new();
        for row in catalog.count_outcomes().await? {
            let outcome = row.outcome.unwrap_or_else(|| "none".into());
            rows.push((vec![("state", row.state), ("outcome", outcome)], row.candidates as f64));
        }
        figures.put("candidates", "Addresses, by how their last fetch ended", rows);

        let open = catalog.count_open_hosts(now_ms).await?;
        let rows = [("due", open.due), ("leased", open.leased)];
        let rows = rows.map(|(state, n)| (vec![("state", state.to_owned())], n as f64));
        figures.put("hosts", "Hosts with addresses to fetch now, and hosts somebody fetches from", rows);

        let scan = catalog.face_scan(&self.detector).await?;
        let rows = [
            ("waiting", scan.pending),
            ("in_work", scan.leased),
            ("found", scan.found),
            ("no_face", scan.no_face),
            ("unreadable", scan.unreadable),
        ];
        let label = |state: &str| vec![("detector", self.detector.clone()), ("state", state.to_owned())];
        let rows = rows.map(|(state, n)| (label(state), n as f64));
        figures.put("images", "Images, by what the detector saw", rows);
        figures.put("faces", "Faces", [(vec![], scan.faces as f64)]);

        let oldest = catalog.oldest_open(&self.detector, now_ms).await?;
        let stages = [("fetch", oldest.host_ms), ("faces", oldest.image_ms), ("letters", oldest.letter_ms)];
        let age = |since_ms: Option<i64>| since_ms.map_or(0.0, |since_ms| (now_ms - since_ms).max(0) as f64 / 1e3);
        let rows = stages.map(|(stage, since_ms)| (vec![("stage", stage.to_owned())], age(since_ms)));
        figures.put("oldest_due_seconds", "For how long the oldest item that nobody works on has been due", rows);
        figures.put("letters_waiting", "Letters that are not sent", [(vec![], oldest.n_letters as f64)]);

        match self.shards().await {
            Some(Ok((stages, n_given_up))) => {
                let rows = stages.into_iter().flat_map(|shards| {
                    [("waiting", shards.waiting), ("in_work", shards.in_work)].map(|(state, n)| {
                        (vec![("stage", shards.stage.to_owned()), ("state", state.to_owned())], n as f64)
                    })
                });
                figures.put("shards", "Shards of work in the queue", rows);
                figures.put("shards_given_up", "Shards that no worker could work off", [(vec![], n_given_up as f64)]);
            }
            Some(Err(reason)) => tracing::warn!("the queue's figures are not known: {reason}"),
            None => {}
        }

        if let Some(bytes) = resident_bytes() {
            figures.put("process_resident_bytes", "Memory of this process", [(vec![], bytes)]);
        }
        let started = [(vec![], self.started_ms as f64 / 1e3)];
        figures.put("process_start_time_seconds", "When this process began, seconds since 1970", started);
        if let Some(http) = &self.http {
            figures.0.register("http_requests", "Requests, by the class of their status", http.requests.clone());
            figures.0.register("http_request_seconds", "Time to the beginning of an answer", http.seconds.clone());
        }
        figures.put("scrape_seconds", "How long counting this took", [(vec![], began.elapsed().as_secs_f64())]);
        let mut text = String::new();
        encode(&mut text, &figures.0).map_err(|error| CatalogError::Corrupt(error.to_string()))?;
        Ok(text)
    }
}

impl Operations {
    async fn shards(&self) -> Option<Result<(Vec<ShardFigures>, u64), String>> {
        match &self.queue {
            Some(ask) => Some(ask().await),
            None => None,
        }
    }
}

struct Figures(Registry);

impl Figures {
    fn put(&mut self, name: &str, help: &str, rows: impl IntoIterator<Item = (Labels, f64)>) {
        let family = Family::<Labels, Value>::default();
        for (labels, value) in rows {
            family.get_or_create(&labels).set(value);
        }
        self.0.register(name, help, family);
    }
}

/// Requests that a server answered.
pub(crate) struct HttpFigures {
    requests: Family<Labels, Counter>,
    seconds: Histogram,
}

impl Default for HttpFigures {
    fn default() -> Self {
        HttpFigures { requests: Family::default(), seconds: Histogram::new(exponential_buckets(0.001, 2.0, N_BUCKETS)) }
    }
}

/// Counts a request once its answer begins.
pub(crate) async fn count_request(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let response = next.run(request).await;
    app.http.seconds.observe(began.elapsed().as_secs_f64());
    let class = format!("{}xx", response.status().as_u16() / 100);
    app.http.requests.get_or_create(&vec![("status", class)]).inc();
    response
}

/// Answers `/healthz`, `/readyz` and `/metrics` until `stop` is requested. For a network of one's own: nobody is asked who
/// they are, and there are no names in it.
///
/// # Errors
/// If the listener fails.
pub async fn serve_operations(operations: Operations, listener: TcpListener, stop: Stop) -> std::io::Result<()> {
    axum::serve(listener, router(operations))
        .with_graceful_shutdown(async move { crate::server::stopped(&stop).await })
        .await
}

pub(crate) fn router(operations: Operations) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(operations))
}

/// Whether work can be done: the catalogue and the store answer.
async fn ready(State(operations): State<Arc<Operations>>) -> Response {
    let Project { catalog, store, .. } = &operations.project;
    let nothing = Sha256Hex::from_digest(&[0; 32]);
    let asked = timeout(READY_WITHIN, async {
        catalog.count_accounts().await?;
        store.contains(&nothing).await
    });
    match asked.await {
        Ok(Ok(_)) => "ready\n".into_response(),
        Ok(Err(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {error}\n")).into_response(),
        Err(_) => {
            let text = format!("not ready: no answer within {} s\n", READY_WITHIN.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

async fn metrics(State(operations): State<Arc<Operations>>) -> Response {
    match operations.metrics().await {
        Ok(text) => {
            ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("not known: {error}\n")).into_response(),
    }
}

/// Memory of this process, bytes, where the system tells.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kilobytes| kilobytes * 1024.0)
}

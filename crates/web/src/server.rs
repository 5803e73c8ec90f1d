//! How does a connection come in, and how much of the server may it take?

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use affectory_core::Stop;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::app::App;
use crate::failure::WebError;
use crate::wire::Wire;
use crate::{operations, post, routes, security};

/// Connections at the same time.
const CONNECTIONS: usize = 2_000;

/// How long requests under way may take once the server is told to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// Leases that have ended are taken back, and attempts that no longer count are swept, this often.
const TIDY_EVERY: Duration = Duration::from_secs(20);

/// The catalogue's log of changes is copied this often: a hundred annotators write some 5 MB a second.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);

/// From whom a request comes, as far as the connection says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// All routes with all that stands before them.
pub(crate) fn application(app: &Arc<App>) -> Router {
    routes::router(app)
        .fallback(|| async { WebError::NotFound("that page") })
        .layer(from_fn_with_state(Arc::clone(app), security::add_headers))
        .layer(from_fn_with_state(Arc::clone(app), operations::count_request))
        .with_state(Arc::clone(app))
}

/// Serves until `stop` is requested; requests under way are finished first.
///
/// # Errors
/// If the listener fails.
pub async fn serve(app: Arc<App>, listener: TcpListener, stop: Stop) -> std::io::Result<()> {
    let router = application(&app);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let tidying = tokio::spawn(tidy(Arc::clone(&app)));
    let checkpoints = tokio::spawn(checkpoint(Arc::clone(&app)));
    let letters = tokio::spawn(post::keep_posting(Arc::clone(&app)));
    // The first to look at the figures should not be the one who waits for them.
    app.figures();
    loop {
        let place = Arc::clone(&places).acquire_owned().await.map_err(std::io::Error::other)?;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            // Out of file descriptors, or a client that was gone again: the next one may do better.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Small answers must not wait for each other.
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        let wire = Wire::new(stream);
        let outlet = wire.outlet();
        let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(outlet.clone());
            router.clone().oneshot(request)
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(app.options.patience.headers)
            .max_buf_size(64 * 1024)
            .serve_connection(TokioIo::new(wire), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // Clients that hang up or send nonsense are no news.
            let _ = connection.await;
            drop(place);
        });
    }
    tidying.abort();
    checkpoints.abort();
    letters.abort();
    drop(listener);
    let _ = tokio::time::timeout(LAST_REQUESTS, graceful.shutdown()).await;
    Ok(())
}

pub(crate) async fn stopped(stop: &Stop) {
    while !stop.is_requested() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn tidy(app: Arc<App>) {
    loop {
        if let Err(error) = app.project.catalog.return_leases(app.now_ms()).await {
            tracing::error!(%error, "ended leases could not be taken back");
        }
        if let Err(error) = app.project.catalog.sweep_attempts(app.now_ms()).await {
            tracing::error!(%error, "attempts that no longer count could not be swept");
        }
        tokio::time::sleep(TIDY_EVERY).await;
    }
}

async fn checkpoint(app: Arc<App>) {
    loop {
        tokio::time::sleep(CHECKPOINT_EVERY).await;
        if let Err(error) = app.project.catalog.checkpoint().await {
            tracing::error!(%error, "the catalogue's log of changes could not be copied");
        }
    }
}

/// Ends a request that takes too long to be read and begun to be answered.
pub(crate) async fn within_time(State(patience): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "this took too long").into_response(),
    }
}

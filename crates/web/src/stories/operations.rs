//! Do probes and metrics tell what is so, and nobody's name?

use std::sync::Arc;

use affectory_catalog::Role;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use tower::ServiceExt as _;

use super::{Lab, NOW_MS, text};
use crate::operations::{Operations, QueueFigures, ShardFigures, router};

async fn asked(router: &Router, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    text(router.clone().oneshot(request).await.unwrap()).await
}

#[tokio::test]
async fn probes_and_metrics_tell_of_the_catalogue_the_queue_and_the_server() {
    let lab = Lab::new().await;
    let administrator = lab.browser(Role::Administrator).await;
    assert_eq!(lab.get("/people", &administrator).await.0, StatusCode::OK);
    assert_eq!(lab.get("/nowhere", &administrator).await.0, StatusCode::NOT_FOUND);
    let shards = ShardFigures { stage: "fetch", waiting: 3, in_work: 2 };
    let queue: QueueFigures = Arc::new(move || {
        let shards = shards.clone();
        Box::pin(async move { Ok((vec![shards], 1)) })
    });
    let operations = Operations::new(lab.app.project.clone(), "mtcnn", Arc::new(|| NOW_MS));
    let router = router(operations.with_server(&lab.app).with_queue(queue));
    assert_eq!(asked(&router, "/healthz").await, (StatusCode::OK, "ok\n".into()));
    assert_eq!(asked(&router, "/readyz").await, (StatusCode::OK, "ready\n".into()));
    let (status, metrics) = asked(&router, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    for line in [
        "affectory_shards{stage=\"fetch\",state=\"waiting\"} 3.0",
        "affectory_shards_given_up 1.0",
        "affectory_http_requests_total{status=\"2xx\"} 1",
        "affectory_http_requests_total{status=\"4xx\"} 1",
        "affectory_http_request_seconds_count 2",
        "affectory_oldest_due_seconds{stage=\"letters\"} 0.0",
        "affectory_hosts{state=\"due\"} 0.0",
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line} in {metrics}");
    }
    // Nobody's name or address.
    assert!(!metrics.contains('@'), "{metrics}");
    lab.app.project.catalog.close().await;
    let (status, why) = asked(&router, "/readyz").await;
    assert!(status == StatusCode::SERVICE_UNAVAILABLE && why.starts_with("not ready: "), "{why}");
}

//! What does the browser get when something cannot be done? One status and one sentence for each case.

use std::sync::Arc;

use affectory_annotate::AnnotateError;
use affectory_catalog::CatalogError;
use affectory_portal::PortalError;
use affectory_release::ReleaseError;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, html};

use crate::recorder::NotRecorded;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebError {
    #[error("please sign in")]
    SignedOut,
    #[error("you may not do that: it takes the role {0}")]
    Forbidden(&'static str),
    #[error(
        "this request does not come from a page of this server, or its page is too old: reload the page and try again"
    )]
    Forged,
    #[error("{0} is not there")]
    NotFound(&'static str),
    #[error("this picture was withdrawn")]
    Withdrawn,
    #[error("{0}")]
    Invalid(String),
    #[error("that is too much at once")]
    TooLarge,
    #[error("{0}")]
    TooMany(String),
    #[error("{0} is being prepared: try again in a minute")]
    NotYet(&'static str),
    #[error("too much is waiting to be written down; try again in a moment")]
    Busy,
    #[error("the server failed; its log says why")]
    Failed(Arc<dyn std::error::Error + Send + Sync>),
}

impl WebError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            WebError::SignedOut => StatusCode::UNAUTHORIZED,
            WebError::Forbidden(_) | WebError::Forged => StatusCode::FORBIDDEN,
            WebError::NotFound(_) => StatusCode::NOT_FOUND,
            WebError::Withdrawn => StatusCode::GONE,
            WebError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            WebError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            WebError::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            WebError::NotYet(_) | WebError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            WebError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn log(&self) {
        if let WebError::Failed(error) = self {
            tracing::error!(causes = causes(error), "a request failed");
        }
    }
}

/// An error with all that caused it, for the log.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

impl From<CatalogError> for WebError {
    fn from(error: CatalogError) -> Self {
        match error {
            // What the person who asked can mend.
            CatalogError::AccountExists(_) | CatalogError::PoolExists(_) => WebError::Invalid(error.to_string()),
            other => WebError::Failed(Arc::new(other)),
        }
    }
}

impl From<AnnotateError> for WebError {
    fn from(error: AnnotateError) -> Self {
        match error {
            AnnotateError::Catalog(error) => error.into(),
            AnnotateError::Lesson(error) => WebError::Failed(Arc::new(error)),
            AnnotateError::Write(error) | AnnotateError::File { source: error, .. } => {
                WebError::Failed(Arc::new(error))
            }
            error @ AnnotateError::Suggester(_) => WebError::Failed(Arc::new(error)),
            AnnotateError::BadName(_)
            | AnnotateError::BadRule(_)
            | AnnotateError::NoFaces(_)
            | AnnotateError::NothingSaid
            | AnnotateError::Stopped(_)
            | AnnotateError::NoLog { .. }
            | AnnotateError::ExportStopped
            | AnnotateError::ConsensusStopped(_) => WebError::Invalid(error.to_string()),
        }
    }
}

impl From<PortalError> for WebError {
    fn from(error: PortalError) -> Self {
        match error {
            PortalError::Catalog(error) => error.into(),
            other => WebError::Failed(Arc::new(other)),
        }
    }
}

impl From<ReleaseError> for WebError {
    fn from(error: ReleaseError) -> Self {
        WebError::Failed(Arc::new(error))
    }
}

impl From<NotRecorded> for WebError {
    fn from(error: NotRecorded) -> Self {
        match error {
            NotRecorded::Busy => WebError::Busy,
            NotRecorded::Failed(error) => WebError::Failed(error),
        }
    }
}

impl IntoResponse for WebError {
    fn into_response(self) -> Response {
        self.log();
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { "Affectory" }
                    link rel="icon" href="/assets/icon.svg";
                    link rel="stylesheet" href="/assets/app.css";
                }
                body {
                    main {
                        h1 { "This did not work" }
                        p.error role="alert" { (self.to_string()) }
                        p { a href="/" { "To the start" } }
                    }
                }
            }
        };
        (self.status(), page).into_response()
    }
}

/// The same for scripts.
pub(crate) struct ApiError(pub(crate) WebError);

impl<E: Into<WebError>> From<E> for ApiError {
    fn from(error: E) -> Self {
        ApiError(error.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.0.log();
        (self.0.status(), Json(serde_json::json!({ "error": self.0.to_string() }))).into_response()
    }
}

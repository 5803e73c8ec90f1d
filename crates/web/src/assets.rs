//! Which scripts and styles does the program carry?

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use crate::failure::WebError;

macro_rules! script {
    ($name:literal) => {
        ($name, "text/javascript; charset=utf-8", include_str!(concat!("../assets/", $name)))
    };
}

const ASSETS: &[(&str, &str, &str)] = &[
    ("app.css", "text/css; charset=utf-8", include_str!("../assets/app.css")),
    ("icon.svg", "image/svg+xml", include_str!("../assets/icon.svg")),
    script!("annotate.js"),
    script!("circumplex.js"),
    script!("clock.js"),
    script!("faces.js"),
    script!("keys.js"),
    script!("live.js"),
    script!("plot.js"),
    script!("queue.js"),
    script!("server.js"),
    script!("today.js"),
];

/// One of them. Another version of the program may have another text, so browsers ask again after a while.
pub(crate) async fn asset(Path(name): Path<String>) -> Result<Response, WebError> {
    let (_, kind, text) = ASSETS.iter().find(|(known, ..)| *known == name).ok_or(WebError::NotFound("that file"))?;
    Ok(([(CONTENT_TYPE, *kind), (CACHE_CONTROL, "public, max-age=300")], *text).into_response())
}

//! What do annotators ask their lead, and what is answered?

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, State};
use axum::response::Redirect;
use maud::{Markup, html};

use super::layout::{self, csrf, time};
use crate::access::Visitor;
use crate::app::App;
use crate::failure::WebError;

/// Flags on a page; the oldest come first, so the others come up as these are answered.
const PAGE: u32 = 50;

/// Longest answer, characters.
const LONGEST: usize = 1_000;

/// Flags that nobody has answered.
pub(crate) async fn list(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Markup, WebError> {
    let flags = app.project.catalog.list_open_flags(PAGE).await?;
    let content = html! {
        @if flags.is_empty() { p.notice { "Nothing is flagged." } }
        @for flag in &flags {
            article.card.flag {
                img src={ "/faces/" (flag.face_id) "/crop" } alt={ "face " (flag.face_id) } width="160" loading="lazy";
                p { (flag.annotator) ", " (time(flag.created_ms)) }
                p dir="auto" data-testid="note" { (flag.note) }
                p { a href={ "/adjudicate/" (flag.face_id) } { "Decide on this face" } }
                form method="post" action={ "/flags/" (flag.id) } {
                    (csrf(&visitor))
                    label for={ "answer-" (flag.id) } { "Answer" }
                    input id={ "answer-" (flag.id) } name="resolution" maxlength=(LONGEST) required;
                    button type="submit" { "Done" }
                }
            }
        }
    };
    Ok(layout::page("Flags", app.messages.of("en"), Some(&visitor), &content))
}

#[derive(serde::Deserialize)]
pub(crate) struct ResolutionForm {
    resolution: String,
}

/// Answers one.
pub(crate) async fn resolve(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(flag): Path<i64>,
    Form(form): Form<ResolutionForm>,
) -> Result<Redirect, WebError> {
    let resolution = form.resolution.trim();
    if resolution.is_empty() || resolution.chars().count() > LONGEST {
        return Err(WebError::Invalid(format!("an answer has 1 to {LONGEST} characters")));
    }
    let is_open = app.project.catalog.resolve_flag(flag, resolution, &visitor.account, app.now_ms()).await?;
    if is_open { Ok(Redirect::to("/flags")) } else { Err(WebError::NotFound("that open flag")) }
}

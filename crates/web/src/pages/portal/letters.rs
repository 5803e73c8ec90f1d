//! Which letters were written, and did they go out? Where there is no mail server a lead passes them on by hand.

use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};

use super::desk;
use crate::access::Visitor;
use crate::app::App;
use crate::failure::WebError;
use crate::pages::layout::time;

/// Letters shown.
const SHOWN: u32 = 200;

/// The newest. What stands in a letter is shown only where nothing sends it: links stand in them.
pub(crate) async fn list(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Markup, WebError> {
    let is_kept = app.portal()?.mailer.is_none();
    let letters = app.project.catalog.list_letters(SHOWN).await?;
    let content = html! {
        @if is_kept {
            p.notice { "There is no mail server in portal.toml, so letters are kept here. Pass each on to its recipient, and to nobody else." }
        }
        @if letters.is_empty() { p { "No letter was written yet." } }
        @for row in &letters {
            section.card {
                h2 { bdi { (row.letter.subject) } }
                p {
                    "To " bdi { (row.letter.recipient) } ", written " (time(row.created_ms)) ", "
                    @if let Some(sent_ms) = row.sent_ms { "sent " (time(sent_ms)) }
                    @else if row.next_attempt_ms.is_none() { "given up after " (row.n_attempts) " attempts" }
                    @else if row.n_attempts > 0 { (row.n_attempts) " attempts so far" }
                    @else { "not sent yet" }
                }
                @if let Some(error) = &row.last_error { p.error { (error) } }
                @if is_kept && row.sent_ms.is_none() { pre.letter { (row.letter.body) } }
            }
        }
    };
    Ok(desk(&app, "Letters", &visitor, &content))
}

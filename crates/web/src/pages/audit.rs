//! Who did what and when?

use std::sync::Arc;

use axum::extract::{Query, State};
use maud::{Markup, html};

use super::layout::{self, time};
use crate::access::Visitor;
use crate::app::App;
use crate::failure::WebError;

/// Entries a page.
const PAGE: u32 = 200;

#[derive(serde::Deserialize)]
pub(crate) struct Before {
    before: Option<i64>,
}

/// The newest entries, or those before one.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Query(place): Query<Before>,
) -> Result<Markup, WebError> {
    let rows = app.project.catalog.list_audit(place.before, PAGE).await?;
    let content = html! {
        div.scroll tabindex="0" role="region" aria-label="Table" {
            table {
                thead {
                    tr {
                        th scope="col" { "When" }
                        th scope="col" { "Who" }
                        th scope="col" { "What" }
                        th scope="col" { "To what" }
                        th scope="col" { "More" }
                    }
                }
                tbody {
                    @for row in &rows {
                        tr {
                            td { (time(row.time_ms)) }
                            td { (row.actor) }
                            td { (row.action) }
                            td.long { bdi { (row.subject) } }
                            td.long { bdi { (row.detail) } }
                        }
                    }
                }
            }
        }
        @if let Some(last) = rows.last().filter(|_| rows.len() == PAGE as usize) {
            p { a.button href={ "/audit?before=" (last.id) } { "Older" } }
        }
    };
    Ok(layout::page("Audit", app.messages.of("en"), Some(&visitor), &content))
}

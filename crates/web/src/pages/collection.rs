//! How far is a running collection?

use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};

use super::layout::{self, count};
use crate::access::Visitor;
use crate::app::App;
use crate::failure::WebError;

/// Minutes over which the rate is taken.
const MINUTES: i64 = 10;

/// Outcomes of addresses, images, and how fast it goes. The page follows by itself, every five seconds.
pub(crate) async fn show(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Markup, WebError> {
    let catalog = &app.project.catalog;
    let outcomes = catalog.count_outcomes().await?;
    let pace = catalog.list_pace(app.now_ms() - 60_000 * MINUTES).await?;
    let n_images: u64 = pace.iter().map(|row| row.images).sum();
    let n_left: u64 = outcomes.iter().filter(|row| row.state == "new").map(|row| row.candidates).sum();
    let n_ended: u64 = pace.iter().map(|row| row.ended).sum();
    let content = html! {
        dl.figures {
            div { dt { "Images a second, last " (MINUTES) " minutes" } dd { (format!("{:.1}", n_images as f64 / (60.0 * MINUTES as f64))) } }
            div { dt { "Addresses left" } dd { (count(n_left)) } }
            @if n_ended > 0 && n_left > 0 {
                div { dt { "Time left at that rate" } dd { (format!("{:.1} h", n_left as f64 / (n_ended as f64 / MINUTES as f64) / 60.0)) } }
            }
        }
        @if outcomes.is_empty() { p.notice { "Nothing is collected yet: `affectory collect plan`, then `affectory collect run`." } }
        @else {
            div.scroll tabindex="0" role="region" aria-label="Table" {
                table {
                    thead { tr { th scope="col" { "State" } th scope="col" { "Outcome" } th.n scope="col" { "Addresses" } } }
                    tbody {
                        @for row in &outcomes {
                            tr { td { (row.state) } td { (row.outcome.as_deref().unwrap_or("–")) } td.n { (count(row.candidates)) } }
                        }
                    }
                }
            }
        }
    };
    Ok(layout::live_page("Collection", app.messages.of("en"), &visitor, &content, 5))
}

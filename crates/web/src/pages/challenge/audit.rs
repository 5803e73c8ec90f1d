//! What do the organisers see: every submission, and after the close its scores on both halves?

use std::collections::HashMap;
use std::sync::Arc;

use affectory_catalog::{ScoreRow, SubmissionRow};
use affectory_core::SubmissionId;
use axum::extract::{Path, State};
use maud::{Markup, html};

use super::find;
use crate::access::Visitor;
use crate::app::App;
use crate::failure::WebError;
use crate::pages::layout::{self, count, time};

/// Submissions shown.
const SHOWN: u32 = 2000;

/// Every submission of a challenge, newest first.
pub(crate) async fn audit(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Markup, WebError> {
    let challenge = find(&app, &name).await?;
    let submissions = app.project.catalog.list_submissions(challenge.id, None, SHOWN).await?;
    let mut scores: HashMap<SubmissionId, Vec<ScoreRow>> = HashMap::new();
    for row in app.project.catalog.list_scores(challenge.id).await? {
        scores.entry(row.submission_id).or_default().push(row);
    }
    let is_closed = challenge.closed_ms.is_some();
    let content = html! {
        p { a href={ "/challenges/" (name) } { bdi { (challenge.challenge.title) } } }
        @if !is_closed {
            p.notice { "Scores are what the teams see; those on both halves are shown here after the close." }
        }
        dl.figures { div { dt { "Submissions" } dd { (count(submissions.len() as u64)) } } }
        div.scroll tabindex="0" role="region" aria-label="Submissions" {
            table {
                thead {
                    tr {
                        th.n scope="col" { "No." }
                        th scope="col" { "Team" }
                        th scope="col" { "By" }
                        th scope="col" { "When" }
                        th scope="col" { "File" }
                        th scope="col" { "State" }
                        th scope="col" { "Scores" }
                    }
                }
                tbody {
                    @for row in &submissions { (line(row, scores.get(&row.id).map_or(&[], Vec::as_slice), is_closed)) }
                }
            }
        }
    };
    Ok(layout::page("Every submission", app.messages.of("en"), Some(&visitor), &content))
}

fn line(row: &SubmissionRow, scores: &[ScoreRow], is_closed: bool) -> Markup {
    html! {
        tr {
            td.n { (row.id) }
            th scope="row" { bdi { (row.team) } }
            td { "account/" (row.account_id) }
            td { (time(row.submitted_ms)) }
            td {
                bdi { (row.file_name) } " " span.muted { (count(row.size_bytes)) " bytes" }
                @if let Some(sha256) = &row.sha256 { " " code { (&sha256.as_str()[..12]) } }
            }
            td { (row.state.name()) @if !row.problems.is_empty() { ", " (row.problems.len()) " problems" } }
            td {
                @for row in scores {
                    p {
                        (row.score.task.name()) ": "
                        @match row.score.public_shown {
                            Some(shown) => { "shown " (format!("{shown:.2}")) },
                            None => "nothing shown",
                        }
                        @if row.score.is_accepted { " (accepted)" }
                        @if is_closed {
                            (format!("; public {:.4}, private {:.4}", row.score.public_true, row.score.private_true))
                        }
                    }
                }
            }
        }
    }
}

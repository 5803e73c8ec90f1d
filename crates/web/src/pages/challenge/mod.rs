//! How does a challenge look to everybody, to those who take part, and to those who run it?
//!
//! These pages know no label, and neither does this process: what they show of scores is what the scoring process has put
//! into the catalogue.

mod audit;
mod submissions;
mod team;

use std::sync::Arc;

use affectory_catalog::{BoardRow, ChallengeMetric, ChallengeRow, Half, Phase};
use affectory_portal::challenge::{ChallengeError, FinalBoard, final_csv, final_latex};
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::layout::{self, count, time};
use crate::access::Visitor;
use crate::app::App;
use crate::failure::WebError;
use crate::uploads::FORM_BYTES;

/// Longest request that brings a submission, bytes: the largest file, and the form around it.
pub(crate) const UPLOAD_LIMIT: usize = (64 << 20) + FORM_BYTES;

pub(crate) use audit::audit;
pub(crate) use submissions::{inputs, submit, withdraw};
pub(crate) use team::{accept_invitation, invite, leave, make_team, show_invitation, team};

impl From<ChallengeError> for WebError {
    fn from(error: ChallengeError) -> Self {
        match error {
            ChallengeError::Catalog(error) => error.into(),
            other => WebError::Failed(Arc::new(other)),
        }
    }
}

/// The challenge of an address.
async fn find(app: &App, name: &str) -> Result<ChallengeRow, WebError> {
    app.project.catalog.find_challenge(name).await?.ok_or(WebError::NotFound("that challenge"))
}

/// All challenges.
pub(crate) async fn list(State(app): State<Arc<App>>, visitor: Option<Extension<Visitor>>) -> Result<Markup, WebError> {
    let challenges = app.project.catalog.list_challenges().await?;
    let content = html! {
        @if challenges.is_empty() { p.notice { "There is no challenge now." } }
        @for row in &challenges {
            section.card {
                h2 { a href={ "/challenges/" (row.challenge.name) } { bdi { (row.challenge.title) } } }
                p { (phase(&app, row)) }
            }
        }
    };
    Ok(layout::page("Challenges", app.messages.of("en"), visitor.as_deref(), &content))
}

fn phase(app: &App, row: &ChallengeRow) -> String {
    let challenge = &row.challenge;
    match row.phase(app.now_ms()) {
        Phase::Announced => format!("Opens on {}.", time(challenge.opens_ms)),
        Phase::Development => {
            format!("Open: development phase until {}, then the final phase.", time(challenge.final_opens_ms))
        }
        Phase::Final => format!("Open: final phase until {}.", time(challenge.closes_ms)),
        Phase::Ended => "Over: the final results are being computed.".to_owned(),
        Phase::Closed => "Closed: the final results are below.".to_owned(),
    }
}

/// A challenge: its dates, rules and leaderboards.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    visitor: Option<Extension<Visitor>>,
    Path(name): Path<String>,
) -> Result<Markup, WebError> {
    let row = find(&app, &name).await?;
    let boards = boards(&app, &row, Half::Public).await?;
    let finals = if row.closed_ms.is_some() { boards_of_close(&app, &row).await? } else { Vec::new() };
    let role = visitor.as_deref().map(|visitor| visitor.account.role);
    let content = html! {
        p.notice data-testid="phase" { (phase(&app, &row)) }
        p.buttons {
            a.button.primary href={ "/challenges/" (name) "/team" } { "Your team and submissions" }
            a.button href={ "/challenges/" (name) "/inputs.csv" } { "Images to answer (CSV)" }
            @if role >= Some(affectory_catalog::Role::Lead) {
                a.button href={ "/challenges/" (name) "/audit" } { "Every submission" }
            }
        }
        (facts(&row))
        @for board in &finals { (table("Final results", "private half", board, 3)) }
        @if !finals.is_empty() {
            p {
                a href={ "/challenges/" (name) "/final/results.csv" } { "Final tables as CSV" } " · "
                a href={ "/challenges/" (name) "/final/results.tex" } { "as LaTeX" }
            }
        }
        @for board in &boards { (table("Leaderboard", "public half", board, 2)) }
        (rules(&row))
    };
    Ok(layout::page(&row.challenge.title, app.messages.of("en"), visitor.as_deref(), &content))
}

async fn boards(app: &App, row: &ChallengeRow, half: Half) -> Result<Vec<FinalBoard>, WebError> {
    let mut boards = Vec::new();
    for &metric in &row.challenge.metrics {
        let rows: Vec<BoardRow> = app.project.catalog.read_board(row.id, metric.task(), half).await?;
        boards.push(FinalBoard { task: metric.task(), metric, rows });
    }
    Ok(boards)
}

/// The private boards, which are there once a challenge is closed.
async fn boards_of_close(app: &App, row: &ChallengeRow) -> Result<Vec<FinalBoard>, WebError> {
    if row.closed_ms.is_none() {
        return Err(WebError::NotFound("a final table before the close"));
    }
    boards(app, row, Half::Private).await
}

fn facts(row: &ChallengeRow) -> Markup {
    let challenge = &row.challenge;
    html! {
        dl.figures {
            div { dt { "Images" } dd { (count(challenge.n_inputs)) } }
            div { dt { "Submissions a day" } dd { (challenge.per_day) } }
        }
        div.scroll tabindex="0" role="region" aria-label="Dates" {
            table {
                tbody {
                    tr { th scope="row" { "Opens" } td { (time(challenge.opens_ms)) } }
                    tr { th scope="row" { "Final phase" } td { (time(challenge.final_opens_ms)) } }
                    tr { th scope="row" { "Closes" } td { (time(challenge.closes_ms)) } }
                    tr { th scope="row" { "Categories" } td { (challenge.labels) } }
                    @for metric in &challenge.metrics {
                        tr { th scope="row" { "Task " (metric.task().name()) } td { "by " (metric_name(*metric)) } }
                    }
                }
            }
        }
    }
}

fn metric_name(metric: ChallengeMetric) -> &'static str {
    match metric {
        ChallengeMetric::Accuracy => "accuracy: the share of right categories",
        ChallengeMetric::BalancedAccuracy => "balanced accuracy: the mean recall of the categories",
        ChallengeMetric::F1Macro => "macro F1: the mean F1 of the categories",
        ChallengeMetric::MeanCcc => "the mean of the concordances (CCC) of valence and arousal",
    }
}

fn table(title: &str, half: &str, board: &FinalBoard, decimals: usize) -> Markup {
    html! {
        h2 { (title) ": " (board.task.name()) ", " (half) }
        @if board.rows.is_empty() { p.muted { "Nobody is on it yet." } }
        @else {
            div.scroll tabindex="0" role="region" aria-label={ (title) ": " (board.task.name()) } {
                table data-testid={ "board-" (board.task.name()) } {
                    thead {
                        tr {
                            th.n scope="col" { "Rank" }
                            th scope="col" { "Team" }
                            th.n scope="col" { "Score" }
                            th.n scope="col" { "95 % interval" }
                        }
                    }
                    tbody {
                        @for row in &board.rows {
                            tr {
                                td.n { (row.rank) @if row.is_tied { " (tied)" } }
                                th scope="row" { bdi { (row.team) } }
                                td.n { (format!("{:.decimals$}", row.score)) }
                                td.n { (format!("{:.decimals$} to {:.decimals$}", row.low, row.high)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn rules(row: &ChallengeRow) -> Markup {
    html! {
        h2 { "Rules" }
        @for paragraph in row.challenge.rules.split("\n\n").map(str::trim).filter(|text| !text.is_empty()) {
            p { (paragraph) }
        }
        ul {
            li {
                "A submission is a CSV with the columns image,expression,valence,arousal, and optional probabilities \
                 p_<category>. It answers a task where it has that task's columns, and then for every image. What is wrong \
                 with a file is told by line; such a file does not count."
            }
            li { "A team makes at most " (row.challenge.per_day) " valid submissions a day, UTC. Nobody is in two teams." }
            li {
                "Which images are in the public half and which in the private half is known to nobody. In the development \
                 phase a team sees its score on the public half through the Ladder (Blum and Hardt 2015): it changes only \
                 when a submission beats the best one by a step that chance does not reach, which grows with the number of \
                 submissions; scores are rounded to 0.01."
            }
            li {
                "In the final phase no score is shown. What counts in the end is a team's last submission of the final \
                 phase, or else the one that stands on the public leaderboard; ranks are of the private half."
            }
            li {
                "Teams share a rank where no test on the same images tells them from the first of that rank at 5 %, \
                 adjusted by Holm for all tests against it."
            }
            li { "A submission can be withdrawn until the close. It still counts for the day and for the step." }
        }
    }
}

/// The final tables as a file.
pub(crate) async fn tables(
    State(app): State<Arc<App>>,
    Path((name, file)): Path<(String, String)>,
) -> Result<Response, WebError> {
    let row = find(&app, &name).await?;
    let boards = boards_of_close(&app, &row).await?;
    match file.as_str() {
        "results.csv" => Ok(attachment("text/csv; charset=utf-8", &format!("{name}.csv"), final_csv(&boards))),
        "results.tex" => {
            Ok(attachment("text/plain; charset=utf-8", &format!("{name}.tex"), final_latex(&name, &boards)))
        }
        _ => Err(WebError::NotFound("that table")),
    }
}

/// A file to be kept; its name is a challenge's, which holds letters, digits and hyphens only.
fn attachment(kind: &'static str, name: &str, text: String) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, disposition)], text).into_response()
}

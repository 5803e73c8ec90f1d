//! How do people come together as a team, and what does a team see of its own submissions?

use std::collections::HashMap;
use std::sync::Arc;

use affectory_catalog::{
    ChallengeRow, Phase, ScoreRow, SubmissionRow, SubmissionState, TeamMember, TeamOutcome, TeamRow,
};
use affectory_core::SubmissionId;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};

use super::find;
use crate::access::Visitor;
use crate::app::{App, token_hash};
use crate::failure::WebError;
use crate::pages::layout::{self, count, csrf, time};

/// Longest team name, characters.
const LONGEST_NAME: usize = 60;

/// How long an invitation to a team can be used, ms.
const INVITED_FOR_MS: i64 = 7 * 86_400_000;

/// Submissions shown on the page.
const SHOWN: u32 = 500;

/// The visitor's team, or the form for one.
pub(crate) async fn team(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Markup, WebError> {
    page(&app, &visitor, &name, None).await
}

async fn page(app: &App, visitor: &Visitor, name: &str, link: Option<&str>) -> Result<Markup, WebError> {
    let challenge = find(app, name).await?;
    let content = match app.project.catalog.find_team_of(challenge.id, visitor.account.id).await? {
        Some(team) => team_content(app, visitor, &challenge, &team, link).await?,
        None => html! {
            p { "You are in no team. Make one, or ask a member of one for a link." }
            form.card method="post" action={ "/challenges/" (name) "/team" } {
                (csrf(visitor))
                label for="name" { "Name of the team" }
                input #name name="name" maxlength=(LONGEST_NAME) required;
                button.primary type="submit" { "Make the team" }
            }
        },
    };
    let content = html! {
        p { a href={ "/challenges/" (name) } { bdi { (challenge.challenge.title) } } }
        (content)
    };
    Ok(layout::page("Team", app.messages.of("en"), Some(visitor), &content))
}

async fn team_content(
    app: &App,
    visitor: &Visitor,
    challenge: &ChallengeRow,
    team: &TeamRow,
    link: Option<&str>,
) -> Result<Markup, WebError> {
    let catalog = &app.project.catalog;
    let members = catalog.list_members(team.id).await?;
    let n_used = catalog.count_submissions_of_day(team.id, app.now_ms()).await?;
    let submissions = catalog.list_submissions(challenge.id, Some(team.id), SHOWN).await?;
    let mut scores: HashMap<SubmissionId, Vec<ScoreRow>> = HashMap::new();
    for row in catalog.list_scores(challenge.id).await?.into_iter().filter(|row| row.team_id == team.id) {
        scores.entry(row.submission_id).or_default().push(row);
    }
    let name = &challenge.challenge.name;
    Ok(html! {
        h2 { bdi { (team.name) } }
        @if let Some(link) = link {
            div.notice role="status" {
                p { "Give this link to one person who has an account here. It is shown once and works once, for 7 days." }
                p { code data-testid="team-link" { (link) } }
            }
        }
        (people(visitor, name, &members))
        h2 { "Hand in" }
        (form(visitor, app, challenge, n_used))
        h2 { "Submissions" }
        @if submissions.is_empty() { p.muted { "None yet." } }
        @else { (table(visitor, challenge, &submissions, &scores)) }
    })
}

fn people(visitor: &Visitor, name: &str, members: &[TeamMember]) -> Markup {
    html! {
        ul {
            @for member in members {
                li { bdi { (member.name) } @if member.left_ms.is_some() { " (left)" } }
            }
        }
        div.buttons {
            form.inline method="post" action={ "/challenges/" (name) "/team/invite" } {
                (csrf(visitor))
                button type="submit" { "Make an invitation link" }
            }
            form.inline method="post" action={ "/challenges/" (name) "/team/leave" } {
                (csrf(visitor))
                button.danger type="submit" { "Leave the team" }
            }
        }
        p.muted { "Whoever leaves a team that has submitted cannot join another one of this challenge." }
    }
}

fn form(visitor: &Visitor, app: &App, challenge: &ChallengeRow, n_used: u64) -> Markup {
    let per_day = u64::from(challenge.challenge.per_day);
    let is_open = matches!(challenge.phase(app.now_ms()), Phase::Development | Phase::Final);
    html! {
        p data-testid="quota" { (n_used) " of " (per_day) " submissions made today (UTC)" }
        @if !is_open { p.notice { "Nothing can be handed in now." } }
        @else if n_used >= per_day { p.notice { "The next submission can be made tomorrow (UTC)." } }
        @else {
            form.card method="post" enctype="multipart/form-data"
                action={ "/challenges/" (challenge.challenge.name) "/submissions" } {
                (csrf(visitor))
                label for="file" { "CSV with your answers, up to 64 MiB" }
                input #file name="file" type="file" accept=".csv,text/csv" required;
                button.primary type="submit" { "Submit" }
            }
        }
    }
}

fn table(
    visitor: &Visitor,
    challenge: &ChallengeRow,
    submissions: &[SubmissionRow],
    scores: &HashMap<SubmissionId, Vec<ScoreRow>>,
) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Submissions" {
            table data-testid="submissions" {
                thead {
                    tr {
                        th.n scope="col" { "No." }
                        th scope="col" { "File" }
                        th scope="col" { "When" }
                        th scope="col" { "State" }
                        th scope="col" { "What came of it" }
                    }
                }
                tbody {
                    @for row in submissions {
                        tr {
                            td.n { (row.id) }
                            th scope="row" { bdi { (row.file_name) } " " span.muted { (count(row.size_bytes)) " bytes" } }
                            td { (time(row.submitted_ms)) }
                            td { (row.state.name()) }
                            td {
                                @for problem in &row.problems { p { bdi { (problem) } } }
                                @for score in scores.get(&row.id).into_iter().flatten() { p { (told(challenge, score)) } }
                                @if matches!(row.state, SubmissionState::Queued | SubmissionState::Scored)
                                    && challenge.closed_ms.is_none() {
                                    form.inline method="post"
                                        action={ "/challenges/" (challenge.challenge.name) "/submissions/" (row.id) "/withdraw" } {
                                        (csrf(visitor))
                                        button type="submit" aria-label={ "Withdraw submission " (row.id) } { "Withdraw" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What a team is told of a score.
fn told(challenge: &ChallengeRow, row: &ScoreRow) -> String {
    let task = row.score.task.name();
    if challenge.closed_ms.is_some() {
        return format!("{task}: {:.3} on the private half", row.score.private_true);
    }
    match row.score.public_shown {
        Some(shown) if row.score.is_accepted => format!("{task}: {shown:.2}"),
        Some(shown) => format!("{task}: {shown:.2}, as before (no step above your best)"),
        None => format!("{task}: shown at the close"),
    }
}

#[derive(serde::Deserialize)]
pub(crate) struct TeamForm {
    name: String,
}

/// Makes a team.
pub(crate) async fn make_team(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(form): Form<TeamForm>,
) -> Result<Redirect, WebError> {
    let challenge = find(&app, &name).await?;
    if matches!(challenge.phase(app.now_ms()), Phase::Ended | Phase::Closed) {
        return Err(WebError::Invalid("the challenge is over".into()));
    }
    let team = form.name.trim();
    if team.is_empty() || team.chars().count() > LONGEST_NAME || team.chars().any(char::is_control) {
        return Err(WebError::Invalid(format!("a team's name has 1 to {LONGEST_NAME} characters")));
    }
    let made = app.project.catalog.insert_team(challenge.id, team, &visitor.account, app.now_ms()).await?;
    joined(&made)?;
    Ok(Redirect::to(&format!("/challenges/{name}/team")))
}

fn joined(outcome: &TeamOutcome) -> Result<(), WebError> {
    let problem = match outcome {
        TeamOutcome::Joined(_) => return Ok(()),
        TeamOutcome::AlreadyBound => "you are in a team of this challenge, or were in one when it submitted",
        TeamOutcome::NameTaken => "another team has that name",
        TeamOutcome::NoInvitation => "this link was used, or is too old, or the challenge is over",
    };
    Err(WebError::Invalid(problem.into()))
}

/// Makes a link that lets one person into the team, and shows it once.
pub(crate) async fn invite(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Markup, WebError> {
    let challenge = find(&app, &name).await?;
    let (token, now_ms) = (app.token(), app.now_ms());
    let (hash, expires_ms) = (token_hash(&token), now_ms + INVITED_FOR_MS);
    let catalog = &app.project.catalog;
    if !catalog.insert_team_invitation(challenge.id, &hash, &visitor.account, expires_ms, now_ms).await? {
        return Err(WebError::Invalid("you are in no team".into()));
    }
    let link = format!("{}/team-invitation/{token}", app.base(&headers));
    page(&app, &visitor, &name, Some(&link)).await
}

/// Leaves the team.
pub(crate) async fn leave(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Redirect, WebError> {
    let challenge = find(&app, &name).await?;
    if app.project.catalog.leave_team(challenge.id, &visitor.account, app.now_ms()).await? {
        return Ok(Redirect::to(&format!("/challenges/{name}/team")));
    }
    Err(WebError::Invalid("you are in no team".into()))
}

/// To which team a link leads.
pub(crate) async fn show_invitation(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(token): Path<String>,
) -> Result<Response, WebError> {
    let found = app.project.catalog.find_team_invitation(&token_hash(&token), app.now_ms()).await?;
    let (status, content) = match &found {
        Some(team) => (
            StatusCode::OK,
            html! {
                p { "You are invited to the team " strong { bdi { (team.name) } } "." }
                form.card method="post" action={ "/team-invitation/" (token) } {
                    (csrf(&visitor))
                    button.primary type="submit" { "Join" }
                }
            },
        ),
        None => (
            StatusCode::GONE,
            html! { p.error role="alert" { "This link was used, or is too old, or the challenge is over." } },
        ),
    };
    Ok((status, layout::page("Invitation to a team", app.messages.of("en"), Some(&visitor), &content)).into_response())
}

/// Joins the team.
pub(crate) async fn accept_invitation(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(token): Path<String>,
) -> Result<Redirect, WebError> {
    let catalog = &app.project.catalog;
    let outcome = catalog.accept_team_invitation(&token_hash(&token), &visitor.account, app.now_ms()).await?;
    joined(&outcome)?;
    let TeamOutcome::Joined(team) = outcome else { return Ok(Redirect::to("/challenges")) };
    let challenges = catalog.list_challenges().await?;
    let place = challenges.iter().find(|row| row.id == team.challenge_id);
    Ok(Redirect::to(&place.map_or("/challenges".to_owned(), |row| format!("/challenges/{}/team", row.challenge.name))))
}

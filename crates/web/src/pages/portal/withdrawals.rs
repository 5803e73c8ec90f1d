//! How does somebody in a picture have it taken out?

use std::sync::Arc;

use affectory_core::Sha256Hex;
use affectory_portal::is_address;
use axum::Extension;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};

use super::{area, desk, field, line, page, tidy};
use crate::access::Visitor;
use crate::app::App;
use crate::failure::WebError;
use crate::pages::layout::{csrf, time};
use crate::pages::sign_in::address_of;
use crate::server::Peer;

#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub(crate) struct WithdrawalForm {
    email: String,
    which: String,
    reason: String,
}

/// The form.
pub(crate) async fn ask(State(app): State<Arc<App>>) -> Result<Markup, WebError> {
    app.portal()?;
    Ok(form(&app, &WithdrawalForm::default(), None))
}

fn form(app: &App, filled: &WithdrawalForm, problem: Option<&str>) -> Markup {
    let content = html! {
        p { "You need no account and no reason. We need to know which picture it is, and where to answer." }
        @if let Some(problem) = problem { p.error role="alert" { (problem) } }
        form.card method="post" action="/withdraw" {
            (area("which", "Which picture", &filled.which, "Its address on the web, the page it stands on, or its SHA-256 if you have the file. Do not send the picture."))
            (field("email", "Your e-mail address", &filled.email, "email", "Used to answer you, and for nothing else.", true))
            label for="reason" { "Anything else" }
            textarea #reason name="reason" rows="3" maxlength="2000" { (filled.reason) }
            button.primary type="submit" { "Ask for the withdrawal" }
        }
    };
    page(app, "Have a picture withdrawn", None, &content)
}

/// Takes it in.
pub(crate) async fn asked(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    Form(filled): Form<WithdrawalForm>,
) -> Result<Response, WebError> {
    let portal = app.portal()?;
    let email = line(&filled.email).to_lowercase();
    let picture = tidy(&filled.which, 2_000);
    let problem = if !is_address(&email) {
        Some("please give an e-mail address: we answer every request")
    } else if picture.is_empty() {
        Some("please say which picture it is")
    } else if !app.may_ask(&address_of(&app, peer, &headers)).await? {
        Some("there were many requests from your network: try again in an hour")
    } else {
        None
    };
    if let Some(problem) = problem {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, form(&app, &filled, Some(problem))).into_response());
    }
    let letter = portal.letters().withdrawal_asked();
    let reason = tidy(&filled.reason, 2_000);
    app.project.catalog.insert_withdrawal(&email, &picture, &reason, &[letter], app.now_ms()).await?;
    let content = html! { p.success role="status" { "Thank you. We answer to " bdi { (email) } "." } };
    Ok(page(&app, "Your request is with us", None, &content).into_response())
}

/// What was asked for.
pub(crate) async fn list(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Markup, WebError> {
    app.portal()?;
    let rows = app.project.catalog.list_withdrawals().await?;
    let content = html! {
        @if rows.is_empty() { p.notice { "Nobody has asked for a withdrawal." } }
        @for row in &rows {
            section.card data-testid={ "withdrawal-" (row.id) } {
                p { bdi { (row.email) } ", " (time(row.created_ms)) }
                p.text { bdi { (row.picture) } }
                @if !row.reason.is_empty() { p.text { bdi { (row.reason) } } }
                @if let Some(decided_ms) = row.decided_ms {
                    p { "Answered on " (time(decided_ms)) ": " bdi { (row.answer.as_deref().unwrap_or("")) } }
                } @else {
                    form.card method="post" action={ "/withdrawals/" (row.id) } {
                        (csrf(&visitor))
                        label for={ "sha-" (row.id) } { "SHA-256 of the image to withdraw; empty if there is none" }
                        input id={ "sha-" (row.id) } name="sha256" maxlength="64" pattern="[0-9a-f]{64}" value=(found_hash(&row.picture));
                        label for={ "answer-" (row.id) } { "Your answer; it is mailed" }
                        textarea id={ "answer-" (row.id) } name="answer" rows="3" maxlength="2000" required {
                            "We have taken the picture out of the database, and have written to everybody who has a copy."
                        }
                        button.danger type="submit" { "Withdraw and answer" }
                    }
                }
            }
        }
    };
    Ok(desk(&app, "Withdrawals", &visitor, &content))
}

/// A hash that stands in somebody's words.
fn found_hash(text: &str) -> &str {
    let is_hash =
        |word: &&str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    text.split(|c: char| !c.is_ascii_alphanumeric()).find(is_hash).unwrap_or("")
}

#[derive(serde::Deserialize)]
pub(crate) struct AnswerForm {
    sha256: String,
    answer: String,
}

/// Withdraws the image, writes to everybody who has it, and answers.
pub(crate) async fn decide(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(withdrawal): Path<i64>,
    Form(form): Form<AnswerForm>,
) -> Result<Redirect, WebError> {
    let (portal, catalog, now_ms) = (app.portal()?, &app.project.catalog, app.now_ms());
    let rows = catalog.list_withdrawals().await?;
    let row = rows.iter().find(|row| row.id == withdrawal).ok_or(WebError::NotFound("that request"))?;
    let answer = tidy(&form.answer, 2_000);
    if answer.is_empty() {
        return Err(WebError::Invalid("please write an answer".into()));
    }
    let letters = portal.letters();
    let sha256: Option<Sha256Hex> = match form.sha256.trim() {
        "" => None,
        text => Some(text.parse().map_err(|_| WebError::Invalid("a SHA-256 has 64 hexadecimal digits".into()))?),
    };
    if let Some(sha256) = &sha256 {
        let takedown = |holder: &affectory_catalog::Holder| {
            let person = &holder.person;
            Some(letters.takedown(&person.email, &person.name, &holder.release, sha256.as_str()))
        };
        let (reason, actor) = ("asked for by somebody in it", visitor.account.actor());
        let done = catalog.withdraw_image_telling(sha256, reason, &actor, takedown, now_ms);
        done.await?.ok_or_else(|| WebError::Invalid("there is no such image".into()))?;
    }
    let mail = [letters.withdrawal_answer(&row.email, &answer)];
    catalog.answer_withdrawal(withdrawal, sha256.as_ref(), &answer, &visitor.account, &mail, now_ms).await?;
    Ok(Redirect::to("/withdrawals"))
}

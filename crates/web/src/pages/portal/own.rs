//! What does somebody see of their own requests, access and tokens?

use std::sync::Arc;

use affectory_catalog::{
    Account, GrantRow, LinkWord, MemberRow, NoteRow, RequestChange, RequestRow, RequestState, Student, TokenRow,
};
use affectory_core::{GrantId, MemberId, RequestId, TokenId};
use affectory_portal::agreement::{AgreementNumber, Issued, Report, check_in_child};
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};

use super::request::link_ms;
use super::review::report_table;
use super::{line, page, tidy};
use crate::access::{TOKEN_PREFIX, Visitor};
use crate::app::{App, token_hash};
use crate::failure::WebError;
use crate::pages::layout::{csrf, time};
use crate::uploads::{FORM_BYTES, Upload};

/// Longest request that brings a signed agreement, bytes: 10 MiB of PDF and the form around it.
pub(crate) const UPLOAD_LIMIT: usize = (10 << 20) + FORM_BYTES;

/// How long a personal token holds, ms.
const TOKEN_MS: i64 = 90 * 86_400_000;

/// All of it on one page.
pub(crate) async fn list(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Markup, WebError> {
    app.portal()?;
    overview(&app, &visitor, None).await
}

async fn overview(app: &App, visitor: &Visitor, told: Option<&Markup>) -> Result<Markup, WebError> {
    let (catalog, account) = (&app.project.catalog, &visitor.account);
    let requests = catalog.list_own_requests(account.id).await?;
    let mut asked = Vec::new();
    for request in requests {
        let notes = catalog.list_request_notes(request.id).await?;
        asked.push((request, notes));
    }
    let mut granted = Vec::new();
    for grant in catalog.list_own_grants(account.id).await? {
        let members = if grant.account_id == account.id { catalog.list_grant_members(grant.id).await? } else { vec![] };
        granted.push((grant, members));
    }
    let tokens = catalog.list_tokens(account.id).await?;
    let now_ms = app.now_ms();
    let content = html! {
        @if let Some(told) = told { (told) }
        @if asked.is_empty() && granted.is_empty() {
            p.notice { "You have asked for nothing yet: " a href="/data" { "the releases" } "." }
        }
        @for (grant, members) in &granted { (grant_card(visitor, grant, members, now_ms)) }
        @for (request, notes) in &asked { @if request.state != RequestState::Granted { (request_card(visitor, request, notes)) } }
        @if !granted.is_empty() { (token_card(visitor, &tokens, now_ms)) }
    };
    Ok(page(app, "Your access", Some(visitor), &content))
}

fn request_card(visitor: &Visitor, request: &RequestRow, notes: &[NoteRow]) -> Markup {
    let place = format!("/access/requests/{}", request.id);
    let is_open = matches!(request.state, RequestState::Agreement | RequestState::Submitted | RequestState::AskedBack);
    let report: Option<Report> = request.signed_report.as_deref().and_then(|text| serde_json::from_str(text).ok());
    html! {
        section.card data-testid={ "request-" (request.id) } {
            h2 { "Request for " (request.release) }
            p { strong { (state_text(request.state)) } }
            @if let Some(reason) = &request.reason { p { "Reason: " bdi { (reason) } } }
            @for note in notes {
                p { @if note.is_owner { "You: " } @else { "We: " } bdi { (note.text) } " " span.muted { (time(note.created_ms)) } }
            }
            @if is_open {
                ol {
                    li { a href={ (place) "/agreement.pdf" } { "Download the agreement " (request.agreement_number.as_deref().unwrap_or("")) } }
                    li { "Sign it: digitally, drawn in your PDF reader, or on paper and scanned as a PDF of all pages." }
                    li {
                        "Upload it:"
                        form method="post" action={ (place) "/signed" } enctype="multipart/form-data" {
                            (csrf(visitor))
                            label for={ "file-" (request.id) } { "The signed PDF, at most 10 MiB" }
                            input id={ "file-" (request.id) } name="file" type="file" accept="application/pdf,.pdf" required;
                            button.primary type="submit" { @if request.signed_sha256.is_some() { "Upload another" } @else { "Upload" } }
                        }
                    }
                }
                @if let Some(report) = &report { h3 { "What we found in your upload" } (report_table(report)) }
                @if request.state == RequestState::AskedBack {
                    form method="post" action={ (place) "/answer" } {
                        (csrf(visitor))
                        label for={ "answer-" (request.id) } { "Your answer" }
                        textarea id={ "answer-" (request.id) } name="text" rows="3" maxlength="2000" required {}
                        button.primary type="submit" { "Answer" }
                    }
                }
                form.inline method="post" action={ (place) "/withdraw" } { (csrf(visitor)) button type="submit" { "Take the request back" } }
            }
        }
    }
}

pub(super) fn state_text(state: RequestState) -> &'static str {
    match state {
        RequestState::Unconfirmed => "The address was not confirmed yet.",
        RequestState::WithSupervisor => "It is with the supervisor.",
        RequestState::Agreement => "The agreement waits for a signature.",
        RequestState::Submitted => "The signed agreement is here and waits for our decision.",
        RequestState::AskedBack => "We have a question.",
        RequestState::Granted => "Granted.",
        RequestState::Refused => "Refused.",
        RequestState::Withdrawn => "Taken back.",
    }
}

fn grant_card(visitor: &Visitor, grant: &GrantRow, members: &[MemberRow], now_ms: i64) -> Markup {
    let is_owner = grant.account_id == visitor.account.id;
    let place = format!("/access/grants/{}", grant.id);
    html! {
        section.card data-testid={ "grant-" (grant.id) } {
            h2 { "Access to " (grant.release) }
            @if let Some(revoked_ms) = grant.revoked_ms {
                p.error { "Ended on " (time(revoked_ms)) ": " bdi { (grant.revoke_reason.as_deref().unwrap_or("")) } }
            } @else if grant.is_open(now_ms) {
                p { "Until " (time(grant.expires_ms)) @if !is_owner { ", through " bdi { (grant.owner.name) } } "." }
                p { a.button.primary href={ "/files/" (grant.id) } { "Files" } }
            } @else { p.error { "Expired on " (time(grant.expires_ms)) "." } }
            @if is_owner && grant.revoked_ms.is_none() {
                @if grant.renewal_asked_ms.is_some() { p.notice { "You have asked for more time." } }
                @else { form.inline method="post" action={ (place) "/renew" } { (csrf(visitor)) button type="submit" { "Ask for more time" } } }
                h3 { "People you answer for" }
                @if members.is_empty() { p.muted { "Nobody yet." } }
                ul {
                    @for member in members.iter().filter(|member| member.removed_ms.is_none()) {
                        li {
                            bdi { (member.person.name) } " (" bdi { (member.person.email) } "), "
                            @if let Some(accepted_ms) = member.accepted_ms { "accepted the terms on " (time(accepted_ms)) }
                            @else { "invited on " (time(member.invited_ms)) }
                            form.inline method="post" action={ (place) "/members/" (member.id) "/remove" } {
                                (csrf(visitor))
                                button type="submit" aria-label={ "Remove " (member.person.name) } { "Remove" }
                            }
                        }
                    }
                }
                @if grant.is_open(now_ms) {
                    form method="post" action={ (place) "/members" } {
                        (csrf(visitor))
                        label for={ "member-name-" (grant.id) } { "Name" }
                        input id={ "member-name-" (grant.id) } name="name" maxlength="300" required;
                        label for={ "member-email-" (grant.id) } { "Address at your institution" }
                        input id={ "member-email-" (grant.id) } name="email" type="email" maxlength="300" required;
                        button type="submit" { "Name a student" }
                    }
                }
            }
        }
    }
}

fn token_card(visitor: &Visitor, tokens: &[TokenRow], now_ms: i64) -> Markup {
    html! {
        section.card {
            h2 { "Personal tokens" }
            p { "A program shows one in place of your password. It holds for 90 days, and is yours alone." }
            ul {
                @for token in tokens.iter().filter(|token| token.revoked_ms.is_none() && token.expires_ms > now_ms) {
                    li {
                        bdi { (token.name) } ", until " (time(token.expires_ms))
                        @if let Some(used_ms) = token.last_used_ms { ", last used " (time(used_ms)) }
                        form.inline method="post" action={ "/access/tokens/" (token.id) "/end" } {
                            (csrf(visitor))
                            button type="submit" aria-label={ "End " (token.name) } { "End it" }
                        }
                    }
                }
            }
            form method="post" action="/access/tokens" {
                (csrf(visitor))
                label for="token-name" { "What it is for" }
                input #token-name name="name" maxlength="80" required;
                button type="submit" { "Make a token" }
            }
        }
    }
}

/// One of the visitor's own requests; to others it is not there.
async fn find_own(app: &App, visitor: &Visitor, request: i64) -> Result<RequestRow, WebError> {
    app.portal()?;
    let found = app.project.catalog.find_request(RequestId(request)).await?;
    found.filter(|row| row.account_id == Some(visitor.account.id)).ok_or(WebError::NotFound("that request"))
}

/// The agreement to sign.
pub(crate) async fn agreement(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(request): Path<i64>,
) -> Result<Response, WebError> {
    let request = find_own(&app, &visitor, request).await?;
    let (Some(sha256), Some(number)) = (&request.agreement_sha256, &request.agreement_number) else {
        return Err(WebError::NotFound("that agreement"));
    };
    let bytes = app.project.store.read(sha256).await?;
    let disposition = format!("attachment; filename=\"{number}.pdf\"");
    Ok(([(CONTENT_TYPE, "application/pdf".to_owned()), (CONTENT_DISPOSITION, disposition)], bytes).into_response())
}

/// Takes the signed agreement in, once it is on the disk, unless something is wrong with it that a program can see.
pub(crate) async fn upload(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(request): Path<i64>,
    file: Upload,
) -> Result<Response, WebError> {
    let request = find_own(&app, &visitor, request).await?;
    let uploaded = file.bytes;
    let (Some(issued), Some(number)) = (&request.agreement_sha256, &request.agreement_number) else {
        return Err(WebError::Invalid("there is no agreement to sign yet".into()));
    };
    let number: AgreementNumber = number.parse().map_err(|error| WebError::Failed(Arc::new(error)))?;
    let issued = Issued { number, pdf: app.project.store.read(issued).await?.to_vec() };
    let portal = app.portal()?;
    let report = {
        let _turn = app.hashing.acquire().await.map_err(|_| WebError::Busy)?;
        let checked = check_in_child(&portal.program, uploaded.to_vec(), issued).await;
        checked.map_err(|error| WebError::Failed(Arc::new(error)))?
    };
    if report.is_refused() {
        let told = html! {
            div.error role="alert" { "This cannot be the signed agreement; nothing was changed." (report_table(&report)) }
        };
        let page = overview(&app, &visitor, Some(&told)).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let signed = app.project.store.put(uploaded).await?;
    // Acknowledged only when it would outlive a power cut.
    app.project.store.flush().await?;
    let text = serde_json::to_string(&report).map_err(|error| WebError::Failed(Arc::new(error)))?;
    let change = RequestChange::Submit { signed: &signed, report: &text };
    let (letters, applicant) = (portal.letters(), &request.applicant);
    let mail = [
        letters.submitted(&applicant.email, &applicant.name, request.agreement_number.as_deref().unwrap_or("")),
        letters.waiting(request.id.0, &applicant.name, &applicant.institution, 0),
    ];
    changed(&app, &request, &change, &visitor.account, &mail).await
}

async fn changed(
    app: &App,
    request: &RequestRow,
    change: &RequestChange<'_>,
    account: &Account,
    mail: &[affectory_catalog::NewLetter],
) -> Result<Response, WebError> {
    if app.project.catalog.change_request(request.id, change, Some(account), mail, app.now_ms()).await? {
        return Ok(Redirect::to("/access").into_response());
    }
    Err(WebError::Invalid("that is no longer possible: the request has gone on meanwhile".into()))
}

#[derive(serde::Deserialize)]
pub(crate) struct TextForm {
    text: String,
}

/// Answers a reviewer.
pub(crate) async fn answer(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(request): Path<i64>,
    Form(form): Form<TextForm>,
) -> Result<Response, WebError> {
    let request = find_own(&app, &visitor, request).await?;
    let text = tidy(&form.text, 2_000);
    if text.is_empty() {
        return Err(WebError::Invalid("please write an answer".into()));
    }
    let applicant = &request.applicant;
    let letter = app.portal()?.letters().waiting(request.id.0, &applicant.name, &applicant.institution, 0);
    changed(&app, &request, &RequestChange::Answer(&text), &visitor.account, &[letter]).await
}

/// Takes a request back.
pub(crate) async fn withdraw(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(request): Path<i64>,
) -> Result<Response, WebError> {
    let request = find_own(&app, &visitor, request).await?;
    changed(&app, &request, &RequestChange::Withdraw, &visitor.account, &[]).await
}

/// One of the visitor's own grants, as its owner.
async fn find_own_grant(app: &App, visitor: &Visitor, grant: i64) -> Result<GrantRow, WebError> {
    app.portal()?;
    let found = app.project.catalog.find_grant(GrantId(grant)).await?;
    found.filter(|row| row.account_id == visitor.account.id).ok_or(WebError::NotFound("that access"))
}

#[derive(serde::Deserialize)]
pub(crate) struct MemberForm {
    name: String,
    email: String,
}

/// Names somebody the owner answers for.
pub(crate) async fn name_member(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(grant): Path<i64>,
    Form(form): Form<MemberForm>,
) -> Result<Redirect, WebError> {
    let grant = find_own_grant(&app, &visitor, grant).await?;
    let (portal, now_ms) = (app.portal()?, app.now_ms());
    let person = Student { name: line(&form.name), email: line(&form.email).to_lowercase() };
    if person.name.is_empty() {
        return Err(WebError::Invalid("please say who it is".into()));
    }
    if let Some(reason) = portal.settings.address_problem(&person.email) {
        return Err(WebError::Invalid(format!("{}: {reason}", person.email)));
    }
    if !grant.is_open(now_ms) {
        return Err(WebError::Invalid("this access has ended".into()));
    }
    let word = app.token();
    let link = LinkWord { sha256: token_hash(&word), expires_ms: now_ms + link_ms(&app)? };
    let letter = portal.letters().join(&person.email, &person.name, &grant.owner.name, &grant.release, &word);
    let catalog = &app.project.catalog;
    if !catalog.invite_member(grant.id, &person, &link, &visitor.account, &[letter], now_ms).await? {
        return Err(WebError::Invalid(format!("{} is named already", person.email)));
    }
    Ok(Redirect::to("/access"))
}

/// Removes somebody.
pub(crate) async fn remove_member(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path((grant, member)): Path<(i64, i64)>,
) -> Result<Redirect, WebError> {
    let grant = find_own_grant(&app, &visitor, grant).await?;
    app.project.catalog.remove_member(grant.id, MemberId(member), &visitor.account, app.now_ms()).await?;
    app.forget_grant(grant.id);
    Ok(Redirect::to("/access"))
}

/// Asks for more time.
pub(crate) async fn ask_renewal(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(grant): Path<i64>,
) -> Result<Redirect, WebError> {
    let grant = find_own_grant(&app, &visitor, grant).await?;
    let letter = app.portal()?.letters().renewal(&grant.owner.name, &grant.release);
    app.project.catalog.ask_renewal(grant.id, &visitor.account, &[letter], app.now_ms()).await?;
    Ok(Redirect::to("/access"))
}

#[derive(serde::Deserialize)]
pub(crate) struct TokenForm {
    name: String,
}

/// Makes a token and shows it, once.
pub(crate) async fn make_token(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Form(form): Form<TokenForm>,
) -> Result<Markup, WebError> {
    app.portal()?;
    let (name, now_ms) = (line(&form.name), app.now_ms());
    if name.is_empty() {
        return Err(WebError::Invalid("please say what the token is for".into()));
    }
    let token = format!("{TOKEN_PREFIX}{}", app.token());
    let word = LinkWord { sha256: token_hash(&token), expires_ms: now_ms + TOKEN_MS };
    app.project.catalog.insert_token(&visitor.account, &name, &word, now_ms).await?;
    let told = html! {
        div.notice role="status" {
            p { "This is shown once. Keep it where you keep passwords." }
            p { code data-testid="token" { (token) } }
        }
    };
    overview(&app, &visitor, Some(&told)).await
}

/// Ends one.
pub(crate) async fn end_token(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(token): Path<i64>,
) -> Result<Redirect, WebError> {
    app.portal()?;
    app.project.catalog.revoke_token(TokenId(token), &visitor.account, app.now_ms()).await?;
    Ok(Redirect::to("/access"))
}

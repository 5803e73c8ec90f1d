//! How does somebody for whom a supervisor answers accept the terms, in their own name?

use std::sync::Arc;

use affectory_catalog::{Applicant, GrantRow, MemberRow};
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};

use super::confirm::account;
use super::request::RequestForm;
use super::{page, password_fields};
use crate::access::{SESSION_MS, cookie};
use crate::app::{App, token_hash};
use crate::failure::WebError;

/// The terms, and a form.
pub(crate) async fn show(State(app): State<Arc<App>>, Path(token): Path<String>) -> Result<Response, WebError> {
    app.portal()?;
    match app.project.catalog.find_member_by_link(&token_hash(&token), app.now_ms()).await? {
        Some((member, grant)) => Ok(form(&app, &token, &member, &grant, None).await?.into_response()),
        None => Ok(used_up(&app)),
    }
}

fn used_up(app: &App) -> Response {
    let content = html! { p.error role="alert" { "This link was used, or it has expired: ask your supervisor to name you again." } };
    (StatusCode::GONE, page(app, "This link has ended", None, &content)).into_response()
}

async fn form(
    app: &App,
    token: &str,
    member: &MemberRow,
    grant: &GrantRow,
    problem: Option<&str>,
) -> Result<Markup, WebError> {
    let settings = &app.portal()?.settings;
    let has_account = app.project.catalog.find_login(&member.person.email).await?.is_some();
    let content = html! {
        p { bdi { (grant.owner.name) } " signed these terms for the work with " (grant.release) ", and answers for you." }
        @if let Some(problem) = problem { p.error role="alert" { (problem) } }
        ol.terms { @for clause in &settings.clauses { li { strong { (clause.heading) } " " (clause.text) } } }
        form.card method="post" action={ "/join/" (token) } {
            label for="email" { "Address" }
            input #email type="email" value=(member.person.email) autocomplete="username" readonly;
            (password_fields(has_account))
            label.check { input type="checkbox" name="who" value="accepted" required; " I, " bdi { (member.person.name) } ", accept these terms" }
            button.primary type="submit" { "Accept" }
        }
    };
    Ok(page(app, "Access through your supervisor", None, &content))
}

/// Accepts.
pub(crate) async fn accept(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    Form(filled): Form<RequestForm>,
) -> Result<Response, WebError> {
    app.portal()?;
    let (catalog, now_ms) = (&app.project.catalog, app.now_ms());
    let Some((member, grant)) = catalog.find_member_by_link(&token_hash(&token), now_ms).await? else {
        return Ok(used_up(&app));
    };
    let applicant =
        Applicant { name: member.person.name.clone(), email: member.person.email.clone(), ..Applicant::default() };
    let made = match filled.who.as_str() {
        "accepted" => account(&app, &applicant, &filled).await?,
        _ => Err("there is access for those who accept the terms"),
    };
    let account = match made {
        Ok(account) => account,
        Err(reason) => {
            let page = form(&app, &token, &member, &grant, Some(reason)).await?;
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    if !catalog.accept_membership(&member, &account, now_ms).await? {
        return Ok(used_up(&app));
    }
    let session = app.token();
    catalog.open_session(&account, &token_hash(&session), now_ms + SESSION_MS, now_ms).await?;
    Ok(([(SET_COOKIE, cookie(&app, Some(&session)))], Redirect::to("/access")).into_response())
}

//! How does somebody sign in and out?

use std::sync::Arc;

use axum::Extension;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::header::{ACCEPT_LANGUAGE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};

use super::layout;
use crate::access::{SESSION_MS, Visitor, cookie, local_place, percent_encoded};
use crate::app::{App, token_hash};
use crate::failure::WebError;
use crate::messages::Language;
use crate::server::Peer;

#[derive(serde::Deserialize)]
pub(crate) struct Place {
    #[serde(default)]
    next: String,
    language: Option<String>,
}

#[derive(serde::Deserialize)]
pub(crate) struct Credentials {
    email: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// The language of somebody who is not signed in.
pub(super) fn language_of<'a>(app: &'a App, asked: Option<&str>, headers: &HeaderMap) -> &'a Language {
    match asked.filter(|code| app.messages.has(code)) {
        Some(code) => app.messages.of(code),
        None => {
            let header = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
            app.messages.accepted(header.unwrap_or(""))
        }
    }
}

/// The form.
pub(crate) async fn show(State(app): State<Arc<App>>, Query(place): Query<Place>, headers: HeaderMap) -> Markup {
    form(&app, language_of(&app, place.language.as_deref(), &headers), &place.next, None)
}

/// Signs in under a fresh token, whatever cookie came along.
pub(crate) async fn sign_in(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    Form(credentials): Form<Credentials>,
) -> Result<Response, WebError> {
    let language = language_of(&app, None, &headers);
    let (email, address) = (credentials.email.trim().to_lowercase(), address_of(&app, peer, &headers));
    let now_ms = app.now_ms();
    let refused =
        |status: StatusCode, text: &str| (status, form(&app, language, &credentials.next, Some(text))).into_response();
    // Only who has a turn is counted: a class that signs in together from one address is not many failures.
    let turn = app.hashing.acquire().await.map_err(|_| WebError::Busy)?;
    if let Some(minutes) = app.wait_to_sign_in(&email, &address).await? {
        let text = language.text("login_wait").replace("{minutes}", &minutes.to_string());
        return Ok(refused(StatusCode::TOO_MANY_REQUESTS, &text));
    }
    let found = app.project.catalog.find_login(&email).await?;
    let stored = found.as_ref().map(|(_, hash)| hash.clone());
    let is_right = app.is_right_in_turn(credentials.password.clone(), stored).await;
    match found.filter(|(account, _)| is_right && account.disabled_ms.is_none()) {
        Some((account, _)) => {
            app.signed_in(&email, &address).await?;
            drop(turn);
            let token = app.token();
            app.project.catalog.open_session(&account, &token_hash(&token), now_ms + SESSION_MS, now_ms).await?;
            let cookie = cookie(&app, Some(&token));
            Ok(([(SET_COOKIE, cookie)], Redirect::to(local_place(&credentials.next))).into_response())
        }
        None => Ok(refused(StatusCode::UNAUTHORIZED, language.text("login_failed"))),
    }
}

/// Ends the session.
pub(crate) async fn sign_out(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Response, WebError> {
    let (token, actor) = (token_hash(&visitor.token), visitor.account.actor());
    app.project.catalog.close_session(&token, &actor, app.now_ms()).await?;
    Ok(([(SET_COOKIE, cookie(&app, None))], Redirect::to("/login")).into_response())
}

/// Where a request comes from. Only a server that is known to stand behind a proxy believes the proxy's header.
pub(super) fn address_of(app: &App, peer: std::net::SocketAddr, headers: &HeaderMap) -> String {
    let forwarded = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
    let last = forwarded.and_then(|list| list.rsplit(',').next()).map(str::trim);
    match last.filter(|_| app.options.public_url.is_some()) {
        Some(address) => address.chars().take(64).collect(),
        None => peer.ip().to_string(),
    }
}

fn form(app: &App, language: &Language, next: &str, problem: Option<&str>) -> Markup {
    let content = html! {
        @if let Some(problem) = problem { p.error role="alert" { (problem) } }
        form.card method="post" action="/login" {
            input type="hidden" name="next" value=(next);
            label for="email" { (language.text("login_email")) }
            input #email name="email" type="email" autocomplete="username" required autofocus dir="ltr";
            label for="password" { (language.text("login_password")) }
            input #password name="password" type="password" autocomplete="current-password" required dir="ltr";
            button.primary type="submit" { (language.text("login_submit")) }
        }
        (language_links(app, &format!("/login?next={}&language=", percent_encoded(next))))
    };
    layout::page(language.text("login_title"), language, None, &content)
}

/// A link for each language; `place` ends where its code goes.
pub(super) fn language_links(app: &App, place: &str) -> Markup {
    html! {
        p.languages {
            @for language in app.messages.all() {
                a lang=(language.code) dir=(language.direction) href={ (place) (language.code) } {
                    (language.native_name)
                }
                " "
            }
        }
    }
}

//! How does somebody who was invited make an account?

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};

use super::layout;
use crate::access::{SESSION_MS, cookie};
use crate::app::{App, token_hash};
use crate::failure::WebError;
use crate::messages::Language;
use crate::passwords::{SHORTEST, password_problem};

/// Longest name, characters.
const LONGEST_NAME: usize = 80;

#[derive(serde::Deserialize)]
pub(crate) struct NewAccountForm {
    name: String,
    password: String,
    repeat: String,
}

/// The form, or that the link is used up.
pub(crate) async fn show(State(app): State<Arc<App>>, Path(token): Path<String>) -> Result<Response, WebError> {
    match app.project.catalog.find_invitation(&token_hash(&token), app.now_ms()).await? {
        Some(invitation) => {
            let language = app.messages.of(&invitation.language);
            Ok(form(language, &token, &invitation.email, "", None).into_response())
        }
        None => Ok(used_up(app.messages.of("en"))),
    }
}

/// Makes the account and signs it in.
pub(crate) async fn accept(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    Form(wanted): Form<NewAccountForm>,
) -> Result<Response, WebError> {
    let now_ms = app.now_ms();
    let Some(invitation) = app.project.catalog.find_invitation(&token_hash(&token), now_ms).await? else {
        return Ok(used_up(app.messages.of("en")));
    };
    let language = app.messages.of(&invitation.language);
    let name = wanted.name.trim();
    let problem = if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        Some(language.text("invitation_name").to_owned())
    } else if password_problem(&wanted.password).is_some() {
        Some(language.text("password_short").replace("{n}", &SHORTEST.to_string()))
    } else if wanted.password != wanted.repeat {
        Some(language.text("password_differs").to_owned())
    } else {
        None
    };
    if let Some(problem) = problem {
        let page = form(language, &token, &invitation.email, name, Some(&problem));
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let hash = app.hashed(wanted.password).await?;
    match app.project.catalog.accept_invitation(&token_hash(&token), name, &hash, now_ms).await? {
        Some(account) => {
            let token = app.token();
            app.project.catalog.open_session(&account, &token_hash(&token), now_ms + SESSION_MS, now_ms).await?;
            Ok(([(SET_COOKIE, cookie(&app, Some(&token)))], Redirect::to("/")).into_response())
        }
        None => Ok(used_up(language)),
    }
}

fn used_up(language: &Language) -> Response {
    let content = html! { p.error role="alert" { (language.text("invitation_expired")) } };
    (StatusCode::GONE, layout::page(language.text("invitation_title"), language, None, &content)).into_response()
}

fn form(language: &Language, token: &str, email: &str, name: &str, problem: Option<&str>) -> Markup {
    let content = html! {
        p { (language.text("invitation_intro")) }
        @if let Some(problem) = problem { p.error role="alert" { (problem) } }
        form.card method="post" action={ "/invitation/" (token) } {
            label for="email" { (language.text("login_email")) }
            input #email type="email" value=(email) autocomplete="username" readonly dir="ltr";
            label for="name" { (language.text("invitation_name")) }
            input #name name="name" value=(name) autocomplete="name" maxlength=(LONGEST_NAME) required autofocus;
            label for="password" { (language.text("invitation_password")) }
            input #password name="password" type="password" autocomplete="new-password" minlength=(SHORTEST) required dir="ltr";
            label for="repeat" { (language.text("invitation_repeat")) }
            input #repeat name="repeat" type="password" autocomplete="new-password" minlength=(SHORTEST) required dir="ltr";
            button.primary type="submit" { (language.text("invitation_submit")) }
        }
    };
    layout::page(language.text("invitation_title"), language, None, &content)
}

//! What does an annotator see first, and what may they change of their account?

use std::sync::Arc;

use affectory_catalog::{AccountChange, PoolState, Role};
use axum::Form;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};

use super::layout::{self, count, csrf};
use crate::access::{SESSION_MS, Visitor, cookie};
use crate::api::TODAY_MS;
use crate::app::{App, token_hash};
use crate::failure::WebError;
use crate::passwords::password_problem;

/// The pools there are for them, and how far they are.
pub(crate) async fn show(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Response, WebError> {
    // Whoever only asks for access has nothing to annotate.
    if visitor.account.role == Role::Researcher {
        let place = if app.options.portal.is_some() { "/access" } else { "/challenges" };
        return Ok(Redirect::to(place).into_response());
    }
    let language = app.messages.of(&visitor.account.language);
    let text = |key| language.text(key);
    let catalog = &app.project.catalog;
    let mut pools = Vec::new();
    for pool in catalog.list_pools().await?.into_iter().filter(|pool| pool.state == PoolState::Open) {
        let since_ms = app.now_ms() - TODAY_MS;
        let own = catalog.count_own_answers(visitor.account.annotator_id, pool.id, since_ms).await?;
        pools.push((pool, own));
    }
    let is_qualified = visitor.account.qualified_ms.is_some();
    let content = html! {
        @if pools.is_empty() { p.notice { (text("home_nothing")) } }
        @for (pool, (today, mine)) in &pools {
            section.card {
                h2 { bdi { (pool.name) } }
                dl.figures {
                    div { dt { (text("home_today")) } dd { bdi { (count(*today)) } } }
                    div { dt { (text("home_mine")) } dd { bdi { (count(*mine)) } } }
                    div {
                        dt { (text("home_progress")) }
                        dd {
                            bdi { (count(pool.n_done)) " / " (count(pool.n_wanted)) }
                            progress value=(pool.n_done) max=(pool.n_wanted.max(1)) aria-label=(text("home_progress")) {}
                        }
                    }
                }
                @if pool.rules.needs_quiz && !is_qualified {
                    p { (text("quiz_intro")) }
                    a.button.primary href="/quiz" { (text("quiz_title")) }
                } @else {
                    a.button.primary href={ "/annotate/" (pool.id) } data-testid={ "start-" (pool.id) } {
                        (text("home_start"))
                    }
                }
            }
        }
        p { a href="/tutorial" { (text("tutorial_title")) } " · " a href="/quiz" { (text("quiz_title")) } }
    };
    Ok(layout::page(text("home_title"), language, Some(&visitor), &content).into_response())
}

/// Language and password.
pub(crate) async fn account(State(app): State<Arc<App>>, visitor: Visitor) -> Markup {
    account_page(&app, &visitor, None)
}

fn account_page(app: &App, visitor: &Visitor, problem: Option<&str>) -> Markup {
    let language = app.messages.of(&visitor.account.language);
    let text = |key| language.text(key);
    let content = html! {
        @if let Some(problem) = problem { p.error role="alert" { (problem) } }
        p { bdi { (visitor.account.email) } }
        form.card method="post" action="/account/language" {
            (csrf(visitor))
            label for="language" { (text("language")) }
            select #language name="language" {
                @for other in app.messages.all() {
                    option value=(other.code) lang=(other.code) selected[other.code == language.code] {
                        (other.native_name)
                    }
                }
            }
            button type="submit" { (text("account_save")) }
        }
        form.card method="post" action="/account/password" {
            (csrf(visitor))
            label for="current" { (text("account_password_now")) }
            input #current name="current" type="password" autocomplete="current-password" required dir="ltr";
            label for="password" { (text("account_password_new")) }
            input #password name="password" type="password" autocomplete="new-password" required dir="ltr";
            label for="repeat" { (text("invitation_repeat")) }
            input #repeat name="repeat" type="password" autocomplete="new-password" required dir="ltr";
            button type="submit" { (text("account_save")) }
        }
    };
    layout::page(text("account_title"), language, Some(visitor), &content)
}

#[derive(serde::Deserialize)]
pub(crate) struct LanguageForm {
    language: String,
}

/// Another language.
pub(crate) async fn change_language(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Form(wanted): Form<LanguageForm>,
) -> Result<Redirect, WebError> {
    if !app.messages.has(&wanted.language) {
        return Err(WebError::Invalid("there are no words for that language".into()));
    }
    let change = AccountChange::Language(&wanted.language);
    app.project.catalog.change_account(visitor.account.id, change, &visitor.account.actor(), app.now_ms()).await?;
    Ok(Redirect::to("/account"))
}

#[derive(serde::Deserialize)]
pub(crate) struct PasswordForm {
    current: String,
    password: String,
    repeat: String,
}

/// Another password; every other session ends.
pub(crate) async fn change_password(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Form(wanted): Form<PasswordForm>,
) -> Result<Response, WebError> {
    let language = app.messages.of(&visitor.account.language);
    let catalog = &app.project.catalog;
    let stored = catalog.find_login(&visitor.account.email).await?.map(|(_, hash)| hash);
    let problem = if wanted.password != wanted.repeat {
        Some("password_differs")
    } else if password_problem(&wanted.password).is_some() {
        Some("password_short")
    } else if !app.is_right(wanted.current, stored).await {
        Some("login_failed")
    } else {
        None
    };
    if let Some(problem) = problem {
        let text = language.text(problem).replace("{n}", &crate::passwords::SHORTEST.to_string());
        return Ok(account_page(&app, &visitor, Some(&text)).into_response());
    }
    let hash = app.hashed(wanted.password).await?;
    let (account, now_ms) = (&visitor.account, app.now_ms());
    catalog.change_account(account.id, AccountChange::Password(&hash), &account.actor(), now_ms).await?;
    let token = app.token();
    catalog.open_session(account, &token_hash(&token), now_ms + SESSION_MS, now_ms).await?;
    Ok(([(SET_COOKIE, cookie(&app, Some(&token)))], Redirect::to("/account")).into_response())
}

//! How does an administrator invite people, and change what they may?

use std::sync::Arc;

use affectory_catalog::{Account, AccountChange, Invitation, Role};
use affectory_core::AccountId;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Redirect;
use maud::{Markup, html};

use super::layout::{self, csrf, time};
use crate::access::Visitor;
use crate::app::{App, token_hash};
use crate::failure::WebError;

/// How long an invitation can be used, ms.
const INVITED_FOR_MS: i64 = 14 * 86_400_000;

/// Everybody, and the form for one more.
pub(crate) async fn list(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Markup, WebError> {
    page(&app, &visitor, None).await
}

async fn page(app: &App, visitor: &Visitor, link: Option<&str>) -> Result<Markup, WebError> {
    let accounts = app.project.catalog.list_accounts().await?;
    let content = html! {
        @if let Some(link) = link {
            div.notice role="status" {
                p { "Give this link to the person, and to nobody else. It is shown once and works once, for 14 days." }
                p { code data-testid="invitation-link" { (link) } }
            }
        }
        div.scroll tabindex="0" role="region" aria-label="Table" {
            table {
                thead {
                    tr {
                        th scope="col" { "Name" }
                        th scope="col" { "Address" }
                        th scope="col" { "Annotator" }
                        th scope="col" { "Since" }
                        th scope="col" { "Quiz" }
                        th scope="col" { "May" }
                    }
                }
                tbody { @for account in &accounts { (row(visitor, account)) } }
            }
        }
        h2 { "Invite somebody" }
        form.card method="post" action="/people/invite" {
            (csrf(visitor))
            label for="email" { "E-mail address" }
            input #email name="email" type="email" required;
            label for="role" { "Role" }
            select #role name="role" {
                @for role in Role::ALL { option value=(role.name()) selected[role == Role::Annotator] { (role.name()) } }
            }
            label for="language" { "Language" }
            select #language name="language" {
                @for language in app.messages.all() { option value=(language.code) lang=(language.code) { (language.native_name) } }
            }
            button.primary type="submit" { "Make an invitation link" }
        }
    };
    Ok(layout::page("People", app.messages.of("en"), Some(visitor), &content))
}

fn row(visitor: &Visitor, account: &Account) -> Markup {
    html! {
        tr {
            th scope="row" { bdi { (account.name) } }
            td { bdi { (account.email) } }
            td { "person/" (format!("{:04}", account.id.0)) }
            td { (time(account.created_ms)) }
            td { @if account.qualified_ms.is_some() { "passed" } @else { "–" } }
            td {
                form.inline method="post" action={ "/people/" (account.id) } {
                    (csrf(visitor))
                    select name="role" aria-label={ "Role of " (account.name) } {
                        @for role in Role::ALL { option value=(role.name()) selected[role == account.role] { (role.name()) } }
                    }
                    button name="act" value="role" { "Change" }
                    @if account.disabled_ms.is_some() { button name="act" value="enable" { "Let in again" } }
                    @else { button name="act" value="disable" { "Shut out" } }
                }
            }
        }
    }
}

#[derive(serde::Deserialize)]
pub(crate) struct InvitationForm {
    email: String,
    role: String,
    language: String,
}

/// Makes an invitation and shows its link, once.
pub(crate) async fn invite(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    headers: HeaderMap,
    Form(form): Form<InvitationForm>,
) -> Result<Markup, WebError> {
    let email = form.email.trim().to_lowercase();
    let is_address = email.len() <= 254
        && email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
        && !email.chars().any(|c| c.is_whitespace() || c.is_control());
    if !is_address {
        return Err(WebError::Invalid(format!("`{email}` is no e-mail address")));
    }
    let role = Role::from_name(&form.role).ok_or_else(|| WebError::Invalid("unknown role".into()))?;
    if !app.messages.has(&form.language) {
        return Err(WebError::Invalid("there are no words for that language".into()));
    }
    let (token, now_ms) = (app.token(), app.now_ms());
    let invitation = Invitation {
        token_sha256: token_hash(&token),
        email,
        role,
        language: form.language,
        expires_ms: now_ms + INVITED_FOR_MS,
    };
    app.project.catalog.insert_invitation(&invitation, Some(&visitor.account), now_ms).await?;
    let link = format!("{}/invitation/{token}", app.base(&headers));
    page(&app, &visitor, Some(&link)).await
}

#[derive(serde::Deserialize)]
pub(crate) struct ChangeForm {
    act: String,
    role: String,
}

/// Changes what somebody may.
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(account): Path<i64>,
    Form(form): Form<ChangeForm>,
) -> Result<Redirect, WebError> {
    let change = match form.act.as_str() {
        "enable" => AccountChange::Disabled(false),
        "disable" => AccountChange::Disabled(true),
        "role" => {
            let role = Role::from_name(&form.role).ok_or_else(|| WebError::Invalid("unknown role".into()))?;
            AccountChange::Role(role)
        }
        _ => return Err(WebError::Invalid("unknown change".into())),
    };
    let (actor, now_ms) = (visitor.account.actor(), app.now_ms());
    if app.project.catalog.change_account(AccountId(account), change, &actor, now_ms).await? {
        return Ok(Redirect::to("/people"));
    }
    Err(WebError::Invalid("there is no such account, or it is the last administrator, who must stay one".into()))
}

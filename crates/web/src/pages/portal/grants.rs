//! Who has access, and how does the lab end or extend it?

use std::sync::Arc;

use affectory_core::GrantId;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Redirect;
use maud::{Markup, html};

use super::{desk, tidy};
use crate::access::Visitor;
use crate::app::App;
use crate::failure::WebError;
use crate::pages::layout::{csrf, date, time};

const DAY_MS: i64 = 86_400_000;

/// All grants, newest first, renewals asked for on top.
pub(crate) async fn list(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Markup, WebError> {
    let days = app.portal()?.settings.access.granted_days;
    let mut grants = app.project.catalog.list_grants().await?;
    grants.sort_by_key(|grant| grant.renewal_asked_ms.is_none());
    let now_ms = app.now_ms();
    let content = html! {
        @if grants.is_empty() { p.notice { "Nobody has access yet." } }
        @for grant in &grants {
            section.card data-testid={ "grant-" (grant.id) } {
                h2 { bdi { (grant.owner.name) } ": " (grant.release) }
                p {
                    bdi { (grant.owner.email) } ", since " (time(grant.granted_ms)) ", "
                    @if let Some(revoked_ms) = grant.revoked_ms { "revoked " (time(revoked_ms)) ": " bdi { (grant.revoke_reason.as_deref().unwrap_or("")) } }
                    @else if grant.is_open(now_ms) { "until " (time(grant.expires_ms)) }
                    @else { "expired " (time(grant.expires_ms)) }
                    " · " a href={ "/requests/" (grant.request_id) } { "request" }
                }
                @if grant.renewal_asked_ms.is_some() { p.notice { "More time is asked for." } }
                @if grant.revoked_ms.is_none() {
                    form.card method="post" action={ "/grants/" (grant.id) } {
                        (csrf(&visitor))
                        label for={ "days-" (grant.id) } { "Days from today" }
                        input id={ "days-" (grant.id) } name="days" type="number" min="1" max="36500" value=(days);
                        button name="act" value="renew" { "Renew" }
                        label for={ "reason-" (grant.id) } { "Reason to revoke; it is mailed" }
                        input id={ "reason-" (grant.id) } name="reason" maxlength="300";
                        button.danger name="act" value="revoke" { "Revoke at once" }
                    }
                }
            }
        }
    };
    Ok(desk(&app, "Who has access", &visitor, &content))
}

#[derive(serde::Deserialize)]
pub(crate) struct GrantForm {
    act: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    days: String,
}

/// Revokes or renews.
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(grant): Path<i64>,
    Form(form): Form<GrantForm>,
) -> Result<Redirect, WebError> {
    let (portal, now_ms, catalog) = (app.portal()?, app.now_ms(), &app.project.catalog);
    let grant = catalog.find_grant(GrantId(grant)).await?.ok_or(WebError::NotFound("that access"))?;
    let (email, name) = (&grant.owner.email, &grant.owner.name);
    let is_done = match form.act.as_str() {
        "revoke" => {
            let reason = tidy(&form.reason, 300);
            if reason.is_empty() {
                return Err(WebError::Invalid("please write why".into()));
            }
            let letter = portal.letters().revoked(email, name, &grant.release, &reason);
            let is_done = catalog.revoke_grant(grant.id, &reason, &visitor.account, &[letter], now_ms).await?;
            app.forget_grant(grant.id);
            is_done
        }
        "renew" => {
            let days = form.days.parse::<i64>().ok().filter(|days| (1..=36_500).contains(days));
            let days = days.ok_or_else(|| WebError::Invalid("access is given for 1 to 36500 days".into()))?;
            let expires_ms = now_ms + days * DAY_MS;
            let until = date(expires_ms.div_euclid(DAY_MS));
            let letter = portal.letters().renewed(email, name, &grant.release, &until);
            catalog.renew_grant(grant.id, expires_ms, &visitor.account, &[letter], now_ms).await?
        }
        _ => return Err(WebError::Invalid("unknown change".into())),
    };
    if is_done { Ok(Redirect::to("/grants")) } else { Err(WebError::Invalid("this access was revoked".into())) }
}

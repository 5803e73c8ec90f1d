//! How does the lab decide who gets a release?

use std::sync::Arc;

use affectory_catalog::{LinkWord, RequestChange, RequestRow, RequestState};
use affectory_core::RequestId;
use affectory_portal::agreement::{Report, SignatureKind, Verdict};
use axum::Form;
use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_FRAME_OPTIONS};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};

use super::own::state_text;
use super::request::link_ms;
use super::{desk, tidy};
use crate::access::Visitor;
use crate::app::{App, token_hash};
use crate::failure::WebError;
use crate::pages::layout::{count, csrf, date, time};

const DAY_MS: i64 = 86_400_000;

/// Decisions over which the waiting time is taken.
const DECISIONS: u32 = 100;

/// What waits, longest first, and how long it usually takes.
pub(crate) async fn list(State(app): State<Arc<App>>, visitor: Visitor) -> Result<Markup, WebError> {
    app.portal()?;
    let catalog = &app.project.catalog;
    let mut waits = catalog.list_waiting_times(DECISIONS).await?;
    waits.sort_unstable();
    let median = waits.get(waits.len() / 2).map(|ms| *ms as f64 / DAY_MS as f64);
    let waiting = catalog.list_requests(RequestState::Submitted).await?;
    let mut others = Vec::new();
    for state in RequestState::ALL.into_iter().filter(|state| *state != RequestState::Submitted) {
        others.push((state, catalog.list_requests(state).await?));
    }
    let now_ms = app.now_ms();
    let longest = waiting.iter().filter_map(|request| request.submitted_ms).min();
    let content = html! {
        dl.figures {
            div { dt { "Waiting for you" } dd data-testid="waiting" { (count(waiting.len() as u64)) } }
            div { dt { "Longest" } dd { (longest.map_or("–".into(), |ms| format!("{:.1} days", (now_ms - ms) as f64 / DAY_MS as f64))) } }
            div { dt { "Median wait of the last " (count(waits.len() as u64)) } dd { (median.map_or("–".into(), |days| format!("{days:.1} days"))) } }
        }
        @if waiting.is_empty() { p.notice { "Nobody waits for you." } } @else { (table(&waiting)) }
        @for (state, requests) in &others {
            @if !requests.is_empty() {
                details {
                    summary { (state.name()) " (" (count(requests.len() as u64)) ")" }
                    (table(requests))
                }
            }
        }
    };
    Ok(desk(&app, "Requests", &visitor, &content))
}

fn table(requests: &[RequestRow]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Table" {
            table {
                thead { tr { th scope="col" { "Name" } th scope="col" { "Institution" } th scope="col" { "Release" } th scope="col" { "Since" } } }
                tbody {
                    @for request in requests.iter().take(500) {
                        tr {
                            th scope="row" { a href={ "/requests/" (request.id) } { bdi { (request.applicant.name) } } }
                            td { bdi { (request.applicant.institution) } }
                            td { (request.release) }
                            td { (time(request.submitted_ms.unwrap_or(request.created_ms))) }
                        }
                    }
                }
            }
        }
    }
}

/// What a program found in a signed agreement.
pub(super) fn report_table(report: &Report) -> Markup {
    let signature = match report.signature {
        Some(SignatureKind::Digital) => "signed digitally; whose certificate it is was not asked",
        Some(SignatureKind::Drawn) => "signed by drawing",
        Some(SignatureKind::Scanned) => "a scan",
        None => "",
    };
    html! {
        ul.findings {
            @for finding in &report.findings {
                @let rule = serde_json::to_value(finding.rule).ok().and_then(|name| name.as_str().map(|name| name.replace('-', " "))).unwrap_or_default();
                li {
                    strong { (rule) ": " }
                    @match &finding.verdict {
                        Verdict::Passed => "as it should be",
                        Verdict::ByEye(reason) => { "to be looked at: " (reason) }
                        Verdict::Refused(reason) => { "refused: " (reason) }
                    }
                }
            }
            @if !signature.is_empty() { li { (signature) } }
        }
    }
}

async fn find(app: &App, request: i64) -> Result<RequestRow, WebError> {
    app.portal()?;
    app.project.catalog.find_request(RequestId(request)).await?.ok_or(WebError::NotFound("that request"))
}

/// One request: the form beside the agreement, and what else is known.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(request): Path<i64>,
) -> Result<Markup, WebError> {
    let request = find(&app, request).await?;
    let catalog = &app.project.catalog;
    let related = catalog.list_related_requests(&request).await?;
    let notes = catalog.list_request_notes(request.id).await?;
    let report: Option<Report> = request.signed_report.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let applicant = &request.applicant;
    let place = format!("/requests/{}", request.id);
    let content = html! {
        p { strong { (state_text(request.state)) } @if let Some(reason) = &request.reason { " " bdi { (reason) } } }
        @for warning in warnings(&request, &related) { p.error { (warning) } }
        div.review {
            section {
                dl.form {
                    dt { "Release" } dd { (request.release) }
                    dt { "Name" } dd { bdi { (applicant.name) } }
                    dt { "Address" } dd { bdi { (applicant.email) } }
                    dt { "Position" } dd { bdi { (applicant.position) } }
                    dt { "Institution" } dd { bdi { (applicant.institution) } }
                    dt { "ORCID" }
                    dd { @if applicant.orcid.is_empty() { "–" } @else { a href={ "https://orcid.org/" (applicant.orcid) } rel="noreferrer noopener" target="_blank" { (applicant.orcid) } } }
                    dt { "Web page" }
                    dd { @if applicant.web_page.is_empty() { "–" } @else { a href=(applicant.web_page) rel="noreferrer noopener nofollow" target="_blank" { bdi { (applicant.web_page) } } } }
                    dt { "Purpose" } dd.text { bdi { (applicant.purpose) } }
                    @if let Some(student) = &request.student { dt { "On behalf of" } dd { bdi { (student.name) } " (" bdi { (student.email) } ")" } }
                    dt { "Agreement" } dd { (request.agreement_number.as_deref().unwrap_or("–")) }
                }
                @if let Some(report) = &report { h2 { "What the program found" } (report_table(report)) }
                @if !notes.is_empty() { h2 { "Asked and answered" } }
                @for note in &notes { p { @if note.is_owner { "They: " } @else { "We: " } bdi { (note.text) } " " span.muted { (time(note.created_ms)) } } }
                @if matches!(request.state, RequestState::Submitted | RequestState::AskedBack) { (decision(&app, &visitor, &request, &place)?) }
                @if !related.is_empty() {
                    h2 { "Earlier and other requests" }
                    ul { @for other in &related {
                        li {
                            a href={ "/requests/" (other.id) } { bdi { (other.applicant.name) } } ", " bdi { (other.applicant.email) }
                            ", " (other.release) ", " (other.state.name()) ", " (time(other.created_ms))
                        }
                    } }
                }
            }
            section {
                @if request.signed_sha256.is_some() {
                    h2 { "As it came back" }
                    iframe.pdf src={ (place) "/signed.pdf" } title="The signed agreement" {}
                    p { a href={ (place) "/signed.pdf" } target="_blank" { "Open it alone" } " · " a href={ (place) "/issued.pdf" } target="_blank" { "The agreement as issued" } }
                }
            }
        }
    };
    Ok(desk(&app, &format!("Request of {}", applicant.name), &visitor, &content))
}

fn decision(app: &App, visitor: &Visitor, request: &RequestRow, place: &str) -> Result<Markup, WebError> {
    let days = app.portal()?.settings.access.granted_days;
    Ok(html! {
        h2 { "Decision" }
        form.card method="post" action=(place) {
            (csrf(visitor))
            @if request.state == RequestState::Submitted {
                label for="days" { "Days of access" }
                input #days name="days" type="number" min="1" max="36500" value=(days);
            }
            label for="text" { "Your question, or the reason to refuse; it is mailed" }
            textarea #text name="text" rows="3" maxlength="2000" {}
            div.row {
                @if request.state == RequestState::Submitted {
                    button.primary name="act" value="grant" { "Grant" }
                    button name="act" value="ask" { "Ask back" }
                }
                button.danger name="act" value="refuse" { "Refuse" }
            }
        }
    })
}

/// What a reviewer should not overlook.
fn warnings(request: &RequestRow, related: &[RequestRow]) -> Vec<String> {
    let mut warnings = Vec::new();
    let applicant = &request.applicant;
    let domain = applicant.email.rsplit_once('@').map_or("", |(_, domain)| domain);
    if !applicant.web_page.is_empty() {
        let host = applicant.web_page.split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next()).unwrap_or("");
        let tail = |name: &str| name.rsplit('.').take(2).collect::<Vec<_>>().join(".");
        if tail(host) != tail(domain) {
            warnings.push(format!("The web page is at {host}, the address at {domain}."));
        }
    }
    if applicant.orcid.is_empty() && applicant.web_page.is_empty() {
        warnings.push("There is neither an ORCID iD nor a web page.".into());
    }
    if related.iter().any(|other| other.state == RequestState::Refused) {
        warnings.push("A request like this one was refused before.".into());
    }
    let has_same = |other: &&RequestRow| {
        other.release_id == request.release_id
            && matches!(other.state, RequestState::Submitted | RequestState::Granted)
            && (other.applicant.email == applicant.email
                || (!applicant.orcid.is_empty() && other.applicant.orcid == applicant.orcid))
    };
    if related.iter().any(|other| has_same(&other)) {
        warnings.push("The same person asks for, or has, the same release.".into());
    }
    warnings
}

/// The agreement as issued, or as it came back, shown in a frame of the review page.
pub(crate) async fn file(
    State(app): State<Arc<App>>,
    Path((request, file)): Path<(i64, String)>,
) -> Result<Response, WebError> {
    let request = find(&app, request).await?;
    let sha256 = match file.as_str() {
        "signed.pdf" => request.signed_sha256,
        "issued.pdf" => request.agreement_sha256,
        _ => None,
    };
    let bytes = app.project.store.read(&sha256.ok_or(WebError::NotFound("that file"))?).await?;
    let mut response = ([(CONTENT_TYPE, "application/pdf")], bytes).into_response();
    let headers = response.headers_mut();
    // The browser's own reader shows it; nothing in it was found to act, and nothing of ours is within its reach.
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'",
        ),
    );
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    Ok(response)
}

#[derive(serde::Deserialize)]
pub(crate) struct DecisionForm {
    act: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    days: String,
}

/// Grants, asks or refuses.
pub(crate) async fn decide(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(request): Path<i64>,
    Form(form): Form<DecisionForm>,
) -> Result<Redirect, WebError> {
    let request = find(&app, request).await?;
    let (portal, now_ms) = (app.portal()?, app.now_ms());
    let letters = portal.letters();
    let (email, name) = (&request.applicant.email, &request.applicant.name);
    let text = tidy(&form.text, 2_000);
    if text.is_empty() && form.act != "grant" {
        return Err(WebError::Invalid("please write what is to be asked, or why it is refused".into()));
    }
    let (seed, word) = (app.token(), app.token());
    let link = LinkWord { sha256: token_hash(&word), expires_ms: now_ms + link_ms(&app)? };
    let mut mail = Vec::new();
    let change = match form.act.as_str() {
        "ask" => {
            mail.push(letters.asked_back(email, name, &text));
            RequestChange::AskBack(&text)
        }
        "refuse" => {
            mail.push(letters.refused(email, name, &text));
            RequestChange::Refuse(&text)
        }
        "grant" => {
            let days: i64 = form
                .days
                .parse()
                .ok()
                .filter(|days| (1..=36_500).contains(days))
                .ok_or_else(|| WebError::Invalid("access is given for 1 to 36500 days".into()))?;
            let expires_ms = now_ms + days * DAY_MS;
            mail.push(letters.granted(email, name, &request.release, &date(expires_ms.div_euclid(DAY_MS))));
            if let Some(student) = &request.student {
                mail.push(letters.join(&student.email, &student.name, name, &request.release, &word));
            }
            RequestChange::Grant { seed: &seed, expires_ms, student_link: request.student.as_ref().map(|_| &link) }
        }
        _ => return Err(WebError::Invalid("unknown decision".into())),
    };
    if app.project.catalog.change_request(request.id, &change, Some(&visitor.account), &mail, now_ms).await? {
        return Ok(Redirect::to(&format!("/requests/{}", request.id)));
    }
    Err(WebError::Invalid("that is no longer possible: somebody else decided meanwhile".into()))
}

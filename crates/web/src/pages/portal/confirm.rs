//! What does the link in the first letter open? It shows that an address is somebody's; who can sign gets an account.

use std::sync::Arc;

use affectory_catalog::{Account, Applicant, LinkWord, NewAccount, RequestChange, RequestRow, RequestState, Role};
use affectory_portal::agreement::{Agreement, AgreementError, AgreementNumber, Clause, Licensor, Party, agreement_pdf};
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};

use super::request::{RequestForm, link_ms, problem};
use super::{area, field, page, password_fields};
use crate::access::{SESSION_MS, cookie};
use crate::app::{App, token_hash};
use crate::failure::WebError;
use crate::pages::layout::date;
use crate::passwords::password_problem;

/// A button for a student, a form for whoever can sign: a link alone changes nothing, because mail programs follow them.
pub(crate) async fn show(State(app): State<Arc<App>>, Path(token): Path<String>) -> Result<Response, WebError> {
    app.portal()?;
    let Some(request) = find(&app, &token).await? else { return Ok(used_up(&app)) };
    if is_students(&request) {
        return Ok(student_page(&app, &token, &request).into_response());
    }
    let filled = of_applicant(&request.applicant);
    let has_account = app.project.catalog.find_login(&request.applicant.email).await?.is_some();
    Ok(owner_page(&app, &token, &request, &filled, has_account, None).into_response())
}

/// Whether the link is the one to the student, and not yet the supervisor's.
fn is_students(request: &RequestRow) -> bool {
    request.state == RequestState::Unconfirmed && request.student.is_some()
}

async fn find(app: &App, token: &str) -> Result<Option<RequestRow>, WebError> {
    let found = app.project.catalog.find_request_by_link(&token_hash(token), app.now_ms()).await?;
    Ok(found.filter(|request| matches!(request.state, RequestState::Unconfirmed | RequestState::WithSupervisor)))
}

fn of_applicant(applicant: &Applicant) -> RequestForm {
    let applicant = applicant.clone();
    RequestForm {
        name: applicant.name,
        email: applicant.email,
        position: applicant.position,
        institution: applicant.institution,
        orcid: applicant.orcid,
        web_page: applicant.web_page,
        purpose: applicant.purpose,
        ..RequestForm::default()
    }
}

fn student_page(app: &App, token: &str, request: &RequestRow) -> Markup {
    let content = html! {
        p { "With this the request goes to " bdi { (request.applicant.name) } " (" bdi { (request.applicant.email) } "), who can sign it." }
        form.card method="post" action={ "/request/confirm/" (token) } {
            button.primary type="submit" { "Send it to my supervisor" }
        }
    };
    page(app, "Confirm your address", None, &content)
}

fn owner_page(
    app: &App,
    token: &str,
    request: &RequestRow,
    filled: &RequestForm,
    has_account: bool,
    problem: Option<&str>,
) -> Markup {
    let content = html! {
        @if let Some(student) = &request.student {
            p {
                bdi { (student.name) } " (" bdi { (student.email) } ") asks for access through you. If you sign, the request is "
                "yours, and " bdi { (student.name) } " is named under your agreement."
            }
        }
        @if let Some(problem) = problem { p.error role="alert" { (problem) } }
        form.card method="post" action={ "/request/confirm/" (token) } {
            label for="email" { "Address" }
            input #email type="email" value=(request.applicant.email) autocomplete="username" readonly;
            (field("name", "Your name", &filled.name, "text", "As it is to stand in the agreement.", true))
            (field("position", "Position", &filled.position, "text", "", true))
            (field("institution", "Institution", &filled.institution, "text", "", true))
            (field("orcid", "ORCID iD", &filled.orcid, "text", "Like 0000-0002-1825-0097; it helps us to see who you are.", false))
            (field("web_page", "Your page at the institution", &filled.web_page, "url", "Where your name and position are found.", false))
            (area("purpose", "What for", &filled.purpose, "It stands in the agreement."))
            (password_fields(has_account))
            button.primary type="submit" { "Go on to the agreement" }
        }
    };
    page(app, "Your request", None, &content)
}

fn used_up(app: &App) -> Response {
    let content = html! {
        p.error role="alert" { "This link was used, or it has expired." }
        p { a href="/access" { "Your requests" } " · " a href="/data" { "Ask again" } }
    };
    (StatusCode::GONE, page(app, "This link has ended", None, &content)).into_response()
}

/// Does what the page says.
pub(crate) async fn confirm(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    Form(filled): Form<RequestForm>,
) -> Result<Response, WebError> {
    app.portal()?;
    let Some(request) = find(&app, &token).await? else { return Ok(used_up(&app)) };
    if is_students(&request) { to_supervisor(&app, &request).await } else { own(&app, &token, &request, filled).await }
}

async fn to_supervisor(app: &App, request: &RequestRow) -> Result<Response, WebError> {
    let (letters, now_ms) = (app.portal()?.letters(), app.now_ms());
    let Some(student) = &request.student else { return Ok(used_up(app)) };
    let (word, supervisor) = (app.token(), &request.applicant);
    let link = LinkWord { sha256: token_hash(&word), expires_ms: now_ms + link_ms(app)? };
    let mail = [
        letters.supervisor(&supervisor.email, &supervisor.name, &student.name, &supervisor.purpose, &word),
        letters.with_supervisor(&student.email, &student.name, &supervisor.name),
    ];
    let change = RequestChange::ToSupervisor(&link);
    if !app.project.catalog.change_request(request.id, &change, None, &mail, now_ms).await? {
        return Ok(used_up(app));
    }
    let content = html! {
        p.success role="status" { "We have written to " bdi { (supervisor.name) } ". You will hear from us when there is access for you." }
    };
    Ok(page(app, "Sent to your supervisor", None, &content).into_response())
}

async fn own(app: &Arc<App>, token: &str, request: &RequestRow, filled: RequestForm) -> Result<Response, WebError> {
    let (catalog, now_ms) = (&app.project.catalog, app.now_ms());
    // The address is the one the letter went to, whatever the form says.
    let applicant = Applicant { email: request.applicant.email.clone(), ..filled.applicant() };
    let has_account = catalog.find_login(&applicant.email).await?.is_some();
    let refused = |reason: &str| {
        let page = owner_page(app, token, request, &filled, has_account, Some(reason));
        (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
    };
    if let Some(reason) = problem(app, &applicant)? {
        return Ok(refused(&reason));
    }
    let number = number_of(request, now_ms);
    let pdf = match agreement_pdf(&agreement(app, request, &applicant, number, now_ms)?) {
        Ok(pdf) => pdf,
        Err(error @ (AgreementError::Letter { .. } | AgreementError::TooLong { .. })) => {
            return Ok(refused(&error.to_string()));
        }
        Err(error) => return Err(WebError::Failed(Arc::new(error))),
    };
    let account = match account(app, &applicant, &filled).await? {
        Ok(account) => account,
        Err(reason) => return Ok(refused(reason)),
    };
    let sha256 = app.project.store.put(pdf.into()).await?;
    app.project.store.flush().await?;
    let number = number.to_string();
    let change = RequestChange::Own { account: account.id, applicant: &applicant, number: &number, agreement: &sha256 };
    let letter = app.portal()?.letters().sign(&applicant.email, &applicant.name, &number);
    if !catalog.change_request(request.id, &change, Some(&account), &[letter], now_ms).await? {
        return Ok(used_up(app));
    }
    let session = app.token();
    catalog.open_session(&account, &token_hash(&session), now_ms + SESSION_MS, now_ms).await?;
    Ok(([(SET_COOKIE, cookie(app, Some(&session)))], Redirect::to("/access")).into_response())
}

/// The account of an address that was just shown to be theirs: a new one, or the one there is, by its password. Done
/// again after a kill, the first is the second.
pub(super) async fn account(
    app: &Arc<App>,
    applicant: &Applicant,
    filled: &RequestForm,
) -> Result<Result<Account, &'static str>, WebError> {
    let catalog = &app.project.catalog;
    if let Some((account, hash)) = catalog.find_login(&applicant.email).await? {
        let is_right = app.is_right(filled.password.clone(), Some(hash)).await;
        return Ok(match account.disabled_ms {
            _ if !is_right => Err("that is not the password of your account here"),
            Some(_) => Err("your account was shut out: write to us"),
            None => Ok(account),
        });
    }
    if let Some(reason) = password_problem(&filled.password) {
        return Ok(Err(reason));
    }
    if filled.password != filled.repeat {
        return Ok(Err("the two passwords differ"));
    }
    let hash = app.hashed(filled.password.clone()).await?;
    let new = NewAccount {
        email: &applicant.email,
        name: &applicant.name,
        role: Role::Researcher,
        language: "en",
        password_hash: &hash,
    };
    Ok(Ok(catalog.insert_account(&new, "confirmed address", app.now_ms()).await?))
}

/// The number of a request's agreement, and of no other's.
pub(super) fn number_of(request: &RequestRow, now_ms: i64) -> AgreementNumber {
    let year = date(now_ms.div_euclid(86_400_000)).split('-').next().and_then(|year| year.parse().ok());
    AgreementNumber::new(year.unwrap_or(0), u32::try_from(request.id.0).unwrap_or(u32::MAX))
}

fn agreement(
    app: &App,
    request: &RequestRow,
    applicant: &Applicant,
    number: AgreementNumber,
    now_ms: i64,
) -> Result<Agreement, WebError> {
    let settings = &app.portal()?.settings;
    let (lab, institution) = settings.database.licensor.split_once(',').unwrap_or((&settings.database.licensor, ""));
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Ok(Agreement {
        database: settings.database.name.clone(),
        release: settings.offer(&request.release).map_or(&*request.release, |offer| offer.title()).to_owned(),
        licensor: Licensor { lab: lab.trim().to_owned(), institution: institution.trim().to_owned() },
        number,
        terms: settings
            .clauses
            .iter()
            .map(|clause| Clause { heading: clause.heading.clone(), text: clause.text.clone() })
            .collect(),
        licensee: Party {
            name: applicant.name.clone(),
            position: applicant.position.clone(),
            institution: applicant.institution.clone(),
            email: applicant.email.clone(),
            orcid: filled(&applicant.orcid),
            web_page: filled(&applicant.web_page),
        },
        purpose: applicant.purpose.clone(),
        date: date(now_ms.div_euclid(86_400_000)),
        named_students: request.student.iter().map(|student| student.name.clone()).collect(),
    })
}

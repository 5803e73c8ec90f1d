//! How does somebody ask for a release?

use std::sync::Arc;

use affectory_catalog::{Applicant, LinkWord, NewRequest, ReleaseRow, Student};
use affectory_portal::Offer;
use axum::Extension;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::{area, field, line, page, tidy};
use crate::app::{App, token_hash};
use crate::failure::WebError;
use crate::pages::sign_in::address_of;
use crate::server::Peer;

#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub(crate) struct RequestForm {
    pub(super) who: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) position: String,
    pub(super) institution: String,
    pub(super) orcid: String,
    pub(super) web_page: String,
    pub(super) purpose: String,
    pub(super) supervisor_name: String,
    pub(super) supervisor_email: String,
    pub(super) password: String,
    pub(super) repeat: String,
}

impl RequestForm {
    /// What it says of who asks.
    pub(super) fn applicant(&self) -> Applicant {
        Applicant {
            name: line(&self.name),
            email: line(&self.email).to_lowercase(),
            position: line(&self.position),
            institution: line(&self.institution),
            orcid: line(&self.orcid).trim_start_matches("https://orcid.org/").to_owned(),
            web_page: line(&self.web_page),
            purpose: tidy(&self.purpose, 2_000),
        }
    }
}

/// The release, if it is offered.
pub(super) async fn offered(app: &App, release: &str) -> Result<(Offer, ReleaseRow), WebError> {
    let missing = WebError::NotFound("that release");
    let Some(offer) = app.portal()?.settings.offer(release) else { return Err(missing) };
    let rows = app.project.catalog.list_releases().await?;
    let row = rows.into_iter().find(|row| row.release.name == release).ok_or(missing)?;
    Ok((offer.clone(), row))
}

/// The form.
pub(crate) async fn show(State(app): State<Arc<App>>, Path(release): Path<String>) -> Result<Markup, WebError> {
    let (offer, _) = offered(&app, &release).await?;
    Ok(form(&app, &offer, &RequestForm::default(), None))
}

fn form(app: &App, offer: &Offer, filled: &RequestForm, problem: Option<&str>) -> Markup {
    let is_student = filled.who == "student";
    let content = html! {
        p {
            "Access is given to heads of laboratories and professors, who sign an agreement for themselves and for their "
            "students. If you are a student, give your supervisor's name and address too: the request becomes theirs."
        }
        @if let Some(problem) = problem { p.error role="alert" { (problem) } }
        form.card method="post" action={ "/request/" (offer.name) } {
            fieldset {
                legend { "I am" }
                label.check { input type="radio" name="who" value="own" checked[!is_student] required; " the head of a laboratory, or a professor" }
                label.check { input type="radio" name="who" value="student" checked[is_student]; " a student, or employed by one of them" }
            }
            (field("name", "Your name", &filled.name, "text", "As it is to stand in the agreement.", true))
            (field("email", "Your address at your institution", &filled.email, "email", "We write to it to see that it is yours.", true))
            (field("position", "Position", &filled.position, "text", "", true))
            (field("institution", "Institution", &filled.institution, "text", "", true))
            (field("orcid", "ORCID iD", &filled.orcid, "text", "Like 0000-0002-1825-0097; it helps us to see who you are.", false))
            (field("web_page", "Your page at the institution", &filled.web_page, "url", "Where your name and position are found.", false))
            (area("purpose", "What for", &filled.purpose, "A few sentences. They stand in the agreement."))
            fieldset {
                legend { "For students: your supervisor" }
                (field("supervisor_name", "Their name", &filled.supervisor_name, "text", "", false))
                (field("supervisor_email", "Their address at the institution", &filled.supervisor_email, "email", "", false))
            }
            button.primary type="submit" { "Ask for access" }
        }
    };
    page(app, &format!("Access to {}", offer.title()), None, &content)
}

/// Why a form cannot be taken, if it cannot.
pub(super) fn problem(app: &App, applicant: &Applicant) -> Result<Option<String>, WebError> {
    let settings = &app.portal()?.settings;
    let missing = [
        (&applicant.name, "your name"),
        (&applicant.position, "your position"),
        (&applicant.institution, "your institution"),
        (&applicant.purpose, "what you need it for"),
    ];
    if let Some((_, what)) = missing.into_iter().find(|(text, _)| text.is_empty()) {
        return Ok(Some(format!("please say {what}")));
    }
    if let Some(reason) = settings.address_problem(&applicant.email) {
        return Ok(Some(format!("{}: {reason}", applicant.email)));
    }
    if !applicant.orcid.is_empty() && !is_orcid(&applicant.orcid) {
        return Ok(Some(format!("{} is no ORCID iD: one looks like 0000-0002-1825-0097", applicant.orcid)));
    }
    if !applicant.web_page.is_empty() && !is_web_page(&applicant.web_page) {
        return Ok(Some("your page begins with https:// or http://".into()));
    }
    Ok(None)
}

/// Sixteen digits in fours, the last one a check (ISO 7064 mod 11-2, as ORCID says).
fn is_orcid(text: &str) -> bool {
    let digits: Vec<char> = text.chars().filter(|c| *c != '-').collect();
    if text.len() != 19 || digits.len() != 16 || [4, 9, 14].iter().any(|place| text.as_bytes()[*place] != b'-') {
        return false;
    }
    let Some(sum) = digits[..15].iter().try_fold(0, |sum, c| Some((sum + c.to_digit(10)?) * 2)) else { return false };
    let check = (12 - sum % 11) % 11;
    if check == 10 { digits[15] == 'X' } else { digits[15].to_digit(10) == Some(check) }
}

fn is_web_page(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| rest.len() > 3 && !rest.starts_with('/')) && !text.contains(char::is_whitespace)
}

/// Takes a request in. Whether there is an account for the address is told to its owner only, by letter.
pub(crate) async fn ask(
    State(app): State<Arc<App>>,
    Extension(Peer(peer)): Extension<Peer>,
    Path(release): Path<String>,
    headers: HeaderMap,
    Form(filled): Form<RequestForm>,
) -> Result<Response, WebError> {
    let (offer, row) = offered(&app, &release).await?;
    let portal = app.portal()?;
    let mut applicant = filled.applicant();
    let mut refusal = problem(&app, &applicant)?;
    let mut student = None;
    let (email, name) = (applicant.email.clone(), applicant.name.clone());
    if filled.who == "student" {
        let supervisor = (line(&filled.supervisor_name), line(&filled.supervisor_email).to_lowercase());
        if refusal.is_none() {
            refusal = match portal.settings.address_problem(&supervisor.1) {
                _ if supervisor.0.is_empty() => Some("please say who your supervisor is".into()),
                Some(reason) => Some(format!("your supervisor's address: {reason}")),
                None if supervisor.1 == email => Some("your supervisor's address is yours: only they can sign".into()),
                None => None,
            };
        }
        student = Some(Student { name: name.clone(), email: email.clone() });
        // Position, page and ORCID iD are the student's; the supervisor gives their own.
        applicant = Applicant {
            name: supervisor.0,
            email: supervisor.1,
            position: String::new(),
            orcid: String::new(),
            web_page: String::new(),
            ..applicant
        };
    } else if filled.who != "own" && refusal.is_none() {
        refusal = Some("please say who you are".into());
    }
    if let Some(reason) = refusal {
        let page = form(&app, &offer, &filled, Some(&reason));
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let now_ms = app.now_ms();
    if !app.may_ask(&address_of(&app, peer, &headers)).await? {
        let page =
            form(&app, &offer, &filled, Some("there were many requests from your network: try again in an hour"));
        return Ok((StatusCode::TOO_MANY_REQUESTS, page).into_response());
    }
    let word = app.token();
    let new = NewRequest {
        release_id: row.id,
        applicant,
        student,
        link: LinkWord { sha256: token_hash(&word), expires_ms: now_ms + link_ms(&app)? },
    };
    let letter = portal.letters().confirm(&email, &name, &word);
    app.project.catalog.insert_request(&new, &[letter], now_ms).await?;
    let content = html! {
        p.success role="status" { "Thank you. We have written to " bdi { (email) } ": please follow the link in that letter." }
        p { "It can be used for " (portal.settings.access.link_days) " days. If nothing comes, look into your spam folder." }
    };
    Ok(page(&app, "Please confirm your address", None, &content).into_response())
}

/// How long a mailed link holds, ms.
pub(super) fn link_ms(app: &App) -> Result<i64, WebError> {
    Ok(i64::from(app.portal()?.settings.access.link_days) * 86_400_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orcid_with_a_wrong_digit_is_found() {
        assert!(is_orcid("0000-0002-1825-0097") && is_orcid("0000-0002-1694-233X"));
        for wrong in ["0000-0002-1825-0098", "0000-0002-1825-009", "0000000218250097", "0000-0002-1825-00é7", ""] {
            assert!(!is_orcid(wrong), "{wrong}");
        }
    }
}

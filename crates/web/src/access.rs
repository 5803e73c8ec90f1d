//! Who asks, may they, and does the request come from a page of ours?

use std::sync::Arc;

use affectory_catalog::{Account, Role};
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::app::{App, token_hash};
use crate::failure::{ApiError, WebError};
use crate::uploads::{UploadLimit, read_form};

/// What a route asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: pages that people without an account need.
    Everybody,
    /// An account with at least this role.
    AtLeast(Role),
    /// Any account, or a program that shows a personal token of one.
    AccountOrToken,
}

impl Access {
    /// Whether a visitor may come in.
    pub(crate) fn admits(self, role: Option<Role>) -> bool {
        match self {
            Access::Everybody => true,
            Access::AtLeast(least) => role.is_some_and(|role| role >= least),
            Access::AccountOrToken => role.is_some(),
        }
    }
}

/// Longest body of a request, bytes, but for routes that files are sent to.
pub(crate) const BODY_LIMIT: usize = 256 * 1024;

/// How long somebody stays signed in, ms.
pub(crate) const SESSION_MS: i64 = 14 * 86_400_000;

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    pub(crate) account: Account,
    /// What proves that a request comes from a page of this session.
    pub(crate) csrf: String,
    /// The session's word.
    pub(crate) token: String,
    /// Whether the server has a portal, whose pages they find in the navigation.
    pub(crate) has_portal: bool,
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get::<Visitor>().cloned().ok_or(WebError::SignedOut)
    }
}

/// What stands before a route.
#[derive(Clone)]
pub(crate) struct Rule {
    pub(crate) app: Arc<App>,
    pub(crate) method: Method,
    pub(crate) access: Access,
    /// Longest body, bytes.
    pub(crate) body_limit: usize,
}

/// Stands before every route.
pub(crate) async fn guard(State(rule): State<Rule>, request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let place = request.uri().path_and_query().map_or("/", |place| place.as_str()).to_owned();
    let is_read = rule.method == Method::GET;
    // Whoever may not come in is turned away before a body is read, and holds no place for long.
    let place_for_file = if rule.body_limit > BODY_LIMIT { rule.app.uploads.try_acquire().map(Some) } else { Ok(None) };
    let Ok(_place_for_file) = place_for_file else { return WebError::Busy.into_response() };
    match admit(&rule, request).await {
        Ok(request) => next.run(request).await,
        Err(WebError::SignedOut) if is_read && !is_api => {
            Redirect::to(&format!("/login?next={}", percent_encoded(&place))).into_response()
        }
        Err(error) if is_api => ApiError(error).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn admit(rule: &Rule, mut request: Request) -> Result<Request, WebError> {
    request.extensions_mut().insert(UploadLimit(rule.body_limit));
    let Rule { app, access, .. } = rule;
    let changes = rule.method != Method::GET;
    if changes && !is_from_here(request.headers(), app.options.public_url.as_deref()) {
        return Err(WebError::Forged);
    }
    let shown = bearer(request.headers()).filter(|_| *access == Access::AccountOrToken);
    let visitor = match (shown, session_token(request.headers())) {
        (Some(token), _) => {
            let found = app.project.catalog.find_token(&token_hash(token), app.now_ms()).await?;
            // No page is made for it and nothing is changed under it.
            found.map(|account| Visitor { account, csrf: String::new(), token: String::new(), has_portal: true })
        }
        (None, Some(token)) => {
            let found = app.project.catalog.find_session(&token_hash(&token), app.now_ms()).await?;
            found.map(|account| Visitor {
                account,
                csrf: csrf_of(&token),
                token,
                has_portal: app.options.portal.is_some(),
            })
        }
        (None, None) => None,
    };
    if !access.admits(visitor.as_ref().map(|visitor| visitor.account.role)) {
        let Access::AtLeast(least) = *access else { return Err(WebError::SignedOut) };
        return Err(if visitor.is_some() { WebError::Forbidden(least.name()) } else { WebError::SignedOut });
    }
    if let Some(visitor) = visitor {
        if changes && *access != Access::Everybody {
            request = with_csrf_checked(request, &visitor.csrf, rule.body_limit).await?;
        }
        request.extensions_mut().insert(visitor);
    }
    Ok(request)
}

/// Browsers say from which site a request was begun; programs that say nothing have no cookie to be abused.
fn is_from_here(headers: &HeaderMap, public_url: Option<&str>) -> bool {
    let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    if let Some(site) = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok())
        && !matches!(site, "same-origin" | "none")
    {
        return false;
    }
    let Some(origin) = text(ORIGIN) else { return true };
    if public_url.is_some_and(|url| url.trim_end_matches('/') == origin) {
        return true;
    }
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_some() && host == text(HOST)
}

/// The word of a session's cookie.
fn session_token(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut tokens = pairs.filter(|(name, _)| *name == COOKIE_NAME || *name == COOKIE_NAME_HTTPS);
    let (_, token) = tokens.next()?;
    (token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| token.to_owned())
}

const COOKIE_NAME: &str = "affectory";
/// Browsers take this name over HTTPS only, and from this very host only.
const COOKIE_NAME_HTTPS: &str = "__Host-affectory";

/// The cookie that signs somebody in, or (`None`) out.
pub(crate) fn cookie(app: &App, token: Option<&str>) -> String {
    let (name, secure) = if app.is_https() { (COOKIE_NAME_HTTPS, "; Secure") } else { (COOKIE_NAME, "") };
    let (token, max_age) = token.map_or(("", 0), |token| (token, SESSION_MS / 1000));
    format!("{name}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}")
}

pub(crate) fn csrf_of(token: &str) -> String {
    hex::encode(Sha256::digest(format!("csrf of {token}")))
}

/// The token stands in a header (scripts) or in the field `csrf` (forms; forms with a file only where one is expected).
async fn with_csrf_checked(request: Request, expected: &str, limit: usize) -> Result<Request, WebError> {
    let is_right = |found: &str| bool::from(found.as_bytes().ct_eq(expected.as_bytes()));
    if let Some(found) = request.headers().get("x-csrf-token") {
        return if found.to_str().is_ok_and(is_right) { Ok(request) } else { Err(WebError::Forged) };
    }
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if limit > BODY_LIMIT && kind.starts_with("multipart/form-data") {
        let kind = kind.to_owned();
        let (mut parts, body) = request.into_parts();
        let (found, upload) = read_form(body, &kind, limit).await?;
        if !is_right(&found) {
            return Err(WebError::Forged);
        }
        parts.extensions.insert(upload);
        return Ok(Request::from_parts(parts, Body::empty()));
    }
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(WebError::Forged);
    }
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, BODY_LIMIT).await.map_err(|_| WebError::TooLarge)?;
    let fields: Vec<(String, String)> = serde_urlencoded::from_bytes(&bytes).map_err(|_| WebError::Forged)?;
    let found = fields.iter().find(|(name, _)| name == "csrf").map_or("", |(_, value)| value.as_str());
    if is_right(found) { Ok(Request::from_parts(parts, Body::from(bytes))) } else { Err(WebError::Forged) }
}

/// The token of an `Authorization` header, if it looks like one.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let shown = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?.trim();
    (shown.len() == TOKEN_PREFIX.len() + 64 && shown.starts_with(TOKEN_PREFIX)).then_some(shown)
}

/// Personal tokens begin with it, so that programs that look for secrets in public places know one.
pub(crate) const TOKEN_PREFIX: &str = "affectory_";

/// A place as it stands in a query.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// A place on this server to go on to; anything else becomes the start.
pub(crate) fn local_place(next: &str) -> &str {
    let is_local = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n']);
    if is_local { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_from_another_site_is_not_from_here() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            pairs
                .iter()
                .map(|(name, value)| {
                    (axum::http::HeaderName::from_static(name), axum::http::HeaderValue::from_static(value))
                })
                .collect::<HeaderMap>()
        };
        let ours = [("host", "lab:80"), ("origin", "http://lab:80")];
        assert!(is_from_here(&headers(&ours), None));
        assert!(!is_from_here(&headers(&[("host", "lab:80"), ("origin", "http://evil")]), None));
        assert!(!is_from_here(&headers(&[("host", "lab:80"), ("origin", "null")]), None));
        assert!(!is_from_here(&headers(&[("host", "lab:80"), ("sec-fetch-site", "cross-site")]), None));
        assert!(is_from_here(&headers(&[("host", "inner"), ("origin", "https://lab")]), Some("https://lab/")));
        assert!(is_from_here(&headers(&[("host", "lab:80")]), None));
    }

    #[test]
    fn only_places_of_this_server_are_gone_on_to() {
        assert_eq!(local_place("/annotate/3?x=1"), "/annotate/3?x=1");
        for foreign in ["//evil", "https://evil", "/\\evil", "javascript:alert(1)", ""] {
            assert_eq!(local_place(foreign), "/");
        }
    }
}

//! What is sent to a search provider, what comes back, and what of it may be shown?

use std::fmt;

use url::Url;

use super::Secret;

/// Query parameters and form fields that hold keys.
const SECRET_NAMES: [&str; 4] = ["api_key", "key", "client_id", "client_secret"];

/// The verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// For pages.
    Get,
    /// For tokens, with a form as body.
    Post,
}

/// A request to be sent as it is. Its URL may hold a key: print [`ApiRequest::loggable_url`] instead.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiRequest {
    /// The verb.
    pub method: Method,
    /// The whole address.
    pub url: Url,
    /// Headers besides User-Agent, which is the client's.
    pub headers: Vec<(&'static str, String)>,
    /// The body of a POST, as `application/x-www-form-urlencoded`.
    pub form: Vec<(&'static str, String)>,
}

impl ApiRequest {
    pub(super) fn new(method: Method, base: &Url, path: &str) -> ApiRequest {
        let mut url = base.clone();
        url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
        ApiRequest { method, url, headers: vec![("Accept", "application/json".to_owned())], form: Vec::new() }
    }

    pub(super) fn pair(mut self, name: &str, value: &str) -> ApiRequest {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    pub(super) fn maybe_pair(self, name: &str, value: Option<&str>) -> ApiRequest {
        match value {
            Some(value) => self.pair(name, value),
            None => self,
        }
    }

    pub(super) fn header(mut self, name: &'static str, value: String) -> ApiRequest {
        self.headers.push((name, value));
        self
    }

    pub(super) fn field(mut self, name: &'static str, value: &str) -> ApiRequest {
        self.form.push((name, value.to_owned()));
        self
    }

    pub(super) fn secret_pair(self, name: &'static str, key: Option<&Secret>) -> ApiRequest {
        debug_assert!(SECRET_NAMES.contains(&name));
        self.maybe_pair(name, key.map(Secret::expose))
    }

    /// The address with the keys blotted out.
    pub fn loggable_url(&self) -> String {
        let mut url = self.url.clone();
        if url.query().is_some() {
            url.query_pairs_mut().clear().extend_pairs(self.url.query_pairs().map(|(name, value)| {
                let value = if SECRET_NAMES.contains(&&*name) { "***".into() } else { value };
                (name, value)
            }));
        }
        url.into()
    }
}

impl fmt::Debug for ApiRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names only: a header or a form field may be a key.
        let names = |pairs: &[(&'static str, String)]| pairs.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        f.debug_struct("ApiRequest")
            .field("method", &self.method)
            .field("url", &self.loggable_url())
            .field("headers", &names(&self.headers))
            .field("form", &names(&self.form))
            .finish()
    }
}

/// What the provider answered. The sender limits the body's size.
#[derive(Clone, Copy)]
pub struct ApiAnswer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After` as milliseconds from now.
    pub retry_after_ms: Option<i64>,
    /// The body, decompressed.
    pub body: &'a [u8],
}

impl fmt::Debug for ApiAnswer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the body: the answer to a token request is a key.
        f.debug_struct("ApiAnswer")
            .field("status", &self.status)
            .field("retry_after_ms", &self.retry_after_ms)
            .field("size_bytes", &self.body.len())
            .finish()
    }
}

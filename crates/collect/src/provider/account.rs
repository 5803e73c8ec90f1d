//! What does every adapter know about its place in the settings, and how does it read a refusal?

use serde_json::Value;
use url::Url;

use super::html::plain_text;
use super::page::Gathering;
use super::{
    ApiAnswer, ApiRequest, Ask, License, Method, ProviderError, ProviderFailure, ProviderLimits, SafeSearch, Secret,
};

/// Longest wait that a provider may ask for: a week.
const MAX_WAIT_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// One `[[provider]]`, with defaults filled in and its key at hand.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub name: String,
    pub base: Url,
    pub key: Option<Secret>,
    pub key_env: Option<String>,
    pub limits: ProviderLimits,
    pub safe_search: SafeSearch,
    pub licenses: Vec<License>,
}

impl Account {
    /// A GET of a path below the provider's address.
    pub fn get(&self, path: &str) -> ApiRequest {
        ApiRequest::new(Method::Get, &self.base, path)
    }

    /// The page size that is no more than the cap.
    pub fn page_size(&self, most: u32) -> u32 {
        most.min(self.limits.max_results).max(1)
    }

    /// An empty page after `seen` results.
    pub fn gather(&self, seen: u32) -> Gathering<'_> {
        Gathering::after(seen, self.limits.max_results, &self.licenses)
    }

    /// The same where the engine filters by licence and does not say which one it found: then the filter, such as
    /// `rights=(cc_attribute)`, is all that can be kept of it.
    pub fn gather_unlicensed(&self, seen: u32, filter: Option<String>) -> Gathering<'_> {
        let filtered = filter.map(|filter| format!("Google's filter {filter}"));
        Gathering::after(seen, self.limits.max_results, &[]).filtered_by(filtered)
    }

    /// Refuses an upload span, for providers that know none.
    pub fn no_slices(&self, ask: &Ask<'_>) -> Result<(), ProviderError> {
        if ask.slice.is_some() { Err(ProviderError::NoSlices) } else { Ok(()) }
    }

    /// A provider's words, fit to be shown.
    pub fn shown(&self, words: &str) -> String {
        let blot = |text: &str| self.key.as_ref().map_or_else(|| text.to_owned(), |key| key.blot(text));
        // Before, so that no cut leaves half a key; after, for a key that stood between tags.
        plain_text(&blot(words), 200).map_or_else(|| "no reason given".to_owned(), |plain| blot(&plain))
    }

    pub fn key_refused(&self, words: &str) -> ProviderFailure {
        // Without a key it is not the key's fault.
        let key_env = self.key.as_ref().and(self.key_env.clone());
        ProviderFailure::KeyRefused { key_env, message: self.shown(words) }
    }

    pub fn quota_spent(&self, answer: &ApiAnswer<'_>, words: &str) -> ProviderFailure {
        ProviderFailure::QuotaSpent { retry_after_ms: wait(answer), message: self.shown(words) }
    }

    pub fn busy(&self, answer: &ApiAnswer<'_>, words: &str) -> ProviderFailure {
        ProviderFailure::Busy { retry_after_ms: wait(answer), message: self.shown(words) }
    }

    pub fn refused(&self, words: &str) -> ProviderFailure {
        ProviderFailure::Refused { message: self.shown(words) }
    }

    /// What an HTTP status other than success means.
    pub fn check(&self, answer: &ApiAnswer<'_>) -> Result<(), ProviderFailure> {
        if (200..300).contains(&answer.status) {
            return Ok(());
        }
        let words = match words_of(answer.body).trim() {
            "" => format!("HTTP {}", answer.status),
            words => format!("HTTP {}: {words}", answer.status),
        };
        Err(match answer.status {
            402 | 429 => self.quota_spent(answer, &words),
            403 if speaks_of_quota(&words) => self.quota_spent(answer, &words),
            401 | 403 => self.key_refused(&words),
            400 | 422 if speaks_of_key(&words) => self.key_refused(&words),
            404 | 405 | 410 | 300..400 => ProviderFailure::WrongAddress { message: self.shown(&words) },
            408 | 425 | 500.. => self.busy(answer, &words),
            400..500 => self.refused(&words),
            _ => ProviderFailure::Malformed { what: self.shown(&words) },
        })
    }
}

/// Whether a refusal is about too many requests.
pub(super) fn speaks_of_quota(words: &str) -> bool {
    let words = words.to_lowercase();
    ["quota", "rate limit", "ratelimit", "limit exceeded", "limitexceeded", "too many requests", "run out of searches"]
        .iter()
        .any(|sign| words.contains(sign))
}

/// Whether a refusal is about the key.
pub(super) fn speaks_of_key(words: &str) -> bool {
    let words = words.to_lowercase();
    ["api key", "api_key", "subscription token", "subscription_token"].iter().any(|sign| words.contains(sign))
}

fn wait(answer: &ApiAnswer<'_>) -> Option<i64> {
    answer.retry_after_ms.map(|ms| ms.clamp(0, MAX_WAIT_MS))
}

/// The reason in a refusal's body: from JSON where it is that, else its text.
fn words_of(body: &[u8]) -> String {
    // The first kilobyte says it; an error page can be long.
    serde_json::from_slice::<Value>(body).ok().and_then(|value| reason(&value, 3)).unwrap_or_else(|| {
        let start = &body[..body.len().min(1_024)];
        String::from_utf8_lossy(start).into_owned()
    })
}

fn reason(value: &Value, depth: u32) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.chars().take(1_000).collect()),
        Value::Object(object) if depth > 0 => ["detail", "message", "info", "error_description", "error", "code"]
            .iter()
            .find_map(|name| reason(object.get(*name)?, depth - 1)),
        _ => None,
    }
}

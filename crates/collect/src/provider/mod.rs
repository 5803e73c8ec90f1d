//! How does each search engine want to be asked, and what does its answer mean?
//!
//! Nothing here sends anything: an adapter builds an [`ApiRequest`] and reads an [`ApiAnswer`]. What an engine answers is
//! hostile until read: a bad result is counted and left out, and a bad page is a [`ProviderFailure`].

use std::collections::BTreeMap;
use std::fmt;

use url::Url;

mod account;
mod brave;
mod commons;
mod configured;
mod cursor;
mod failure;
mod flickr;
mod google;
#[cfg(test)]
mod hostile;
mod html;
mod language;
mod license;
mod openverse;
mod page;
mod pexels;
mod query;
mod reading;
mod request;
mod searxng;
mod secret;
mod serpapi;
mod slice;

pub(crate) use configured::KeyNeed;
pub use configured::{ProviderKind, build_provider, build_providers};
pub use failure::{NextStep, ProviderError, ProviderFailure};
pub use license::License;
pub(crate) use reading::clean;
pub use request::{ApiAnswer, ApiRequest, Method};
pub use secret::Secret;
pub(crate) use serpapi::Engine;
pub use slice::{BadSlice, UploadSlice, plan_slices};

/// A search engine's interface: how to ask for a page of results, and how to read it.
pub trait SearchProvider: fmt::Debug + Send + Sync {
    /// The unique name from the settings, such as `brave` or `our-searxng`.
    fn name(&self) -> &str;

    /// How often and how far it may be asked.
    fn limits(&self) -> &ProviderLimits;

    /// The request for one page.
    ///
    /// # Errors
    /// [`ProviderError`] where this provider cannot be asked so; nothing is sent then.
    fn request(&self, ask: &Ask<'_>) -> Result<ApiRequest, ProviderError>;

    /// Reads the answer to the request that [`SearchProvider::request`] built from the same `ask`.
    ///
    /// # Errors
    /// [`ProviderFailure`], whose [`ProviderFailure::next_step`] says what to do about it.
    fn read(&self, ask: &Ask<'_>, answer: &ApiAnswer<'_>) -> Result<Page, ProviderFailure>;

    /// The request for a token to be given in [`Ask::token`]; `None` where the provider takes none.
    fn token_request(&self) -> Option<ApiRequest> {
        None
    }

    /// Reads the answer to [`SearchProvider::token_request`].
    ///
    /// # Errors
    /// [`ProviderFailure`].
    fn read_token(&self, _answer: &ApiAnswer<'_>) -> Result<Token, ProviderFailure> {
        Err(ProviderFailure::Malformed { what: format!("{} gives no tokens", self.name()) })
    }
}

/// One page of one query.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The words searched for.
    pub text: &'a str,
    /// Their language as BCP 47, such as `de` or `pt-BR`; one that the provider does not know is left out.
    pub language: &'a str,
    /// Words or phrases that a result must not have. As many are sent as the provider takes.
    pub negatives: &'a [String],
    /// Only what was uploaded in this span, where [`ProviderLimits::slices_by_upload_date`].
    pub slice: Option<UploadSlice>,
    /// [`Page::next`] of the page before; `None` asks for the first page.
    pub cursor: Option<&'a str>,
    /// The token from [`SearchProvider::read_token`].
    pub token: Option<&'a Secret>,
}

/// A token and how long it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What goes into [`Ask::token`]; belongs into memory only.
    pub secret: Secret,
    /// Milliseconds from now until another one is needed: a little before it ends, so that it outlives its last request.
    pub expires_in_ms: i64,
}

/// How often and how far a provider may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderLimits {
    /// Least pause between two requests, in milliseconds.
    pub pause_ms: u64,
    /// Requests a day (UTC).
    pub daily_budget: u32,
    /// Results of one search, over all its pages: as many as the provider hands out, or fewer where the settings say so.
    pub max_results: u32,
    /// Results of one query, over all its slices; `None`: all that there are.
    pub wanted: Option<u32>,
    /// Whether [`Ask::slice`] is understood, so that [`plan_slices`] gets past `max_results`.
    pub slices_by_upload_date: bool,
}

/// How much of what is unfit for children a provider leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SafeSearch {
    /// Nothing.
    Off,
    /// The most explicit; where a provider knows only on and off, this is on.
    #[default]
    Moderate,
    /// All that it can recognise.
    Strict,
}

/// What one answer holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Usable results in the provider's order.
    pub hits: Vec<Hit>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
    /// How many results the provider says the whole query has.
    pub total: Option<u64>,
    /// Parts that failed, such as `google images: timeout`.
    pub partial: Vec<String>,
    /// Results left out, counted by reason.
    pub skipped: BTreeMap<SkipReason, u32>,
}

/// One image that a provider points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// 1-based place among all results of the query, the skipped ones included.
    pub rank: u32,
    /// The image; always http or https.
    pub image_url: Url,
    /// The page that shows it; always http or https.
    pub page_url: Option<Url>,
    /// Plain text of at most 300 characters.
    pub title: Option<String>,
    /// The engine behind the provider, such as `bing images`.
    pub engine: Option<String>,
    /// The licence as words, such as `CC BY-SA 4.0`.
    pub license: Option<String>,
    /// Where the licence stands.
    pub license_url: Option<Url>,
    /// Who made the image.
    pub creator: Option<String>,
    /// The line to print beside the image.
    pub attribution: Option<String>,
    /// Pixels, as the provider says.
    pub width: Option<u32>,
    /// Pixels, as the provider says.
    pub height: Option<u32>,
}

impl Hit {
    /// A hit of which nothing but the address is known.
    pub(crate) fn new(image_url: Url) -> Hit {
        Hit {
            rank: 0,
            image_url,
            page_url: None,
            title: None,
            engine: None,
            license: None,
            license_url: None,
            creator: None,
            attribution: None,
            width: None,
            height: None,
        }
    }
}

/// Why a result was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SkipReason {
    /// It is not an object, so nothing can be read from it.
    NotAResult,
    /// It names no image.
    NoImage,
    /// The image's address is no URL.
    BadUrl,
    /// The image's address is of another scheme than http and https, such as `file`.
    ForbiddenScheme,
    /// The image's address holds a user name or a password.
    UserInfo,
    /// The image's address has more than 4,096 bytes.
    LongUrl,
    /// Its licence is not among those asked for, or not stated.
    OtherLicense,
    /// It lies beyond the results that one query may have.
    OverCap,
    /// The image, or the page it stands on, is of a host from which nothing is taken.
    ExcludedHost,
}

impl SkipReason {
    /// The word for the catalogue: the same as of a fetch, where that can end so, too.
    pub const fn as_str(self) -> &'static str {
        match self {
            SkipReason::NotAResult => "not-a-result",
            SkipReason::NoImage => "no-image",
            SkipReason::BadUrl => "bad-url",
            SkipReason::ForbiddenScheme => "forbidden-scheme",
            SkipReason::UserInfo => "user-info",
            SkipReason::LongUrl => "long-url",
            SkipReason::OtherLicense => "other-license",
            SkipReason::OverCap => "not-wanted",
            SkipReason::ExcludedHost => "excluded-host",
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

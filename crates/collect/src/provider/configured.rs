//! How do the settings of a provider become an adapter that can be asked?

use url::Url;

use super::account::Account;
use super::brave::{self, Brave};
use super::commons::{self, Commons};
use super::flickr::{self, Flickr};
use super::google::{self, Google};
use super::openverse::{self, Openverse};
use super::pexels::{self, Pexels};
use super::searxng::{self, Searxng};
use super::serpapi::{self, Engine, SerpApi};
use super::{ProviderLimits, SearchProvider, Secret};
use crate::settings::{CollectSettings, ProviderSettings, SettingsError};

/// Pages of one SearXNG query unless the settings say otherwise.
const SEARXNG_PAGES: u32 = 10;

/// Which interface a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// A SearXNG instance of one's own.
    Searxng,
    /// Brave Search API.
    Brave,
    /// Openverse.
    Openverse,
    /// Wikimedia Commons.
    Commons,
    /// Flickr.
    Flickr,
    /// SerpApi: Google's, Bing's or Yahoo's images.
    Serpapi,
    /// Pexels.
    Pexels,
    /// Google's Programmable Search, which ends 2027-01-01.
    Google,
}

impl ProviderKind {
    /// The word in the settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            ProviderKind::Searxng => "searxng",
            ProviderKind::Brave => "brave",
            ProviderKind::Openverse => "openverse",
            ProviderKind::Commons => "commons",
            ProviderKind::Flickr => "flickr",
            ProviderKind::Serpapi => "serpapi",
            ProviderKind::Pexels => "pexels",
            ProviderKind::Google => "google",
        }
    }

    /// Where it is; `None` where everybody has their own.
    pub(crate) const fn home(self) -> Option<&'static str> {
        match self {
            ProviderKind::Searxng => None,
            ProviderKind::Brave => Some("https://api.search.brave.com"),
            ProviderKind::Openverse => Some("https://api.openverse.org"),
            ProviderKind::Commons => Some("https://commons.wikimedia.org"),
            ProviderKind::Flickr => Some("https://api.flickr.com"),
            ProviderKind::Serpapi => Some("https://serpapi.com"),
            ProviderKind::Pexels => Some("https://api.pexels.com"),
            ProviderKind::Google => Some("https://www.googleapis.com"),
        }
    }

    /// Whether it is asked with a key: always, if there is one, or never.
    pub(crate) const fn key(self) -> KeyNeed {
        match self {
            ProviderKind::Brave
            | ProviderKind::Flickr
            | ProviderKind::Serpapi
            | ProviderKind::Pexels
            | ProviderKind::Google => KeyNeed::Always,
            ProviderKind::Openverse | ProviderKind::Searxng => KeyNeed::IfThereIsOne,
            ProviderKind::Commons => KeyNeed::Never,
        }
    }

    /// The environment variable that holds the key unless the settings name another.
    pub(crate) fn default_key_env(self) -> String {
        format!("AFFECTORY_{}_KEY", self.as_str().to_uppercase())
    }

    /// Whether it can leave out what has another licence.
    pub(crate) fn filters_licenses(self, engine: Option<Engine>) -> bool {
        match self {
            ProviderKind::Openverse | ProviderKind::Commons | ProviderKind::Flickr | ProviderKind::Google => true,
            ProviderKind::Serpapi => engine == Some(Engine::Google),
            ProviderKind::Searxng | ProviderKind::Brave | ProviderKind::Pexels => false,
        }
    }

    /// Pauses and budgets below what each provider allows (its free plan, where it has one); caps as they are.
    fn limits(self, has_key: bool) -> ProviderLimits {
        let (pause_ms, daily_budget, max_results) = match self {
            ProviderKind::Searxng => (2_000, 5_000, searxng::MAX_RESULTS),
            ProviderKind::Brave => (1_100, 60, brave::MAX_RESULTS),
            ProviderKind::Openverse if has_key => (700, 9_000, openverse::MAX_RESULTS),
            ProviderKind::Openverse => (3_500, 190, openverse::MAX_RESULTS),
            ProviderKind::Commons => (1_000, 10_000, commons::MAX_RESULTS),
            ProviderKind::Flickr => (1_100, 50_000, flickr::MAX_RESULTS),
            ProviderKind::Serpapi => (1_000, 100, serpapi::MAX_RESULTS),
            ProviderKind::Pexels => (18_500, 600, pexels::MAX_RESULTS),
            ProviderKind::Google => (1_000, 100, google::MAX_RESULTS),
        };
        let slices_by_upload_date = matches!(self, ProviderKind::Flickr);
        ProviderLimits { pause_ms, daily_budget, max_results, wanted: None, slices_by_upload_date }
    }
}

impl ProviderSettings {
    /// Requests a day (UTC). `key` looks up an environment variable.
    pub fn budget(&self, key: impl Fn(&str) -> Option<String>) -> u32 {
        let has_key = self.key_variable().and_then(|variable| key(&variable)).is_some_and(|key| !key.trim().is_empty());
        self.limits(has_key).daily_budget
    }

    /// The kind's limits, as far as the settings say nothing else.
    fn limits(&self, has_key: bool) -> ProviderLimits {
        let usual = self.kind.limits(has_key);
        ProviderLimits {
            pause_ms: self.pause_ms.unwrap_or(usual.pause_ms),
            daily_budget: self.daily_budget.unwrap_or(usual.daily_budget),
            max_results: usual.max_results.min(self.max_results.unwrap_or(u32::MAX)),
            wanted: self.max_results,
            ..usual
        }
    }
}

/// Whether a provider is asked with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyNeed {
    Always,
    IfThereIsOne,
    Never,
}

/// All providers of the settings, in their order. `key` looks up an environment variable.
///
/// # Errors
/// [`SettingsError`] if a key that is needed is missing or cannot be one.
pub fn build_providers(
    settings: &CollectSettings,
    key: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Box<dyn SearchProvider>>, SettingsError> {
    settings.providers.iter().map(|provider| build_provider(settings, provider, &key)).collect()
}

/// One provider of the settings. `key` looks up an environment variable.
///
/// # Errors
/// [`SettingsError`] if its key is needed and missing, or cannot be one.
pub fn build_provider(
    settings: &CollectSettings,
    provider: &ProviderSettings,
    key: impl Fn(&str) -> Option<String>,
) -> Result<Box<dyn SearchProvider>, SettingsError> {
    let variable = provider.key_variable();
    let key = match &variable {
        None => None,
        Some(variable) => match key(variable).filter(|text| !text.trim().is_empty()) {
            Some(text) => Some(Secret::new(&text).ok_or_else(|| SettingsError::KeyUnusable {
                provider: provider.name().to_owned(),
                variable: variable.clone(),
            })?),
            // A variable that somebody named is meant to be set.
            None if provider.kind.key() == KeyNeed::Always || provider.key_env.is_some() => {
                return Err(SettingsError::KeyMissing {
                    provider: provider.name().to_owned(),
                    variable: variable.clone(),
                });
            }
            None => None,
        },
    };
    let base = match &provider.base_url {
        Some(base) => base.url().clone(),
        None => home(provider)?,
    };
    let limits = provider.limits(key.is_some());
    let account = Account {
        name: provider.name().to_owned(),
        base,
        key,
        key_env: variable,
        limits,
        safe_search: provider.safe_search.unwrap_or(settings.safe_search),
        licenses: provider.licenses.clone().unwrap_or_else(|| settings.licenses.clone()),
    };
    Ok(match provider.kind {
        ProviderKind::Searxng => Box::new(Searxng {
            account,
            engines: provider.engines.clone(),
            max_pages: provider.max_pages.unwrap_or(SEARXNG_PAGES),
        }),
        ProviderKind::Brave => Box::new(Brave(account)),
        ProviderKind::Openverse => Box::new(Openverse(account)),
        ProviderKind::Commons => Box::new(Commons(account)),
        ProviderKind::Flickr => Box::new(Flickr(account)),
        ProviderKind::Serpapi => {
            Box::new(SerpApi { account, engine: provider.serpapi_engine().unwrap_or(Engine::Google) })
        }
        ProviderKind::Pexels => Box::new(Pexels(account)),
        ProviderKind::Google => Box::new(Google { account, engine_id: provider.engine_id.clone().unwrap_or_default() }),
    })
}

fn home(provider: &ProviderSettings) -> Result<Url, SettingsError> {
    provider
        .kind
        .home()
        .and_then(|home| Url::parse(home).ok())
        .ok_or_else(|| SettingsError::NoAddress { provider: provider.name().to_owned() })
}

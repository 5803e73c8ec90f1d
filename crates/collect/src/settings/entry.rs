//! What may one `[[provider]]` say?

use url::Url;

use crate::provider::{Engine, KeyNeed, License, ProviderKind, SafeSearch};

/// One `[[provider]]` of the settings. What it leaves out has a default of the provider's kind.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// Which interface it speaks.
    pub kind: ProviderKind,
    /// Its name in the catalogue; the kind unless given.
    name: Option<ProviderName>,
    /// Where it is.
    pub base_url: Option<BaseUrl>,
    /// The environment variable that holds its key.
    pub key_env: Option<KeyVariable>,
    /// Requests a day (UTC).
    pub daily_budget: Option<u32>,
    /// Least pause between two requests, in milliseconds.
    pub pause_ms: Option<u64>,
    /// SearXNG: engines to ask. SerpApi: the one engine to ask.
    #[serde(default)]
    pub engines: Vec<String>,
    /// Results of one query. Above the provider's own cap they need upload dates to slice by.
    pub max_results: Option<u32>,
    /// SearXNG: pages of one query.
    pub max_pages: Option<u32>,
    /// Google: the id (`cx`) of the search engine.
    pub engine_id: Option<String>,
    /// Instead of the general one.
    pub safe_search: Option<SafeSearch>,
    /// Instead of the general ones.
    pub licenses: Option<Vec<License>>,
}

impl ProviderSettings {
    /// Its name in the catalogue.
    pub fn name(&self) -> &str {
        self.name.as_ref().map_or(self.kind.as_str(), |name| &name.0)
    }

    /// The environment variable that holds its key, if it takes one.
    pub fn key_variable(&self) -> Option<String> {
        match (&self.key_env, self.kind.key()) {
            (_, KeyNeed::Never) => None,
            (Some(variable), _) => Some(variable.0.clone()),
            (None, KeyNeed::Always | KeyNeed::IfThereIsOne) => Some(self.kind.default_key_env()),
        }
    }

    /// SerpApi's engine.
    pub(crate) fn serpapi_engine(&self) -> Option<Engine> {
        match self.engines.as_slice() {
            [] => Some(Engine::Google),
            [engine] => Engine::ALL.into_iter().find(|known| known.as_str() == engine),
            _ => None,
        }
    }

    /// What is wrong with it, given the general licences.
    pub(super) fn check(&self, licenses: &[License]) -> Result<(), String> {
        let kind = self.kind.as_str();
        let only = |name: &str, is_there: bool, of: &[ProviderKind]| match is_there && !of.contains(&self.kind) {
            true => Err(format!("{kind} has no {name}")),
            false => Ok(()),
        };
        only("engines", !self.engines.is_empty(), &[ProviderKind::Searxng, ProviderKind::Serpapi])?;
        only("max_pages", self.max_pages.is_some(), &[ProviderKind::Searxng])?;
        only("engine_id", self.engine_id.is_some(), &[ProviderKind::Google])?;
        if self.key_env.is_some() && self.kind.key() == KeyNeed::Never {
            return Err(format!("{kind} takes no key: leave key_env out"));
        }
        if self.kind.home().is_none() && self.base_url.is_none() {
            return Err(format!("{kind} needs base_url: the address of your instance"));
        }
        if self.kind == ProviderKind::Serpapi && self.serpapi_engine().is_none() {
            return Err("serpapi asks one engine a [[provider]]: google_images, bing_images or yahoo_images".to_owned());
        }
        if self.engines.iter().any(|engine| engine.is_empty() || engine.contains([',', '\n'])) {
            return Err("an engine has a name without commas".to_owned());
        }
        if self.kind == ProviderKind::Google && self.engine_id.as_deref().unwrap_or_default().is_empty() {
            return Err("google needs engine_id: the id (cx) of your search engine".to_owned());
        }
        let licenses = self.licenses.as_deref().unwrap_or(licenses);
        if !licenses.is_empty() && !self.kind.filters_licenses(self.serpapi_engine()) {
            return Err(format!(
                "{kind} cannot leave out other licences: write licenses = [] here to take what it finds"
            ));
        }
        let least_one = [("max_results", self.max_results), ("max_pages", self.max_pages)];
        match least_one.into_iter().find(|(_, value)| *value == Some(0)) {
            Some((name, _)) => Err(format!("{name} = 0 asks for nothing: leave the provider out instead")),
            None => Ok(()),
        }
    }
}

/// A provider's name: 1 to 40 small letters, digits and `-`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct ProviderName(String);

impl TryFrom<String> for ProviderName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=40).contains(&text.len()) && text.bytes().all(is_name) {
            Ok(ProviderName(text))
        } else {
            Err("name is 1 to 40 small letters, digits and `-`".to_owned())
        }
    }
}

/// The name of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct KeyVariable(String);

impl TryFrom<String> for KeyVariable {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if (1..=100).contains(&text.len())
            && text.bytes().all(is_name)
            && text.starts_with(|letter: char| !letter.is_ascii_digit())
        {
            Ok(KeyVariable(text))
        } else {
            // Without the text: it may be the key itself.
            Err("key_env is the NAME of an environment variable (capitals, digits, `_`), never the key".to_owned())
        }
    }
}

/// Where a provider is: http or https, without user, query and fragment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// The address.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl TryFrom<String> for BaseUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_plain = |url: &Url| {
            matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        };
        // Without the text: it may hold a password.
        Url::parse(&text).ok().filter(is_plain).map(BaseUrl).ok_or_else(|| {
            "base_url is an address such as \"https://search.example.org\", without user, query and fragment".to_owned()
        })
    }
}

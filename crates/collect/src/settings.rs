//! What does `collect.toml` say: whom to ask, how often, what to leave out, how to fetch?

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use url::Url;

use crate::ClientSettings;
use crate::provider::{License, SafeSearch};

mod descriptors;
mod entry;
mod faces;
mod fetch;

pub use entry::{BaseUrl, KeyVariable, ProviderName, ProviderSettings};
pub use faces::FacesSettings;
pub use fetch::{FetchSettings, Host};

/// The settings of collecting.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CollectSettings {
    /// Mail address or web page of who collects, for the User-Agent.
    pub contact: Option<Contact>,
    /// For providers that do not say otherwise.
    pub safe_search: SafeSearch,
    /// Licences to ask for, for providers that do not say otherwise; any if empty.
    pub licenses: Vec<License>,
    /// Whom to ask.
    pub providers: Vec<ProviderSettings>,
    /// How to fetch.
    pub fetch: FetchSettings,
    /// What is looked for in the pictures.
    pub faces: FacesSettings,
}

/// What is wrong with the settings, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file is not as it should be.
    #[error("{path}:{line}: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// 1-based line.
        line: usize,
        /// What is wrong and what to write instead.
        reason: String,
    },
    /// The file cannot be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Nobody is named, so nothing may be sent.
    #[error("nothing is sent without a contact: write contact = \"you@example.org\" into collect.toml")]
    NoContact,
    /// A key is needed.
    #[error("provider `{provider}` needs a key: set the environment variable {variable}")]
    KeyMissing {
        /// The provider's name.
        provider: String,
        /// The variable.
        variable: String,
    },
    /// What stands there cannot be a key.
    #[error("the key of provider `{provider}` is unusable: {variable} must hold printable ASCII without spaces")]
    KeyUnusable {
        /// The provider's name.
        provider: String,
        /// The variable.
        variable: String,
    },
    /// A provider of which everybody has their own.
    #[error("provider `{provider}` needs a base_url")]
    NoAddress {
        /// The provider's name.
        provider: String,
    },
}

/// A mail address or web page, fit for a header.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Contact(String);

impl Contact {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Contact {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_short = (3..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_mail = text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'));
        let is_page = Url::parse(&text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        // Brackets would end the User-Agent's comment.
        if is_short && (is_mail || is_page) && !text.contains(['(', ')', '\\', '"']) {
            Ok(Contact(text))
        } else {
            Err("contact is a mail address or the address of a web page, such as \"you@example.org\"".to_owned())
        }
    }
}

/// The commented `collect.toml` that a new project starts with.
pub const fn template() -> &'static str {
    include_str!("settings/template.toml")
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    contact: Option<Contact>,
    safe_search: SafeSearch,
    licenses: Vec<License>,
    #[serde(rename = "provider")]
    providers: Vec<Spanned<ProviderSettings>>,
    fetch: Option<Spanned<FetchSettings>>,
    faces: Option<Spanned<FacesSettings>>,
}

/// What people call a key in a file where none belongs.
const KEY_NAMES: [&str; 4] = ["key", "api_key", "token", "secret"];

/// The TOML reader's words, or better ones for the mistakes that are made.
fn what_to_do(text: &str, message: &str) -> String {
    if KEY_NAMES.iter().any(|name| message.starts_with(&format!("unknown field `{name}`"))) {
        return "a key never stands in this file: put it into an environment variable and name that with key_env"
            .into();
    }
    let is_single = |table: toml::Table| table.get("provider").is_some_and(toml::Value::is_table);
    if toml::from_str(text).is_ok_and(is_single) {
        return "there may be several providers, so each begins with [[provider]], in double brackets".into();
    }
    message.trim().replace('\n', ", ")
}

impl CollectSettings {
    /// Reads the settings from a file.
    ///
    /// # Errors
    /// [`SettingsError::File`] or [`SettingsError::Invalid`].
    pub fn load(path: &Path) -> Result<CollectSettings, SettingsError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| SettingsError::File { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// Reads the settings from their text; `path` is for the errors.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] for whatever does not make sense, at its line.
    pub fn parse(path: &Path, text: &str) -> Result<CollectSettings, SettingsError> {
        let invalid = |at: usize, reason: String| SettingsError::Invalid {
            path: path.to_owned(),
            line: 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count(),
            reason,
        };
        // Not the error's own text: it quotes the line, and somebody may have written a key there.
        let document: Document = toml::from_str(text)
            .map_err(|e| invalid(e.span().map_or(0, |span| span.start), what_to_do(text, e.message())))?;
        let mut settings = CollectSettings {
            contact: document.contact,
            safe_search: document.safe_search,
            licenses: document.licenses,
            ..CollectSettings::default()
        };
        for provider in document.providers {
            let at = provider.span().start;
            let provider = provider.into_inner();
            provider.check(&settings.licenses).map_err(|reason| invalid(at, reason))?;
            if settings.providers.iter().any(|other| other.name() == provider.name()) {
                let reason = format!("there are two providers `{}`: give this one a name", provider.name());
                return Err(invalid(at, reason));
            }
            settings.providers.push(provider);
        }
        if let Some(fetch) = document.fetch {
            let at = fetch.span().start;
            settings.fetch = fetch.into_inner();
            settings.fetch.check().map_err(|reason| invalid(at, reason))?;
        }
        if let Some(faces) = document.faces {
            let at = faces.span().start;
            settings.faces = faces.into_inner();
            settings.faces.check().map_err(|reason| invalid(at, reason))?;
        }
        Ok(settings)
    }

    /// What the client is to be: who we say we are, how long and how much.
    ///
    /// # Errors
    /// [`SettingsError::NoContact`].
    pub fn client(&self) -> Result<ClientSettings, SettingsError> {
        let contact = self.contact.as_ref().ok_or(SettingsError::NoContact)?;
        let fetch = &self.fetch;
        let defaults = ClientSettings::default();
        let total_timeout = Duration::from_secs(fetch.timeout_s);
        Ok(ClientSettings {
            contact: Some(contact.as_str().to_owned()),
            respect_robots: fetch.respect_robots,
            open_networks: fetch.open_networks.clone(),
            excluded_hosts: fetch.excluded_hosts.clone(),
            max_redirects: fetch.max_redirects as usize,
            redirect_pause: Duration::from_millis(fetch.pause_ms),
            redirects_per_site: fetch.per_host as usize,
            max_body_bytes: fetch.max_bytes,
            // A third each, so that they end before the whole does. A host that never answers is then known as that, and so
            // is its robots.txt to all who wait for it; else each picture of it in turn would wait for as long as it may.
            connect_timeout: defaults.connect_timeout.min(total_timeout / 3),
            headers_timeout: defaults.headers_timeout.min(total_timeout / 3),
            body_timeout: defaults.body_timeout.min(total_timeout),
            max_idle_per_host: fetch.per_host as usize,
            // Twice as many as `fetch` works at, at a time: what is still needed is not closed.
            max_idle_sites: fetch.concurrency as usize * 4,
            total_timeout,
            ..defaults
        })
    }

    /// The provider of that name.
    pub fn provider(&self, name: &str) -> Option<&ProviderSettings> {
        self.providers.iter().find(|provider| provider.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{ProviderKind, build_providers};

    fn parse(text: &str) -> Result<CollectSettings, SettingsError> {
        CollectSettings::parse(Path::new("collect.toml"), text)
    }

    fn refusal(text: &str) -> String {
        parse(text).expect_err(text).to_string()
    }

    #[test]
    fn the_template_parses_as_it_is_and_with_every_provider_switched_on() {
        let plain = parse(template()).unwrap();
        assert!(plain.providers.is_empty() && plain.contact.is_none());
        assert_eq!(plain.fetch, FetchSettings::default(), "what the template writes out are the defaults");
        assert_eq!(plain.faces, FacesSettings::default());
        // A line of settings begins with `#` alone, an explanation with `# `.
        let on: Vec<&str> = template()
            .lines()
            .map(|line| if line.starts_with("# ") { "" } else { line.trim_start_matches('#') })
            .collect();
        let settings = parse(&on.join("\n")).unwrap();
        let kinds: std::collections::BTreeSet<_> =
            settings.providers.iter().map(|provider| provider.kind.as_str()).collect();
        assert_eq!(kinds.len(), 8);
        assert!(settings.client().is_ok());
        assert!(build_providers(&settings, |_| Some("key".into())).is_ok());
    }

    #[test]
    fn a_key_in_the_file_is_refused_and_never_shown() {
        let text = "[[provider]]\nkind = \"brave\"\nkey = \"sesame\"\n";
        assert_eq!(
            refusal(text),
            "collect.toml:3: a key never stands in this file: put it into an environment variable and name that with key_env"
        );
        for text in [
            text.replace("key =", "api_key ="),
            text.replace("key =", "token ="),
            text.replace("key =", "key_env ="),
            text.replace("key =", "base_url ="),
            text.replace("\"sesame\"", "sesame"),
            text.replace("key = \"sesame\"", "base_url = \"https://sesame@x.org\""),
        ] {
            assert!(!refusal(&text).contains("sesame"), "{}", refusal(&text));
        }
    }

    #[test]
    fn each_mistake_is_one_line_that_says_where_and_what_to_do() {
        let errors: Vec<String> = [
            "contact = \"me\"",
            "kontact = 1",
            "[[provider]]\nkind = \"searxng\"",
            "safe_search = \"off\"\n[provider]\nkind = \"flickr\"",
            "[[provider]]\nkind = \"flickr\"\nkey_enf = \"X\"",
            "[[provider]]\nkind = \"flickr\"\n\n[[provider]]\nkind = \"flickr\"",
            "[[provider]]\nkind = \"serpapi\"\nengines = [\"google_images\", \"bing_images\"]",
            "licenses = [\"by\"]\n[[provider]]\nkind = \"brave\"",
            "[[provider]]\nkind = \"google\"",
            "[fetch]\nconcurrency = 0",
            "[fetch]\nopen_networks = [\"127.0.0.1/40\"]",
            "[faces]\nusable_px = 20",
        ]
        .map(refusal)
        .into();
        let shown = errors.join("\n");
        assert_eq!(
            shown,
            "collect.toml:1: contact is a mail address or the address of a web page, such as \"you@example.org\"\n\
             collect.toml:1: unknown field `kontact`, expected one of `contact`, `safe_search`, `licenses`, `provider`, `fetch`, `faces`\n\
             collect.toml:1: searxng needs base_url: the address of your instance\n\
             collect.toml:2: there may be several providers, so each begins with [[provider]], in double brackets\n\
             collect.toml:3: unknown field `key_enf`, expected one of `kind`, `name`, `base_url`, `key_env`, `daily_budget`, `pause_ms`, `engines`, `max_results`, `max_pages`, `engine_id`, `safe_search`, `licenses`\n\
             collect.toml:4: there are two providers `flickr`: give this one a name\n\
             collect.toml:1: serpapi asks one engine a [[provider]]: google_images, bing_images or yahoo_images\n\
             collect.toml:2: brave cannot leave out other licences: write licenses = [] here to take what it finds\n\
             collect.toml:1: google needs engine_id: the id (cx) of your search engine\n\
             collect.toml:1: concurrency = 0 is outside 1 to 4096\n\
             collect.toml:2: `127.0.0.1/40` is not a network such as 127.0.0.0/8\n\
             collect.toml:1: usable_px = 20 is below min_px = 30"
        );
    }

    #[test]
    fn a_missing_key_names_its_variable_and_openverse_needs_none() {
        let settings = parse("[[provider]]\nkind = \"brave\"\nmax_results = 50").unwrap();
        let error = build_providers(&settings, |_| None).unwrap_err();
        assert_eq!(error.to_string(), "provider `brave` needs a key: set the environment variable AFFECTORY_BRAVE_KEY");
        assert!(build_providers(&settings, |_| Some("two words".into())).is_err());
        let providers = build_providers(&settings, |name| (name == "AFFECTORY_BRAVE_KEY").then(|| "k".into())).unwrap();
        assert_eq!((providers[0].name(), providers[0].limits().max_results), ("brave", 50));
        let settings =
            parse("[[provider]]\nkind = \"openverse\"\nname = \"ov\"\n[[provider]]\nkind = \"commons\"").unwrap();
        let providers = build_providers(&settings, |_| None).unwrap();
        assert_eq!((providers[0].name(), providers[0].limits().daily_budget), ("ov", 190));
        assert!(providers[0].token_request().is_none());
        assert_eq!(settings.provider("ov").map(|provider| provider.kind), Some(ProviderKind::Openverse));
    }
}

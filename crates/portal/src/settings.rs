//! What does a lab say of its database, and which rules has access to it? `portal.toml` in the project's folder.

use std::path::Path;

use affectory_core::Split;

use crate::PortalError;

/// The file's name.
pub const SETTINGS_FILE: &str = "portal.toml";

/// A file to begin with, every knob explained.
pub const TEMPLATE: &str = include_str!("portal.toml");

/// `portal.toml`.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortalSettings {
    /// What it is.
    pub database: Database,
    /// What is offered, oldest first.
    #[serde(default, rename = "release")]
    pub releases: Vec<Offer>,
    /// Who gets it.
    #[serde(default)]
    pub access: AccessRules,
    /// What the licensee signs.
    #[serde(default, rename = "clause")]
    pub clauses: Vec<ClauseText>,
    /// How it is delivered.
    #[serde(default)]
    pub delivery: DeliveryRules,
    /// How letters go out.
    #[serde(default)]
    pub mail: MailSettings,
}

/// What a database is.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// What it is, in a few sentences.
    #[serde(default)]
    pub summary: String,
    /// Who grants access.
    pub licensor: String,
    /// Address for questions.
    pub contact: String,
    /// Its page elsewhere, or nothing.
    #[serde(default)]
    pub homepage: String,
    /// Where browsers find the portal, or nothing.
    #[serde(default)]
    pub url: String,
    /// Papers to cite, BibTeX.
    #[serde(default)]
    pub cite: String,
    /// Who made it.
    #[serde(default)]
    pub authors: Vec<String>,
}

/// A release that is offered.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Its name in the project.
    pub name: String,
    /// What people call it.
    #[serde(default)]
    pub title: String,
    /// What is new in it.
    #[serde(default)]
    pub changes: Vec<String>,
    /// Splits whose lines are in nobody's manifest.
    #[serde(default)]
    pub withhold: Vec<Split>,
    /// Whether the pictures of those splits are delivered all the same, with a table that has no labels: for a challenge.
    #[serde(default)]
    pub inputs: bool,
    /// Items that everybody may see.
    #[serde(default)]
    pub samples: Vec<String>,
    /// Runs whose scores are shown.
    #[serde(default)]
    pub runs: Vec<String>,
}

impl Offer {
    /// What people call it.
    pub fn title(&self) -> &str {
        if self.title.is_empty() { &self.name } else { &self.title }
    }
}

/// Who gets access, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessRules {
    /// Days of a grant.
    pub granted_days: u32,
    /// Days for which a mailed link can be used.
    pub link_days: u32,
    /// Domains whose addresses belong to no institution.
    pub refused_domains: Vec<String>,
    /// If there are any, others are refused.
    pub allowed_domains: Vec<String>,
    /// Days after which somebody is reminded.
    pub remind_days: u32,
}

impl Default for AccessRules {
    fn default() -> Self {
        AccessRules {
            granted_days: 365,
            link_days: 7,
            refused_domains: vec![],
            allowed_domains: vec![],
            remind_days: 3,
        }
    }
}

/// A clause of the agreement.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClauseText {
    /// Its heading.
    pub heading: String,
    /// What it says.
    pub text: String,
}

/// How much may be downloaded.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeliveryRules {
    /// Downloads at the same time under one grant.
    pub streams: u32,
    /// How many times an archive's size may go out in 24 hours under one grant.
    pub archives_a_day: u32,
    /// Who sends archives.
    pub deliver_from: DeliverFrom,
}

/// Who sends archives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliverFrom {
    /// `serve` itself: an access that ends, ends in the middle of a download.
    #[default]
    Server,
    /// The project's bucket: after its checks `serve` answers with a link that is good for a minute.
    Store,
}

impl Default for DeliveryRules {
    fn default() -> Self {
        DeliveryRules { streams: 8, archives_a_day: 5, deliver_from: DeliverFrom::Server }
    }
}

/// How letters are encrypted on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailSecurity {
    /// From the first byte, port 465.
    Tls,
    /// After a greeting, and never without, port 587.
    StartTls,
    /// Not at all: a server on this machine.
    None,
}

/// How letters go out.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailSettings {
    /// `host` or `host:port`; nothing: letters are kept.
    pub server: String,
    /// How they are encrypted.
    pub security: MailSecurity,
    /// Who signs in there, or nobody.
    pub user: String,
    /// From whom letters come.
    pub from: String,
}

impl Default for MailSettings {
    fn default() -> Self {
        MailSettings {
            server: String::new(),
            security: MailSecurity::StartTls,
            user: String::new(),
            from: "Affectory <noreply@localhost>".into(),
        }
    }
}

impl PortalSettings {
    /// Reads a project's settings; `None` where it has no portal.
    ///
    /// # Errors
    /// [`PortalError::BadSettings`] says what is wrong where; [`PortalError::File`].
    pub fn read(project: &Path) -> Result<Option<PortalSettings>, PortalError> {
        let path = project.join(SETTINGS_FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(PortalError::file("read", &path)(error)),
        };
        let bad = |reason: String| PortalError::BadSettings { path: path.clone(), reason };
        Self::parse(&text).map(Some).map_err(bad)
    }

    /// Reads settings; the reason where they make no sense.
    ///
    /// # Errors
    /// What is wrong, with the line where TOML knows it.
    pub fn parse(text: &str) -> Result<PortalSettings, String> {
        let settings: PortalSettings = toml::from_str(text).map_err(|error| error.to_string().trim().to_owned())?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), String> {
        if self.database.name.trim().is_empty() || self.database.licensor.trim().is_empty() {
            return Err("[database] needs a `name` and a `licensor`".into());
        }
        if !is_address(&self.database.contact) {
            return Err(format!("[database] contact = \"{}\" is no e-mail address", self.database.contact));
        }
        if self.clauses.is_empty() {
            return Err("there is no [[clause]]: people would sign an empty agreement".into());
        }
        let mut names: Vec<&str> = self.releases.iter().map(|offer| offer.name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("two [[release]] have the same name".into());
        }
        let access = &self.access;
        if access.granted_days == 0 || access.link_days == 0 || access.granted_days > 36_500 || access.link_days > 365 {
            return Err("[access] granted_days is 1 to 36500, and link_days 1 to 365".into());
        }
        if self.delivery.streams == 0 || self.delivery.archives_a_day == 0 {
            return Err("[delivery] streams and archives_a_day are 1 or more".into());
        }
        Ok(())
    }

    /// The offer of that name.
    pub fn offer(&self, release: &str) -> Option<&Offer> {
        self.releases.iter().find(|offer| offer.name == release)
    }

    /// Why an address is refused, if it is: one sentence for whoever gave it.
    pub fn address_problem(&self, email: &str) -> Option<String> {
        if !is_address(email) {
            return Some("this is no e-mail address".into());
        }
        let domain = email.rsplit_once('@').map_or("", |(_, domain)| domain).to_lowercase();
        let is_below = |rule: &String| {
            let rule = rule.to_lowercase();
            domain == rule || domain.ends_with(&format!(".{rule}"))
        };
        if self.access.refused_domains.iter().any(is_below) {
            return Some(format!("{domain} is open to everybody: give your address at your institution"));
        }
        if !self.access.allowed_domains.is_empty() && !self.access.allowed_domains.iter().any(is_below) {
            return Some(format!(
                "{domain} is not among the institutions that have access: write to {}",
                self.database.contact
            ));
        }
        None
    }
}

/// Whether a text can be an e-mail address: one `@`, a domain with a dot, nothing that ends a line or a header.
pub fn is_address(email: &str) -> bool {
    let is_plain = |c: char| {
        c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | ',' | ';' | ':' | '\\' | '(' | ')' | '[' | ']')
    };
    let Some((name, domain)) = email.split_once('@') else { return false };
    email.len() <= 254
        && !name.is_empty()
        && domain.contains('.')
        && !domain.contains("..")
        && !domain.starts_with(['.', '-'])
        && !domain.ends_with('.')
        && domain.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        && email.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_to_begin_with_makes_sense() {
        let settings = PortalSettings::parse(TEMPLATE).expect("a template that is read");
        assert!(settings.releases.is_empty() && settings.clauses.len() > 3);
        assert!(settings.address_problem("a@gmail.com").is_some_and(|text| text.contains("institution")));
        assert!(settings.address_problem("a@mail.gmail.com").is_some());
        assert_eq!(settings.address_problem("a@cs.uni.edu"), None);
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let problem = |from: &str, to: &str| PortalSettings::parse(&TEMPLATE.replace(from, to)).unwrap_err();
        assert!(problem("licensor = ", "licenser = ").contains("licenser"));
        assert!(problem("contact = \"access@example.org\"", "contact = \"nobody\"").contains("no e-mail address"));
        assert!(problem("link_days = 7", "link_days = 0").contains("link_days"));
    }

    #[test]
    fn an_address_cannot_bring_a_header_along() {
        for hostile in [
            "a@b",
            "a b@c.d",
            "a@c.d\r\nBcc: x@y.z",
            "<a@b.c>",
            "a@b@c.d",
            "a@.b",
            "a@b.",
            "ä@b.c",
            "",
            "@b.c",
            "a,b@c.d",
        ] {
            assert!(!is_address(hostile), "{hostile:?}");
        }
        assert!(is_address("first.last+tag@cs.some-uni.ac.uk"));
    }

    #[test]
    fn a_lab_that_names_institutions_lets_in_no_others() {
        let text = TEMPLATE.replace("allowed_domains = []", "allowed_domains = [\"ac.uk\"]");
        let settings = PortalSettings::parse(&text).expect("settings");
        assert_eq!(settings.address_problem("a@cs.ox.ac.uk"), None);
        assert!(settings.address_problem("a@fac.uk").is_some());
    }
}

//! Who may come in, and as what?

use affectory_core::{AccountId, AnnotatorId, Sha256Hex};

use crate::CatalogError;

/// What somebody may do. Each may do what those before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// From outside the lab: asks for access, downloads what was granted, takes part in challenges.
    Researcher,
    /// Labels the faces that are given to them.
    Annotator,
    /// Also sees all faces and figures, and decides what stays open.
    Reviewer,
    /// Also makes pools, edits tutorial and quiz, answers flags.
    Lead,
    /// Also invites people and changes what they may.
    Administrator,
}

impl Role {
    /// All, in their order.
    pub const ALL: [Role; 5] = [Role::Researcher, Role::Annotator, Role::Reviewer, Role::Lead, Role::Administrator];

    /// The word in the table and in forms.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Researcher => "researcher",
            Role::Annotator => "annotator",
            Role::Reviewer => "reviewer",
            Role::Lead => "lead",
            Role::Administrator => "administrator",
        }
    }

    /// The role of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    pub(crate) fn stored(name: &str) -> Result<Self, CatalogError> {
        Self::from_name(name).ok_or_else(|| CatalogError::Corrupt(format!("role `{name}`")))
    }
}

/// Somebody who may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its row.
    pub id: AccountId,
    /// Address, lower case; unique.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// What they may.
    pub role: Role,
    /// Through whom they annotate.
    pub annotator_id: AnnotatorId,
    /// Code of the language they read.
    pub language: String,
    /// When it was made, ms UTC.
    pub created_ms: i64,
    /// Since when they may not sign in, ms UTC.
    pub disabled_ms: Option<i64>,
    /// Since when the quiz is passed, ms UTC.
    pub qualified_ms: Option<i64>,
}

impl Account {
    /// Who acts, as the audit log names them: no address, so that the log can outlive the account's data.
    pub fn actor(&self) -> String {
        format!("account/{}", self.id)
    }
}

/// An account to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount<'a> {
    /// Address, lower case.
    pub email: &'a str,
    /// What they are called.
    pub name: &'a str,
    /// What they may.
    pub role: Role,
    /// Code of the language they read.
    pub language: &'a str,
    /// Argon2's text.
    pub password_hash: &'a str,
}

/// A letter that lets one person make an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// SHA-256 of the word in the link; the word itself is kept nowhere.
    pub token_sha256: Sha256Hex,
    /// For whom, lower case.
    pub email: String,
    /// As what.
    pub role: Role,
    /// Code of the language of its page.
    pub language: String,
    /// Until when it can be used, ms UTC.
    pub expires_ms: i64,
}

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AuditRow {
    /// Its place.
    pub id: i64,
    /// Who acted.
    pub actor: String,
    /// What they did.
    pub action: String,
    /// To what.
    pub subject: String,
    /// What else there is to say.
    pub detail: String,
    /// When, ms UTC.
    pub time_ms: i64,
}

/// What may be changed of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountChange<'a> {
    /// What they may.
    Role(Role),
    /// Whether they may sign in.
    Disabled(bool),
    /// Another password: argon2's text.
    Password(&'a str),
    /// Another language.
    Language(&'a str),
}

/// How often something may be tried within a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptLimit {
    /// What is tried, and by which account or from where: a hash, for nobody is to read it.
    pub of: Sha256Hex,
    /// Attempts that are let through.
    pub n: u32,
    /// The time in which they count together, ms from the first of them.
    pub window_ms: i64,
}

//! Who gets a release, on which promise, and how is an answer to a withheld test set scored?
//!
//! In: what a lab says of its database (`portal.toml`), requests, signed agreements, releases, submissions. Out: letters,
//! the agreement as a PDF, findings about a signed one, archives that say who got them, ranks.
//! This crate knows nothing of SQL, of HTML pages or of the clock; the pages are in `web`, the rows in `catalog`.

pub mod agreement;
pub mod challenge;
pub mod delivery;
mod error;
mod letters;
mod mail;
mod published;
mod settings;

pub use error::PortalError;
pub use letters::Letters;
pub use mail::Mailer;
pub use published::{Baseline, Published, gather};
pub use settings::{
    AccessRules, ClauseText, Database, DeliverFrom, DeliveryRules, MailSecurity, MailSettings, Offer, PortalSettings,
    SETTINGS_FILE, TEMPLATE, is_address,
};

//! What does each page look like, and what does it do with a form?

pub(crate) mod adjudicate;
pub(crate) mod annotate;
pub(crate) mod audit;
pub(crate) mod challenge;
pub(crate) mod collection;
pub(crate) mod flags;
pub(crate) mod home;
pub(crate) mod invitation;
mod layout;
pub(crate) mod people;
pub(crate) mod pools;
pub(crate) mod portal;
pub(crate) mod quality;
pub(crate) mod quiz;
pub(crate) mod sign_in;
pub(crate) mod training;
pub(crate) mod tutorial;

use maud::Markup;

use crate::access::Visitor;
use crate::app::App;

/// A page of files.
pub(crate) fn listing(app: &App, title: &str, visitor: &Visitor, content: &Markup) -> Markup {
    layout::page(title, app.messages.of("en"), Some(visitor), content)
}

/// A size in the unit that fits.
pub(crate) fn file_size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} KB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

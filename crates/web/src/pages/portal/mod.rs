//! What do people see who want a release, and those who decide about it?

pub(crate) mod confirm;
pub(crate) mod grants;
pub(crate) mod join;
pub(crate) mod letters;
pub(crate) mod own;
pub(crate) mod public;
pub(crate) mod request;
pub(crate) mod review;
pub(crate) mod withdrawals;

use maud::{Markup, html};

use crate::access::Visitor;
use crate::app::App;
use crate::messages::Language;

use super::layout;

/// These pages speak English.
fn english(app: &App) -> &Language {
    app.messages.of("en")
}

fn page(app: &App, title: &str, visitor: Option<&Visitor>, content: &Markup) -> Markup {
    layout::page(title, english(app), visitor, content)
}

/// A page for those who decide, with the way to the others of its kind.
fn desk(app: &App, title: &str, visitor: &Visitor, content: &Markup) -> Markup {
    let content = html! {
        nav.desk aria-label="Portal" {
            a href="/requests" { "Requests" }
            a href="/grants" { "Who has access" }
            a href="/withdrawals" { "Withdrawals" }
            a href="/letters" { "Letters" }
        }
        (content)
    };
    layout::page(title, english(app), Some(visitor), &content)
}

/// One line of a form: its label, its field, a word of help.
fn field(id: &str, label: &str, value: &str, kind: &str, help: &str, is_required: bool) -> Markup {
    let described_by = (!help.is_empty()).then(|| format!("{id}-help"));
    html! {
        label for=(id) { (label) }
        input id=(id) name=(id) type=(kind) value=(value) maxlength="300" required[is_required] aria-describedby=[&described_by];
        @if let Some(described_by) = &described_by { p.muted id=(described_by) { (help) } }
    }
}

fn area(id: &str, label: &str, value: &str, help: &str) -> Markup {
    let described_by = (!help.is_empty()).then(|| format!("{id}-help"));
    html! {
        label for=(id) { (label) }
        textarea id=(id) name=(id) rows="4" maxlength="2000" required aria-describedby=[&described_by] { (value) }
        @if let Some(described_by) = &described_by { p.muted id=(described_by) { (help) } }
    }
}

/// A text of a form: trimmed, without controls but line ends, and not longer than its field lets it be.
fn tidy(text: &str, longest: usize) -> String {
    let kept = text.replace("\r\n", "\n");
    kept.trim().chars().filter(|c| !c.is_control() || *c == '\n').take(longest).collect()
}

/// The same for a field of one line.
fn line(text: &str) -> String {
    tidy(text, 300).replace('\n', " ")
}

//! What do all pages have around them, and how are figures and times written?

use affectory_catalog::Role;
use affectory_core::Expression;
use maud::{DOCTYPE, Markup, html};

use crate::access::Visitor;
use crate::messages::Language;

/// A page with its head and, for whoever is signed in, its navigation.
pub(super) fn page(title: &str, language: &Language, visitor: Option<&Visitor>, content: &Markup) -> Markup {
    around(title, language, visitor, content, None)
}

/// A page of figures whose main part is fetched again every so many seconds (`assets/live.js`).
pub(super) fn live_page(title: &str, language: &Language, visitor: &Visitor, content: &Markup, every_s: u32) -> Markup {
    around(title, language, Some(visitor), content, Some(every_s))
}

fn around(
    title: &str,
    language: &Language,
    visitor: Option<&Visitor>,
    content: &Markup,
    refresh_s: Option<u32>,
) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(language.code) dir=(language.direction) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if let Some(visitor) = visitor { meta name="csrf" content=(visitor.csrf); }
                title { (title) " · Affectory" }
                link rel="icon" href="/assets/icon.svg";
                link rel="stylesheet" href="/assets/app.css";
                @if refresh_s.is_some() { script type="module" src="/assets/live.js" {} }
            }
            body {
                @if let Some(visitor) = visitor { (navigation(visitor, language)) }
                main data-refresh-s=[refresh_s] { h1 { (title) } (content) }
            }
        }
    }
}

fn navigation(visitor: &Visitor, language: &Language) -> Markup {
    let has_portal = visitor.has_portal;
    let role = visitor.account.role;
    html! {
        header.site {
            nav aria-label=(language.text("navigation")) {
                a.brand href="/" { "Affectory" }
                @if role >= Role::Annotator { a href="/tutorial" { (language.text("tutorial_title")) } }
                @if role == Role::Researcher || role >= Role::Lead { a href="/challenges" lang="en" { "Challenges" } }
                @if role >= Role::Reviewer {
                    a href="/quality" lang="en" { "Quality" }
                    a href="/adjudicate" lang="en" { "Adjudicate" }
                    a href="/collection" lang="en" { "Collection" }
                }
                @if role >= Role::Lead {
                    a href="/pools" lang="en" { "Pools" }
                    a href="/training" lang="en" { "Training" }
                    a href="/flags" lang="en" { "Flags" }
                }
                @if has_portal {
                    a href="/access" lang="en" { "Access" }
                    @if role >= Role::Lead {
                        a href="/requests" lang="en" { "Requests" }
                    }
                }
                @if role >= Role::Administrator {
                    a href="/people" lang="en" { "People" }
                    a href="/audit" lang="en" { "Audit" }
                }
            }
            form.sign-out method="post" action="/logout" {
                (csrf(visitor))
                a href="/account" { bdi { (visitor.account.name) } }
                button type="submit" { (language.text("logout")) }
            }
        }
    }
}

/// The field that shows that a form comes from a page of ours.
pub(super) fn csrf(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name="csrf" value=(visitor.csrf); }
}

/// A choice of all categories.
pub(super) fn expression_options(language: &Language, chosen: Option<Expression>) -> Markup {
    html! {
        @for expression in Expression::ALL {
            option value=(expression.index()) selected[chosen == Some(expression)] { (language.expression(expression)) }
        }
    }
}

/// A date and minute, UTC.
pub(super) fn time(ms: i64) -> String {
    let (days, of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let minutes = of_day / 60_000;
    format!("{} {:02}:{:02} UTC", date(days), minutes / 60, minutes % 60)
}

/// The date of a day counted from 1970-01-01 (Howard Hinnant, chrono-compatible low-level date algorithms).
pub(super) fn date(days: i64) -> String {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

/// A number with its thousands apart.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A figure, or a dash where it is undefined.
pub(super) fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}

/// A share as percent.
pub(super) fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{:.1} %", 100.0 * value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_counts_are_written_out() {
        assert_eq!(time(951_782_400_000 + 61_000), "2000-02-29 00:01 UTC");
        assert_eq!(date(-1), "1969-12-31");
        assert_eq!((count(999).as_str(), count(1_234_567).as_str()), ("999", "1,234,567"));
    }
}

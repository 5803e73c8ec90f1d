//! How do numbers, times and words from outside stand in the page?

use affectory_core::Expression;
use maud::{Markup, html};
use url::Url;

use super::super::{LanguageName, Report};
use crate::provider::clean;

const DAY_MS: i64 = 86_400_000;

/// One clean line of at most `max_chars`: no control characters, no marks that turn the writing direction. Escaping is
/// the template engine's.
pub fn shown(text: &str, max_chars: usize) -> String {
    clean(text, max_chars).unwrap_or_else(|| "(empty)".to_owned())
}

/// `12,345`.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (idx, digit) in digits.chars().enumerate() {
        if idx > 0 && (digits.len() - idx).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `61.5 %`, with a space that does not break; `–` of nothing.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    format!("{:.1}\u{a0}%", 100.0 * part as f64 / whole as f64)
}

/// `2026-03-14 15:09 UTC`.
pub fn utc(ms: i64) -> String {
    let (day, minute) = (date(ms), ms.rem_euclid(DAY_MS) / 60_000);
    format!("{day} {:02}:{:02}\u{a0}UTC", minute / 60, minute % 60)
}

/// `2026-03-14`, by Hinnant's `civil_from_days`: years that begin in March have their leap day at the end.
pub fn date(ms: i64) -> String {
    let days = ms.div_euclid(DAY_MS) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

/// Words in a language of their own: isolated, and told how they are written.
pub fn foreign(report: &Report, text: &str, code: &str, max_chars: usize) -> Markup {
    let text = shown(text, max_chars);
    match language(report, code) {
        Some(known) => html! { bdi lang=(known.code) dir=(known.direction.html()) { (text) } },
        // A language of no keyword file: the letters say.
        None => html! { bdi dir="auto" { (text) } },
    }
}

/// A language by its English name, and its own.
pub fn language_name(report: &Report, code: &str) -> Markup {
    match language(report, code) {
        Some(known) => html! {
            (shown(&known.name, 40))
            @if known.native_name != known.name {
                " " span.native { (foreign(report, &known.native_name, code, 40)) }
            }
        },
        None => html! { bdi dir="auto" { (shown(code, 40)) } },
    }
}

fn language<'a>(report: &'a Report, code: &str) -> Option<&'a LanguageName> {
    report.languages.iter().find(|language| language.code == code)
}

/// An expression's name; a query may have been planned for none.
pub fn expression_name(expression: Option<Expression>) -> &'static str {
    expression.map_or("no expression", Expression::name)
}

/// Words that may be an address: a link if it is one of the web, text otherwise.
pub fn linked(text: &str, max_chars: usize) -> Markup {
    let words = shown(text, max_chars);
    let address = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    match address {
        Some(url) => html! { a href=(url) rel="noreferrer noopener" { bdi dir="auto" { (words) } } },
        None => html! { bdi dir="auto" { (words) } },
    }
}

/// A table with a caption in a frame that scrolls by itself, with the keyboard too, where the page is narrow.
pub fn table(id: &str, caption: &Markup, rows: &Markup) -> Markup {
    html! {
        div.scroll role="region" tabindex="0" aria-labelledby={ "caption-" (id) } {
            table { caption id={ "caption-" (id) } { (caption) } (rows) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_and_numbers_have_their_commas() {
        assert_eq!(utc(0), "1970-01-01 00:00\u{a0}UTC");
        assert_eq!(utc(951_868_799_999), "2000-02-29 23:59\u{a0}UTC");
        assert_eq!(utc(1_773_500_940_000), "2026-03-14 15:09\u{a0}UTC");
        assert_eq!(date(-1), "1969-12-31");
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((percent(1, 3), percent(0, 0)), ("33.3\u{a0}%".into(), "–".into()));
    }
}

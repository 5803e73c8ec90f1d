//! How are texts, numbers and addresses taken out of JSON that a stranger wrote?

use serde_json::{Map, Value};
use url::Url;

use super::{ProviderFailure, SkipReason};

/// The longest title, name or licence kept, in characters.
pub(super) const MAX_TEXT: usize = 300;
/// The longest address kept, in bytes.
const MAX_URL: usize = 4_096;

/// The body as a JSON object.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, ProviderFailure> {
    let malformed = |what: String| ProviderFailure::Malformed { what };
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(malformed("JSON, but no object".to_owned())),
        Err(e) if e.is_eof() => Err(malformed(format!("the JSON ends early, after {} bytes", body.len()))),
        Err(e) => Err(malformed(format!("not JSON (line {}, column {})", e.line(), e.column()))),
    }
}

/// A list that must be one where it is there at all.
pub(super) fn list<'a>(object: &'a Map<String, Value>, name: &str) -> Result<Option<&'a [Value]>, ProviderFailure> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) => Ok(Some(list)),
        Some(_) => Err(ProviderFailure::Malformed { what: format!("`{name}` is no list") }),
    }
}

/// A list without which the answer means nothing.
pub(super) fn needed_list<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a [Value], ProviderFailure> {
    list(object, name)?.ok_or_else(|| ProviderFailure::Malformed { what: format!("no `{name}`") })
}

/// A text on one line without control characters, or a number as text; `None` if empty. Over-long texts are cut.
pub(super) fn text(value: &Value, name: &str) -> Option<String> {
    match value.get(name)? {
        Value::String(text) => clean(text, MAX_TEXT),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A whole number, written as such or as text.
pub(super) fn number(value: &Value, name: &str) -> Option<u64> {
    match value.get(name)? {
        Value::Number(number) => number.as_u64().or_else(|| {
            // Floats that are whole and exact.
            number.as_f64().filter(|n| n.fract() == 0.0 && (0.0..=9e15).contains(n)).map(|n| n as u64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A width or height in pixels; `None` for 0 and for what no image has.
pub(super) fn side(value: &Value, name: &str) -> Option<u32> {
    number(value, name).and_then(plausible_side)
}

/// Width and height written `1920 x 1080`, `1920x1080` or `1920×1080`.
pub(super) fn sides(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once(['x', 'X', '×'])?;
    let read = |side: &str| side.trim().parse().ok().and_then(plausible_side);
    Some((read(width)?, read(height)?))
}

fn plausible_side(pixels: u64) -> Option<u32> {
    u32::try_from(pixels).ok().filter(|pixels| (1..=1_000_000).contains(pixels))
}

/// The image's address, or why there is none.
pub(super) fn image_url(value: &Value, name: &str) -> Result<Url, SkipReason> {
    match value.get(name) {
        Some(Value::String(text)) if !text.trim().is_empty() => web_url(text),
        _ => Err(SkipReason::NoImage),
    }
}

/// The first usable address among several of one image, with its name; if there is none, why the first that there is cannot
/// be used.
pub(super) fn first_image_url<'a>(value: &Value, names: &[&'a str]) -> Result<(&'a str, Url), SkipReason> {
    let mut reason = SkipReason::NoImage;
    for name in names {
        match image_url(value, name) {
            Ok(url) => return Ok((name, url)),
            Err(other) if reason == SkipReason::NoImage => reason = other,
            Err(_) => {}
        }
    }
    Err(reason)
}

/// The address of a page or a licence; a bad one is as good as none.
pub(super) fn other_url(value: &Value, name: &str) -> Option<Url> {
    image_url(value, name).ok()
}

/// An address that a browser would open, without its fragment.
pub(super) fn web_url(text: &str) -> Result<Url, SkipReason> {
    let text = text.trim();
    if text.len() > MAX_URL {
        return Err(SkipReason::LongUrl);
    }
    let parsed = if text.starts_with("//") { Url::parse(&format!("https:{text}")) } else { Url::parse(text) };
    let mut url = parsed.map_err(|_| SkipReason::BadUrl)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(SkipReason::ForbiddenScheme);
    }
    if url.password().is_some() || !url.username().is_empty() {
        return Err(SkipReason::UserInfo);
    }
    url.set_fragment(None);
    // Letters outside ASCII grow threefold when they are encoded.
    if url.as_str().len() > MAX_URL { Err(SkipReason::LongUrl) } else { Ok(url) }
}

/// One line without control characters and without marks that turn the writing direction; `None` if nothing is left.
/// Cut with an ellipsis at `max_chars`. Joiners stay: Persian needs them.
pub(crate) fn clean(text: &str, max_chars: usize) -> Option<String> {
    let mut out = String::new();
    let mut n_chars = 0;
    for word in text.split(|letter: char| letter.is_whitespace() || letter.is_control()) {
        let word: String = word.chars().filter(|letter| !is_hidden(*letter)).collect();
        if word.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
            n_chars += 1;
        }
        n_chars += word.chars().count();
        out.push_str(&word);
        if n_chars > max_chars {
            out = out.chars().take(max_chars.saturating_sub(1)).collect();
            out.truncate(out.trim_end().len());
            out.push('…');
            break;
        }
    }
    (!out.is_empty()).then_some(out)
}

fn is_hidden(letter: char) -> bool {
    matches!(letter, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_one_clean_line_of_limited_length() {
        assert_eq!(clean(" a\u{0}b\n\tc \u{202e}d\u{feff} ", 300).as_deref(), Some("a b c d"));
        assert_eq!(clean("می\u{200c}خندد", 300).as_deref(), Some("می\u{200c}خندد"));
        assert_eq!(clean("éééé éééé", 6).as_deref(), Some("éééé…"));
        assert_eq!(clean("\u{7}\u{200b}", 300), None);
    }

    #[test]
    fn numbers_come_as_numbers_or_texts_and_sizes_in_any_spelling() {
        let value =
            serde_json::json!({"a": 7, "b": "121528", "c": 3.0, "d": -1, "e": "x", "f": null, "g": 1e300, "h": 0});
        let read = |name| number(&value, name);
        assert_eq!([read("a"), read("b"), read("c")], [Some(7), Some(121_528), Some(3)]);
        assert_eq!([read("d"), read("e"), read("f"), read("g"), read("i")], [None; 5]);
        assert_eq!((side(&value, "h"), side(&value, "b")), (None, Some(121_528)));
        assert_eq!([sides("1920 x 1080"), sides("1920×1080")], [Some((1920, 1080)); 2]);
        assert_eq!([sides(""), sides("big"), sides("0x5"), sides("-1x5")], [None; 4]);
    }

    #[test]
    fn of_several_addresses_the_first_good_one_counts_or_the_first_reason() {
        let value =
            serde_json::json!({ "file": "file:///x", "user": "http://a@x.org/", "web": "https://x.org/", "none": "" });
        let first = |names: &[&'static str]| first_image_url(&value, names).map(|(name, _)| name);
        assert_eq!(first(&["absent", "file", "web"]), Ok("web"));
        assert_eq!(first(&["none", "file", "user"]), Err(SkipReason::ForbiddenScheme));
        assert_eq!(first(&["none", "absent"]), Err(SkipReason::NoImage));
    }

    #[test]
    fn only_addresses_of_the_web_pass() {
        assert_eq!(web_url("//x.org/a b#frag").map(String::from).as_deref(), Ok("https://x.org/a%20b"));
        for (text, reason) in [
            ("data:image/png;base64,AA", SkipReason::ForbiddenScheme),
            ("file:///etc/passwd", SkipReason::ForbiddenScheme),
            ("javascript:1", SkipReason::ForbiddenScheme),
            ("https://a:b@x.org/", SkipReason::UserInfo),
            ("http://good.example@10.0.0.7/", SkipReason::UserInfo),
            ("/relative", SkipReason::BadUrl),
            ("http://[::1", SkipReason::BadUrl),
        ] {
            assert_eq!(web_url(text), Err(reason), "{text}");
        }
        assert_eq!(web_url(&format!("https://x.org/{}", "ü".repeat(1_500))), Err(SkipReason::LongUrl));
    }
}

//! What does a piece of HTML say in plain text?

use super::reading::clean;

/// The text without tags, comments, scripts and entities; `None` where nothing is left. At most `max_chars` long.
pub(super) fn plain_text(html: &str, max_chars: usize) -> Option<String> {
    let mut text = clean(html, usize::MAX)?;
    // Some metadata is encoded twice, so what was text becomes a tag: go on until nothing changes. Cleaned each time,
    // for a hidden letter may keep a tag from being one until it is gone.
    for _ in 0..3 {
        let plain = clean(&decode_entities(&strip_tags(&text)), usize::MAX)?;
        if plain == text {
            break;
        }
        text = plain;
    }
    if strip_tags(&text) != text {
        text.retain(|letter| letter != '<' && letter != '>');
    }
    clean(&text, max_chars)
}

fn strip_tags(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        let tag = &rest[at..];
        let name: String =
            tag[1..].chars().take_while(char::is_ascii_alphanumeric).take(10).collect::<String>().to_ascii_lowercase();
        let opens = tag[1..].starts_with(|letter: char| letter.is_ascii_alphabetic() || "/!?".contains(letter));
        let end = match () {
            () if !opens => {
                // A plain "less than".
                out.push('<');
                rest = &tag[1..];
                continue;
            }
            () if tag.starts_with("<!--") => tag.find("-->").map(|end| end + 3),
            () if name == "script" || name == "style" => find_ignoring_case(tag, &format!("</{name}"))
                .and_then(|close| tag_end(&tag[close..]).map(|e| close + e)),
            () => tag_end(tag),
        };
        // Words on both sides of a tag are two words, unless the tag marks part of one.
        if !matches!(name.as_str(), "b" | "i" | "u" | "em" | "strong" | "sup" | "sub") && !tag.starts_with("</") {
            out.push(' ');
        }
        // A tag without an end swallows the rest.
        rest = end.map_or("", |end| &tag[end..]);
    }
    out + rest
}

/// Where the tag ends, `>` inside quotes not counted; an unclosed quote counts as none.
fn tag_end(tag: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    tag.find('>').map(|at| at + 1)
}

fn find_ignoring_case(text: &str, lower: &str) -> Option<usize> {
    text.as_bytes().windows(lower.len()).position(|window| window.eq_ignore_ascii_case(lower.as_bytes()))
}

fn decode_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let decoded = rest.bytes().take(12).position(|byte| byte == b';').and_then(|end| {
            let letter = entity(&rest[1..end])?;
            Some((letter, end + 1))
        });
        match decoded {
            Some((letter, length)) => {
                out.push(letter);
                rest = &rest[length..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => number.parse(),
        };
        return code.ok().and_then(char::from_u32);
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "copy" => '©',
        "reg" => '®',
        "trade" => '™',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "middot" => '·',
        "bull" => '•',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "laquo" => '«',
        "raquo" => '»',
        "auml" => 'ä',
        "ouml" => 'ö',
        "uuml" => 'ü',
        "Auml" => 'Ä',
        "Ouml" => 'Ö',
        "Uuml" => 'Ü',
        "szlig" => 'ß',
        "eacute" => 'é',
        "egrave" => 'è',
        "aacute" => 'á',
        "agrave" => 'à',
        "iacute" => 'í',
        "oacute" => 'ó',
        "uacute" => 'ú',
        "ntilde" => 'ñ',
        "ccedil" => 'ç',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_the_words_a_reader_sees() {
        for (html, expected) in [
            (r#"<a href="//x.org/User:J" title="a > b">J&ouml;rg <b>M</b>üller</a>"#, "Jörg Müller"),
            ("Own work<br/>by&nbsp;me &amp; you", "Own work by me & you"),
            ("&lt;script&gt;alert(1)&lt;/script&gt;ok", "ok"),
            ("<style>p{}</style><p>One</p><p>Two</p><!-- <b> -->", "One Two"),
            ("3 < 5 &#38; 7 &#x3e; 6 &unknown; &", "3 < 5 & 7 > 6 &unknown; &"),
            ("cut off <a href=\"x", "cut off"),
        ] {
            assert_eq!(plain_text(html, 300).as_deref(), Some(expected), "{html}");
        }
        assert_eq!(plain_text("<p> </p>", 300), None);
    }

    #[test]
    fn no_markup_survives_whatever_the_input() {
        arbtest::arbtest(|u| {
            let pieces = [
                "<", ">", "&lt;", "&amp;", "lt;", "script", "/", "\"", "a", " ", "<!--", "-->", "é", "&#60;",
                "\u{200b}", "&#8203;", "\u{1}",
            ];
            let mut html = String::new();
            for _ in 0..u.int_in_range(0..=20)? {
                html.push_str(u.choose(&pieces)?);
            }
            if let Some(text) = plain_text(&html, 300) {
                assert_eq!(strip_tags(&text), text, "{html}");
            }
            Ok(())
        })
        .budget_ms(300);
    }
}

//! Which URL is meant, written one way only, and which ones are refused before anything is sent?

use affectory_core::Sha256Hex;
use url::{Host, Url};

/// Longest URL that is looked at, in bytes, as given and as normalised.
pub const MAX_URL_BYTES: usize = 4096;

/// Parameters that say who clicked, never which picture is meant; all `utm_*` besides.
const TRACKING: [&str; 22] = [
    "_ga",
    "_gl",
    "_hsenc",
    "_hsmi",
    "dclid",
    "fbclid",
    "gad_source",
    "gbraid",
    "gclid",
    "gclsrc",
    "igsh",
    "igshid",
    "li_fat_id",
    "mc_cid",
    "mc_eid",
    "mkt_tok",
    "msclkid",
    "ttclid",
    "twclid",
    "vero_id",
    "wbraid",
    "yclid",
];

/// Why a URL is not asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefusal {
    /// Longer than [`MAX_URL_BYTES`].
    #[error("the URL has {size_bytes} bytes, the limit is {MAX_URL_BYTES}")]
    TooLong {
        /// Its length.
        size_bytes: usize,
    },
    /// A control character, which some readers drop and others split at.
    #[error("the URL holds a control character")]
    ControlCharacter,
    /// A user name or password: the trick that makes `http://good.example@evil.example` look good.
    #[error("the URL holds a user name or password")]
    UserInfo,
    /// Neither http nor https.
    #[error("scheme `{0}` is neither http nor https")]
    Scheme(String),
    /// A host that no name server could know.
    #[error("host `{0}` is not a name")]
    Host(String),
    /// Not a URL at all.
    #[error("not a URL: {0}")]
    Unreadable(String),
}

/// Reads a URL and refuses what must not be asked for, but keeps path and query as they are: a redirect's target may be
/// signed, letter by letter.
///
/// White space around it and the fragment are dropped; host, dot segments and numeric addresses are as the WHATWG
/// standard reads them.
///
/// # Errors
/// A [`UrlRefusal`] that says why.
pub fn parse(text: &str, base: Option<&Url>) -> Result<Url, UrlRefusal> {
    let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
    check_length(text)?;
    if text.chars().any(char::is_control) {
        return Err(UrlRefusal::ControlCharacter);
    }
    let read = base.map_or_else(|| Url::parse(text), |base| base.join(text));
    let mut url = read.map_err(|e| UrlRefusal::Unreadable(e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(UrlRefusal::Scheme(url.scheme().chars().take(40).collect()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlRefusal::UserInfo);
    }
    let name = match url.host() {
        Some(Host::Domain(name)) => Some(checked_name(name)?),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => None,
        None => return Err(UrlRefusal::Host(String::new())),
    };
    if let Some(name) = name {
        url.set_host(Some(&name)).map_err(|_| UrlRefusal::Host(name))?;
    }
    url.set_fragment(None);
    check_length(url.as_str())?;
    Ok(url)
}

/// Reads a URL as [`parse`] does and writes it one way only: percent-encoding in its shortest form, no tracking
/// parameters, no empty query. Normalising twice changes nothing.
///
/// # Errors
/// A [`UrlRefusal`] that says why.
pub fn normalize(text: &str, base: Option<&Url>) -> Result<Url, UrlRefusal> {
    let mut url = parse(text, base)?;
    let path = canonical_percent(url.path());
    url.set_path(&path);
    let query = url.query().map(|query| without_tracking(&canonical_percent(query)));
    url.set_query(query.as_deref().filter(|query| !query.is_empty()));
    check_length(url.as_str())?;
    Ok(url)
}

/// The domain that somebody registered, such as `example.co.uk`: the unit of politeness. An address, a single label or
/// a public suffix stands for itself.
pub fn registrable_domain(url: &Url) -> String {
    match url.host() {
        Some(Host::Domain(name)) => psl::domain_str(name).unwrap_or(name).to_owned(),
        Some(address @ (Host::Ipv4(_) | Host::Ipv6(_))) => address.to_string(),
        None => String::new(),
    }
}

/// The name of a normalised URL in the catalogue: SHA-256 of its text.
pub fn url_key(url: &Url) -> Sha256Hex {
    affectory_imaging::sha256(url.as_str().as_bytes())
}

/// Percent-encoding in its shortest form (RFC 3986, 6.2.2): unreserved characters plain, digits in upper case, all that
/// is neither reserved nor unreserved encoded. A `%` that encodes nothing becomes `%25`, or decoding what follows it
/// could make it encode something.
pub(crate) fn canonical_percent(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let encoded = (byte == b'%').then(|| hex_pair(bytes.get(at + 1..at + 3)?)).flatten();
        at += if encoded.is_some() { 3 } else { 1 };
        let value = encoded.unwrap_or(byte);
        let plain = is_unreserved(value) || (encoded.is_none() && is_reserved(value));
        if plain { out.push(char::from(value)) } else { push_encoded(&mut out, value) }
    }
    out
}

/// Appends `%XX`.
pub(crate) fn push_encoded(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

fn check_length(text: &str) -> Result<(), UrlRefusal> {
    if text.len() > MAX_URL_BYTES { Err(UrlRefusal::TooLong { size_bytes: text.len() }) } else { Ok(()) }
}

/// The name without the root's dot, its labels within what DNS can carry.
fn checked_name(name: &str) -> Result<String, UrlRefusal> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    let fits = bare.len() <= 253 && bare.split('.').all(|label| (1..=63).contains(&label.len()));
    if fits { Ok(bare.to_owned()) } else { Err(UrlRefusal::Host(name.chars().take(80).collect())) }
}

fn without_tracking(query: &str) -> String {
    let kept = query.split('&').filter(|pair| {
        let name = pair.split('=').next().unwrap_or_default().to_ascii_lowercase();
        !name.starts_with("utm_") && !TRACKING.contains(&name.as_str())
    });
    kept.collect::<Vec<_>>().join("&")
}

fn hex_pair(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const fn is_reserved(byte: u8) -> bool {
    matches!(
        byte,
        b':' | b'/'
            | b'?'
            | b'#'
            | b'['
            | b']'
            | b'@'
            | b'!'
            | b'$'
            | b'&'
            | b'\''
            | b'('
            | b')'
            | b'*'
            | b'+'
            | b','
            | b';'
            | b'='
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> String {
        normalize(text, None).map_or_else(|refusal| format!("{refusal:?}"), |url| url.to_string())
    }

    #[test]
    fn one_picture_has_one_url() {
        for (given, expected) in [
            ("HTTP://Example.COM:80/a/./b/../c.jpg#face", "http://example.com/a/c.jpg"),
            (" https://example.com.:443/%7euser/%c3%a4.jpg\r\n", "https://example.com/~user/%C3%A4.jpg"),
            ("https://bücher.example/ä?q=ü", "https://xn--bcher-kva.example/%C3%A4?q=%C3%BC"),
            ("http://e.example/?utm_source=x&id=2&FBCLID=y&a=1&gclid=", "http://e.example/?id=2&a=1"),
            ("http://e.example/p?utm_medium=1", "http://e.example/p"),
            ("http://e.example/p?", "http://e.example/p"),
            ("http://e.example/p?b=2&a=1&&b=2", "http://e.example/p?b=2&a=1&&b=2"),
            ("http://e.example/%2e%2e/%2E/a%2fb", "http://e.example/a%2Fb"),
            ("http://e.example/100%", "http://e.example/100%25"),
            ("http://e.example/%%34%31", "http://e.example/%2541"),
            ("http://e.example\\@evil.example/", "http://e.example/@evil.example/"),
        ] {
            assert_eq!(normal(given), expected, "{given}");
        }
    }

    #[test]
    fn numeric_addresses_in_disguise_are_seen_as_what_they_are() {
        for text in [
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://0x7f.1/",
            "http://127.1/",
            "http://127.0.0.1./",
            "http://①②⑦.⓪.⓪.①/",
            "http://127。0。0。1/",
            "http://%31%32%37.0.0.1/",
        ] {
            assert_eq!(normal(text), "http://127.0.0.1/", "{text}");
        }
        assert_eq!(normal("http://[0:0:0:0:0:ffff:127.0.0.1]/"), "http://[::ffff:7f00:1]/");
    }

    #[test]
    fn tricks_are_refused() {
        for (text, expected) in [
            ("file:///etc/passwd", "Scheme(\"file\")"),
            ("gopher://e.example/", "Scheme(\"gopher\")"),
            ("data:image/png;base64,AA", "Scheme(\"data\")"),
            ("javascript:alert(1)", "Scheme(\"javascript\")"),
            ("http://good.example@evil.example/", "UserInfo"),
            ("http://a:b@evil.example/", "UserInfo"),
            ("http://good.example%2f@evil.example/", "UserInfo"),
            ("http://e.example/\r\nHost: x", "ControlCharacter"),
            ("http://e.example/\0", "ControlCharacter"),
            ("http://a..example/", "Host(\"a..example\")"),
            ("http://1.2.3.4../", "Host(\"1.2.3.4..\")"),
        ] {
            assert_eq!(normal(text), expected, "{text}");
        }
        for text in
            ["", "/a.jpg", "http://", "http://e x.example/", "http://[::1/", "http://1.2.3.4.5/", "http://e:99999/"]
        {
            assert!(matches!(normalize(text, None), Err(UrlRefusal::Unreadable(_))), "{text}");
        }
        let long = format!("http://e.example/{}", "a".repeat(MAX_URL_BYTES));
        assert!(matches!(normalize(&long, None), Err(UrlRefusal::TooLong { .. })));
        let grows = format!("http://e.example/{}", "ä".repeat(1000));
        assert!(matches!(normalize(&grows, None), Err(UrlRefusal::TooLong { .. })));
    }

    #[test]
    fn a_relative_target_is_joined_and_a_signed_one_kept() {
        let base = Url::parse("https://e.example/a/b.jpg").unwrap();
        assert_eq!(
            parse("../c.jpg?utm_source=1&s=%7e", Some(&base)).unwrap().as_str(),
            "https://e.example/c.jpg?utm_source=1&s=%7e"
        );
        assert_eq!(parse("//other.example/x", Some(&base)).unwrap().as_str(), "https://other.example/x");
        assert_eq!(parse("//u@other.example/x", Some(&base)), Err(UrlRefusal::UserInfo));
    }

    #[test]
    fn politeness_goes_by_registrable_domain() {
        for (url, expected) in [
            ("https://img.news.example.co.uk/x", "example.co.uk"),
            ("https://a.b.example.com:8443/x", "example.com"),
            ("https://someone.github.io/x", "someone.github.io"),
            ("https://github.io/x", "github.io"),
            ("http://localhost:80/", "localhost"),
            ("http://127.0.0.1:8080/", "127.0.0.1"),
            ("http://[2606:4700::1]:8080/", "[2606:4700::1]"),
        ] {
            assert_eq!(registrable_domain(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn the_key_is_of_the_text() {
        let key = url_key(&normalize("http://E.example:80/a#b", None).unwrap());
        assert_eq!(key, affectory_imaging::sha256(b"http://e.example/a"));
    }

    #[test]
    fn normalising_twice_changes_nothing() {
        arbtest::arbtest(|u| {
            const PIECES: [&str; 30] = [
                "a", "B", "%", "%2", "%41", "%2e", "%2F", "%25", "/", "//", ".", "..", "?", "&", "=", "#", "utm_x=1",
                ":", "@", "ä", "*", "$", "[", "|", "\\", " ", "'", "\"", "+", "~",
            ];
            let mut text =
                String::from(*u.choose(&["http://e.example/", "https://E.example:443", "http://1.2", ""])?);
            for _ in 0..u.int_in_range(0..=20)? {
                if u.ratio(1, 8)? { text.push(u.arbitrary()?) } else { text += u.choose(&PIECES)? }
            }
            if let Ok(once) = normalize(&text, None) {
                assert_eq!(normalize(once.as_str(), None).as_ref(), Ok(&once), "{text:?}");
                assert!(once.as_str().is_ascii() && once.username().is_empty());
            }
            Ok(())
        });
    }
}

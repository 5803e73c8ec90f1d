//! May a URL be asked for, says a robots.txt (RFC 9309)?

use std::time::Duration;

use url::{Position, Url};

use super::settings::is_token_byte;
use super::url::{canonical_percent, push_encoded};

/// Bytes of a robots.txt that are read, the least that RFC 9309 asks for; what follows is not looked at.
pub(crate) const MAX_ROBOTS_BYTES: u64 = 500 << 10;

/// Longest delay believed; more is a mistake or a way to say no, which a rule says better.
const MAX_CRAWL_DELAY: Duration = Duration::from_secs(24 * 3600);

/// The rules of a robots.txt that concern one product token.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Robots {
    rules: Vec<Rule>,
    crawl_delay: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq)]
struct Rule {
    allows: bool,
    /// Percent-encoded as [`target`] is, its `*` still wild.
    pattern: String,
    /// Whether it must match up to the end (`$`).
    is_anchored: bool,
}

/// A group while it is read.
#[derive(Default)]
struct Group {
    is_named: bool,
    robots: Robots,
}

impl Robots {
    /// Reads the groups for `product_token`, all together, or where there is none those for `*`.
    ///
    /// ```
    /// use affectory_collect::Robots;
    /// let robots = Robots::parse(b"User-agent: *\nDisallow: /private\nAllow: /private/faces", "affectory");
    /// assert!(!robots.allows(&"https://e.example/private/x".parse()?));
    /// assert!(robots.allows(&"https://e.example/private/faces/x".parse()?));
    /// # Ok::<(), url::ParseError>(())
    /// ```
    pub fn parse(bytes: &[u8], product_token: &str) -> Self {
        let text = String::from_utf8_lossy(within_limit(bytes));
        let (mut ours, mut everyones) = (Group::default(), Group::default());
        let (mut is_ours, mut is_everyones, mut in_names) = (false, false, false);
        for line in text.trim_start_matches('\u{feff}').split(['\n', '\r']) {
            let line = line.split('#').next().unwrap_or_default();
            let Some((key, value)) = line.split_once(':') else { continue };
            let (key, value) = (key.trim(), value.trim());
            if key.eq_ignore_ascii_case("user-agent") {
                if !in_names {
                    (is_ours, is_everyones, in_names) = (false, false, true);
                }
                let name = &value[..value.bytes().take_while(|b| is_token_byte(*b)).count()];
                is_ours |= name.eq_ignore_ascii_case(product_token);
                is_everyones |= value.split_whitespace().next() == Some("*");
                ours.is_named |= is_ours;
                continue;
            }
            let Some(statement) = Statement::read(key, value) else { continue };
            in_names = false;
            if is_ours {
                ours.robots.add(&statement);
            }
            if is_everyones {
                everyones.robots.add(&statement);
            }
        }
        if ours.is_named { ours.robots } else { everyones.robots }
    }

    /// Whether the URL may be asked for: the longest pattern that matches decides, of equal ones the one that allows.
    pub fn allows(&self, url: &Url) -> bool {
        let target = target(url);
        let deciding = self
            .rules
            .iter()
            .filter(|rule| rule.matches(&target))
            .max_by_key(|rule| (rule.pattern.len() + usize::from(rule.is_anchored), rule.allows));
        target == "/robots.txt" || deciding.is_none_or(|rule| rule.allows)
    }

    /// Time that the site wants between two requests, at most a day. Not of the RFC, yet often met.
    pub const fn crawl_delay(&self) -> Option<Duration> {
        self.crawl_delay
    }

    /// Bytes of memory that the rules take, roughly.
    pub(crate) fn size_bytes(&self) -> usize {
        self.rules.iter().map(|rule| size_of::<Rule>() + rule.pattern.len()).sum()
    }

    fn add(&mut self, statement: &Statement) {
        match statement {
            Statement::Rule(Some(rule)) => self.rules.push(rule.clone()),
            Statement::Rule(None) | Statement::CrawlDelay(None) => {}
            Statement::CrawlDelay(delay) => self.crawl_delay = *delay,
        }
    }
}

/// A line that belongs to a group; `None` inside where it says nothing.
enum Statement {
    Rule(Option<Rule>),
    CrawlDelay(Option<Duration>),
}

impl Statement {
    fn read(key: &str, value: &str) -> Option<Self> {
        let key = key.to_ascii_lowercase();
        match key.as_str() {
            "allow" | "disallow" => Some(Statement::Rule(Rule::read(key == "allow", value))),
            "crawl-delay" => {
                let seconds = value.parse::<f64>().ok();
                let delay = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
                Some(Statement::CrawlDelay(delay.map(|delay| delay.min(MAX_CRAWL_DELAY))))
            }
            _ => None,
        }
    }
}

impl Rule {
    fn read(allows: bool, value: &str) -> Option<Self> {
        let (pattern, is_anchored) = value.strip_suffix('$').map_or((value, false), |pattern| (pattern, true));
        let pattern = canonical_percent(pattern).replace('$', "%24");
        (!value.is_empty()).then_some(Rule { allows, pattern, is_anchored })
    }

    /// Each piece between two `*` is taken at the first place where it fits, which is right for all but the last one of
    /// an anchored pattern; so the time is linear, however many stars a hostile pattern has.
    fn matches(&self, target: &str) -> bool {
        let mut pieces = self.pattern.split('*').peekable();
        let Some(mut rest) = pieces.next().and_then(|first| target.strip_prefix(first)) else { return false };
        while let Some(piece) = pieces.next() {
            if self.is_anchored && pieces.peek().is_none() {
                return rest.ends_with(piece);
            }
            let Some(at) = rest.find(piece) else { return false };
            rest = &rest[at + piece.len()..];
        }
        !self.is_anchored || rest.is_empty()
    }
}

/// Path and query as patterns see them: a literal `*` or `$` is encoded.
fn target(url: &Url) -> String {
    let mut out = String::new();
    for c in canonical_percent(&url[Position::BeforePath..Position::AfterQuery]).chars() {
        match c {
            '*' => push_encoded(&mut out, b'*'),
            '$' => push_encoded(&mut out, b'$'),
            other => out.push(other),
        }
    }
    out
}

/// The bytes up to the limit, without a line that it cuts: half a path would forbid, or allow, too much.
fn within_limit(bytes: &[u8]) -> &[u8] {
    let limit = usize::try_from(MAX_ROBOTS_BYTES).unwrap_or(usize::MAX);
    if bytes.len() < limit {
        return bytes;
    }
    let head = &bytes[..limit];
    head.iter().rposition(|b| matches!(b, b'\n' | b'\r')).map_or(&[], |end| &head[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(robots: &str, path: &str) -> bool {
        let url = Url::parse("https://e.example").unwrap().join(path).unwrap();
        Robots::parse(robots.as_bytes(), "affectory").allows(&url)
    }

    #[test]
    fn the_longest_match_decides_and_allow_wins_a_tie() {
        for (rules, path, expected) in [
            ("Disallow: /", "/a", false),
            ("Disallow:", "/a", true),
            ("Disallow: /a", "/abc", false),
            ("Disallow: /a/", "/a", true),
            ("disallow : /A", "/a", true),
            ("Disallow: /a\nAllow: /a", "/a", true),
            ("Allow: /a\nDisallow: /a/b", "/a/b/c", false),
            ("Disallow: /a/b\nAllow: /a", "/a/b", false),
            ("Disallow: /*.jpg$", "/x/y.jpg", false),
            ("Disallow: /*.jpg$", "/x/y.jpg?v=1", true),
            ("Disallow: /*.jpg", "/x/y.jpg?v=1", false),
            ("Disallow: /a*b*c$", "/a-b-c-b-c", false),
            ("Disallow: /a*b*c$", "/a-b-c-d", true),
            ("Disallow: /a$", "/a", false),
            ("Disallow: /a$", "/ab", true),
            ("Disallow: *", "/a", false),
            ("Disallow: /*?id=", "/a?id=3", false),
            ("Disallow: a", "/a", true),
            ("Disallow: /\nAllow: /$", "/", true),
            ("Disallow: /\nAllow: /$", "/a", false),
            ("Disallow: /", "/robots.txt", true),
            ("Disallow: /a # all\n", "/a", false),
            ("Disallow: /a%3cd.html", "/a%3Cd.html", false),
            ("Disallow: /%7Ejoe/", "/~joe/x", false),
            ("Disallow: /ä/", "/%C3%A4/x", false),
            ("Disallow: /%C3%A4/", "/ä/x", false),
            ("Disallow: /a%2Fb", "/a/b", true),
            ("Disallow: /a%2ab", "/a*b", false),
            ("Disallow: /a%2ab", "/axb", true),
            ("Disallow: /a$b", "/a$b", false),
        ] {
            assert_eq!(allows(&format!("User-agent: *\n{rules}"), path), expected, "{rules} | {path}");
        }
    }

    #[test]
    fn groups_go_by_product_token() {
        for (robots, expected) in [
            ("User-agent: affectory\nDisallow: /", false),
            ("user-agent:AFFECTORY/2.0 (x)\rDisallow:/", false),
            ("User-agent: otherbot\nDisallow: /", true),
            ("User-agent: affectory-images\nDisallow: /", true),
            ("User-agent: affect\nDisallow: /", true),
            ("User-agent: *\nDisallow: /\n\nUser-agent: affectory\nDisallow: /b", true),
            ("User-agent: affectory\n\nUser-agent: other\nDisallow: /", false),
            ("User-agent: affectory\nAllow: /b\nUser-agent: *\nDisallow: /", true),
            (
                "User-agent: affectory\nDisallow: /b\n\nUser-agent: x\nAllow: /\n\nUser-agent: affectory\nDisallow: /a",
                false,
            ),
            ("User-agent: affectory\nSitemap: /s\nUser-agent: x\nDisallow: /", false),
            ("User-agent: affectory\nCrawl-delay: 2\nUser-agent: x\nDisallow: /", true),
            ("\u{feff}User-agent: *\r\nDisallow: /\r\n", false),
            ("Disallow: /", true),
            ("<html><body>Disallow: /</body>", true),
            ("User-agent: * all\nDisallow: /", false),
            ("User-agent: *bot\nDisallow: /", true),
            ("", true),
        ] {
            assert_eq!(allows(robots, "/a"), expected, "{robots:?}");
        }
    }

    #[test]
    fn the_crawl_delay_is_read_within_reason() {
        let delay = |value: &str| {
            Robots::parse(format!("User-agent: *\nCrawl-delay: {value}").as_bytes(), "affectory").crawl_delay()
        };
        assert_eq!(delay("2.5"), Some(Duration::from_millis(2500)));
        assert_eq!(delay("1e300"), None);
        assert_eq!(delay("9999999"), Some(MAX_CRAWL_DELAY));
        for bad in ["-1", "NaN", "inf", "soon", ""] {
            assert_eq!(delay(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_line_that_the_limit_cuts_is_not_read() {
        let mut robots = String::from("User-agent: *\n");
        let limit = MAX_ROBOTS_BYTES as usize;
        while robots.len() < limit - 13 {
            robots.push('#');
            robots.push_str(if robots.len() == limit - 13 { "" } else { "\n" });
        }
        robots.truncate(limit - 13);
        robots += "\nDisallow: /abc"; // the limit falls inside of /abc
        assert!(robots.len() > limit && !within_limit(robots.as_bytes()).ends_with(b"/a"));
        assert!(allows(&robots, "/a"));
    }

    #[test]
    fn any_bytes_are_read_and_hostile_patterns_end_soon() {
        arbtest::arbtest(|u| {
            const PIECES: [&str; 16] = [
                "User-agent:",
                "affectory",
                "*",
                "\n",
                "\r\n",
                "Disallow:",
                "Allow:",
                "/",
                "a",
                "$",
                "%",
                "%2",
                "#",
                ":",
                " ",
                "ä",
            ];
            let mut text = String::new();
            for _ in 0..u.int_in_range(0..=40)? {
                text += u.choose(&PIECES)?;
            }
            allows(&text, "/a/a$a*");
            Robots::parse(&u.arbitrary::<Vec<u8>>()?, "affectory");
            Ok(())
        });
        let stars = format!("User-agent: *\nDisallow: /{}b", "*a".repeat(2000));
        assert!(allows(&stars, &format!("/{}", "a".repeat(4000))));
    }
}

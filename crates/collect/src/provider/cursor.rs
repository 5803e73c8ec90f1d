//! Where in a query's pages are we, in a text that survives the catalogue and is checked when it comes back?

use std::fmt;

use super::ProviderError;

/// Requests that one query may take, whatever a provider claims.
const MAX_PAGE: u32 = 2_000;
const MAX_SEEN: u32 = 100_000;
const MAX_REST: usize = 1_024;

/// Which page comes next, how many results came before it, and what else the provider wants back.
/// Its text is `PAGE:SEEN` or `PAGE:SEEN:REST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    /// 1-based.
    pub page: u32,
    /// Results on the pages before, the skipped ones included.
    pub seen: u32,
    /// Printable ASCII.
    pub rest: String,
}

impl Cursor {
    /// The cursor of an ask: the first page, or what its text says.
    pub fn read(text: Option<&str>) -> Result<Cursor, ProviderError> {
        let Some(text) = text else { return Ok(Cursor { page: 1, seen: 0, rest: String::new() }) };
        let parsed = || {
            let mut parts = text.splitn(3, ':');
            let cursor = Cursor {
                page: parts.next()?.parse().ok()?,
                seen: parts.next()?.parse().ok()?,
                rest: parts.next().unwrap_or_default().to_owned(),
            };
            (cursor.is_sound() && cursor.page >= 2 && cursor.to_string() == text).then_some(cursor)
        };
        parsed().ok_or_else(|| bad(text))
    }

    /// The page after this one; `None` where no query goes that far.
    pub fn next(&self, seen: u32, rest: String) -> Option<Cursor> {
        let next = Cursor { page: self.page + 1, seen, rest };
        next.is_sound().then_some(next)
    }

    /// That this cursor is not one of the provider's.
    pub fn foreign(&self) -> ProviderError {
        bad(&self.to_string())
    }

    /// Refuses the extra part, for providers that have none.
    pub fn plain(self) -> Result<Cursor, ProviderError> {
        if self.rest.is_empty() { Ok(self) } else { Err(self.foreign()) }
    }

    fn is_sound(&self) -> bool {
        self.page <= MAX_PAGE
            && self.seen <= MAX_SEEN
            && self.rest.len() <= MAX_REST
            && self.rest.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.page, self.seen)?;
        if self.rest.is_empty() { Ok(()) } else { write!(f, ":{}", self.rest) }
    }
}

fn bad(text: &str) -> ProviderError {
    ProviderError::BadCursor(text.chars().take(60).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_and_a_changed_one_is_refused() {
        let second = Cursor::read(None).unwrap().next(100, "gsroffset=50".into()).unwrap();
        assert_eq!(Cursor::read(Some(&second.to_string())), Ok(second));
        for text in ["", "1:0", "2", "2:", "02:5", "2:5:", "2:-5", "2:5:a b", "9999:5", "2:4294967295", "2:5:\u{e9}"] {
            assert!(Cursor::read(Some(text)).is_err(), "{text}");
        }
    }
}

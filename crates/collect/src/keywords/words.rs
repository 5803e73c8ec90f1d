//! Which texts may go to a search engine, and how long may each be?

use std::path::Path;

use super::error::{KeywordError, Place};

/// How long a text may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub what: &'static str,
    pub chars: usize,
    pub words: usize,
}

/// A word, form, noun or phrase.
pub(super) const WORD: Limit = Limit { what: "a word or phrase", chars: 40, words: 6 };
/// A template with its placeholders.
pub(super) const TEMPLATE: Limit = Limit { what: "a template", chars: 80, words: 8 };
/// All negative terms, each with a space, a minus and quotes.
pub(super) const NEGATIVES: Limit = Limit { what: "all negative terms together", chars: 200, words: 24 };
/// A query with its negative terms: Brave's limit, the narrowest of the search engines'.
pub(super) const QUERY: Limit = Limit { what: "a query", chars: 400, words: 50 };

// A query is a template with at most a person, an origin and one emotion word in it. So no query needs to be measured.
const _: () = assert!(TEMPLATE.chars + 3 * WORD.chars + NEGATIVES.chars <= QUERY.chars);
const _: () = assert!(TEMPLATE.words + 3 * WORD.words + NEGATIVES.words <= QUERY.words);

/// A file's text, which knows the line of an offset.
#[derive(Debug)]
pub(super) struct Source<'a> {
    path: &'a Path,
    /// Offsets of the line ends.
    line_ends: Vec<usize>,
}

impl<'a> Source<'a> {
    pub fn new(path: &'a Path, bytes: &[u8]) -> Source<'a> {
        let line_ends = bytes.iter().enumerate().filter(|&(_, &byte)| byte == b'\n').map(|(at, _)| at).collect();
        Source { path, line_ends }
    }

    pub fn place(&self, offset: usize) -> Place {
        Place { path: self.path.to_owned(), line: 1 + self.line_ends.partition_point(|&end| end < offset) }
    }

    /// The text with single spaces, if it is fit for a query.
    pub fn checked(&self, offset: usize, text: &str, limit: Limit) -> Result<String, KeywordError> {
        let refuse = |character: String| KeywordError::BadCharacter { place: self.place(offset), character };
        if let Some(c) = text.chars().find(|&c| is_hidden(c)) {
            return Err(refuse(format!("the invisible character U+{:04X}", u32::from(c))));
        }
        if let Some(c) = text.chars().find(|c| matches!(c, '"' | '“' | '”' | '„' | ':' | '*' | '|')) {
            return Err(refuse(format!("`{c}`")));
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        if let Some(word) = words.iter().find(|word| word.starts_with(['-', '+'])) {
            return Err(refuse(format!("`{}` at the beginning of a word", &word[..1])));
        }
        if words.is_empty() {
            return Err(KeywordError::Empty { place: self.place(offset) });
        }
        let text = words.join(" ");
        if text.chars().count() > limit.chars || words.len() > limit.words {
            return Err(self.too_long(offset, limit));
        }
        Ok(text)
    }

    pub fn too_long(&self, offset: usize, limit: Limit) -> KeywordError {
        let Limit { what, chars: max_chars, words: max_words } = limit;
        KeywordError::TooLong { place: self.place(offset), what, max_chars, max_words }
    }
}

/// Control characters, and Unicode's format characters and fillers, which hide or turn text. The joiners U+200C and
/// U+200D stay: Farsi is not spelt without them.
fn is_hidden(c: char) -> bool {
    let is_format = matches!(
        c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{180E}' | '\u{200B}' | '\u{200E}' | '\u{200F}'
            | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
            | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFD}' | '\u{E0000}'..='\u{E0FFF}'
    );
    c.is_control() || is_format
}

/// Text of a file for an error message: what is hidden is written out, so that it cannot command the terminal.
pub(super) fn visible(text: &str) -> String {
    let mut visible = String::new();
    for c in text.chars() {
        if is_hidden(c) { visible.extend(c.escape_unicode()) } else { visible.push(c) }
    }
    visible
}

/// Whether this is a BCP 47 tag by its form: a language of two or three letters, then subtags of up to eight.
pub(super) fn is_language_code(code: &str) -> bool {
    let mut subtags = code.split('-');
    let language = subtags.next().unwrap_or_default();
    code.len() <= 35
        && (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_lowercase())
        && subtags.all(|s| (1..=8).contains(&s.len()) && s.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

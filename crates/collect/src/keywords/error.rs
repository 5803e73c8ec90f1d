//! What can be wrong with a keyword file or a wish for a plan, said so that a lab can mend it?

use std::fmt;
use std::path::PathBuf;

/// A line of a keyword file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// Errors of keyword files and plans.
#[derive(Debug, thiserror::Error)]
pub enum KeywordError {
    /// The file system refused.
    #[error("cannot {action} {path}")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file beyond the limit.
    #[error("{path} is larger than {limit} bytes: a keyword file holds some hundred lines, split or shorten it")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes allowed.
        limit: u64,
    },
    /// Bytes that are no text.
    #[error("{place}: the file is not UTF-8: save it as UTF-8")]
    NotText {
        /// The first line that is not.
        place: Place,
    },
    /// Not TOML, or a key that is unknown, missing or of another type.
    #[error("{place}: {reason}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the TOML reader says.
        reason: String,
    },
    /// A code that is no language tag.
    #[error("{place}: `{found}` is no language code: write a BCP 47 tag such as `de` or `pt-BR`")]
    BadCode {
        /// Where.
        place: Place,
        /// The code found.
        found: String,
    },
    /// An expression that is none of the eight.
    #[error(
        "{place}: unknown expression `{found}`: write neutral, happy, sad, surprise, fear, disgust, anger or contempt"
    )]
    UnknownExpression {
        /// Where.
        place: Place,
        /// The name found.
        found: String,
    },
    /// An emotion or origin without the form that something else in the file needs.
    #[error("{place}: the form `{form}` is missing, which `{needed_by}` needs: add it to `forms`, or give one `word`")]
    MissingForm {
        /// The emotion or origin.
        place: Place,
        /// The form.
        form: String,
        /// The person, or the text of the template.
        needed_by: String,
    },
    /// A person or template that does not say which form goes with it.
    #[error(
        "{place}: `{word}` needs an `agreement`, because `{described_by}` has several forms: name one of its forms"
    )]
    MissingAgreement {
        /// The person or template.
        place: Place,
        /// The person, or the text of the template.
        word: String,
        /// A word with several forms.
        described_by: String,
    },
    /// An emotion or origin without any word.
    #[error("{place}: there is no word here: give `word` or `forms`{also}")]
    NoWord {
        /// Where.
        place: Place,
        /// What else would do.
        also: &'static str,
    },
    /// A word or template of nothing but spaces.
    #[error("{place}: this text is empty: write a word, or take the key away")]
    Empty {
        /// Where.
        place: Place,
    },
    /// A template that cannot be filled.
    #[error("{place}: the template `{template}` {reason}")]
    BadTemplate {
        /// Where.
        place: Place,
        /// Its text.
        template: String,
        /// What is wrong and what to write.
        reason: String,
    },
    /// A character that is invisible, turns text around, or is an operator of a search engine.
    #[error("{place}: {character} has no place in a search word: take it away")]
    BadCharacter {
        /// Where.
        place: Place,
        /// The character, made visible.
        character: String,
    },
    /// A text beyond the limits, which add up to the 400 characters and 50 words that Brave accepts.
    #[error("{place}: {what} may have at most {max_chars} characters and {max_words} words: shorten it")]
    TooLong {
        /// Where.
        place: Place,
        /// What is too long.
        what: &'static str,
        /// Characters allowed.
        max_chars: usize,
        /// Words allowed.
        max_words: usize,
    },
    /// More combinations than anyone could ask.
    #[error("{path}: templates x emotions x persons x origins are {found} combinations, at most {limit} are expanded")]
    TooMany {
        /// The file.
        path: PathBuf,
        /// Combinations of the file.
        found: usize,
        /// Combinations allowed.
        limit: usize,
    },
    /// A file that gives no query at all.
    #[error("{path}: no query comes of this file: no template fits its emotions and persons")]
    NothingToAsk {
        /// The file.
        path: PathBuf,
    },
    /// Two files of one folder for one language.
    #[error("{path}: the language `{code}` is in {other} already: keep one of the files")]
    DuplicateLanguage {
        /// The later file.
        path: PathBuf,
        /// The language.
        code: String,
        /// The earlier file.
        other: PathBuf,
    },
    /// A plan for a language that there is not.
    #[error(
        "no keyword file for language `{found}` (there are: {known}); a file keywords/{found}.toml in the project's folder adds it"
    )]
    UnknownLanguage {
        /// The code asked for.
        found: String,
        /// Codes that exist.
        known: String,
    },
}

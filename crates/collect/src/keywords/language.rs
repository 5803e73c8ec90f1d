//! What is a language, a person and a query to a plan?

use std::sync::Arc;

use affectory_core::Expression;

/// The way a language is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Direction {
    /// From left to right.
    #[serde(rename = "ltr")]
    LeftToRight,
    /// From right to left, such as Arabic and Farsi.
    #[serde(rename = "rtl")]
    RightToLeft,
}

impl Direction {
    /// The value of HTML's attribute `dir`.
    pub const fn html(self) -> &'static str {
        match self {
            Direction::LeftToRight => "ltr",
            Direction::RightToLeft => "rtl",
        }
    }
}

/// A language as its file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Language {
    /// BCP 47 tag, such as `de`: the value of HTML's attribute `lang`, and what search engines are told.
    pub code: String,
    /// Its name in English.
    pub name: String,
    /// Its name in itself.
    pub native_name: String,
    /// The way it is written.
    pub direction: Direction,
    /// What is not wanted among the results of any query: drawings, cartoons, emoji, in this language.
    pub negatives: Vec<String>,
}

/// The gender that a person word tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gender {
    /// A woman or girl.
    Female,
    /// A man or boy.
    Male,
    /// The word does not tell.
    Unspecified,
}

/// The age that a person word tells, youngest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgeGroup {
    /// Up to about two years.
    Baby,
    /// Up to about twelve years.
    Child,
    /// Up to about nineteen years.
    Teenager,
    /// Grown up; also of words that tell no age.
    Adult,
    /// Old.
    Elderly,
}

/// Whom a query asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize)]
pub struct PersonTraits {
    /// As the person word tells it.
    pub gender: Gender,
    /// As the person word tells it.
    pub age: AgeGroup,
    /// The origin's name in the keyword file, such as `asian`; `None` where the query names none.
    pub origin: Option<String>,
}

/// One query of a plan. What it is meant to find is no label: people judge what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedQuery {
    /// What is typed, without negative terms: single spaces, no control characters.
    pub text: String,
    /// In which language.
    pub language: Arc<Language>,
    /// The expression that it is meant to find: one of the eight.
    pub expression: Expression,
    /// Whom it asks for; `None` where it asks for a face alone.
    pub person: Option<PersonTraits>,
}

impl PlannedQuery {
    /// What is not wanted. Text and negatives together, each negative in quotes behind a minus, keep to 400 characters
    /// and 50 words.
    pub fn negatives(&self) -> &[String] {
        &self.language.negatives
    }

    /// The text for a line of a terminal: see [`isolated`].
    pub fn for_terminal(&self) -> String {
        isolated(&self.text, self.language.direction)
    }
}

/// Text that can stand in a line of the other direction without stirring it up.
///
/// A terminal that orders text by the Unicode bidirectional algorithm takes a whole line at once: beside Arabic, the
/// numbers and hyphens of neighbouring columns would jump to its other side. An isolate (U+2067 to U+2069) is ordered by
/// itself and counts as one neutral sign outside. Arabic has no fixed width in terminals, so put it last in a line,
/// where nobody has to count it. Left-to-right text comes back as it is. HTML has `<bdi lang dir>` instead.
pub fn isolated(text: &str, direction: Direction) -> String {
    match direction {
        Direction::LeftToRight => text.to_owned(),
        Direction::RightToLeft => format!("\u{2067}{text}\u{2069}"),
    }
}

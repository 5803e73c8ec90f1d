//! What does a lab hand out about a model's scores? One HTML file that needs nothing else: no script, no style sheet, no
//! picture from outside.

mod charts;
mod html;

use crate::ceiling::Ceiling;
use crate::evaluation::Matched;
use crate::intervals::Intervals;
use crate::label_errors::Disagreement;
use crate::subgroup::Subgroups;
use crate::table::Table;
use crate::temperature::Temperature;

pub use html::{comparison_html, evaluation_html};

/// What an evaluation's report shows.
pub struct EvaluationReport<'a> {
    /// Its heading; text from outside.
    pub title: &'a str,
    /// Version of the program.
    pub version: &'a str,
    /// The truth.
    pub truth: &'a Table,
    /// The answers.
    pub matched: &'a Matched,
    /// Between which bounds the figures lie.
    pub intervals: &'a Intervals,
    /// What one annotator gets right.
    pub ceiling: Option<&'a Ceiling>,
    /// Temperature fitted on other images, and the name of their file.
    pub temperature: Option<(Temperature, &'a str)>,
    /// Figures of subgroups.
    pub subgroups: &'a [Subgroups],
    /// The wrong predictions that the model is surest of.
    pub surest_errors: &'a [Disagreement],
    /// The likeliest label errors.
    pub label_errors: &'a [Disagreement],
    /// A small picture of an image as a `data:` address, where there is one.
    pub picture: &'a dyn Fn(&str) -> Option<String>,
}

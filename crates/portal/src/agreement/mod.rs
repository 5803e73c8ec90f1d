//! What does a researcher sign, and is what comes back the same, signed?
//!
//! [`agreement_pdf`] writes what was agreed; [`check_signed`] says what it found in an upload, rule by rule, so that a
//! person has to look at what a program can't know only. What passes was proved to be the issued page; whatever another
//! program has rewritten is compared by its text, and looked at. An upload is hostile until shown otherwise, so the
//! server reads it in a child process with limits ([`check_in_child`]).

mod check;
mod child;
mod compare;
mod font;
mod marks;
mod number;
mod read;
#[cfg(test)]
mod tests;
mod write;

use serde::{Deserialize, Serialize};

pub use check::{Finding, Issued, Limits, Report, Rule, SignatureKind, Verdict, check_signed};
pub use child::{check_in_child, child_main};
pub use number::{AgreementNumber, NumberError};
pub use write::agreement_pdf;

/// All that stands in an agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Name of the database.
    pub database: String,
    /// The release that may be used.
    pub release: String,
    /// Who gives it.
    pub licensor: Licensor,
    /// Its number, on every page.
    pub number: AgreementNumber,
    /// What is agreed on.
    pub terms: Vec<Clause>,
    /// Who signs.
    pub licensee: Party,
    /// What the database is to be used for, in the licensee's words.
    pub purpose: String,
    /// The day it was made, as it is to be printed.
    pub date: String,
    /// Students who use it under the licensee's supervision.
    pub named_students: Vec<String>,
}

/// Who gives the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licensor {
    /// Name of the lab.
    pub lab: String,
    /// Where it belongs.
    pub institution: String,
}

/// One numbered part of the terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clause {
    /// A few words.
    pub heading: String,
    /// Sentences; each line is a paragraph.
    pub text: String,
}

/// Who gets the database, as said in the form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Name, as it is signed.
    pub name: String,
    /// Position, such as professor.
    pub position: String,
    /// Institution.
    pub institution: String,
    /// Institutional address.
    pub email: String,
    /// ORCID.
    pub orcid: Option<String>,
    /// Page that shows who they are.
    pub web_page: Option<String>,
}

/// Why there is no agreement, or no findings about one.
#[derive(Debug, thiserror::Error)]
pub enum AgreementError {
    /// A letter that can't be printed.
    #[error("the {field} has the letter `{letter}`, which the agreement's font lacks: write it in Latin letters")]
    Letter {
        /// Which answer.
        field: String,
        /// The first such letter.
        letter: char,
    },
    /// More than a person writes.
    #[error("the {field} is too long: at most {limit} fit an agreement")]
    TooLong {
        /// Which answer.
        field: String,
        /// Most letters, or entries.
        limit: usize,
    },
    /// The PDF could not be made.
    #[error("failed to write an agreement: {0}")]
    Write(String),
    /// The program that reads uploads does not start.
    #[error("failed to start `{program}` to check a signed agreement")]
    Child {
        /// What was started.
        program: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The reading end of a child failed.
    #[error("failed to hand over a signed agreement for checking")]
    HandOver(#[source] std::io::Error),
}

//! What can be wrong with the truth and the predictions handed in?

/// Names the file, the line and what to do.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The bytes cannot be read, are no UTF-8, or no table.
    #[error("failed to read `{file}`{}: {reason}", at_line(*line))]
    Unreadable {
        /// The file as named by the caller.
        file: String,
        /// Line, from 1, where known.
        line: Option<u64>,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The header lacks what is needed, has a column twice, or one that cannot be meant.
    #[error(
        "`{file}`: {problem} (header: {header}; expected: image,expression,valence,arousal and optional p_<label>)"
    )]
    BadHeader {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
        /// The header found, shortened.
        header: String,
    },
    /// A header of votes that cannot be meant.
    #[error("`{file}`: {problem} (header: {header}; expected: image and a column of counts for each label)")]
    BadVotes {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
        /// The header found, shortened.
        header: String,
    },
    /// Runs that were not scored on the same images with the same labels and values.
    #[error(
        "`{other}` was scored on another truth than `{first}`: {difference}; only runs on one truth can be compared"
    )]
    OtherTruth {
        /// The first run's truth.
        first: String,
        /// The one that differs.
        other: String,
        /// In what.
        difference: String,
    },
    /// A cell that cannot be meant.
    #[error("`{file}` line {line}, column {column}: `{value}` {problem}")]
    BadValue {
        /// The file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Column name.
        column: String,
        /// The cell, shortened.
        value: String,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// One image stands on several lines.
    #[error("`{file}` line {line}: image `{image}` stands already on line {first_line}; keep one of them")]
    ImageTwice {
        /// The file.
        file: String,
        /// The image.
        image: String,
        /// Where first.
        first_line: u64,
        /// Where again.
        line: u64,
    },
    /// Images that one side has and the other lacks, or has without the value asked for.
    #[error("{n} {what}: {}{}; {hint}", names.join(", "), if *n > names.len() { ", ..." } else { "" })]
    Unmatched {
        /// What they lack.
        what: String,
        /// How many.
        n: usize,
        /// The first few.
        names: Vec<String>,
        /// What to do.
        hint: &'static str,
    },
}

fn at_line(line: Option<u64>) -> String {
    line.map(|line| format!(" line {line}")).unwrap_or_default()
}

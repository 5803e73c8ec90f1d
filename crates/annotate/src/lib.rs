//! How do faces come by their labels: who is asked about which, what do they learn first, how good are the answers, and
//! what is agreed on?
//!
//! In: a project's catalogue. Out: pools, lessons, figures, consensuses, and the log of all annotations as JSON Lines.
//! This crate knows nothing of SQL, browsers or the clock; what the server shows and what the command line prints is
//! computed here once.

mod error;

mod consensus;
mod export;
mod figures;
mod import;
mod lessons;
mod line;
mod log;
mod plan;
mod pool;
mod suggest;

pub use consensus::{ConsensusReport, ConsensusRequest, ConsensusSummary, record_consensus};
pub use error::AnnotateError;
pub use export::{ExportReport, export_log};
pub use figures::{AnnotatorFigures, Figures, doubtful_faces, figures};
pub use import::{LogImport, LogImportReport, import_log};
pub use lessons::{PASS_PERCENT, pass_percent, write_first_lessons};
pub use log::RatingLog;
pub use plan::{FaceFilter, plan, same_looks};
pub use pool::{PoolReport, PoolRequest, make_pool};
pub use suggest::{SuggestSummary, Suggester, Thought, suggest};

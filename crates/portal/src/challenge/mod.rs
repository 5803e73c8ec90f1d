//! How does a challenge on a withheld test set keep its labels, score what comes in, and rank it?
//!
//! Labels lie `sealed` under a `key` that the scoring process alone has. A `submission` is looked through without labels
//! and queued in the catalogue. The `scorer` opens the labels, cuts them in `halves`, scores with `scoring`, asks the
//! `ladder` what a team is shown, and puts boards with `ranks` into the catalogue, from which pages and `tables` come.

mod error;
pub mod halves;
mod key;
pub mod ladder;
mod make;
pub mod ranks;
mod scorer;
mod scoring;
mod sealed;
mod submission;
mod tables;

pub use error::ChallengeError;
pub use key::ChallengeKey;
pub use make::{ChallengeRequest, challenge_folder, make_challenge, read_inputs};
pub use scorer::{ScoredNow, Scorer};
pub use sealed::{seal, unseal};
pub use submission::{Asked, MAX_SUBMISSION_BYTES, check_submission, quoted};
pub use tables::{FinalBoard, final_csv, final_latex};

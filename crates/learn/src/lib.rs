//! How does a release become a network, and a network's answer a prediction?
//!
//! In: samples (which face, which labels, which split), a way to read image bytes, a recipe, a seed.
//! Out: a run's folder with checkpoints, learning curves, predictions on the valid split and
//! `model.safetensors`; and predictions for new faces. This crate knows nothing of the catalogue,
//! of detectors or of how a release was made.
//!
//! Reading order: [`recipe`], `data`, `imbalance`, `loader`, `loss`, `training` (the loop), `team` (the loop in several processes), `checkpoint`, [`predict`];
//! [`conventional`] is what came before networks, `foreign` is for models of somebody else's.

mod augment;
mod checkpoint;
pub mod conventional;
mod curves;
mod data;
mod error;
mod export;
mod foreign;
mod hardware;
mod imbalance;
mod knobs;
mod loader;
mod loss;
pub mod predict;
pub mod recipe;
mod scores;
mod scoring;
mod team;
mod training;

pub use augment::{augment, blend};
pub use checkpoint::{Epoch, RunIdentity};
pub use data::{FacePlace, ReadImage, Sample, face_crop};
pub use error::LearnError;
pub use export::{ModelFormat, export_model};
pub use hardware::Hardware;
pub use loader::OPEN_PACKS;
pub use predict::{ModelCard, Prediction, Predictor, model_bytes, model_sha256};
pub use recipe::{Colour, Recipe};
pub use scores::{Guess, Scores, answers_csv, predictions_csv, truth_csv, votes_csv};
pub use scoring::{ScoreIdentity, predict_samples};
pub use team::{Alone, Team, added};
pub use training::{TrainJob, TrainReport, learning_rate, train};

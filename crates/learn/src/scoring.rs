//! What does any model say of every face of a split?

use affectory_core::{Expression, Progress, Split, Stop};
use affectory_imaging::{Limits, decode};
use rayon::prelude::*;

use crate::LearnError;
use crate::checkpoint::RunIdentity;
use crate::data::{FacePlace, ReadImage, Sample};
use crate::predict::{Prediction, Predictor};

/// Faces that are read, cropped and answered at a time.
const BATCH: usize = 64;

/// What lies in `run.json` of a run's folder that holds a model's answers and no training.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ScoreIdentity {
    /// As a training's: `recipe` is the model's name, `labels` what it can say, `seed` 0, and `is_proxy` tells whether valence
    /// and arousal of the release or of the model are a proxy.
    #[serde(flatten)]
    pub run: RunIdentity,
    /// Which split was answered.
    pub split: Split,
    /// The model as it was named.
    pub model: String,
    /// SHA-256 of the model ([`crate::model_sha256`]).
    pub model_sha256: String,
    /// Those of the eight expressions that the model never answers.
    pub cannot_produce: Vec<Expression>,
    /// Whether the model's valence and arousal are a proxy.
    pub model_is_proxy: bool,
}

/// The model's answer for each sample, in order; fewer than samples if `stop` was requested. Faces are cropped from the boxes
/// of the samples, as in training; images are read and decoded on all cores.
///
/// # Errors
/// [`LearnError::Image`] for an image that cannot be read or decoded, else as [`Predictor::read`].
pub fn predict_samples(
    predictor: &Predictor,
    samples: &[Sample],
    read: &ReadImage,
    (stop, progress): (&Stop, &dyn Progress),
) -> Result<Vec<Prediction>, LearnError> {
    let crop = |sample: &Sample| -> Result<Box<[u8]>, LearnError> {
        let fail = |reason: String| LearnError::Image { image: sample.image.clone(), reason };
        let bytes = read(&sample.image).map_err(fail)?;
        let picture = decode(&bytes, &Limits::default()).map_err(|e| fail(e.to_string()))?.image;
        Ok(predictor.crop(&picture, FacePlace { bounding_box: sample.bounding_box, five: sample.five }))
    };
    let mut predictions = Vec::with_capacity(samples.len());
    progress.begin("predict", Some(samples.len() as u64));
    for batch in samples.chunks(BATCH) {
        if stop.is_requested() {
            break;
        }
        let crops = batch.par_iter().map(crop).collect::<Result<Vec<_>, _>>()?;
        predictions.extend(predictor.read(&crops)?);
        progress.advance(batch.len() as u64);
    }
    progress.end();
    Ok(predictions)
}

//! How does a trained model leave for other programs?

use std::path::Path;

use affectory_core::LabelSet;
use affectory_nets::onnx;

use crate::LearnError;
use crate::predict::Predictor;
use crate::recipe::Method;

/// What other programs read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelFormat {
    /// Graph and weights: pixels in, probabilities and valence/arousal out.
    Onnx,
    /// Weights by name, as a run has them.
    Safetensors,
}

/// A model file (see [`crate::model_bytes`]) in another format; `path` is only for messages. The ONNX file carries the
/// labels in order, the crop and the whole model card as metadata.
///
/// # Errors
/// As [`Predictor::load`].
pub fn export_model(path: &Path, bytes: &[u8], format: ModelFormat) -> Result<Vec<u8>, LearnError> {
    let model = Predictor::from_bytes(path, bytes)?;
    let bad = |reason: &str| LearnError::BadModel { path: path.to_owned(), reason: reason.to_owned() };
    let card = model.card().ok_or_else(|| bad("was not trained by this program"))?;
    match format {
        ModelFormat::Safetensors => Ok(bytes.to_vec()),
        ModelFormat::Onnx if card.recipe.method != Method::Network => {
            Err(bad("linear machines have no ONNX form here: --format safetensors has their weights"))
        }
        ModelFormat::Onnx => {
            let labels = LabelSet::parse(&card.run.labels).map_err(|e| bad(&e.to_string()))?;
            let card_text = serde_json::to_string(card).map_err(|e| bad(&e.to_string()))?;
            let metadata = [
                ("labels".to_owned(), labels.to_string()),
                ("valence_arousal_is_proxy".to_owned(), card.run.is_proxy.to_string()),
                ("crop".to_owned(), format!("the face box, squared, times {}", card.recipe.crop_scale)),
                ("affectory".to_owned(), card_text),
            ];
            let side = card.recipe.input_side as usize;
            Ok(onnx(&card.recipe.network(labels.n_classes()), side, bytes, &metadata)?)
        }
    }
}

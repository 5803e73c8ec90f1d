//! Which of seven expressions does face-api see in a face?
//!
//! The expression network of face-api (`@vladmandic/face-api` 1.7.15, MIT), whose weights are inside the program: its
//! face features, one matrix, softmax. It knows no contempt, and nothing of valence and arousal.

use affectory_core::Expression;
use burn::tensor::Device;
use burn::tensor::activation::softmax;

use crate::face_features::{FaceFeatures, N_FEATURES, SIDE};
use crate::layers::Dense;
use crate::weights::{Weights, WeightsError};

/// Converted by `assets/convert.py`; origin, licence and hash are in `assets/README.md`.
const WEIGHTS: &[u8] = include_bytes!("../assets/face_expression.safetensors");

/// The network.
#[derive(Debug, Clone)]
pub struct FaceExpressions {
    features: FaceFeatures,
    head: Dense,
}

impl FaceExpressions {
    /// Side of the pictures it takes.
    pub const SIDE: usize = SIDE;

    /// What it tells apart, in the order of its answers.
    pub const LABELS: [Expression; 7] = [
        Expression::Neutral,
        Expression::Happy,
        Expression::Sad,
        Expression::Anger,
        Expression::Fear,
        Expression::Disgust,
        Expression::Surprise,
    ];

    /// The network inside the program.
    ///
    /// # Errors
    /// None: a test reads it.
    pub fn bundled() -> Result<Self, WeightsError> {
        let weights = Weights::open(WEIGHTS)?;
        let device = Device::flex();
        let head = Dense::load(&weights, ["fc.weights", "fc.bias"], None, [N_FEATURES, 7], &device)?;
        Ok(Self { features: FaceFeatures::load(&weights, &device)?, head })
    }

    /// The weights as they are inside the program, a safetensors file.
    pub const fn weights() -> &'static [u8] {
        WEIGHTS
    }

    /// Faces of 112x112 in RGB bytes, one after the other, each the square around a face box. Probabilities in the order of
    /// [`FaceExpressions::LABELS`].
    pub fn probabilities(&self, faces: &[u8]) -> Vec<[f32; 7]> {
        let logits = self.head.forward(self.features.of(faces)); // [faces, 7]
        let probabilities: Vec<f32> = softmax(logits, 1).into_data().iter::<f32>().collect();
        probabilities.chunks_exact(7).map(|p| std::array::from_fn(|class| p[class])).collect()
    }
}

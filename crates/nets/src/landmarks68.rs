//! Where are the 68 landmarks (iBUG 300-W order) of a face?
//!
//! The 68-point network of face-api (`@vladmandic/face-api` 1.7.15, MIT), whose weights are inside the program: its face
//! features, then one matrix.

use burn::tensor::Device;

use crate::face_features::{FaceFeatures, N_FEATURES, SIDE};
use crate::layers::Dense;
use crate::weights::{Weights, WeightsError};

/// Converted by `assets/convert.py`; origin, licence and hash are in `assets/README.md`.
const WEIGHTS: &[u8] = include_bytes!("../assets/landmarks68.safetensors");

/// The network.
#[derive(Debug, Clone)]
pub struct Landmarks68 {
    features: FaceFeatures,
    head: Dense,
}

impl Landmarks68 {
    /// Side of the pictures it takes.
    pub const SIDE: usize = SIDE;

    /// The network inside the program.
    ///
    /// # Errors
    /// None: a test reads it.
    pub fn bundled() -> Result<Self, WeightsError> {
        let weights = Weights::open(WEIGHTS)?;
        let device = Device::flex();
        let head = Dense::load(&weights, ["fc.weights", "fc.bias"], None, [N_FEATURES, 136], &device)?;
        Ok(Self { features: FaceFeatures::load(&weights, &device)?, head })
    }

    /// Faces of 112x112 in RGB bytes, one after the other, each the square around a face box. The points are shares of
    /// that square: (0, 0) its upper left, (1, 1) its lower right corner.
    pub fn points(&self, faces: &[u8]) -> Vec<[[f32; 2]; 68]> {
        let points: Vec<f32> = self.head.forward(self.features.of(faces)).into_data().iter::<f32>().collect();
        points.chunks_exact(136).map(|p| std::array::from_fn(|i| [p[2 * i], p[2 * i + 1]])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_says_what_each_face_says_alone() -> Result<(), WeightsError> {
        let network = Landmarks68::bundled()?;
        let face = |seed: usize| (0..112 * 112 * 3).map(move |i| ((i / 3 % 112 + seed * 40) % 256) as u8);
        let both = network.points(&face(0).chain(face(1)).collect::<Vec<u8>>());
        for (seed, points) in both.iter().enumerate() {
            let alone = network.points(&face(seed).collect::<Vec<u8>>())[0];
            for (a, b) in points.iter().flatten().zip(alone.iter().flatten()) {
                assert!((a - b).abs() < 1e-4, "{a} {b}");
            }
        }
        Ok(())
    }
}

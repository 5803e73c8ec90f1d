//! What does a network see in a face that learnt to tell people apart?
//!
//! The MobileNet (Howard et al. 2017) that A. Savchenko trained on VGGFace2, as npm `@vladmandic/human` 3.3.6 has it under
//! the name `faceres` (MIT): 224x224 pixels to 1,024 pooled features, which a lab without a GPU puts linear machines on.
//! Its heads for age and gender are left out.

use burn::tensor::{Device, Tensor, TensorData};

use crate::kernels;
use crate::layers::{planes, same};
use crate::weights::{Weights, WeightsError};

/// Converted by `assets/convert.py`; origin, licence and hash are in `assets/README.md`. 16-bit floats, as they came.
const WEIGHTS: &[u8] = include_bytes!("../assets/face_identity.safetensors");

/// Stride of each depthwise convolution.
const STRIDES: [usize; 13] = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1];

/// A convolution of each channel, then one across channels, each with its shift and ReLU6.
#[derive(Debug, Clone)]
struct Pair {
    spatial: Tensor<4>, // [from, 1, 3, 3]
    scale: Tensor<4>,   // [1, from, 1, 1]
    spatial_shift: Tensor<4>,
    stride: usize,
    across: Tensor<4>, // [to, from, 1, 1]
    across_shift: Tensor<4>,
}

/// The network up to its features.
#[derive(Debug, Clone)]
pub struct FaceIdentity {
    first: Tensor<4>, // [32, 3, 3, 3]
    first_shift: Tensor<4>,
    pairs: Vec<Pair>,
}

impl FaceIdentity {
    /// Side of the pictures it takes.
    pub const SIDE: usize = 224;

    /// Features of a face.
    pub const N_FEATURES: usize = 1024;

    /// The network inside the program.
    ///
    /// # Errors
    /// None: a test reads it.
    pub fn bundled() -> Result<Self, WeightsError> {
        let weights = Weights::open(WEIGHTS)?;
        let device = Device::flex();
        let kernel = |name: &str| -> Result<Tensor<4>, WeightsError> {
            let (shape, values) = weights.shaped(name)?;
            Ok(Tensor::from_data(TensorData::new(values, shape), &device))
        };
        let channels = |name: &str| -> Result<Tensor<4>, WeightsError> {
            let (_, values) = weights.shaped(name)?;
            let n = values.len();
            Ok(Tensor::from_data(TensorData::new(values, [1, n, 1, 1]), &device))
        };
        let mut pairs = Vec::new();
        for (n, stride) in (1..).zip(STRIDES) {
            pairs.push(Pair {
                spatial: kernel(&format!("dw{n}.weight"))?,
                scale: channels(&format!("dw{n}.scale"))?,
                spatial_shift: channels(&format!("dw{n}.shift"))?,
                stride,
                across: kernel(&format!("pw{n}.weight"))?,
                across_shift: channels(&format!("pw{n}.shift"))?,
            });
        }
        Ok(Self { first: kernel("conv1.weight")?, first_shift: channels("conv1.shift")?, pairs })
    }

    /// Faces of 224x224 in RGB bytes, one after the other, each the square around a face box; `[faces, 1024]`, each at least
    /// 0, row by row.
    pub fn features(&self, faces: &[u8]) -> Vec<f32> {
        let maps = planes(faces, Self::SIDE, |_, byte| f32::from(byte), &Device::flex());
        let mut maps = finished(same(maps, &self.first, None, 2, 1), &self.first_shift);
        for pair in &self.pairs {
            let groups = maps.dims()[1];
            let seen = same(maps, &pair.spatial, None, pair.stride, groups) * pair.scale.clone();
            let seen = finished(seen, &pair.spatial_shift);
            maps = finished(kernels::convolve(seen, pair.across.clone(), 1, 0), &pair.across_shift);
        }
        maps.mean_dim(3).mean_dim(2).into_data().iter::<f32>().collect()
    }
}

/// A shift of each channel, then ReLU6.
fn finished(maps: Tensor<4>, shift: &Tensor<4>) -> Tensor<4> {
    (maps + shift.clone()).clamp(0.0, 6.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PyTorch says with the package's own weights of the picture below: `assets/convert.py` prints it.
    const SUMS: [f32; 4] = [6.694149, 2.3278594, 7.3252044, 3.412688];

    #[test]
    fn features_are_those_of_the_original() {
        let side = FaceIdentity::SIDE;
        let picture: Vec<u8> = (0..side * side)
            .flat_map(|at| {
                let (x, y) = (at % side, at / side);
                [(x * 3 + y) % 256, (x + y * 2) % 256, (x * y / 16) % 256].map(|value| value as u8)
            })
            .collect();
        let features = FaceIdentity::bundled().unwrap().features(&picture);
        assert_eq!(features.len(), FaceIdentity::N_FEATURES);
        for (part, expected) in features.chunks_exact(256).zip(SUMS) {
            let sum: f32 = part.iter().sum();
            assert!((sum - expected).abs() < 1e-3 * expected, "{sum} {expected}");
        }
    }
}

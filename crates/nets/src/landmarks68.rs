//! Where are the 68 landmarks (iBUG 300-W order) of a face?
//!
//! The 68-point network of face-api (`@vladmandic/face-api` 1.7.15, MIT), whose weights are inside the program: four
//! groups of four convolutions that add up what came before, mean pooling, one matrix.

use burn::tensor::activation::relu;
use burn::tensor::module::{avg_pool2d, conv2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions};
use burn::tensor::{Device, Tensor, TensorData};

use crate::layers::Dense;
use crate::weights::{Weights, WeightsError};

/// Converted by `assets/convert.py`; origin, licence and hash are in `assets/README.md`.
const WEIGHTS: &[u8] = include_bytes!("../assets/landmarks68.safetensors");

/// Means of red, green and blue (0 to 255) that the network was trained without.
const MEANS: [f32; 3] = [122.782, 117.001, 104.298];

/// A 3x3 convolution, or a 3x3 one for each channel followed by a 1x1 one across them; zero-padded as TensorFlow's "same".
#[derive(Debug, Clone)]
struct Conv {
    spatial: Tensor<4>,
    across: Option<Tensor<4>>,
    bias: Tensor<1>,
    stride: usize,
}

/// Four convolutions, each fed with the sum of those before it.
#[derive(Debug, Clone)]
struct Group([Conv; 4]);

/// The network.
#[derive(Debug, Clone)]
pub struct Landmarks68 {
    groups: Vec<Group>,
    head: Dense,
    device: Device,
}

impl Conv {
    fn load(
        weights: &Weights<'_>,
        name: &str,
        from: usize,
        to: usize,
        stride: usize,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let bias = weights.tensor(&format!("{name}.bias"), [to], device)?;
        let (spatial, across) = if name == "dense0.conv0" {
            (weights.tensor(&format!("{name}.filters"), [to, from, 3, 3], device)?, None)
        } else {
            let spatial = weights.tensor(&format!("{name}.depthwise_filter"), [from, 1, 3, 3], device)?;
            (spatial, Some(weights.tensor(&format!("{name}.pointwise_filter"), [to, from, 1, 1], device)?))
        };
        Ok(Self { spatial, across, bias, stride })
    }

    fn forward(&self, maps: Tensor<4>) -> Tensor<4> {
        // "Same" with stride 2 on an even side pads only at the end; with stride 1 at both.
        let start = usize::from(self.stride == 1);
        let maps = maps.pad((start, 1, start, 1), 0.0);
        let groups = if self.across.is_some() { maps.dims()[1] } else { 1 };
        let options = |stride, groups| ConvOptions::new([stride, stride], [0, 0], [1, 1], groups);
        match &self.across {
            None => conv2d(maps, self.spatial.clone(), Some(self.bias.clone()), options(self.stride, 1)),
            Some(across) => {
                let maps = conv2d(maps, self.spatial.clone(), None, options(self.stride, groups));
                conv2d(maps, across.clone(), Some(self.bias.clone()), options(1, 1))
            }
        }
    }
}

impl Group {
    fn forward(&self, maps: Tensor<4>) -> Tensor<4> {
        let [first, second, third, fourth] = &self.0;
        let out1 = relu(first.forward(maps));
        let sum2 = out1.clone() + second.forward(out1);
        let sum3 = sum2.clone() + third.forward(relu(sum2));
        relu(sum3.clone() + fourth.forward(relu(sum3)))
    }
}

impl Landmarks68 {
    /// Side of the pictures it takes.
    pub const SIDE: usize = 112;

    /// The network inside the program.
    ///
    /// # Errors
    /// None: a test reads it.
    pub fn bundled() -> Result<Self, WeightsError> {
        let weights = Weights::open(WEIGHTS)?;
        let device = Device::flex();
        let widths = [3, 32, 64, 128, 256];
        let mut groups = Vec::new();
        for (number, pair) in widths.windows(2).enumerate() {
            let conv = |n: usize| {
                let (from, stride) = if n == 0 { (pair[0], 2) } else { (pair[1], 1) };
                Conv::load(&weights, &format!("dense{number}.conv{n}"), from, pair[1], stride, &device)
            };
            groups.push(Group([conv(0)?, conv(1)?, conv(2)?, conv(3)?]));
        }
        let head = Dense::load(&weights, ["fc.weights", "fc.bias"], None, [256, 136], &device)?;
        Ok(Self { groups, head, device })
    }

    /// Faces of 112x112 in RGB bytes, one after the other, each the square around a face box. The points are shares of
    /// that square: (0, 0) its upper left, (1, 1) its lower right corner.
    pub fn points(&self, faces: &[u8]) -> Vec<[[f32; 2]; 68]> {
        let side = Self::SIDE;
        let n_values = 3 * side * side;
        let n = faces.len() / n_values;
        let mut values = vec![0.0f32; n * n_values];
        for (face, out) in faces.chunks_exact(n_values).zip(values.chunks_exact_mut(n_values)) {
            for (at, pixel) in face.chunks_exact(3).enumerate() {
                for (channel, mean) in MEANS.iter().enumerate() {
                    out[channel * side * side + at] = (f32::from(pixel[channel]) - mean) / 255.0;
                }
            }
        }
        let mut maps = Tensor::<4>::from_data(TensorData::new(values, [n, 3, side, side]), &self.device);
        for group in &self.groups {
            maps = group.forward(maps);
        }
        let pooled = avg_pool2d(maps, AvgPoolOptions::new([7, 7]).with_stride([2, 2])); // [n, 256, 1, 1]
        let points: Vec<f32> = self.head.forward(pooled.flatten(1, 3)).into_data().iter::<f32>().collect();
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

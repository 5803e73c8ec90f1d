//! Which features of a face do face-api's networks for landmarks and for expressions share?
//!
//! The feature extractor of face-api (`@vladmandic/face-api` 1.7.15, MIT): four groups of four convolutions that add up
//! what came before, then mean pooling. Each network has its own weights for it.

use burn::tensor::activation::relu;
use burn::tensor::module::{avg_pool2d, conv2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions};
use burn::tensor::{Device, Tensor};

use crate::layers::{planes, same};
use crate::weights::{Weights, WeightsError};

/// Side of the pictures it takes.
pub(crate) const SIDE: usize = 112;

/// How many features a face has.
pub(crate) const N_FEATURES: usize = 256;

/// Means of red, green and blue (0 to 255) that the networks were trained without.
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

/// The feature extractor.
#[derive(Debug, Clone)]
pub(crate) struct FaceFeatures {
    groups: Vec<Group>,
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
        let Some(across) = &self.across else { return same(maps, &self.spatial, Some(&self.bias), self.stride, 1) };
        let groups = maps.dims()[1];
        let maps = same(maps, &self.spatial, None, self.stride, groups);
        conv2d(maps, across.clone(), Some(self.bias.clone()), ConvOptions::new([1, 1], [0, 0], [1, 1], 1))
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

impl FaceFeatures {
    /// The groups `dense0` to `dense3` of a network's weights.
    pub(crate) fn load(weights: &Weights<'_>, device: &Device) -> Result<Self, WeightsError> {
        let widths = [3, 32, 64, 128, N_FEATURES];
        let mut groups = Vec::new();
        for (number, pair) in widths.windows(2).enumerate() {
            let conv = |n: usize| {
                let (from, stride) = if n == 0 { (pair[0], 2) } else { (pair[1], 1) };
                Conv::load(weights, &format!("dense{number}.conv{n}"), from, pair[1], stride, device)
            };
            groups.push(Group([conv(0)?, conv(1)?, conv(2)?, conv(3)?]));
        }
        Ok(Self { groups, device: device.clone() })
    }

    /// Faces of 112x112 in RGB bytes, one after the other; `[faces, 256]`.
    pub(crate) fn of(&self, faces: &[u8]) -> Tensor<2> {
        let mut maps = planes(faces, SIDE, |channel, byte| (f32::from(byte) - MEANS[channel]) / 255.0, &self.device);
        for group in &self.groups {
            maps = group.forward(maps);
        }
        let pooled = avg_pool2d(maps, AvgPoolOptions::new([7, 7]).with_stride([2, 2])); // [n, 256, 1, 1]
        pooled.flatten(1, 3)
    }
}

//! What did AffectNet's baselines look like? AlexNet (Krizhevsky et al., 2012) in the single-tower form
//! of "One weird trick" (Krizhevsky, 2014), with the two heads of this program.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use crate::Outputs;
use crate::fused::convolve_relu;

/// The shape of an [`AlexNet`].
#[derive(Debug, Clone, PartialEq)]
pub struct AlexNetConfig {
    /// 3 for colour (the paper), 1 for grey.
    pub input_channels: usize,
    /// Width of the two fully connected layers; 4096 in the paper.
    pub hidden_width: usize,
    /// Classes of the expression head.
    pub n_classes: usize,
    /// Share of features dropped before each fully connected layer; 0.5 in the paper.
    pub dropout: f64,
}

/// Five convolutions, two fully connected layers, two heads. Takes any side from 64 pixels up; 224 in the paper.
#[derive(Module, Debug)]
pub struct AlexNet {
    convolutions: Vec<Conv2d>,
    pool: MaxPool2d,
    to_six: AdaptiveAvgPool2d,
    dropout: Dropout,
    hidden1: Linear,
    hidden2: Linear,
    expression: Linear,
    valence_arousal: Linear,
}

/// Zeros around the map, for each convolution.
pub(crate) const PADDING: [usize; 5] = [2, 2, 1, 1, 1];

/// Side of the kernel and stride, for each convolution.
pub(crate) const KERNELS: [(usize, usize); 5] = [(11, 4), (5, 1), (3, 1), (3, 1), (3, 1)];

/// Convolutions after which the map is pooled.
pub(crate) const POOLED: [usize; 3] = [0, 1, 4];

impl AlexNetConfig {
    /// Fresh weights from the device's random generator.
    pub fn init(&self, device: &Device) -> AlexNet {
        let conv = |layer_idx: usize, from: usize, to: usize| {
            let (padding, (kernel, stride)) = (PADDING[layer_idx], KERNELS[layer_idx]);
            Conv2dConfig::new([from, to], [kernel, kernel])
                .with_stride([stride, stride])
                .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
                .init(device)
        };
        let width = self.hidden_width;
        AlexNet {
            convolutions: vec![
                conv(0, self.input_channels, 64),
                conv(1, 64, 192),
                conv(2, 192, 384),
                conv(3, 384, 256),
                conv(4, 256, 256),
            ],
            pool: MaxPool2dConfig::new([3, 3])
                .with_strides([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(),
            to_six: AdaptiveAvgPool2dConfig::new([6, 6]).init(),
            dropout: DropoutConfig::new(self.dropout).init(),
            hidden1: LinearConfig::new(256 * 6 * 6, width).init(device),
            hidden2: LinearConfig::new(width, width).init(device),
            expression: LinearConfig::new(width, self.n_classes).init(device),
            valence_arousal: LinearConfig::new(width, 2).init(device),
        }
    }
}

impl AlexNet {
    pub(crate) fn with_frozen_features(self) -> Self {
        Self {
            convolutions: self.convolutions.freeze(),
            hidden1: self.hidden1.freeze(),
            hidden2: self.hidden2.freeze(),
            ..self
        }
    }

    /// `[batch, channels, side, side]` of normalised pixels to both heads.
    pub fn forward(&self, faces: Tensor<4>) -> Outputs {
        let mut map = faces;
        for (layer_idx, convolution) in self.convolutions.iter().enumerate() {
            map = convolve_relu(convolution, map, PADDING[layer_idx]);
            if POOLED.contains(&layer_idx) {
                map = self.pool.forward(map);
            }
        }
        let flat: Tensor<2> = self.to_six.forward(map).flatten(1, 3); // [batch, 256 * 36]
        let hidden = relu(self.hidden1.forward(self.dropout.forward(flat))); // [batch, width]
        let features = relu(self.hidden2.forward(self.dropout.forward(hidden))); // [batch, width]
        Outputs {
            logits: self.expression.forward(features.clone()), // [batch, classes]
            valence_arousal: self.valence_arousal.forward(features), // [batch, 2]
        }
    }
}

//! How does the default network turn a small grey face into an expression and a point in the circumplex?
//!
//! A plain residual network after He et al. (2016), sized so that a lab trains it on two CPU cores:
//! a stem, then one group of residual blocks for each width, halving the map between groups,
//! global average pooling, and two linear heads on the same features.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};

use crate::Outputs;
use crate::fused::{convolve, normalise};

/// The shape of a [`Backbone`].
#[derive(Debug, Clone, PartialEq)]
pub struct BackboneConfig {
    /// Channels of the stem and of each group of blocks; one halving of the map between groups.
    pub widths: Vec<usize>,
    /// Residual blocks in each group.
    pub blocks: Vec<usize>,
    /// Classes of the expression head.
    pub n_classes: usize,
    /// Share of pooled features dropped while training, [0, 1).
    pub dropout: f64,
}

/// Two 3x3 convolutions and a way around them.
#[derive(Module, Debug)]
struct Block {
    conv1: Conv2d,
    norm1: BatchNorm,
    conv2: Conv2d,
    norm2: BatchNorm,
    /// 1x1 where channels or size change.
    shortcut: Option<Conv2d>,
    shortcut_norm: Option<BatchNorm>,
}

/// The default backbone with its two heads.
#[derive(Module, Debug)]
pub struct Backbone {
    stem: Conv2d,
    stem_norm: BatchNorm,
    blocks: Vec<Block>,
    dropout: Dropout,
    expression: Linear,
    valence_arousal: Linear,
}

fn conv(from: usize, to: usize, kernel: usize, stride: usize, device: &Device) -> Conv2d {
    let padding = kernel / 2;
    Conv2dConfig::new([from, to], [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
        .with_bias(false)
        .init(device)
}

fn norm(channels: usize, device: &Device) -> BatchNorm {
    BatchNormConfig::new(channels).init(device)
}

impl Block {
    fn new(from: usize, to: usize, stride: usize, device: &Device) -> Self {
        let changes = from != to || stride != 1;
        Self {
            conv1: conv(from, to, 3, stride, device),
            norm1: norm(to, device),
            conv2: conv(to, to, 3, 1, device),
            norm2: norm(to, device),
            shortcut: changes.then(|| conv(from, to, 1, stride, device)),
            shortcut_norm: changes.then(|| norm(to, device)),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let inner = normalise(&self.norm1, convolve(&self.conv1, input.clone()), None, true);
        let inner = convolve(&self.conv2, inner);
        let around = match (&self.shortcut, &self.shortcut_norm) {
            (Some(shortcut), Some(norm)) => normalise(norm, convolve(shortcut, input), None, false),
            _ => input,
        };
        normalise(&self.norm2, inner, Some(around), true)
    }
}

impl BackboneConfig {
    /// Fresh weights from the device's random generator.
    pub fn init(&self, device: &Device) -> Backbone {
        let stem_width = self.widths.first().copied().unwrap_or(16);
        let mut blocks = Vec::new();
        let mut from = stem_width;
        for (group_idx, (&width, &n_blocks)) in self.widths.iter().zip(&self.blocks).enumerate() {
            for block_idx in 0..n_blocks {
                let stride = if block_idx == 0 && group_idx > 0 { 2 } else { 1 };
                blocks.push(Block::new(from, width, stride, device));
                from = width;
            }
        }
        Backbone {
            stem: conv(1, stem_width, 5, 2, device),
            stem_norm: norm(stem_width, device),
            blocks,
            dropout: DropoutConfig::new(self.dropout).init(),
            expression: LinearConfig::new(from, self.n_classes).init(device),
            valence_arousal: LinearConfig::new(from, 2).init(device),
        }
    }
}

impl Backbone {
    pub(crate) fn with_frozen_features(self) -> Self {
        Self { stem: self.stem.freeze(), stem_norm: self.stem_norm.freeze(), blocks: self.blocks.freeze(), ..self }
    }

    /// `[batch, 1, side, side]` of normalised grey to both heads.
    pub fn forward(&self, faces: Tensor<4>) -> Outputs {
        let mut map = normalise(&self.stem_norm, convolve(&self.stem, faces), None, true); // [batch, width, side/2, side/2]
        for block in &self.blocks {
            map = block.forward(map);
        }
        let pooled: Tensor<2> = map.mean_dim(3).mean_dim(2).flatten(1, 3); // [batch, width]
        let features = self.dropout.forward(pooled);
        Outputs {
            logits: self.expression.forward(features.clone()), // [batch, classes]
            valence_arousal: self.valence_arousal.forward(features), // [batch, 2]
        }
    }
}

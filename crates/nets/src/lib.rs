//! Networks and their weights: pixels or tensors in, numbers out.
//!
//! Detection (MTCNN), 68 landmarks, face-api's expressions, and the backbones that `learn` trains. The weights under
//! `assets/` are embedded in the binary; each has its origin, licence and SHA-256 beside it.
//! This crate knows nothing of files, databases or training.

mod alexnet;
mod backbone;
mod descent;
mod face_expressions;
mod face_features;
mod face_identity;
mod fused;
mod kernels;
mod landmarks68;
mod layers;
mod mtcnn;
mod network;
mod onnx;
mod rows;
mod weights;
mod wide;

pub use alexnet::{AlexNet, AlexNetConfig};
pub use backbone::{Backbone, BackboneConfig};
pub use descent::descent;
pub use face_expressions::FaceExpressions;
pub use face_identity::FaceIdentity;
pub use landmarks68::Landmarks68;
pub use mtcnn::{MtcnnNets, ProposalMap, Shifts, WindowAnswer};
pub use network::{Network, NetworkConfig};
pub use onnx::{LEAST_DEVIATION, onnx};
pub use weights::{WeightsError, safetensors_metadata};
pub use wide::widened;

use burn::tensor::Tensor;

/// What an expression network says of a batch of faces.
#[derive(Debug, Clone)]
pub struct Outputs {
    /// Unnormalised class scores, `[batch, classes]`.
    pub logits: Tensor<2>,
    /// Valence and arousal, unbounded, `[batch, 2]`.
    pub valence_arousal: Tensor<2>,
}

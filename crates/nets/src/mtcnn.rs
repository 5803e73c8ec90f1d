//! What do the three networks of MTCNN say of windows of a picture? The cascade around them is in `faces`.
//!
//! Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks" (2016), in the
//! shapes of facenet-pytorch 2.6.0, whose weights (MIT) are inside the program.

use burn::tensor::activation::softmax;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Tensor, TensorData};

use crate::layers::{Conv, Dense};
use crate::weights::{Weights, WeightsError};

/// Converted by `assets/convert.py`; origin, licence and hash are in `assets/README.md`.
const WEIGHTS: &[u8] = include_bytes!("../assets/mtcnn.safetensors");

/// Where a window's face is, as shares of the window: shifts of left, top, right, bottom.
pub type Shifts = [f32; 4];

/// What the second and third network say of one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowAnswer {
    /// Probability of a face, 0 to 1.
    pub score: f32,
    /// How the window has to move.
    pub shifts: Shifts,
    /// Left eye, right eye, nose, left mouth, right mouth, as shares of the window; zero from the second network.
    pub points: [[f32; 2]; 5],
}

/// What the first network says of every window of 12 pixels, 2 pixels apart.
#[derive(Debug, Clone, PartialEq)]
pub struct ProposalMap {
    /// Windows in a row.
    pub width: usize,
    /// Rows of windows.
    pub height: usize,
    /// Probability of a face, row by row.
    pub scores: Vec<f32>,
    /// Four maps of shifts, one after the other.
    pub shifts: Vec<f32>,
}

/// The three networks.
#[derive(Debug, Clone)]
pub struct MtcnnNets {
    proposal: [Conv; 3],
    proposal_score: Conv,
    proposal_shifts: Conv,
    refine: [Conv; 3],
    refine_dense: Dense,
    refine_heads: [Dense; 2],
    output: [Conv; 4],
    output_dense: Dense,
    output_heads: [Dense; 3],
    device: Device,
}

impl MtcnnNets {
    /// Side of the second network's windows.
    pub const REFINE_SIDE: usize = 24;
    /// Side of the third network's windows.
    pub const OUTPUT_SIDE: usize = 48;

    /// The networks inside the program.
    ///
    /// # Errors
    /// None: a test reads them.
    pub fn bundled() -> Result<Self, WeightsError> {
        let weights = Weights::open(WEIGHTS)?;
        let device = Device::flex();
        let conv = |net: &str, n: usize, shape| {
            let (name, slope) = (format!("{net}.conv{n}"), format!("{net}.prelu{n}"));
            Conv::load(&weights, &name, Some(&slope), shape, &device)
        };
        let dense = |name: &str, slope: Option<&str>, shape| {
            Dense::load(&weights, [&format!("{name}.weight"), &format!("{name}.bias")], slope, shape, &device)
        };
        Ok(Self {
            proposal: [conv("pnet", 1, [3, 10, 3])?, conv("pnet", 2, [10, 16, 3])?, conv("pnet", 3, [16, 32, 3])?],
            proposal_score: Conv::load(&weights, "pnet.conv4_1", None, [32, 2, 1], &device)?,
            proposal_shifts: Conv::load(&weights, "pnet.conv4_2", None, [32, 4, 1], &device)?,
            refine: [conv("rnet", 1, [3, 28, 3])?, conv("rnet", 2, [28, 48, 3])?, conv("rnet", 3, [48, 64, 2])?],
            refine_dense: dense("rnet.dense4", Some("rnet.prelu4"), [576, 128])?,
            refine_heads: [dense("rnet.dense5_1", None, [128, 2])?, dense("rnet.dense5_2", None, [128, 4])?],
            output: [
                conv("onet", 1, [3, 32, 3])?,
                conv("onet", 2, [32, 64, 3])?,
                conv("onet", 3, [64, 64, 3])?,
                conv("onet", 4, [64, 128, 2])?,
            ],
            output_dense: dense("onet.dense5", Some("onet.prelu5"), [1152, 256])?,
            output_heads: [
                dense("onet.dense6_1", None, [256, 2])?,
                dense("onet.dense6_2", None, [256, 4])?,
                dense("onet.dense6_3", None, [256, 10])?,
            ],
            device,
        })
    }

    /// First network: planes of red, green and blue, `3 * height * width` values in [-1, 1], both sides >= 12.
    pub fn propose(&self, planes: Vec<f32>, width: usize, height: usize) -> ProposalMap {
        let picture = Tensor::<4>::from_data(TensorData::new(planes, [1, 3, height, width]), &self.device);
        let [first, second, third] = &self.proposal;
        let maps = third.forward(second.forward(pool(first.forward(picture), 2)));
        let [_, _, height, width] = maps.dims();
        let scores = softmax(self.proposal_score.forward(maps.clone()), 1).narrow(1, 1, 1);
        let shifts = self.proposal_shifts.forward(maps);
        ProposalMap { width, height, scores: values(scores), shifts: values(shifts) }
    }

    /// Second network: windows of 24x24 as planes in [-1, 1], one after the other.
    pub fn refine(&self, windows: Vec<f32>) -> Vec<WindowAnswer> {
        let [first, second, third] = &self.refine;
        let maps = third.forward(pool(second.forward(pool(first.forward(self.windows(windows, 24)), 3)), 3));
        let features = self.refine_dense.forward(flat(maps));
        let [score, shifts] = self.refine_heads.each_ref().map(|head| head.forward(features.clone()));
        answers(softmax(score, 1), shifts, None)
    }

    /// Third network: windows of 48x48 as planes in [-1, 1], one after the other.
    pub fn answer(&self, windows: Vec<f32>) -> Vec<WindowAnswer> {
        let [first, second, third, fourth] = &self.output;
        let maps = pool(second.forward(pool(first.forward(self.windows(windows, 48)), 3)), 3);
        let maps = fourth.forward(pool(third.forward(maps), 2));
        let features = self.output_dense.forward(flat(maps));
        let [score, shifts, points] = self.output_heads.each_ref().map(|head| head.forward(features.clone()));
        answers(softmax(score, 1), shifts, Some(points))
    }

    fn windows(&self, values: Vec<f32>, side: usize) -> Tensor<4> {
        let n = values.len() / (3 * side * side);
        Tensor::from_data(TensorData::new(values, [n, 3, side, side]), &self.device)
    }
}

/// Maxima of windows two apart; a last, incomplete window counts.
fn pool(maps: Tensor<4>, kernel: usize) -> Tensor<4> {
    max_pool2d(maps, MaxPoolOptions::new([kernel, kernel]).with_stride([2, 2]).with_ceil_mode(true))
}

/// The original flattens columns first: `[n, width, height, channels]`.
fn flat(maps: Tensor<4>) -> Tensor<2> {
    maps.permute([0, 3, 2, 1]).flatten(1, 3)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn answers(scores: Tensor<2>, shifts: Tensor<2>, points: Option<Tensor<2>>) -> Vec<WindowAnswer> {
    let (scores, shifts) = (values(scores), values(shifts));
    let points = points.map(values).unwrap_or_else(|| vec![0.0; scores.len() * 5]);
    let windows = scores.chunks_exact(2).zip(shifts.chunks_exact(4)).zip(points.chunks_exact(10));
    windows
        .map(|((score, shifts), p)| WindowAnswer {
            score: score[1],
            shifts: [shifts[0], shifts[1], shifts[2], shifts[3]],
            // The network gives five x, then five y.
            points: std::array::from_fn(|i| [p[i], p[5 + i]]),
        })
        .collect()
}

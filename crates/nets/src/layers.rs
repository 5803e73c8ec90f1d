//! Which steps do the converted networks share? Weights as PyTorch lays them out, inference only.

use burn::tensor::activation::prelu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};

use crate::weights::{Weights, WeightsError};

/// A convolution without padding and with stride 1, then, if it has one, a PReLU.
#[derive(Debug, Clone)]
pub(crate) struct Conv {
    weight: Tensor<4>,
    bias: Tensor<1>,
    slope: Option<Tensor<1>>,
}

impl Conv {
    /// `net.name.weight` `[to, from, kernel, kernel]` and `net.name.bias`; `slope` names the PReLU.
    pub(crate) fn load(
        weights: &Weights<'_>,
        name: &str,
        slope: Option<&str>,
        [from, to, kernel]: [usize; 3],
        device: &Device,
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            weight: weights.tensor(&format!("{name}.weight"), [to, from, kernel, kernel], device)?,
            bias: weights.tensor(&format!("{name}.bias"), [to], device)?,
            slope: slope.map(|s| weights.tensor(&format!("{s}.weight"), [to], device)).transpose()?,
        })
    }

    pub(crate) fn forward(&self, maps: Tensor<4>) -> Tensor<4> {
        let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
        let maps = conv2d(maps, self.weight.clone(), Some(self.bias.clone()), options);
        match &self.slope {
            Some(slope) => prelu(maps, slope.clone()),
            None => maps,
        }
    }
}

/// A matrix and a shift, then, if it has one, a PReLU.
#[derive(Debug, Clone)]
pub(crate) struct Dense {
    weight: Tensor<2>, // [from, to]
    bias: Tensor<2>,   // [1, to]
    slope: Option<Tensor<1>>,
}

impl Dense {
    /// `names` are those of the matrix `[to, from]`, the shift and the PReLU.
    pub(crate) fn load(
        weights: &Weights<'_>,
        [matrix, shift]: [&str; 2],
        slope: Option<&str>,
        [from, to]: [usize; 2],
        device: &Device,
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            weight: weights.tensor::<2>(matrix, [to, from], device)?.transpose(),
            bias: weights.tensor::<1>(shift, [to], device)?.reshape([1, to]),
            slope: slope.map(|s| weights.tensor(&format!("{s}.weight"), [to], device)).transpose()?,
        })
    }

    pub(crate) fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        let features = features.matmul(self.weight.clone()) + self.bias.clone();
        match &self.slope {
            Some(slope) => prelu(features, slope.clone()),
            None => features,
        }
    }
}

/// Square pictures in RGB bytes, one after the other, as `[pictures, 3, side, side]`; `value` is what a byte of a channel
/// becomes.
pub(crate) fn planes(pictures: &[u8], side: usize, value: impl Fn(usize, u8) -> f32, device: &Device) -> Tensor<4> {
    let n_places = side * side;
    let n = pictures.len() / (3 * n_places);
    let mut values = vec![0.0f32; n * 3 * n_places];
    for (picture, out) in pictures.chunks_exact(3 * n_places).zip(values.chunks_exact_mut(3 * n_places)) {
        for (at, pixel) in picture.chunks_exact(3).enumerate() {
            for (channel, byte) in pixel.iter().enumerate() {
                out[channel * n_places + at] = value(channel, *byte);
            }
        }
    }
    Tensor::from_data(TensorData::new(values, [n, 3, side, side]), device)
}

/// A 3x3 convolution that keeps the size, or with stride 2 halves it, padded as TensorFlow's "same": with stride
/// 2 on an even side only at the end, with stride 1 at both.
pub(crate) fn same(
    maps: Tensor<4>,
    kernel: &Tensor<4>,
    bias: Option<&Tensor<1>>,
    stride: usize,
    groups: usize,
) -> Tensor<4> {
    let start = usize::from(stride == 1);
    let maps = maps.pad((start, 1, start, 1), 0.0);
    conv2d(maps, kernel.clone(), bias.cloned(), ConvOptions::new([stride, stride], [0, 0], [1, 1], groups))
}

//! How do the slices of these operations become tensors of the `flex` device and back?

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::TensorData;

use super::Kernels;
use super::convolution::{self, Finish};
use super::descent;
use super::normalisation::{self, Statistics};

/// A tensor whose values lie one after the other.
pub(super) fn dense(tensor: &FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor.clone() } else { tensor.to_contiguous() }
}

/// The values of a [`dense`] tensor.
///
/// # Panics
/// For other tensors than those of 32-bit floats: no network of ours has them.
pub(super) fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice::<f32>().expect("the networks compute in 32-bit floats, and `dense` came before")
}

pub(super) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// The values of a tensor, without a copy where nobody else holds it.
pub(super) fn owned(tensor: FlexTensor) -> Vec<f32> {
    let data = dense(&tensor);
    drop(tensor);
    data.into_data().try_into_vec().unwrap_or_default()
}

/// A tensor whose values were changed in place.
fn into_tensor(tensor: FlexTensor, change: impl FnOnce(&mut [f32])) -> FlexTensor {
    let shape = tensor.shape();
    let mut values = owned(tensor);
    change(&mut values);
    FlexTensor::from_data(TensorData::new(values, shape))
}

pub(super) fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    let shape = tensor.shape();
    std::array::from_fn(|axis| shape[axis])
}

pub(super) fn convolution_sizes(
    input: &FlexTensor,
    weight: &FlexTensor,
    stride: usize,
    padding: usize,
) -> convolution::Sizes {
    let [batch, from, height, width] = dims(input);
    let [to, _, kernel, _] = dims(weight);
    convolution::Sizes { batch, from, to, kernel, stride, padding, height, width }
}

pub(super) fn normalisation_sizes(input: &FlexTensor) -> normalisation::Sizes {
    let [_, channels, height, width] = dims(input);
    normalisation::Sizes { channels, plane: height * width }
}

fn convolve(input: &FlexTensor, weight: &FlexTensor, finish: Finish<'_>, stride: usize, padding: usize) -> FlexTensor {
    let (input, weight) = (dense(input), dense(weight));
    let sizes = convolution_sizes(&input, &weight, stride, padding);
    let output = convolution::convolve(values(&input), values(&weight), finish, sizes);
    tensor(output, [sizes.batch, sizes.to, sizes.out_height(), sizes.out_width()])
}

fn normalise(
    input: &FlexTensor,
    around: Option<&FlexTensor>,
    [gamma, beta, moments]: [&FlexTensor; 3],
    epsilon: f64,
    has_relu: bool,
) -> FlexTensor {
    let (input, around) = (dense(input), around.map(dense));
    let (gamma, beta, moments) = (dense(gamma), dense(beta), dense(moments));
    let statistics = Statistics { moments: values(&moments), gamma: values(&gamma), beta: values(&beta), epsilon };
    let sizes = normalisation_sizes(&input);
    let output = normalisation::normalise(values(&input), around.as_ref().map(values), statistics, has_relu, sizes);
    tensor(output, dims::<4>(&input))
}

impl Kernels for Flex {
    fn convolve(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        convolve(&input, &weight, Finish::Plain, stride, padding)
    }

    fn convolve_relu(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        let bias = dense(&bias);
        convolve(&input, &weight, Finish::BiasRelu(values(&bias)), stride, padding)
    }

    fn channel_moments(input: FloatTensor<Self>) -> FloatTensor<Self> {
        let input = dense(&input);
        let sizes = normalisation_sizes(&input);
        tensor(normalisation::channel_moments(values(&input), sizes), [2, sizes.channels])
    }

    fn normalise(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        epsilon: f64,
        has_relu: bool,
    ) -> FloatTensor<Self> {
        normalise(&input, None, [&gamma, &beta, &moments], epsilon, has_relu)
    }

    fn normalise_add_relu(
        input: FloatTensor<Self>,
        around: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        normalise(&input, Some(&around), [&gamma, &beta, &moments], epsilon, true)
    }

    fn gain_velocity(
        velocity: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        momentum: f64,
        decay: f64,
    ) -> FloatTensor<Self> {
        let (gradient, weight) = (dense(&gradient), dense(&weight));
        into_tensor(velocity, |velocity| {
            descent::gain_velocity(velocity, values(&gradient), values(&weight), momentum as f32, decay as f32);
        })
    }

    fn descend(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        rate: f64,
        momentum: f64,
        decay: f64,
    ) -> FloatTensor<Self> {
        let (gradient, velocity) = (dense(&gradient), dense(&velocity));
        into_tensor(weight, |weight| {
            let factors = [rate, momentum, decay].map(|factor| factor as f32);
            descent::descend(weight, values(&gradient), values(&velocity), factors);
        })
    }
}

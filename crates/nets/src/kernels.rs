//! How are convolution, batch normalisation and ReLU computed, forward and back, as fast as two cores allow?
//!
//! burn's general operations make a pass over memory for each term of a formula, which is where a small network's
//! time goes. Here a convolution is unfolding into a cache-sized matrix and one matrix product, and normalisation,
//! the way around a block and ReLU are one pass, each with its gradient written out; burn's autodiff strings them
//! together. All sums are taken in an order that does not depend on the number of threads, so that a seed fixes a
//! training run.
//!
//! In: tensors on the `flex` device, `[batch, channels, height, width]`. [`runs_on`] says whether a tensor is there;
//! on any other device the networks use burn's own operations.

mod convolution;
mod descent;
mod flex;
mod gradients;
mod matrix;
mod normalisation;
mod winograd;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{Device, Tensor};

/// Whether these operations exist on a device.
pub(crate) fn runs_on(device: &Device) -> bool {
    let flex = Device::flex();
    *device == flex || *device == flex.autodiff()
}

/// The operations, on burn's side. Weights are `[to, from, kernel, kernel]`, square and zero-padded.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait Kernels: Backend {
    fn convolve(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self>;
    fn convolve_relu(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self>;
    /// Mean and variance of each channel, `[2, channels]`, without a gradient.
    fn channel_moments(input: FloatTensor<Self>) -> FloatTensor<Self>;
    /// The gradient takes `moments` to be those of `input`.
    fn normalise(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        epsilon: f64,
        has_relu: bool,
    ) -> FloatTensor<Self>;
    /// As `normalise`, plus `around`, then ReLU.
    fn normalise_add_relu(
        input: FloatTensor<Self>,
        around: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;
    /// Without a gradient, as all of a step.
    fn gain_velocity(
        velocity: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        momentum: f64,
        decay: f64,
    ) -> FloatTensor<Self>;
    fn descend(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        rate: f64,
        momentum: f64,
        decay: f64,
    ) -> FloatTensor<Self>;
}

/// A convolution without bias: `[batch, from, h, w]` and `[to, from, k, k]` to `[batch, to, h', w']`.
pub(crate) fn convolve(input: Tensor<4>, weight: Tensor<4>, stride: usize, padding: usize) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::convolve(input.into_dispatch(), weight.into_dispatch(), stride, padding))
}

/// A convolution, its bias `[to]`, and ReLU.
pub(crate) fn convolve_relu(
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    let (input, weight, bias) = (input.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(Dispatch::convolve_relu(input, weight, bias, stride, padding))
}

/// Mean and (biased) variance of each channel, `[2, channels]`.
pub(crate) fn channel_moments(input: Tensor<4>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::channel_moments(input.into_dispatch()))
}

/// `(input - mean) / sqrt(variance + epsilon) * gamma + beta` (Ioffe and Szegedy 2015), plus `around` if there is one,
/// then ReLU if asked for or if there is one. Its gradient takes `moments` to be those of `input`, as in training.
pub(crate) fn normalise(
    input: Tensor<4>,
    around: Option<Tensor<4>>,
    [gamma, beta]: [Tensor<1>; 2],
    moments: Tensor<2>,
    epsilon: f64,
    has_relu: bool,
) -> Tensor<4> {
    let (input, moments) = (input.into_dispatch(), moments.into_dispatch());
    let (gamma, beta) = (gamma.into_dispatch(), beta.into_dispatch());
    Tensor::from_dispatch(match around {
        Some(around) => Dispatch::normalise_add_relu(input, around.into_dispatch(), gamma, beta, moments, epsilon),
        None => Dispatch::normalise(input, gamma, beta, moments, epsilon, has_relu),
    })
}

/// `momentum * velocity + gradient + decay * weight`, in the velocity's memory.
pub(crate) fn gain_velocity<const D: usize>(
    velocity: Tensor<D>,
    gradient: Tensor<D>,
    weight: Tensor<D>,
    [momentum, decay]: [f64; 2],
) -> Tensor<D> {
    let (velocity, gradient, weight) = (velocity.into_dispatch(), gradient.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(Dispatch::gain_velocity(velocity, gradient, weight, momentum, decay))
}

/// `weight - rate * (momentum * velocity + gradient + decay * weight)`, in the weight's memory where nobody else has it.
pub(crate) fn descend<const D: usize>(
    weight: Tensor<D>,
    gradient: Tensor<D>,
    velocity: Tensor<D>,
    rate: f64,
    [momentum, decay]: [f64; 2],
) -> Tensor<D> {
    let (weight, gradient, velocity) = (weight.into_dispatch(), gradient.into_dispatch(), velocity.into_dispatch());
    Tensor::from_dispatch(Dispatch::descend(weight, gradient, velocity, rate, momentum, decay))
}

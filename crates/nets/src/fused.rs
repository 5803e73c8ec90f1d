//! Which layers do the trained networks share? Parameters as burn keeps them, computed by [`crate::kernels`] where those
//! exist and by burn elsewhere.

use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use crate::kernels;

/// A square convolution without bias, padded by half its kernel.
pub(crate) fn convolve(convolution: &Conv2d, input: Tensor<4>) -> Tensor<4> {
    if !kernels::runs_on(&input.device()) {
        return convolution.forward(input);
    }
    let [stride, _] = convolution.stride;
    let [kernel, _] = convolution.kernel_size;
    kernels::convolve(input, convolution.weight.val(), stride, kernel / 2)
}

/// A square convolution with a bias, then ReLU. `padding` is what the convolution was made with.
pub(crate) fn convolve_relu(convolution: &Conv2d, input: Tensor<4>, padding: usize) -> Tensor<4> {
    match &convolution.bias {
        Some(bias) if kernels::runs_on(&input.device()) => {
            let [stride, _] = convolution.stride;
            kernels::convolve_relu(input, convolution.weight.val(), bias.val(), stride, padding)
        }
        _ => relu(convolution.forward(input)),
    }
}

/// Batch normalisation, plus the way around a block if there is one, then ReLU if `has_relu`.
pub(crate) fn normalise(norm: &BatchNorm, input: Tensor<4>, around: Option<Tensor<4>>, has_relu: bool) -> Tensor<4> {
    let device = input.device();
    if !kernels::runs_on(&device) {
        let normed = norm.forward(input);
        let sum = match around {
            Some(around) => normed + around,
            None => normed,
        };
        return if has_relu { relu(sum) } else { sum };
    }
    let moments = if device.is_autodiff() && norm.training.is_enabled() {
        let moments = kernels::channel_moments(input.clone());
        let moved = |running: Tensor<1>, row: usize| {
            let now: Tensor<1> = moments.clone().slice_dim(0, row..row + 1).squeeze_dim(0);
            (running.to_device(&device).mul_scalar(1.0 - norm.momentum) + now.mul_scalar(norm.momentum)).detach()
        };
        norm.running_mean.update(moved(norm.running_mean.value_sync(), 0));
        norm.running_var.update(moved(norm.running_var.value_sync(), 1));
        moments
    } else {
        let running = [norm.running_mean.value(), norm.running_var.value()];
        Tensor::stack(running.map(|tensor| tensor.to_device(&device)).to_vec(), 0)
    };
    kernels::normalise(input, around, [norm.gamma.val(), norm.beta.val()], moments, norm.epsilon, has_relu)
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::nn::conv::Conv2dConfig;
    use burn::nn::{BatchNormConfig, PaddingConfig2d};
    use burn::tensor::{Device, Distribution};

    use super::*;

    /// Two of everything, with a way around: what burn's own operations and ours must agree on, forward and back.
    fn outcome(is_ours: bool) -> Vec<Vec<f32>> {
        let device = Device::flex().autodiff();
        device.seed(3);
        let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
        let plain =
            Conv2dConfig::new([3, 8], [3, 3]).with_stride([2, 2]).with_padding(padding.clone()).with_bias(false);
        let (plain, biased) = (
            plain.init(&device).materialize(),
            Conv2dConfig::new([8, 8], [3, 3]).with_padding(padding).init(&device).materialize(),
        );
        let norm = BatchNormConfig::new(8).init(&device);
        let input = Tensor::<4>::random([5, 3, 11, 13], Distribution::Normal(0.3, 2.0), &device).require_grad();
        let (first, second) = if is_ours {
            let first = normalise(&norm, convolve(&plain, input.clone()), None, true);
            let second = normalise(&norm, convolve_relu(&biased, first.clone(), 1), Some(first.clone()), true);
            (first, second)
        } else {
            let first = relu(norm.forward(plain.forward(input.clone())));
            let second = relu(norm.forward(relu(biased.forward(first.clone()))) + first.clone());
            (first, second)
        };
        let weights = Tensor::<4>::random(second.dims(), Distribution::Normal(0.0, 1.0), &device);
        let gradients = (second.clone() * weights).sum().backward();
        let numbers = |tensor: Option<Tensor<1>>| -> Vec<f32> {
            tensor.map(|tensor| tensor.into_data().iter::<f32>().collect()).unwrap_or_default()
        };
        vec![
            numbers(Some(first.flatten(0, 3))),
            numbers(Some(second.flatten(0, 3))),
            numbers(input.grad(&gradients).map(|g| g.flatten(0, 3))),
            numbers(plain.weight.val().grad(&gradients).map(|g| g.flatten(0, 3))),
            numbers(biased.weight.val().grad(&gradients).map(|g| g.flatten(0, 3))),
            numbers(biased.bias.as_ref().and_then(|bias| bias.val().grad(&gradients))),
            numbers(norm.gamma.val().grad(&gradients)),
            numbers(norm.beta.val().grad(&gradients)),
            numbers(Some(norm.running_mean.value_sync())),
            numbers(Some(norm.running_var.value_sync())),
        ]
    }

    #[test]
    fn ours_and_burns_agree_forward_and_back() {
        for (place, (ours, burns)) in outcome(true).iter().zip(outcome(false)).enumerate() {
            assert!(!ours.is_empty() && ours.len() == burns.len(), "{place}");
            let scale = burns.iter().fold(1.0f32, |most, value| most.max(value.abs()));
            for (a, b) in ours.iter().zip(&burns) {
                assert!((a - b).abs() < 2e-5 * scale, "{place}: {a} {b} (largest {scale})");
            }
        }
    }
}

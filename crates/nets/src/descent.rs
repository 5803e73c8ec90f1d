//! How do a network's weights follow their gradients?

use burn::optim::{ModuleOptimizer, Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor};

use crate::kernels;

/// Stochastic gradient descent with Nesterov's momentum in [0, 1) and weight decay (Sutskever et al. 2013, as PyTorch has
/// it): `v = momentum v + g + decay w`, `w = w - rate (momentum v + g + decay w)`.
///
/// burn's own makes some eight passes over all weights, which with AlexNet's 60 million is a good part of a step.
pub fn descent(momentum: f64, weight_decay: f64) -> ModuleOptimizer {
    ModuleOptimizer::from(Descent { momentum, weight_decay })
}

#[derive(Clone)]
struct Descent {
    momentum: f64,
    weight_decay: f64,
}

/// What a weight remembers between steps.
#[derive(Clone)]
struct DescentState<const D: usize> {
    velocity: Tensor<D>,
}

/// As burn names its own optimizer's, so that a run begun with that one goes on.
const VELOCITY: &str = "momentum.velocity";

impl<const D: usize> RecordState for DescentState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_tensor(prefix, VELOCITY, self.velocity.to_data());
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, device: &Device) -> Option<Self> {
        let data = source.take_tensor(prefix, VELOCITY)?;
        Some(Self { velocity: Tensor::from_data(data, device) })
    }
}

impl Optimizer for Descent {
    type State<const D: usize> = DescentState<D>;

    fn step<const D: usize>(
        &self,
        rate: f64,
        weight: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let factors = [self.momentum, self.weight_decay];
        let velocity = state.map_or_else(|| weight.zeros_like(), |state| state.velocity);
        if !kernels::runs_on(&weight.device()) {
            let pull = gradient + weight.clone().mul_scalar(self.weight_decay);
            let velocity = velocity.mul_scalar(self.momentum) + pull.clone();
            let step = (velocity.clone().mul_scalar(self.momentum) + pull).mul_scalar(rate);
            return (weight - step, Some(DescentState { velocity }));
        }
        let velocity = kernels::gain_velocity(velocity, gradient.clone(), weight.clone(), factors);
        (kernels::descend(weight, gradient, velocity.clone(), rate, factors), Some(DescentState { velocity }))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        DescentState { velocity: state.velocity.to_device(device) }
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::decay::WeightDecayConfig;
    use burn::optim::momentum::MomentumConfig;
    use burn::optim::{GradientsParams, SgdConfig};
    use burn::tensor::Distribution;

    use super::*;

    /// Weights after three steps, the optimizer saved after the second and read by another.
    fn walk(start: &Linear, input: &Tensor<2>, first: ModuleOptimizer, then: ModuleOptimizer) -> Vec<f32> {
        let mut layer = start.clone();
        let (mut optimizer, mut then) = (first, Some(then));
        for rate in [0.1, 0.05, 0.2] {
            if rate == 0.2 {
                let saved = optimizer.into_bytes().unwrap();
                optimizer = then.take().unwrap().from_bytes(saved).unwrap();
            }
            let loss = layer.forward(input.clone()).powi_scalar(2).mean();
            let gradients = GradientsParams::from_grads(loss.backward(), &layer);
            layer = optimizer.step(rate, layer, gradients);
        }
        layer.weight.val().into_data().iter::<f32>().collect()
    }

    #[test]
    fn steps_are_those_of_burns_own_and_go_on_from_its_checkpoint() {
        let device = Device::flex().autodiff();
        device.seed(5);
        let input = Tensor::<2>::random([7, 9], Distribution::Normal(0.0, 1.0), &device);
        let start = LinearConfig::new(9, 4).init(&device);
        let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0).with_nesterov(true);
        let config =
            SgdConfig::new().with_momentum(Some(momentum)).with_weight_decay(Some(WeightDecayConfig::new(0.01)));
        let burns = walk(&start, &input, config.init(), config.init());
        assert_ne!(burns, start.weight.val().into_data().iter::<f32>().collect::<Vec<_>>());
        for first in [descent(0.9, 0.01), config.init()] {
            for (a, b) in walk(&start, &input, first, descent(0.9, 0.01)).iter().zip(&burns) {
                assert!((a - b).abs() < 1e-6, "{a} {b}");
            }
        }
    }
}

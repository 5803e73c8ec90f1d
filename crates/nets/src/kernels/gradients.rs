//! How does burn's autodiff go back through these operations?

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};

use super::Kernels;
use super::flex::{convolution_sizes, dense, dims, normalisation_sizes, owned, tensor, values};
use super::{convolution, normalisation};

/// What a convolution keeps for its way back.
#[derive(Debug, Clone)]
struct ConvolutionState {
    input: FlexTensor,
    weight: FlexTensor,
    stride: usize,
    padding: usize,
}

impl ConvolutionState {
    fn input_gradient(&self, gradient: &FlexTensor) -> FlexTensor {
        let weight = dense(&self.weight);
        let sizes = convolution_sizes(&self.input, &weight, self.stride, self.padding);
        tensor(convolution::input_gradient(values(&weight), values(gradient), sizes), dims::<4>(&self.input))
    }

    fn weight_gradient(&self, gradient: &FlexTensor) -> FlexTensor {
        let input = dense(&self.input);
        let sizes = convolution_sizes(&input, &self.weight, self.stride, self.padding);
        tensor(convolution::weight_gradient(values(&input), values(gradient), sizes), dims::<4>(&self.weight))
    }
}

/// What normalising keeps for its way back; the output only where a ReLU made it.
#[derive(Debug, Clone)]
struct NormalisationState {
    input: FlexTensor,
    output: Option<FlexTensor>,
    gamma: FlexTensor,
    moments: FlexTensor,
    epsilon: f64,
}

impl NormalisationState {
    fn gradients(&self, gradient: FlexTensor) -> normalisation::Gradients {
        let (input, gamma, moments) = (dense(&self.input), dense(&self.gamma), dense(&self.moments));
        let statistics = normalisation::Statistics {
            moments: values(&moments),
            gamma: values(&gamma),
            beta: &[],
            epsilon: self.epsilon,
        };
        let sizes = normalisation_sizes(&input);
        let output = self.output.as_ref().map(values);
        normalisation::gradients(values(&input), owned(gradient), output, statistics, sizes)
    }
}

impl<C: CheckpointStrategy> Kernels for Autodiff<Flex, C> {
    fn convolve(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Convolve;

        impl Backward<Flex, 2> for Convolve {
            type State = ConvolutionState;

            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let [input, weight] = ops.parents;
                let gradient = dense(&grads.consume::<Flex>(&ops.node));
                if let Some(node) = input {
                    grads.register::<Flex>(node.id, ops.state.input_gradient(&gradient));
                }
                if let Some(node) = weight {
                    grads.register::<Flex>(node.id, ops.state.weight_gradient(&gradient));
                }
            }
        }

        let nodes = [input.node(), weight.node()];
        let (input, weight) = (input.into_primitive(), weight.into_primitive());
        let output = Flex::convolve(input.clone(), weight.clone(), stride, padding);
        match Convolve.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(ConvolutionState { input, weight, stride, padding }, output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn convolve_relu(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct ConvolveRelu;

        impl Backward<Flex, 3> for ConvolveRelu {
            type State = (ConvolutionState, FlexTensor);

            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
                let [input, weight, bias] = ops.parents;
                let (state, output) = ops.state;
                let gradient = owned(grads.consume::<Flex>(&ops.node));
                let [_, to, height, width] = dims(&output);
                let sizes = normalisation::Sizes { channels: to, plane: height * width };
                let (gradient, by_bias) = normalisation::relu_gradients(gradient, values(&output), sizes);
                let gradient = tensor(gradient, dims::<4>(&output));
                if let Some(node) = input {
                    grads.register::<Flex>(node.id, state.input_gradient(&gradient));
                }
                if let Some(node) = weight {
                    grads.register::<Flex>(node.id, state.weight_gradient(&gradient));
                }
                if let Some(node) = bias {
                    grads.register::<Flex>(node.id, tensor(by_bias, [to]));
                }
            }
        }

        let nodes = [input.node(), weight.node(), bias.node()];
        let (input, weight) = (input.into_primitive(), weight.into_primitive());
        let output = Flex::convolve_relu(input.clone(), weight.clone(), bias.into_primitive(), stride, padding);
        match ConvolveRelu.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let state = ConvolutionState { input, weight, stride, padding };
                prepared.finish((state, output.clone()), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn channel_moments(input: FloatTensor<Self>) -> FloatTensor<Self> {
        FloatTensor::<Self>::new(Flex::channel_moments(input.into_primitive()))
    }

    fn normalise(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        epsilon: f64,
        has_relu: bool,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Normalise;

        impl Backward<Flex, 3> for Normalise {
            type State = NormalisationState;

            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
                let [input, gamma, beta] = ops.parents;
                let found = ops.state.gradients(grads.consume::<Flex>(&ops.node));
                let channels = found.gamma.len();
                if let Some(node) = input {
                    grads.register::<Flex>(node.id, tensor(found.input, dims::<4>(&ops.state.input)));
                }
                if let Some(node) = gamma {
                    grads.register::<Flex>(node.id, tensor(found.gamma, [channels]));
                }
                if let Some(node) = beta {
                    grads.register::<Flex>(node.id, tensor(found.beta, [channels]));
                }
            }
        }

        let nodes = [input.node(), gamma.node(), beta.node()];
        let (input, gamma, moments) = (input.into_primitive(), gamma.into_primitive(), moments.into_primitive());
        let beta = beta.into_primitive();
        let output = Flex::normalise(input.clone(), gamma.clone(), beta, moments.clone(), epsilon, has_relu);
        match Normalise.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let kept = has_relu.then(|| output.clone());
                prepared.finish(NormalisationState { input, output: kept, gamma, moments, epsilon }, output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn normalise_add_relu(
        input: FloatTensor<Self>,
        around: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct NormaliseAddRelu;

        impl Backward<Flex, 4> for NormaliseAddRelu {
            type State = NormalisationState;

            fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
                let [input, around, gamma, beta] = ops.parents;
                let found = ops.state.gradients(grads.consume::<Flex>(&ops.node));
                let (shape, channels) = (dims::<4>(&ops.state.input), found.gamma.len());
                if let Some(node) = input {
                    grads.register::<Flex>(node.id, tensor(found.input, shape));
                }
                if let Some(node) = around {
                    grads.register::<Flex>(node.id, tensor(found.around, shape));
                }
                if let Some(node) = gamma {
                    grads.register::<Flex>(node.id, tensor(found.gamma, [channels]));
                }
                if let Some(node) = beta {
                    grads.register::<Flex>(node.id, tensor(found.beta, [channels]));
                }
            }
        }

        let nodes = [input.node(), around.node(), gamma.node(), beta.node()];
        let (input, gamma, moments) = (input.into_primitive(), gamma.into_primitive(), moments.into_primitive());
        let (around, beta) = (around.into_primitive(), beta.into_primitive());
        let output = Flex::normalise_add_relu(input.clone(), around, gamma.clone(), beta, moments.clone(), epsilon);
        match NormaliseAddRelu.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let state = NormalisationState { input, output: Some(output.clone()), gamma, moments, epsilon };
                prepared.finish(state, output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn gain_velocity(
        velocity: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        momentum: f64,
        decay: f64,
    ) -> FloatTensor<Self> {
        let (gradient, weight) = (gradient.into_primitive(), weight.into_primitive());
        FloatTensor::<Self>::new(Flex::gain_velocity(velocity.into_primitive(), gradient, weight, momentum, decay))
    }

    fn descend(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        rate: f64,
        momentum: f64,
        decay: f64,
    ) -> FloatTensor<Self> {
        let (gradient, velocity) = (gradient.into_primitive(), velocity.into_primitive());
        FloatTensor::<Self>::new(Flex::descend(weight.into_primitive(), gradient, velocity, rate, momentum, decay))
    }
}

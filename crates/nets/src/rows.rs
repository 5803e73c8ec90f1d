//! How do the gradients of a step and the statistics of its batch become one row of numbers, for other processes, and back?

use burn::module::{Module as _, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};

use crate::Network;

impl Network {
    /// The gradient of every weight that has one, in the order of the weights, then [`Network::statistics`].
    pub fn row(&self, gradients: &GradientsParams) -> Vec<f32> {
        let mut row = Row { gradients, values: Vec::new() };
        self.visit(&mut row);
        row.values.extend(self.statistics());
        row.values
    }

    /// The running means and variances of batch normalisation, in order.
    pub fn statistics(&self) -> Vec<f32> {
        let mut statistics = Statistics::default();
        // A network that learns keeps its last step's apart until it is asked in this way.
        self.valid().visit(&mut statistics);
        statistics.values
    }

    /// The same network with these statistics. What is missing stays as it is.
    pub fn with_statistics(self, values: &[f32]) -> Network {
        // Nothing of the last step may come after them.
        self.statistics();
        self.map(&mut Restored { in_statistics: Vec::new(), values })
    }

    /// A [`Network::row`] taken apart: the network with its statistics, and its gradients. `like` are gradients of the same
    /// network, whose places they take.
    pub fn with_row(self, row: &[f32], like: GradientsParams) -> (Network, GradientsParams) {
        let mut filled = Filled { gradients: like, rest: row };
        self.visit(&mut filled);
        let Filled { gradients, rest } = filled;
        (self.with_statistics(rest), gradients)
    }
}

struct Row<'a> {
    gradients: &'a GradientsParams,
    values: Vec<f32>,
}

impl ModuleVisitor for Row<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.values.extend(gradient.into_data().iter::<f32>());
        }
    }
}

struct Filled<'a> {
    gradients: GradientsParams,
    rest: &'a [f32],
}

impl ModuleVisitor for Filled<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(old) = self.gradients.remove::<D>(param.id) else { return };
        let Some((values, rest)) = self.rest.split_at_checked(old.shape().num_elements()) else { return };
        self.rest = rest;
        let gradient: Tensor<D> = Tensor::from_data(TensorData::new(values.to_vec(), old.dims()), &old.device());
        self.gradients.register(param.id, gradient);
    }
}

/// Fields of batch normalisation that are no weights.
const STATISTICS: [&str; 2] = ["running_mean", "running_var"];

#[derive(Default)]
struct Statistics {
    in_statistics: Vec<bool>,
    values: Vec<f32>,
}

impl ModuleVisitor for Statistics {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.in_statistics.push(STATISTICS.contains(&name));
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.in_statistics.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.in_statistics.last() == Some(&true) {
            self.values.extend(param.val().into_data().iter::<f32>());
        }
    }
}

struct Restored<'a> {
    in_statistics: Vec<bool>,
    values: &'a [f32],
}

impl ModuleMapper for Restored<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.in_statistics.push(STATISTICS.contains(&name));
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.in_statistics.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.in_statistics.last() != Some(&true) {
            return param;
        }
        let (id, old) = (param.id, param.val());
        let Some((values, rest)) = self.values.split_at_checked(old.shape().num_elements()) else { return param };
        self.values = rest;
        let tensor = Tensor::from_data(TensorData::new(values.to_vec(), old.dims()), &old.device());
        param.transform_for_load(tensor, id)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::{BackboneConfig, NetworkConfig};

    #[test]
    fn a_row_is_all_that_a_step_leaves() {
        let device = Device::flex().autodiff();
        let config = BackboneConfig { widths: vec![4, 8], blocks: vec![1, 1], n_classes: 3, dropout: 0.0 };
        let network = NetworkConfig::Backbone(config).init(&device);
        let before = network.statistics();
        let faces = Tensor::<4>::random([4, 1, 16, 16], burn::tensor::Distribution::Default, &device);
        let step = |network: &Network| {
            let outputs = network.forward(faces.clone());
            let gradients = (outputs.logits.sum() + outputs.valence_arousal.sum()).backward();
            GradientsParams::from_grads(gradients, network)
        };
        let gradients = step(&network);
        let row = network.row(&gradients);
        let after = network.statistics();
        assert_ne!(before, after);
        assert!(row.ends_with(&after) && row.len() > after.len());

        let network = network.with_statistics(&before);
        assert_eq!(network.statistics(), before);
        let again = step(&network);
        assert_eq!(network.row(&again), row, "the same step from the same state");

        let doubled: Vec<f32> = row.iter().map(|value| value * 2.0).collect();
        let (network, gradients) = network.with_row(&doubled, again);
        assert_eq!(network.row(&gradients), doubled);
    }
}

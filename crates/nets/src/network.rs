//! Which networks can a recipe name, and how do they lie on disk?

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, TensorView};

use crate::weights::{Weights, WeightsError};
use crate::{AlexNet, AlexNetConfig, Backbone, BackboneConfig, Outputs};

/// What an expression network says of a batch of faces is in [`Outputs`]; this is one of the networks that say it.
#[derive(Module, Debug)]
pub enum Network {
    /// The small residual default.
    Backbone(Backbone),
    /// The paper's baseline.
    AlexNet(AlexNet),
}

/// The shape of a [`Network`].
#[derive(Debug, Clone, PartialEq)]
pub enum NetworkConfig {
    /// See [`BackboneConfig`].
    Backbone(BackboneConfig),
    /// See [`AlexNetConfig`].
    AlexNet(AlexNetConfig),
}

impl NetworkConfig {
    /// Fresh weights from the device's random generator, drawn at once so that a seeded device gives the same ones.
    pub fn init(&self, device: &Device) -> Network {
        match self {
            NetworkConfig::Backbone(config) => Network::Backbone(config.init(device)),
            NetworkConfig::AlexNet(config) => Network::AlexNet(config.init(device)),
        }
        .materialize()
    }
}

impl Network {
    /// `[batch, channels, side, side]` of normalised pixels to both heads.
    pub fn forward(&self, faces: Tensor<4>) -> Outputs {
        match self {
            Network::Backbone(network) => network.forward(faces),
            Network::AlexNet(network) => network.forward(faces),
        }
    }

    /// The weights as a safetensors file, tensors named by their path in the network.
    ///
    /// # Errors
    /// [`WeightsError::Format`] if serialisation refuses.
    pub fn to_safetensors(&self, metadata: HashMap<String, String>) -> Result<Vec<u8>, WeightsError> {
        let mut collected = Collected::default();
        self.visit(&mut collected);
        let views: Vec<(String, TensorView<'_>)> = collected
            .tensors
            .iter()
            .map(|(name, shape, bytes)| {
                TensorView::new(Dtype::F32, shape.clone(), bytes)
                    .map(|view| (name.clone(), view))
                    .map_err(|e| WeightsError::Format(e.to_string()))
            })
            .collect::<Result<_, _>>()?;
        safetensors::serialize(views, Some(metadata)).map_err(|e| WeightsError::Format(e.to_string()))
    }

    /// The same network with the weights of a safetensors file.
    ///
    /// # Errors
    /// [`WeightsError`] if the file is damaged or belongs to another network.
    pub fn with_safetensors(self, bytes: &[u8]) -> Result<Network, WeightsError> {
        self.filled(bytes, false)
    }

    /// The same network with the features of a safetensors file; a head of another shape keeps its own weights, so that a
    /// network that was trained for other categories can be a beginning.
    ///
    /// # Errors
    /// [`WeightsError`] if the file is damaged or its features belong to another network.
    pub fn with_features_of(self, bytes: &[u8]) -> Result<Network, WeightsError> {
        self.filled(bytes, true)
    }

    fn filled(self, bytes: &[u8], may_keep_heads: bool) -> Result<Network, WeightsError> {
        let mut filling = Filling { weights: Weights::open(bytes)?, path: Vec::new(), may_keep_heads, error: None };
        let network = self.map(&mut filling);
        filling.error.map_or(Ok(network), Err)
    }

    /// The same network whose features training leaves alone; the two heads go on learning.
    pub fn with_frozen_features(self) -> Network {
        match self {
            Network::Backbone(network) => Network::Backbone(network.with_frozen_features()),
            Network::AlexNet(network) => Network::AlexNet(network.with_frozen_features()),
        }
    }

    /// Every weight moved towards another network's of the same shape: `self + (other - self) * share`, share in [0, 1].
    pub fn moved_towards(self, other: &Network, share: f32) -> Network {
        let mut targets = Flattened::default();
        other.visit(&mut targets);
        self.map(&mut Moving { targets: targets.0.into_iter(), share })
    }
}

/// Gathers name, shape and little-endian bytes of every weight.
#[derive(Default)]
struct Collected {
    path: Vec<String>,
    tensors: Vec<(String, Vec<usize>, Vec<u8>)>,
}

impl ModuleVisitor for Collected {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        let bytes = tensor.into_data().iter::<f32>().flat_map(f32::to_le_bytes).collect();
        self.tensors.push((self.path.join("."), shape, bytes));
    }
}

/// Gathers every weight as one row, where it lies.
#[derive(Default)]
struct Flattened(Vec<Tensor<1>>);

impl ModuleVisitor for Flattened {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let n_values = tensor.shape().num_elements();
        self.0.push(tensor.reshape([n_values]));
    }
}

/// Moves weights towards those of a network of the same shape, which come in the same order.
struct Moving {
    targets: std::vec::IntoIter<Tensor<1>>,
    share: f32,
}

impl ModuleMapper for Moving {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(target) = self.targets.next() else { return param };
        let (id, own) = (param.id, param.val());
        let target = target.reshape(own.dims());
        param.transform_for_load(own.clone() + (target - own).mul_scalar(self.share), id)
    }
}

/// Puts the tensors of a file in the place of a network's weights.
struct Filling<'a> {
    weights: Weights<'a>,
    path: Vec<String>,
    may_keep_heads: bool,
    error: Option<WeightsError>,
}

/// Names of the heads in every network.
const HEADS: [&str; 2] = ["expression.", "valence_arousal."];

impl ModuleMapper for Filling<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape();
        match self.weights.values(&self.path.join("."), &shape) {
            Ok(values) => {
                let device = param.lazy_device();
                let tensor = Tensor::from_data(TensorData::new(values, shape), &device);
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            Err(WeightsError::Shape { name, .. })
                if self.may_keep_heads && HEADS.iter().any(|head| name.contains(head)) =>
            {
                param
            }
            Err(error) => {
                self.error.get_or_insert(error);
                param
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safetensors_metadata;

    fn tiny() -> NetworkConfig {
        NetworkConfig::Backbone(BackboneConfig { widths: vec![4, 8], blocks: vec![1, 1], n_classes: 3, dropout: 0.0 })
    }

    #[test]
    fn weights_survive_a_safetensors_file_to_the_last_bit() -> Result<(), WeightsError> {
        let device = Device::flex();
        device.seed(1);
        let network = tiny().init(&device);
        let faces = Tensor::<4>::ones([2, 1, 16, 16], &device);
        let bytes = network.to_safetensors(HashMap::from([("side".into(), "16".into())]))?;
        device.seed(2);
        let read_back = tiny().init(&device).with_safetensors(&bytes)?;
        let (a, b) = (network.forward(faces.clone()), read_back.forward(faces));
        assert_eq!(a.logits.into_data(), b.logits.into_data());
        assert_eq!(safetensors_metadata(&bytes)?.get("side").map(String::as_str), Some("16"));
        Ok(())
    }

    #[test]
    fn another_networks_features_may_begin_one_with_other_heads() -> Result<(), WeightsError> {
        let device = Device::flex();
        let network = tiny().init(&device);
        let more_classes = |widths: Vec<usize>| {
            NetworkConfig::Backbone(BackboneConfig { widths, blocks: vec![1, 1], n_classes: 5, dropout: 0.0 })
        };
        let bytes = network.to_safetensors(HashMap::new())?;
        let begun = more_classes(vec![4, 8]).init(&device).with_features_of(&bytes)?;
        let faces = Tensor::<4>::ones([2, 1, 16, 16], &device);
        let affect = |network: &Network| network.forward(faces.clone()).valence_arousal.into_data();
        assert_eq!(affect(&network), affect(&begun), "the head that fits comes along");
        assert_eq!(begun.forward(faces).logits.dims(), [2, 5]);
        assert!(more_classes(vec![8, 8]).init(&device).with_features_of(&bytes).is_err());
        Ok(())
    }

    #[test]
    fn a_network_moves_all_the_way_or_half_of_it() {
        let device = Device::flex();
        let (from, to) = (tiny().init(&device), tiny().init(&device));
        let values = |network: &Network| {
            let mut weights = Flattened::default();
            network.visit(&mut weights);
            Tensor::cat(weights.0, 0).into_data().iter::<f32>().collect::<Vec<f32>>()
        };
        let (start, end) = (values(&from), values(&to));
        for share in [0.5, 1.0] {
            for ((a, b), found) in start.iter().zip(&end).zip(values(&from.clone().moved_towards(&to, share))) {
                assert!((a + (b - a) * share - found).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn weights_of_another_network_are_refused() -> Result<(), WeightsError> {
        let device = Device::flex();
        let bytes = tiny().init(&device).to_safetensors(HashMap::new())?;
        let wider = NetworkConfig::Backbone(BackboneConfig {
            widths: vec![8, 8],
            blocks: vec![1, 1],
            n_classes: 3,
            dropout: 0.0,
        });
        assert!(matches!(wider.init(&device).with_safetensors(&bytes), Err(WeightsError::Shape { .. })));
        assert!(matches!(tiny().init(&device).with_safetensors(b"nonsense"), Err(WeightsError::Format(_))));
        Ok(())
    }

    #[test]
    fn alexnet_takes_224_and_64_pixels() {
        let device = Device::flex();
        let config = AlexNetConfig { input_channels: 3, hidden_width: 16, n_classes: 8, dropout: 0.5 };
        let network = config.init(&device);
        for side in [224, 64] {
            let outputs = network.forward(Tensor::<4>::zeros([1, 3, side, side], &device));
            assert_eq!(outputs.logits.dims(), [1, 8]);
            assert_eq!(outputs.valence_arousal.dims(), [1, 2]);
        }
    }
}

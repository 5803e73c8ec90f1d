//! How does a trained network leave as ONNX, so that any runtime reads it?
//!
//! No crate writes ONNX, so its protobuf messages (onnx.proto3 of ONNX 1.16, the few fields that are needed) stand at the
//! end of this file. The graph takes a face's pixels as they are, 0 to 255, and does everything else itself.

use prost::Message;

use crate::weights::{Weights, WeightsError};
use crate::{BackboneConfig, NetworkConfig};

/// Operators as of this version; every ONNX Runtime since 1.8 knows them.
const OPERATOR_SET: i64 = 13;
/// The file format's version that came with it.
const IR_VERSION: i64 = 7;
/// A picture with a smaller standard deviation, in grey values, is not stretched: what is flat stays flat instead of
/// becoming amplified noise.
pub const LEAST_DEVIATION: f32 = 4.0;

/// The network as an ONNX file.
///
/// Input `pixels`: `[batch, channels, side, side]`, 32-bit floats from 0 to 255, grey or RGB, channel by channel. Outputs
/// `probabilities` `[batch, classes]` and `valence_arousal` `[batch, 2]`, -1 to 1. `weights` is the network's safetensors
/// file; `metadata` goes into the file as text.
///
/// # Errors
/// [`WeightsError`] if the weights are not this network's.
pub fn onnx(
    config: &NetworkConfig,
    side: usize,
    weights: &[u8],
    metadata: &[(String, String)],
) -> Result<Vec<u8>, WeightsError> {
    let (channels, n_classes, name) = match config {
        NetworkConfig::Backbone(config) => (1, config.n_classes, "Backbone"),
        NetworkConfig::AlexNet(config) => (config.input_channels, config.n_classes, "AlexNet"),
    };
    let mut graph = Builder { weights: Weights::open(weights)?, name, graph: GraphProto::default() };
    let faces = graph.standardised("pixels");
    let features = match config {
        NetworkConfig::Backbone(config) => backbone(&mut graph, config, faces)?,
        NetworkConfig::AlexNet(_) => alexnet(&mut graph, side, faces)?,
    };
    let logits = graph.dense("expression", &features)?;
    graph.named("Softmax", &[&logits], vec![integer("axis", 1)], "probabilities");
    let affect = graph.dense("valence_arousal", &features)?;
    let (least, most) = (graph.constant(&[], &[-1.0]), graph.constant(&[], &[1.0]));
    graph.named("Clip", &[&affect, &least, &most], Vec::new(), "valence_arousal");

    let mut graph = graph.graph;
    graph.name = "expression, valence and arousal of a face".into();
    graph.input = vec![value("pixels", &[channels, side, side])];
    graph.output = vec![value("probabilities", &[n_classes]), value("valence_arousal", &[2])];
    let entry = |(key, value): &(String, String)| StringStringEntryProto { key: key.clone(), value: value.clone() };
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "affectory".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPERATOR_SET }],
        metadata_props: metadata.iter().map(entry).collect(),
    };
    Ok(model.encode_to_vec())
}

fn backbone(graph: &mut Builder<'_>, config: &BackboneConfig, faces: String) -> Result<String, WeightsError> {
    let stem = graph.convolution("stem", &faces, 2, 2, false)?;
    let stem = graph.normalised("stem_norm", &stem)?;
    let mut map = graph.relu(&stem);
    let mut block_idx = 0;
    for (group_idx, &n_blocks) in config.blocks.iter().enumerate() {
        for place in 0..n_blocks {
            let stride = if place == 0 && group_idx > 0 { 2 } else { 1 };
            let block = format!("blocks.{block_idx}");
            let inner = graph.convolution(&format!("{block}.conv1"), &map, stride, 1, false)?;
            let inner = graph.normalised(&format!("{block}.norm1"), &inner)?;
            let inner = graph.relu(&inner);
            let inner = graph.convolution(&format!("{block}.conv2"), &inner, 1, 1, false)?;
            let inner = graph.normalised(&format!("{block}.norm2"), &inner)?;
            let around = if graph.has(&format!("{block}.shortcut.weight")) {
                let around = graph.convolution(&format!("{block}.shortcut"), &map, stride, 0, false)?;
                graph.normalised(&format!("{block}.shortcut_norm"), &around)?
            } else {
                map
            };
            let sum = graph.node("Add", &[&inner, &around], Vec::new());
            map = graph.relu(&sum);
            block_idx += 1;
        }
    }
    let pooled = graph.node("GlobalAveragePool", &[&map], Vec::new());
    Ok(graph.node("Flatten", &[&pooled], vec![integer("axis", 1)]))
}

fn alexnet(graph: &mut Builder<'_>, side: usize, faces: String) -> Result<String, WeightsError> {
    let (mut map, mut map_side) = (faces, side);
    for (layer_idx, padding) in crate::alexnet::PADDING.into_iter().enumerate() {
        let (kernel, stride) = crate::alexnet::KERNELS[layer_idx];
        map = graph.convolution(&format!("convolutions.{layer_idx}"), &map, stride, padding, true)?;
        map = graph.relu(&map);
        map_side = (map_side + 2 * padding - kernel) / stride + 1;
        if crate::alexnet::POOLED.contains(&layer_idx) {
            let attributes =
                vec![integers("kernel_shape", &[3, 3]), integers("strides", &[2, 2]), integers("pads", &[1, 1, 1, 1])];
            map = graph.node("MaxPool", &[&map], attributes);
            map_side = (map_side + 2 - 3) / 2 + 1;
        }
    }
    // Pooling to six by six of whatever size there is: ONNX has no operator for it, two matrices do the same.
    let pooling = adaptive_pooling(map_side, 6);
    let turned: Vec<f32> = (0..map_side * 6).map(|i| pooling[i % 6 * map_side + i / 6]).collect();
    let down = graph.constant(&[6, map_side], &pooling);
    let across = graph.constant(&[map_side, 6], &turned);
    map = graph.node("MatMul", &[&down, &map], Vec::new());
    map = graph.node("MatMul", &[&map, &across], Vec::new());
    let mut features = graph.node("Flatten", &[&map], vec![integer("axis", 1)]);
    for layer in ["hidden1", "hidden2"] {
        features = graph.dense(layer, &features)?;
        features = graph.relu(&features);
    }
    Ok(features)
}

/// `[to, from]`: row i averages the places from `floor(i * from / to)` up to `ceil((i + 1) * from / to)`.
fn adaptive_pooling(from: usize, to: usize) -> Vec<f32> {
    let mut matrix = vec![0.0; to * from];
    for (row, weights) in matrix.chunks_exact_mut(from).enumerate() {
        let places = row * from / to..((row + 1) * from).div_ceil(to);
        let share = 1.0 / places.len() as f32;
        weights[places].fill(share);
    }
    matrix
}

/// A graph under construction; values are named by the node that makes them.
struct Builder<'a> {
    weights: Weights<'a>,
    /// The network's name, with which its weights' names begin.
    name: &'static str,
    graph: GraphProto,
}

impl Builder<'_> {
    /// Each picture with mean 0 and variance 1, as `learn`'s normalisation.
    fn standardised(&mut self, pixels: &str) -> String {
        let over_picture = || vec![integers("axes", &[1, 2, 3]), integer("keepdims", 1)];
        let mean = self.node("ReduceMean", &[pixels], over_picture());
        let centred = self.node("Sub", &[pixels, &mean], Vec::new());
        let squared = self.node("Mul", &[&centred, &centred], Vec::new());
        let variance = self.node("ReduceMean", &[&squared], over_picture());
        let deviation = self.node("Sqrt", &[&variance], Vec::new());
        let least = self.constant(&[1], &[LEAST_DEVIATION]);
        let divisor = self.node("Max", &[&deviation, &least], Vec::new());
        self.node("Div", &[&centred, &divisor], Vec::new())
    }

    fn has(&self, weight: &str) -> bool {
        self.weights.shaped(&format!("{}.{weight}", self.name)).is_ok()
    }

    fn convolution(
        &mut self,
        name: &str,
        input: &str,
        stride: usize,
        padding: usize,
        has_bias: bool,
    ) -> Result<String, WeightsError> {
        let weight = self.weight(&format!("{name}.weight"))?;
        let bias = if has_bias { Some(self.weight(&format!("{name}.bias"))?) } else { None };
        let inputs: Vec<&str> = [input, &weight].into_iter().chain(bias.as_deref()).collect();
        let attributes = vec![integers("strides", &[stride; 2]), integers("pads", &[padding; 4])];
        Ok(self.node("Conv", &inputs, attributes))
    }

    fn normalised(&mut self, name: &str, input: &str) -> Result<String, WeightsError> {
        let parts = ["gamma", "beta", "running_mean", "running_var"];
        let parts = parts.map(|part| self.weight(&format!("{name}.{part}")));
        let [gamma, beta, mean, variance] = parts;
        let inputs = [input, &gamma?, &beta?, &mean?, &variance?];
        Ok(self.node("BatchNormalization", &inputs, vec![float("epsilon", 1e-5)]))
    }

    fn dense(&mut self, name: &str, input: &str) -> Result<String, WeightsError> {
        let (weight, bias) = (self.weight(&format!("{name}.weight"))?, self.weight(&format!("{name}.bias"))?);
        Ok(self.node("Gemm", &[input, &weight, &bias], Vec::new()))
    }

    fn relu(&mut self, input: &str) -> String {
        self.node("Relu", &[input], Vec::new())
    }

    /// A weight of the network as an initializer of the graph.
    fn weight(&mut self, name: &str) -> Result<String, WeightsError> {
        let (shape, values) = self.weights.shaped(&format!("{}.{name}", self.name))?;
        self.graph.initializer.push(tensor(name, &shape, &values));
        Ok(name.to_owned())
    }

    fn constant(&mut self, shape: &[usize], values: &[f32]) -> String {
        let name = format!("constant{}", self.graph.initializer.len());
        self.graph.initializer.push(tensor(&name, shape, values));
        name
    }

    fn node(&mut self, operator: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let output = format!("{}{}", operator.to_lowercase(), self.graph.node.len());
        self.named(operator, inputs, attributes, &output);
        output
    }

    fn named(&mut self, operator: &str, inputs: &[&str], attribute: Vec<AttributeProto>, output: &str) {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: output.to_owned(),
            op_type: operator.to_owned(),
            attribute,
        });
    }
}

const FLOAT: i32 = 1;

fn tensor(name: &str, shape: &[usize], values: &[f32]) -> TensorProto {
    TensorProto {
        dims: shape.iter().map(|&n| n as i64).collect(),
        data_type: FLOAT,
        name: name.to_owned(),
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

/// An input or output whose first axis is the batch, of any size.
fn value(name: &str, shape: &[usize]) -> ValueInfoProto {
    let batch = Dimension { dim_value: None, dim_param: Some("batch".into()) };
    let fixed = shape.iter().map(|&n| Dimension { dim_value: Some(n as i64), dim_param: None });
    let shape = TensorShapeProto { dim: std::iter::once(batch).chain(fixed).collect() };
    let tensor_type = Some(TensorTypeProto { elem_type: FLOAT, shape: Some(shape) });
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
}

fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), i: Some(value), r#type: 2, ..AttributeProto::default() }
}

fn integers(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&n| n as i64).collect();
    AttributeProto { name: name.to_owned(), ints, r#type: 7, ..AttributeProto::default() }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), f: Some(value), r#type: 1, ..AttributeProto::default() }
}

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(string, tag = "2")]
    producer_name: String,
    #[prost(string, tag = "3")]
    producer_version: String,
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSetIdProto>,
    #[prost(message, repeated, tag = "14")]
    metadata_props: Vec<StringStringEntryProto>,
}

#[derive(Clone, PartialEq, Message)]
struct OperatorSetIdProto {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct StringStringEntryProto {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<AttributeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeProto {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(float, optional, tag = "2")]
    f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    i: Option<i64>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    r#type: i32,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct ValueInfoProto {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    r#type: Option<TypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TypeProto {
    #[prost(message, optional, tag = "1")]
    tensor_type: Option<TensorTypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorTypeProto {
    #[prost(int32, tag = "1")]
    elem_type: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(int64, optional, tag = "1")]
    dim_value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    dim_param: Option<String>,
}

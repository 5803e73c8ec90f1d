//! How is a network run that the user brings as ONNX?
//!
//! In: the path of a model, the path of ONNX Runtime (a library of the user's, loaded when it is first asked for), and
//! 32-bit floats with a shape. Out: every output that is 32-bit floats, by name. The one crate that knows `ort`; it
//! knows nothing of faces, pixels or expressions.

mod error;
mod model;

pub use error::OnnxError;
pub use model::{Dimensions, OnnxModel, Output, Port};

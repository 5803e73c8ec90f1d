//! What stands in a safetensors file, and why can it not be used?

use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors};

/// Why weights could not be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// Not a safetensors file, or a damaged one.
    #[error("the weights are not a safetensors file: {0}")]
    Format(String),
    /// A tensor of the network is not in the file.
    #[error("the weights lack tensor `{0}`: they belong to another network")]
    Missing(String),
    /// A tensor has another shape or type.
    #[error("tensor `{name}` has shape {found:?}, the network needs {expected:?} in 16- or 32-bit floats")]
    Shape {
        /// Its name.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape in the network.
        expected: Vec<usize>,
    },
}

/// The metadata of a safetensors file, without reading its tensors.
///
/// # Errors
/// [`WeightsError::Format`] if it is none.
pub fn safetensors_metadata(bytes: &[u8]) -> Result<HashMap<String, String>, WeightsError> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| WeightsError::Format(e.to_string()))?;
    Ok(header.metadata().clone().unwrap_or_default())
}

/// An open safetensors file.
pub(crate) struct Weights<'a>(SafeTensors<'a>);

impl<'a> Weights<'a> {
    /// Reads the header.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, WeightsError> {
        SafeTensors::deserialize(bytes).map(Self).map_err(|e| WeightsError::Format(e.to_string()))
    }

    /// Shape and values of a tensor of 16- or 32-bit floats.
    pub(crate) fn shaped(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>), WeightsError> {
        let view = self.0.tensor(name).map_err(|_| WeightsError::Missing(name.to_owned()))?;
        let shape = view.shape().to_vec();
        let values = self.values(name, &shape)?;
        Ok((shape, values))
    }

    /// The values of a tensor that must have this shape.
    pub(crate) fn values(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, WeightsError> {
        let view = self.0.tensor(name).map_err(|_| WeightsError::Missing(name.to_owned()))?;
        let data = view.data();
        match view.dtype() {
            Dtype::F32 if view.shape() == expected => {
                Ok(data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
            }
            Dtype::F16 if view.shape() == expected => {
                Ok(data.as_chunks().0.iter().map(|bytes| half::f16::from_le_bytes(*bytes).to_f32()).collect())
            }
            _ => {
                let (found, expected) = (view.shape().to_vec(), expected.to_vec());
                Err(WeightsError::Shape { name: name.to_owned(), found, expected })
            }
        }
    }

    /// The tensor itself.
    pub(crate) fn tensor<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        device: &Device,
    ) -> Result<Tensor<D>, WeightsError> {
        Ok(Tensor::from_data(TensorData::new(self.values(name, &shape)?, shape), device))
    }
}

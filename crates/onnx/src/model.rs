//! How is an ONNX file opened, what does it take and give, and what does it say of some numbers?

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::session::Session;
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};

use crate::OnnxError;

/// The sides of a tensor; `None` for one that the model leaves open, such as the batch.
pub type Dimensions = Vec<Option<usize>>;

/// An input or output as the model declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its sides; `None` if it is no tensor of 32-bit floats.
    pub dimensions: Option<Dimensions>,
}

/// One output of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Its sides.
    pub shape: Vec<usize>,
    /// Its values, the last side running fastest.
    pub values: Vec<f32>,
}

/// A model that is ready to run.
pub struct OnnxModel {
    path: PathBuf,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    /// One run at a time: the runtime uses all cores for it.
    session: Mutex<Session>,
}

/// A process has one runtime; every model shares it.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

impl OnnxModel {
    /// Reads a model of at most `max_bytes`; `library` is the path of libonnxruntime, or its name where the system finds
    /// it. The model's graph is the runtime's to judge: how much memory it takes is not limited here.
    ///
    /// # Errors
    /// [`OnnxError::BadModel`] for a file that is none, too large, damaged or no ONNX, [`OnnxError::NoRuntime`] without
    /// the library.
    pub fn open(path: &Path, library: &Path, max_bytes: u64) -> Result<Self, OnnxError> {
        let bad = |reason: String| OnnxError::BadModel { path: path.to_owned(), reason };
        let metadata = std::fs::metadata(path).map_err(|error| bad(error.to_string()))?;
        if !metadata.is_file() || metadata.len() > max_bytes {
            return Err(bad(format!("not a file of at most {max_bytes} bytes")));
        }
        let bytes = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
        let environment = environment(library)?;
        let session = Session::builder(&environment)
            .and_then(|mut builder| builder.commit_from_memory(&bytes))
            .map_err(|error| bad(one_line(&error)))?;
        let inputs = session.inputs().iter().map(port).collect();
        let outputs = session.outputs().iter().map(port).collect();
        Ok(Self { path: path.to_owned(), inputs, outputs, session: Mutex::new(session) })
    }

    /// What it takes, in order.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// What it gives, in order.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Runs a model of one input. Outputs that are not 32-bit floats are left out.
    ///
    /// # Errors
    /// [`OnnxError::Failed`] for a model of several inputs, or one that refuses this shape.
    pub fn run(&self, shape: &[usize], values: &[f32]) -> Result<Vec<Output>, OnnxError> {
        let failed = |reason: String| OnnxError::Failed { path: self.path.clone(), reason };
        if self.inputs.len() != 1 {
            return Err(failed(format!("it takes {} inputs, expected one", self.inputs.len())));
        }
        let input = TensorRef::from_array_view((shape.to_vec(), values)).map_err(|error| failed(one_line(&error)))?;
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = session.run(ort::inputs![input]).map_err(|error| failed(one_line(&error)))?;
        let mut found = Vec::new();
        for port in self.outputs.iter().filter(|port| port.dimensions.is_some()) {
            let Some(value) = outputs.get(&port.name) else { continue };
            let (shape, values) = value.try_extract_tensor::<f32>().map_err(|error| failed(one_line(&error)))?;
            let shape = shape.iter().map(|&side| usize::try_from(side).unwrap_or(0)).collect();
            found.push(Output { name: port.name.clone(), shape, values: values.to_vec() });
        }
        Ok(found)
    }
}

/// The runtime, loaded the first time. Nothing is ever reported to its makers.
fn environment(library: &Path) -> Result<Environment, OnnxError> {
    let missing = |reason: String| OnnxError::NoRuntime { library: library.to_owned(), reason };
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    match &*loaded {
        Some((path, environment)) if path == library => Ok(environment.clone()),
        Some((path, _)) => Err(missing(format!("{} is loaded already", path.display()))),
        None => {
            let environment = ort::init_from(library)
                .map_err(|error| missing(one_line(&error)))?
                .with_telemetry(false)
                .build()
                .map_err(|error| missing(one_line(&error)))?;
            *loaded = Some((library.to_owned(), environment.clone()));
            Ok(environment)
        }
    }
}

fn port(outlet: &Outlet) -> Port {
    let dimensions = match outlet.dtype() {
        ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => {
            // An open side is -1.
            Some(shape.iter().map(|&side| usize::try_from(side).ok()).collect())
        }
        ValueType::Tensor { .. } | ValueType::Sequence(_) | ValueType::Map { .. } | ValueType::Optional(_) => None,
    };
    Port { name: outlet.name().to_owned(), dimensions }
}

/// The runtime's messages hold line ends, and a failure is one line.
fn one_line(error: &dyn std::fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_or_too_large_is_refused_before_the_library_is_asked() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let open = |path: &Path| {
            let opened = OnnxModel::open(path, Path::new("/no/such/libonnxruntime.so"), 16);
            opened.err().expect("an error").to_string()
        };
        let model = folder.path().join("model.onnx");
        assert!(open(&model).contains("model.onnx"), "{}", open(&model));
        assert!(open(folder.path()).contains("not a file of at most 16 bytes"));
        std::fs::write(&model, [0; 17]).expect("a file");
        assert!(open(&model).contains("not a file of at most 16 bytes"));
        std::fs::write(&model, b"no model").expect("a file");
        assert!(open(&model).contains("pip install onnxruntime") && open(&model).contains("ORT_DYLIB_PATH"));
    }
}

//! What does YuNet see, whose ONNX file the user brings? (Its weights are in no package, so it is not inside the program.)
//!
//! Wu et al., "YuNet: A Tiny Millisecond-level Face Detector" (2023): three grids of cells 8, 16 and 32 pixels apart, and
//! in each cell a class score, an objectness, a box and five points. It runs on ONNX Runtime, a library of the user's.

use std::path::Path;

use affectory_core::{BoundingBox, Point};
use affectory_imaging::RgbImage;
use affectory_onnx::{OnnxError, OnnxModel, Output};

use crate::boxes::{Candidate, Overlap, suppress};
use crate::{Detection, FaceDetector, FacesError};

/// Distances of the cells in pixels; sides of the input are a multiple of the last.
const STRIDES: [usize; 3] = [8, 16, 32];

/// A file larger than this is no YuNet (they have 0.3 MB).
const MAX_MODEL_BYTES: u64 = 64 << 20;

/// What a face needs: the root of class score times objectness.
const MIN_SCORE: f32 = 0.6;

/// Faces that overlap a better one by more than this (intersection over union) go.
const MAX_OVERLAP: f32 = 0.3;

/// Larger pictures are seen at this size of their longer side: the network was trained on faces up to a few hundred
/// pixels.
const MAX_SIDE: u32 = 1600;

/// A detector from an ONNX file.
pub struct Yunet(OnnxModel);

impl Yunet {
    /// The name under which the catalogue knows it.
    pub const NAME: &str = "yunet";

    /// Reads a model; `runtime` is the path of libonnxruntime, or its name where the system finds it.
    ///
    /// # Errors
    /// [`FacesError::Onnx`] without the library, [`FacesError::BadModel`] for another model or a damaged one.
    pub fn open(model: &Path, runtime: &Path) -> Result<Self, FacesError> {
        let bad = |reason: String| FacesError::BadModel { path: model.to_owned(), reason };
        let opened = OnnxModel::open(model, runtime, MAX_MODEL_BYTES).map_err(|error| match error {
            OnnxError::NoRuntime { .. } => FacesError::Onnx(error),
            OnnxError::BadModel { .. } | OnnxError::Failed { .. } => bad(error.reason().to_owned()),
        })?;
        let names: Vec<&str> = opened.outputs().iter().map(|output| output.name.as_str()).collect();
        for name in ["cls", "obj", "bbox", "kps"] {
            for stride in STRIDES {
                let wanted = format!("{name}_{stride}");
                if !names.contains(&wanted.as_str()) {
                    return Err(bad(format!("it has no output `{wanted}`")));
                }
            }
        }
        let yunet = Self(opened);
        // A model of fixed size, or another one with the same names, shows itself at once.
        yunet.look(&RgbImage::filled(64, 32, [127; 3])).map_err(bad)?;
        Ok(yunet)
    }

    /// All candidates above the score, in pixels of the picture.
    fn look(&self, picture: &RgbImage) -> Result<Vec<Detection>, String> {
        let (planes, width, height) = planes(picture);
        let outputs = self.0.run(&[1, 3, height, width], &planes).map_err(|error| error.reason().to_owned())?;
        let mut found = Vec::new();
        for stride in STRIDES {
            let columns = width / stride;
            let n_cells = columns * (height / stride);
            let [class, object, boxes, points] = [("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)]
                .map(|(name, n)| values(&outputs, name, stride, n_cells * n));
            let (class, object, boxes, points) = (class?, object?, boxes?, points?);
            let step = stride as f32;
            for cell in 0..n_cells {
                let score = (class[cell].clamp(0.0, 1.0) * object[cell].clamp(0.0, 1.0)).sqrt();
                if score < MIN_SCORE || !score.is_finite() {
                    continue;
                }
                let (column, row) = ((cell % columns) as f32, (cell / columns) as f32);
                let [x, y, w, h] = std::array::from_fn(|i| boxes[cell * 4 + i]);
                let (wide, high) = (w.exp() * step, h.exp() * step);
                let (left, top) = ((column + x) * step - wide / 2.0, (row + y) * step - high / 2.0);
                // A box with a value that is not a number is no face.
                let Ok(bounding_box) = BoundingBox::new(left, top, wide, high) else { continue };
                let five = std::array::from_fn(|i| Point {
                    x: (points[cell * 10 + 2 * i] + column) * step,
                    y: (points[cell * 10 + 2 * i + 1] + row) * step,
                });
                found.push(Detection { bounding_box, score, five });
            }
        }
        Ok(found)
    }
}

impl FaceDetector for Yunet {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn detect(&self, picture: &RgbImage) -> Vec<Detection> {
        let longer = picture.width.max(picture.height);
        let factor = if longer > MAX_SIDE { longer as f32 / MAX_SIDE as f32 } else { 1.0 };
        let small = (factor > 1.0).then(|| {
            let side = |pixels: u32| ((pixels as f32 / factor) as u32).max(1);
            affectory_imaging::resize(picture, side(picture.width), side(picture.height))
        });
        // `open` has run this model: what fails now is memory, and a picture without an answer has no face.
        let mut found = self.look(small.as_ref().unwrap_or(picture)).unwrap_or_default();
        for face in &mut found {
            let b = face.bounding_box;
            face.bounding_box =
                BoundingBox { x: b.x * factor, y: b.y * factor, width: b.width * factor, height: b.height * factor };
            face.five = face.five.map(|p| Point { x: p.x * factor, y: p.y * factor });
        }
        let candidates: Vec<Candidate> = found
            .iter()
            .map(|Detection { bounding_box: b, score, .. }| Candidate {
                left: b.x,
                top: b.y,
                right: b.x + b.width,
                bottom: b.y + b.height,
                score: *score,
            })
            .collect();
        let kept = suppress(&candidates, MAX_OVERLAP, Overlap::Union);
        let mut found: Vec<Detection> = kept.into_iter().map(|at| found[at]).collect();
        found.sort_by(|a, b| b.bounding_box.area().total_cmp(&a.bounding_box.area()));
        found
    }
}

/// Planes of blue, green and red, 0 to 255, with black to the right and below up to a multiple of the largest stride.
fn planes(picture: &RgbImage) -> (Vec<f32>, usize, usize) {
    let [across, down] = [picture.width, picture.height].map(|side| side as usize);
    let [width, height] = [across, down].map(|side| side.next_multiple_of(STRIDES[2]));
    let mut planes = vec![0.0; 3 * width * height];
    for (at, pixel) in picture.pixels.chunks_exact(3).enumerate() {
        let place = at / across * width + at % across;
        for (channel, value) in pixel.iter().rev().enumerate() {
            planes[channel * width * height + place] = f32::from(*value);
        }
    }
    (planes, width, height)
}

/// The values of one output, which must be this many.
fn values<'a>(outputs: &'a [Output], name: &str, stride: usize, n: usize) -> Result<&'a [f32], String> {
    let name = format!("{name}_{stride}");
    let output = outputs.iter().find(|output| output.name == name);
    let Output { shape, values, .. } = output.ok_or_else(|| format!("output `{name}` is no 32-bit floats"))?;
    if values.len() == n {
        Ok(values)
    } else {
        Err(format!("output `{name}` has shape {shape:?}, expected {n} values"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_library_a_line_says_how_to_get_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let model = folder.path().join("model.onnx");
        let open = || Yunet::open(&model, Path::new("/no/such/libonnxruntime.so")).err().expect("an error").to_string();
        assert!(open().contains("model.onnx"), "{}", open());
        std::fs::write(&model, b"no model").expect("a file");
        assert!(open().contains("pip install onnxruntime") && open().contains("ORT_DYLIB_PATH"), "{}", open());
    }
}

//! How is a network used that somebody else trained, when all there is is its ONNX file and what one knows of it?
//!
//! What one knows stands in a manifest, a small TOML beside the model: every knob is in `docs/models.md`. Nothing is
//! guessed: a name that is not ours, an output that is not there or one value too many is an error that says what to write.

mod alignment;
mod manifest;

use std::path::{Path, PathBuf};

use affectory_core::{Expression, LabelSet, Point, ValenceArousal};
use affectory_imaging::RgbImage;
use affectory_nets::Landmarks68;
use affectory_onnx::{OnnxModel, Output};

use self::alignment::{Alignment, aligned, five_in};
use self::manifest::{Activation, Affect, Channels, Knobs, Layout, Place, parse};
use crate::LearnError;
use crate::checkpoint::file;
use crate::data::{FacePlace, face_crop, in_colour};
use crate::predict::{Prediction, likeliest};
use crate::recipe::Colour;
use crate::scores::softmax;

/// No model that reads single faces is larger.
const MAX_MODEL_BYTES: u64 = 512 << 20;

/// A manifest is a page of text.
const MAX_MANIFEST_BYTES: u64 = 64 << 10;

/// Faces in one run of a model that takes any number.
const MAX_BATCH: usize = 32;

/// A model of somebody else's, ready for faces.
pub(crate) struct ForeignModel {
    manifest: PathBuf,
    knobs: Knobs,
    model: OnnxModel,
    n_batch: usize,
    /// Says where the eyes are of faces that come as a box alone, if the network wants to know.
    landmarks: Option<Landmarks68>,
}

/// The two files that a model is made of: the manifest's text and the path of the ONNX file.
pub(crate) fn parts(manifest: &Path) -> Result<(String, PathBuf), LearnError> {
    let text = read_manifest(manifest)?;
    let knobs = parse(&text).map_err(|reason| bad(manifest, reason))?;
    Ok((text, beside(manifest, &knobs.model)))
}

impl ForeignModel {
    /// Reads a manifest and its model, and asks the model once about a grey picture, so that what does not go together
    /// shows itself at once. `runtime` is the path of libonnxruntime, or its name where the system finds it.
    ///
    /// # Errors
    /// [`LearnError::Manifest`] for a manifest that cannot be meant, or not of this model; [`LearnError::Onnx`]; never
    /// [`LearnError::Weights`].
    pub(crate) fn open(manifest: &Path, runtime: &Path) -> Result<Self, LearnError> {
        let knobs = parse(&read_manifest(manifest)?).map_err(|reason| bad(manifest, reason))?;
        let model = OnnxModel::open(&beside(manifest, &knobs.model), runtime, MAX_MODEL_BYTES)?;
        let fail = |reason: String| Err(bad(manifest, reason));
        let [input] = model.inputs() else {
            return fail(format!("the model takes {} inputs, expected one: the faces", model.inputs().len()));
        };
        let Some(dimensions) = &input.dimensions else {
            return fail(format!("the model's input `{}` is no tensor of 32-bit floats", input.name));
        };
        let n_batch = match dimensions.first() {
            Some(Some(1)) => 1,
            Some(Some(n)) => {
                return fail(format!("the model takes exactly {n} faces at once, expected 1 or any number"));
            }
            Some(None) | None => MAX_BATCH,
        };
        let landmarks = match knobs.alignment {
            Alignment::None => None,
            Alignment::Eyes | Alignment::FivePoints => Some(Landmarks68::bundled()?),
        };
        let opened = Self { manifest: manifest.to_owned(), knobs, model, n_batch, landmarks };
        let side = opened.knobs.input_side as usize;
        let grey = vec![127; side * side * opened.colour().n_channels()].into_boxed_slice();
        opened.read(&[grey])?;
        Ok(opened)
    }

    pub(crate) fn name(&self) -> &str {
        &self.knobs.name
    }

    pub(crate) fn labels(&self) -> &LabelSet {
        &self.knobs.labels
    }

    pub(crate) fn is_proxy(&self) -> bool {
        match self.knobs.affect {
            Affect::Outputs { is_proxy, .. } => is_proxy,
            Affect::Proxy => true,
            Affect::None => false,
        }
    }

    fn colour(&self) -> Colour {
        match self.knobs.channels {
            Channels::Rgb | Channels::Bgr => Colour::Rgb,
            Channels::Grey => Colour::Grey,
        }
    }

    /// Whether the network sees faces turned by their five points.
    pub(crate) fn is_aligned(&self) -> bool {
        self.landmarks.is_some()
    }

    /// The part of a picture that the network sees of a face.
    pub(crate) fn crop(&self, picture: &RgbImage, face: FacePlace) -> Box<[u8]> {
        let Knobs { alignment, crop_scale, input_side, .. } = self.knobs;
        let turned = |landmarks: &Landmarks68| -> Option<RgbImage> {
            let five: [Point; 5] = match face.five {
                Some(five) => five,
                None => five_in(picture, face.bounding_box, landmarks)?,
            };
            aligned(picture, face.bounding_box, &five, (alignment, crop_scale, input_side))
        };
        match self.landmarks.as_ref().and_then(turned) {
            Some(crop) => in_colour(crop, self.colour()),
            None => face_crop(picture, face.bounding_box, crop_scale, input_side, self.colour()),
        }
    }

    /// What the network says of crops.
    ///
    /// # Errors
    /// [`LearnError::Manifest`] if outputs are missing or of another size, [`LearnError::Onnx`] if it does not run.
    pub(crate) fn read(&self, crops: &[Box<[u8]>]) -> Result<Vec<Prediction>, LearnError> {
        let mut predictions = Vec::with_capacity(crops.len());
        for batch in crops.chunks(self.n_batch) {
            let plain = self.answers(batch, false)?;
            if self.knobs.mirror {
                let mirrored = self.answers(batch, true)?;
                predictions.extend(plain.into_iter().zip(mirrored).map(|(a, b)| self.prediction(a.mean(&b))));
            } else {
                predictions.extend(plain.into_iter().map(|answer| self.prediction(answer)));
            }
        }
        Ok(predictions)
    }

    fn answers(&self, crops: &[Box<[u8]>], mirrored: bool) -> Result<Vec<Answer>, LearnError> {
        let side = self.knobs.input_side as usize;
        let n_channels = self.colour().n_channels();
        let n_values = side * side * n_channels;
        let mut values = vec![0.0; crops.len() * n_values];
        for (crop, out) in crops.iter().zip(values.chunks_exact_mut(n_values)) {
            self.knobs.input(crop, mirrored, out);
        }
        let shape = match self.knobs.layout {
            Layout::Nchw => [crops.len(), n_channels, side, side],
            Layout::Nhwc => [crops.len(), side, side, n_channels],
        };
        let outputs = self.model.run(&shape, &values)?;
        self.knobs.answers(&outputs, crops.len()).map_err(|reason| bad(&self.manifest, reason))
    }

    fn prediction(&self, answer: Answer) -> Prediction {
        let labels = self.knobs.labels.labels().iter().copied();
        let probabilities: Vec<(Expression, f32)> = labels.zip(answer.probabilities).collect();
        let point = match self.knobs.affect {
            Affect::Outputs { .. } => answer.affect.map(|[valence, arousal]| ValenceArousal::clamped(valence, arousal)),
            Affect::Proxy => ValenceArousal::proxy(probabilities.iter().copied()),
            Affect::None => None,
        };
        Prediction {
            expression: likeliest(&probabilities),
            probabilities,
            valence: point.map(|point| point.valence),
            arousal: point.map(|point| point.arousal),
            is_proxy: point.is_some() && self.is_proxy(),
        }
    }
}

/// What the network says of one view of a face.
#[derive(Debug, Clone, PartialEq)]
struct Answer {
    /// In the order of the label set.
    probabilities: Vec<f32>,
    affect: Option<[f32; 2]>,
}

impl Answer {
    /// Two views of one face.
    fn mean(&self, other: &Answer) -> Answer {
        let pairs = self.probabilities.iter().zip(&other.probabilities);
        let affect = self.affect.zip(other.affect);
        Answer {
            probabilities: pairs.map(|(a, b)| f32::midpoint(*a, *b)).collect(),
            affect: affect.map(|(a, b)| std::array::from_fn(|i| f32::midpoint(a[i], b[i]))),
        }
    }
}

impl Knobs {
    /// A crop (channels interleaved) as the network wants it.
    fn input(&self, crop: &[u8], mirrored: bool, out: &mut [f32]) {
        let side = self.input_side as usize;
        let n_channels = self.factors.len();
        for (at, pixel) in crop.chunks_exact(n_channels).enumerate() {
            let (row, column) = (at / side, at % side);
            let place = row * side + if mirrored { side - 1 - column } else { column };
            for (channel, [factor, shift]) in self.factors.iter().enumerate() {
                let value = match self.channels {
                    Channels::Bgr => pixel[n_channels - 1 - channel],
                    Channels::Rgb | Channels::Grey => pixel[channel],
                };
                let to = match self.layout {
                    Layout::Nchw => channel * side * side + place,
                    Layout::Nhwc => place * n_channels + channel,
                };
                out[to] = f32::from(value) * factor + shift;
            }
        }
    }

    /// The outputs of `n` faces, face by face.
    fn answers(&self, outputs: &[Output], n: usize) -> Result<Vec<Answer>, String> {
        let expression = find(outputs, self.expression_output.as_deref())?;
        if expression.values.len() != n * self.width {
            let (name, found) = (&expression.name, expression.values.len() / n.max(1));
            return Err(format!(
                "`labels` has {} entries and the model's output `{name}` {found} values a face (its shape is {:?}): give \
                 one label for each, `-` for a value to ignore",
                self.width, expression.shape
            ));
        }
        let affect = match &self.affect {
            Affect::Outputs { places, .. } => {
                Some([self.values(outputs, &places[0], n)?, self.values(outputs, &places[1], n)?])
            }
            Affect::Proxy | Affect::None => None,
        };
        let answer = |(face_idx, values): (usize, &[f32])| {
            let scores: Vec<f32> = self.classes.iter().map(|(_, at)| values[*at]).collect();
            let affect = affect.as_ref().map(|[valence, arousal]| [valence[face_idx], arousal[face_idx]]);
            if scores.iter().chain(affect.iter().flatten()).any(|value| !value.is_finite()) {
                return Err(format!("the model's output `{}` has a value that is not finite", expression.name));
            }
            let probabilities = match self.activation {
                Activation::Softmax => softmax(&scores),
                Activation::None => scores,
            };
            // Half a percent for networks that compute in 16 bits.
            if let Some(p) = probabilities.iter().find(|p| !(-0.005..=1.005).contains(*p)) {
                return Err(format!(
                    "{p} in output `{}` is no probability: set activation = \"softmax\"",
                    expression.name
                ));
            }
            let affect = affect.map(|pair| pair.map(|value| value.clamp(-1.0, 1.0)));
            Ok(Answer { probabilities: probabilities.into_iter().map(|p| p.clamp(0.0, 1.0)).collect(), affect })
        };
        expression.values.chunks_exact(self.width).enumerate().map(answer).collect()
    }

    /// One value a face of some output.
    fn values(&self, outputs: &[Output], place: &Place, n: usize) -> Result<Vec<f32>, String> {
        let output = find(outputs, place.output.as_deref().or(self.expression_output.as_deref()))?;
        let width = output.values.len() / n.max(1);
        if output.values.len() != n * width || place.at >= width {
            return Err(format!(
                "valence_arousal_indices has {} and the model's output `{}` {width} values a face (its shape is {:?})",
                place.at, output.name, output.shape
            ));
        }
        Ok(output.values.chunks_exact(width).map(|values| values[place.at]).collect())
    }
}

/// An output by name; without one the first.
fn find<'a>(outputs: &'a [Output], name: Option<&str>) -> Result<&'a Output, String> {
    let found = match name {
        Some(name) => outputs.iter().find(|output| output.name == name),
        None => outputs.first(),
    };
    found.ok_or_else(|| {
        let known: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
        let wanted = name.map_or("output".to_owned(), |name| format!("output `{name}`"));
        format!("the model has no {wanted} of 32-bit floats (it has: {})", known.join(", "))
    })
}

fn bad(manifest: &Path, reason: String) -> LearnError {
    LearnError::Manifest { path: manifest.to_owned(), reason }
}

fn beside(manifest: &Path, model: &Path) -> PathBuf {
    manifest.parent().unwrap_or(Path::new("")).join(model)
}

fn read_manifest(path: &Path) -> Result<String, LearnError> {
    let metadata = std::fs::metadata(path).map_err(|e| file("read", path, e))?;
    if !metadata.is_file() || metadata.len() > MAX_MANIFEST_BYTES {
        return Err(bad(path, format!("not a file of at most {MAX_MANIFEST_BYTES} bytes")));
    }
    std::fs::read_to_string(path).map_err(|e| file("read", path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
        name = "mine"
        model = "mine.onnx"
        input_side = 16
        colour = "bgr"
        layout = "nchw"
        scale = 255.0
        mean = [0.0, 0.5, 1.0]
        std = [1.0, 0.5, 0.25]
        labels = ["anger", "-", "happy", "sad"]
        cannot_produce = ["neutral", "surprise", "fear", "disgust", "contempt"]
        activation = "softmax"
    "#;

    fn knobs(more: &str) -> Result<Knobs, String> {
        parse(&format!("{MANIFEST}\n{more}"))
    }

    fn without(knob: &str, instead: &str) -> String {
        let kept = MANIFEST.lines().filter(|line| !line.trim().starts_with(knob));
        parse(&format!("{}\n{instead}", kept.collect::<Vec<_>>().join("\n"))).err().unwrap_or_default()
    }

    fn output(name: &str, shape: &[usize], values: &[f32]) -> Output {
        Output { name: name.into(), shape: shape.to_vec(), values: values.to_vec() }
    }

    /// Every manifest that the documentation shows can be read.
    #[test]
    fn the_manifests_in_the_documentation_are_valid() {
        let shown = include_str!("../../../docs/models.md").split("```toml\n").skip(1);
        let names: Vec<String> = shown
            .filter_map(|rest| rest.split("```").next())
            .map(|text| parse(text).unwrap_or_else(|reason| panic!("{reason} in {text}")).name)
            .collect();
        assert_eq!(names.len(), 3, "{names:?}");
    }

    #[test]
    fn what_cannot_be_meant_is_named_with_what_to_write() {
        assert_eq!(without("nothing", ""), "");
        assert!(without("nothing", "epsilon = 1").contains("epsilon"));
        assert!(
            without("labels", "labels = [\"angry\", \"happy\"]").contains("`angry` is none of neutral, happy, sad")
        );
        assert!(without("labels", "labels = [\"anger\", \"-\"]").contains("at least two"));
        assert!(without("labels", "labels = [\"anger\", \"anger\", \"sad\"]").contains("twice"));
        let complement = without("cannot_produce", "cannot_produce = [\"contempt\"]");
        assert!(
            complement.contains("cannot_produce = [\"neutral\", \"surprise\", \"fear\", \"disgust\", \"contempt\"]")
        );
        assert!(without("cannot_produce", "").contains("cannot_produce"));
        assert!(without("mean", "mean = [0.5]").contains("expected 3"));
        assert!(without("std", "std = [1.0, 0.0, 1.0]").contains("above 0"));
        assert!(without("input_side", "input_side = 4000000000").contains("outside 16 to 1024"));
        assert!(without("name", "name = \"a\\u001b[31m\"").contains("printable"));
        assert!(
            without("nothing", "valence_arousal_indices = [1, 2]")
                .contains("has 2, which `labels` does not leave free")
        );
        assert!(
            without("nothing", "valence_arousal = \"proxy\"\nvalence_arousal_indices = [1, 1]").contains("\"output\"")
        );
        assert!(without("nothing", "valence_arousal_is_proxy = true").contains("valence_arousal"));
        assert!(without("nothing", "alignment = \"points\"").contains("`none`, `eyes`, `five-points`"));
    }

    #[test]
    fn pixels_are_divided_shifted_and_turned_as_the_manifest_says() -> Result<(), String> {
        let mut crop = vec![0; 16 * 16 * 3];
        crop[3..6].copy_from_slice(&[255, 51, 102]); // the second pixel: red, green, blue
        let found = |more: &str, mirrored: bool| -> Result<Vec<f32>, String> {
            let text = format!("{MANIFEST}\n{more}")
                .replace("layout = \"nchw\"", if more.is_empty() { "layout = \"nchw\"" } else { "" });
            let mut out = vec![9.0; crop.len()];
            parse(&text)?.input(&crop, mirrored, &mut out);
            Ok(out)
        };
        // Blue 102 / 255 = 0.4, green (0.2 - 0.5) / 0.5, red (1 - 1) / 0.25.
        let near = |found: &[f32]| found.iter().zip([0.4, -0.6, 0.0]).all(|(a, b)| (a - b).abs() < 1e-6);
        let planes = found("", false)?;
        assert!(near(&[planes[1], planes[256 + 1], planes[512 + 1]]));
        let mirrored = found("", true)?;
        assert!(near(&[mirrored[14], mirrored[256 + 14], mirrored[512 + 14]]));
        assert!(near(&found("layout = \"nhwc\"", false)?[3..6]));
        Ok(())
    }

    #[test]
    fn labels_and_outputs_must_be_equally_many_and_ignored_ones_take_no_share() -> Result<(), String> {
        let plain = knobs("")?;
        // Softmax of 0, ln 3 and 0; the 99 between them is ignored.
        let said = plain.answers(&[output("logits", &[1, 4], &[0.0, 99.0, 3.0f32.ln(), 0.0])], 1)?;
        let p = &said[0].probabilities;
        assert!((p[1] - 0.6).abs() < 1e-6 && (p[0] - 0.2).abs() < 1e-6 && said[0].affect.is_none());
        let eight = plain.answers(&[output("logits", &[1, 8], &[0.0; 8])], 1).err().unwrap_or_default();
        assert!(eight.contains("`labels` has 4 entries and the model's output `logits` 8 values a face"), "{eight}");
        let nan = plain.answers(&[output("logits", &[1, 4], &[f32::NAN; 4])], 1).err().unwrap_or_default();
        assert!(nan.contains("not finite"), "{nan}");
        let missing = knobs("expression_output = \"scores\"")?.answers(&[output("logits", &[1, 4], &[0.0; 4])], 1);
        assert!(missing.err().unwrap_or_default().contains("no output `scores` of 32-bit floats (it has: logits)"));
        let raw = without_softmax()?.answers(&[output("logits", &[1, 4], &[2.0, 0.0, 0.0, 0.0])], 1);
        assert!(raw.err().unwrap_or_default().contains("activation = \"softmax\""));
        Ok(())
    }

    #[test]
    fn a_model_without_valence_and_arousal_has_a_proxy_unless_the_manifest_refuses_it() -> Result<(), String> {
        assert_eq!((knobs("")?.affect, knobs("")?.alignment), (Affect::Proxy, Alignment::None));
        assert_eq!(knobs("valence_arousal = \"none\"")?.affect, Affect::None);
        assert!(matches!(knobs("valence_arousal_indices = [1, 1]")?.affect, Affect::Outputs { is_proxy: false, .. }));
        assert_eq!(knobs("alignment = \"five-points\"")?.alignment, Alignment::FivePoints);
        Ok(())
    }

    fn without_softmax() -> Result<Knobs, String> {
        parse(&MANIFEST.replace("activation = \"softmax\"", "activation = \"none\""))
    }

    #[test]
    fn valence_and_arousal_come_from_the_place_the_manifest_names() -> Result<(), String> {
        let scores = || output("logits", &[2, 4], &[0.0, 0.5, 0.0, 0.0, 0.0, -2.0, 0.0, 0.0]);
        let two = [scores(), output("v", &[2, 1], &[0.1, 0.2]), output("a", &[2, 1], &[0.3, 0.4])];
        let inside = knobs("valence_arousal_indices = [1, 1]")?.answers(&two, 2)?;
        assert_eq!([inside[0].affect, inside[1].affect], [Some([0.5, 0.5]), Some([-1.0, -1.0])]);
        let each = knobs("valence_arousal_output = [\"v\", \"a\"]")?.answers(&two, 2)?;
        assert_eq!([each[0].affect, each[1].affect], [Some([0.1, 0.3]), Some([0.2, 0.4])]);
        let both = knobs("valence_arousal_output = \"v\"")?.answers(&two, 2).err().unwrap_or_default();
        assert!(both.contains("valence_arousal_indices has 1 and the model's output `v` 1 values"), "{both}");
        Ok(())
    }
}

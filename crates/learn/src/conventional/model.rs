//! What does a fitted set of linear machines say of a face, and how is it kept in a file?

use std::collections::HashMap;
use std::path::Path;

use affectory_core::{BoundingBox, Expression, LabelSet, ValenceArousal};
use affectory_imaging::RgbImage;
use affectory_nets::safetensors_metadata;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::LearnError;
use crate::checkpoint::{RunIdentity, file, parse_json};
use crate::conventional::dual::Fit;
use crate::conventional::hog::{HogOptions, Pixels, hog};
use crate::conventional::linear::ClassWeights;
use crate::data::face_crop;
use crate::predict::Prediction;
use crate::recipe::Colour;
use crate::scores::Scores;

/// A model with the longest descriptor and all classes has less; a file that has more is none.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Everything a model file says of itself, in its safetensors header.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ConventionalCard {
    /// What it was trained from.
    pub run: RunIdentity,
    /// How a crop becomes features.
    pub hog: HogOptions,
    /// Side of the square crop, pixels, 16 to 512.
    pub input_side: u32,
    /// Grey or RGB.
    pub colour: Colour,
    /// Side of the crop as a multiple of the face box's longer side, 0.5 to 3.
    pub crop_scale: f32,
    /// How much mistakes on rare classes cost.
    pub class_weights: ClassWeights,
    /// C of the expression machines.
    pub cost: f64,
    /// C of valence and arousal.
    pub affect_cost: f64,
    /// Classes without a face to learn from.
    pub never_predicted: Vec<Expression>,
    /// Scores on the valid split.
    pub scores: Scores,
    /// Faces in the training split.
    pub n_train: usize,
    /// Faces in the valid split.
    pub n_valid: usize,
}

impl ConventionalCard {
    /// The header's key. A network's model has another one, so neither is taken for the other.
    pub const KEY: &'static str = "affectory-conventional";
}

/// One machine as it is kept.
#[derive(Debug, Clone, PartialEq)]
struct Machine {
    weights: Vec<f32>,
    bias: f32,
}

impl Machine {
    fn of(fit: &Fit) -> Self {
        Self { weights: fit.weights.iter().map(|w| *w as f32).collect(), bias: fit.bias as f32 }
    }

    fn decision(&self, features: &[f32]) -> f32 {
        let sum: f64 = self.weights.iter().zip(features).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
        (sum + f64::from(self.bias)) as f32
    }
}

/// What the machines say of one face.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Softmax of the decision values, in the label set's order; empty for a model without expressions.
    ///
    /// They order the classes as the machines do, and are **not calibrated**: a support vector machine knows which
    /// side of a margin a face is on, not how often it is right there. A class that is never predicted has 0.
    pub probabilities: Vec<f32>,
    /// Valence, -1 to 1, where it was learnt.
    pub valence: Option<f32>,
    /// Arousal, -1 to 1, where it was learnt.
    pub arousal: Option<f32>,
}

/// Histograms of gradients with linear machines on top, ready for faces.
#[derive(Debug, Clone, PartialEq)]
pub struct ConventionalModel {
    card: ConventionalCard,
    labels: LabelSet,
    n_features: usize,
    /// One a label, `None` for one that is never predicted; empty if no expression was learnt.
    classes: Vec<Option<Machine>>,
    valence: Option<Machine>,
    arousal: Option<Machine>,
}

impl ConventionalModel {
    /// From fitted machines: one a label of `card.run.labels` (or none at all), then valence and arousal. Which labels
    /// are never predicted is written into the card.
    ///
    /// # Errors
    /// [`LearnError::Hog`] or [`LearnError::Unfit`] if card and machines do not go together.
    pub fn new(card: ConventionalCard, classes: &[Option<Fit>], affect: &[Option<Fit>; 2]) -> Result<Self, LearnError> {
        let unfit = |reason: String| LearnError::Unfit(reason);
        let (labels, n_features) = checked(&card).map_err(unfit)?;
        if !classes.is_empty() && classes.len() != labels.n_classes() {
            return Err(unfit(format!("{} machines for {} classes", classes.len(), labels.n_classes())));
        }
        if let Some(fit) = classes.iter().chain(affect).flatten().find(|fit| fit.weights.len() != n_features) {
            return Err(unfit(format!("{} weights for {n_features} features", fit.weights.len())));
        }
        let without = labels.labels().iter().zip(classes).filter(|(_, fit)| fit.is_none());
        let never_predicted = without.map(|(label, _)| *label).collect();
        let machine = |fit: &Option<Fit>| fit.as_ref().map(Machine::of);
        Ok(Self {
            card: ConventionalCard { never_predicted, ..card },
            labels,
            n_features,
            classes: classes.iter().map(machine).collect(),
            valence: machine(&affect[0]),
            arousal: machine(&affect[1]),
        })
    }

    /// Reads `model.safetensors` of a run (or the run's folder).
    ///
    /// # Errors
    /// [`LearnError::File`], [`LearnError::BadModel`] or [`LearnError::Weights`].
    pub fn load(path: &Path) -> Result<Self, LearnError> {
        let path = if path.is_dir() { path.join("model.safetensors") } else { path.to_owned() };
        let size_bytes = std::fs::metadata(&path).map_err(|e| file("read", &path, e))?.len();
        if size_bytes > MAX_FILE_BYTES {
            let reason = format!("{size_bytes} bytes are more than any such model has");
            return Err(LearnError::BadModel { path, reason });
        }
        let bytes = std::fs::read(&path).map_err(|e| file("read", &path, e))?;
        Self::from_bytes(&path, &bytes)
    }

    /// Reads a model from memory; `path` is only for messages.
    ///
    /// # Errors
    /// As [`ConventionalModel::load`].
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, LearnError> {
        let bad = |reason: String| LearnError::BadModel { path: path.to_owned(), reason };
        let metadata = safetensors_metadata(bytes)?;
        let text = metadata.get(ConventionalCard::KEY).ok_or_else(|| bad("not a model of linear machines".into()))?;
        let card: ConventionalCard = parse_json(path, text.as_bytes())?;
        // The header comes from outside: nothing is allocated by what it says before this has passed.
        let (labels, n_features) = checked(&card).map_err(bad)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| bad(e.to_string()))?;
        let values = |name: &str, shape: &[usize]| -> Result<Option<Vec<f32>>, LearnError> {
            let Ok(view) = tensors.tensor(name) else { return Ok(None) };
            if view.shape() != shape || view.dtype() != Dtype::F32 {
                let found = view.shape();
                return Err(bad(format!("tensor `{name}` has shape {found:?}, not {shape:?} in 32-bit floats")));
            }
            let values: Vec<f32> =
                view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            match values.iter().all(|v| v.is_finite()) {
                true => Ok(Some(values)),
                false => Err(bad(format!("tensor `{name}` has a value that is not finite"))),
            }
        };
        let machines = |head: &str, n_machines: usize| -> Result<Vec<Machine>, LearnError> {
            let weights = values(&format!("{head}.weight"), &[n_machines, n_features])?;
            let biases = values(&format!("{head}.bias"), &[n_machines])?;
            match (weights, biases) {
                (Some(weights), Some(biases)) => Ok(weights
                    .chunks_exact(n_features)
                    .zip(biases)
                    .map(|(weights, bias)| Machine { weights: weights.to_vec(), bias })
                    .collect()),
                (None, None) => Ok(Vec::new()),
                _ => Err(bad(format!("`{head}` has weights without biases, or the reverse"))),
            }
        };
        let learnt = |label: &Expression| !card.never_predicted.contains(label);
        let classes = machines("expression", labels.n_classes())?
            .into_iter()
            .zip(labels.labels())
            .map(|(machine, label)| learnt(label).then_some(machine))
            .collect();
        let (valence, arousal) = (machines("valence", 1)?.pop(), machines("arousal", 1)?.pop());
        Ok(Self { card, labels, n_features, classes, valence, arousal })
    }

    /// The model as a safetensors file: `expression.weight` `[classes, features]`, `expression.bias`, and the same of
    /// `valence` and `arousal`; a head that was not learnt is not in it.
    ///
    /// # Errors
    /// [`LearnError::Unfit`] if serialisation refuses.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LearnError> {
        let unfit = |e: &dyn std::fmt::Display| LearnError::Unfit(e.to_string());
        let zero = Machine { weights: vec![0.0; self.n_features], bias: 0.0 };
        let classes: Vec<&Machine> = self.classes.iter().map(|machine| machine.as_ref().unwrap_or(&zero)).collect();
        let affect = [("valence", &self.valence), ("arousal", &self.arousal)];
        let mut heads = vec![("expression", classes)];
        heads.extend(affect.map(|(head, machine)| (head, machine.iter().collect())));
        let mut tensors = Vec::new();
        for (head, machines) in heads.into_iter().filter(|(_, machines)| !machines.is_empty()) {
            let bytes = |values: &mut dyn Iterator<Item = f32>| values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>();
            let weights = bytes(&mut machines.iter().flat_map(|machine| machine.weights.iter().copied()));
            let biases = bytes(&mut machines.iter().map(|machine| machine.bias));
            tensors.push((format!("{head}.weight"), vec![machines.len(), self.n_features], weights));
            tensors.push((format!("{head}.bias"), vec![machines.len()], biases));
        }
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|e| unfit(&e))?;
        let card = serde_json::to_string_pretty(&self.card).map_err(|e| unfit(&e))?;
        let metadata = HashMap::from([(ConventionalCard::KEY.to_owned(), card)]);
        safetensors::serialize(views, Some(metadata)).map_err(|e| unfit(&e))
    }

    /// What the model says of itself.
    pub fn card(&self) -> &ConventionalCard {
        &self.card
    }

    /// The model's classes.
    pub fn labels(&self) -> &LabelSet {
        &self.labels
    }

    /// Name for output: recipe, release and seed.
    pub fn name(&self) -> String {
        let run = &self.card.run;
        format!("{} ({}, seed {})", run.recipe, run.release, run.seed)
    }

    /// What the machines say of a face's features.
    ///
    /// # Errors
    /// [`LearnError::Unfit`] for another number of features.
    pub fn decide(&self, features: &[f32]) -> Result<Decision, LearnError> {
        if features.len() != self.n_features {
            let reason = format!("{} features for a model of {}", features.len(), self.n_features);
            return Err(LearnError::Unfit(reason));
        }
        let decision = |machine: &Option<Machine>| machine.as_ref().map(|machine| machine.decision(features));
        let values: Vec<f32> =
            self.classes.iter().map(|machine| decision(machine).unwrap_or(f32::NEG_INFINITY)).collect();
        let top = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f32> = values.iter().map(|value| (value - top).exp()).collect();
        let total: f32 = powers.iter().sum();
        Ok(Decision {
            probabilities: powers.into_iter().map(|power| power / total).collect(),
            valence: decision(&self.valence).map(|v| v.clamp(-1.0, 1.0)),
            arousal: decision(&self.arousal).map(|v| v.clamp(-1.0, 1.0)),
        })
    }

    /// The features of one face of a picture.
    ///
    /// # Errors
    /// None: the card's options are checked.
    pub fn features(&self, picture: &RgbImage, face: BoundingBox) -> Result<Vec<f32>, LearnError> {
        let ConventionalCard { input_side, colour, crop_scale, hog: options, .. } = &self.card;
        let crop = face_crop(picture, face, *crop_scale, *input_side, *colour);
        let side = *input_side as usize;
        hog(Pixels { values: &crop, width: side, height: side, colour: *colour }, options)
    }

    /// Expression and affect of each face box in a picture. A point in the circumplex needs both of its coordinates.
    ///
    /// # Errors
    /// None: the card's options are checked.
    pub fn predict(&self, picture: &RgbImage, faces: &[BoundingBox]) -> Result<Vec<Prediction>, LearnError> {
        let of_face = |face: &BoundingBox| {
            let Decision { probabilities, valence, arousal } = self.decide(&self.features(picture, *face)?)?;
            let probabilities: Vec<(Expression, f32)> =
                self.labels.labels().iter().copied().zip(probabilities).collect();
            let best = probabilities.iter().copied().reduce(|a, b| if b.1 > a.1 { b } else { a });
            Ok(Prediction {
                expression: best.map(|(label, _)| label),
                probabilities,
                valence_arousal: valence.zip(arousal).map(|(v, a)| ValenceArousal::clamped(v, a)),
                is_proxy: self.card.run.is_proxy,
            })
        };
        faces.iter().map(of_face).collect()
    }
}

/// The label set and the number of features of a card that makes sense.
fn checked(card: &ConventionalCard) -> Result<(LabelSet, usize), String> {
    let labels = LabelSet::parse(&card.run.labels).map_err(|e| e.to_string())?;
    if !(16..=512).contains(&card.input_side) {
        return Err(format!("input_side = {} is outside 16 to 512", card.input_side));
    }
    if !(0.5..=3.0).contains(&card.crop_scale) {
        return Err(format!("crop_scale = {} is outside 0.5 to 3", card.crop_scale));
    }
    let side = card.input_side as usize;
    let n_features = card.hog.n_features(side, side).map_err(|e| e.to_string())?;
    if card.never_predicted.len() >= labels.n_classes() && labels.n_classes() > 0 {
        return Err("no class is ever predicted".into());
    }
    Ok((labels, n_features))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> ConventionalCard {
        ConventionalCard {
            run: RunIdentity {
                release: "tiny".into(),
                manifest_sha256: "00".into(),
                recipe: "hog-svm".into(),
                labels: "neutral,happy,sad".into(),
                seed: 7,
                is_proxy: true,
                version: "0".into(),
            },
            hog: HogOptions::default(),
            input_side: 24,
            colour: Colour::Grey,
            crop_scale: 1.0,
            class_weights: ClassWeights::Balanced,
            cost: 0.1,
            affect_cost: 0.01,
            never_predicted: Vec::new(),
            scores: Scores::default(),
            n_train: 2,
            n_valid: 1,
        }
    }

    /// 24 pixels are 3x3 cells, 2x2 blocks of 36.
    fn fit(factor: f64) -> Fit {
        let weights = (0..144).map(|i| factor * f64::from(i % 9)).collect();
        Fit { weights, bias: 0.25 * factor, objective: 1.0, n_iterations: 3, converged: true }
    }

    fn model() -> Result<ConventionalModel, LearnError> {
        ConventionalModel::new(card(), &[Some(fit(0.01)), None, Some(fit(-0.02))], &[Some(fit(9.0)), None])
    }

    fn message(bytes: &[u8]) -> String {
        let found = ConventionalModel::from_bytes(Path::new("mine"), bytes);
        found.err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_model_survives_its_file_and_says_the_same() -> Result<(), LearnError> {
        let (model, picture) =
            (model()?, RgbImage { width: 30, height: 30, pixels: (0..2700).map(|i| (i * i % 255) as u8).collect() });
        let read_back = ConventionalModel::from_bytes(Path::new("mine"), &model.to_bytes()?)?;
        assert_eq!(read_back, model);
        let faces = [BoundingBox::whole(30, 30)];
        assert_eq!(read_back.predict(&picture, &faces)?, model.predict(&picture, &faces)?);
        Ok(())
    }

    #[test]
    fn a_class_without_faces_is_never_predicted_and_one_coordinate_is_no_point() -> Result<(), LearnError> {
        let model = model()?;
        assert_eq!(model.card().never_predicted, [Expression::Happy]);
        let decision = model.decide(&[0.1; 144])?;
        assert_eq!(decision.probabilities[1], 0.0);
        assert!((decision.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert_eq!((decision.valence, decision.arousal), (Some(1.0), None));
        let found = model.predict(&RgbImage::filled(24, 24, [9; 3]), &[BoundingBox::whole(24, 24)])?;
        assert_eq!((found[0].expression, found[0].valence_arousal), (Some(Expression::Neutral), None));
        Ok(())
    }

    #[test]
    fn files_that_are_no_such_model_are_refused() -> Result<(), LearnError> {
        let whole = model()?.to_bytes()?;
        for n_bytes in [0, 7, 100, whole.len() - 1] {
            assert!(message(&whole[..n_bytes]).contains("not a safetensors file"), "{n_bytes} bytes");
        }
        let network = include_bytes!("../../assets/affectory-s.safetensors");
        assert!(message(network).contains("not a model of linear machines"));
        let with = |change: &dyn Fn(&mut ConventionalModel)| {
            let mut changed = model()?;
            change(&mut changed);
            Ok::<String, LearnError>(message(&changed.to_bytes()?))
        };
        let wide = with(&|m| m.card.input_side = 48)?;
        assert!(wide.contains("`expression.weight` has shape [3, 144], not [3, 900]"), "{wide}");
        assert!(with(&|m| m.card.input_side = 4_000_000_000)?.contains("outside 16 to 512"));
        assert!(with(&|m| m.card.hog.orientations = usize::MAX)?.contains("outside 1 to 180"));
        assert!(with(&|m| m.card.crop_scale = f32::MAX)?.contains("crop_scale"));
        assert!(
            with(&|m| m.valence = Some(Machine { weights: vec![f32::NAN; 144], bias: 0.0 }))?.contains("not finite")
        );
        Ok(())
    }

    #[test]
    fn machines_of_another_descriptor_are_refused() {
        let short = Fit { weights: vec![0.0; 9], ..fit(1.0) };
        let found = ConventionalModel::new(card(), &[], &[Some(short), None]);
        assert!(found.is_err_and(|e| e.to_string().contains("9 weights for 144 features")));
        let found = ConventionalModel::new(card(), &[Some(fit(1.0))], &[None, None]);
        assert!(found.is_err_and(|e| e.to_string().contains("1 machines for 3 classes")));
    }
}

//! What does a fitted set of linear machines say of a face, and how is it kept in a file?

use std::collections::HashMap;
use std::path::Path;

use affectory_core::{BoundingBox, Expression, LabelSet, ValenceArousal};
use affectory_imaging::RgbImage;
use affectory_nets::safetensors_metadata;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::LearnError;
use crate::checkpoint::parse_json;
use crate::conventional::descriptor::Descriptor;
use crate::conventional::dual::Fit;
use crate::data::face_crop;
use crate::predict::{ModelCard, Prediction, likeliest};
use crate::recipe::Recipe;
use crate::scores::softmax;

/// What a file of linear machines says of itself: everything that a network's says, and more.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ConventionalCard {
    /// What every model says.
    #[serde(flatten)]
    pub model: ModelCard,
    /// The C that the valid split decided for, of expression, valence and arousal; `None` for what was not learnt.
    pub costs: [Option<f64>; 3],
    /// Classes without a face to learn from.
    pub never_predicted: Vec<Expression>,
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
#[derive(Debug, Clone, PartialEq, Default)]
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

/// The machines of all heads.
#[derive(Debug, Clone, PartialEq)]
pub struct Machines {
    n_features: usize,
    /// One a label, `None` for one that is never predicted; empty if no expression was learnt.
    classes: Vec<Option<Machine>>,
    affect: [Option<Machine>; 2],
}

impl Machines {
    /// From fitted machines: one a label (or none at all), then valence and arousal.
    ///
    /// # Errors
    /// [`LearnError::Unfit`] for another number of weights than of features.
    pub fn new(n_features: usize, classes: &[Option<Fit>], affect: [Option<&Fit>; 2]) -> Result<Self, LearnError> {
        let mut fits = classes.iter().flatten().chain(affect.into_iter().flatten());
        if let Some(fit) = fits.find(|fit| fit.weights.len() != n_features) {
            return Err(LearnError::Unfit(format!("{} weights for {n_features} features", fit.weights.len())));
        }
        Ok(Self {
            n_features,
            classes: classes.iter().map(|fit| fit.as_ref().map(Machine::of)).collect(),
            affect: affect.map(|fit| fit.map(Machine::of)),
        })
    }

    /// The expression of these, the valence of another and the arousal of a third.
    pub fn composed(&self, valence: &Self, arousal: &Self) -> Self {
        let affect = [valence.affect[0].clone(), arousal.affect[1].clone()];
        Self { affect, ..self.clone() }
    }

    /// Weights and biases.
    pub fn n_parameters(&self) -> usize {
        self.classes.iter().chain(&self.affect).flatten().count() * (self.n_features + 1)
    }

    /// What they say of a face's features.
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
        let [valence, arousal] = [0, 1].map(|place| decision(&self.affect[place]).map(|v| v.clamp(-1.0, 1.0)));
        Ok(Decision { probabilities: softmax(&values), valence, arousal })
    }
}

/// A descriptor with linear machines on top, ready for faces.
#[derive(Debug, Clone, PartialEq)]
pub struct ConventionalModel {
    card: ConventionalCard,
    labels: LabelSet,
    descriptor: Descriptor,
    machines: Machines,
}

impl ConventionalModel {
    /// From fitted machines. Which labels are never predicted is written into the card.
    ///
    /// # Errors
    /// [`LearnError::Unfit`] if card and machines do not go together.
    pub fn new(card: ConventionalCard, machines: Machines) -> Result<Self, LearnError> {
        let (labels, n_features) = checked(&card).map_err(LearnError::Unfit)?;
        let n_machines = machines.classes.len();
        if (n_machines > 0 && n_machines != labels.n_classes()) || machines.n_features != n_features {
            return Err(LearnError::Unfit(format!(
                "{n_machines} machines of {} features for {} classes of {n_features}",
                machines.n_features,
                labels.n_classes()
            )));
        }
        let without = labels.labels().iter().zip(&machines.classes).filter(|(_, machine)| machine.is_none());
        let never_predicted = without.map(|(label, _)| *label).collect();
        let descriptor = Descriptor::of(&card.model.recipe)?;
        Ok(Self { card: ConventionalCard { never_predicted, ..card }, labels, descriptor, machines })
    }

    /// Reads a model from memory; `path` is only for messages.
    ///
    /// # Errors
    /// [`LearnError::BadModel`] or [`LearnError::Weights`].
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, LearnError> {
        let bad = |reason: String| LearnError::BadModel { path: path.to_owned(), reason };
        let metadata = safetensors_metadata(bytes)?;
        let text = metadata.get(ModelCard::KEY).ok_or_else(|| bad("not a model of this program".into()))?;
        let card: ConventionalCard =
            parse_json(path, text.as_bytes()).map_err(|e| bad(format!("not a model of linear machines ({e})")))?;
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
        let affect = [machines("valence", 1)?.pop(), machines("arousal", 1)?.pop()];
        let descriptor = Descriptor::of(&card.model.recipe)?;
        Ok(Self { card, labels, descriptor, machines: Machines { n_features, classes, affect } })
    }

    /// The model as a safetensors file: `expression.weight` `[classes, features]`, `expression.bias`, and the same of
    /// `valence` and `arousal`; a head that was not learnt is not in it.
    ///
    /// # Errors
    /// [`LearnError::Unfit`] if serialisation refuses.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LearnError> {
        let unfit = |e: &dyn std::fmt::Display| LearnError::Unfit(e.to_string());
        let Machines { n_features, classes, affect: [valence, arousal] } = &self.machines;
        let zero = Machine { weights: vec![0.0; *n_features], bias: 0.0 };
        let classes: Vec<&Machine> = classes.iter().map(|machine| machine.as_ref().unwrap_or(&zero)).collect();
        let affect = [("valence", valence), ("arousal", arousal)];
        let mut heads = vec![("expression", classes)];
        heads.extend(affect.map(|(head, machine)| (head, machine.iter().collect())));
        let mut tensors = Vec::new();
        for (head, machines) in heads.into_iter().filter(|(_, machines)| !machines.is_empty()) {
            let bytes = |values: &mut dyn Iterator<Item = f32>| values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>();
            let weights = bytes(&mut machines.iter().flat_map(|machine| machine.weights.iter().copied()));
            let biases = bytes(&mut machines.iter().map(|machine| machine.bias));
            tensors.push((format!("{head}.weight"), vec![machines.len(), *n_features], weights));
            tensors.push((format!("{head}.bias"), vec![machines.len()], biases));
        }
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|e| unfit(&e))?;
        let card = serde_json::to_string_pretty(&self.card).map_err(|e| unfit(&e))?;
        let metadata = HashMap::from([(ModelCard::KEY.to_owned(), card)]);
        safetensors::serialize(views, Some(metadata)).map_err(|e| unfit(&e))
    }

    /// Weights and biases.
    pub fn n_parameters(&self) -> usize {
        self.machines.n_parameters()
    }

    /// What the model says of itself.
    pub fn card(&self) -> &ConventionalCard {
        &self.card
    }

    /// Expression and affect of a face in a picture.
    pub fn predict(&self, picture: &RgbImage, face: BoundingBox) -> Prediction {
        let recipe = &self.card.model.recipe;
        self.read(&face_crop(picture, face, recipe.crop_scale, recipe.input_side, recipe.colour))
    }

    /// Expression and affect of a crop of the recipe's size and colours.
    pub fn read(&self, crop: &[u8]) -> Prediction {
        let features = self.descriptor.describe(crop);
        // Both are checked when a model is made, so there is no face without an answer.
        let decision = features.and_then(|features| self.machines.decide(&features)).unwrap_or_default();
        let labels = self.labels.labels().iter().copied();
        let probabilities: Vec<(Expression, f32)> = labels.zip(decision.probabilities).collect();
        let point = ValenceArousal::clamped(decision.valence.unwrap_or_default(), decision.arousal.unwrap_or_default());
        Prediction {
            expression: likeliest(&probabilities),
            probabilities,
            valence: decision.valence.map(|_| point.valence),
            arousal: decision.arousal.map(|_| point.arousal),
            is_proxy: self.card.model.run.is_proxy,
        }
    }
}

/// The label set and the number of features of a card that makes sense.
fn checked(card: &ConventionalCard) -> Result<(LabelSet, usize), String> {
    let labels = LabelSet::parse(&card.model.run.labels).map_err(|e| e.to_string())?;
    let text = card.model.recipe.to_toml().map_err(|e| e.to_string())?;
    let recipe = Recipe::parse("model", &text).map_err(|e| e.to_string())?;
    let n_features = Descriptor::n_features(&recipe).map_err(|e| e.to_string())?;
    Ok((labels, n_features))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Epoch, RunIdentity};
    use crate::predict::Predictor;
    use crate::recipe::Method;
    use crate::scores::Scores;

    fn card() -> ConventionalCard {
        let run = RunIdentity {
            release: "tiny".into(),
            manifest_sha256: "00".into(),
            recipe: "hog-svm".into(),
            labels: "neutral,happy,sad".into(),
            seed: 7,
            is_proxy: true,
            is_packed: false,
            version: "0".into(),
        };
        let model = ModelCard {
            run,
            recipe: Recipe { method: Method::HogSvm, input_side: 24, ..Recipe::default() },
            epoch: Epoch { epoch: 1, train_loss: 0.5, scores: Scores::default() },
            n_train: 2,
            n_valid: 1,
            has_expression: true,
            has_valence_arousal: [true, false],
            never_learnt: Vec::new(),
        };
        ConventionalCard { model, costs: [Some(0.1), Some(0.01), None], never_predicted: Vec::new() }
    }

    /// 24 pixels are 3x3 cells, 2x2 blocks of 36.
    fn fit(factor: f64) -> Fit {
        let weights = (0..144).map(|i| factor * f64::from(i % 9)).collect();
        Fit { weights, bias: 0.25 * factor, objective: 1.0, n_iterations: 3, converged: true }
    }

    fn model() -> Result<ConventionalModel, LearnError> {
        let classes = [Some(fit(0.01)), None, Some(fit(-0.02))];
        ConventionalModel::new(card(), Machines::new(144, &classes, [Some(&fit(9.0)), None])?)
    }

    fn message<T>(found: Result<T, LearnError>) -> String {
        found.err().map(|e| e.to_string()).unwrap_or_default()
    }

    fn read(bytes: &[u8]) -> String {
        message(Predictor::from_bytes(Path::new("mine"), bytes))
    }

    #[test]
    fn a_model_survives_its_file_and_says_the_same() -> Result<(), LearnError> {
        let pixels = (0..2700).map(|i| (i * i % 255) as u8).collect();
        let (model, picture) = (model()?, RgbImage { width: 30, height: 30, pixels });
        let bytes = model.to_bytes()?;
        assert_eq!(ConventionalModel::from_bytes(Path::new("mine"), &bytes)?, model);
        let (face, predictor) = (BoundingBox::whole(30, 30), Predictor::from_bytes(Path::new("mine"), &bytes)?);
        assert_eq!(predictor.predict(&picture, &[face.into()])?, [model.predict(&picture, face)]);
        assert_eq!(predictor.name(), "hog-svm (tiny, seed 7)");
        Ok(())
    }

    #[test]
    fn a_class_without_faces_is_never_predicted_and_one_coordinate_is_said_without_the_other() -> Result<(), LearnError>
    {
        let model = model()?;
        assert_eq!(model.card().never_predicted, [Expression::Happy]);
        let decision = model.machines.decide(&[0.1; 144])?;
        assert_eq!(decision.probabilities[1], 0.0);
        assert!((decision.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert_eq!((decision.valence, decision.arousal), (Some(1.0), None));
        let found = model.predict(&RgbImage::filled(24, 24, [9; 3]), BoundingBox::whole(24, 24));
        assert_eq!((found.expression, found.arousal, found.point()), (Some(Expression::Neutral), None, None));
        assert!(found.valence.is_some());
        Ok(())
    }

    #[test]
    fn files_that_are_no_such_model_are_refused() -> Result<(), LearnError> {
        let whole = model()?.to_bytes()?;
        for n_bytes in [0, 7, 100, whole.len() - 1] {
            assert!(read(&whole[..n_bytes]).contains("not a safetensors file"), "{n_bytes} bytes");
        }
        let network = ConventionalModel::from_bytes(Path::new("mine"), &crate::model_bytes("affectory-s")?);
        assert!(message(network).contains("not a model of linear machines"));
        let with = |change: &dyn Fn(&mut ConventionalModel)| {
            let mut changed = model()?;
            change(&mut changed);
            Ok::<String, LearnError>(read(&changed.to_bytes()?))
        };
        let wide = with(&|m| m.card.model.recipe.input_side = 48)?;
        assert!(wide.contains("`expression.weight` has shape [3, 144], not [3, 900]"), "{wide}");
        assert!(with(&|m| m.card.model.recipe.input_side = 4_000_000_000)?.contains("outside 16 to 512"));
        assert!(with(&|m| m.card.model.recipe.hog_orientations = 1 << 40)?.contains("outside 1 to 180"));
        assert!(with(&|m| m.card.model.recipe.method = Method::Network)?.contains("lack"));
        let nan = Machine { weights: vec![f32::NAN; 144], bias: 0.0 };
        assert!(with(&|m| m.machines.affect[0] = Some(nan.clone()))?.contains("not finite"));
        Ok(())
    }

    #[test]
    fn machines_of_another_descriptor_are_refused() -> Result<(), LearnError> {
        let short = Fit { weights: vec![0.0; 9], ..fit(1.0) };
        assert!(message(Machines::new(144, &[], [Some(&short), None])).contains("9 weights for 144 features"));
        let one = Machines::new(144, &[Some(fit(1.0))], [None, None])?;
        assert!(message(ConventionalModel::new(card(), one)).contains("1 machines of 144 features for 3 classes"));
        Ok(())
    }
}

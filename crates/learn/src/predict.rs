//! What does a trained model say of a face in a photograph?

use std::path::Path;

use affectory_core::{BoundingBox, Expression, LabelSet, ValenceArousal};
use affectory_imaging::RgbImage;
use affectory_nets::{Network, safetensors_metadata};
use burn::tensor::{Device, Tensor, TensorData};

use crate::LearnError;
use crate::augment::normalise;
use crate::checkpoint::{Epoch, RunIdentity, file, parse_json};
use crate::conventional::ConventionalModel;
use crate::data::face_crop;
use crate::recipe::{Method, Recipe};
use crate::training::{TrainJob, guess};

/// Everything a model file says of itself, in its safetensors header.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ModelCard {
    /// What it was trained from.
    pub run: RunIdentity,
    /// How.
    pub recipe: Recipe,
    /// The epoch kept (of linear machines the trial whose C was chosen), with its scores on the valid split.
    pub epoch: Epoch,
    /// Faces in the training split.
    pub n_train: usize,
    /// Faces in the valid split.
    pub n_valid: usize,
    /// Whether the expression head was trained.
    pub has_expression: bool,
    /// Whether the valence/arousal head was trained, for both dimensions.
    pub has_valence_arousal: bool,
}

impl ModelCard {
    /// The header's key.
    pub(crate) const KEY: &'static str = "affectory";

    pub(crate) fn new(job: &TrainJob, epoch: &Epoch) -> Self {
        let count = |split| job.samples.iter().filter(|s| s.split == split).count();
        let heads = job.recipe.heads();
        let train = || job.samples.iter().filter(|s| s.split == affectory_core::Split::Train);
        Self {
            run: job.identity.clone(),
            recipe: job.recipe.clone(),
            epoch: epoch.clone(),
            n_train: count(affectory_core::Split::Train),
            n_valid: count(affectory_core::Split::Valid),
            has_expression: heads.expression && train().any(|s| s.expression.is_some()),
            has_valence_arousal: heads.valence
                && heads.arousal
                && train().any(|s| s.valence.is_some() || s.arousal.is_some()),
        }
    }
}

/// What a model says of one face.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The most probable category; `None` if the model has no expression head.
    pub expression: Option<Expression>,
    /// Probability of each category of the model's label set, in its order.
    pub probabilities: Vec<(Expression, f32)>,
    /// The point in the circumplex; `None` if the model has no such head.
    pub valence_arousal: Option<ValenceArousal>,
    /// Whether the model learnt valence and arousal from a proxy.
    pub is_proxy: bool,
}

/// What answers; the recipe in a model's file says which.
enum Model {
    Network(Box<Network>),
    Conventional(Box<ConventionalModel>),
}

/// A trained model, ready for faces.
pub struct Predictor {
    card: ModelCard,
    labels: LabelSet,
    model: Model,
    /// How a detector's box becomes one that frames a face as the training data does: side as a share of the box's
    /// longer side, and how far up the middle moves as a share of that side.
    framing: [f32; 2],
}

/// FER+ cuts faces closer than MTCNN does: on 262 of its pictures, enlarged four times, the median box that MTCNN found
/// was 1.09 times as high as the picture, its middle 2.6 % below the picture's.
const FERPLUS_FRAMING: [f32; 2] = [0.915, 0.024];

/// The model inside the program: recipe, data, scores and limits are in its model card.
const BUNDLED: &[u8] = include_bytes!("../assets/affectory-s.safetensors");

/// The weights file that a recipe's `start_from` names: `affectory-s` is the model inside the program, everything else a
/// `model.safetensors` or the folder of a run.
///
/// # Errors
/// [`LearnError::File`] if it cannot be read.
pub fn model_bytes(name: &str) -> Result<Vec<u8>, LearnError> {
    if name == "affectory-s" {
        return Ok(BUNDLED.to_vec());
    }
    let path = Path::new(name);
    read_model(&if path.is_dir() { path.join("model.safetensors") } else { path.to_owned() })
}

/// No model has more; what is larger is none, and does not fill the memory.
const MAX_MODEL_BYTES: u64 = 2 << 30;

fn read_model(path: &Path) -> Result<Vec<u8>, LearnError> {
    let size_bytes = std::fs::metadata(path).map_err(|e| file("read", path, e))?.len();
    if size_bytes > MAX_MODEL_BYTES {
        let reason = format!("{size_bytes} bytes are more than any model has");
        return Err(LearnError::BadModel { path: path.to_owned(), reason });
    }
    std::fs::read(path).map_err(|e| file("read", path, e))
}

impl Predictor {
    /// The model inside the program.
    ///
    /// # Errors
    /// As [`Predictor::load`]; a test sees to it that there is none.
    pub fn bundled() -> Result<Self, LearnError> {
        let model = Self::from_bytes(Path::new("the model inside the program"), BUNDLED)?;
        Ok(Self { framing: FERPLUS_FRAMING, ..model })
    }

    /// Reads `model.safetensors` of a run (or the run's folder).
    ///
    /// # Errors
    /// [`LearnError::BadModel`] or [`LearnError::Weights`].
    pub fn load(path: &Path) -> Result<Self, LearnError> {
        let path = if path.is_dir() { path.join("model.safetensors") } else { path.to_owned() };
        Self::from_bytes(&path, &read_model(&path)?)
    }

    /// Reads a model from memory; `path` is only for messages.
    ///
    /// # Errors
    /// As [`Predictor::load`].
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, LearnError> {
        let bad = |reason: String| LearnError::BadModel { path: path.to_owned(), reason };
        let metadata = safetensors_metadata(bytes)?;
        let text = metadata.get(ModelCard::KEY).ok_or_else(|| bad("not a model of this program".into()))?;
        let card: ModelCard = parse_json(path, text.as_bytes())?;
        // The header comes from outside: a recipe that passes here cannot ask for absurd sizes.
        let recipe = Recipe::parse("model", &card.recipe.to_toml()?)?;
        let labels = LabelSet::parse(&card.run.labels).map_err(|e| bad(e.to_string()))?;
        let model = match recipe.method {
            Method::Network => {
                let network = recipe.network(labels.n_classes()).init(&Device::flex());
                Model::Network(Box::new(network.with_safetensors(bytes)?))
            }
            Method::HogSvm => Model::Conventional(Box::new(ConventionalModel::from_bytes(path, bytes)?)),
        };
        Ok(Self { card, labels, model, framing: [1.0, 0.0] })
    }

    /// What the model says of itself.
    pub fn card(&self) -> &ModelCard {
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

    /// The box to hand to [`Predictor::predict`] for a face that a detector found. Other models than the one inside the
    /// program are taken to be trained on a detector's boxes.
    pub fn framed(&self, detected: BoundingBox) -> BoundingBox {
        let [scale, lift] = self.framing;
        if self.framing == [1.0, 0.0] {
            return detected;
        }
        let square = detected.squared(scale);
        BoundingBox { y: square.y - lift * square.height / scale, ..square }
    }

    /// Expression and affect of each face box in a picture. A network sees each face plain and mirrored, and the answers
    /// are averaged.
    pub fn predict(&self, picture: &RgbImage, faces: &[BoundingBox]) -> Vec<Prediction> {
        match &self.model {
            _ if faces.is_empty() => Vec::new(),
            Model::Network(network) => self.predict_by(network, picture, faces),
            Model::Conventional(model) => faces.iter().map(|face| model.predict(picture, *face)).collect(),
        }
    }

    fn predict_by(&self, network: &Network, picture: &RgbImage, faces: &[BoundingBox]) -> Vec<Prediction> {
        let recipe = &self.card.recipe;
        let side = recipe.input_side as usize;
        let n_channels = recipe.colour.n_channels();
        let n_values = n_channels * side * side;
        let mut pixels = vec![0.0; faces.len() * 2 * n_values];
        for (face, out) in faces.iter().zip(pixels.chunks_exact_mut(2 * n_values)) {
            let crop = face_crop(picture, *face, recipe.crop_scale, recipe.input_side, recipe.colour);
            let (plain, mirrored) = out.split_at_mut(n_values);
            normalise(&crop, n_channels, plain);
            for (to, from) in mirrored.chunks_exact_mut(side).zip(plain.chunks_exact(side)) {
                to.copy_from_slice(from);
                to.reverse();
            }
        }
        let shape = [faces.len() * 2, n_channels, side, side];
        let tensor = Tensor::from_data(TensorData::new(pixels, shape), &Device::flex());
        guess(network, tensor)
            .chunks_exact(2)
            .map(|pair| {
                let mean = |a: f32, b: f32| f32::midpoint(a, b);
                let probabilities: Vec<(Expression, f32)> = self
                    .labels
                    .labels()
                    .iter()
                    .zip(pair[0].probabilities.iter().zip(&pair[1].probabilities))
                    .map(|(label, (a, b))| (*label, mean(*a, *b)))
                    .collect();
                let best = probabilities.iter().copied().reduce(|a, b| if b.1 > a.1 { b } else { a });
                let point = ValenceArousal::clamped(
                    mean(pair[0].valence, pair[1].valence),
                    mean(pair[0].arousal, pair[1].arousal),
                );
                Prediction {
                    expression: best.map(|(label, _)| label).filter(|_| self.card.has_expression),
                    probabilities: if self.card.has_expression { probabilities } else { Vec::new() },
                    valence_arousal: self.card.has_valence_arousal.then_some(point),
                    is_proxy: self.card.run.is_proxy,
                }
            })
            .collect()
    }
}

//! What does a training run consist of? One flat recipe, saved beside the weights it made.

use std::path::Path;

use affectory_nets::{AlexNetConfig, BackboneConfig, NetworkConfig};

use crate::LearnError;

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkKind {
    /// The residual default, with `widths` and `blocks`.
    Backbone,
    /// AffectNet's baseline, with `hidden_width`.
    AlexNet,
}

/// What a network sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// One channel, BT.601 luma.
    Grey,
    /// Three channels.
    Rgb,
}

impl Colour {
    /// Channels of the input, 1 or 3.
    pub const fn n_channels(self) -> usize {
        match self {
            Colour::Grey => 1,
            Colour::Rgb => 3,
        }
    }
}

/// What the expression head is fitted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Targets {
    /// The consensus category alone.
    Majority,
    /// The distribution of the annotators' votes (Barsoum et al. 2016, "probabilistic label drawing"'s soft form).
    Votes,
}

/// What is done about categories that are much rarer than others (the four answers of Mollahosseini et al. 2017).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Imbalance {
    /// Nothing: faces as they come ("imbalanced").
    None,
    /// At most `class_cap` faces of a category, chosen once by the run's seed.
    DownSampling,
    /// Every category as often as the most frequent one: faces of the rarer ones are repeated.
    UpSampling,
    /// A face's loss is multiplied by the smallest category's count over that of its own.
    WeightedLoss,
}

/// How the expression head's answer is compared with its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// `-sum t ln p`.
    CrossEntropy,
    /// `sum t (1 - p^q) / q`, which believes a label less the less the network does (Zhang and Sabuncu 2018): for noisy
    /// labels. `loss_q` towards 0 is cross-entropy, 1 is the mean absolute error.
    GeneralisedCrossEntropy,
}

/// How valence and arousal are compared with their targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AffectLoss {
    /// Mean squared error (the paper's Euclidean loss).
    Mse,
    /// `1 - CCC` over the batch, the mean of both dimensions.
    Ccc,
}

/// Which of the two dimensions are learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dimensions {
    /// Valence and arousal.
    Both,
    /// Valence alone.
    Valence,
    /// Arousal alone.
    Arousal,
}

/// Which of a network's answers a recipe trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Heads {
    /// The expression.
    pub expression: bool,
    /// Valence.
    pub valence: bool,
    /// Arousal.
    pub arousal: bool,
}

/// Every knob of a training run. Defaults are those of `affectory-s`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// One line for `affectory recipes`.
    pub summary: String,
    /// Which network.
    pub network: NetworkKind,
    /// Backbone: channels of each group of blocks.
    pub widths: Vec<usize>,
    /// Backbone: residual blocks of each group.
    pub blocks: Vec<usize>,
    /// AlexNet: width of its two fully connected layers.
    pub hidden_width: usize,
    /// Side of the square input in pixels, 16 to 512.
    pub input_side: u32,
    /// Grey or RGB.
    pub colour: Colour,
    /// Side of the square crop as a multiple of the face box's longer side.
    pub crop_scale: f32,
    /// Passes over the training split.
    pub epochs: u32,
    /// Faces in one step.
    pub batch_size: usize,
    /// Highest learning rate; reached after the warm-up, then falls to 0 along a cosine.
    pub learning_rate: f64,
    /// Epochs in which the learning rate rises linearly from 0.
    pub warmup_epochs: f64,
    /// Nesterov momentum of SGD.
    pub momentum: f64,
    /// L2 penalty of all weights.
    pub weight_decay: f32,
    /// Share of features dropped before the heads.
    pub dropout: f64,
    /// What the expression head is fitted to.
    pub targets: Targets,
    /// Votes for a category below this count as noise, for `targets = "votes"` (FER+'s custom is 2).
    pub min_votes: u32,
    /// Share of a target's mass that is spread evenly over all categories (Szegedy et al. 2016), [0, 1).
    pub label_smoothing: f32,
    /// How the expression head is fitted.
    pub loss: Loss,
    /// The q of the generalised cross-entropy, (0, 1].
    pub loss_q: f64,
    /// What is done about rare categories.
    pub imbalance: Imbalance,
    /// Most faces of a category with down-sampling; 0: as many as the median category has.
    pub class_cap: usize,
    /// Weight of the expression loss; 0: the head is not trained.
    pub expression_weight: f64,
    /// Weight of the valence/arousal loss beside the expression loss; 0: the head is not trained.
    pub valence_arousal_weight: f64,
    /// How valence and arousal are fitted.
    pub valence_arousal_loss: AffectLoss,
    /// Which of the two are.
    pub dimensions: Dimensions,
    /// Decay of the running average of the weights, which is what is scored and kept (Polyak and Juditsky 1992); 0: none.
    pub ema_decay: f64,
    /// Epochs without a better score on the valid split after which training ends; 0: all epochs.
    pub patience: u32,
    /// A model whose weights training starts from (a run, a `model.safetensors`, or `affectory-s` for the one inside
    /// the program); heads with another number of categories start afresh. Empty: random weights.
    pub start_from: String,
    /// Train the heads alone.
    pub freeze_features: bool,
    /// Mirror every second face.
    pub flip: bool,
    /// Turn by up to this many degrees either way.
    pub rotate_degrees: f32,
    /// Grow or shrink by up to this share.
    pub scale_spread: f32,
    /// Shift by up to this share of the side, each way.
    pub shift_share: f32,
    /// Change brightness and contrast by up to this share.
    pub light_spread: f32,
    /// Change each colour channel by up to this share (RGB only).
    pub colour_spread: f32,
    /// Blank a rectangle of up to this share of the side, in every second face.
    pub erase_share: f32,
    /// Mix each face with another of its batch, in shares drawn from Beta(a, a) (Zhang et al. 2018); a up to 1, 0: never.
    pub mixup: f64,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            summary: String::new(),
            network: NetworkKind::Backbone,
            widths: vec![32, 64, 128],
            blocks: vec![1, 1, 1],
            hidden_width: 4096,
            input_side: 48,
            colour: Colour::Grey,
            crop_scale: 1.0,
            epochs: 14,
            batch_size: 64,
            learning_rate: 0.06,
            warmup_epochs: 1.0,
            momentum: 0.9,
            weight_decay: 5e-4,
            dropout: 0.2,
            targets: Targets::Votes,
            min_votes: 2,
            label_smoothing: 0.0,
            loss: Loss::CrossEntropy,
            loss_q: 0.7,
            imbalance: Imbalance::None,
            class_cap: 0,
            expression_weight: 1.0,
            valence_arousal_weight: 1.0,
            valence_arousal_loss: AffectLoss::Mse,
            dimensions: Dimensions::Both,
            ema_decay: 0.0,
            patience: 0,
            start_from: String::new(),
            freeze_features: false,
            flip: true,
            rotate_degrees: 12.0,
            scale_spread: 0.12,
            shift_share: 0.08,
            light_spread: 0.2,
            colour_spread: 0.0,
            erase_share: 0.25,
            mixup: 0.0,
        }
    }
}

/// The recipes inside the program, by name.
const BUILT_IN: [(&str, &str); 11] = [
    ("affectory-s", include_str!("../recipes/affectory-s.toml")),
    ("affectory-m", include_str!("../recipes/affectory-m.toml")),
    ("affectory-s-transfer", include_str!("../recipes/affectory-s-transfer.toml")),
    ("affectory-s-noisy", include_str!("../recipes/affectory-s-noisy.toml")),
    ("alexnet", include_str!("../recipes/alexnet.toml")),
    ("alexnet-down-sampling", include_str!("../recipes/alexnet-down-sampling.toml")),
    ("alexnet-up-sampling", include_str!("../recipes/alexnet-up-sampling.toml")),
    ("alexnet-weighted-loss", include_str!("../recipes/alexnet-weighted-loss.toml")),
    ("alexnet-valence", include_str!("../recipes/alexnet-valence.toml")),
    ("alexnet-arousal", include_str!("../recipes/alexnet-arousal.toml")),
    ("alexnet-ccc", include_str!("../recipes/alexnet-ccc.toml")),
];

impl Recipe {
    /// Names and texts of the recipes inside the program.
    pub fn built_in() -> &'static [(&'static str, &'static str)] {
        &BUILT_IN
    }

    /// A built-in recipe by name, or the TOML file at a path ending in `.toml`.
    ///
    /// # Errors
    /// [`LearnError::Recipe`] for an unknown name, an unreadable file, an unknown knob or a value out of range.
    pub fn find(name: &str) -> Result<Recipe, LearnError> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Self::parse(name, text);
        }
        if !name.ends_with(".toml") {
            let known: Vec<&str> = BUILT_IN.iter().map(|(known, _)| *known).collect();
            return Err(LearnError::Recipe {
                name: name.to_owned(),
                reason: format!("unknown; there are {} (or give a path that ends in .toml)", known.join(", ")),
            });
        }
        let text = std::fs::read_to_string(Path::new(name))
            .map_err(|e| LearnError::Recipe { name: name.to_owned(), reason: e.to_string() })?;
        Self::parse(name, &text)
    }

    /// Reads a recipe and checks every knob.
    ///
    /// # Errors
    /// [`LearnError::Recipe`].
    pub fn parse(name: &str, text: &str) -> Result<Recipe, LearnError> {
        let bad = |reason: String| LearnError::Recipe { name: name.to_owned(), reason };
        let recipe: Recipe = toml::from_str(text).map_err(|e| bad(e.to_string()))?;
        recipe.check().map_err(bad)?;
        Ok(recipe)
    }

    /// The recipe with some knobs set otherwise, each as `knob=value` in TOML; a bare word may stand for a text.
    ///
    /// # Errors
    /// [`LearnError::Recipe`] for what is no `knob=value`, an unknown knob or a value out of range.
    pub fn with_knobs(&self, name: &str, settings: &[String]) -> Result<Recipe, LearnError> {
        let bad = |reason: String| LearnError::Recipe { name: name.to_owned(), reason };
        let mut knobs: toml::Table = toml::from_str(&self.to_toml()?).map_err(|e| bad(e.to_string()))?;
        for setting in settings {
            let (knob, value) = setting.split_once('=').ok_or_else(|| bad(format!("`{setting}` is no knob=value")))?;
            let parsed: Result<toml::Table, _> = toml::from_str(&format!("value = {value}"));
            let value = match parsed.ok().and_then(|mut table| table.remove("value")) {
                // A whole number is a good value for a knob that takes fractions.
                Some(toml::Value::Integer(n)) if knobs.get(knob.trim()).is_some_and(toml::Value::is_float) => {
                    toml::Value::Float(n as f64)
                }
                Some(value) => value,
                None => toml::Value::String(value.trim().to_owned()),
            };
            knobs.insert(knob.trim().to_owned(), value);
        }
        Self::parse(name, &toml::to_string(&knobs).map_err(|e| bad(e.to_string()))?)
    }

    /// The recipe as TOML, to lie beside the weights.
    ///
    /// # Errors
    /// [`LearnError::Recipe`] if serialisation refuses.
    pub fn to_toml(&self) -> Result<String, LearnError> {
        toml::to_string(self).map_err(|e| LearnError::Recipe { name: "recipe".into(), reason: e.to_string() })
    }

    /// The network this recipe asks for.
    pub fn network(&self, n_classes: usize) -> NetworkConfig {
        match self.network {
            NetworkKind::Backbone => NetworkConfig::Backbone(BackboneConfig {
                widths: self.widths.clone(),
                blocks: self.blocks.clone(),
                n_classes,
                dropout: self.dropout,
            }),
            NetworkKind::AlexNet => NetworkConfig::AlexNet(AlexNetConfig {
                input_channels: self.colour.n_channels(),
                hidden_width: self.hidden_width,
                n_classes,
                dropout: self.dropout,
            }),
        }
    }

    /// Which heads this recipe trains.
    pub fn heads(&self) -> Heads {
        let has_affect = self.valence_arousal_weight > 0.0;
        Heads {
            expression: self.expression_weight > 0.0,
            valence: has_affect && self.dimensions != Dimensions::Arousal,
            arousal: has_affect && self.dimensions != Dimensions::Valence,
        }
    }

    fn check(&self) -> Result<(), String> {
        let range = |name: &str, value: f64, low: f64, high: f64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(format!("{name} = {value} is outside {low} to {high}"))
            }
        };
        range("input_side", self.input_side.into(), 16.0, 512.0)?;
        range("crop_scale", self.crop_scale.into(), 0.5, 3.0)?;
        range("epochs", self.epochs.into(), 1.0, 10_000.0)?;
        range("batch_size", self.batch_size as f64, 2.0, 4096.0)?;
        range("learning_rate", self.learning_rate, 1e-8, 10.0)?;
        range("warmup_epochs", self.warmup_epochs, 0.0, 1000.0)?;
        range("momentum", self.momentum, 0.0, 0.9999)?;
        range("weight_decay", self.weight_decay.into(), 0.0, 1.0)?;
        range("dropout", self.dropout, 0.0, 0.95)?;
        range("label_smoothing", self.label_smoothing.into(), 0.0, 0.9)?;
        range("loss_q", self.loss_q, 0.01, 1.0)?;
        range("expression_weight", self.expression_weight, 0.0, 1000.0)?;
        range("valence_arousal_weight", self.valence_arousal_weight, 0.0, 1000.0)?;
        range("ema_decay", self.ema_decay, 0.0, 0.999_999)?;
        range("colour_spread", self.colour_spread.into(), 0.0, 0.9)?;
        range("mixup", self.mixup, 0.0, 1.0)?;
        range("rotate_degrees", self.rotate_degrees.into(), 0.0, 180.0)?;
        range("scale_spread", self.scale_spread.into(), 0.0, 0.9)?;
        range("shift_share", self.shift_share.into(), 0.0, 0.9)?;
        range("light_spread", self.light_spread.into(), 0.0, 0.9)?;
        range("erase_share", self.erase_share.into(), 0.0, 0.9)?;
        range("hidden_width", self.hidden_width as f64, 1.0, 16384.0)?;
        let heads = self.heads();
        if !(heads.expression || heads.valence || heads.arousal) {
            return Err("expression_weight and valence_arousal_weight are both 0: nothing is left to learn".into());
        }
        if self.freeze_features && self.start_from.is_empty() {
            return Err("freeze_features keeps random features: say what to start_from".into());
        }
        if self.widths.is_empty() || self.widths.len() != self.blocks.len() || self.widths.len() > 6 {
            return Err("widths and blocks need the same length, 1 to 6".into());
        }
        if self.widths.iter().any(|w| !(1..=2048).contains(w)) || self.blocks.iter().any(|b| !(1..=100).contains(b)) {
            return Err("widths must be 1 to 2048 and blocks 1 to 100".into());
        }
        if self.network == NetworkKind::Backbone && self.colour == Colour::Rgb {
            return Err("the backbone sees grey: set colour = \"grey\"".into());
        }
        if self.network == NetworkKind::AlexNet && self.input_side < 64 {
            return Err("AlexNet needs input_side >= 64".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_recipes_are_valid_and_survive_their_own_toml() -> Result<(), LearnError> {
        for (name, _) in Recipe::built_in() {
            let recipe = Recipe::find(name)?;
            assert_eq!(Recipe::parse(name, &recipe.to_toml()?)?, recipe);
        }
        Ok(())
    }

    #[test]
    fn knobs_are_set_from_text() -> Result<(), LearnError> {
        let settings =
            ["epochs=3", "learning_rate = 1", "imbalance=up-sampling", "widths=[8,16,32]"].map(str::to_owned);
        let set = Recipe::default().with_knobs("mine", &settings)?;
        let expected = Recipe {
            epochs: 3,
            learning_rate: 1.0,
            imbalance: Imbalance::UpSampling,
            widths: vec![8, 16, 32],
            ..Recipe::default()
        };
        assert_eq!(set, expected);
        let refused = Recipe::default().with_knobs("mine", &["epoch=3".to_owned()]);
        assert!(refused.is_err_and(|e| e.to_string().contains("epoch")));
        Ok(())
    }

    #[test]
    fn a_mistyped_knob_and_a_wild_value_are_named() {
        let message = |text: &str| Recipe::parse("mine", text).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(message("learning_rat = 0.1").contains("learning_rat"));
        assert!(message("batch_size = 1").contains("batch_size"));
        assert!(Recipe::find("affectory-xl").is_err_and(|e| e.to_string().contains("affectory-s")));
    }
}

//! Where do recipes come from, and which are good? One flat recipe a run, saved beside the weights it made.

use std::path::Path;

use affectory_nets::{AlexNetConfig, BackboneConfig, FaceIdentity, NetworkConfig};

use crate::LearnError;
use crate::conventional::Descriptor;
pub use crate::knobs::{AffectLoss, Colour, Dimensions, Heads, Imbalance, Loss, Method, NetworkKind, Recipe, Targets};

/// The recipes inside the program, by name.
const BUILT_IN: [(&str, &str); 14] = [
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
    ("hog-svm", include_str!("../recipes/hog-svm.toml")),
    ("hog-svm-balanced", include_str!("../recipes/hog-svm-balanced.toml")),
    ("identity-svm", include_str!("../recipes/identity-svm.toml")),
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
        Self::parse(name, &text)?.of_read_knobs(name)
    }

    /// Refuses a knob that would change nothing. Not when a saved recipe is read: an earlier version let it pass.
    fn of_read_knobs(self, name: &str) -> Result<Recipe, LearnError> {
        match self.unread()[..] {
            [] => Ok(self),
            ref unread => {
                let reader = match self.method {
                    Method::Network => "network of this kind",
                    Method::HogSvm | Method::IdentitySvm => "linear machine of this kind",
                };
                let reason = format!("{} would change nothing: no {reader} looks at that", unread.join(", "));
                Err(LearnError::Recipe { name: name.to_owned(), reason })
            }
        }
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
        let mut knobs = toml::Table::try_from(self).map_err(|e| bad(e.to_string()))?;
        let mut recipe = self.clone();
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
            // One at a time, so that the message can name it.
            recipe = knobs.clone().try_into().map_err(|e| bad(format!("`{setting}`: {}", e.message())))?;
        }
        recipe.check().map_err(bad)?;
        recipe.of_read_knobs(name)
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
        match self.method {
            Method::Network => self.check_network(),
            Method::HogSvm | Method::IdentitySvm => self.check_linear(),
        }
    }

    fn check_linear(&self) -> Result<(), String> {
        if self.method == Method::IdentitySvm
            && (self.input_side as usize != FaceIdentity::SIDE || self.colour != Colour::Rgb)
        {
            return Err("identity-svm looks at 224 pixels in colour: input_side = 224 and colour = \"rgb\"".into());
        }
        Descriptor::n_features(self).map_err(|e| e.to_string())?;
        if self.costs.is_empty() || self.costs.len() > 20 || self.costs.iter().any(|c| !(1e-6..=1e6).contains(c)) {
            return Err(format!("costs = {:?}: 1 to 20 of them, each in 1e-6 to 1e6", self.costs));
        }
        if self.imbalance != Imbalance::None {
            return Err("linear machines answer rare categories by class_weights: leave imbalance = \"none\"".into());
        }
        Ok(())
    }

    fn check_network(&self) -> Result<(), String> {
        range_of_parts(self.batch_parts, self.batch_size)?;
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

/// A part has two faces at least: the variance of one is none.
fn range_of_parts(n_parts: usize, batch_size: usize) -> Result<(), String> {
    if n_parts == 0 || !batch_size.is_multiple_of(n_parts) || batch_size / n_parts < 2 {
        return Err(format!(
            "batch_parts = {n_parts} does not deal batch_size = {batch_size} into equal parts of at least 2 faces"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_in_the_default_recipe() -> Result<(), LearnError> {
        let named = Recipe::find("affectory-s")?;
        assert_eq!(Recipe { summary: named.summary.clone(), ..Recipe::default() }, named);
        Ok(())
    }

    #[test]
    fn built_in_recipes_are_valid_and_survive_their_own_toml() -> Result<(), LearnError> {
        for (name, _) in Recipe::built_in() {
            let recipe = Recipe::find(name)?;
            assert_eq!(recipe.unread(), [""; 0], "{name}");
            assert_eq!(Recipe::parse(name, &recipe.to_toml()?)?, recipe);
        }
        Ok(())
    }

    #[test]
    fn an_explained_recipe_is_the_recipe() -> Result<(), LearnError> {
        for (name, _) in Recipe::built_in() {
            let recipe = Recipe::find(name)?;
            let text = recipe.explained();
            assert_eq!(Recipe::parse(name, &text)?, recipe);
            assert!(text.contains("# Passes over the training split.\nepochs = "), "{text}");
            assert!(text.contains("weight_decay = 0.0005\n"), "{text}");
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
        let refused = |recipe: &Recipe, knob: &str| match recipe.with_knobs("mine", &[knob.to_owned()]) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        assert!(refused(&Recipe::default(), "epoch=3").contains("epoch"));
        let told = refused(&Recipe::default(), "targets=foo");
        assert!(told.contains("`targets=foo`") && told.contains("majority") && !told.contains("line"), "{told}");
        for (method, knob) in
            [("hog-svm", "epochs=3"), ("identity-svm", "hog_cell=4"), ("alexnet", "class_weights=balanced")]
        {
            assert!(refused(&Recipe::find(method)?, knob).contains("would change nothing"), "{method} {knob}");
        }
        assert_eq!(refused(&Recipe::find("hog-svm")?, "hog_cell=4"), "");
        Ok(())
    }

    #[test]
    fn a_mistyped_knob_and_a_wild_value_are_named() {
        let message = |text: &str| Recipe::parse("mine", text).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(message("learning_rat = 0.1").contains("learning_rat"));
        assert!(message("batch_size = 1").contains("batch_size"));
        let linear = |knob: &str| message(&format!("method = \"hog-svm\"\n{knob}"));
        assert_eq!(linear(""), "");
        assert!(linear("costs = [0.1, -1.0]").contains("costs"));
        assert!(linear("input_side = 16\nhog_cell = 9").contains("smaller than one block of 18x18"));
        assert!(linear("imbalance = \"up-sampling\"").contains("class_weights"));
        assert!(Recipe::find("affectory-xl").is_err_and(|e| e.to_string().contains("affectory-s")));
    }
}

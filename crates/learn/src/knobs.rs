//! Which knobs has a training run, what does each do, and what is it if nothing is said?

use std::fmt::Write as _;

use crate::conventional::{BlockNorm, ClassWeights, HogOptions};

/// What is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// A network, by gradient descent.
    Network,
    /// Linear machines on histograms of oriented gradients, AffectNet's conventional baseline: knobs `hog_...`, `costs`
    /// and `class_weights`, besides input, crop and heads.
    HogSvm,
    /// Linear machines on the features of a frozen network that learnt on VGGFace2 to tell people apart: knobs `costs` and
    /// `class_weights`, besides crop and heads; crops are 224x224 in colour.
    IdentitySvm,
}

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

/// Declares [`Recipe`]: every knob once, with its explanation and its default.
macro_rules! knobs {
    ($($(#[doc = $explanation:literal])+ $knob:ident: $kind:ty = $default:expr,)+) => {
        /// Every knob of a training run. Defaults are those of `affectory-s`.
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Recipe {
            $($(#[doc = $explanation])+ pub $knob: $kind,)+
        }

        impl Default for Recipe {
            fn default() -> Self {
                Self { $($knob: $default,)+ }
            }
        }

        /// The knobs in order, each with the lines of its explanation.
        const EXPLANATIONS: &[(&str, &[&str])] = &[$((stringify!($knob), &[$($explanation),+]),)+];
    };
}

knobs! {
    /// One line for `affectory recipes`.
    summary: String = String::new(),
    /// What is trained: a network, or linear machines on histograms of oriented gradients (hog-svm) or on the features of a
    /// frozen network that learnt to tell people apart (identity-svm).
    method: Method = Method::Network,
    /// Which network: backbone (the residual default) or alexnet (AffectNet's).
    network: NetworkKind = NetworkKind::Backbone,
    /// Backbone: channels of each group of blocks, 1 to 2048 each; 1 to 6 groups.
    widths: Vec<usize> = vec![32, 64, 128],
    /// Backbone: residual blocks of each group, 1 to 100.
    blocks: Vec<usize> = vec![2, 2, 2],
    /// AlexNet: width of its two fully connected layers, 1 to 16384.
    hidden_width: usize = 4096,
    /// Side of the square input in pixels, 16 to 512; AlexNet 64 at least.
    input_side: u32 = 48,
    /// grey or rgb; the backbone sees grey alone.
    colour: Colour = Colour::Grey,
    /// Side of the square crop as a multiple of the face box's longer side, 0.5 to 3.
    crop_scale: f32 = 1.0,
    /// Passes over the training split.
    epochs: u32 = 20,
    /// Faces in one step, 2 to 4096.
    batch_size: usize = 64,
    /// Parts into which a batch is dealt, each a small batch of its own with its own batch statistics; a step follows their
    /// mean. Processes that train together share them, and their number changes nothing.
    batch_parts: usize = 1,
    /// Highest learning rate; reached after the warm-up, then falls to 0 along a cosine.
    learning_rate: f64 = 0.06,
    /// Epochs in which the learning rate rises linearly from 0.
    warmup_epochs: f64 = 1.0,
    /// Nesterov momentum of SGD, 0 to 0.9999.
    momentum: f64 = 0.9,
    /// L2 penalty of all weights.
    weight_decay: f32 = 5e-4,
    /// Share of features dropped before the heads, 0 to 0.95.
    dropout: f64 = 0.2,
    /// What the expression head is fitted to: majority (the consensus category) or votes (the distribution of the
    /// annotators' votes).
    targets: Targets = Targets::Votes,
    /// Votes for a category below this count as noise, for `targets = "votes"` (FER+'s custom is 2).
    min_votes: u32 = 2,
    /// Share of a target's mass that is spread evenly over all categories (Szegedy et al. 2016), 0 to 0.9.
    label_smoothing: f32 = 0.0,
    /// How the expression head is fitted: cross-entropy, or generalised-cross-entropy for noisy labels.
    loss: Loss = Loss::CrossEntropy,
    /// The q of the generalised cross-entropy, 0.01 (nearly cross-entropy) to 1 (mean absolute error).
    loss_q: f64 = 0.7,
    /// What is done about rare categories: none, down-sampling (at most `class_cap` faces of a category), up-sampling (each as
    /// often as the most frequent) or weighted-loss (a face's loss times the rarest category's count over that of its own).
    imbalance: Imbalance = Imbalance::None,
    /// Most faces of a category with down-sampling; 0: as many as the median category has.
    class_cap: usize = 0,
    /// Weight of the expression loss; 0: the head is not trained.
    expression_weight: f64 = 1.0,
    /// Weight of the valence/arousal loss beside the expression loss; 0: the head is not trained.
    valence_arousal_weight: f64 = 0.5,
    /// How valence and arousal are fitted: mse (mean squared error) or ccc (1 - CCC over the batch).
    valence_arousal_loss: AffectLoss = AffectLoss::Mse,
    /// Which of the two are: both, valence or arousal.
    dimensions: Dimensions = Dimensions::Both,
    /// Decay of the running average of the weights, which is what is scored and kept (Polyak and Juditsky 1992), below
    /// 1; 0: none.
    ema_decay: f64 = 0.998,
    /// Epochs without a better score on the valid split after which training ends; 0: all epochs.
    patience: u32 = 0,
    /// A model whose weights training starts from (a run, a `model.safetensors`, or `affectory-s` for the one inside
    /// the program); heads with another number of categories start afresh. Empty: random weights.
    start_from: String = String::new(),
    /// Train the heads alone.
    freeze_features: bool = false,
    /// Mirror every second face.
    flip: bool = true,
    /// Turn by up to this many degrees either way, 0 to 180.
    rotate_degrees: f32 = 15.0,
    /// Grow or shrink by up to this share, 0 to 0.9.
    scale_spread: f32 = 0.15,
    /// Shift by up to this share of the side, each way, 0 to 0.9.
    shift_share: f32 = 0.08,
    /// Change brightness and contrast by up to this share, 0 to 0.9.
    light_spread: f32 = 0.25,
    /// Change each colour channel by up to this share (rgb only), 0 to 0.9.
    colour_spread: f32 = 0.0,
    /// Blank a rectangle of up to this share of the side, in every second face, 0 to 0.9.
    erase_share: f32 = 0.3,
    /// Mix each face with another of its batch, in shares drawn from Beta(a, a) (Zhang et al. 2018); a up to 1, 0: never.
    mixup: f64 = 0.0,
    /// HOG: bins of a histogram over 180 degrees.
    hog_orientations: usize = 9,
    /// HOG: side of a cell in pixels.
    hog_cell: usize = 8,
    /// HOG: side of a block in cells.
    hog_block: usize = 2,
    /// HOG: by what a block is divided (L1, L1-sqrt, L2, L2-Hys).
    hog_norm: BlockNorm = BlockNorm::L2Hys,
    /// Linear machines: the prices C of an error that are tried; the valid split decides, for each head by itself.
    costs: Vec<f64> = vec![0.01, 0.1, 1.0],
    /// Linear machines: how much an error on a rare category costs beside one on others (none, balanced, rarest).
    class_weights: ClassWeights = ClassWeights::None,
}

/// What linear machines never look at. Nor at `targets`, but their recipes name it, for the consensus is what they learn.
const OF_NETWORKS: [&str; 31] = [
    "network",
    "widths",
    "blocks",
    "hidden_width",
    "epochs",
    "batch_size",
    "batch_parts",
    "learning_rate",
    "warmup_epochs",
    "momentum",
    "weight_decay",
    "dropout",
    "min_votes",
    "label_smoothing",
    "loss",
    "loss_q",
    "imbalance",
    "class_cap",
    "valence_arousal_loss",
    "ema_decay",
    "patience",
    "start_from",
    "freeze_features",
    "flip",
    "rotate_degrees",
    "scale_spread",
    "shift_share",
    "light_spread",
    "erase_share",
    "colour_spread",
    "mixup",
];

/// What networks never look at, besides HOG's.
const OF_MACHINES: [&str; 2] = ["costs", "class_weights"];

/// A number as it was meant: 32 bits are not written with the digits of 64.
fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::Float(number) if f64::from(*number as f32) == *number => format!("{:?}", *number as f32),
        other => other.to_string(),
    }
}

impl Recipe {
    /// Which heads this recipe trains.
    pub fn heads(&self) -> Heads {
        let has_affect = self.valence_arousal_weight > 0.0;
        Heads {
            expression: self.expression_weight > 0.0,
            valence: has_affect && self.dimensions != Dimensions::Arousal,
            arousal: has_affect && self.dimensions != Dimensions::Valence,
        }
    }

    /// The descriptor this recipe asks for.
    pub fn hog(&self) -> HogOptions {
        HogOptions {
            orientations: self.hog_orientations,
            pixels_per_cell: [self.hog_cell; 2],
            cells_per_block: [self.hog_block; 2],
            block_norm: self.hog_norm,
        }
    }

    /// The recipe as a TOML file in which every knob stands under its explanation.
    pub fn explained(&self) -> String {
        // Numbers, words and lists of numbers always have a TOML form.
        let values = toml::Table::try_from(self).unwrap_or_default();
        let mut text = String::new();
        for (knob, explanation) in EXPLANATIONS {
            let Some(value) = values.get(*knob) else { continue };
            for line in *explanation {
                let _ = writeln!(text, "#{}", line.replace("[`", "`").replace("`]", "`"));
            }
            let _ = writeln!(text, "{knob} = {}\n", plain(value));
        }
        text
    }

    /// Knobs that are set otherwise than in the default recipe, though what is trained never looks at them.
    pub(crate) fn unread(&self) -> Vec<&'static str> {
        let table = |recipe: &Recipe| toml::Table::try_from(recipe).unwrap_or_default();
        let (own, default) = (table(self), table(&Recipe::default()));
        let is_hog = |knob: &str| knob.starts_with("hog_");
        let is_read = |knob: &str| match (self.method, self.network) {
            (Method::HogSvm, _) => !OF_NETWORKS.contains(&knob),
            (Method::IdentitySvm, _) => !OF_NETWORKS.contains(&knob) && !is_hog(knob),
            _ if OF_MACHINES.contains(&knob) || is_hog(knob) => false,
            (Method::Network, NetworkKind::Backbone) => knob != "hidden_width",
            (Method::Network, NetworkKind::AlexNet) => !["widths", "blocks"].contains(&knob),
        };
        let knobs = EXPLANATIONS.iter().map(|(knob, _)| *knob);
        knobs.filter(|knob| own.get(*knob) != default.get(*knob) && !is_read(knob)).collect()
    }
}

//! What does a manifest say, and can it be meant?

use std::path::PathBuf;

use affectory_core::{Expression, LabelSet};

use super::alignment::Alignment;

/// Order of the colours in the network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Channels {
    Rgb,
    Bgr,
    Grey,
}

/// Whether the channels come before or after the pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Layout {
    Nchw,
    Nhwc,
}

/// What makes probabilities of the expression output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Activation {
    Softmax,
    None,
}

/// Where valence and arousal come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum AffectSource {
    Output,
    Proxy,
    None,
}

/// One output that has both, or one each.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(untagged)]
enum AffectOutputs {
    Both(String),
    Each([String; 2]),
}

/// What somebody knows of a model, as written down.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    name: String,
    model: PathBuf,
    input_side: u32,
    colour: Channels,
    layout: Layout,
    #[serde(default = "one")]
    scale: f32,
    #[serde(default)]
    mean: Vec<f32>,
    #[serde(default)]
    std: Vec<f32>,
    #[serde(default)]
    alignment: Alignment,
    #[serde(default = "one")]
    crop_scale: f32,
    #[serde(default)]
    mirror: bool,
    labels: Vec<String>,
    cannot_produce: Vec<String>,
    activation: Activation,
    expression_output: Option<String>,
    valence_arousal: Option<AffectSource>,
    valence_arousal_output: Option<AffectOutputs>,
    valence_arousal_indices: Option<[usize; 2]>,
    #[serde(default)]
    valence_arousal_is_proxy: bool,
}

fn one() -> f32 {
    1.0
}

/// One value a face: the name of an output (`None`: the expression's) and the place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) output: Option<String>,
    pub(super) at: usize,
}

/// Valence and arousal, after checking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Affect {
    Outputs { places: [Place; 2], is_proxy: bool },
    Proxy,
    None,
}

/// A manifest whose every knob was checked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Knobs {
    pub(super) name: String,
    pub(super) model: PathBuf,
    pub(super) input_side: u32,
    pub(super) channels: Channels,
    pub(super) layout: Layout,
    /// Of each channel: what the pixel is multiplied with, and what is then added.
    pub(super) factors: Vec<[f32; 2]>,
    pub(super) alignment: Alignment,
    pub(super) crop_scale: f32,
    pub(super) mirror: bool,
    /// Values a face in the expression output.
    pub(super) width: usize,
    /// The labels and their places in the expression output.
    pub(super) classes: Vec<(Expression, usize)>,
    pub(super) labels: LabelSet,
    pub(super) activation: Activation,
    pub(super) expression_output: Option<String>,
    pub(super) affect: Affect,
}

/// Reads a manifest and checks every knob.
pub(super) fn parse(text: &str) -> Result<Knobs, String> {
    let manifest: Manifest = toml::from_str(text).map_err(|e| e.to_string())?;
    if manifest.name.is_empty() || manifest.name.len() > 100 || manifest.name.chars().any(char::is_control) {
        return Err("name: 1 to 100 printable characters".into());
    }
    let range = |knob: &str, value: f32, low: f32, high: f32| match (low..=high).contains(&value) {
        true => Ok(()),
        false => Err(format!("{knob} = {value} is outside {low} to {high}")),
    };
    range("input_side", manifest.input_side as f32, 16.0, 1024.0)?;
    range("scale", manifest.scale, 1e-6, 1e6)?;
    range("crop_scale", manifest.crop_scale, 0.5, 3.0)?;
    let classes = classes(&manifest.labels)?;
    let names: Vec<&str> = classes.iter().map(|(label, _)| label.name()).collect();
    let labels = LabelSet::parse(&names.join(",")).map_err(|e| format!("labels: {e}"))?;
    check_complement(&labels, &manifest.cannot_produce)?;
    Ok(Knobs {
        factors: factors(&manifest)?,
        affect: affect(&manifest)?,
        alignment: manifest.alignment,
        name: manifest.name,
        model: manifest.model,
        input_side: manifest.input_side,
        channels: manifest.colour,
        layout: manifest.layout,
        crop_scale: manifest.crop_scale,
        mirror: manifest.mirror,
        width: manifest.labels.len(),
        classes,
        labels,
        activation: manifest.activation,
        expression_output: manifest.expression_output,
    })
}

/// One of our names: other spellings are not guessed, as `surprise` of one database is `fear` of another.
fn label(knob: &str, text: &str) -> Result<Expression, String> {
    Expression::ALL.into_iter().find(|label| label.name() == text).ok_or_else(|| {
        let known: Vec<&str> = Expression::ALL.iter().map(|label| label.name()).collect();
        let shown: String = text.chars().take(60).collect();
        format!("{knob}: `{shown}` is none of {}", known.join(", "))
    })
}

/// The labels with their places in the output; `-` is a place to ignore.
fn classes(labels: &[String]) -> Result<Vec<(Expression, usize)>, String> {
    let named = labels.iter().enumerate().filter(|(_, text)| *text != "-");
    named.map(|(at, text)| label("labels", text).map(|label| (label, at))).collect()
}

/// What a model cannot say must be written down, so that nobody takes a label it never gives for one it never gives rightly.
fn check_complement(labels: &LabelSet, cannot_produce: &[String]) -> Result<(), String> {
    let mut said = Vec::new();
    for text in cannot_produce {
        said.push(label("cannot_produce", text)?);
    }
    let lacking: Vec<Expression> =
        LabelSet::eight().labels().iter().copied().filter(|label| labels.class_of(*label).is_none()).collect();
    let is_equal = said.len() == lacking.len() && lacking.iter().all(|label| said.contains(label));
    let names: Vec<String> = lacking.iter().map(|label| format!("\"{label}\"")).collect();
    match is_equal {
        true => Ok(()),
        false => {
            Err(format!("of the eight expressions `labels` lacks these: write cannot_produce = [{}]", names.join(", ")))
        }
    }
}

/// `(pixel / scale - mean) / std` of each channel as a product and a sum.
fn factors(manifest: &Manifest) -> Result<Vec<[f32; 2]>, String> {
    let n_channels = match manifest.colour {
        Channels::Rgb | Channels::Bgr => 3,
        Channels::Grey => 1,
    };
    let of = |knob: &str, given: &[f32], otherwise: f32| match given.len() {
        0 => Ok(vec![otherwise; n_channels]),
        n if n == n_channels && given.iter().all(|value| value.is_finite()) => Ok(given.to_vec()),
        n => Err(format!(
            "{knob} has {n} numbers, expected {n_channels}: one for each channel, in the order of `colour`"
        )),
    };
    let (mean, std) = (of("mean", &manifest.mean, 0.0)?, of("std", &manifest.std, 1.0)?);
    if std.iter().any(|value| *value <= 0.0) {
        return Err("std: each number must be above 0".into());
    }
    Ok(mean.iter().zip(&std).map(|(mean, std)| [1.0 / (manifest.scale * std), -mean / std]).collect())
}

fn affect(manifest: &Manifest) -> Result<Affect, String> {
    let names_outputs = manifest.valence_arousal_output.is_some() || manifest.valence_arousal_indices.is_some();
    let source = match manifest.valence_arousal {
        Some(source) => source,
        None if names_outputs => AffectSource::Output,
        None => AffectSource::Proxy,
    };
    match source {
        AffectSource::Proxy | AffectSource::None if names_outputs || manifest.valence_arousal_is_proxy => Err(
            "valence_arousal says that no output has them, and other knobs say which: set valence_arousal = \"output\""
                .into(),
        ),
        AffectSource::Proxy => Ok(Affect::Proxy),
        AffectSource::None => Ok(Affect::None),
        AffectSource::Output => {
            let (outputs, otherwise) = match &manifest.valence_arousal_output {
                Some(AffectOutputs::Each(names)) => (names.clone().map(Some), [0, 0]),
                Some(AffectOutputs::Both(name)) => ([Some(name.clone()), Some(name.clone())], [0, 1]),
                None => ([None, None], [0, 1]),
            };
            let at = manifest.valence_arousal_indices.unwrap_or(otherwise);
            let is_expressions = |output: &Option<String>| output.is_none() || *output == manifest.expression_output;
            for (output, at) in outputs.iter().zip(at) {
                if is_expressions(output) && manifest.labels.get(at).is_none_or(|label| label != "-") {
                    return Err(format!(
                        "valence_arousal_indices has {at}, which `labels` does not leave free: write \"-\" there, or name \
                         another output with valence_arousal_output"
                    ));
                }
            }
            let [valence, arousal] = outputs;
            let places = [Place { output: valence, at: at[0] }, Place { output: arousal, at: at[1] }];
            Ok(Affect::Outputs { places, is_proxy: manifest.valence_arousal_is_proxy })
        }
    }
}

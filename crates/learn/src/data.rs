//! What does the trainer learn from: which faces, and what is each fitted to?

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use affectory_core::{BoundingBox, Expression, LabelSet, Point, Split};
use affectory_imaging::{Limits, RgbImage, crop_resize, decode_for};

use crate::LearnError;
use crate::recipe::{Colour, Recipe, Targets};

/// One item of a release, as far as learning is concerned.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The item's name in the manifest, also in prediction files.
    pub name: String,
    /// SHA-256 (or path) under which the image's bytes are read.
    pub image: String,
    /// The face in the image, pixels.
    pub bounding_box: BoundingBox,
    /// Where the release knows its eyes, nose and mouth; only models of others' want to know.
    pub five: Option<[Point; 5]>,
    /// Consensus category.
    pub expression: Option<Expression>,
    /// Votes for each of the eleven categories, AffectNet's order.
    pub votes: [u32; 11],
    /// Valence, -1 to 1.
    pub valence: Option<f32>,
    /// Arousal, -1 to 1.
    pub arousal: Option<f32>,
    /// What the item is for.
    pub split: Split,
    /// Where the image's bytes lie together with others': faces of one pack are read soon after each other. 0 for all where
    /// an image is had as soon as another.
    pub pack: u32,
}

/// Where a face is in a picture, as far as a model looks at it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FacePlace {
    /// Its box in pixels.
    pub bounding_box: BoundingBox,
    /// Left eye, right eye, nose, left and right corner of the mouth (left as the viewer sees it), pixels, if somebody knows
    /// them: models that want aligned faces look for them otherwise.
    pub five: Option<[Point; 5]>,
}

impl From<BoundingBox> for FacePlace {
    fn from(bounding_box: BoundingBox) -> Self {
        Self { bounding_box, five: None }
    }
}

/// Reads the bytes of an image by its name in [`Sample::image`].
pub type ReadImage = Arc<dyn Fn(&str) -> Result<Vec<u8>, String> + Send + Sync>;

/// What the two heads are fitted to, for one face.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Probability of each class; empty if the face has no expression in the label set.
    pub distribution: Vec<f32>,
    /// Valence and arousal, each if known.
    pub valence_arousal: [Option<f32>; 2],
}

/// The target of a sample under a recipe.
///
/// With [`Targets::Votes`], categories with fewer than `min_votes` votes count as noise and the rest is
/// normalised; a face where nothing remains falls back to its consensus category.
pub fn target(sample: &Sample, labels: &LabelSet, recipe: &Recipe) -> Target {
    let one_hot = || -> Vec<f32> {
        let Some(class) = sample.expression.and_then(|e| labels.class_of(e)) else { return Vec::new() };
        let mut distribution = vec![0.0; labels.n_classes()];
        distribution[class] = 1.0;
        distribution
    };
    let distribution = match recipe.targets {
        Targets::Majority => one_hot(),
        Targets::Votes => {
            let kept = |label: &Expression| {
                let votes = sample.votes[label.index()];
                if votes >= recipe.min_votes { votes as f32 } else { 0.0 }
            };
            let votes: Vec<f32> = labels.labels().iter().map(kept).collect();
            let total: f32 = votes.iter().sum();
            if total > 0.0 { votes.iter().map(|v| v / total).collect() } else { one_hot() }
        }
    };
    let even = recipe.label_smoothing / labels.n_classes() as f32;
    let distribution = distribution.into_iter().map(|share| share * (1.0 - recipe.label_smoothing) + even).collect();
    let heads = recipe.heads();
    Target {
        distribution: if heads.expression { distribution } else { Vec::new() },
        valence_arousal: [sample.valence.filter(|_| heads.valence), sample.arousal.filter(|_| heads.arousal)],
    }
}

/// The faces of one split, cropped and kept in memory as far as a budget allows.
pub struct Faces {
    samples: Vec<Sample>,
    read: ReadImage,
    side: u32,
    colour: Colour,
    crop_scale: f32,
    kept: Vec<OnceLock<Box<[u8]>>>,
    kept_bytes: AtomicU64,
    budget_bytes: u64,
}

impl Faces {
    /// Nothing is read yet. Crops are kept once read, up to `budget_bytes` in all.
    pub fn new(samples: Vec<Sample>, read: ReadImage, recipe: &Recipe, budget_bytes: u64) -> Self {
        let kept = samples.iter().map(|_| OnceLock::new()).collect();
        Self {
            samples,
            read,
            side: recipe.input_side,
            colour: recipe.colour,
            crop_scale: recipe.crop_scale,
            kept,
            kept_bytes: AtomicU64::new(0),
            budget_bytes,
        }
    }

    /// Number of faces.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The samples in order.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Calls `with` on the crop of one face: `side * side * channels` bytes, channels interleaved.
    ///
    /// # Errors
    /// [`LearnError::Image`] if the image cannot be read or decoded.
    pub fn with_crop<T>(&self, face_idx: usize, with: impl FnOnce(&[u8]) -> T) -> Result<T, LearnError> {
        if let Some(crop) = self.kept[face_idx].get() {
            return Ok(with(crop));
        }
        let sample = &self.samples[face_idx];
        let fail = |reason: String| LearnError::Image { image: sample.image.clone(), reason };
        let bytes = (self.read)(&sample.image).map_err(fail)?;
        let scale = f64::from(self.side) / f64::from(sample.bounding_box.squared(self.crop_scale).width);
        let picture = decode_for(&bytes, &Limits::default(), |_, _| scale).map_err(|e| fail(e.to_string()))?;
        let place = picture.place(sample.bounding_box);
        let crop = face_crop(&picture.image, place, self.crop_scale, self.side, self.colour);
        let size_bytes = crop.len() as u64;
        if self.kept_bytes.fetch_add(size_bytes, Ordering::Relaxed) + size_bytes <= self.budget_bytes {
            return Ok(with(self.kept[face_idx].get_or_init(|| crop)));
        }
        self.kept_bytes.fetch_sub(size_bytes, Ordering::Relaxed);
        Ok(with(&crop))
    }
}

/// The square crop a network sees: the face box squared and scaled, `side * side * channels` bytes.
/// Training and prediction both come through here.
pub fn face_crop(picture: &RgbImage, face: BoundingBox, crop_scale: f32, side: u32, colour: Colour) -> Box<[u8]> {
    in_colour(crop_resize(picture, face.squared(crop_scale), side, side), colour)
}

/// The pixels of a crop, channels interleaved.
pub(crate) fn in_colour(crop: RgbImage, colour: Colour) -> Box<[u8]> {
    match colour {
        Colour::Grey => crop.to_gray().pixels.into_boxed_slice(),
        Colour::Rgb => crop.pixels.into_boxed_slice(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(votes: [u32; 11], expression: Option<Expression>) -> Sample {
        Sample {
            name: "1".into(),
            image: "x".into(),
            bounding_box: BoundingBox::whole(8, 8),
            five: None,
            expression,
            votes,
            valence: None,
            arousal: Some(0.5),
            split: Split::Train,
            pack: 0,
        }
    }

    #[test]
    fn single_votes_are_noise_and_the_rest_sums_to_one() {
        let recipe = Recipe { targets: Targets::Votes, min_votes: 2, ..Recipe::default() };
        let votes = [6, 2, 1, 0, 0, 0, 0, 0, 0, 1, 0];
        let found = target(&sample(votes, Some(Expression::Neutral)), &LabelSet::eight(), &recipe);
        assert_eq!(found.distribution, [0.75, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(found.valence_arousal, [None, Some(0.5)]);
    }

    #[test]
    fn a_face_outside_the_label_set_has_no_expression_target() {
        let recipe = Recipe { targets: Targets::Majority, ..Recipe::default() };
        let found = target(&sample([0; 11], Some(Expression::Contempt)), &LabelSet::seven(), &recipe);
        assert!(found.distribution.is_empty());
    }
}

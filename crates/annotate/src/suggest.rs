//! What does a model think of the faces of a pool, and how sure is it?

use std::sync::Arc;

use affectory_catalog::{Catalog, CatalogError, FacePicture, ImageStore, Suggestion, SureSuggestion};
use affectory_core::{Arousal, BoundingBox, Expression, FaceId, PoolId, Progress, Stop, Valence};
use affectory_imaging::{Limits, RgbImage, decode};

use crate::AnnotateError;

/// Faces between two transactions.
const BATCH: u32 = 500;

/// A model that looks at faces. This crate knows nothing of networks.
pub trait Suggester: Send + Sync + 'static {
    /// Its name, which stands with each suggestion.
    fn name(&self) -> &str;

    /// What it thinks of the face in that box of a picture; none if it says nothing of it.
    ///
    /// # Errors
    /// If it fails, in words; it would fail with other faces, too.
    fn look(&self, picture: &RgbImage, face: BoundingBox) -> Result<Option<Thought>, String>;
}

/// What a model thinks of a face.
#[derive(Debug, Clone, PartialEq)]
pub struct Thought {
    /// The likeliest category, if it knows categories.
    pub expression: Option<Expression>,
    /// In [-1, 1], if it says it.
    pub valence: Option<Valence>,
    /// In [-1, 1], if it says it.
    pub arousal: Option<Arousal>,
    /// Of each category it knows; they sum up to 1.
    pub probabilities: Vec<f32>,
}

impl Thought {
    /// Uncertainty is the entropy of the probabilities, in nats; confidence the largest of them.
    fn of(self, face_id: FaceId, by: &str) -> SureSuggestion {
        let uncertainty = self.probabilities.iter().map(|p| if *p > 0.0 { -p * p.ln() } else { 0.0 }).sum();
        let confidence = self.probabilities.iter().copied().fold(0.0, f32::max).min(1.0);
        let Thought { expression, valence, arousal, .. } = self;
        let suggestion = Suggestion { expression, valence, arousal, by: by.to_owned() };
        SureSuggestion { face_id, suggestion, confidence, uncertainty }
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct SuggestSummary {
    /// Faces with a suggestion.
    pub faces: u64,
    /// Faces whose picture could not be read, or was withdrawn.
    pub unreadable: u64,
    /// Whether a stop was asked for before the end; the same call goes on.
    pub stopped: bool,
}

/// Lets a model look at the faces of a pool, from one number to another, that want answers and that it has not seen. Several
/// processes may do so at once; a face that two of them look at is the same twice.
///
/// # Errors
/// If catalogue, store or model cannot be used. A face whose picture cannot be read stays without a suggestion.
pub async fn suggest<S: Suggester>(
    (catalog, store): (&Catalog, &ImageStore),
    suggester: &Arc<S>,
    pool: PoolId,
    (first, last): (FaceId, FaceId),
    (stop, progress): (&Stop, &dyn Progress),
) -> Result<SuggestSummary, AnnotateError> {
    let mut summary = SuggestSummary::default();
    let mut after = FaceId(first.0.saturating_sub(1));
    loop {
        let faces = catalog.list_unsuggested(pool, suggester.name(), (after, last), BATCH).await?;
        let Some(end) = faces.last() else { break };
        after = *end;
        let mut suggestions = Vec::with_capacity(faces.len());
        for face in faces {
            if stop.is_requested() {
                summary.stopped = true;
                break;
            }
            let Some(picture) = catalog.find_face_picture(face).await? else { continue };
            match look(store, suggester, &picture).await? {
                Some(thought) => suggestions.push(thought.of(face, suggester.name())),
                None => summary.unreadable += 1,
            }
        }
        catalog.record_suggestions(pool, &suggestions).await?;
        summary.faces += suggestions.len() as u64;
        progress.advance(suggestions.len() as u64);
        if summary.stopped {
            break;
        }
    }
    Ok(summary)
}

async fn look<S: Suggester>(
    store: &ImageStore,
    suggester: &Arc<S>,
    picture: &FacePicture,
) -> Result<Option<Thought>, AnnotateError> {
    if picture.is_withdrawn {
        return Ok(None);
    }
    let bytes = match store.read(&picture.image_sha256).await {
        Ok(bytes) => bytes,
        Err(CatalogError::NoObject(_) | CatalogError::DamagedObject(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let (suggester, face) = (Arc::clone(suggester), picture.bounding_box);
    let looked = tokio::task::spawn_blocking(move || match decode(&bytes, &Limits::default()) {
        Ok(decoded) => suggester.look(&decoded.image, face),
        Err(_) => Ok(None),
    });
    looked.await.unwrap_or_else(|error| Err(error.to_string())).map_err(AnnotateError::Suggester)
}

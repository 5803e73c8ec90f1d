//! Which faces qualify for a release, and what did their annotators agree on?

use std::collections::BTreeMap;

use affectory_catalog::{Annotation, AnnotatorKind, ConsensusRow, LabelledFace, Project};
use affectory_core::{BoundingBox, FaceId, Split};
use affectory_evaluate::{Vote, majority, soft_label, vote_counts};

use super::spill::{Sorted, Spill};
use super::{BuildOptions, Splits};
use crate::{ReleaseError, ReleaseItem};

/// Faces read and written at a time. Each time the disk is waited for; and while SQLite writes them, annotators wait a tenth of a
/// second.
const PAGE: u32 = 10_000;

/// The name of the rule in the catalogue.
const METHOD: &str = "majority";

/// A face on its way into the manifest; its item has no name and no group yet.
#[derive(Debug, PartialEq)]
pub(super) struct Draft {
    pub origin: String,
    pub face_id: FaceId,
    /// Every page the image stood on.
    pub pages: Vec<String>,
    pub item: ReleaseItem,
}

impl Draft {
    /// Made of content only, unique, and what the manifest is sorted by: neither row ids nor the order of imports show.
    pub fn key(&self) -> String {
        let BoundingBox { x, y, width, height } = self.item.bounding_box;
        // Padded bits sort every face of an image the same way, wherever it was imported.
        let [x, y, width, height] = [x, y, width, height].map(f32::to_bits);
        format!("{} {x:08x}{y:08x}{width:08x}{height:08x} {}", self.item.image_sha256, self.origin)
    }
}

pub(super) struct Gathered {
    pub faces: Sorted,
    pub left_out: BTreeMap<String, u64>,
}

/// Reads all faces, records their consensus, and keeps those that qualify.
pub(super) async fn gather(project: &Project, options: &BuildOptions, now_ms: i64) -> Result<Gathered, ReleaseError> {
    let catalog = &project.catalog;
    let spill = Spill::create(&project.releases_dir(), catalog.project_counts().await?.faces)?;
    let mut keeping = Keeping { options: options.clone(), spill, left_out: BTreeMap::new() };
    let mut page = catalog.list_labelled_faces(FaceId(0), PAGE).await?;
    let mut agreed = Vec::new();
    // Three pages are on their way: one is read, one is worked on, and what was agreed of a third is written.
    while let Some(last) = page.last() {
        let after = last.face.id;
        let work = tokio::task::spawn_blocking(move || keeping.keep(page));
        let (next, (), worked) = tokio::try_join!(
            async { Ok::<_, ReleaseError>(catalog.list_labelled_faces(after, PAGE).await?) },
            async { Ok(catalog.record_consensus(&agreed, now_ms).await?) },
            async { work.await? },
        )?;
        (keeping, agreed) = worked;
        page = next;
    }
    catalog.record_consensus(&agreed, now_ms).await?;
    Ok(Gathered { faces: keeping.spill.finish()?, left_out: keeping.left_out })
}

/// Faces that qualify, and why others do not.
struct Keeping {
    options: BuildOptions,
    spill: Spill,
    left_out: BTreeMap<String, u64>,
}

impl Keeping {
    /// Keeps what qualifies of these faces, and says what was agreed of each.
    fn keep(mut self, page: Vec<LabelledFace>) -> Result<(Keeping, Vec<ConsensusRow>), ReleaseError> {
        let agreed: Vec<ConsensusRow> = page.iter().map(consensus).collect();
        for (face, agreed) in page.into_iter().zip(&agreed) {
            match draft(face, agreed, &self.options) {
                Ok(draft) => self.spill.add(&draft)?,
                Err(reason) => *self.left_out.entry(reason).or_default() += 1,
            }
        }
        Ok((self, agreed))
    }
}

fn consensus(labelled: &LabelledFace) -> ConsensusRow {
    let votes: Vec<Vote> = labelled
        .annotations
        .iter()
        .filter_map(|annotation| {
            let is_proxy = match annotation.kind {
                AnnotatorKind::Person | AnnotatorKind::Imported | AnnotatorKind::Synthetic => false,
                AnnotatorKind::Proxy => true,
                // A network's opinion is no label.
                AnnotatorKind::Model => return None,
            };
            let (expression, valence, arousal) = (annotation.expression, annotation.valence, annotation.arousal);
            Some(Vote { expression, valence, arousal, is_proxy, is_adjudication: annotation.is_adjudication })
        })
        .collect();
    let agreed = majority(&votes);
    ConsensusRow {
        face_id: labelled.face.id,
        method: METHOD.to_owned(),
        expression: agreed.expression,
        valence: agreed.valence,
        arousal: agreed.arousal,
        is_proxy: agreed.is_proxy,
        n_annotations: votes.iter().filter(|vote| vote.is_ordinary()).count() as u32,
        agreement: agreed.agreement,
        run_id: None,
        shares: soft_label(&vote_counts(&votes), 0.0),
        valence_spread: agreed.valence_spread,
        arousal_spread: agreed.arousal_spread,
    }
}

/// Whether an annotation is counted among the votes: what a formula or a network says is not, nor is a decision on them.
fn is_vote(annotation: &Annotation) -> bool {
    match annotation.kind {
        AnnotatorKind::Person | AnnotatorKind::Imported | AnnotatorKind::Synthetic => !annotation.is_adjudication,
        AnnotatorKind::Proxy | AnnotatorKind::Model => false,
    }
}

/// The face as an item without group, or the reason why it stays out.
fn draft(labelled: LabelledFace, agreed: &ConsensusRow, options: &BuildOptions) -> Result<Draft, String> {
    let LabelledFace { face, image, sightings, annotations } = labelled;
    if image.withdrawn_ms.is_some() {
        return Err("withdrawn".into());
    }
    let mut votes = [0u32; 11];
    for expression in annotations.iter().filter(|a| is_vote(a)).filter_map(|a| a.expression) {
        votes[expression.index()] += 1;
    }
    let expression = match agreed.expression {
        Some(expression) if options.labels.class_of(expression).is_some() => expression,
        Some(expression) => return Err(format!("labelled {expression}, which is not in the label set")),
        None if votes == [0; 11] => return Err("without a category".into()),
        None => return Err("without a majority".into()),
    };
    // Met in two splits, an image is held out: a test face must not be trained on.
    let given = sightings.iter().filter_map(|sighting| sighting.given_split).max();
    let split = match options.splits {
        Splits::Given => given.ok_or("without a split in the source")?,
        Splits::Fractions(_) => Split::Train,
    };
    let pages = sightings.iter().filter_map(|sighting| sighting.page_url.clone()).collect::<Vec<_>>();
    let license = sightings.iter().find_map(|sighting| sighting.license.clone());
    let (source, path) =
        sightings.into_iter().next().map(|sighting| (sighting.source, sighting.path)).unwrap_or_default();
    Ok(Draft {
        origin: face.origin,
        face_id: face.id,
        item: ReleaseItem {
            item: String::new(),
            image_sha256: image.image.sha256,
            crop_sha256: face.crop_sha256,
            phash: image.image.phash,
            format: image.image.format,
            width: image.image.width,
            height: image.image.height,
            bounding_box: face.bounding_box,
            landmarks: face.landmarks,
            expression,
            valence: agreed.valence,
            arousal: agreed.arousal,
            is_proxy: agreed.is_proxy,
            votes,
            agreement: agreed.agreement,
            split,
            group: 0,
            source,
            path,
            page_url: pages.first().cloned(),
            license,
        },
        pages,
    })
}

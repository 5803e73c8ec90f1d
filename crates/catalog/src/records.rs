//! What do the rows look like that stages write and read?

use affectory_core::{
    AnnotationId, AnnotatorId, Arousal, BoundingBox, Expression, FaceId, ImageId, Landmarks, PerceptualHash, ReleaseId,
    Sha256Hex, Split, Valence,
};

/// An image as an import or a fetch found it; its bytes are already in the store under `sha256`.
#[derive(Debug, Clone, PartialEq)]
pub struct NewImage {
    /// SHA-256 of the original bytes.
    pub sha256: Sha256Hex,
    /// Perceptual hash of the oriented pixels.
    pub phash: PerceptualHash,
    /// Width in pixels after orientation.
    pub width: u32,
    /// Height in pixels after orientation.
    pub height: u32,
    /// `jpeg`, `png`, `webp`, `gif` or `bmp`, by content.
    pub format: String,
    /// Length of the original bytes.
    pub size_bytes: u64,
}

/// Where an image was met: one row for each place, so that provenance is never lost to de-duplication.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSighting {
    /// Name of the import or the search engine, e.g. `ferplus`.
    pub source: String,
    /// Path or URL inside that source, e.g. `train/fer0000001.png`. Unique together with `source`.
    pub path: String,
    /// The page the image stood on, where known: faces of one page stay in one split.
    pub page_url: Option<String>,
    /// Licence as the source states it.
    pub license: Option<String>,
    /// The split the source itself puts it in.
    pub given_split: Option<Split>,
}

/// A face whose box comes with the data (not from our detector).
#[derive(Debug, Clone, PartialEq)]
pub struct NewFace {
    /// The box as given; the whole image where the data says nothing.
    pub bounding_box: BoundingBox,
    /// Landmarks as given.
    pub landmarks: Option<Landmarks>,
    /// What annotators said of it.
    pub annotations: Vec<NewAnnotation>,
}

/// Who speaks in an annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnnotatorKind {
    /// A person with an account here.
    Person,
    /// A person or a procedure of the database an annotation was imported from.
    Imported,
    /// The renderer, which knows what it drew.
    Synthetic,
    /// A formula standing in for people (FER+'s valence and arousal): shown as proxy everywhere.
    Proxy,
    /// A network.
    Model,
}

/// One annotator's answer for one face.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAnnotation {
    /// Unique name, e.g. `ferplus/03`; the annotator is created when first met.
    pub annotator: String,
    /// Kind given to an annotator that is created.
    pub kind: AnnotatorKind,
    /// Category, if the annotator gave one.
    pub expression: Option<Expression>,
    /// Valence, if given.
    pub valence: Option<Valence>,
    /// Arousal, if given.
    pub arousal: Option<Arousal>,
}

/// Everything one line or file of an import says: written together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportItem {
    /// The image.
    pub image: NewImage,
    /// Where it was met.
    pub sighting: NewSighting,
    /// The faces the data names in it (none: `faces run` will look for them).
    pub faces: Vec<NewFace>,
}

/// What a batch of an import added. What was there already is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportOutcome {
    /// New rows of `image`.
    pub images: u64,
    /// New rows of `sighting`.
    pub sightings: u64,
    /// New rows of `face`.
    pub faces: u64,
    /// New rows of `annotation`.
    pub annotations: u64,
    /// Images whose bytes had been dropped from the store and that are wanted now: their bytes must be put there again.
    pub restored: u64,
}

/// A row of `image`.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageRow {
    /// Its id.
    pub id: ImageId,
    /// What it is.
    pub image: NewImage,
    /// When its withdrawal was asked for, ms UTC; a withdrawn image is in no later delivery.
    pub withdrawn_ms: Option<i64>,
}

/// A row of `sighting`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// The image seen.
    pub image_id: ImageId,
    /// Where.
    pub sighting: NewSighting,
}

/// How usable a face is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceQuality {
    /// Shorter side of the box in pixels.
    pub size_px: f32,
    /// Variance of the Laplacian of the grey aligned crop (grey in 0..=255): low is blurred.
    pub sharpness: f32,
    /// Mean grey of the aligned crop, 0 to 1.
    pub brightness: f32,
    /// Turn of the head to the image's right, degrees, estimated from the landmarks.
    pub yaw_degrees: f32,
    /// Lift of the head, degrees.
    pub pitch_degrees: f32,
    /// Tilt of the head, degrees, clockwise in the image.
    pub roll_degrees: f32,
}

/// A face a detector found.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectedFace {
    /// Its box.
    pub bounding_box: BoundingBox,
    /// The detector's confidence, 0 to 1.
    pub score: f32,
    /// 68 points, or 5 where the landmark net did not run.
    pub landmarks: Landmarks,
    /// Its quality.
    pub quality: FaceQuality,
    /// The aligned crop (PNG or JPEG) in the store, if one was kept.
    pub crop_sha256: Option<Sha256Hex>,
}

/// What the detector adds to a face whose box came with the data.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenFaceUpdate {
    /// The face.
    pub face_id: FaceId,
    /// The detection that matches it; `None`: nothing was found there.
    pub found: Option<DetectedFace>,
}

/// How looking for faces in one image ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScanStatus {
    /// At least one face.
    Found,
    /// Readable, and no face in it.
    NoFace,
    /// The stored bytes could not be read or decoded.
    Unreadable,
}

/// Why no face in an image is of use to whoever collects faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unusable {
    /// There is none.
    NoFace,
    /// All are too small.
    SmallFaces,
    /// The bytes could not be read or decoded.
    Unreadable,
}

impl Unusable {
    /// The name in the catalogue.
    pub const fn name(self) -> &'static str {
        match self {
            Unusable::NoFace => "no-face",
            Unusable::SmallFaces => "small-faces",
            Unusable::Unreadable => "unreadable",
        }
    }
}

/// The result for one image; it replaces the lease that was taken on it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanOutcome {
    /// The image.
    pub image_id: ImageId,
    /// How it ended.
    pub status: ScanStatus,
    /// Reason, for [`ScanStatus::Unreadable`].
    pub error: Option<String>,
    /// Why no face in it is of use, where somebody asked for that.
    pub unusable: Option<Unusable>,
    /// What the decoded pixels look like, unless unreadable: kept for an image that was fetched and not decoded.
    pub phash: Option<PerceptualHash>,
    /// New faces, in images where no face was given.
    pub faces: Vec<DetectedFace>,
    /// Additions to given faces.
    pub updates: Vec<GivenFaceUpdate>,
}

/// How far a detector is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaceScan {
    /// Images not looked at yet.
    pub pending: u64,
    /// Images some process is working on now.
    pub leased: u64,
    /// Images with at least one face.
    pub found: u64,
    /// Images without.
    pub no_face: u64,
    /// Images that could not be read.
    pub unreadable: u64,
    /// Faces in all.
    pub faces: u64,
}

/// A row of `face`.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceRow {
    /// Its id.
    pub id: FaceId,
    /// The image it is in.
    pub image_id: ImageId,
    /// `given`, or the name of the detector that found it.
    pub origin: String,
    /// Its box.
    pub bounding_box: BoundingBox,
    /// Detector's confidence, 0 to 1, where a detector saw it.
    pub score: Option<f32>,
    /// Landmarks, given or found.
    pub landmarks: Option<Landmarks>,
    /// Quality, where a detector saw it.
    pub quality: Option<FaceQuality>,
    /// The aligned crop in the store.
    pub crop_sha256: Option<Sha256Hex>,
}

/// A row of `annotation` with its annotator's name.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// Its id.
    pub id: AnnotationId,
    /// The face judged.
    pub face_id: FaceId,
    /// The annotator.
    pub annotator_id: AnnotatorId,
    /// The annotator's name.
    pub annotator: String,
    /// The annotator's kind.
    pub kind: AnnotatorKind,
    /// Category.
    pub expression: Option<Expression>,
    /// Valence.
    pub valence: Option<Valence>,
    /// Arousal.
    pub arousal: Option<Arousal>,
    /// Whether it decides instead of being counted.
    pub is_adjudication: bool,
}

/// A face with everything a release needs to know of it. Only the latest revision of each annotation is in it, and no
/// answer that was taken back.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledFace {
    /// The face.
    pub face: FaceRow,
    /// Its image.
    pub image: ImageRow,
    /// Every place the image was met, ordered by source and path.
    pub sightings: Vec<NewSighting>,
    /// What annotators said, ordered by annotation id.
    pub annotations: Vec<Annotation>,
}

/// What annotators agreed on; recomputed at will, so it replaces its predecessor.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsensusRow {
    /// The face.
    pub face_id: FaceId,
    /// Name of the rule, e.g. `majority`.
    pub method: String,
    /// The category agreed on; `None` on a tie.
    pub expression: Option<Expression>,
    /// Mean valence.
    pub valence: Option<Valence>,
    /// Mean arousal.
    pub arousal: Option<Arousal>,
    /// Whether valence and arousal come from a proxy.
    pub is_proxy: bool,
    /// Number of annotations that took part.
    pub n_annotations: u32,
    /// Share of annotators who gave the category agreed on, 0 to 1.
    pub agreement: Option<f32>,
    /// The run it is of; none where a release was built from the annotations themselves.
    pub run_id: Option<i64>,
    /// Probability of each of the 11 categories, by index; none without a vote on the category.
    pub shares: Option<[f64; 11]>,
    /// Standard deviation of the valences given; none with fewer than two.
    pub valence_spread: Option<f32>,
    /// Likewise of arousal.
    pub arousal_spread: Option<f32>,
}

/// A cell of the count table: latest consensus by source's split and category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountRow {
    /// The split the source puts the face in.
    pub given_split: Option<Split>,
    /// The category; `None`: annotated without agreement, or not at all.
    pub expression: Option<Expression>,
    /// Number of faces.
    pub n_faces: u64,
}

/// Sizes of the tables a person asks for first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct ProjectCounts {
    /// Rows of `image`.
    pub images: u64,
    /// Rows of `sighting`.
    pub sightings: u64,
    /// Rows of `face`.
    pub faces: u64,
    /// Rows of `annotator`.
    pub annotators: u64,
    /// Rows of `annotation`.
    pub annotations: u64,
    /// Rows of `release`.
    pub releases: u64,
}

/// A release about to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRelease {
    /// Unique name; never reused.
    pub name: String,
    /// Seed of the splits.
    pub seed: u64,
    /// Label set as text, e.g. `neutral,happy,...`.
    pub labels: String,
    /// How it was built, as JSON.
    pub parameters: String,
}

/// A row of `release`.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseRow {
    /// Its id.
    pub id: ReleaseId,
    /// What it is.
    pub release: NewRelease,
    /// SHA-256 of the manifest file.
    pub manifest_sha256: Sha256Hex,
    /// Number of items.
    pub n_items: u64,
    /// When it was built, ms UTC.
    pub built_ms: i64,
}

/// A row of `release_item`: what the manifest says, so that a withdrawal finds every release it touches.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseItemRow {
    /// Place in the manifest, from 0.
    pub item_idx: u64,
    /// The face.
    pub face_id: FaceId,
    /// Its split.
    pub split: Split,
    /// Its category.
    pub expression: Option<Expression>,
}

/// How a consensus was reached: with the log up to that row it can be had again.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct NewConsensusRun {
    /// Its method, e.g. `dawid-skene`.
    pub method: String,
    /// Its parameters as JSON.
    pub parameters: String,
    /// The program that computed it.
    pub program_version: String,
    /// Last row of the log that it knew.
    pub last_annotation_id: AnnotationId,
    /// Annotations that took part.
    pub n_annotations: u64,
    /// Faces with a result.
    pub n_faces: u64,
    /// SHA-256 of what took part.
    pub inputs_sha256: Sha256Hex,
    /// SHA-256 of the result.
    pub result_sha256: Sha256Hex,
    /// What else the method found (annotators' confusions or weights) as JSON.
    pub details: String,
}

/// A row of `consensus_run`.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ConsensusRunRow {
    /// Its number.
    pub id: i64,
    /// What it is.
    #[serde(flatten)]
    pub run: NewConsensusRun,
    /// Whether all its faces were recorded; false while it is under way and after a kill.
    pub is_complete: bool,
    /// When, ms UTC.
    pub computed_ms: i64,
}

/// How a release's images are divided into packs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packing {
    /// Images of a pack that were asked for.
    pub images_per_pack: u32,
    /// All packs, by split and number.
    pub packs: Vec<PackRow>,
}

/// A pack of a release: of a split, the images whose hashes are in one of equal ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackRow {
    /// Its split.
    pub split: Split,
    /// Which of the ranges, from 0.
    pub number: u32,
    /// Its file, once there is one.
    pub written: Option<WrittenPack>,
}

/// What is known of a pack's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenPack {
    /// Images in it.
    pub n_images: u64,
    /// Its size.
    pub n_bytes: u64,
    /// Its SHA-256.
    pub sha256: Sha256Hex,
    /// SHA-256 of what it was made from.
    pub made_from: Sha256Hex,
}

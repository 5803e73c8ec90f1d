//! What was a shard made from, and what came of it?

use affectory_catalog::CollectedImage;
use affectory_core::Sha256Hex;
use sha2::{Digest as _, Sha256};

use crate::names::printable;

/// `NNNNN_stats.json`: written after its shard is in place, so where it fits, the shard is whole.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct ShardRecord {
    /// The shard, from 0.
    pub shard: u64,
    pub first_image_id: i64,
    pub last_image_id: i64,
    /// Of everything the catalogue said of its images: see [`fingerprint`].
    pub fingerprint: String,
    /// Images in it.
    pub images: u64,
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Images that belong into it and are not in it.
    pub rejects: Vec<ImageReject>,
}

/// An image that could not be exported.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImageReject {
    /// The key it would have.
    pub key: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// What kind of reason.
    pub kind: RejectKind,
    /// The reason, fit to print.
    pub reason: String,
}

/// Why images are not exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RejectKind {
    /// The store has no such object.
    ObjectMissing,
    /// The object's bytes have changed.
    ObjectDamaged,
    /// The bytes are no picture that can be read.
    NotDecodable,
    /// What comes out would be too large.
    ResultTooLarge,
}

impl RejectKind {
    /// The word in files.
    pub const fn name(self) -> &'static str {
        match self {
            RejectKind::ObjectMissing => "object-missing",
            RejectKind::ObjectDamaged => "object-damaged",
            RejectKind::NotDecodable => "not-decodable",
            RejectKind::ResultTooLarge => "result-too-large",
        }
    }

    /// Whether the object may have been put back meanwhile; decoding ends the same every time.
    pub(super) const fn may_pass(self) -> bool {
        match self {
            RejectKind::ObjectMissing | RejectKind::ObjectDamaged => true,
            RejectKind::NotDecodable | RejectKind::ResultTooLarge => false,
        }
    }
}

impl ImageReject {
    pub(super) fn new(key: String, sha256: &Sha256Hex, kind: RejectKind, reason: &str) -> Self {
        Self { key, sha256: sha256.to_string(), kind, reason: printable(reason) }
    }
}

/// One hash over all that goes into a shard from the catalogue: another image, a withdrawn one, a new sighting or a
/// perceptual hash that was not known before change it.
pub(super) fn fingerprint(images: &[CollectedImage]) -> String {
    let mut hash = Sha256::new();
    for CollectedImage { image, phash, sightings } in images {
        let original = &image.image;
        let facts = (image.id, original.sha256.as_str(), original.width, original.height, &original.format);
        // Numbers and text always have a JSON form.
        let text = serde_json::to_vec(&(facts, phash.map(|phash| phash.0), sightings)).unwrap_or_default();
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    Sha256Hex::from_digest(&hash.finalize().into()).to_string()
}

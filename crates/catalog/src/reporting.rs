//! What do the figures of a collection's report look like?

use affectory_core::{Expression, ImageId, PerceptualHash, Sha256Hex};

/// How large a collection is. An address is a candidate: one normalised URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct CollectionTotals {
    /// Queries planned.
    pub queries: u64,
    /// Searches that go on.
    pub searches_open: u64,
    /// Searches that are over, those cut into slices included.
    pub searches_done: u64,
    /// Searches that failed for good.
    pub searches_failed: u64,
    /// Answers of search engines.
    pub hits: u64,
    /// Different addresses among them.
    pub addresses: u64,
    /// Addresses tried at least once.
    pub tried: u64,
    /// Addresses that brought an image.
    pub fetched: u64,
    /// When the first query was planned, ms UTC.
    pub first_ms: Option<i64>,
    /// When the last address was found or fetched, ms UTC.
    pub last_ms: Option<i64>,
}

/// What became of the different images that addresses brought. The first five never increase from one to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct FetchedImageTotals {
    /// Different images, by SHA-256.
    pub images: u64,
    /// Of these, decoded.
    pub decoded: u64,
    /// Of these, with a face.
    pub with_face: u64,
    /// Of these, with a face of usable size.
    pub usable: u64,
    /// Of these, neither withdrawn nor dropped.
    pub kept: u64,
    /// Images nobody has looked at yet.
    pub waiting: u64,
    /// Images whose bytes were taken out of the store.
    pub dropped: u64,
    /// Images withdrawn.
    pub withdrawn: u64,
    /// Faces in all of them.
    pub faces: u64,
    /// Of these, of usable size.
    pub usable_faces: u64,
}

/// Fetched images without a usable face, by reason.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct UnusableCount {
    /// `no-face`, `small-faces` or `unreadable`.
    pub reason: String,
    /// Images.
    pub images: u64,
    /// Of these, no longer in the store.
    pub dropped: u64,
}

/// Where an address was found: one engine's answers to the queries of one language for one expression.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct FindingPlace {
    /// The engine that answered.
    pub engine: String,
    /// The query's language.
    pub language: String,
    /// The expression asked for.
    pub expression: Option<Expression>,
}

/// Addresses that were found in exactly these places: so an address found in several is counted right in every sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingCount {
    /// The places.
    pub places: Vec<FindingPlace>,
    /// How many, and what became of them.
    pub counts: AddressCounts,
}

/// Addresses and what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct AddressCounts {
    /// Addresses.
    pub addresses: u64,
    /// Of these, with an image.
    pub fetched: u64,
    /// Of these, with an image that has a usable face.
    pub usable: u64,
}

/// Annotated faces of images that queries for one expression found, and which had the same votes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentVotes {
    /// The expression that was asked for.
    pub intent: Expression,
    /// Votes on each of the eleven categories, by index; of people, imports and renderers, corrections in place of what
    /// they correct.
    pub votes: [u32; 11],
    /// Faces.
    pub faces: u64,
}

/// Addresses under one licence, as search engines state it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LicenseCount {
    /// The licence; `None` where no engine named one.
    pub license: Option<String>,
    /// Addresses.
    pub addresses: u64,
    /// Of these, with an image.
    pub fetched: u64,
}

/// What came of the addresses at one host.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HostCount {
    /// The host: a registrable domain.
    pub host: String,
    /// Addresses.
    pub addresses: u64,
    /// With an image.
    pub fetched: u64,
    /// Without one, and none to be hoped for.
    pub refused: u64,
    /// Tried often enough in vain.
    pub failed: u64,
    /// Median time of the last attempts, ms; `None` before the first.
    pub median_ms: Option<u64>,
}

/// What one query found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct QueryCount {
    /// Whom it was put to.
    pub provider: String,
    /// What was asked.
    pub text: String,
    /// Its language.
    pub language: String,
    /// The expression asked for.
    pub expression: Option<Expression>,
    /// Addresses found, and what became of them.
    #[serde(flatten)]
    pub counts: AddressCounts,
}

/// What queries found that were asked at least once.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct QueryCounts {
    /// Queries asked.
    pub asked: u64,
    /// Of these, without an answer.
    pub without_hit: u64,
    /// Of these, with answers and without a usable face.
    pub without_usable: u64,
    /// Those with most usable faces.
    pub best: Vec<QueryCount>,
    /// Of the others, those with answers and fewest usable faces; of equals the one with most addresses first.
    pub least: Vec<QueryCount>,
}

/// Images by the number of addresses that brought them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct CopyCount {
    /// Addresses of one image.
    pub addresses: u64,
    /// Images with so many.
    pub images: u64,
}

/// What a fetched image looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLook {
    /// The image.
    pub image_id: ImageId,
    /// Its perceptual hash.
    pub phash: PerceptualHash,
    /// Whether it is neither withdrawn nor dropped.
    pub is_kept: bool,
}

/// A face that may be shown: of usable size, of an image that is neither withdrawn nor dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaceSample {
    /// Its image.
    pub image_id: ImageId,
    /// The aligned crop in the store.
    pub crop_sha256: Sha256Hex,
    /// The expression a query asked for that found it.
    pub expression: Expression,
    /// That query.
    pub query: String,
    /// Its language.
    pub language: String,
    /// Where the image was fetched.
    pub host: String,
    /// Its licence, as the search engine states it.
    pub license: Option<String>,
}

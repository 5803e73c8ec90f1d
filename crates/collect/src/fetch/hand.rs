//! How is one candidate fetched: asked for, looked at by its header, and put into the store?

use std::collections::HashSet;

use affectory_catalog::{CandidateRow, CatalogError, FetchedImage, ImageStore};
use affectory_core::Sha256Hex;
use affectory_imaging::{ImagingError, Limits, read_header, sha256};
use tokio::time::{Duration, Instant};

use crate::{Client, FetchFailure, Fetched, Validators, normalize};

/// A smaller picture does no harm, however small its file is.
const RATIO_FROM_PIXELS: u64 = 1_000_000;

/// What a fetch needs, shared by all that are under way.
pub(super) struct Hand {
    pub(super) client: Client,
    pub(super) store: ImageStore,
    pub(super) limits: Limits,
    /// Bytes of pixels for each byte of a file.
    pub(super) max_ratio: u32,
    pub(super) withdrawn: HashSet<Sha256Hex>,
}

/// How a fetch ended, before it is decided what follows from it.
pub(super) struct Done {
    pub(super) candidate: CandidateRow,
    pub(super) result: Result<Got, Fault>,
    pub(super) crawl_delay: Option<Duration>,
    pub(super) times: Times,
}

/// When what happened.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) began: Instant,
    /// When the host had answered, or had not.
    pub(super) answered: Instant,
    pub(super) ended: Instant,
}

/// What came.
pub(super) enum Got {
    Image { image: FetchedImage, final_url: String, validators: Validators },
    Unchanged { final_url: String },
}

/// What did not.
pub(super) enum Fault {
    Fetch(FetchFailure),
    Refused { class: &'static str, reason: String },
    Store(CatalogError),
}

impl Hand {
    pub(super) async fn fetch(&self, candidate: CandidateRow) -> Done {
        let began = Instant::now();
        let mut answered = began;
        // It was normalised when it was found; a database is outside input all the same.
        let (result, crawl_delay) = match normalize(&candidate.url, None) {
            Ok(url) => (self.got(&candidate, &url, &mut answered).await, self.client.crawl_delay(&url)),
            Err(refusal) => (Err(Fault::Fetch(refusal.into())), None),
        };
        Done { candidate, result, crawl_delay, times: Times { began, answered, ended: Instant::now() } }
    }

    async fn got(&self, candidate: &CandidateRow, url: &url::Url, answered: &mut Instant) -> Result<Got, Fault> {
        let known = Validators { etag: candidate.etag.clone(), last_modified: candidate.last_modified.clone() };
        let has_validators = known != Validators::default();
        let fetched = self.client.fetch(url, has_validators.then_some(&known)).await;
        *answered = Instant::now();
        let fetched = match fetched.map_err(Fault::Fetch)? {
            Fetched::Image(fetched) => fetched,
            Fetched::NotModified { final_url } => return Ok(Got::Unchanged { final_url: final_url.into() }),
        };
        let header = read_header(&fetched.bytes, &self.limits)
            .map_err(|error| Fault::Refused { class: class_of(&error), reason: error.to_string() })?;
        let n_pixels = u64::from(header.width) * u64::from(header.height);
        let ratio = 3 * n_pixels / (fetched.bytes.len() as u64).max(1);
        if n_pixels >= RATIO_FROM_PIXELS && ratio > self.max_ratio.into() {
            let limit = self.max_ratio;
            let reason = format!("each of its bytes stands for {ratio} bytes of pixels, more than max_ratio = {limit}");
            return Err(Fault::Refused { class: "too-compressed", reason });
        }
        if !self.withdrawn.is_empty() && self.withdrawn.contains(&sha256(&fetched.bytes)) {
            return Err(Fault::Refused {
                class: "withdrawn",
                reason: "this image was withdrawn from the project".into(),
            });
        }
        let size_bytes = fetched.bytes.len() as u64;
        let sha256 = self.store.put(fetched.bytes).await.map_err(Fault::Store)?;
        let image = FetchedImage {
            sha256,
            width: header.width,
            height: header.height,
            format: header.format.name().to_owned(),
            size_bytes,
        };
        Ok(Got::Image { image, final_url: fetched.final_url.into(), validators: fetched.validators })
    }
}

/// The class of a picture that its header already condemns.
fn class_of(error: &ImagingError) -> &'static str {
    match error {
        ImagingError::Empty | ImagingError::UnknownFormat(_) => "not-an-image",
        ImagingError::TooManyBytes { .. } => "too-large",
        ImagingError::TooManyPixels { .. } => "too-many-pixels",
        ImagingError::Damaged { .. } => "damaged",
    }
}

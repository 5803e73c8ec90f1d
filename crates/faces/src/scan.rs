//! Which of a project's images still wait for a detector, and what did it see in them? Batch by batch, kill at any time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use affectory_catalog::{
    Catalog, CatalogError, DetectedFace, FaceRow, GivenFaceUpdate, ImageRow, ImageStore, ScanOutcome, ScanStatus,
    Unusable,
};
use affectory_core::{BoundingBox, FaceId, ImageId, Progress, Stop};
use affectory_imaging::{Limits, decode, encode_jpeg, perceptual_hash, sha256};
use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use rayon::prelude::*;

use crate::way::{self, Footprint};
use crate::{FaceFinder, FacesError, FoundFace};

/// Images of one lease and one transaction: a kill loses no more than this.
const BATCH: u32 = 64;

/// Reads and writes of the store under way at a time.
const IN_FLIGHT: usize = 16;

/// A worker that says nothing for this long is taken for dead, and its images are handed out again.
const LEASE_MS: i64 = 10 * 60 * 1000;

/// Images dropped at a time: imports wait for it.
const DROPS: u32 = 256;

/// How long to wait for images that are still to come.
const FEED_PAUSE: Duration = Duration::from_millis(250);

/// JPEG quality of aligned crops.
const CROP_QUALITY: u8 = 95;

/// What a run needs to know.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// Who holds the leases; different for every process.
    pub worker: String,
    /// What decoding an image may use.
    pub limits: Limits,
    /// Whether aligned crops are kept in the store.
    pub keep_crops: bool,
    /// Size in pixels from which on a face is of use; images without such a face are recorded as unusable, and smaller
    /// faces get no crop. `None`: any face is, and nothing is recorded.
    pub usable_px: Option<f32>,
    /// Whether the bytes of unusable images that only collecting brought are taken out of the store.
    pub drop_unusable: bool,
}

/// Gives leased images out.
pub trait ImageSource: Send {
    /// Up to `limit` images, leased until `now_ms + lease_ms`; none if there is none now. What was given before is recorded
    /// when this is called again.
    fn claim(
        &mut self,
        limit: u32,
        now_ms: i64,
        lease_ms: i64,
    ) -> impl Future<Output = Result<Vec<ImageRow>, FacesError>> + Send;

    /// The shard that was claimed from last, by its hash.
    fn shard(&self) -> Option<&str> {
        None
    }
}

/// All images of a catalogue that a detector has not looked at, the oldest first: the way of one machine, which asks nobody
/// else.
#[derive(Debug)]
pub struct CatalogImages<'a> {
    /// Where they stand.
    pub catalog: &'a Catalog,
    /// The detector's name.
    pub detector: &'a str,
    /// Who holds the leases.
    pub worker: &'a str,
}

impl ImageSource for CatalogImages<'_> {
    async fn claim(&mut self, limit: u32, now_ms: i64, lease_ms: i64) -> Result<Vec<ImageRow>, FacesError> {
        Ok(self.catalog.claim_images(self.detector, self.worker, limit, now_ms, lease_ms).await?)
    }
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct ScanSummary {
    /// Images looked at.
    pub images: u64,
    /// Of these, without any face.
    pub no_face: u64,
    /// Of these, unreadable.
    pub unreadable: u64,
    /// Of these, readable with faces that are all too small to be of use.
    pub small_faces: u64,
    /// New faces.
    pub faces: u64,
    /// How often an image was taken out of the store: again, if another address brought it back meanwhile.
    pub dropped: u64,
    /// Faces that came with the data and were seen.
    pub given_seen: u64,
    /// Faces that came with the data and where the detector saw nothing.
    pub given_missed: u64,
    /// Whether a stop was asked for before the end.
    pub stopped: bool,
}

/// Where the images are.
#[derive(Clone, Copy)]
struct Place<'a> {
    catalog: &'a Catalog,
    store: &'a ImageStore,
}

/// An image with its bytes, or why there are none, and when they had come.
type Fetched = (ImageRow, Result<Bytes, String>, Instant);

/// What was seen in an image, the crops to store before it is recorded, and when it was decoded.
type Seen = (ScanOutcome, Vec<Bytes>, Instant);

/// Looks for faces in every image that `source` gives, until there is none and `is_fed` says that no more will come.
/// Several processes may do so at once; run again after a kill, it goes on where the last batch was recorded.
///
/// `now_ms` is asked for the time of each batch.
///
/// # Errors
/// If the catalogue or the store cannot be used. An image that cannot be read is recorded as unreadable.
pub async fn scan(
    (catalog, store): (&Catalog, &ImageStore),
    finder: &FaceFinder,
    request: &ScanRequest,
    (source, is_fed): (&mut impl ImageSource, impl Fn() -> bool),
    now_ms: impl Fn() -> i64,
    (stop, progress): (&Stop, &dyn Progress),
) -> Result<ScanSummary, FacesError> {
    let place = Place { catalog, store };
    let mut summary = ScanSummary::default();
    let pending = catalog.face_scan(finder.name()).await?.pending;
    progress.begin("faces", (!is_fed()).then_some(pending));
    // At the start, too: what an earlier run found unusable and had no time, or no order, to drop.
    let mut may_drop = request.drop_unusable;
    loop {
        if may_drop {
            let n_dropped = catalog.drop_unusable(store, DROPS, now_ms()).await?;
            summary.dropped += n_dropped;
            may_drop = n_dropped > 0;
        }
        if stop.is_requested() {
            summary.stopped = true;
            break;
        }
        // Asked first: what arrives between the two questions is met in another round.
        let is_more_to_come = is_fed();
        let images = source.claim(BATCH, now_ms(), LEASE_MS).await?;
        if images.is_empty() {
            if !is_more_to_come {
                break;
            }
            progress.note("waiting for images");
            tokio::time::sleep(FEED_PAUSE).await;
            continue;
        }
        let n_images = images.len() as u64;
        progress.note("");
        let (outcomes, footprints): (Vec<ScanOutcome>, Vec<Footprint>) =
            look_at(place, finder, request, images).await?.into_iter().unzip();
        catalog.record_scans(finder.name(), &outcomes, now_ms()).await?;
        way::tell(&outcomes, &footprints, (finder.name(), request.worker.as_str()), source.shard());
        outcomes.iter().for_each(|outcome| summary.add(outcome));
        may_drop |= request.drop_unusable && outcomes.iter().any(|outcome| outcome.unusable.is_some());
        progress.advance(n_images);
    }
    while request.drop_unusable && !summary.stopped {
        match catalog.drop_unusable(store, DROPS, now_ms()).await? {
            0 => break,
            n_dropped => summary.dropped += n_dropped,
        }
    }
    progress.end();
    Ok(summary)
}

impl ScanSummary {
    fn add(&mut self, outcome: &ScanOutcome) {
        let given = outcome.updates.len() as u64;
        let seen = outcome.updates.iter().filter(|update| update.found.is_some()).count() as u64;
        self.images += 1;
        self.no_face += u64::from(outcome.status == ScanStatus::NoFace);
        self.unreadable += u64::from(outcome.status == ScanStatus::Unreadable);
        self.small_faces += u64::from(outcome.unusable == Some(Unusable::SmallFaces));
        self.faces += outcome.faces.len() as u64;
        self.given_seen += seen;
        self.given_missed += given - seen;
    }
}

/// Reads, decodes, finds, stores crops; recording is left to the caller.
async fn look_at(
    place: Place<'_>,
    finder: &FaceFinder,
    request: &ScanRequest,
    images: Vec<ImageRow>,
) -> Result<Vec<(ScanOutcome, Footprint)>, FacesError> {
    let began = Instant::now();
    let ids: Vec<ImageId> = images.iter().map(|image| image.id).collect();
    let mut given: HashMap<ImageId, Vec<FaceRow>> = HashMap::new();
    for face in place.catalog.list_given_faces(&ids).await? {
        given.entry(face.image_id).or_default().push(face);
    }
    let fetched: Vec<Fetched> =
        stream::iter(images).map(|image| fetch(place.store, image)).buffered(IN_FLIGHT).try_collect().await?;
    let none = Vec::new();
    // The runtime's other threads go on with what is theirs meanwhile.
    let seen: Vec<((ScanOutcome, Footprint), Vec<Bytes>)> = tokio::task::block_in_place(|| {
        fetched
            .into_par_iter()
            .map(|(image, bytes, read)| {
                let taken = Instant::now();
                let given = given.get(&image.id).unwrap_or(&none);
                let (outcome, crops, decoded) = see(finder, request, image.id, &bytes, given)?;
                let hash = image.image.sha256;
                Ok(((outcome, Footprint { hash, began, read, taken, decoded, seen: Instant::now() }), crops))
            })
            .collect::<Result<_, FacesError>>()
    })?;
    let (outcomes, crops): (Vec<(ScanOutcome, Footprint)>, Vec<Vec<Bytes>>) = seen.into_iter().unzip();
    let stored: Vec<_> = stream::iter(crops.into_iter().flatten())
        .map(|crop| place.store.put(crop))
        .buffer_unordered(IN_FLIGHT)
        .try_collect()
        .await?;
    // A row that outlives a power cut must not name a crop that does not.
    if !stored.is_empty() {
        place.store.flush().await?;
    }
    Ok(outcomes)
}

async fn fetch(store: &ImageStore, image: ImageRow) -> Result<Fetched, FacesError> {
    let read = store.read(&image.image.sha256).await;
    match read {
        Ok(bytes) => Ok((image, Ok(bytes), Instant::now())),
        Err(error @ (CatalogError::NoObject(_) | CatalogError::DamagedObject(_))) => {
            Ok((image, Err(error.to_string()), Instant::now()))
        }
        Err(error) => Err(error.into()),
    }
}

fn see(
    finder: &FaceFinder,
    request: &ScanRequest,
    image_id: ImageId,
    bytes: &Result<Bytes, String>,
    given: &[FaceRow],
) -> Result<Seen, FacesError> {
    let mut outcome = ScanOutcome {
        image_id,
        status: ScanStatus::NoFace,
        error: None,
        unusable: None,
        phash: None,
        faces: Vec::new(),
        updates: Vec::new(),
    };
    let decoded = match bytes {
        Ok(bytes) => decode(bytes, &request.limits).map_err(|error| error.to_string()),
        Err(reason) => Err(reason.clone()),
    };
    let decoded_at = Instant::now();
    let picture = match decoded {
        Ok(decoded) => decoded.image,
        Err(reason) => {
            let unusable = request.usable_px.map(|_| Unusable::Unreadable);
            let outcome = ScanOutcome { status: ScanStatus::Unreadable, error: Some(reason), unusable, ..outcome };
            return Ok((outcome, Vec::new(), decoded_at));
        }
    };
    outcome.phash = Some(perceptual_hash(&picture));
    let faces = finder.find(&picture);
    if !faces.is_empty() {
        outcome.status = ScanStatus::Found;
    }
    // A face that came with the data is of use to whoever brought it, whatever its size.
    let least = if given.is_empty() { request.usable_px } else { None };
    let is_usable = |face: &FoundFace| least.is_none_or(|least| face.quality.size_px >= least);
    if least.is_some() && !faces.iter().any(is_usable) {
        outcome.unusable = Some(if faces.is_empty() { Unusable::NoFace } else { Unusable::SmallFaces });
    }
    let mut crops = Vec::new();
    let mut detected = |face: &FoundFace| -> Result<DetectedFace, FacesError> {
        let crop = if request.keep_crops && is_usable(face) { face.aligned(&picture) } else { None };
        let crop_sha256 = match crop {
            Some(crop) => {
                let bytes = Bytes::from(encode_jpeg(&crop, CROP_QUALITY)?);
                let hash = sha256(&bytes);
                crops.push(bytes);
                Some(hash)
            }
            None => None,
        };
        Ok(DetectedFace {
            bounding_box: face.bounding_box,
            score: face.score,
            landmarks: face.landmarks.clone(),
            quality: face.quality,
            crop_sha256,
        })
    };
    if given.is_empty() {
        outcome.faces = faces.iter().map(&mut detected).collect::<Result<_, _>>()?;
    } else {
        for (face_id, matched) in match_given(given, &faces) {
            let found = matched.map(&mut detected).transpose()?;
            outcome.updates.push(GivenFaceUpdate { face_id, found });
        }
    }
    Ok((outcome, crops, decoded_at))
}

/// Each given face with the detection that shows it: one whose centre lies in the given box and the other way round, the
/// one that overlaps most. A given box may be a whole picture cut around a face, so overlap alone says little.
fn match_given<'a>(given: &[FaceRow], faces: &'a [FoundFace]) -> Vec<(FaceId, Option<&'a FoundFace>)> {
    let fits = |a: BoundingBox, b: BoundingBox| a.contains(b.centre()) && b.contains(a.centre());
    given
        .iter()
        .map(|row| {
            let at = row.bounding_box;
            let matched = faces
                .iter()
                .filter(|face| fits(at, face.bounding_box))
                .max_by(|a, b| at.iou(a.bounding_box).total_cmp(&at.iou(b.bounding_box)));
            (row.id, matched)
        })
        .collect()
}

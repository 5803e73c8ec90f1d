//! Which faces does the report show, and how small can they be?

use affectory_catalog::{CatalogError, FaceSample, Project};
use affectory_core::{CandidateId, Expression};
use affectory_imaging::{ImagingError, Limits, decode, encode_jpeg, resize};
use rand::SeedableRng as _;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

/// Faces shown for an expression.
const FACES: usize = 24;
/// Side of a face, pixels.
const SIDE: u32 = 96;
const QUALITY: u8 = 78;
/// JPEG bytes of one mosaic: with eleven of them as base64 the file stays below 4 MB, whatever the pictures are.
const MAX_BYTES: usize = 220_000;
/// Addresses drawn at most, and looked up at a time: the catalogue never has to sort all its faces.
const DRAWN: usize = 20_000;
const PAGE: usize = 1_000;

/// Sample faces of images that queries for one expression found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Mosaic {
    /// The expression asked for.
    pub intent: Expression,
    /// Up to 24 of them, each of another image.
    pub faces: Vec<MosaicFace>,
}

/// One face.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MosaicFace {
    /// SHA-256 of its crop in the store.
    pub crop_sha256: String,
    /// The query that found it.
    pub query: String,
    /// The query's language.
    pub language: String,
    /// Where the image was fetched.
    pub host: String,
    /// Its licence, as the search engine states it.
    pub license: Option<String>,
    /// The face as JPEG, 96 pixels a side.
    #[serde(skip)]
    pub jpeg: Vec<u8>,
}

/// Draws addresses by seed until every expression of `intents` has its faces.
pub(super) async fn mosaics(
    project: &Project,
    intents: &[Expression],
    usable_px: u32,
    seed: u64,
) -> Result<Vec<Mosaic>, CatalogError> {
    let mut chosen: Vec<(Expression, Vec<FaceSample>)> =
        intents.iter().map(|intent| (*intent, Vec::with_capacity(FACES))).collect();
    let last = usize::try_from(project.catalog.last_candidate().await?.0).unwrap_or(0);
    let drawn = index::sample(&mut ChaCha8Rng::seed_from_u64(seed), last, DRAWN.min(last)).into_vec();
    for page in drawn.chunks(PAGE) {
        let page: Vec<CandidateId> = page.iter().map(|idx| CandidateId(*idx as i64 + 1)).collect();
        for sample in project.catalog.list_face_samples(&page, usable_px).await? {
            let Some((_, faces)) = chosen.iter_mut().find(|(intent, _)| *intent == sample.expression) else { continue };
            // One face an image: a group photograph would fill the mosaic.
            let is_known =
                |face: &FaceSample| face.image_id == sample.image_id || face.crop_sha256 == sample.crop_sha256;
            if faces.len() < FACES && !faces.iter().any(is_known) {
                faces.push(sample);
            }
        }
        if chosen.iter().all(|(_, faces)| faces.len() == FACES) {
            break;
        }
    }
    let mut mosaics = Vec::with_capacity(chosen.len());
    for (intent, samples) in chosen {
        let mut mosaic = Mosaic { intent, faces: Vec::with_capacity(samples.len()) };
        let mut n_bytes = 0;
        for sample in samples {
            let bytes = match project.store.read(&sample.crop_sha256).await {
                Ok(bytes) => bytes,
                // A crop that is gone is no reason to have no report.
                Err(CatalogError::NoObject(_) | CatalogError::DamagedObject(_)) => continue,
                Err(error) => return Err(error),
            };
            let Ok(jpeg) = small(&bytes) else { continue };
            if n_bytes + jpeg.len() <= MAX_BYTES {
                n_bytes += jpeg.len();
                mosaic.faces.push(MosaicFace {
                    crop_sha256: sample.crop_sha256.as_str().to_owned(),
                    query: sample.query,
                    language: sample.language,
                    host: sample.host,
                    license: sample.license,
                    jpeg,
                });
            }
        }
        mosaics.push(mosaic);
    }
    Ok(mosaics)
}

fn small(bytes: &[u8]) -> Result<Vec<u8>, ImagingError> {
    let crop = decode(bytes, &Limits::default())?.image;
    encode_jpeg(&resize(&crop, SIDE, SIDE), QUALITY)
}

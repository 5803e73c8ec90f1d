//! Which questions can stages ask of the catalogue, and what can they have recorded?

use affectory_core::{FaceId, ImageId, Sha256Hex};

use crate::records::*;
use crate::CatalogError;

/// The database, SQLite or PostgreSQL. Cheap to clone; all clones share one pool.
#[derive(Debug, Clone)]
pub struct Catalog {}

impl Catalog {
    /// Opens `sqlite:PATH` or `postgres://...`, migrates it to this program's schema.
    ///
    /// # Errors
    /// [`CatalogError::NewerSchema`] or what the database refuses.
    pub async fn connect(_url: &str) -> Result<Catalog, CatalogError> {
        todo!()
    }

    /// Records a batch of an import in one transaction. What is there already stays as it is:
    /// images by SHA-256, sightings by source and path, given faces by image and box,
    /// annotations by face, annotator and sighting (`source:path`).
    pub async fn record_import(&self, _items: &[ImportItem], _now_ms: i64) -> Result<ImportOutcome, CatalogError> {
        todo!()
    }

    /// Of these (source, path) pairs of one source, the ones already sighted: what a resumed import may skip unread.
    pub async fn list_sighted(&self, _source: &str, _paths: &[String]) -> Result<Vec<String>, CatalogError> {
        todo!()
    }

    /// Leases up to `limit` images that `detector` has not looked at, oldest first. A lease ends at `now_ms + lease_ms`.
    pub async fn claim_images(
        &self,
        _detector: &str,
        _worker: &str,
        _limit: u32,
        _now_ms: i64,
        _lease_ms: i64,
    ) -> Result<Vec<ImageRow>, CatalogError> {
        todo!()
    }

    /// Workers that hold leases of `detector` now.
    pub async fn list_lease_holders(&self, _detector: &str) -> Result<Vec<String>, CatalogError> {
        todo!()
    }

    /// Gives back all leases of a worker that is known to be dead.
    pub async fn release_leases(&self, _detector: &str, _worker: &str) -> Result<u64, CatalogError> {
        todo!()
    }

    /// Records what a detector saw in a batch of images, in one transaction; an image already recorded stays as it is.
    pub async fn record_scans(&self, _detector: &str, _outcomes: &[ScanOutcome], _now_ms: i64) -> Result<(), CatalogError> {
        todo!()
    }

    /// How far `detector` is.
    pub async fn face_scan(&self, _detector: &str) -> Result<FaceScan, CatalogError> {
        todo!()
    }

    /// Faces given by the data in these images, by image and face id.
    pub async fn list_given_faces(&self, _images: &[ImageId]) -> Result<Vec<FaceRow>, CatalogError> {
        todo!()
    }

    /// Faces with their image, sightings and annotations, in the order of face ids, after `after`.
    pub async fn list_labelled_faces(&self, _after: FaceId, _limit: u32) -> Result<Vec<LabelledFace>, CatalogError> {
        todo!()
    }

    /// Replaces the consensus of these faces, in one transaction.
    pub async fn record_consensus(&self, _rows: &[ConsensusRow], _now_ms: i64) -> Result<(), CatalogError> {
        todo!()
    }

    /// The count table of one consensus method.
    pub async fn count_table(&self, _method: &str) -> Result<Vec<CountRow>, CatalogError> {
        todo!()
    }

    /// Sizes of the tables.
    pub async fn project_counts(&self) -> Result<ProjectCounts, CatalogError> {
        todo!()
    }

    /// Records a release and its items in one transaction, with an audit entry.
    ///
    /// # Errors
    /// [`CatalogError::ReleaseExists`].
    pub async fn record_release(
        &self,
        _release: &NewRelease,
        _items: &[ReleaseItemRow],
        _now_ms: i64,
    ) -> Result<ReleaseRow, CatalogError> {
        todo!()
    }

    /// All releases, oldest first.
    pub async fn list_releases(&self) -> Result<Vec<ReleaseRow>, CatalogError> {
        todo!()
    }

    /// The release of that name.
    ///
    /// # Errors
    /// [`CatalogError::NoRelease`] with the names that exist.
    pub async fn find_release(&self, _name: &str) -> Result<ReleaseRow, CatalogError> {
        todo!()
    }

    /// Withdraws an image (audited); false if no image has that hash. Says in which releases it is.
    pub async fn withdraw_image(&self, _sha256: &Sha256Hex, _reason: &str, _now_ms: i64) -> Result<Option<Vec<String>>, CatalogError> {
        todo!()
    }

    /// Hashes of all withdrawn images.
    pub async fn list_withdrawn(&self) -> Result<Vec<Sha256Hex>, CatalogError> {
        todo!()
    }

    /// Checks the hash chain of the audit log; says how many entries it has, or the first one that does not fit.
    pub async fn verify_audit(&self) -> Result<Result<u64, i64>, CatalogError> {
        todo!()
    }
}

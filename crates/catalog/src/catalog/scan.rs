//! Which images still have to be searched for faces, who is at it, and what was found?

use std::collections::HashSet;

use affectory_again::again;
use affectory_core::{ImageId, PerceptualHash};

use crate::database::{Row, Turn, Value, Work, batch};
use crate::records::{DetectedFace, FaceRow, FaceScan, ImageRow, NewImage, ScanOutcome};
use crate::{Catalog, CatalogError};

/// New images become open rows of `face_scan` in steps of this many.
const ENQUEUE_STEP: i64 = 20_000;

#[again]
impl Catalog {
    /// Leases up to `limit` images that `detector` has not looked at, oldest first. A lease ends at `now_ms + lease_ms`.
    /// No two workers get the same image while its lease lasts; withdrawn and dropped images
    /// are left out.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn claim_images(
        &self,
        detector: &str,
        worker: &str,
        limit: u32,
        now_ms: i64,
        lease_ms: i64,
    ) -> Result<Vec<ImageRow>, CatalogError> {
        let limit = i64::from(limit);
        let mut claimed = Vec::new();
        let mut is_all_open = false;
        loop {
            let rest = limit - claimed.len() as i64;
            let values = [detector.into(), worker.into(), (now_ms + lease_ms).into(), now_ms.into(), rest.into()];
            let leased = self.lease_images(CLAIM_OLDEST, &values).await?;
            let is_exhausted = leased.is_empty() && is_all_open;
            claimed.extend(leased);
            if claimed.len() as i64 >= limit || is_exhausted {
                break;
            }
            is_all_open = self.open_more(detector).await? == 0;
        }
        self.list_claimed(&claimed).await
    }

    /// Leases images by a statement, in a transaction of its own: it is not done again for what fails after it.
    pub(super) async fn lease_images(&self, claim: Claim, values: &[Value]) -> Result<Vec<[i64; 1]>, CatalogError> {
        let failed = || CatalogError::database("claim images");
        let mut work = self.database.write().await.map_err(failed())?;
        let statement = match work {
            Work::Sqlite(..) => claim.sqlite,
            Work::Postgres(..) => claim.postgres,
        };
        let rows = work.fetch(statement, values.to_vec()).await.map_err(failed())?;
        work.commit().await.map_err(failed())?;
        rows.iter().map(|row| Ok([row.int(0)?])).collect()
    }

    /// Opens images that came since; says how many. In turn: another worker may have opened these images since we looked,
    /// so that nothing opened now does not mean that nothing is due.
    async fn open_more(&self, detector: &str) -> Result<u64, CatalogError> {
        let failed = || CatalogError::database("claim images");
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Scan).await.map_err(failed())?;
        let n_opened = enqueue(&mut work, detector, i64::MAX).await.map_err(failed())?;
        work.commit().await.map_err(failed())?;
        Ok(n_opened)
    }

    /// Images that were leased, in order.
    pub(super) async fn list_claimed(&self, claimed: &[[i64; 1]]) -> Result<Vec<ImageRow>, CatalogError> {
        let failed = || CatalogError::database("claim images");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select id, sha256, phash, width, height, format, size_bytes, withdrawn_ms from image
                 where id in (select cast(value ->> 0 as bigint) from json_each($1)) order by id",
                vec![batch(claimed)],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(|row| image_row(row, 0)).collect()
    }

    /// Workers that hold leases of `detector` now, ended ones included until somebody claims the image again.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_lease_holders(&self, detector: &str) -> Result<Vec<String>, CatalogError> {
        let failed = || CatalogError::database("list lease holders");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select distinct worker from face_scan where detector = $1 and lease_end_ms > 0 order by worker",
                vec![detector.into()],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    /// Gives back all leases of a worker that is known to be dead; says how many.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn release_leases(&self, detector: &str, worker: &str) -> Result<u64, CatalogError> {
        let failed = || CatalogError::database("give leases back");
        let mut work = self.database.write().await.map_err(failed())?;
        let n_released = work
            .execute(
                "update face_scan set lease_end_ms = 0, worker = null
                 where detector = $1 and lease_end_ms > 0 and worker = $2",
                vec![detector.into(), worker.into()],
            )
            .await
            .map_err(failed())?;
        work.commit().await.map_err(failed())?;
        Ok(n_released)
    }

    /// Records what a detector saw in a batch of images, in one transaction; an image already recorded stays as it is.
    ///
    /// # Errors
    /// [`CatalogError::Database`]; nothing of the batch is recorded then.
    pub async fn record_scans(
        &self,
        detector: &str,
        outcomes: &[ScanOutcome],
        now_ms: i64,
    ) -> Result<(), CatalogError> {
        let Some(last) = outcomes.iter().map(|outcome| outcome.image_id.0).max() else { return Ok(()) };
        let failed = || CatalogError::database("record found faces");
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Scan).await.map_err(failed())?;
        while enqueue(&mut work, detector, last).await.map_err(failed())? > 0 {}
        let ends = outcomes.iter().map(|outcome| (outcome.image_id, outcome.status.name(), &outcome.error));
        let ended = work
            .fetch(
                "update face_scan set status = ended.value ->> 1, error = ended.value ->> 2, lease_end_ms = null,
                     worker = null, scanned_ms = $2
                 from json_each($1) as ended
                 where detector = $3 and image_id = cast(ended.value ->> 0 as bigint) and status is null
                 returning image_id",
                vec![batch(ends), now_ms.into(), detector.into()],
            )
            .await
            .map_err(failed())?;
        // An image that stands twice in the batch is recorded once.
        let mut fresh: HashSet<i64> = ended.iter().map(|row| row.int(0)).collect::<Result<_, _>>()?;
        let kept: Vec<&ScanOutcome> = outcomes.iter().filter(|outcome| fresh.remove(&outcome.image_id.0)).collect();
        record_looks(&mut work, &kept).await.map_err(failed())?;
        record_unusable(&mut work, &kept).await.map_err(failed())?;
        insert_found_faces(&mut work, detector, &kept, now_ms).await.map_err(failed())?;
        update_given_faces(&mut work, &kept).await.map_err(failed())?;
        work.commit().await.map_err(failed())
    }

    /// How far `detector` is. Withdrawn images that nobody looked at are not pending.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn face_scan(&self, detector: &str) -> Result<FaceScan, CatalogError> {
        let failed = || CatalogError::database("count searched images");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select (select count(*) from image where withdrawn_ms is null and dropped_ms is null),
                        (select count(*) from face_scan cross join image where detector = $1 and lease_end_ms > 0
                            and image.id = face_scan.image_id and withdrawn_ms is null and dropped_ms is null),
                        (select count(*) from face_scan where detector = $1 and status = 'found'),
                        (select count(*) from face_scan where detector = $1 and status = 'no-face'),
                        (select count(*) from face_scan where detector = $1 and status = 'unreadable'),
                        (select count(*) from face),
                        (select count(*) from image cross join face_scan
                            where (withdrawn_ms is not null or dropped_ms is not null) and detector = $1 and face_scan.image_id = image.id and status is not null)",
                vec![detector.into()],
            )
            .await
            .map_err(failed())?;
        let Some(row) = rows.first() else { return Ok(FaceScan::default()) };
        let (leased, found, no_face, unreadable) = (row.count(1)?, row.count(2)?, row.count(3)?, row.count(4)?);
        let done = found + no_face + unreadable - row.count(6)?;
        let pending = row.count(0)?.saturating_sub(leased + done);
        Ok(FaceScan { pending, leased, found, no_face, unreadable, faces: row.count(5)? })
    }

    /// Faces given by the data in these images, by image and face id.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_given_faces(&self, images: &[ImageId]) -> Result<Vec<FaceRow>, CatalogError> {
        let failed = || CatalogError::database("list given faces");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select id, image_id, origin, x, y, width, height, score, landmarks, size_px, sharpness, brightness,
                        yaw_degrees, pitch_degrees, roll_degrees, crop_sha256
                 from face
                 where image_id in (select cast(value ->> 0 as bigint) from json_each($1)) and origin = 'given'
                 order by image_id, id",
                vec![batch(images.iter().map(|image| [image]))],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(super::labels::face_row).collect()
    }
}

/// Opens the scan of images this detector has never met, up to image `last`; says how many were opened.
/// Images get their numbers in the order they become visible (imports take turns), so none is passed over.
pub(super) async fn enqueue(work: &mut Work, detector: &str, last: i64) -> Result<u64, sqlx::Error> {
    work.execute(
        "insert into face_scan (detector, image_id)
         select cast($1 as text), id from image
         where id > (select coalesce(max(image_id), 0) from face_scan where detector = $1) and id <= $2
         order by id limit $3
         on conflict (detector, image_id) do nothing",
        vec![detector.into(), last.into(), ENQUEUE_STEP.into()],
    )
    .await
}

/// A statement that engines need in two forms: only PostgreSQL has row locks, and only this form of it is planned
/// as a look-up of the rows instead of a scan of the table.
#[derive(Clone, Copy)]
pub(super) struct Claim {
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
}

const CLAIM_OLDEST: Claim = Claim {
    sqlite: "update face_scan set worker = $2, lease_end_ms = $3
         where detector = $1 and image_id in (
             select image_id from face_scan as due
             where due.detector = $1 and due.lease_end_ms <= $4 and not exists (
                 select 1 from image where image.id = due.image_id
                     and (withdrawn_ms is not null or dropped_ms is not null))
             order by due.lease_end_ms, due.image_id limit $5)
         returning image_id",
    postgres: "update face_scan set worker = $2, lease_end_ms = $3
         where detector = $1 and image_id = any(array(
             select image_id from face_scan as due
             where due.detector = $1 and due.lease_end_ms <= $4 and not exists (
                 select 1 from image where image.id = due.image_id
                     and (withdrawn_ms is not null or dropped_ms is not null))
             order by due.lease_end_ms, due.image_id limit $5 for update of due skip locked))
         returning image_id",
};

/// What images look like that were fetched and had not been decoded.
async fn record_looks(work: &mut Work, outcomes: &[&ScanOutcome]) -> Result<(), sqlx::Error> {
    let looks = outcomes.iter().filter_map(|outcome| Some((outcome.image_id, outcome.phash?.0.cast_signed())));
    work.execute(
        "update image set phash = cast(new.value ->> 1 as bigint), phash_known = 1 from json_each($1) as new
         where image.id = cast(new.value ->> 0 as bigint) and phash_known = 0",
        vec![batch(looks)],
    )
    .await
    .map(drop)
}

async fn record_unusable(work: &mut Work, outcomes: &[&ScanOutcome]) -> Result<(), sqlx::Error> {
    let unusable: Vec<_> =
        outcomes.iter().filter_map(|outcome| Some((outcome.image_id, outcome.unusable?.name()))).collect();
    if unusable.is_empty() {
        return Ok(());
    }
    work.execute(
        "update image set unusable = new.value ->> 1 from json_each($1) as new
         where image.id = cast(new.value ->> 0 as bigint)",
        vec![batch(unusable)],
    )
    .await
    .map(drop)
}

async fn insert_found_faces(
    work: &mut Work,
    detector: &str,
    outcomes: &[&ScanOutcome],
    now_ms: i64,
) -> Result<(), sqlx::Error> {
    let faces = outcomes.iter().flat_map(|outcome| {
        outcome.faces.iter().map(|face| {
            let at = face.bounding_box;
            (outcome.image_id, at.x, at.y, at.width, at.height, Seen::of(face))
        })
    });
    work.execute(
        "insert into face (image_id, origin, x, y, width, height, score, landmarks, size_px, sharpness, brightness,
             yaw_degrees, pitch_degrees, roll_degrees, crop_sha256, given_split, created_ms)
         select cast(value ->> 0 as bigint), $2, cast(value ->> 1 as double precision),
                cast(value ->> 2 as double precision), cast(value ->> 3 as double precision),
                cast(value ->> 4 as double precision), cast(value -> 5 ->> 0 as double precision), value -> 5 ->> 1,
                cast(value -> 5 ->> 2 as double precision), cast(value -> 5 ->> 3 as double precision),
                cast(value -> 5 ->> 4 as double precision), cast(value -> 5 ->> 5 as double precision),
                cast(value -> 5 ->> 6 as double precision), cast(value -> 5 ->> 7 as double precision),
                value -> 5 ->> 8, coalesce((select max(given_split) from sighting
                    where sighting.image_id = cast(value ->> 0 as bigint)), -1), $3
         from json_each($1) as new
         where true
         order by key
         on conflict (image_id, origin, x, y, width, height) do nothing",
        vec![batch(faces), detector.into(), now_ms.into()],
    )
    .await
    .map(drop)
}

async fn update_given_faces(work: &mut Work, outcomes: &[&ScanOutcome]) -> Result<(), sqlx::Error> {
    let updates: Vec<_> = outcomes
        .iter()
        .flat_map(|outcome| &outcome.updates)
        .filter_map(|update| update.found.as_ref().map(|found| (update.face_id, Seen::of(found))))
        .collect();
    if updates.is_empty() {
        return Ok(());
    }
    work.execute(
        "update face set score = cast(value -> 1 ->> 0 as double precision),
             landmarks = coalesce(landmarks, value -> 1 ->> 1),
             size_px = cast(value -> 1 ->> 2 as double precision),
             sharpness = cast(value -> 1 ->> 3 as double precision),
             brightness = cast(value -> 1 ->> 4 as double precision),
             yaw_degrees = cast(value -> 1 ->> 5 as double precision),
             pitch_degrees = cast(value -> 1 ->> 6 as double precision),
             roll_degrees = cast(value -> 1 ->> 7 as double precision),
             crop_sha256 = value -> 1 ->> 8
         from json_each($1) as seen where face.id = cast(seen.value ->> 0 as bigint)",
        vec![batch(updates)],
    )
    .await
    .map(drop)
}

/// What a detector adds to a box: score, landmarks, the six figures of quality, crop.
#[derive(serde::Serialize)]
struct Seen<'a>(f32, String, f32, f32, f32, f32, f32, f32, Option<&'a str>);

impl Seen<'_> {
    fn of(face: &DetectedFace) -> Seen<'_> {
        let quality = &face.quality;
        Seen(
            face.score,
            face.landmarks.to_text(),
            quality.size_px,
            quality.sharpness,
            quality.brightness,
            quality.yaw_degrees,
            quality.pitch_degrees,
            quality.roll_degrees,
            face.crop_sha256.as_ref().map(|hash| hash.as_str()),
        )
    }
}

/// Reads the eight columns of an image from column `first` on.
pub(super) fn image_row(row: &Row, first: usize) -> Result<ImageRow, CatalogError> {
    Ok(ImageRow {
        id: ImageId(row.int(first)?),
        image: NewImage {
            sha256: row.sha256(first + 1)?,
            phash: PerceptualHash(row.int(first + 2)?.cast_unsigned()),
            width: row.unsigned(first + 3)?,
            height: row.unsigned(first + 4)?,
            format: row.text(first + 5)?,
            size_bytes: row.count(first + 6)?,
        },
        withdrawn_ms: row.optional_int(first + 7)?,
    })
}

//! What can be offered to workers on many machines, and which part of it does one of them take?
//!
//! Whatever a queue between them loses, repeats or delays: who holds what, and what is done, stands here alone.

use affectory_again::again;
use affectory_core::ImageId;

use super::scan::{Claim, enqueue};
use crate::collection::{OldestOpen, OpenHost, OpenHosts};
use crate::database::{Row, Turn, Work, batch};
use crate::records::ImageRow;
use crate::{Catalog, CatalogError};

/// Leases that have ended are not looked for: [`Catalog::list_open_images`] gives them back.
const CLAIM_WITHIN: Claim = Claim {
    sqlite: "update face_scan set worker = $2, lease_end_ms = $3
         where detector = $1 and image_id in (
             select image_id from face_scan as due
             where due.detector = $1 and due.lease_end_ms = 0 and due.image_id between $4 and $5
                 and not exists (select 1 from image where image.id = due.image_id
                     and (withdrawn_ms is not null or dropped_ms is not null))
             order by due.image_id limit $6)
         returning image_id",
    postgres: "update face_scan set worker = $2, lease_end_ms = $3
         where detector = $1 and image_id = any(array(
             select image_id from face_scan as due
             where due.detector = $1 and due.lease_end_ms = 0 and due.image_id between $4 and $5
                 and not exists (select 1 from image where image.id = due.image_id
                     and (withdrawn_ms is not null or dropped_ms is not null))
             order by due.image_id limit $6 for update of due skip locked))
         returning image_id",
};

#[again]
impl Catalog {
    /// Hosts that have something to fetch and that nobody works on, the longest due first, each with how many candidates
    /// are due, counted up to `most_counted`.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_open_hosts(
        &self,
        limit: u32,
        most_counted: u32,
        now_ms: i64,
    ) -> Result<Vec<OpenHost>, CatalogError> {
        let failed = || CatalogError::database("list hosts that are due");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select open.name,
                        (select count(*) from (select 1 from candidate
                            where candidate.host = open.name and next_attempt_ms <= $1 limit $3) as due),
                        (select id from candidate where candidate.host = open.name and next_attempt_ms <= $1
                            order by next_attempt_ms, id limit 1)
                 from (select name, due_ms from host where due_ms <= $1 and lease_end_ms <= $1
                       order by due_ms, name limit $2) as open
                 order by open.due_ms, open.name",
                vec![now_ms.into(), i64::from(limit).into(), i64::from(most_counted).into()],
            )
            .await
            .map_err(failed())?;
        let host = |row: &Row| Ok(OpenHost { name: row.text(0)?, n_due: row.count(1)?, first: row.optional_int(2)? });
        rows.iter().map(host).collect()
    }

    /// Leases those of the named hosts that are due and free; says which.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn claim_named_hosts(
        &self,
        worker: &str,
        names: &[String],
        now_ms: i64,
        lease_ms: i64,
    ) -> Result<Vec<String>, CatalogError> {
        let names = batch(names.iter().map(|name| [name]));
        let statement = "update host set worker = $1, lease_end_ms = $3
             where due_ms <= $2 and lease_end_ms <= $2 and name in (select value ->> 0 from json_each($4))
             returning name";
        let values = [worker.into(), now_ms.into(), (now_ms + lease_ms).into(), names];
        self.lease_hosts(statement, &values).await
    }

    /// Images after `after` that wait for a detector and that nobody works on, by their numbers. Leases that have ended
    /// are given back first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_open_images(
        &self,
        detector: &str,
        after: ImageId,
        limit: u32,
        now_ms: i64,
    ) -> Result<Vec<ImageId>, CatalogError> {
        let failed = || CatalogError::database("list images that wait");
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Scan).await.map_err(failed())?;
        while enqueue(&mut work, detector, i64::MAX).await.map_err(failed())? > 0 {}
        work.execute(
            "update face_scan set worker = null, lease_end_ms = 0
             where detector = $1 and lease_end_ms > 0 and lease_end_ms <= $2",
            vec![detector.into(), now_ms.into()],
        )
        .await
        .map_err(failed())?;
        let rows = work
            .fetch(
                "select image_id from face_scan
                 where detector = $1 and lease_end_ms = 0 and image_id > $2 and not exists (
                     select 1 from image where image.id = image_id
                         and (withdrawn_ms is not null or dropped_ms is not null))
                 order by image_id limit $3",
                vec![detector.into(), after.0.into(), i64::from(limit).into()],
            )
            .await
            .map_err(failed())?;
        work.commit().await.map_err(failed())?;
        rows.iter().map(|row| row.int(0).map(ImageId)).collect()
    }

    /// As [`Catalog::claim_images`], of the images from `first` to `last` alone.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn claim_images_within(
        &self,
        (detector, worker): (&str, &str),
        (first, last): (ImageId, ImageId),
        limit: u32,
        (now_ms, lease_ms): (i64, i64),
    ) -> Result<Vec<ImageRow>, CatalogError> {
        let values = [
            detector.into(),
            worker.into(),
            (now_ms + lease_ms).into(),
            first.0.into(),
            last.0.into(),
            i64::from(limit).into(),
        ];
        let claimed = self.lease_images(CLAIM_WITHIN, &values).await?;
        self.list_claimed(&claimed).await
    }

    /// How many hosts are due, and how many are in somebody's hands.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_open_hosts(&self, now_ms: i64) -> Result<OpenHosts, CatalogError> {
        let failed = || CatalogError::database("count hosts that are due");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select (select count(*) from host where due_ms <= $1 and lease_end_ms <= $1),
                        (select count(*) from host where worker is not null and lease_end_ms > $1),
                        (select min(case when lease_end_ms > due_ms then lease_end_ms else due_ms end) from host
                            where due_ms is not null and (worker is null or lease_end_ms <= $1))",
                vec![now_ms.into()],
            )
            .await
            .map_err(failed())?;
        let Some(row) = rows.first() else { return Ok(OpenHosts::default()) };
        Ok(OpenHosts { due: row.count(0)?, leased: row.count(1)?, next_due_ms: row.optional_int(2)? })
    }

    /// Since when the oldest things have been open that nobody works on.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn oldest_open(&self, detector: &str, now_ms: i64) -> Result<OldestOpen, CatalogError> {
        let failed = || CatalogError::database("look for the oldest open work");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select (select min(due_ms) from host where due_ms <= $2 and lease_end_ms <= $2),
                        (select first_seen_ms from image where id > (
                            select coalesce(max(image_id), 0) from face_scan where detector = $1)
                            and withdrawn_ms is null and dropped_ms is null order by id limit 1),
                        (select image.first_seen_ms from face_scan join image on image.id = face_scan.image_id
                            where detector = $1 and lease_end_ms = 0 and withdrawn_ms is null and dropped_ms is null
                            order by face_scan.image_id limit 1),
                        (select min(created_ms) from letter where sent_ms is null and next_attempt_ms is not null),
                        (select count(*) from letter where sent_ms is null and next_attempt_ms is not null)",
                vec![detector.into(), now_ms.into()],
            )
            .await
            .map_err(failed())?;
        let Some(row) = rows.first() else { return Ok(OldestOpen::default()) };
        Ok(OldestOpen {
            host_ms: row.optional_int(0)?,
            // Opened for the detector or not yet.
            image_ms: row.optional_int(2)?.or(row.optional_int(1)?),
            letter_ms: row.optional_int(3)?,
            n_letters: row.count(4)?,
        })
    }

    /// By how much the clock that `now_ms` reads is ahead of the database's, ms; `None` on SQLite, which has none. Leases are
    /// written and read by many machines' clocks.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn clock_ahead_ms(&self, now_ms: impl Fn() -> i64) -> Result<Option<i64>, CatalogError> {
        let failed = || CatalogError::database("ask the database for the time");
        let mut work = self.database.read().await.map_err(failed())?;
        if let Work::Sqlite(..) = work {
            return Ok(None);
        }
        let sql = "select cast(extract(epoch from clock_timestamp()) * 1000 as bigint)";
        let rows = work.fetch(sql, vec![]).await.map_err(failed())?;
        let now_ms = now_ms();
        rows.first().map(|row| Ok(now_ms - row.int(0)?)).transpose()
    }
}

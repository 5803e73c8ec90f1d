//! Which files of a release are delivered, who took them, and who therefore has which picture?

use affectory_again::again;
use affectory_core::{AccountId, DownloadId, GrantId, PackageId, ReleaseId, Sha256Hex};

use crate::database::{Row, Value, Work};
use crate::portal::{DeliveryRow, DownloadEvent, DownloadRow, Holder, PackageRow, Student};
use crate::{Catalog, CatalogError};

#[again]
impl Catalog {
    /// Images of a release that were withdrawn.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_withdrawn(&self, release: ReleaseId) -> Result<u64, CatalogError> {
        let rows = self
            .rows(
                "count withdrawn images",
                "select count(*) from image where withdrawn_ms is not null and exists (
                    select 1 from release_item where image_id = image.id and release_id = $1)",
                vec![release.0.into()],
            )
            .await?;
        rows.first().map_or(Ok(0), |row| row.count(0))
    }

    /// The newest package of a release.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_package(&self, release: ReleaseId) -> Result<Option<PackageRow>, CatalogError> {
        let rows = self
            .rows(
                "look for a package",
                "select id, release_id, revision, n_withdrawn, size_bytes, built_ms from package
                 where release_id = $1 order by revision desc limit 1",
                vec![release.0.into()],
            )
            .await?;
        rows.first().map(package_row).transpose()
    }

    /// Records a package that lies on the disk.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn record_package(
        &self,
        release: ReleaseId,
        revision: u64,
        n_withdrawn: u64,
        size_bytes: u64,
        now_ms: i64,
    ) -> Result<PackageRow, CatalogError> {
        let failed = || CatalogError::database("record a package");
        let mut work = self.database.write().await.map_err(failed())?;
        let rows = work
            .fetch(
                "insert into package (release_id, revision, n_withdrawn, size_bytes, built_ms)
                 values ($1, $2, $3, $4, $5) returning id, release_id, revision, n_withdrawn, size_bytes, built_ms",
                vec![
                    release.0.into(),
                    revision.cast_signed().into(),
                    n_withdrawn.cast_signed().into(),
                    size_bytes.cast_signed().into(),
                    now_ms.into(),
                ],
            )
            .await
            .map_err(failed())?;
        work.commit().await.map_err(failed())?;
        rows.first().map_or_else(|| Err(CatalogError::Corrupt("a package without a row".into())), package_row)
    }

    /// Grants whose copy of a package is prepared.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_deliveries(&self, package: PackageId) -> Result<Vec<GrantId>, CatalogError> {
        let sql = "select access_grant_id from delivery where package_id = $1";
        let rows = self.rows("read deliveries", sql, vec![package.0.into()]).await?;
        rows.iter().map(|row| row.int(0).map(GrantId)).collect()
    }

    /// Records a recipient's copy; one that is there stays.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn record_delivery(
        &self,
        grant: GrantId,
        package: PackageId,
        delivery: &DeliveryRow,
        now_ms: i64,
    ) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("record a delivery");
        let mut work = self.database.write().await.map_err(failed())?;
        work.execute(
            "insert into delivery (access_grant_id, package_id, archive_sha256, archive_bytes, manifest_sha256,
                manifest_bytes, prepared_ms)
             values ($1, $2, $3, $4, $5, $6, $7) on conflict (access_grant_id, package_id) do nothing",
            vec![
                grant.0.into(),
                package.0.into(),
                delivery.archive_sha256.as_str().into(),
                delivery.archive_bytes.cast_signed().into(),
                delivery.manifest_sha256.as_str().into(),
                delivery.manifest_bytes.cast_signed().into(),
                now_ms.into(),
            ],
        )
        .await
        .map_err(failed())?;
        work.commit().await.map_err(failed())
    }

    /// A recipient's copy of a release as it is delivered now; `None` while it is being prepared.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_delivery(&self, grant: GrantId) -> Result<Option<(PackageRow, DeliveryRow)>, CatalogError> {
        let rows = self
            .rows(
                "look for a delivery",
                "select package.id, package.release_id, revision, n_withdrawn, size_bytes, built_ms, archive_sha256,
                        archive_bytes, manifest_sha256, manifest_bytes
                 from access_grant
                 join package on package.release_id = access_grant.release_id
                 join delivery on delivery.package_id = package.id and access_grant_id = access_grant.id
                 where access_grant.id = $1 and revision = (
                    select max(revision) from package as newest where newest.release_id = access_grant.release_id)",
                vec![grant.0.into()],
            )
            .await?;
        let found = |row: &Row| {
            let delivery = DeliveryRow {
                archive_sha256: row.sha256(6)?,
                archive_bytes: row.count(7)?,
                manifest_sha256: row.sha256(8)?,
                manifest_bytes: row.count(9)?,
            };
            Ok((package_row(row)?, delivery))
        };
        rows.first().map(found).transpose()
    }

    /// Writes into the log of downloads that some begin and some have ended, all in one transaction. Says the row of each,
    /// in the same order.
    ///
    /// # Errors
    /// [`CatalogError::Database`]; then none of them is written.
    pub async fn record_downloads(&self, events: &[DownloadEvent]) -> Result<Vec<DownloadId>, CatalogError> {
        let failed = || CatalogError::database("record downloads");
        let mut work = self.database.write().await.map_err(failed())?;
        let mut ids = Vec::with_capacity(events.len());
        for event in events {
            match event {
                DownloadEvent::Begun { grant, account, package, file, first_byte, n_bytes, at_ms } => {
                    let rows = work
                        .fetch(
                            "insert into download (access_grant_id, account_id, package_id, file, first_byte, n_bytes,
                                started_ms)
                             values ($1, $2, $3, $4, $5, $6, $7) returning id",
                            vec![
                                grant.0.into(),
                                account.0.into(),
                                package.0.into(),
                                file.as_str().into(),
                                first_byte.cast_signed().into(),
                                n_bytes.cast_signed().into(),
                                (*at_ms).into(),
                            ],
                        )
                        .await
                        .map_err(failed())?;
                    let row = rows.first().ok_or_else(|| CatalogError::Corrupt("a download without a row".into()))?;
                    ids.push(DownloadId(row.int(0)?));
                }
                DownloadEvent::Ended { id, sent_bytes, at_ms } => {
                    let values = vec![id.0.into(), sent_bytes.cast_signed().into(), (*at_ms).into()];
                    work.execute("update download set sent_bytes = $2, ended_ms = $3 where id = $1", values)
                        .await
                        .map_err(failed())?;
                    ids.push(*id);
                }
            }
        }
        work.commit().await.map_err(failed())?;
        Ok(ids)
    }

    /// Bytes that were asked for under a grant since a time, where none are known to have gone out; else those that did.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_downloaded(&self, grant: GrantId, since_ms: i64) -> Result<u64, CatalogError> {
        let sql = "select cast(coalesce(sum(coalesce(sent_bytes, n_bytes)), 0) as bigint) from download
                   where access_grant_id = $1 and started_ms >= $2";
        let rows = self.rows("count downloads", sql, vec![grant.0.into(), since_ms.into()]).await?;
        rows.first().map_or(Ok(0), |row| row.count(0))
    }

    /// Downloads under a grant, newest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_downloads(&self, grant: GrantId, limit: u32) -> Result<Vec<DownloadRow>, CatalogError> {
        let sql = "select download.id, access_grant_id, account_id, revision, file, first_byte, n_bytes, sent_bytes,
                          started_ms
                   from download join package on package.id = package_id
                   where access_grant_id = $1 order by download.id desc limit $2";
        let rows = self.rows("read downloads", sql, vec![grant.0.into(), i64::from(limit).into()]).await?;
        let download = |row: &Row| {
            Ok(DownloadRow {
                id: DownloadId(row.int(0)?),
                grant_id: GrantId(row.int(1)?),
                account_id: AccountId(row.int(2)?),
                revision: row.count(3)?,
                file: row.text(4)?,
                first_byte: row.count(5)?,
                n_bytes: row.count(6)?,
                sent_bytes: row.optional_int(7)?.map(i64::cast_unsigned),
                started_ms: row.int(8)?,
            })
        };
        rows.iter().map(download).collect()
    }

    /// Who has a copy of a picture.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_holders(&self, sha256: &Sha256Hex) -> Result<Vec<Holder>, CatalogError> {
        let failed = || CatalogError::database("look for who has a picture");
        let mut work = self.database.read().await.map_err(failed())?;
        let values = vec![sha256.as_str().into()];
        let rows = work.fetch("select id from image where sha256 = $1", values).await.map_err(failed())?;
        match rows.first() {
            Some(row) => holders(&mut work, row.int(0)?).await,
            None => Ok(vec![]),
        }
    }

    async fn rows(
        &self,
        action: &'static str,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, CatalogError> {
        let mut work = self.database.read().await.map_err(CatalogError::database(action))?;
        work.fetch(sql, values.clone()).await.map_err(CatalogError::database(action))
    }
}

/// Who began to download an archive of a release with that image, before it was withdrawn.
pub(super) async fn holders(work: &mut Work, image_id: i64) -> Result<Vec<Holder>, CatalogError> {
    let rows = work
        .fetch(
            "select access_grant.id, release.name, account.name, account.email, max(started_ms)
             from release_item
             join release on release.id = release_item.release_id
             join access_grant on access_grant.release_id = release.id
             join account on account.id = access_grant.account_id
             join download on download.access_grant_id = access_grant.id
             join package on package.id = download.package_id
             join image on image.id = release_item.image_id
             where release_item.image_id = $1 and (withdrawn_ms is null or package.built_ms <= withdrawn_ms)
             group by access_grant.id, release.name, account.name, account.email
             order by access_grant.id",
            vec![image_id.into()],
        )
        .await
        .map_err(CatalogError::database("look for who has a picture"))?;
    let holder = |row: &Row| {
        Ok(Holder {
            grant_id: GrantId(row.int(0)?),
            release: row.text(1)?,
            person: Student { name: row.text(2)?, email: row.text(3)? },
            last_ms: row.int(4)?,
        })
    };
    rows.iter().map(holder).collect()
}

fn package_row(row: &Row) -> Result<PackageRow, CatalogError> {
    Ok(PackageRow {
        id: PackageId(row.int(0)?),
        release_id: ReleaseId(row.int(1)?),
        revision: row.count(2)?,
        n_withdrawn: row.count(3)?,
        size_bytes: row.count(4)?,
        built_ms: row.int(5)?,
    })
}

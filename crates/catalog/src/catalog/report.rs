//! What did collecting come to? The figures of its report, added up by the database: at 1,000,000 addresses each
//! question is one pass over a table or an index.

use affectory_again::again;
use affectory_core::{ImageId, PerceptualHash};

use crate::reporting::{
    CollectionTotals, CopyCount, FetchedImageTotals, HostCount, ImageLook, LicenseCount, UnusableCount,
};
use crate::{Catalog, CatalogError};

/// Hashes read at a time.
const LOOKS: u32 = 50_000;

#[again]
impl Catalog {
    /// How large the collection is.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn collection_totals(&self) -> Result<CollectionTotals, CatalogError> {
        let failed = || CatalogError::database("count queries, hits and addresses");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select (select count(*) from query),
                        (select count(*) from search where state = 'open'),
                        (select count(*) from search where state in ('done', 'split')),
                        (select count(*) from search where state = 'failed'),
                        (select count(*) from hit), count(*), count(outcome), count(image_id),
                        (select min(created_ms) from query),
                        max(case when ended_ms > found_ms then ended_ms else found_ms end)
                 from candidate",
                vec![],
            )
            .await
            .map_err(failed())?;
        let Some(row) = rows.first() else { return Ok(CollectionTotals::default()) };
        Ok(CollectionTotals {
            queries: row.count(0)?,
            searches_open: row.count(1)?,
            searches_done: row.count(2)?,
            searches_failed: row.count(3)?,
            hits: row.count(4)?,
            addresses: row.count(5)?,
            tried: row.count(6)?,
            fetched: row.count(7)?,
            first_ms: row.optional_int(8)?,
            last_ms: row.optional_int(9)?,
        })
    }

    /// What became of the images that addresses brought. A face is usable from `usable_px` on, or if nobody measured it,
    /// in an image that is not recorded as unusable.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_fetched_images(&self, usable_px: u32) -> Result<FetchedImageTotals, CatalogError> {
        let failed = || CatalogError::database("count fetched images");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "with fetched as (select distinct image_id from candidate where image_id is not null),
                 seen as (
                     select phash_known, unusable, dropped_ms, withdrawn_ms,
                            (select count(*) from face where face.image_id = image.id) as n_faces,
                            case when unusable is null then (select count(*) from face where face.image_id = image.id
                                and (size_px is null or size_px >= cast($1 as bigint))) else 0 end as n_usable
                     from fetched cross join image where image.id = fetched.image_id),
                 step as (
                     select seen.*, case when phash_known = 1 and n_faces > 0 then 1 else 0 end as has_face,
                            case when phash_known = 1 and n_usable > 0 then 1 else 0 end as is_usable,
                            case when phash_known = 1 and n_usable > 0 and dropped_ms is null and withdrawn_ms is null
                                then 1 else 0 end as is_kept
                     from seen)
                 select count(*), cast(coalesce(sum(phash_known), 0) as bigint),
                        cast(coalesce(sum(has_face), 0) as bigint), cast(coalesce(sum(is_usable), 0) as bigint),
                        cast(coalesce(sum(is_kept), 0) as bigint),
                        count(case when phash_known = 0 and unusable is null then 1 end), count(dropped_ms),
                        count(withdrawn_ms), cast(coalesce(sum(n_faces), 0) as bigint),
                        cast(coalesce(sum(n_usable), 0) as bigint)
                 from step",
                vec![i64::from(usable_px).into()],
            )
            .await
            .map_err(failed())?;
        let Some(row) = rows.first() else { return Ok(FetchedImageTotals::default()) };
        Ok(FetchedImageTotals {
            images: row.count(0)?,
            decoded: row.count(1)?,
            with_face: row.count(2)?,
            usable: row.count(3)?,
            kept: row.count(4)?,
            waiting: row.count(5)?,
            dropped: row.count(6)?,
            withdrawn: row.count(7)?,
            faces: row.count(8)?,
            usable_faces: row.count(9)?,
        })
    }

    /// Fetched images without a usable face, by reason.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_unusable(&self) -> Result<Vec<UnusableCount>, CatalogError> {
        let failed = || CatalogError::database("count unusable images");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select unusable, count(*), count(dropped_ms) from image
                 where unusable is not null and exists (select 1 from candidate where candidate.image_id = image.id)
                 group by unusable order by unusable",
                vec![],
            )
            .await
            .map_err(failed())?;
        rows.iter()
            .map(|row| Ok(UnusableCount { reason: row.text(0)?, images: row.count(1)?, dropped: row.count(2)? }))
            .collect()
    }

    /// Images by the number of addresses that brought them.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_copies(&self) -> Result<Vec<CopyCount>, CatalogError> {
        let failed = || CatalogError::database("count the addresses of images");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select n_addresses, count(*)
                 from (select count(*) as n_addresses from candidate where image_id is not null group by image_id)
                     as copy
                 group by n_addresses order by n_addresses",
                vec![],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(|row| Ok(CopyCount { addresses: row.count(0)?, images: row.count(1)? })).collect()
    }

    /// What fetched and decoded images look like, in the order of their ids, after `after`.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_looks(&self, after: ImageId, limit: u32) -> Result<Vec<ImageLook>, CatalogError> {
        let failed = || CatalogError::database("list perceptual hashes");
        let mut work = self.database.read_a_page().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select id, phash,
                     cast(case when withdrawn_ms is null and dropped_ms is null then 1 else 0 end as bigint)
                 from image
                 where id > $1 and phash_known = 1
                     and exists (select 1 from candidate where candidate.image_id = image.id)
                 order by id limit $2",
                vec![after.0.into(), i64::from(limit).into()],
            )
            .await
            .map_err(failed())?;
        rows.iter()
            .map(|row| {
                let phash = PerceptualHash(row.int(1)?.cast_unsigned());
                Ok(ImageLook { image_id: ImageId(row.int(0)?), phash, is_kept: row.int(2)? == 1 })
            })
            .collect()
    }

    /// [`Catalog::list_looks`] to its end.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_all_looks(&self) -> Result<Vec<ImageLook>, CatalogError> {
        let mut looks: Vec<ImageLook> = Vec::new();
        loop {
            let after = looks.last().map_or(ImageId(0), |look| look.image_id);
            let page = self.list_looks(after, LOOKS).await?;
            if page.is_empty() {
                return Ok(looks);
            }
            looks.extend(page);
        }
    }

    /// Addresses by licence, the most frequent first. An address that engines state several licences of counts for each.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_licenses(&self) -> Result<Vec<LicenseCount>, CatalogError> {
        let failed = || CatalogError::database("count licences");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select stated.license, count(*), count(image_id)
                 from (select license, candidate_id from hit group by candidate_id, license) as stated
                     join candidate on candidate.id = stated.candidate_id
                 group by stated.license
                 order by count(*) desc, min(candidate.id)",
                vec![],
            )
            .await
            .map_err(failed())?;
        rows.iter()
            .map(|row| {
                Ok(LicenseCount { license: row.optional_text(0)?, addresses: row.count(1)?, fetched: row.count(2)? })
            })
            .collect()
    }

    /// The `limit` hosts with most addresses, and how many hosts there are.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_top_hosts(&self, limit: u32) -> Result<(Vec<HostCount>, u64), CatalogError> {
        let failed = || CatalogError::database("count addresses by host");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "with top as (
                     select host, count(*) as n_addresses, count(image_id) as n_fetched, min(id) as first_id,
                            count(case when state = 'rejected' then 1 end) as n_refused,
                            count(case when state = 'failed' then 1 end) as n_failed, count(*) over () as n_hosts
                     from candidate group by host order by n_addresses desc, first_id limit $1),
                 timed as (
                     select candidate.host, elapsed_ms, count(*) over (partition by candidate.host) as n,
                            row_number() over (partition by candidate.host order by elapsed_ms) as nth
                     from candidate where elapsed_ms is not null and host in (select host from top))
                 select top.host, n_addresses, n_fetched, n_refused, n_failed, elapsed_ms, n_hosts
                 from top left join timed on timed.host = top.host and nth = (n + 1) / 2
                 order by n_addresses desc, first_id",
                vec![i64::from(limit).into()],
            )
            .await
            .map_err(failed())?;
        let n_hosts = rows.first().map_or(Ok(0), |row| row.count(6))?;
        let hosts: Result<Vec<HostCount>, CatalogError> = rows
            .iter()
            .map(|row| {
                Ok(HostCount {
                    host: row.text(0)?,
                    addresses: row.count(1)?,
                    fetched: row.count(2)?,
                    refused: row.count(3)?,
                    failed: row.count(4)?,
                    median_ms: row.optional_int(5)?.map(i64::unsigned_abs),
                })
            })
            .collect();
        Ok((hosts?, n_hosts))
    }
}

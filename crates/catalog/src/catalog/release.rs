//! Which releases were built, of what, and which of them hold an image that was withdrawn since?

use affectory_again::again;
use affectory_core::{PoolId, ReleaseId, Sha256Hex};

use super::audit::{COMMAND_LINE, Entry, append};
use super::downloads::holders;
use super::letters::queue;
use super::pools::recount_pool;
use crate::database::{Row, Turn, Value, Work, batch, split_rank};
use crate::portal::{Holder, NewLetter};
use crate::records::{NewRelease, ReleaseItemRow, ReleaseRow};
use crate::{Catalog, CatalogError};

/// Stands for a manifest's hash inside the transaction, which ends with the hash.
const NOT_YET: &str = "0000000000000000000000000000000000000000000000000000000000000000";

#[again]
impl Catalog {
    /// Records a release and its items in one transaction, with an audit entry. The items are recorded while the manifest is
    /// being written, and the release when it is, and `manifest` says its hash; it may be asked more than once. On SQLite, which
    /// has one writer, all others wait meanwhile; the items take longer than the manifest.
    ///
    /// # Errors
    /// [`CatalogError::ReleaseExists`]; [`CatalogError::Database`], and nothing is recorded then.
    pub async fn record_release(
        &self,
        release: &NewRelease,
        items: &[ReleaseItemRow],
        manifest: impl AsyncFn() -> Sha256Hex,
        now_ms: i64,
    ) -> Result<ReleaseRow, CatalogError> {
        let failed = || CatalogError::database("record a release");
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_time().await.map_err(failed())?;
        let values = vec![
            Value::from(release.name.as_str()),
            Value::from(NOT_YET),
            Value::from(release.seed.cast_signed()),
            Value::from(release.labels.as_str()),
            Value::from(release.parameters.as_str()),
            Value::from(items.len() as i64),
            Value::from(now_ms),
        ];
        let inserted = work
            .fetch(
                "insert into release (name, manifest_sha256, seed, labels, parameters, n_items, built_ms)
                 values ($1, $2, $3, $4, $5, $6, $7) on conflict (name) do nothing returning id",
                values,
            )
            .await
            .map_err(failed())?;
        let Some(row) = inserted.first() else { return Err(CatalogError::ReleaseExists(release.name.clone())) };
        let id = row.int(0)?;
        // Pieces keep the JSON of a release of a million faces from being built at once. The next one is built while the
        // database has this one.
        let mut pieces = items.chunks(50_000).map(item_rows);
        let mut piece = pieces.next();
        let mut n_recorded = 0;
        while let Some(rows) = piece {
            let insert = work.execute(
                "insert into release_item (release_id, item_idx, face_id, image_id, split, expression)
                 select $2, cast(value ->> 0 as bigint), face.id, face.image_id, cast(value ->> 2 as bigint),
                        cast(value ->> 3 as bigint)
                 from json_each($1) as new cross join face where face.id = cast(value ->> 1 as bigint)",
                vec![rows, Value::from(id)],
            );
            let (inserted, next) = tokio::join!(insert, async { pieces.next() });
            n_recorded += inserted.map_err(failed())?;
            piece = next;
        }
        if n_recorded != items.len() as u64 {
            return Err(CatalogError::Corrupt("a release with faces that are not there".into()));
        }
        let manifest_sha256 = manifest().await;
        work.execute(
            "update release set manifest_sha256 = $2 where id = $1",
            vec![Value::from(id), Value::from(manifest_sha256.as_str())],
        )
        .await
        .map_err(failed())?;
        let entry = Entry {
            actor: COMMAND_LINE,
            action: "release build",
            subject: &release.name,
            detail: manifest_sha256.as_str(),
            time_ms: now_ms,
        };
        // Not before: the log is everybody's, and ten million items take minutes.
        work.take_turn(Turn::Audit).await.map_err(failed())?;
        append(&mut work, &entry).await?;
        work.commit().await.map_err(failed())?;
        let n_items = items.len() as u64;
        Ok(ReleaseRow { id: ReleaseId(id), release: release.clone(), manifest_sha256, n_items, built_ms: now_ms })
    }

    /// All releases, oldest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_releases(&self) -> Result<Vec<ReleaseRow>, CatalogError> {
        let failed = || CatalogError::database("list releases");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select id, name, manifest_sha256, seed, labels, parameters, n_items, built_ms from release order by id",
                vec![],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(release_row).collect()
    }

    /// The release of that name.
    ///
    /// # Errors
    /// [`CatalogError::NoRelease`] with the names that exist.
    pub async fn find_release(&self, name: &str) -> Result<ReleaseRow, CatalogError> {
        let releases = self.list_releases().await?;
        let known: Vec<&str> = releases.iter().map(|row| row.release.name.as_str()).collect();
        let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
        let found = releases.into_iter().find(|row| row.release.name == name);
        found.ok_or_else(|| CatalogError::NoRelease { name: name.to_owned(), known })
    }

    /// As [`Catalog::withdraw_image_telling`], at the command line, and nobody is written to.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn withdraw_image(
        &self,
        sha256: &Sha256Hex,
        reason: &str,
        now_ms: i64,
    ) -> Result<Option<Vec<String>>, CatalogError> {
        self.withdraw_image_telling(sha256, reason, COMMAND_LINE, |_| None, now_ms).await
    }

    /// Withdraws an image (audited); `None` if no image has that hash. Says in which releases it is. An image withdrawn
    /// before keeps its first date and reason, and the log gets no second entry. What `write` makes of everybody who has
    /// downloaded a package with it is queued in the same transaction.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn withdraw_image_telling(
        &self,
        sha256: &Sha256Hex,
        reason: &str,
        actor: &str,
        write: impl Fn(&Holder) -> Option<NewLetter> + Send + Sync,
        now_ms: i64,
    ) -> Result<Option<Vec<String>>, CatalogError> {
        let failed = || CatalogError::database("withdraw an image");
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Audit).await.map_err(failed())?;
        let known = work.fetch("select id from image where sha256 = $1", vec![sha256.as_str().into()]).await;
        let known = known.map_err(failed())?;
        let Some(row) = known.first() else { return Ok(None) };
        let image_id = row.int(0)?;
        let n_changed = work
            .execute(
                "update image set withdrawn_ms = $2, withdrawn_reason = $3 where id = $1 and withdrawn_ms is null",
                vec![image_id.into(), now_ms.into(), reason.into()],
            )
            .await
            .map_err(failed())?;
        let rows = work
            .fetch(
                "select name from release
                 where id in (select release_id from release_item where image_id = $1) order by id",
                vec![image_id.into()],
            )
            .await
            .map_err(failed())?;
        let releases = rows.iter().map(|row| row.text(0)).collect::<Result<Vec<_>, _>>()?;
        if n_changed > 0 {
            close_pool_faces(&mut work, image_id).await?;
            let entry =
                Entry { actor, action: "image withdraw", subject: sha256.as_str(), detail: reason, time_ms: now_ms };
            append(&mut work, &entry).await?;
            let letters: Vec<NewLetter> = holders(&mut work, image_id).await?.iter().filter_map(&write).collect();
            queue(&mut work, &letters, now_ms).await?;
        }
        work.commit().await.map_err(failed())?;
        Ok(Some(releases))
    }

    /// Hashes of all withdrawn images, in the order the images came.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_withdrawn(&self) -> Result<Vec<Sha256Hex>, CatalogError> {
        let failed = || CatalogError::database("list withdrawn images");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch("select sha256 from image where withdrawn_ms is not null order by id", vec![])
            .await
            .map_err(failed())?;
        rows.iter().map(|row| row.sha256(0)).collect()
    }
}

fn item_rows(items: &[ReleaseItemRow]) -> Value {
    batch(items.iter().map(|item| {
        let expression = item.expression.map(|expression| expression.index());
        (item.item_idx, item.face_id, split_rank(Some(item.split)), expression)
    }))
}

fn release_row(row: &Row) -> Result<ReleaseRow, CatalogError> {
    Ok(ReleaseRow {
        id: ReleaseId(row.int(0)?),
        release: NewRelease {
            name: row.text(1)?,
            seed: row.int(3)?.cast_unsigned(),
            labels: row.text(4)?,
            parameters: row.text(5)?,
        },
        manifest_sha256: row.sha256(2)?,
        n_items: row.count(6)?,
        built_ms: row.int(7)?,
    })
}

/// Nobody is given a face of a withdrawn image any longer, and no pool waits for it.
async fn close_pool_faces(work: &mut Work, image_id: i64) -> Result<(), CatalogError> {
    let failed = || CatalogError::database("take a withdrawn image out of pools");
    let rows = work
        .fetch(
            "update pool_face set n_open = 0, n_wanted = n_done
             where n_wanted > n_done and face_id in (select id from face where image_id = $1) returning pool_id",
            vec![image_id.into()],
        )
        .await
        .map_err(failed())?;
    let mut pools = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
    pools.sort_unstable();
    pools.dedup();
    for pool in pools {
        recount_pool(work, PoolId(pool)).await?;
    }
    Ok(())
}

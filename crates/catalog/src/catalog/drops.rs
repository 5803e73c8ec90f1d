//! Which fetched images need not be kept, and how do their bytes leave the store without a row ever being wrong?

use std::time::Duration;

use affectory_again::again;
use affectory_core::Sha256Hex;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::database::{Turn, Work, batch};
use crate::{Catalog, CatalogError, ImageStore};

/// Deletions under way at a time.
const IN_FLIGHT: usize = 16;

/// How long a store may take for the deletions of a transaction.
const PATIENCE: Duration = Duration::from_secs(20);

#[again]
impl Catalog {
    /// Takes the bytes of up to `limit` images without a usable face out of the store; says of how many, none where the
    /// store takes too long. Only images
    /// that nothing but collecting brought: no import, no annotation, no release names them.
    ///
    /// The bytes go while imports wait for the transaction, and a kill in between repeats a deletion that changes
    /// nothing: so a row says at most that something is there which is not, and only of an unusable image.
    ///
    /// # Errors
    /// [`CatalogError::Database`] or [`CatalogError::Store`].
    pub async fn drop_unusable(&self, store: &ImageStore, limit: u32, now_ms: i64) -> Result<u64, CatalogError> {
        let failed = || CatalogError::database("drop unusable images");
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Import).await.map_err(failed())?;
        let rows = work
            .fetch(
                "select id, sha256 from image
                 where unusable is not null and dropped_ms is null
                     and not exists (select 1 from sighting where sighting.image_id = image.id)
                     and not exists (select 1 from release_item where release_item.image_id = image.id)
                     and not exists (select 1 from face join annotation on annotation.face_id = face.id
                         where face.image_id = image.id)
                 order by id limit $1",
                vec![i64::from(limit).into()],
            )
            .await
            .map_err(failed())?;
        let ids: Vec<[i64; 1]> = rows.iter().map(|row| row.int(0).map(|id| [id])).collect::<Result<_, _>>()?;
        let hashes: Vec<Sha256Hex> = rows.iter().map(|row| row.sha256(1)).collect::<Result<_, _>>()?;
        if ids.is_empty() {
            return Ok(0);
        }
        let deletions = stream::iter(hashes)
            .map(|sha256| async move { store.delete(&sha256).await })
            .buffer_unordered(IN_FLIGHT)
            .try_for_each(|()| async { Ok(()) });
        // Imports wait for us: a store that is away is asked again in another transaction.
        let Ok(deleted) = tokio::time::timeout(PATIENCE, deletions).await else { return Ok(0) };
        deleted?;
        let n_dropped = work
            .execute(
                "update image set dropped_ms = $2
                 where id in (select cast(value ->> 0 as bigint) from json_each($1))",
                vec![batch(ids), now_ms.into()],
            )
            .await
            .map_err(failed())?;
        work.commit().await.map_err(failed())?;
        Ok(n_dropped)
    }
}

/// Images whose bytes somebody has just stored, or will store, are no longer dropped; says how many were. One that only
/// another address brought back stays unusable, so that it is dropped again.
pub(super) async fn undo_drops<'a>(work: &mut Work, hashes: impl Iterator<Item = &'a str>) -> Result<u64, sqlx::Error> {
    // Most projects have none.
    if work.fetch("select 1 from image where dropped_ms is not null limit 1", vec![]).await?.is_empty() {
        return Ok(0);
    }
    work.execute(
        "update image set dropped_ms = null
         where dropped_ms is not null and sha256 in (select value ->> 0 from json_each($1))",
        vec![batch(hashes.map(|sha256| [sha256]))],
    )
    .await
}

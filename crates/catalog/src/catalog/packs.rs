//! Into which packs is a release divided, and which of them are written?

use affectory_again::again;
use affectory_core::{ReleaseId, Sha256Hex, Split};

use crate::database::{Row, Value, Work, batch, split_rank};
use crate::records::{PackRow, Packing, WrittenPack};
use crate::{Catalog, CatalogError};

/// A statement that reads the six columns of [`pack`].
macro_rules! select {
    ($rest:literal) => {
        concat!("select split, number, n_images, n_bytes, sha256, made_from from pack ", $rest)
    };
}

#[again]
impl Catalog {
    /// Divides a release into so many packs a split, unless that was done before; says how it is divided.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn plan_packs(
        &self,
        release: ReleaseId,
        images_per_pack: u32,
        n_packs: &[(Split, u32)],
    ) -> Result<Packing, CatalogError> {
        let failed = || CatalogError::database("divide a release");
        let mut work = self.database.write().await.map_err(failed())?;
        // Of two that come at once the second waits here for the first, and then finds its packs.
        let n_planned = work
            .execute(
                "insert into packing (release_id, images_per_pack) values ($1, $2) on conflict (release_id) do nothing",
                vec![release.0.into(), i64::from(images_per_pack).into()],
            )
            .await
            .map_err(failed())?;
        if n_planned > 0 {
            let rows = n_packs.iter().flat_map(|(split, n)| (0..*n).map(|number| (split_rank(Some(*split)), number)));
            work.execute(
                "insert into pack (release_id, split, number)
                 select $2, cast(value ->> 0 as bigint), cast(value ->> 1 as bigint)
                 from json_each($1) as new where true order by key",
                vec![batch(rows), release.0.into()],
            )
            .await
            .map_err(failed())?;
        }
        let packing = read(&mut work, release).await?;
        work.commit().await.map_err(failed())?;
        packing.ok_or_else(|| CatalogError::Corrupt("packs without a plan".into()))
    }

    /// How a release is divided; `None` if it never was.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_packing(&self, release: ReleaseId) -> Result<Option<Packing>, CatalogError> {
        let mut work = self.database.read().await.map_err(CatalogError::database("list packs"))?;
        read(&mut work, release).await
    }

    /// Records that a pack's file is in the store, and says what was recorded before.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn record_pack(
        &self,
        release: ReleaseId,
        (split, number): (Split, u32),
        written: &WrittenPack,
    ) -> Result<Option<WrittenPack>, CatalogError> {
        let failed = || CatalogError::database("record a pack");
        let mut work = self.database.write().await.map_err(failed())?;
        let place: [Value; 3] = [release.0.into(), split_rank(Some(split)).into(), i64::from(number).into()];
        let rows = work
            .fetch(select!("where release_id = $1 and split = $2 and number = $3"), place.to_vec())
            .await
            .map_err(failed())?;
        let before = rows.first().map(pack).transpose()?.and_then(|row| row.written);
        let [release, split, number] = place;
        let values = vec![
            release,
            split,
            number,
            written.n_images.cast_signed().into(),
            written.n_bytes.cast_signed().into(),
            written.sha256.as_str().into(),
            written.made_from.as_str().into(),
        ];
        work.execute(
            "update pack set n_images = $4, n_bytes = $5, sha256 = $6, made_from = $7
             where release_id = $1 and split = $2 and number = $3",
            values,
        )
        .await
        .map_err(failed())?;
        work.commit().await.map_err(failed())?;
        Ok(before)
    }

    /// Those of these images that are withdrawn.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_withdrawn_of(&self, images: &[&Sha256Hex]) -> Result<Vec<Sha256Hex>, CatalogError> {
        let failed = || CatalogError::database("look for withdrawn images");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select sha256 from json_each($1) as asked cross join image
                 where sha256 = asked.value ->> 0 and withdrawn_ms is not null",
                vec![batch(images.iter().map(|image| [image.as_str()]))],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(|row| row.sha256(0)).collect()
    }
}

async fn read(work: &mut Work, release: ReleaseId) -> Result<Option<Packing>, CatalogError> {
    let failed = || CatalogError::database("list packs");
    let plans = work
        .fetch("select images_per_pack from packing where release_id = $1", vec![release.0.into()])
        .await
        .map_err(failed())?;
    let Some(plan) = plans.first() else { return Ok(None) };
    let images_per_pack = number(plan, 0)?;
    let rows = work
        .fetch(select!("where release_id = $1 order by split, number"), vec![release.0.into()])
        .await
        .map_err(failed())?;
    let packs = rows.iter().map(pack).collect::<Result<_, _>>()?;
    Ok(Some(Packing { images_per_pack, packs }))
}

fn pack(row: &Row) -> Result<PackRow, CatalogError> {
    let split = row.split(0)?.ok_or_else(|| CatalogError::Corrupt("a pack without a split".into()))?;
    let written = match row.optional_text(5)? {
        Some(_) => Some(WrittenPack {
            n_images: row.count(2)?,
            n_bytes: row.count(3)?,
            sha256: row.sha256(4)?,
            made_from: row.sha256(5)?,
        }),
        None => None,
    };
    Ok(PackRow { split, number: number(row, 1)?, written })
}

fn number(row: &Row, idx: usize) -> Result<u32, CatalogError> {
    u32::try_from(row.int(idx)?).map_err(|_| CatalogError::Corrupt("a number of packs or images".into()))
}

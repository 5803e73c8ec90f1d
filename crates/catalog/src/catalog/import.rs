//! How does a batch of images, with what their source says of them, enter the catalogue?

use std::collections::{BTreeMap, HashMap, HashSet};

use affectory_again::again;

use super::drops::undo_drops;
use crate::database::{Turn, Value, Work, batch, split_rank};
use crate::records::{AnnotatorKind, ImportItem, ImportOutcome, NewFace};
use crate::{Catalog, CatalogError};

#[again]
impl Catalog {
    /// Records a batch of an import in one transaction. What is there already stays as it is:
    /// images by SHA-256, sightings by source and path, given faces by image and box,
    /// annotations by face, annotator and sighting (`source:path`).
    ///
    /// Several thousand items a batch are fastest; 20,000 rows/s and more.
    ///
    /// # Errors
    /// [`CatalogError::Database`]; nothing of the batch is recorded then.
    pub async fn record_import(&self, items: &[ImportItem], now_ms: i64) -> Result<ImportOutcome, CatalogError> {
        if items.is_empty() {
            return Ok(ImportOutcome::default());
        }
        self.import_batch(items, now_ms).await.map_err(CatalogError::database("record an import"))
    }

    async fn import_batch(&self, items: &[ImportItem], now_ms: i64) -> Result<ImportOutcome, sqlx::Error> {
        let mut work = self.database.write().await?;
        // Two imports of overlapping data would wait for each other's rows in different orders, and deadlock.
        work.take_turn(Turn::Import).await?;
        let images = insert_images(&mut work, items, now_ms).await?;
        let sightings = insert_sightings(&mut work, items, now_ms).await?;
        let restored = undo_drops(&mut work, items.iter().map(|item| item.image.sha256.as_str())).await?;
        let faces = insert_given_faces(&mut work, items, now_ms).await?;
        raise_given_splits(&mut work, items).await?;
        let annotations = insert_annotations(&mut work, items, now_ms).await?;
        work.commit().await?;
        Ok(ImportOutcome { images, sightings, faces, annotations, restored })
    }

    /// Of these (source, path) pairs of one source, the ones already sighted: what a resumed import may skip unread.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_sighted(&self, source: &str, paths: &[String]) -> Result<Vec<String>, CatalogError> {
        let values = vec![Value::from(source), batch(paths.iter().map(|path| [path]))];
        let mut work = self.database.read().await.map_err(CatalogError::database("list sightings"))?;
        let rows = work
            .fetch(
                "select sighting.path from json_each($2) as wanted cross join sighting
                 where sighting.source = $1 and sighting.path = wanted.value ->> 0
                 order by wanted.key",
                values,
            )
            .await
            .map_err(CatalogError::database("list sightings"))?;
        rows.iter().map(|row| row.text(0)).collect()
    }
}

async fn insert_images(work: &mut Work, items: &[ImportItem], now_ms: i64) -> Result<u64, sqlx::Error> {
    let rows = || {
        batch(items.iter().map(|item| {
            let image = &item.image;
            // The catalogue has signed numbers only: the same 64 bits.
            let phash = image.phash.0.cast_signed();
            (image.sha256.as_str(), phash, image.width, image.height, &image.format, image.size_bytes)
        }))
    };
    // An image that was fetched before and not decoded yet is decoded now. Most projects have none.
    if !work.fetch("select 1 from image where phash_known = 0 limit 1", vec![]).await?.is_empty() {
        work.execute(
            "update image set phash = cast(new.value ->> 1 as bigint), phash_known = 1 from json_each($1) as new
             where image.sha256 = new.value ->> 0 and phash_known = 0",
            vec![rows()],
        )
        .await?;
    }
    work.execute(
        "insert into image (sha256, phash, width, height, format, size_bytes, first_seen_ms)
         select value ->> 0, cast(value ->> 1 as bigint), cast(value ->> 2 as bigint), cast(value ->> 3 as bigint),
                value ->> 4, cast(value ->> 5 as bigint), $2
         from json_each($1) as new
         where not exists (select 1 from image where image.sha256 = new.value ->> 0)
         order by key
         on conflict (sha256) do nothing",
        vec![rows(), Value::from(now_ms)],
    )
    .await
}

async fn insert_sightings(work: &mut Work, items: &[ImportItem], now_ms: i64) -> Result<u64, sqlx::Error> {
    let rows = batch(items.iter().map(|item| {
        let sighting = &item.sighting;
        let split = split_rank(sighting.given_split);
        let sha256 = item.image.sha256.as_str();
        (sha256, &sighting.source, &sighting.path, &sighting.page_url, &sighting.license, split)
    }));
    work.execute(
        "insert into sighting (image_id, source, path, page_url, license, given_split, seen_ms)
         select image.id, value ->> 1, value ->> 2, value ->> 3, value ->> 4, cast(value ->> 5 as bigint), $2
         from json_each($1) as new cross join image
         where image.sha256 = new.value ->> 0
         order by new.key
         on conflict (source, path) do nothing",
        vec![rows, Value::from(now_ms)],
    )
    .await
}

/// A given face by what makes it unique: the image's hash and the box.
fn face_key<'a>(item: &'a ImportItem, face: &NewFace) -> (&'a str, f32, f32, f32, f32) {
    let at = face.bounding_box;
    (item.image.sha256.as_str(), at.x, at.y, at.width, at.height)
}

async fn insert_given_faces(work: &mut Work, items: &[ImportItem], now_ms: i64) -> Result<u64, sqlx::Error> {
    let rows = batch(items.iter().flat_map(|item| {
        item.faces.iter().map(move |face| {
            let (sha256, x, y, width, height) = face_key(item, face);
            (sha256, x, y, width, height, face.landmarks.as_ref().map(|landmarks| landmarks.to_text()))
        })
    }));
    work.execute(
        "insert into face (image_id, origin, x, y, width, height, landmarks, given_split, created_ms)
         select image.id, 'given', cast(value ->> 1 as double precision), cast(value ->> 2 as double precision),
                cast(value ->> 3 as double precision), cast(value ->> 4 as double precision), value ->> 5,
                coalesce((select max(given_split) from sighting where sighting.image_id = image.id), -1), $2
         from json_each($1) as new cross join image
         where image.sha256 = new.value ->> 0
         order by new.key
         on conflict (image_id, origin, x, y, width, height) do nothing",
        vec![rows, Value::from(now_ms)],
    )
    .await
}

/// A new sighting may put an image that is here already into a stricter split: its faces and their consensus follow.
async fn raise_given_splits(work: &mut Work, items: &[ImportItem]) -> Result<(), sqlx::Error> {
    let hashes: HashSet<&str> = items
        .iter()
        .filter(|item| item.sighting.given_split.is_some())
        .map(|item| item.image.sha256.as_str())
        .collect();
    if hashes.is_empty() {
        return Ok(());
    }
    work.execute(
        "update face set given_split = (select max(given_split) from sighting where sighting.image_id = face.image_id)
         where id in (
             select face.id from json_each($1) as seen cross join image cross join face
             where image.sha256 = seen.value ->> 0 and face.image_id = image.id and face.given_split <
                 (select max(given_split) from sighting where sighting.image_id = image.id))",
        vec![batch(hashes.iter().map(|hash| [hash]))],
    )
    .await?;
    work.execute(
        "update consensus set given_split = (select given_split from face where face.id = consensus.face_id)
         where face_id in (
             select face.id from json_each($1) as seen cross join image cross join face cross join consensus as old
             where image.sha256 = seen.value ->> 0 and face.image_id = image.id and old.face_id = face.id
                 and old.given_split < face.given_split)",
        vec![batch(hashes.iter().map(|hash| [hash]))],
    )
    .await
    .map(drop)
}

async fn insert_annotations(work: &mut Work, items: &[ImportItem], now_ms: i64) -> Result<u64, sqlx::Error> {
    let annotated = || items.iter().flat_map(|item| item.faces.iter().map(move |face| (item, face)));
    let annotated = || annotated().filter(|(_, face)| !face.annotations.is_empty());
    if annotated().next().is_none() {
        return Ok(0);
    }
    let annotators = find_annotators(work, annotated().flat_map(|(_, face)| &face.annotations)).await?;
    let faces = work
        .fetch(
            // Sub-queries and no join: PostgreSQL joined faces to the batch by their boxes first, and where a whole
            // database has one box for all its images, that is every face with every row.
            "select new.key, (
                 select face.id from face
                 where face.image_id = (select image.id from image where image.sha256 = new.value ->> 0)
                     and face.origin = 'given' and face.x = cast(new.value ->> 1 as double precision)
                     and face.y = cast(new.value ->> 2 as double precision)
                     and face.width = cast(new.value ->> 3 as double precision)
                     and face.height = cast(new.value ->> 4 as double precision))
             from json_each($1) as new
             order by new.key",
            vec![batch(annotated().map(|(item, face)| face_key(item, face)))],
        )
        .await?;
    let mut rows = Vec::new();
    for ((item, face), row) in annotated().zip(&faces) {
        let face_id = row.int(1).map_err(as_decode)?;
        for annotation in &face.annotations {
            rows.push((
                face_id,
                annotators.get(annotation.annotator.as_str()),
                format!("{}:{}", item.sighting.source, item.sighting.path),
                annotation.expression.map(|expression| expression.index()),
                annotation.valence,
                annotation.arousal,
            ));
        }
    }
    work.execute(
        "insert into annotation (face_id, annotator_id, origin, expression, valence, arousal, created_ms)
         select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint), value ->> 2, cast(value ->> 3 as bigint),
                cast(value ->> 4 as double precision), cast(value ->> 5 as double precision), $2
         from json_each($1) as new
         where true
         order by key
         on conflict (face_id, annotator_id, origin, revision) do nothing",
        vec![batch(rows), Value::from(now_ms)],
    )
    .await
}

/// The ids of annotators by name; those met for the first time are created.
async fn find_annotators<'a>(
    work: &mut Work,
    annotations: impl Iterator<Item = &'a crate::NewAnnotation>,
) -> Result<HashMap<String, i64>, sqlx::Error> {
    let names = insert_annotators(work, annotations.map(|row| (row.annotator.as_str(), row.kind))).await?;
    let rows = work
        .fetch(
            "select name, id from annotator where name in (select value ->> 0 from json_each($1))",
            vec![batch(names.iter().map(|name| [name]))],
        )
        .await?;
    rows.iter().map(|row| Ok((row.text(0).map_err(as_decode)?, row.int(1).map_err(as_decode)?))).collect()
}

/// Creates the annotators that are met for the first time, in the order they are met; the names of all.
pub(super) async fn insert_annotators<'a>(
    work: &mut Work,
    annotators: impl Iterator<Item = (&'a str, AnnotatorKind)>,
) -> Result<Vec<&'a str>, sqlx::Error> {
    let mut kinds: BTreeMap<&str, (usize, AnnotatorKind)> = BTreeMap::new();
    for (place, (name, kind)) in annotators.enumerate() {
        kinds.entry(name).or_insert((place, kind));
    }
    let mut met: Vec<_> = kinds.iter().map(|(name, (place, kind))| (place, *name, kind.name())).collect();
    met.sort_unstable();
    work.execute(
        "insert into annotator (name, kind) select value ->> 0, value ->> 1 from json_each($1) as new
         where not exists (select 1 from annotator where annotator.name = new.value ->> 0)
         order by key
         on conflict (name) do nothing",
        vec![batch(met.iter().map(|(_, name, kind)| (name, kind)))],
    )
    .await?;
    Ok(met.into_iter().map(|(_, name, _)| name).collect())
}

/// An id that does not decode is the database's failure like any other in the transaction.
fn as_decode(error: CatalogError) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

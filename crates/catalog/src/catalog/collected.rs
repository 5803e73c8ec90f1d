//! Which images did collecting bring, and where was each of them met?

use std::collections::HashMap;

use affectory_again::again;
use affectory_core::ImageId;

use super::scan::image_row;
use crate::collection::{CollectedImage, CollectedSighting};
use crate::database::batch;
use crate::{Catalog, CatalogError};

#[again]
impl Catalog {
    /// Fetched images that are neither withdrawn nor dropped, in the order of their ids, after `after`, each with its
    /// sightings: the first one found comes first. A page is two statements over one state of the catalogue.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_collected_images(&self, after: ImageId, limit: u32) -> Result<Vec<CollectedImage>, CatalogError> {
        let failed = || CatalogError::database("list collected images");
        let mut work = self.database.read_a_page().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select id, sha256, phash, width, height, format, size_bytes, withdrawn_ms, phash_known from image
                 where id > $1 and withdrawn_ms is null and dropped_ms is null
                     and exists (select 1 from candidate where candidate.image_id = image.id)
                 order by id limit $2",
                vec![after.0.into(), i64::from(limit).into()],
            )
            .await
            .map_err(failed())?;
        let mut images = Vec::with_capacity(rows.len());
        for row in &rows {
            let image = image_row(row, 0)?;
            let phash = (row.int(8)? == 1).then_some(image.image.phash);
            images.push(CollectedImage { image, phash, sightings: Vec::new() });
        }

        let rows = work
            .fetch(
                "select candidate.image_id, search.id, candidate.id, search.provider, hit.engine, query.text, language,
                        expression, hit.rank, candidate.url, hit.page_url, hit.title, hit.license, hit.license_url,
                        hit.creator, hit.attribution, hit.found_ms
                 from json_each($1) as wanted cross join candidate cross join hit cross join search cross join query
                 where candidate.image_id = cast(wanted.value ->> 0 as bigint) and hit.candidate_id = candidate.id
                     and search.id = hit.search_id and query.id = search.query_id",
                vec![batch(images.iter().map(|image| [image.image.id]))],
            )
            .await
            .map_err(failed())?;
        // Sorted here, with the ids as the last word: the engines return rows in an order of their own.
        let mut sightings: HashMap<i64, Vec<([i64; 3], CollectedSighting)>> = HashMap::new();
        for row in &rows {
            let sighting = CollectedSighting {
                provider: row.text(3)?,
                engine: row.text(4)?,
                query: row.text(5)?,
                language: row.text(6)?,
                expression: row.expression(7)?,
                rank: row.unsigned(8)?,
                url: row.text(9)?,
                page_url: row.optional_text(10)?,
                title: row.optional_text(11)?,
                license: row.optional_text(12)?,
                license_url: row.optional_text(13)?,
                creator: row.optional_text(14)?,
                attribution: row.optional_text(15)?,
                found_ms: row.int(16)?,
            };
            let place = [sighting.found_ms, row.int(1)?, row.int(2)?];
            sightings.entry(row.int(0)?).or_default().push((place, sighting));
        }
        for image in &mut images {
            let mut places = sightings.remove(&image.image.id.0).unwrap_or_default();
            places.sort_unstable_by_key(|(place, _)| *place);
            image.sightings = places.into_iter().map(|(_, sighting)| sighting).collect();
        }
        Ok(images)
    }
}

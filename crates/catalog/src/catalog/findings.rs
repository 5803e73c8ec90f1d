//! Which queries found what, what did annotators say of it, and which of the faces may be shown?

use affectory_again::again;
use affectory_core::{CandidateId, Expression, ImageId};

use crate::database::{Row, batch};
use crate::reporting::{AddressCounts, FaceSample, FindingCount, FindingPlace, IntentVotes, QueryCount, QueryCounts};
use crate::{Catalog, CatalogError};

/// Between the parts of a place, and between places: signs that no name has.
const PART: &str = "\u{1f}";
const PLACE: &str = "\u{1e}";

#[again]
impl Catalog {
    /// Addresses by where they were found. One pass over the hits, in the order of their addresses: a distinct count for
    /// each cell of each table would sort them all once a table. For `usable_px` see [`Catalog::count_fetched_images`].
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_findings(&self, usable_px: u32) -> Result<Vec<FindingCount>, CatalogError> {
        let failed = || CatalogError::database("count what engines found");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "with found as (
                     select candidate_id, string_agg(replace(replace(engine, $1, ' '), $2, ' ') || $1 || language || $1
                         || coalesce(cast(expression as text), ''), $2) as places
                     from hit join search on search.id = hit.search_id join query on query.id = search.query_id
                     group by candidate_id)
                 select places, count(*), count(image_id), count(case
                     when exists (select 1 from image where image.id = candidate.image_id and phash_known = 1
                             and unusable is null)
                         and exists (select 1 from face where face.image_id = candidate.image_id
                             and (size_px is null or size_px >= cast($3 as bigint))) then 1 end)
                 from found cross join candidate
                 where candidate.id = found.candidate_id
                 group by places",
                vec![PART.into(), PLACE.into(), i64::from(usable_px).into()],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(|row| Ok(FindingCount { places: places(&row.text(0)?)?, counts: counts(row, 1)? })).collect()
    }

    /// What queries found: the `limit` best and the `limit` least.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_queries(&self, limit: u32, usable_px: u32) -> Result<QueryCounts, CatalogError> {
        let failed = || CatalogError::database("count what queries found");
        let mut work = self.database.read().await.map_err(failed())?;
        // Slices of one query may answer with the same address; a query without slices has no address twice.
        let rows = work
            .fetch(
                "with found as (
                     select search.query_id, candidate_id from hit join search on search.id = hit.search_id
                     group by search.query_id, candidate_id),
                 per_query as (
                     select found.query_id, count(*) as n_addresses, count(image_id) as n_fetched, count(case
                         when exists (select 1 from image where image.id = candidate.image_id and phash_known = 1
                                 and unusable is null)
                             and exists (select 1 from face where face.image_id = candidate.image_id
                                 and (size_px is null or size_px >= cast($2 as bigint))) then 1 end) as n_usable
                     from found cross join candidate
                     where candidate.id = found.candidate_id
                     group by found.query_id),
                 asked as (
                     select query.id, provider, text, language, expression, coalesce(n_addresses, 0) as n_addresses,
                            coalesce(n_fetched, 0) as n_fetched, coalesce(n_usable, 0) as n_usable
                     from query left join per_query on per_query.query_id = query.id
                     where exists (select 1 from search where search.query_id = query.id and n_pages > 0)),
                 placed as (
                     select asked.*, row_number() over (order by n_usable desc, n_fetched desc, n_addresses desc, id)
                                as best,
                            row_number() over (order by case when n_addresses = 0 then 1 else 0 end, n_usable,
                                n_addresses desc, id) as least,
                            count(*) over () as n_asked,
                            count(case when n_addresses = 0 then 1 end) over () as n_without_hit,
                            count(case when n_addresses > 0 and n_usable = 0 then 1 end) over () as n_without_usable
                     from asked)
                 select provider, text, language, expression, n_addresses, n_fetched, n_usable, best, least, n_asked,
                        n_without_hit, n_without_usable
                 from placed where best <= $1 or least <= $1
                 order by best",
                vec![i64::from(limit).into(), i64::from(usable_px).into()],
            )
            .await
            .map_err(failed())?;
        let Some(first) = rows.first() else { return Ok(QueryCounts::default()) };
        let mut found = QueryCounts {
            asked: first.count(9)?,
            without_hit: first.count(10)?,
            without_usable: first.count(11)?,
            ..QueryCounts::default()
        };
        let mut least: Vec<(u64, QueryCount)> = Vec::new();
        for row in &rows {
            let query = query_count(row)?;
            if row.count(7)? <= u64::from(limit) {
                // A query that found nothing is no good one, even where there are few.
                if query.counts.usable > 0 {
                    found.best.push(query);
                    continue;
                }
            }
            if row.count(8)? <= u64::from(limit) && query.counts.addresses > 0 {
                least.push((row.count(8)?, query));
            }
        }
        least.sort_unstable_by_key(|(place, _)| *place);
        found.least = least.into_iter().map(|(_, query)| query).collect();
        Ok(found)
    }

    /// How annotators voted on faces of images, by the expression asked for by the queries that found the image. An image
    /// that queries for several expressions found counts for each; withdrawn images are left out.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_intent_votes(&self) -> Result<Vec<IntentVotes>, CatalogError> {
        let failed = || CatalogError::database("count annotations by query");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "with vote as (
                     select face_id,
                            count(case expression when 0 then 1 end) as v0, count(case expression when 1 then 1 end) as v1,
                            count(case expression when 2 then 1 end) as v2, count(case expression when 3 then 1 end) as v3,
                            count(case expression when 4 then 1 end) as v4, count(case expression when 5 then 1 end) as v5,
                            count(case expression when 6 then 1 end) as v6, count(case expression when 7 then 1 end) as v7,
                            count(case expression when 8 then 1 end) as v8, count(case expression when 9 then 1 end) as v9,
                            count(case expression when 10 then 1 end) as v10
                     from annotation join annotator on annotator.id = annotator_id
                     where expression is not null and kind in ('person', 'imported', 'synthetic')
                         and not exists (select 1 from annotation as newer where newer.supersedes = annotation.id)
                     group by face_id),
                 intended as (
                     select distinct vote.*, query.expression as intent
                     from vote join face on face.id = vote.face_id
                         join image on image.id = face.image_id and withdrawn_ms is null
                         join candidate on candidate.image_id = image.id
                         join hit on hit.candidate_id = candidate.id
                         join search on search.id = hit.search_id
                         join query on query.id = search.query_id and query.expression is not null)
                 select intent, count(*), v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10 from intended
                 group by intent, v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10
                 order by intent",
                vec![],
            )
            .await
            .map_err(failed())?;
        rows.iter()
            .map(|row| {
                let mut votes = [0; 11];
                for (idx, n) in votes.iter_mut().enumerate() {
                    *n = row.unsigned(2 + idx)?;
                }
                Ok(IntentVotes { intent: needed(row.expression(0)?)?, votes, faces: row.count(1)? })
            })
            .collect()
    }

    /// The highest id that an address has; 0 if there is none.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn last_candidate(&self) -> Result<CandidateId, CatalogError> {
        let failed = || CatalogError::database("find the last address");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work.fetch("select coalesce(max(id), 0) from candidate", vec![]).await.map_err(failed())?;
        Ok(CandidateId(rows.first().map_or(Ok(0), |row| row.int(0))?))
    }

    /// Faces with a crop and at least `usable_px` large that these addresses brought, in their order; a face stands once
    /// for each query that found its address. None of a withdrawn or dropped image, nor one whose crop has the same bytes as
    /// one of a withdrawn image: the same picture in another file.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_face_samples(
        &self,
        addresses: &[CandidateId],
        usable_px: u32,
    ) -> Result<Vec<FaceSample>, CatalogError> {
        let failed = || CatalogError::database("list sample faces");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select image.id, crop_sha256, query.expression, query.text, query.language, candidate.host, hit.license
                 from json_each($1) as wanted cross join candidate cross join image cross join face cross join hit
                     cross join search cross join query
                 where candidate.id = cast(wanted.value ->> 0 as bigint)
                     and image.id = candidate.image_id and withdrawn_ms is null and dropped_ms is null
                     and unusable is null
                     and face.image_id = image.id and crop_sha256 is not null and size_px >= cast($2 as bigint)
                     and crop_sha256 not in (select hidden.crop_sha256 from image as gone cross join face as hidden
                         where gone.withdrawn_ms is not null and hidden.image_id = gone.id
                             and hidden.crop_sha256 is not null)
                     and hit.candidate_id = candidate.id and search.id = hit.search_id and query.id = search.query_id
                     and query.expression is not null
                 order by wanted.key, face.id, query.id, search.id",
                vec![batch(addresses.iter().map(|id| [id])), i64::from(usable_px).into()],
            )
            .await
            .map_err(failed())?;
        rows.iter()
            .map(|row| {
                Ok(FaceSample {
                    image_id: ImageId(row.int(0)?),
                    crop_sha256: row.sha256(1)?,
                    expression: needed(row.expression(2)?)?,
                    query: row.text(3)?,
                    language: row.text(4)?,
                    host: row.text(5)?,
                    license: row.optional_text(6)?,
                })
            })
            .collect()
    }
}

/// Reads the places of an address, each once, sorted: searches answered in any order.
fn places(text: &str) -> Result<Vec<FindingPlace>, CatalogError> {
    let mut places = text.split(PLACE).map(place).collect::<Result<Vec<_>, _>>()?;
    places.sort_unstable();
    places.dedup();
    Ok(places)
}

fn place(text: &str) -> Result<FindingPlace, CatalogError> {
    let corrupt = || CatalogError::Corrupt(format!("`{}` is no place of a hit", text.escape_debug()));
    let mut parts = text.split(PART);
    let (Some(engine), Some(language), Some(index), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(corrupt());
    };
    let expression = match index {
        "" => None,
        index => Some(index.parse().ok().and_then(Expression::from_index).ok_or_else(corrupt)?),
    };
    Ok(FindingPlace { engine: engine.to_owned(), language: language.to_owned(), expression })
}

fn query_count(row: &Row) -> Result<QueryCount, CatalogError> {
    Ok(QueryCount {
        provider: row.text(0)?,
        text: row.text(1)?,
        language: row.text(2)?,
        expression: row.expression(3)?,
        counts: counts(row, 4)?,
    })
}

/// Reads the three columns of counts from column `first` on.
fn counts(row: &Row, first: usize) -> Result<AddressCounts, CatalogError> {
    Ok(AddressCounts { addresses: row.count(first)?, fetched: row.count(first + 1)?, usable: row.count(first + 2)? })
}

/// The statement leaves rows without an expression out.
fn needed(expression: Option<Expression>) -> Result<Expression, CatalogError> {
    expression.ok_or_else(|| CatalogError::Corrupt("a query without an expression".into()))
}

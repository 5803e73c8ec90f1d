//! Which faces does an annotator hold, and which come next?

use std::collections::HashSet;

use affectory_again::again;
use affectory_core::{AnnotatorId, Expression, FaceId, PoolId};

use crate::annotating::{FacePicture, FaceRequest, GivenFaces, Suggestion};
use crate::database::{Row, Turn, Work, batch};
use crate::{Catalog, CatalogError};

#[again]
impl Catalog {
    /// The faces an annotator holds in a pool, topped up to the request's limit and leased until its end. No face goes to
    /// more annotators than it wants, and none gets two faces that look alike.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn give_faces(&self, request: &FaceRequest, now_ms: i64) -> Result<GivenFaces, CatalogError> {
        let failed = || CatalogError::database("give faces out");
        let held = {
            let mut work = self.database.read().await.map_err(failed())?;
            list_held(&mut work, request).await?
        };
        if held.len() >= request.limit as usize {
            return Ok(GivenFaces { faces: held, passed_place: request.after_place });
        }
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Assign).await.map_err(failed())?;
        // Looked at again: another tab of the same person may have asked meanwhile.
        let held = list_held(&mut work, request).await?;
        let n_missing = (request.limit as usize).saturating_sub(held.len());
        let chosen = choose(&mut work, request, n_missing).await?;
        let passed_place = chosen.passed_place;
        if chosen.faces.is_empty() {
            return Ok(GivenFaces { faces: held, passed_place });
        }
        let rows = batch(chosen.faces.iter().enumerate().map(|(order, (face, look))| (face, look, order)));
        work.execute(
            "insert into assignment (face_id, annotator_id, pool_id, look_id, lease_end_ms, given_ms)
             select cast(value ->> 0 as bigint), $2, $3, cast(value ->> 1 as bigint), $4,
                    $5 + cast(value ->> 2 as bigint)
             from json_each($1) as new where true order by key
             on conflict (face_id, annotator_id) do update set pool_id = excluded.pool_id,
                 look_id = excluded.look_id, lease_end_ms = excluded.lease_end_ms, given_ms = excluded.given_ms",
            vec![
                rows,
                request.annotator_id.0.into(),
                request.pool_id.0.into(),
                request.lease_end_ms.into(),
                now_ms.into(),
            ],
        )
        .await
        .map_err(failed())?;
        work.execute(
            // The pool stands in the batch: were it a parameter, SQLite would go through all its faces.
            "update pool_face set n_open = n_open - 1 from json_each($1) as new
             where pool_id = cast(new.value ->> 0 as bigint) and face_id = cast(new.value ->> 1 as bigint)
                 and n_open > 0",
            vec![batch(chosen.faces.iter().map(|(face, _)| (request.pool_id, face)))],
        )
        .await
        .map_err(failed())?;
        let faces = list_held(&mut work, request).await?;
        work.commit_and_let_go().await.map_err(failed())?;
        Ok(GivenFaces { faces, passed_place })
    }

    /// Takes faces back whose lease has ended; says how many.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn return_leases(&self, now_ms: i64) -> Result<u64, CatalogError> {
        let failed = || CatalogError::database("take leases back");
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Assign).await.map_err(failed())?;
        let ended = work
            .fetch(
                "update assignment set lease_end_ms = null
                 where done_ms is null and lease_end_ms is not null and lease_end_ms <= $1
                 returning coalesce(pool_id, 0), face_id",
                vec![now_ms.into()],
            )
            .await
            .map_err(failed())?;
        let places =
            ended.iter().map(|row| Ok((row.int(0)?, row.int(1)?))).collect::<Result<Vec<_>, CatalogError>>()?;
        recount_faces(&mut work, &places).await?;
        work.commit().await.map_err(failed())?;
        Ok(places.len() as u64)
    }

    /// Whether a face is, or was, given to an annotator.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn is_given(&self, face: FaceId, annotator: AnnotatorId) -> Result<bool, CatalogError> {
        let failed = || CatalogError::database("look for an assignment");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select 1 from assignment where face_id = $1 and annotator_id = $2",
                vec![face.0.into(), annotator.0.into()],
            )
            .await
            .map_err(failed())?;
        Ok(!rows.is_empty())
    }

    /// Where the picture of a face is.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_face_picture(&self, face: FaceId) -> Result<Option<FacePicture>, CatalogError> {
        let failed = || CatalogError::database("look for a face");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select sha256, x, y, face.width, face.height, withdrawn_ms is not null or dropped_ms is not null
                 from face join image on image.id = image_id where face.id = $1",
                vec![face.0.into()],
            )
            .await
            .map_err(failed())?;
        let Some(row) = rows.first() else { return Ok(None) };
        let at = affectory_core::BoundingBox::new(row.real(1)?, row.real(2)?, row.real(3)?, row.real(4)?);
        Ok(Some(FacePicture {
            image_sha256: row.sha256(0)?,
            bounding_box: at.map_err(|error| CatalogError::Corrupt(error.to_string()))?,
            is_withdrawn: row.boolean(5)?,
        }))
    }
}

struct Chosen {
    faces: Vec<(FaceId, FaceId)>,
    passed_place: i64,
}

/// The next faces for an annotator, each with its look: the pool's in their order, and gold ones among them at the pool's
/// rate. Which places a gold face stands at follows from seed and annotator, so that nobody can tell it from the others.
async fn choose(work: &mut Work, request: &FaceRequest, n_wanted: usize) -> Result<Chosen, CatalogError> {
    let failed = || CatalogError::database("choose faces");
    // Twice as many: two of them may look alike.
    let values = vec![
        request.pool_id.0.into(),
        request.annotator_id.0.into(),
        request.after_place.into(),
        (2 * n_wanted as i64).into(),
    ];
    let rows = work
        .fetch(
            "select face_id, look_id, place from pool_face
             where pool_id = $1 and n_open > 0 and is_gold = 0 and place > $3
                 and not exists (select 1 from assignment
                     where annotator_id = $2 and assignment.look_id = pool_face.look_id
                         and (done_ms is not null or lease_end_ms is not null))
                 and exists (select 1 from face join image on image.id = face.image_id
                     where face.id = face_id and withdrawn_ms is null and dropped_ms is null)
             order by place limit $4",
            values,
        )
        .await
        .map_err(failed())?;
    let mut chosen = Chosen { faces: Vec::with_capacity(n_wanted), passed_place: request.after_place };
    let mut gold = None;
    let mut looks = HashSet::new();
    for row in &rows {
        let (face, look, place) = (FaceId(row.int(0)?), FaceId(row.int(1)?), row.int(2)?);
        if chosen.faces.len() >= n_wanted {
            break;
        }
        if is_gold_turn(request, place) {
            let waiting = match &mut gold {
                Some(waiting) => waiting,
                None => gold.insert(list_gold_for(work, request, n_wanted).await?),
            };
            if let Some((face, look)) = waiting.pop().filter(|(_, look)| looks.insert(*look)) {
                // The face at this place goes with it, one too many if need be: a place that was not passed would ask for
                // gold again, and whoever asks for one face at a time would get nothing else.
                chosen.faces.push((face, look));
            }
        }
        if looks.insert(look) {
            chosen.faces.push((face, look));
        }
        chosen.passed_place = place;
    }
    Ok(chosen)
}

/// Whether a gold face comes before the face at that place: a hash (splitmix64) of seed, annotator and place decides.
fn is_gold_turn(request: &FaceRequest, place: i64) -> bool {
    let mut x = request.seed ^ request.annotator_id.0.cast_unsigned().rotate_left(32) ^ place.cast_unsigned();
    for factor in [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb] {
        x = (x ^ (x >> 30)).wrapping_mul(factor);
    }
    (x >> 33) % 100 < u64::from(request.gold_percent)
}

/// Gold faces that an annotator has not seen, the next one last.
async fn list_gold_for(
    work: &mut Work,
    request: &FaceRequest,
    limit: usize,
) -> Result<Vec<(FaceId, FaceId)>, CatalogError> {
    let rows = work
        .fetch(
            "select face_id, look_id from pool_face
             where pool_id = $1 and is_gold = 1
                 and not exists (select 1 from assignment
                     where annotator_id = $2 and assignment.look_id = pool_face.look_id
                         and (done_ms is not null or lease_end_ms is not null))
                 and exists (select 1 from face join image on image.id = face.image_id
                     where face.id = face_id and withdrawn_ms is null and dropped_ms is null)
             order by place limit $3",
            vec![request.pool_id.0.into(), request.annotator_id.0.into(), (limit as i64).into()],
        )
        .await
        .map_err(CatalogError::database("choose gold faces"))?;
    rows.iter().rev().map(|row| Ok((FaceId(row.int(0)?), FaceId(row.int(1)?)))).collect()
}

async fn list_held(work: &mut Work, request: &FaceRequest) -> Result<Vec<(FaceId, Option<Suggestion>)>, CatalogError> {
    let rows = work
        .fetch(
            "select assignment.face_id, suggested_expression, suggested_valence, suggested_arousal, suggested_by
             from assignment join pool_face on pool_face.pool_id = $2 and pool_face.face_id = assignment.face_id
             where annotator_id = $1 and assignment.pool_id = $2 and done_ms is null and lease_end_ms is not null
             order by given_ms, assignment.id",
            vec![request.annotator_id.0.into(), request.pool_id.0.into()],
        )
        .await
        .map_err(CatalogError::database("list the faces somebody holds"))?;
    rows.iter().map(|row| Ok((FaceId(row.int(0)?), suggestion(row, 1)?))).collect()
}

/// Reads a suggestion from four columns: expression, valence, arousal, model.
pub(super) fn suggestion(row: &Row, first: usize) -> Result<Option<Suggestion>, CatalogError> {
    let Some(by) = row.optional_text(first + 3)? else { return Ok(None) };
    let expression: Option<Expression> = row.expression(first)?;
    Ok(Some(Suggestion { expression, valence: row.valence(first + 1)?, arousal: row.arousal(first + 2)?, by }))
}

/// Sets the counts of (pool, face) places, and of their pools, from the assignments.
pub(super) async fn recount_faces(work: &mut Work, places: &[(i64, i64)]) -> Result<(), CatalogError> {
    let failed = || CatalogError::database("count answers");
    let mut places = places.to_vec();
    places.sort_unstable();
    places.dedup();
    let done_before = count_done(work, &places).await?;
    work.execute(
        "update pool_face set n_done = counted.n_done,
             n_open = case when n_wanted > counted.n_live then n_wanted - counted.n_live else 0 end
         from (select cast(value ->> 0 as bigint) as pool_id, cast(value ->> 1 as bigint) as face_id,
                      (select count(*) from assignment where face_id = cast(value ->> 1 as bigint)
                           and pool_id = cast(value ->> 0 as bigint) and done_ms is not null) as n_done,
                      (select count(*) from assignment where face_id = cast(value ->> 1 as bigint)
                           and pool_id = cast(value ->> 0 as bigint)
                           and (done_ms is not null or lease_end_ms is not null)) as n_live
               from json_each($1)) as counted
         where pool_face.pool_id = counted.pool_id and pool_face.face_id = counted.face_id",
        vec![batch(&places)],
    )
    .await
    .map_err(failed())?;
    let done_after = count_done(work, &places).await?;
    for (pool, n_done) in done_after {
        let before = done_before.iter().find(|(other, _)| *other == pool).map_or(0, |(_, n_done)| *n_done);
        if n_done != before {
            work.execute(
                "update pool set n_done = n_done + $2 where id = $1",
                vec![pool.0.into(), (n_done - before).into()],
            )
            .await
            .map_err(failed())?;
        }
    }
    Ok(())
}

/// How many wanted answers these faces have, by pool.
async fn count_done(work: &mut Work, places: &[(i64, i64)]) -> Result<Vec<(PoolId, i64)>, CatalogError> {
    let rows = work
        .fetch(
            "select pool_face.pool_id, cast(sum(case when n_done < n_wanted then n_done else n_wanted end) as bigint)
             from json_each($1) as touched cross join pool_face
             where pool_face.pool_id = cast(touched.value ->> 0 as bigint)
                 and pool_face.face_id = cast(touched.value ->> 1 as bigint)
             group by pool_face.pool_id",
            vec![batch(places)],
        )
        .await
        .map_err(CatalogError::database("count answers"))?;
    rows.iter().map(|row| Ok((PoolId(row.int(0)?), row.int(1)?))).collect()
}

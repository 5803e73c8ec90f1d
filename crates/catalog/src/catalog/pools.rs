//! Which faces are to be annotated, by which rules, and how far is that?

use affectory_again::again;
use affectory_core::{Expression, FaceId, ImageId, PerceptualHash, PoolId};

use super::audit::{COMMAND_LINE, Entry, append};
use crate::annotating::{Gold, NewPoolFace, PoolCandidate, PoolRow, PoolRules, PoolState, Strategy, SureSuggestion};
use crate::database::{Row, batch};
use crate::{Account, Catalog, CatalogError};

/// Faces of pool $1 that still want answers and have no suggestion by model $2: what is listed, and what is counted.
macro_rules! unsuggested {
    () => {
        "pool_id = $1 and (suggested_by is null or suggested_by <> $2) and (n_done < n_wanted or is_gold = 1)"
    };
}

#[again]
impl Catalog {
    /// Makes an empty pool, which gives nothing out until [`Catalog::set_pool_state`] opens it.
    ///
    /// # Errors
    /// [`CatalogError::PoolExists`] or [`CatalogError::Database`].
    pub async fn insert_pool(
        &self,
        name: &str,
        rules: &PoolRules,
        created_by: Option<&Account>,
        now_ms: i64,
    ) -> Result<PoolId, CatalogError> {
        let failed = || CatalogError::database("make a pool");
        let mut work = self.database.write().await.map_err(failed())?;
        let rows = work
            .fetch(
                "insert into pool (name, strategy, n_annotators, overlap_percent, gold_percent, is_balanced,
                     is_assisted, needs_quiz, seed, created_by, created_ms)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                 on conflict (name) do nothing returning id",
                vec![
                    name.into(),
                    rules.strategy.name().into(),
                    i64::from(rules.n_annotators).into(),
                    i64::from(rules.overlap_percent).into(),
                    i64::from(rules.gold_percent).into(),
                    i64::from(rules.is_balanced).into(),
                    i64::from(rules.is_assisted).into(),
                    i64::from(rules.needs_quiz).into(),
                    rules.seed.cast_signed().into(),
                    created_by.map(|account| account.id.0).into(),
                    now_ms.into(),
                ],
            )
            .await
            .map_err(failed())?;
        let id = rows.first().ok_or_else(|| CatalogError::PoolExists(name.to_owned()))?.int(0)?;
        let actor = created_by.map_or_else(|| COMMAND_LINE.to_owned(), Account::actor);
        let detail = serde_json::to_string(rules).unwrap_or_default();
        append(
            &mut work,
            &Entry { actor: &actor, action: "make-pool", subject: name, detail: &detail, time_ms: now_ms },
        )
        .await?;
        work.commit().await.map_err(failed())?;
        Ok(PoolId(id))
    }

    /// Puts faces into a pool; those in it already stay as they are. Says how many are new.
    ///
    /// # Errors
    /// [`CatalogError::Database`]; nothing of the batch is recorded then.
    pub async fn insert_pool_faces(&self, pool: PoolId, faces: &[NewPoolFace]) -> Result<u64, CatalogError> {
        let failed = || CatalogError::database("fill a pool");
        let rows = batch(faces.iter().map(|face| {
            let category = face.category.map(Expression::index);
            (face.face_id, face.place, face.look_id, category, face.n_wanted)
        }));
        let mut work = self.database.write().await.map_err(failed())?;
        let wanted = work
            .fetch(
                "insert into pool_face (pool_id, face_id, place, look_id, category, n_wanted, n_open)
                 select $2, cast(value ->> 0 as bigint), cast(value ->> 1 as bigint), cast(value ->> 2 as bigint),
                        cast(value ->> 3 as bigint), cast(value ->> 4 as bigint), cast(value ->> 4 as bigint)
                 from json_each($1) as new where true order by key
                 on conflict (pool_id, face_id) do nothing returning n_wanted",
                vec![rows, pool.0.into()],
            )
            .await
            .map_err(failed())?;
        let n_wanted = wanted.iter().map(|row| row.int(0)).sum::<Result<i64, _>>()?;
        work.execute(
            "update pool set n_faces = n_faces + $2, n_wanted = n_wanted + $3 where id = $1",
            vec![pool.0.into(), (wanted.len() as i64).into(), n_wanted.into()],
        )
        .await
        .map_err(failed())?;
        work.commit().await.map_err(failed())?;
        Ok(wanted.len() as u64)
    }

    /// Opens or pauses a pool; false where there is none.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn set_pool_state(
        &self,
        pool: PoolId,
        state: PoolState,
        actor: &str,
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let failed = || CatalogError::database("change a pool");
        let mut work = self.database.write().await.map_err(failed())?;
        let changed = work
            .execute("update pool set state = $2 where id = $1", vec![pool.0.into(), state.name().into()])
            .await
            .map_err(failed())?;
        let subject = format!("pool/{pool}");
        let entry = Entry { actor, action: "set-pool-state", subject: &subject, detail: state.name(), time_ms: now_ms };
        append(&mut work, &entry).await?;
        work.commit().await.map_err(failed())?;
        Ok(changed > 0)
    }

    /// All pools, newest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_pools(&self) -> Result<Vec<PoolRow>, CatalogError> {
        let failed = || CatalogError::database("list pools");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select id, name, state, created_ms, n_faces, n_wanted, n_done, n_annotators, overlap_percent,
                        gold_percent, strategy, is_balanced, is_assisted, needs_quiz, seed
                 from pool order by id desc",
                vec![],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(pool_row).collect()
    }

    /// One pool.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn find_pool(&self, pool: PoolId) -> Result<Option<PoolRow>, CatalogError> {
        let failed = || CatalogError::database("read a pool");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select id, name, state, created_ms, n_faces, n_wanted, n_done, n_annotators, overlap_percent,
                        gold_percent, strategy, is_balanced, is_assisted, needs_quiz, seed
                 from pool where id = $1",
                vec![pool.0.into()],
            )
            .await
            .map_err(failed())?;
        rows.first().map(pool_row).transpose()
    }

    /// Faces that could go into a pool, in the order of their ids, after `after`. None of withdrawn or dropped images.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_pool_candidates(&self, after: FaceId, limit: u32) -> Result<Vec<PoolCandidate>, CatalogError> {
        let failed = || CatalogError::database("list faces for a pool");
        let mut work = self.database.read_a_page().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select id, image_id, phash, x / image_width, y / image_height, width / image_width,
                        height / image_height, case when width < height then width else height end,
                        query_id, (select expression from query where query.id = query_id), is_labelled
                 from (
                     select face.id, image_id, phash, x, y, face.width as width, face.height as height,
                            image.width as image_width, image.height as image_height,
                            (select min(search.query_id) from candidate join hit on hit.candidate_id = candidate.id
                                 join search on search.id = hit.search_id
                             where candidate.image_id = image.id) as query_id,
                            (select count(*) from (
                                 select 1 from annotation join annotator on annotator.id = annotator_id
                                 where annotation.face_id = face.id and expression is not null
                                     and kind <> 'model' and kind <> 'proxy' limit 1) as label) as is_labelled
                     from face join image on image.id = image_id
                     where face.id > $1 and withdrawn_ms is null and dropped_ms is null
                     order by face.id limit $2) as candidates
                 order by id",
                vec![after.0.into(), i64::from(limit).into()],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(pool_candidate).collect()
    }

    /// Gives faces of a pool a known answer; those not in the pool are put in. They go to everybody and count for nothing
    /// in the pool's progress.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn set_gold(&self, pool: PoolId, gold: &[Gold], actor: &str, now_ms: i64) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("set gold faces");
        let rows = batch(gold.iter().map(|gold| (gold.face_id, gold.expression.index(), gold.valence, gold.arousal)));
        let mut work = self.database.write().await.map_err(failed())?;
        work.execute(
            "insert into pool_face (pool_id, face_id, place, look_id, n_wanted, n_open, is_gold, gold_expression,
                 gold_valence, gold_arousal)
             select $2, face.id, face.id, face.id, 0, 0, 1, cast(value ->> 1 as bigint),
                    cast(value ->> 2 as double precision), cast(value ->> 3 as double precision)
             from json_each($1) as new cross join face where face.id = cast(new.value ->> 0 as bigint)
             on conflict (pool_id, face_id) do update set n_wanted = 0, n_open = 0, is_gold = 1,
                 gold_expression = excluded.gold_expression, gold_valence = excluded.gold_valence,
                 gold_arousal = excluded.gold_arousal",
            vec![rows, pool.0.into()],
        )
        .await
        .map_err(failed())?;
        recount_pool(&mut work, pool).await?;
        let (subject, detail) = (format!("pool/{pool}"), format!("{} faces", gold.len()));
        let entry = Entry { actor, action: "set-gold", subject: &subject, detail: &detail, time_ms: now_ms };
        append(&mut work, &entry).await?;
        work.commit().await.map_err(failed())
    }

    /// The faces of a pool with a known answer.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_gold(&self) -> Result<Vec<(PoolId, Gold)>, CatalogError> {
        let failed = || CatalogError::database("list gold faces");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select pool_id, face_id, gold_expression, gold_valence, gold_arousal from pool_face
                 where is_gold = 1 order by pool_id, face_id",
                vec![],
            )
            .await
            .map_err(failed())?;
        let gold = |row: &Row| {
            let expression = row.expression(2)?.ok_or_else(|| CatalogError::Corrupt("gold without category".into()))?;
            let gold =
                Gold { face_id: FaceId(row.int(1)?), expression, valence: row.valence(3)?, arousal: row.arousal(4)? };
            Ok((PoolId(row.int(0)?), gold))
        };
        rows.iter().map(gold).collect()
    }

    /// Faces of a pool after `after`, up to `last`, that still want answers and have no suggestion by `model`, in the order of
    /// their ids.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_unsuggested(
        &self,
        pool: PoolId,
        model: &str,
        (after, last): (FaceId, FaceId),
        limit: u32,
    ) -> Result<Vec<FaceId>, CatalogError> {
        let failed = || CatalogError::database("list faces without a suggestion");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                concat!(
                    "select face_id from pool_face where ",
                    unsuggested!(),
                    " and face_id > $3 and face_id <= $4 order by face_id limit $5"
                ),
                vec![pool.0.into(), model.into(), after.0.into(), last.0.into(), i64::from(limit).into()],
            )
            .await
            .map_err(failed())?;
        rows.iter().map(|row| Ok(FaceId(row.int(0)?))).collect()
    }

    /// How many faces [`Catalog::list_unsuggested`] would list in all.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_unsuggested(&self, pool: PoolId, model: &str) -> Result<u64, CatalogError> {
        let failed = || CatalogError::database("count faces without a suggestion");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(concat!("select count(*) from pool_face where ", unsuggested!()), vec![pool.0.into(), model.into()])
            .await
            .map_err(failed())?;
        rows.first().map_or(Ok(0), |row| row.count(0))
    }

    /// Records what a model thinks of faces of a pool and how sure it is.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn record_suggestions(&self, pool: PoolId, suggestions: &[SureSuggestion]) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("record suggestions");
        let rows = batch(suggestions.iter().map(|sure| {
            let SureSuggestion { face_id, suggestion, confidence, uncertainty } = sure;
            let expression = suggestion.expression.map(Expression::index);
            let (valence, arousal) = (suggestion.valence, suggestion.arousal);
            (face_id, expression, valence, arousal, &suggestion.by, uncertainty, confidence, pool)
        }));
        let mut work = self.database.write().await.map_err(failed())?;
        work.execute(
            "update pool_face set suggested_expression = cast(new.value ->> 1 as bigint),
                 suggested_valence = cast(new.value ->> 2 as double precision),
                 suggested_arousal = cast(new.value ->> 3 as double precision), suggested_by = new.value ->> 4,
                 uncertainty = cast(new.value ->> 5 as double precision),
                 confidence = cast(new.value ->> 6 as double precision)
             from json_each($1) as new
             where face_id = cast(new.value ->> 0 as bigint) and pool_id = cast(new.value ->> 7 as bigint)",
            vec![rows],
        )
        .await
        .map_err(failed())?;
        work.commit().await.map_err(failed())
    }

    /// Puts a pool's open faces in the order of a model's uncertainty, the least certain first, those it has not seen
    /// last.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn order_by_uncertainty(&self, pool: PoolId, actor: &str, now_ms: i64) -> Result<u64, CatalogError> {
        let failed = || CatalogError::database("order a pool");
        let mut work = self.database.write().await.map_err(failed())?;
        let n_ordered = work
            .execute(
                "update pool_face set place = ranked.rank
                 from (select face_id, row_number() over (order by coalesce(uncertainty, -1) desc, place) as rank
                       from pool_face where pool_id = $1 and is_gold = 0) as ranked
                 where pool_id = $1 and pool_face.face_id = ranked.face_id",
                vec![pool.0.into()],
            )
            .await
            .map_err(failed())?;
        let subject = format!("pool/{pool}");
        let entry = Entry { actor, action: "order-pool", subject: &subject, detail: "uncertainty", time_ms: now_ms };
        append(&mut work, &entry).await?;
        work.commit().await.map_err(failed())?;
        Ok(n_ordered)
    }
}

#[again]
impl Catalog {
    /// Categories of which a model is at least so sure (probability), by face; of several pools' the last.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_sure_categories(&self, least: f32) -> Result<Vec<(FaceId, Expression, f32)>, CatalogError> {
        let failed = || CatalogError::database("list what a model is sure of");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select face_id, suggested_expression, confidence from pool_face
                 where confidence >= $1 and suggested_expression is not null order by face_id, pool_id",
                vec![Some(least).into()],
            )
            .await
            .map_err(failed())?;
        let mut sure: Vec<(FaceId, Expression, f32)> = Vec::with_capacity(rows.len());
        for row in &rows {
            let Some(expression) = row.expression(1)? else { continue };
            let face = FaceId(row.int(0)?);
            if sure.last().is_some_and(|(last, ..)| *last == face) {
                sure.pop();
            }
            sure.push((face, expression, row.real(2)?));
        }
        Ok(sure)
    }
}

/// Sets a pool's sums from its rows.
pub(super) async fn recount_pool(work: &mut crate::database::Work, pool: PoolId) -> Result<(), CatalogError> {
    work.execute(
        "update pool set
             n_faces = (select count(*) from pool_face where pool_id = pool.id and is_gold = 0),
             n_wanted = (select coalesce(cast(sum(n_wanted) as bigint), 0) from pool_face where pool_id = pool.id),
             n_done = (select coalesce(cast(sum(case when n_done < n_wanted then n_done else n_wanted end) as bigint), 0)
                       from pool_face where pool_id = pool.id)
         where id = $1",
        vec![pool.0.into()],
    )
    .await
    .map_err(CatalogError::database("count a pool"))
    .map(drop)
}

pub(super) fn pool_row(row: &Row) -> Result<PoolRow, CatalogError> {
    let strategy = row.text(10)?;
    Ok(PoolRow {
        id: PoolId(row.int(0)?),
        name: row.text(1)?,
        state: PoolState::stored(&row.text(2)?)?,
        created_ms: row.int(3)?,
        n_faces: row.count(4)?,
        n_wanted: row.count(5)?,
        n_done: row.count(6)?,
        rules: PoolRules {
            n_annotators: row.unsigned(7)?,
            overlap_percent: row.unsigned(8)?,
            gold_percent: row.unsigned(9)?,
            strategy: Strategy::from_name(&strategy)
                .ok_or_else(|| CatalogError::Corrupt(format!("strategy `{strategy}`")))?,
            is_balanced: row.int(11)? == 1,
            is_assisted: row.int(12)? == 1,
            needs_quiz: row.int(13)? == 1,
            seed: row.int(14)?.cast_unsigned(),
        },
    })
}

fn pool_candidate(row: &Row) -> Result<PoolCandidate, CatalogError> {
    let query = match row.optional_int(8)? {
        Some(query) => Some((query, row.expression(9)?)),
        None => None,
    };
    Ok(PoolCandidate {
        face_id: FaceId(row.int(0)?),
        image_id: ImageId(row.int(1)?),
        phash: PerceptualHash(row.int(2)?.cast_unsigned()),
        place: [row.real(3)?, row.real(4)?, row.real(5)?, row.real(6)?],
        side_px: row.real(7)?,
        query,
        is_labelled: row.int(10)? > 0,
    })
}

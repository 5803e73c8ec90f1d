//! How do answers enter the log, once each, and what has an annotator answered?

use std::collections::{HashMap, HashSet};

use affectory_again::again;
use affectory_core::{AnnotatorId, Expression, FaceId, PoolId};

use super::assignments::{recount_faces, suggestion};
use crate::annotating::{AnswerAct, AnswerEvent, EventOutcome, OwnAnswer, Suggestion};
use crate::database::{Turn, Work, batch};
use crate::{Catalog, CatalogError};

/// By how much one request can be slower than the one before it, ms.
const SKEW_MS: i64 = 30_000;

#[again]
impl Catalog {
    /// Records what happened before several annotators' faces, in the order given and in one transaction: answers as new
    /// rows, corrections and withdrawals as rows that supersede. An event that is known already changes nothing.
    ///
    /// # Errors
    /// [`CatalogError::Database`]; nothing of the batch is recorded then.
    pub async fn record_events(&self, events: &[AnswerEvent]) -> Result<Vec<EventOutcome>, CatalogError> {
        let failed = || CatalogError::database("record answers");
        let mut work = self.database.write().await.map_err(failed())?;
        work.take_turn(Turn::Assign).await.map_err(failed())?;
        let mut outcomes = vec![EventOutcome::Repeated; events.len()];
        let mut known = list_known(&mut work, events).await?;
        let fresh: Vec<usize> = (0..events.len()).filter(|&idx| known.insert(events[idx].id.clone())).collect();
        let events = &in_order(&mut work, events, &fresh).await?;
        // One wave holds one event of each annotator before each face: the next may depend on it.
        let mut waves: Vec<Vec<usize>> = Vec::new();
        let mut depth: HashMap<(AnnotatorId, FaceId), usize> = HashMap::new();
        for idx in fresh {
            let level = depth.entry((events[idx].annotator_id, events[idx].face_id)).or_insert(0);
            if waves.len() == *level {
                waves.push(Vec::new());
            }
            waves[*level].push(idx);
            *level += 1;
        }
        for wave in waves {
            record_wave(&mut work, events, &wave, &mut outcomes).await?;
        }
        let touched = events.iter().zip(&outcomes).filter(|(_, outcome)| matches!(outcome, EventOutcome::Recorded(_)));
        let places: Vec<(i64, i64)> = touched.map(|(event, _)| (event.pool_id.0, event.face_id.0)).collect();
        recount_faces(&mut work, &places).await?;
        work.commit_and_let_go().await.map_err(failed())?;
        Ok(outcomes)
    }

    /// An annotator's answers in a pool since `since_ms` that still stand, newest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn list_own_answers(
        &self,
        annotator: AnnotatorId,
        pool: PoolId,
        since_ms: i64,
        limit: u32,
    ) -> Result<Vec<OwnAnswer>, CatalogError> {
        let failed = || CatalogError::database("list somebody's answers");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select face_id, expression, valence, arousal, created_ms from annotation
                 where annotator_id = $1 and pool_id = $2 and created_ms >= $3 and expression is not null
                     and not exists (select 1 from annotation as newer where newer.supersedes = annotation.id)
                 order by created_ms desc, id desc limit $4",
                vec![annotator.0.into(), pool.0.into(), since_ms.into(), i64::from(limit).into()],
            )
            .await
            .map_err(failed())?;
        let mut answers = Vec::with_capacity(rows.len());
        for row in &rows {
            let expression: Expression =
                row.expression(1)?.ok_or_else(|| CatalogError::Corrupt("an answer without a category".into()))?;
            let (valence, arousal) = (row.valence(2)?, row.arousal(3)?);
            answers.push(OwnAnswer {
                face_id: FaceId(row.int(0)?),
                expression,
                valence,
                arousal,
                created_ms: row.int(4)?,
            });
        }
        Ok(answers)
    }

    /// How many faces an annotator has answered in a pool: since `since_ms`, and ever.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn count_own_answers(
        &self,
        annotator: AnnotatorId,
        pool: PoolId,
        since_ms: i64,
    ) -> Result<(u64, u64), CatalogError> {
        let failed = || CatalogError::database("count somebody's answers");
        let mut work = self.database.read().await.map_err(failed())?;
        let rows = work
            .fetch(
                "select (select count(*) from assignment
                         where annotator_id = $1 and pool_id = $2 and done_ms >= $3),
                        (select count(*) from assignment
                         where annotator_id = $1 and pool_id = $2 and done_ms is not null)",
                vec![annotator.0.into(), pool.0.into(), since_ms.into()],
            )
            .await
            .map_err(failed())?;
        rows.first().map_or(Ok((0, 0)), |row| Ok((row.count(0)?, row.count(1)?)))
    }
}

/// Which of these events are in the catalogue.
async fn list_known(work: &mut Work, events: &[AnswerEvent]) -> Result<HashSet<String>, CatalogError> {
    let rows = work
        .fetch(
            "select event_id from json_each($1) as sent cross join annotation where event_id = sent.value ->> 0
             union all
             select event_id from json_each($1) as sent cross join flag where event_id = sent.value ->> 0",
            vec![batch(events.iter().map(|event| [&event.id]))],
        )
        .await
        .map_err(CatalogError::database("look for answers"))?;
    rows.iter().map(|row| row.text(0)).collect()
}

/// The events with times that rise for each annotator. A time is the server's less the age that a browser tells, so of two
/// requests soon after one another the slower can put its answer too late; undo would take back the wrong one.
async fn in_order(work: &mut Work, events: &[AnswerEvent], fresh: &[usize]) -> Result<Vec<AnswerEvent>, CatalogError> {
    let annotators: HashSet<AnnotatorId> = fresh.iter().map(|&idx| events[idx].annotator_id).collect();
    let rows = work
        .fetch(
            "select cast(value ->> 0 as bigint),
                    (select max(created_ms) from annotation
                     where annotator_id = cast(value ->> 0 as bigint) and pool_id is not null)
             from json_each($1) as asked",
            vec![batch(annotators.iter().map(|annotator| [annotator]))],
        )
        .await
        .map_err(CatalogError::database("look for the last answers"))?;
    let mut last: HashMap<AnnotatorId, i64> = HashMap::new();
    for row in &rows {
        if let Some(time_ms) = row.optional_int(1)? {
            last.insert(AnnotatorId(row.int(0)?), time_ms);
        }
    }
    let mut events = events.to_vec();
    for &idx in fresh {
        let event = &mut events[idx];
        let last = last.entry(event.annotator_id).or_insert(i64::MIN);
        // What is older by more was kept on another machine while that was offline.
        if event.time_ms <= *last && last.saturating_sub(event.time_ms) < SKEW_MS {
            event.time_ms = *last + 1;
        }
        *last = event.time_ms.max(*last);
    }
    Ok(events)
}

/// What the catalogue says of an annotator before a face.
struct Standing {
    /// The row that stands, its revision, and whether it says anything.
    last: Option<(i64, i64, bool)>,
    suggestion: Option<Suggestion>,
    is_shown: bool,
    /// Whether another face that looks the same is theirs.
    has_double: bool,
}

async fn record_wave(
    work: &mut Work,
    events: &[AnswerEvent],
    wave: &[usize],
    outcomes: &mut [EventOutcome],
) -> Result<(), CatalogError> {
    let failed = || CatalogError::database("record answers");
    let standings = list_standings(work, events, wave).await?;
    let (mut answers, mut ends, mut leases, mut flags) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for &idx in wave {
        let event = &events[idx];
        let Some(standing) = standings.get(&idx) else {
            outcomes[idx] = EventOutcome::NotGiven;
            continue;
        };
        if standing.has_double {
            outcomes[idx] = EventOutcome::LooksAlike;
            continue;
        }
        outcomes[idx] = EventOutcome::Recorded(None);
        let (face, annotator, pool) = (event.face_id, event.annotator_id, event.pool_id);
        let (supersedes, revision) = match standing.last {
            Some((id, revision, _)) => (Some(id), revision + 1),
            None => (None, 0),
        };
        let origin = format!("pool:{pool}");
        match &event.act {
            AnswerAct::Answer { expression, valence, arousal, elapsed_ms } => {
                let thought = standing.suggestion.as_ref();
                answers.push(serde_json::json!([
                    face,
                    annotator,
                    origin,
                    revision,
                    supersedes,
                    expression.index(),
                    valence,
                    arousal,
                    event.time_ms,
                    pool,
                    event.id,
                    elapsed_ms,
                    thought.and_then(|thought| thought.expression).map(Expression::index),
                    thought.and_then(|thought| thought.valence),
                    thought.and_then(|thought| thought.arousal),
                    thought.map(|thought| &thought.by),
                    thought.map(|_| i64::from(standing.is_shown)),
                ]));
                ends.push((face, annotator, event.time_ms));
                outcomes[idx] = EventOutcome::Recorded(standing.suggestion.clone());
            }
            AnswerAct::Undo { lease_end_ms } => {
                if standing.last.is_some_and(|(_, _, says_something)| says_something) {
                    let nothing = serde_json::Value::Null;
                    answers.push(serde_json::json!([
                        face,
                        annotator,
                        origin,
                        revision,
                        supersedes,
                        nothing,
                        nothing,
                        nothing,
                        event.time_ms,
                        pool,
                        event.id,
                        nothing,
                        nothing,
                        nothing,
                        nothing,
                        nothing,
                        nothing,
                    ]));
                }
                leases.push((face, annotator, lease_end_ms));
            }
            AnswerAct::Flag(note) => flags.push((&event.id, face, annotator, pool, note, event.time_ms)),
        }
    }
    if !answers.is_empty() {
        work.execute(
            "insert into annotation (face_id, annotator_id, origin, revision, supersedes, expression, valence, arousal,
                 created_ms, pool_id, event_id, elapsed_ms, suggested_expression, suggested_valence, suggested_arousal,
                 suggested_by, is_suggestion_shown)
             select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint), value ->> 2, cast(value ->> 3 as bigint),
                    cast(value ->> 4 as bigint), cast(value ->> 5 as bigint), cast(value ->> 6 as double precision),
                    cast(value ->> 7 as double precision), cast(value ->> 8 as bigint), cast(value ->> 9 as bigint),
                    value ->> 10, cast(value ->> 11 as bigint), cast(value ->> 12 as bigint),
                    cast(value ->> 13 as double precision), cast(value ->> 14 as double precision), value ->> 15,
                    cast(value ->> 16 as bigint)
             from json_each($1) as new where true order by key",
            vec![batch(answers)],
        )
        .await
        .map_err(failed())?;
    }
    if !ends.is_empty() {
        work.execute(
            "update assignment set done_ms = cast(new.value ->> 2 as bigint) from json_each($1) as new
             where face_id = cast(new.value ->> 0 as bigint) and annotator_id = cast(new.value ->> 1 as bigint)",
            vec![batch(ends)],
        )
        .await
        .map_err(failed())?;
    }
    if !leases.is_empty() {
        work.execute(
            "update assignment set done_ms = null, lease_end_ms = cast(new.value ->> 2 as bigint)
             from json_each($1) as new
             where face_id = cast(new.value ->> 0 as bigint) and annotator_id = cast(new.value ->> 1 as bigint)",
            vec![batch(leases)],
        )
        .await
        .map_err(failed())?;
    }
    if !flags.is_empty() {
        work.execute(
            "insert into flag (event_id, face_id, annotator_id, pool_id, note, created_ms)
             select value ->> 0, cast(value ->> 1 as bigint), cast(value ->> 2 as bigint),
                    cast(value ->> 3 as bigint), value ->> 4, cast(value ->> 5 as bigint)
             from json_each($1) as new where true order by key",
            vec![batch(flags)],
        )
        .await
        .map_err(failed())?;
    }
    Ok(())
}

/// By event: what stands. An event has none where the face was never given to the annotator in that pool.
async fn list_standings(
    work: &mut Work,
    events: &[AnswerEvent],
    wave: &[usize],
) -> Result<HashMap<usize, Standing>, CatalogError> {
    let rows = work
        .fetch(
            "select cast(asked.value ->> 0 as bigint), pool_face.suggested_expression, pool_face.suggested_valence,
                    pool_face.suggested_arousal, pool_face.suggested_by, is_assisted, last.id, last.revision, last.expression,
                    (select count(*) from assignment as other
                     where other.annotator_id = given.annotator_id and other.look_id = given.look_id
                         and other.face_id <> given.face_id
                         and (other.done_ms is not null or other.lease_end_ms is not null))
             from json_each($1) as asked cross join assignment as given cross join pool_face cross join pool
                 left join annotation as last on last.face_id = given.face_id
                     and last.annotator_id = given.annotator_id and last.origin = 'pool:' || cast(given.pool_id as text)
                     and not exists (select 1 from annotation as newer where newer.supersedes = last.id)
             where given.face_id = cast(asked.value ->> 1 as bigint)
                 and given.annotator_id = cast(asked.value ->> 2 as bigint)
                 and given.pool_id = cast(asked.value ->> 3 as bigint)
                 and pool_face.pool_id = given.pool_id and pool_face.face_id = given.face_id
                 and pool.id = given.pool_id",
            vec![batch(
                wave.iter().map(|&idx| (idx, events[idx].face_id, events[idx].annotator_id, events[idx].pool_id)),
            )],
        )
        .await
        .map_err(CatalogError::database("look for assignments"))?;
    let mut standings = HashMap::new();
    for row in &rows {
        let last = match (row.optional_int(6)?, row.optional_int(7)?) {
            (Some(id), Some(revision)) => Some((id, revision, row.expression(8)?.is_some())),
            _ => None,
        };
        let standing =
            Standing { last, suggestion: suggestion(row, 1)?, is_shown: row.int(5)? == 1, has_double: row.int(9)? > 0 };
        standings.insert(usize::try_from(row.int(0)?).unwrap_or(usize::MAX), standing);
    }
    Ok(standings)
}

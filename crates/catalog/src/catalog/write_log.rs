//! How do rows of another project's log enter this one, each once, and without a change to what is there?

use std::collections::{HashMap, HashSet};

use affectory_again::again;
use affectory_core::{Arousal, Expression, Sha256Hex, Valence};

use super::audit::{COMMAND_LINE, Entry, append};
use super::import::insert_annotators;
use crate::database::{Row, Turn, Work, batch};
use crate::exchange::{LogOutcome, LoggedAnnotation};
use crate::{AnnotatorKind, Catalog, CatalogError, PoolRules};

#[again]
impl Catalog {
    /// Begins to add another project's log: an audit entry, and the pools of those names that are not here, paused and
    /// empty, so that answers can say where they were given. Gives the rows of all these pools.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn begin_log_import(
        &self,
        pools: &[(String, PoolRules)],
        detail: &str,
        now_ms: i64,
    ) -> Result<HashMap<String, i64>, CatalogError> {
        let failed = || CatalogError::database("import annotations");
        let mut work = self.database.write().await.map_err(failed())?;
        work.execute(
            "insert into pool (name, state, strategy, n_annotators, overlap_percent, gold_percent, is_balanced,
                 is_assisted, needs_quiz, seed, created_ms)
             select value ->> 0, 'paused', value ->> 1, cast(value ->> 2 as bigint), cast(value ->> 3 as bigint),
                    cast(value ->> 4 as bigint), cast(value ->> 5 as bigint), cast(value ->> 6 as bigint),
                    cast(value ->> 7 as bigint), cast(value ->> 8 as bigint), $2
             from json_each($1) as new where true order by key
             on conflict (name) do nothing",
            vec![
                batch(pools.iter().map(|(name, rules)| {
                    let flags = [rules.is_balanced, rules.is_assisted, rules.needs_quiz].map(i64::from);
                    let shares = (rules.n_annotators, rules.overlap_percent, rules.gold_percent);
                    let seed = rules.seed.cast_signed();
                    let strategy = rules.strategy.name();
                    (name, strategy, shares.0, shares.1, shares.2, flags[0], flags[1], flags[2], seed)
                })),
                now_ms.into(),
            ],
        )
        .await
        .map_err(failed())?;
        let rows = work
            .fetch(
                "select name, id from pool where name in (select value ->> 0 from json_each($1))",
                vec![batch(pools.iter().map(|(name, _)| [name]))],
            )
            .await
            .map_err(failed())?;
        let ids = rows.iter().map(|row| Ok((row.text(0)?, row.int(1)?))).collect::<Result<_, CatalogError>>()?;
        let entry = Entry {
            actor: COMMAND_LINE,
            action: "import-annotations",
            subject: "annotations",
            detail,
            time_ms: now_ms,
        };
        append(&mut work, &entry).await?;
        work.commit().await.map_err(failed())?;
        Ok(ids)
    }

    /// Adds rows in the order given and in one transaction; what is there stays as it is. `pools`: the rows of their
    /// pools, as [`Catalog::begin_log_import`] gives them.
    ///
    /// # Errors
    /// [`CatalogError::Database`]; nothing of the batch is recorded then.
    pub async fn record_log(
        &self,
        rows: &[LoggedAnnotation],
        pools: &HashMap<String, i64>,
        now_ms: i64,
    ) -> Result<Vec<LogOutcome>, CatalogError> {
        let mut work = self.database.write().await.map_err(CatalogError::database("import annotations"))?;
        // Two imports would wait for each other's rows in different orders, and deadlock.
        work.take_turn(Turn::Import).await.map_err(CatalogError::database("import annotations"))?;
        let faces = find_faces(&mut work, rows, now_ms).await?;
        let with_face = rows.iter().zip(&faces).filter(|(_, face)| face.is_some()).map(|(row, _)| row);
        let annotators = find_annotators(&mut work, with_face).await?;
        let mut outcomes = vec![LogOutcome::Known; rows.len()];
        let mut placed = Vec::new();
        for (idx, row) in rows.iter().enumerate() {
            match place(row, faces[idx].as_ref(), &annotators, pools) {
                Ok(key) => placed.push((idx, key)),
                Err(reason) => outcomes[idx] = LogOutcome::Rejected(reason),
            }
        }
        let mut there = list_there(&mut work, &placed).await?;
        let mut events = list_events(&mut work, rows).await?;
        let mut pieces: Vec<Vec<(usize, Key)>> = vec![Vec::new()];
        let mut in_piece: HashSet<Key> = HashSet::new();
        for (idx, key) in placed {
            let (row, says) = (&rows[idx], Answer::of(&rows[idx]));
            if let Some(known) = there.get(&key) {
                if *known != says {
                    outcomes[idx] = LogOutcome::Rejected("this project has another answer in its place".into());
                }
                continue;
            }
            let reason = if annotators[&row.annotator].has_account {
                Some(format!(
                    "`{}` is somebody with an account here, and this answer is not theirs: give other people's names \
                     a prefix (--rename-people)",
                    row.annotator
                ))
            } else if row.event_id.as_ref().is_some_and(|event| events.contains(event)) {
                Some("its event is that of another annotation".to_owned())
            } else if key.before().is_some_and(|before| !there.contains_key(&before)) {
                Some("the answer that it supersedes is not here".to_owned())
            } else {
                None
            };
            if let Some(reason) = reason {
                outcomes[idx] = LogOutcome::Rejected(reason);
                continue;
            }
            // A statement does not see its own rows: what supersedes one of them goes into the next.
            if key.before().is_some_and(|before| in_piece.contains(&before)) {
                pieces.push(Vec::new());
                in_piece.clear();
            }
            in_piece.insert(key.clone());
            there.insert(key.clone(), says);
            events.extend(row.event_id.clone());
            if let Some(piece) = pieces.last_mut() {
                piece.push((idx, key));
            }
            outcomes[idx] = LogOutcome::Added;
        }
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            insert_piece(&mut work, rows, piece, pools).await?;
        }
        work.commit().await.map_err(CatalogError::database("import annotations"))?;
        Ok(outcomes)
    }
}

/// What makes an annotation unique here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    face: i64,
    annotator: i64,
    origin: String,
    revision: u32,
}

impl Key {
    /// That of the row it supersedes.
    fn before(&self) -> Option<Key> {
        Some(Key { revision: self.revision.checked_sub(1)?, ..self.clone() })
    }
}

/// What an annotation says, by which two of one key are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Answer(Option<Expression>, Option<Valence>, Option<Arousal>);

impl Answer {
    fn of(row: &LoggedAnnotation) -> Self {
        Self(row.expression, row.valence, row.arousal)
    }
}

/// An annotator as this catalogue knows it.
struct Known {
    id: i64,
    kind: AnnotatorKind,
    has_account: bool,
}

/// Where a row belongs, or why nowhere.
fn place(
    row: &LoggedAnnotation,
    face: Option<&i64>,
    annotators: &HashMap<String, Known>,
    pools: &HashMap<String, i64>,
) -> Result<Key, String> {
    let face = *face.ok_or_else(|| format!("image {} is not in this project", row.image_sha256))?;
    let annotator = annotators.get(&row.annotator).ok_or("its annotator could not be made")?;
    if annotator.kind != row.kind {
        let (there, here) = (row.kind.name(), annotator.kind.name());
        return Err(format!("`{}` is of the kind {here} here, and {there} there", row.annotator));
    }
    let origin = match &row.pool {
        // Here this is the origin of a pool's answers, whichever pool has that row.
        None if is_pools(&row.origin) => return Err(format!("`{}` needs the name of a pool", row.origin)),
        None => row.origin.clone(),
        Some(pool) => {
            let id = pools.get(pool).ok_or_else(|| format!("the header does not name the pool `{pool}`"))?;
            if row.origin == format!("pool:{pool}") { format!("pool:{id}") } else { row.origin.clone() }
        }
    };
    let expected = row.revision.checked_sub(1);
    let is_chain = match (&row.supersedes, expected) {
        (None, None) => true,
        (Some(older), Some(revision)) => {
            older.revision == revision && older.annotator == row.annotator && older.origin == row.origin
        }
        (None, Some(_)) | (Some(_), None) => false,
    };
    if !is_chain {
        return Err("it must supersede the revision before its own, of the same annotator and origin".into());
    }
    Ok(Key { face, annotator: annotator.id, origin, revision: row.revision })
}

/// Whether this catalogue could give the origin to answers in a pool.
fn is_pools(origin: &str) -> bool {
    origin.strip_prefix("pool:").is_some_and(|id| id.parse::<i64>().is_ok())
}

/// Each row's face; one that is not here, on an image that is, is added. None: there is no such image.
async fn find_faces(work: &mut Work, rows: &[LoggedAnnotation], now_ms: i64) -> Result<Vec<Option<i64>>, CatalogError> {
    let (known, images) = list_faces(work, rows).await?;
    let mut missing: Vec<&LoggedAnnotation> = Vec::new();
    let mut met = HashSet::new();
    for row in rows {
        let key = FaceKey::of(row);
        if !known.contains_key(&key) && images.contains(&row.image_sha256) && met.insert(key) {
            missing.push(row);
        }
    }
    if missing.is_empty() {
        return Ok(rows.iter().map(|row| known.get(&FaceKey::of(row)).copied()).collect());
    }
    work.execute(
        "insert into face (image_id, origin, x, y, width, height, given_split, created_ms)
         select image.id, value ->> 1, cast(value ->> 2 as double precision), cast(value ->> 3 as double precision),
                cast(value ->> 4 as double precision), cast(value ->> 5 as double precision),
                coalesce((select max(given_split) from sighting where sighting.image_id = image.id), -1), $2
         from json_each($1) as new cross join image
         where image.sha256 = new.value ->> 0
         order by new.key
         on conflict (image_id, origin, x, y, width, height) do nothing",
        vec![
            batch(missing.iter().map(|row| {
                let at = row.bounding_box;
                (&row.image_sha256, &row.face_origin, at.x, at.y, at.width, at.height)
            })),
            now_ms.into(),
        ],
    )
    .await
    .map_err(CatalogError::database("import annotations"))?;
    let (known, _) = list_faces(work, rows).await?;
    Ok(rows.iter().map(|row| known.get(&FaceKey::of(row)).copied()).collect())
}

/// What makes a face unique. Numbers are compared as the program has them, whatever the database makes of their text.
#[derive(PartialEq, Eq, Hash)]
struct FaceKey(Sha256Hex, String, [u32; 4]);

impl FaceKey {
    fn new(image: Sha256Hex, origin: String, at: [f32; 4]) -> Self {
        // 0 and -0 are one place.
        Self(image, origin, at.map(|number| (number + 0.0).to_bits()))
    }

    fn of(row: &LoggedAnnotation) -> Self {
        let at = row.bounding_box;
        Self::new(row.image_sha256.clone(), row.face_origin.clone(), [at.x, at.y, at.width, at.height])
    }
}

type Faces = (HashMap<FaceKey, i64>, HashSet<Sha256Hex>);

/// The faces of the rows' images, and which of these images are here.
async fn list_faces(work: &mut Work, rows: &[LoggedAnnotation]) -> Result<Faces, CatalogError> {
    let hashes: HashSet<&str> = rows.iter().map(|row| row.image_sha256.as_str()).collect();
    let found = work
        .fetch(
            "select sha256, face.id, face.origin, face.x, face.y, face.width, face.height
             from json_each($1) as wanted cross join image left join face on face.image_id = image.id
             where image.sha256 = wanted.value ->> 0",
            vec![batch(hashes.iter().map(|hash| [hash]))],
        )
        .await
        .map_err(CatalogError::database("look for faces"))?;
    let (mut faces, mut images) = (HashMap::new(), HashSet::new());
    for row in &found {
        let image = row.sha256(0)?;
        if let Some(id) = row.optional_int(1)? {
            let at = [row.real(3)?, row.real(4)?, row.real(5)?, row.real(6)?];
            faces.insert(FaceKey::new(image.clone(), row.text(2)?, at), id);
        }
        images.insert(image);
    }
    Ok((faces, images))
}

/// The rows' annotators by name; those met for the first time are made, in the order they are met.
async fn find_annotators<'a>(
    work: &mut Work,
    rows: impl Iterator<Item = &'a LoggedAnnotation>,
) -> Result<HashMap<String, Known>, CatalogError> {
    let failed = || CatalogError::database("look for annotators");
    let names = insert_annotators(work, rows.map(|row| (row.annotator.as_str(), row.kind))).await.map_err(failed())?;
    let found = work
        .fetch(
            "select name, id, kind, exists (select 1 from account where account.annotator_id = annotator.id)
             from annotator where name in (select value ->> 0 from json_each($1))",
            vec![batch(names.iter().map(|name| [name]))],
        )
        .await
        .map_err(failed())?;
    let known = |row: &Row| {
        let kind = AnnotatorKind::from_name(&row.text(2)?)?;
        Ok((row.text(0)?, Known { id: row.int(1)?, kind, has_account: row.boolean(3)? }))
    };
    found.iter().map(known).collect()
}

/// What is there of these keys and of those they supersede.
async fn list_there(work: &mut Work, placed: &[(usize, Key)]) -> Result<HashMap<Key, Answer>, CatalogError> {
    let wanted: HashSet<(i64, i64, &str)> =
        placed.iter().map(|(_, key)| (key.face, key.annotator, key.origin.as_str())).collect();
    let rows = work
        .fetch(
            "select face_id, annotator_id, origin, revision, expression, valence, arousal
             from json_each($1) as wanted cross join annotation
             where face_id = cast(wanted.value ->> 0 as bigint) and annotator_id = cast(wanted.value ->> 1 as bigint)
                 and origin = wanted.value ->> 2",
            vec![batch(wanted)],
        )
        .await
        .map_err(CatalogError::database("look for annotations"))?;
    let there = |row: &Row| {
        let revision = u32::try_from(row.int(3)?).unwrap_or(u32::MAX);
        let key = Key { face: row.int(0)?, annotator: row.int(1)?, origin: row.text(2)?, revision };
        Ok((key, Answer(row.expression(4)?, row.valence(5)?, row.arousal(6)?)))
    };
    rows.iter().map(there).collect()
}

/// Which of the rows' events are in the log.
async fn list_events(work: &mut Work, rows: &[LoggedAnnotation]) -> Result<HashSet<String>, CatalogError> {
    let found = work
        .fetch(
            "select event_id from json_each($1) as sent cross join annotation where event_id = sent.value ->> 0",
            vec![batch(rows.iter().filter_map(|row| row.event_id.as_ref()).map(|event| [event]))],
        )
        .await
        .map_err(CatalogError::database("look for annotations"))?;
    found.iter().map(|row| row.text(0)).collect()
}

/// Adds rows of which none supersedes another, in their order.
async fn insert_piece(
    work: &mut Work,
    rows: &[LoggedAnnotation],
    piece: &[(usize, Key)],
    pools: &HashMap<String, i64>,
) -> Result<(), CatalogError> {
    let new = batch(piece.iter().map(|(idx, key)| {
        let row = &rows[*idx];
        let thought = row.suggestion.as_ref();
        let suggestion = thought.map(|(suggestion, _)| suggestion);
        serde_json::json!([
            key.face,
            key.annotator,
            key.origin,
            key.revision,
            row.expression.map(Expression::index),
            row.valence,
            row.arousal,
            row.created_ms,
            row.pool.as_ref().and_then(|pool| pools.get(pool)),
            row.event_id,
            row.elapsed_ms,
            suggestion.and_then(|suggestion| suggestion.expression).map(Expression::index),
            suggestion.and_then(|suggestion| suggestion.valence),
            suggestion.and_then(|suggestion| suggestion.arousal),
            suggestion.map(|suggestion| &suggestion.by),
            thought.map(|(_, is_shown)| i64::from(*is_shown)),
        ])
    }));
    work.execute(
        "insert into annotation (face_id, annotator_id, origin, revision, supersedes, expression, valence, arousal,
             created_ms, pool_id, event_id, elapsed_ms, suggested_expression, suggested_valence, suggested_arousal,
             suggested_by, is_suggestion_shown)
         select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint), value ->> 2, cast(value ->> 3 as bigint),
                (select older.id from annotation as older
                 where older.face_id = cast(value ->> 0 as bigint)
                     and older.annotator_id = cast(value ->> 1 as bigint) and older.origin = value ->> 2
                     and older.revision = cast(value ->> 3 as bigint) - 1),
                cast(value ->> 4 as bigint), cast(value ->> 5 as double precision),
                cast(value ->> 6 as double precision), cast(value ->> 7 as bigint), cast(value ->> 8 as bigint),
                value ->> 9, cast(value ->> 10 as bigint), cast(value ->> 11 as bigint),
                cast(value ->> 12 as double precision), cast(value ->> 13 as double precision), value ->> 14,
                cast(value ->> 15 as bigint)
         from json_each($1) as new where true order by key",
        vec![new],
    )
    .await
    .map_err(CatalogError::database("import annotations"))?;
    Ok(())
}

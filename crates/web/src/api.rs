//! What does the annotation page ask for while somebody works?

use std::sync::Arc;
use std::time::Instant;

use affectory_catalog::{AnswerAct, AnswerEvent, EventOutcome, FaceRequest, PoolRow, PoolState, Suggestion};
use affectory_core::{Arousal, Expression, FaceId, PoolId, Valence, WAY};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use tracing::Level;

use crate::access::Visitor;
use crate::app::App;
use crate::failure::{ApiError, WebError};
use crate::way;

/// How long a face stays with an annotator who does not come back, ms.
pub(crate) const LEASE_MS: i64 = 60 * 60_000;

/// Faces an annotator may hold.
const MOST_HELD: u32 = 24;

/// Events in one request.
const MOST_EVENTS: usize = 200;

/// An answer may be this old when it arrives: a browser kept it over a long weekend.
const OLDEST_MS: i64 = 7 * 86_400_000;

/// What is "today" wherever a page says so: the last 24 hours, since annotators sit in any time zone.
pub(crate) const TODAY_MS: i64 = 86_400_000;

/// Longest note of a flag, characters.
const LONGEST_NOTE: usize = 1_000;

/// Time on one face that is believed, ms: beyond that somebody was away.
const LONGEST_LOOK_MS: f64 = 10.0 * 60_000.0;

/// Whether the server and its catalogue answer.
pub(crate) async fn healthz(State(app): State<Arc<App>>) -> Result<&'static str, WebError> {
    app.project.catalog.count_accounts().await?;
    Ok("ok\n")
}

#[derive(serde::Deserialize)]
pub(crate) struct Next {
    n: u32,
}

/// The faces an annotator holds, topped up.
pub(crate) async fn next(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(pool): Path<i64>,
    body: Result<Json<Next>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    let n = read_body(body)?.n.clamp(1, MOST_HELD);
    let pool = open_to(&app, &visitor, PoolId(pool)).await?;
    let (annotator_id, now_ms) = (visitor.account.annotator_id, app.now_ms());
    let request = |after_place| FaceRequest {
        pool_id: pool.id,
        annotator_id,
        limit: n,
        after_place,
        gold_percent: pool.rules.gold_percent,
        seed: pool.rules.seed,
        lease_end_ms: now_ms + LEASE_MS,
    };
    let mut given = Default::default();
    if pool.state == PoolState::Open {
        let hint = app.hint(annotator_id, pool.id);
        given = app.project.catalog.give_faces(&request(hint), now_ms).await?;
        if given.faces.is_empty() && hint > 0 {
            given = app.project.catalog.give_faces(&request(0), now_ms).await?;
        }
        app.set_hint(annotator_id, pool.id, given.passed_place);
    }
    let state = match pool.state {
        PoolState::Open if given.faces.is_empty() => "finished",
        PoolState::Open => "open",
        PoolState::Paused | PoolState::Filling => "paused",
    };
    let faces: Vec<Value> = given
        .faces
        .iter()
        .map(|(face, thought)| {
            let shown = thought.as_ref().filter(|_| pool.rules.is_assisted).map(suggested);
            json!({
                "face": face,
                "image": format!("/faces/{face}/crop"),
                "context": format!("/faces/{face}/context"),
                "suggestion": shown,
            })
        })
        .collect();
    Ok(Json(json!({ "faces": faces, "progress": progress(&app, &visitor, &pool).await?, "state": state })))
}

/// An annotator's answers of the last 24 hours in a pool.
pub(crate) async fn today(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(pool): Path<i64>,
) -> Result<Json<Value>, ApiError> {
    let now_ms = app.now_ms();
    let answers = app
        .project
        .catalog
        .list_own_answers(visitor.account.annotator_id, PoolId(pool), now_ms - TODAY_MS, 500)
        .await?;
    let answers: Vec<Value> = answers
        .iter()
        .map(|answer| {
            json!({
                "face": answer.face_id,
                "image": format!("/faces/{}/crop", answer.face_id),
                "context": format!("/faces/{}/context", answer.face_id),
                "expression": answer.expression.index(),
                "valence": answer.valence,
                "arousal": answer.arousal,
                "age_ms": (now_ms - answer.created_ms).max(0),
            })
        })
        .collect();
    Ok(Json(json!({ "answers": answers })))
}

#[derive(serde::Deserialize)]
pub(crate) struct Events {
    events: Vec<Event>,
}

#[derive(serde::Deserialize)]
struct Event {
    id: String,
    kind: String,
    pool: i64,
    face: i64,
    expression: Option<usize>,
    valence: Option<f32>,
    arousal: Option<f32>,
    elapsed_ms: Option<f64>,
    age_ms: Option<f64>,
    note: Option<String>,
}

/// Records what happened in a browser. When this answers, the disk has it.
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    body: Result<Json<Events>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    let events = read_body(body)?.events;
    if events.len() > MOST_EVENTS {
        return Err(ApiError(WebError::Invalid(format!("at most {MOST_EVENTS} events at a time"))));
    }
    let (began, now_ms) = (Instant::now(), app.now_ms());
    let checked: Vec<Result<AnswerEvent, String>> =
        events.iter().map(|event| checked(event, &visitor, now_ms)).collect();
    let good: Vec<AnswerEvent> = checked.iter().filter_map(|event| event.as_ref().ok().cloned()).collect();
    let pools: std::collections::BTreeSet<PoolId> = good.iter().map(|event| event.pool_id).collect();
    let followed = tracing::enabled!(target: WAY, Level::INFO).then(|| good.clone());
    let outcomes = app.recorder.record(good).await?;
    if let Some(events) = followed {
        let recorded = events.into_iter().zip(&outcomes);
        let recorded = recorded.filter(|(_, outcome)| matches!(outcome, EventOutcome::Recorded(_)));
        let events = recorded.map(|(event, _)| event).collect();
        // The annotator does not wait for it.
        tokio::spawn(way::tell(Arc::clone(&app), events, (now_ms, began, Instant::now())));
    }
    let mut outcomes = outcomes.into_iter();
    let mut assisted = std::collections::BTreeMap::new();
    let mut last_pool = None;
    for pool in pools {
        if let Some(row) = app.project.catalog.find_pool(pool).await? {
            assisted.insert(pool, row.rules.is_assisted);
            last_pool = Some(row);
        }
    }
    let results: Vec<Value> = events
        .iter()
        .zip(&checked)
        .map(|(event, checked)| match checked {
            Err(reason) => result(&event.id, "refused", Some(reason), None),
            Ok(checked) => {
                let is_assisted = assisted.get(&checked.pool_id).copied().unwrap_or(false);
                match outcomes.next() {
                    Some(EventOutcome::Recorded(thought)) => {
                        result(&event.id, "recorded", None, thought.filter(|_| !is_assisted))
                    }
                    Some(EventOutcome::Repeated) => result(&event.id, "repeated", None, None),
                    Some(EventOutcome::LooksAlike) => {
                        result(&event.id, "refused", Some("you were given a face that looks the same"), None)
                    }
                    Some(EventOutcome::NotGiven) | None => {
                        result(&event.id, "refused", Some("that face was not given to you"), None)
                    }
                }
            }
        })
        .collect();
    let progress = match &last_pool {
        Some(pool) => progress(&app, &visitor, pool).await?,
        None => Value::Null,
    };
    Ok(Json(json!({ "results": results, "progress": progress })))
}

fn result(id: &str, status: &str, reason: Option<&str>, suggestion: Option<Suggestion>) -> Value {
    json!({ "id": id, "status": status, "reason": reason, "suggestion": suggestion.as_ref().map(suggested) })
}

/// A suggestion as the page takes it: categories by their index.
fn suggested(suggestion: &Suggestion) -> Value {
    json!({
        "expression": suggestion.expression.map(Expression::index),
        "valence": suggestion.valence,
        "arousal": suggestion.arousal,
        "by": suggestion.by,
    })
}

/// An event whose values make sense, or why they do not.
fn checked(event: &Event, visitor: &Visitor, now_ms: i64) -> Result<AnswerEvent, String> {
    let is_id =
        (8..=64).contains(&event.id.len()) && event.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_id {
        return Err("an event needs an id of 8 to 64 letters, digits and -".into());
    }
    let act = match event.kind.as_str() {
        "answer" => {
            let expression = event.expression.and_then(Expression::from_index).ok_or("a category is 0 to 10")?;
            let point = match (event.valence, event.arousal) {
                (Some(valence), Some(arousal)) => Some((
                    Valence::new(valence).map_err(|error| error.to_string())?,
                    Arousal::new(arousal).map_err(|error| error.to_string())?,
                )),
                (None, None) => None,
                _ => return Err("valence and arousal belong together".into()),
            };
            if expression.is_affective() != point.is_some() {
                return Err("the eight expressions need valence and arousal, the other three have none".into());
            }
            AnswerAct::Answer {
                expression,
                valence: point.map(|(valence, _)| valence),
                arousal: point.map(|(_, arousal)| arousal),
                elapsed_ms: event.elapsed_ms.unwrap_or(0.0).clamp(0.0, LONGEST_LOOK_MS) as u32,
            }
        }
        "undo" => AnswerAct::Undo { lease_end_ms: now_ms + LEASE_MS },
        "flag" => {
            let note = event.note.as_deref().unwrap_or("").trim();
            if note.chars().count() > LONGEST_NOTE {
                return Err(format!("a note has at most {LONGEST_NOTE} characters"));
            }
            AnswerAct::Flag(note.to_owned())
        }
        _ => return Err("an event is an answer, an undo or a flag".into()),
    };
    let age_ms = (event.age_ms.unwrap_or(0.0).max(0.0) as i64).min(OLDEST_MS);
    Ok(AnswerEvent {
        // Another annotator's id must not make this one look repeated.
        id: format!("{}/{}", visitor.account.annotator_id, event.id),
        annotator_id: visitor.account.annotator_id,
        pool_id: PoolId(event.pool),
        face_id: FaceId(event.face),
        time_ms: now_ms - age_ms,
        act,
    })
}

/// The figures of agreement, the same document as `affectory annotations agreement --json` prints.
pub(crate) async fn agreement(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    let watched = app.figures().ok_or(ApiError(WebError::Busy))?;
    let agreement = serde_json::to_value(&watched.figures.agreement).unwrap_or_default();
    Ok(Json(json!({
        "last_annotation": watched.figures.last,
        "n_annotations": watched.figures.n_annotations,
        "computed_ms": watched.computed_ms,
        "agreement": agreement,
    })))
}

/// A pool that this annotator may work on.
pub(crate) async fn open_to(app: &App, visitor: &Visitor, pool: PoolId) -> Result<PoolRow, WebError> {
    let pool = app.project.catalog.find_pool(pool).await?.ok_or(WebError::NotFound("that pool"))?;
    if pool.rules.needs_quiz && visitor.account.qualified_ms.is_none() {
        return Err(WebError::Invalid(
            "this pool is for annotators who have passed the quiz: it is under /quiz".into(),
        ));
    }
    Ok(pool)
}

async fn progress(app: &App, visitor: &Visitor, pool: &PoolRow) -> Result<Value, WebError> {
    let since_ms = app.now_ms() - TODAY_MS;
    let (today, mine) = app.project.catalog.count_own_answers(visitor.account.annotator_id, pool.id, since_ms).await?;
    Ok(json!({ "today": today, "mine": mine, "done": pool.n_done, "wanted": pool.n_wanted }))
}

fn read_body<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, ApiError> {
    body.map(|Json(body)| body).map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError(WebError::TooLarge),
        _ => ApiError(WebError::Invalid(error.body_text())),
    })
}

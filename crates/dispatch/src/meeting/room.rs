//! What does the first process of a meeting know, and what does it answer the others?

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::{BEAT, GRACE, PATIENCE, SESSION, Seat, from_bytes_le};

/// A question is answered after this long, if only with "not yet": nobody rests on a line that stays open.
const NOT_YET: Duration = Duration::from_secs(10);

/// What the first process knows.
#[derive(Default)]
struct Table {
    /// When each of the others last said something.
    seen: BTreeMap<usize, Instant>,
    /// The nonce each of them came with.
    nonces: BTreeMap<usize, u64>,
    /// The round that all work towards.
    round: u64,
    /// Numbers in a row of that round; `None` until the first process has come to it itself.
    n_numbers: Option<usize>,
    /// What the others have brought for it.
    brought: BTreeMap<usize, Vec<(usize, Vec<f32>)>>,
    /// The last round that was answered, and how.
    answer: Option<(u64, Bytes)>,
    /// Who has gone home at the end.
    gone: BTreeSet<usize>,
    /// Why it does not go on.
    broken: Option<String>,
}

impl Table {
    fn has_round(&self, round: u64) -> bool {
        self.broken.is_some() || self.round > round || (self.round == round && self.n_numbers.is_some())
    }

    fn answer_of(&self, round: u64) -> Option<Bytes> {
        self.answer.as_ref().filter(|(answered, _)| *answered == round).map(|(_, bytes)| bytes.clone())
    }
}

/// Where the others are answered.
#[derive(Clone)]
pub(super) struct Room {
    table: watch::Sender<Table>,
    size: usize,
    /// SHA-256 of the password, so that comparing tells nothing of it.
    token: [u8; 32],
    session: u64,
}

impl Room {
    pub(super) fn new(seat: &Seat) -> Room {
        Room {
            table: watch::Sender::new(Table::default()),
            size: seat.size,
            token: Sha256::digest(&seat.token).into(),
            session: seat.nonce,
        }
    }

    pub(super) fn router(&self) -> Router {
        Router::new()
            .route("/meet/{number}", post(meet))
            .route("/beat/{number}", post(beat))
            .route("/leave/{number}", post(leave))
            .route("/round/{number}/{round}", post(bring))
            .with_state(self.clone())
    }

    /// How many processes have come, the first one included.
    pub(super) fn n_here(&self) -> usize {
        self.table.borrow().seen.len() + 1
    }

    /// Ends the meeting for all.
    pub(super) fn end(&self, reason: String) {
        self.table.send_modify(|table| end(table, reason));
    }

    /// Waits until the others have gone home: they still take the last answer along.
    pub(super) async fn empty(&self) {
        let mut watching = self.table.subscribe();
        let _ = timeout(PATIENCE, watching.wait_for(|table| table.gone.len() + 1 == self.size)).await;
    }

    /// The first process's side of a round.
    pub(super) async fn answer(
        &self,
        round: u64,
        own: Vec<(usize, Vec<f32>)>,
        n_numbers: usize,
        answer: impl FnOnce(Vec<(usize, Vec<f32>)>) -> Result<Bytes, String>,
    ) -> Result<Bytes, String> {
        self.table.send_modify(|table| table.n_numbers = Some(n_numbers));
        let mut watching = self.table.subscribe();
        loop {
            let is_full = |table: &Table| table.broken.is_some() || table.brought.len() + 1 == self.size;
            if timeout(BEAT, watching.wait_for(is_full)).await.is_ok() {
                break;
            }
            self.table.send_if_modified(|table| {
                let silent = table.seen.iter().find(|(_, seen)| seen.elapsed() > PATIENCE).map(|(number, _)| *number);
                silent.inspect(|number| end(table, format!("process {number} is gone or says nothing"))).is_some()
            });
        }
        let mut rows = own;
        let mut broken = None;
        self.table.send_modify(|table| {
            broken = table.broken.clone();
            rows.extend(std::mem::take(&mut table.brought).into_values().flatten());
        });
        let answered = match broken {
            Some(reason) => Err(reason),
            None => answer(rows),
        };
        self.table.send_modify(|table| match &answered {
            Ok(bytes) => {
                table.answer = Some((round, bytes.clone()));
                table.n_numbers = None;
                table.round = round + 1;
            }
            Err(reason) => end(table, reason.clone()),
        });
        answered
    }

    fn admit(&self, headers: &HeaderMap, number: usize) -> Result<(), (StatusCode, String)> {
        let said = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token: [u8; 32] = Sha256::digest(said.strip_prefix("Bearer ").unwrap_or_default()).into();
        if token != self.token {
            return Err((StatusCode::UNAUTHORIZED, "another token than process 0's".into()));
        }
        if !(1..self.size).contains(&number) {
            return Err((StatusCode::CONFLICT, format!("there is no process {number} among {}", self.size)));
        }
        Ok(())
    }

    /// Whoever speaks belongs to this meeting, and is there.
    fn hear(&self, headers: &HeaderMap, number: usize) -> Result<(), (StatusCode, String)> {
        self.admit(headers, number)?;
        let session = headers.get(SESSION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if session != self.session.to_string() {
            return Err((StatusCode::CONFLICT, "process 0 was started anew: start this one again too".into()));
        }
        self.table.send_if_modified(|table| {
            table.seen.insert(number, Instant::now());
            false
        });
        Ok(())
    }
}

fn end(table: &mut Table, reason: String) {
    table.broken.get_or_insert(reason);
}

#[derive(serde::Deserialize)]
struct Newcomer {
    nonce: u64,
    size: usize,
}

type Answer = Result<(StatusCode, Bytes), (StatusCode, String)>;

async fn meet(
    Shared(room): Shared<Room>,
    Path(number): Path<usize>,
    Query(newcomer): Query<Newcomer>,
    headers: HeaderMap,
) -> Answer {
    room.admit(&headers, number)?;
    if newcomer.size != room.size {
        let differ = format!("process 0 waits for {} processes, process {number} for {}", room.size, newcomer.size);
        return Err((StatusCode::CONFLICT, differ));
    }
    // The same one may come again, because our answer was lost.
    let mut is_taken = false;
    room.table.send_if_modified(|table| {
        is_taken = *table.nonces.entry(number).or_insert(newcomer.nonce) != newcomer.nonce;
        if !is_taken {
            table.seen.insert(number, Instant::now());
        }
        false
    });
    if is_taken {
        return Err((StatusCode::CONFLICT, format!("there is a process {number} already")));
    }
    Ok((StatusCode::OK, room.session.to_string().into()))
}

/// Stays open for a while, so that the line's end is noticed.
async fn beat(Shared(room): Shared<Room>, Path(number): Path<usize>, headers: HeaderMap) -> Answer {
    room.hear(&headers, number)?;
    let mut line = OpenLine { room: &room, number, is_answered: false };
    let mut watching = room.table.subscribe();
    let ended = timeout(NOT_YET, watching.wait_for(|table| table.broken.is_some())).await;
    let reason = ended.ok().and_then(|table| table.ok()?.broken.clone());
    line.is_answered = true;
    room.hear(&headers, number)?;
    reason.map_or(Ok((StatusCode::OK, Bytes::new())), |reason| Err((StatusCode::CONFLICT, reason)))
}

/// Dropped when the other end is gone before it was answered: it has not much time left to say something.
struct OpenLine<'a> {
    room: &'a Room,
    number: usize,
    is_answered: bool,
}

impl Drop for OpenLine<'_> {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        self.room.table.send_if_modified(|table| {
            if let (Some(seen), Some(then)) =
                (table.seen.get_mut(&self.number), Instant::now().checked_sub(PATIENCE - GRACE))
            {
                *seen = then.min(*seen);
            }
            false
        });
    }
}

async fn leave(Shared(room): Shared<Room>, Path(number): Path<usize>, headers: HeaderMap, why: String) -> Answer {
    room.hear(&headers, number)?;
    room.table.send_modify(|table| {
        table.gone.insert(number);
        if !why.is_empty() {
            end(table, format!("process {number} left: {why}"));
        }
    });
    Ok((StatusCode::OK, Bytes::new()))
}

#[derive(serde::Deserialize)]
struct Brought {
    /// Numbers of the rows in the body, separated by commas.
    rows: String,
}

/// Rows of one of the others for a round; answered with what all get, or after a while with "not yet", and asked again.
async fn bring(
    Shared(room): Shared<Room>,
    Path((number, round)): Path<(usize, u64)>,
    Query(brought): Query<Brought>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    room.hear(&headers, number)?;
    let conflict = |reason: String| (StatusCode::CONFLICT, reason);
    let mut watching = room.table.subscribe();
    let not_yet = Ok((StatusCode::ACCEPTED, Bytes::new()));
    // The body waits outside until it is known how large it may be.
    if timeout(NOT_YET, watching.wait_for(|table| table.has_round(round))).await.is_err() {
        return not_yet;
    }
    let n_numbers = {
        let table = room.table.borrow();
        let is_wanted = table.broken.is_none() && table.round == round && !table.brought.contains_key(&number);
        table.n_numbers.filter(|_| is_wanted)
    };
    if let Some(n_numbers) = n_numbers {
        let numbers: Vec<usize> = brought.rows.split(',').filter_map(|number| number.parse().ok()).collect();
        let n_bytes = numbers.len().saturating_mul(n_numbers).saturating_mul(size_of::<f32>());
        let bytes = to_bytes(body, n_bytes).await.unwrap_or_default();
        if bytes.len() != n_bytes {
            let differ =
                format!("process {number} brings rows of another length: the processes train different networks");
            room.end(differ.clone());
            return Err(conflict(differ));
        }
        let values = from_bytes_le(&bytes);
        let rows = numbers.into_iter().zip(values.chunks(n_numbers.max(1)).map(<[f32]>::to_vec)).collect();
        room.table.send_modify(|table| {
            if table.round == round {
                table.brought.insert(number, rows);
            }
        });
    }
    let is_over = |table: &Table| table.broken.is_some() || table.round > round;
    if timeout(NOT_YET, watching.wait_for(is_over)).await.is_err() {
        return not_yet;
    }
    let table = room.table.borrow();
    match (table.answer_of(round), &table.broken) {
        (Some(bytes), _) => Ok((StatusCode::OK, bytes)),
        (None, Some(reason)) => Err(conflict(reason.clone())),
        (None, None) => Err(conflict(format!("round {round} is long over"))),
    }
}

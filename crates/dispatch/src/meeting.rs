//! How do the processes that train one network together give each other what each has?
//!
//! The first process listens; the others bring it their rows over HTTP and take the answer home. What is exchanged when is
//! not this file's business: all processes ask for the same rounds in the same order, and the first one answers a round
//! when all have brought what belongs to it. A request that was lost is sent again. Each of the others has one more request
//! open all the time, by which both sides notice when the other is gone: that ends the meeting for all, with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use affectory_collect::public_client;
use affectory_core::{Progress, Stop};
use affectory_learn::{Team, added};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::DispatchError;

/// How often it is looked whether all are still there.
const BEAT: Duration = Duration::from_secs(1);

/// A process that said nothing for this long has left.
const PATIENCE: Duration = Duration::from_secs(30);

/// One whose line broke has so long to come back.
const GRACE: Duration = Duration::from_secs(5);

/// How long the processes wait for each other at the beginning.
const GATHERING: Duration = Duration::from_secs(15 * 60);

/// A question is answered after this long, if only with "not yet": nobody rests on a line that stays open.
const NOT_YET: Duration = Duration::from_secs(10);

/// Bytes of an answer, at most.
const MOST_BYTES: u64 = 8 << 30;

/// Letters of a password, at least.
const LEAST_TOKEN: usize = 16;

/// Which process of a meeting this is.
#[derive(Clone)]
pub struct Seat {
    /// From 0; the first one listens.
    pub number: usize,
    /// Of how many, at least 2.
    pub size: usize,
    /// Where the first one listens: for itself an address with a port, for the others also `http://...` or `https://...`.
    pub address: String,
    /// What all of them know and nobody else.
    pub token: String,
    /// A random number, by which a new meeting is told from an old one.
    pub nonce: u64,
}

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

#[derive(Clone)]
struct Room {
    table: watch::Sender<Table>,
    size: usize,
    /// SHA-256 of the password, so that comparing tells nothing of it.
    token: [u8; 32],
    session: u64,
}

/// The processes that train one network together; see [`Team`], whose calls must not be made on the runtime's own threads.
pub struct Meeting {
    seat: Seat,
    side: Side,
    round: AtomicU64,
    runtime: Handle,
    task: JoinHandle<()>,
}

enum Side {
    First(Room),
    Other(Arc<Line>),
}

/// The others' way to the first process.
struct Line {
    http: reqwest::Client,
    base: String,
    number: usize,
    token: String,
    session: u64,
    /// Why the first process cannot be reached any more.
    broken: watch::Sender<Option<String>>,
}

impl Meeting {
    /// Waits until all processes are there.
    ///
    /// # Errors
    /// [`DispatchError::Meeting`] if the seat makes no sense, the first process cannot listen or be reached, or somebody stays away.
    pub async fn gather(seat: Seat, stop: &Stop, progress: &dyn Progress) -> Result<Meeting, DispatchError> {
        check(&seat).map_err(DispatchError::Meeting)?;
        progress.begin("waiting for the other processes", Some(seat.size as u64));
        let met = match seat.number {
            0 => Self::first(seat, stop, progress).await,
            _ => Self::other(seat, stop).await,
        };
        progress.end();
        met.map_err(DispatchError::Meeting)
    }

    async fn first(seat: Seat, stop: &Stop, progress: &dyn Progress) -> Result<Meeting, String> {
        let address: SocketAddr = seat.address.parse().map_err(|_| {
            format!("process 0 listens on an address and a port, as 0.0.0.0:7701, not on `{}`", seat.address)
        })?;
        let listener =
            TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
        let room = Room {
            table: watch::Sender::new(Table::default()),
            size: seat.size,
            token: Sha256::digest(&seat.token).into(),
            session: seat.nonce,
        };
        let router = Router::new()
            .route("/meet/{number}", post(meet))
            .route("/beat/{number}", post(beat))
            .route("/leave/{number}", post(leave))
            .route("/round/{number}/{round}", post(bring))
            .with_state(room.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the other processes are no longer answered");
            }
        });
        let since = Instant::now();
        let mut n_known = 0;
        loop {
            let n_here = room.table.borrow().seen.len() + 1;
            progress.advance((n_here - n_known) as u64);
            n_known = n_here;
            if n_here == seat.size {
                break;
            }
            if stop.is_requested() || since.elapsed() > GATHERING {
                task.abort();
                return Err(format!("{n_here} of {} processes came", seat.size));
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(Meeting { side: Side::First(room), round: AtomicU64::new(0), runtime: Handle::current(), task, seat })
    }

    async fn other(seat: Seat, stop: &Stop) -> Result<Meeting, String> {
        let base = match seat.address.split_once("://") {
            Some(_) => seat.address.trim_end_matches('/').to_owned(),
            None => format!("http://{}", seat.address),
        };
        let http =
            public_client(concat!("affectory/", env!("CARGO_PKG_VERSION"))).map_err(|error| error.to_string())?;
        let line = Line {
            http,
            base,
            number: seat.number,
            token: seat.token.clone(),
            session: 0,
            broken: watch::Sender::new(None),
        };
        let since = Instant::now();
        let path = format!("meet/{}?nonce={}&size={}", seat.number, seat.nonce, seat.size);
        let session = loop {
            match line.ask(&path, Bytes::new()).await {
                Ok(answer) => {
                    break String::from_utf8_lossy(&answer).parse().map_err(|_| "process 0 says no session")?;
                }
                Err(Refusal::Final(reason)) => return Err(reason),
                Err(Refusal::Passing(reason)) if stop.is_requested() || since.elapsed() > GATHERING => {
                    return Err(format!("process 0 does not answer at {}: {reason}", line.base));
                }
                Err(Refusal::Passing(_)) => sleep(Duration::from_millis(300)).await,
            }
        };
        let line = Arc::new(Line { session, ..line });
        let beating = Arc::clone(&line);
        let task = tokio::spawn(async move { beating.beat().await });
        Ok(Meeting { side: Side::Other(line), round: AtomicU64::new(0), runtime: Handle::current(), task, seat })
    }

    /// Ends our part: `failed` says why it did not come to its end, and the others need not wait to find out.
    pub async fn leave(&self, failed: Option<&str>) {
        match &self.side {
            Side::Other(line) => {
                let reason = failed.map(|reason| reason.chars().take(500).collect::<String>()).unwrap_or_default();
                let told = line.ask(&format!("leave/{}", line.number), reason.into()).await;
                if let Err(Refusal::Passing(reason) | Refusal::Final(reason)) = told {
                    tracing::debug!(reason, "process 0 was not told that we leave");
                }
            }
            Side::First(room) => {
                if let Some(reason) = failed {
                    room.table.send_modify(|table| end(table, format!("process 0 left: {reason}")));
                }
                // The others still take home the last answer.
                let mut watching = room.table.subscribe();
                let _ = timeout(PATIENCE, watching.wait_for(|table| table.gone.len() + 1 == room.size)).await;
            }
        }
        self.task.abort();
    }

    /// One round: what all get once all have brought their rows, each of so many numbers.
    fn exchange(
        &self,
        rows: Vec<(usize, Vec<f32>)>,
        n_numbers: usize,
        answer: impl FnOnce(Vec<(usize, Vec<f32>)>) -> Result<Bytes, String>,
    ) -> Result<Bytes, String> {
        let round = self.round.fetch_add(1, Ordering::Relaxed);
        match &self.side {
            Side::First(room) => self.runtime.block_on(room.answer(round, rows, n_numbers, answer)),
            Side::Other(line) => self.runtime.block_on(line.bring(round, &rows)),
        }
    }
}

impl Team for Meeting {
    fn number(&self) -> usize {
        self.seat.number
    }

    fn size(&self) -> usize {
        self.seat.size
    }

    fn share(&self, bytes: Option<Vec<u8>>) -> Result<Vec<u8>, String> {
        let answer = self.exchange(Vec::new(), 0, |_| bytes.map(Bytes::from).ok_or("process 0 has nothing".into()))?;
        Ok(answer.to_vec())
    }

    fn sum(&self, rows: Vec<(usize, Vec<f32>)>) -> Result<Vec<f32>, String> {
        let n_numbers = rows.first().map_or(0, |(_, row)| row.len());
        let answer = self.exchange(rows, n_numbers, |rows| Ok(to_bytes_le(&added(rows)?)))?;
        let sum = from_bytes_le(&answer);
        if sum.len() != n_numbers {
            return Err(format!(
                "rows of {} and {n_numbers} numbers: the processes train different networks",
                sum.len()
            ));
        }
        Ok(sum)
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Room {
    /// The first process's side of a round.
    async fn answer(
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

const SESSION: &str = "affectory-session";

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
            room.table.send_modify(|table| end(table, differ.clone()));
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

enum Refusal {
    /// Another attempt may help.
    Passing(String),
    Final(String),
}

impl Line {
    async fn beat(&self) {
        let mut failing_since: Option<Instant> = None;
        let ended = loop {
            match timeout(PATIENCE, self.ask(&format!("beat/{}", self.number), Bytes::new())).await {
                Ok(Ok(_)) => failing_since = None,
                Ok(Err(Refusal::Final(reason))) => break reason,
                Ok(Err(Refusal::Passing(reason))) => {
                    let since = *failing_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > GRACE {
                        break format!("process 0 is gone: {reason}");
                    }
                    sleep(BEAT).await;
                }
                Err(_) => break format!("process 0 said nothing for {PATIENCE:?}"),
            }
        };
        self.broken.send_modify(|broken| *broken = Some(ended));
    }

    async fn bring(&self, round: u64, rows: &[(usize, Vec<f32>)]) -> Result<Bytes, String> {
        let numbers: Vec<String> = rows.iter().map(|(number, _)| number.to_string()).collect();
        let path = format!("round/{}/{round}?rows={}", self.number, numbers.join(","));
        let values: Vec<f32> = rows.iter().flat_map(|(_, row)| row.iter().copied()).collect();
        let body = to_bytes_le(&values);
        let mut broken = self.broken.subscribe();
        loop {
            let asked = tokio::select! {
                asked = self.ask(&path, body.clone()) => asked,
                ended = broken.wait_for(Option::is_some) => {
                    return Err(ended.ok().and_then(|reason| reason.clone()).unwrap_or_default());
                }
            };
            match asked {
                Ok(answer) => return Ok(answer),
                Err(Refusal::Final(reason)) => return Err(reason),
                Err(Refusal::Passing(reason)) => {
                    tracing::debug!(reason, "asking process 0 again");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn ask(&self, path: &str, body: Bytes) -> Result<Bytes, Refusal> {
        let passing = |error: reqwest::Error| Refusal::Passing(error.without_url().to_string());
        let request = self.http.post(format!("{}/{path}", self.base)).bearer_auth(&self.token);
        let request = request.header(SESSION, self.session.to_string()).body(body);
        let answer = request.send().await.map_err(passing)?;
        let status = answer.status();
        if answer.content_length().is_none_or(|n_bytes| n_bytes > MOST_BYTES) {
            return Err(Refusal::Final("process 0 answers with too much: is it affectory that listens there?".into()));
        }
        let bytes = answer.bytes().await.map_err(passing)?;
        match status.as_u16() {
            200 => Ok(bytes),
            202 => Err(Refusal::Passing("not yet".into())),
            status => {
                let reason: String =
                    String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control()).take(500).collect();
                let reason = if reason.is_empty() { format!("it answers {status}") } else { reason };
                Err(if status >= 500 { Refusal::Passing(reason) } else { Refusal::Final(reason) })
            }
        }
    }
}

fn check(seat: &Seat) -> Result<(), String> {
    if seat.size < 2 || seat.number >= seat.size {
        return Err(format!("process {} of {}: processes are counted from 0", seat.number, seat.size));
    }
    if seat.token.len() < LEAST_TOKEN {
        return Err(format!("the token has less than {LEAST_TOKEN} letters"));
    }
    Ok(())
}

fn to_bytes_le(values: &[f32]) -> Bytes {
    values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>().into()
}

fn from_bytes_le(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}

#[cfg(test)]
mod tests {
    use affectory_core::Silent;

    use super::*;

    fn seat(number: usize, size: usize, port: u16) -> Seat {
        let token = "a secret of the laboratory".to_owned();
        Seat { number, size, address: format!("127.0.0.1:{port}"), token, nonce: number as u64 + 7 }
    }

    /// Below the system's own range, from which others' connections take theirs meanwhile.
    fn free_port() -> u16 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let port =
            || 18_000 + ((u64::from(std::process::id()) + 7 * NEXT.fetch_add(1, Ordering::Relaxed)) % 2_000) as u16;
        let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
        std::iter::repeat_with(port).find(is_free).unwrap()
    }

    async fn gathered(size: usize) -> Vec<Arc<Meeting>> {
        let port = free_port();
        let gathering = (0..size).map(|number| async move {
            Arc::new(Meeting::gather(seat(number, size, port), &Stop::default(), &Silent).await.unwrap())
        });
        futures::future::join_all(gathering).await
    }

    /// Every process in a thread of its own, as trainers are.
    async fn each<T: Send + 'static>(
        meetings: &[Arc<Meeting>],
        what: impl Fn(&Meeting) -> T + Clone + Send + 'static,
    ) -> Vec<T> {
        let tasks = meetings.iter().map(|meeting| {
            let (meeting, what) = (Arc::clone(meeting), what.clone());
            tokio::task::spawn_blocking(move || what(&meeting))
        });
        futures::future::join_all(tasks).await.into_iter().map(Result::unwrap).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn all_get_the_sum_in_the_order_of_the_parts_and_what_the_first_one_has() {
        let meetings = gathered(3).await;
        // Added in another order, the small number would be lost.
        let parts = [1e8f32, -1e8, 1.0, 0.25, 3.0];
        let rows = move |number: usize| -> Vec<(usize, Vec<f32>)> {
            (number..parts.len()).step_by(3).map(|part| (part, vec![parts[part]; 100_000])).collect()
        };
        let sums = each(&meetings, move |meeting| {
            let shared = meeting.share((meeting.number() == 0).then(|| b"weights".to_vec())).unwrap();
            let first = meeting.sum(rows(meeting.number())).unwrap();
            let second = meeting.sum(vec![(meeting.number(), vec![meeting.number() as f32])]).unwrap();
            (shared, first, second)
        });
        for (shared, first, second) in sums.await {
            assert_eq!(shared, b"weights");
            assert_eq!((first.len(), first[0], first[99_999]), (100_000, 4.25, 4.25));
            assert_eq!(second, [3.0]);
        }
        futures::future::join_all(meetings.iter().map(|meeting| meeting.leave(None))).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_leaves_or_trains_something_else_ends_it_for_all_with_the_reason() {
        let meetings = gathered(3).await;
        let outcomes = each(&meetings, |meeting| match meeting.number() {
            1 => {
                meeting.runtime.block_on(meeting.leave(Some("cannot read image `x`")));
                Err("process 1 left: cannot read image `x`".into())
            }
            number => meeting.sum(vec![(number, vec![1.0])]),
        });
        for outcome in outcomes.await {
            assert!(outcome.as_ref().is_err_and(|reason| reason.contains("cannot read image `x`")), "{outcome:?}");
        }
        let meetings = gathered(2).await;
        let outcomes = each(&meetings, |meeting| meeting.sum(vec![(0, vec![1.0; 1 + meeting.number()])])).await;
        assert!(outcomes[1].as_ref().is_err_and(|reason| reason.contains("different networks")), "{outcomes:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nobody_joins_without_the_token_twice_or_in_a_place_that_is_not() {
        let port = free_port();
        let first = tokio::spawn(async move { Meeting::gather(seat(0, 3, port), &Stop::default(), &Silent).await });
        let refused = |seat: Seat| async move {
            Meeting::gather(seat, &Stop::default(), &Silent).await.err().map(|error| error.to_string()).unwrap()
        };
        let one = Meeting::gather(seat(1, 3, port), &Stop::default(), &Silent).await.unwrap();
        let stranger = Seat { token: "a guess of a stranger".into(), ..seat(2, 3, port) };
        assert!(refused(stranger).await.contains("token"));
        assert!(refused(Seat { nonce: 99, ..seat(1, 3, port) }).await.contains("a process 1 already"));
        assert!(refused(seat(2, 4, port)).await.contains("waits for 3 processes"));
        assert!(refused(seat(3, 3, port)).await.contains("counted from 0"));
        assert!(refused(Seat { token: "short".into(), ..seat(2, 3, port) }).await.contains("16 letters"));
        let two = Meeting::gather(seat(2, 3, port), &Stop::default(), &Silent).await.unwrap();
        let first = first.await.unwrap().unwrap();
        let _ = tokio::join!(first.leave(None), one.leave(None), two.leave(None));
    }
}

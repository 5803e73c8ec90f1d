//! How do the processes that train one network together give each other what each has?
//!
//! The first process listens; the others bring it their rows over HTTP and take the answer home. What is exchanged when is
//! not this file's business: all processes ask for the same rounds in the same order, and the first one answers a round
//! when all have brought what belongs to it. A request that was lost is sent again. Each of the others has one more request
//! open all the time, by which both sides notice when the other is gone: that ends the meeting for all, with the reason.

mod line;
mod room;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use affectory_collect::public_client;
use affectory_core::{Progress, Stop};
use affectory_learn::{Team, added};
use axum::body::Bytes;
use line::{Line, Refusal};
use room::Room;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::DispatchError;

/// How often it is looked whether all are still there.
const BEAT: Duration = Duration::from_secs(1);

/// A process that said nothing for this long has left.
const PATIENCE: Duration = Duration::from_secs(30);

/// One whose line broke has so long to come back.
const GRACE: Duration = Duration::from_secs(5);

/// How long the processes wait for each other at the beginning.
const GATHERING: Duration = Duration::from_secs(15 * 60);

/// The header in which whoever speaks names the meeting.
const SESSION: &str = "affectory-session";

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
        let room = Room::new(&seat);
        let router = room.router();
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the other processes are no longer answered");
            }
        });
        let since = Instant::now();
        let mut n_known = 0;
        loop {
            let n_here = room.n_here();
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
        let line = Line::new(http, base, &seat);
        let since = Instant::now();
        let path = format!("meet/{}?nonce={}&size={}", seat.number, seat.nonce, seat.size);
        let session = loop {
            match line.ask(&path, Bytes::new()).await {
                Ok(answer) => {
                    break String::from_utf8_lossy(&answer).parse().map_err(|_| "process 0 says no session")?;
                }
                Err(Refusal::Final(reason)) => return Err(reason),
                Err(Refusal::Passing(reason)) if stop.is_requested() || since.elapsed() > GATHERING => {
                    return Err(format!("process 0 does not answer at {}: {reason}", seat.address));
                }
                Err(Refusal::Passing(_)) => sleep(Duration::from_millis(300)).await,
            }
        };
        let line = Arc::new(line.of_session(session));
        let beating = Arc::clone(&line);
        let task = tokio::spawn(async move { beating.beat().await });
        Ok(Meeting { side: Side::Other(line), round: AtomicU64::new(0), runtime: Handle::current(), task, seat })
    }

    /// Ends our part: `failed` says why it did not come to its end, and the others need not wait to find out.
    pub async fn leave(&self, failed: Option<&str>) {
        match &self.side {
            Side::Other(line) => {
                let reason = failed.map(|reason| reason.chars().take(500).collect::<String>()).unwrap_or_default();
                let told = line.ask(&format!("leave/{}", self.seat.number), reason.into()).await;
                if let Err(Refusal::Passing(reason) | Refusal::Final(reason)) = told {
                    tracing::debug!(reason, "process 0 was not told that we leave");
                }
            }
            Side::First(room) => {
                if let Some(reason) = failed {
                    room.end(format!("process 0 left: {reason}"));
                }
                room.empty().await;
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

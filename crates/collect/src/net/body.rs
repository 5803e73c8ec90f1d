//! How is a body read that may be endless, slow or shorter than it says?

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use tokio::time::{Instant, timeout_at};

use super::failure::FetchFailure;
use super::memory::{BodyMemory, Reservation};

/// Memory that an announced length may take before a byte has come.
const MAX_FIRST_ALLOCATION: usize = 64 << 10;

/// What a body may take.
#[derive(Debug, Clone)]
pub(crate) struct BodyLimits {
    /// Where its memory comes from; `None` for what is small.
    pub(crate) memory: Option<BodyMemory>,
    pub(crate) max_bytes: u64,
    pub(crate) overflow: Overflow,
    pub(crate) timeout: Duration,
    pub(crate) progress_window: Duration,
    pub(crate) min_window_bytes: u64,
}

/// What becomes of a body that is longer than its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// It is a failure, if possible before a byte is read.
    Refuse,
    /// It is cut off.
    Truncate,
}

/// When the body must be done, and what the running window has brought.
struct Progress {
    end: Instant,
    window_end: Instant,
    window_bytes: u64,
}

/// Reads a body, once there is memory for it: the reservation is to be kept as long as the bytes. `judge` sees what has come, chunk by chunk, until it says that it has seen enough (`true`).
///
/// # Errors
/// What ended it: a limit, a deadline, a broken connection, or the judge.
pub(crate) async fn read_body(
    mut response: Response,
    limits: &BodyLimits,
    judge: fn(&[u8], bool) -> Result<bool, FetchFailure>,
) -> Result<(Bytes, Option<Reservation>), FetchFailure> {
    let announced = response.content_length();
    if limits.overflow == Overflow::Refuse && announced.is_some_and(|size| size > limits.max_bytes) {
        return Err(FetchFailure::TooLarge { limit_bytes: limits.max_bytes });
    }
    let mut reservation = match &limits.memory {
        Some(memory) => Some(memory.reserve(announced.map(|size| size.min(limits.max_bytes))).await),
        None => None,
    };
    let first = announced.and_then(|size| usize::try_from(size).ok()).unwrap_or(0).min(MAX_FIRST_ALLOCATION);
    let mut body = BytesMut::with_capacity(first);
    let mut is_judged = false;
    let mut progress = Progress::start(limits);
    while let Some(chunk) = next_chunk(&mut response, limits, &mut progress, body.len() as u64).await? {
        let room = limits.max_bytes - body.len() as u64;
        if chunk.len() as u64 > room {
            if limits.overflow == Overflow::Refuse {
                return Err(FetchFailure::TooLarge { limit_bytes: limits.max_bytes });
            }
            body.extend_from_slice(&chunk[..usize::try_from(room).unwrap_or(chunk.len())]);
            break;
        }
        if body.is_empty() && announced == Some(chunk.len() as u64) {
            judge(&chunk, true)?;
            return Ok((chunk, reservation)); // the whole of it in one piece: no copy
        }
        if let Some(reservation) = &mut reservation {
            let length = (body.len() + chunk.len()) as u64;
            if timeout_at(progress.end, reservation.grow_to(length)).await.is_err() {
                return Err(FetchFailure::BodyTimeout { received_bytes: body.len() as u64 });
            }
        }
        body.extend_from_slice(&chunk);
        is_judged = is_judged || judge(&body, false)?;
    }
    if !is_judged {
        judge(&body, true)?;
    }
    Ok((body.freeze(), reservation))
}

/// The next piece, `None` at the end.
async fn next_chunk(
    response: &mut Response,
    limits: &BodyLimits,
    progress: &mut Progress,
    received_bytes: u64,
) -> Result<Option<Bytes>, FetchFailure> {
    loop {
        match timeout_at(progress.end.min(progress.window_end), response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                // Also where pieces never stop coming, so that the wait above never runs out.
                progress.note(chunk.len() as u64, limits, received_bytes)?;
                return Ok(Some(chunk));
            }
            Ok(Ok(None)) => return Ok(None),
            Ok(Err(e)) => {
                return Err(FetchFailure::IncompleteBody { received_bytes, reason: super::transport::reason(&e) });
            }
            Err(_) => progress.note(0, limits, received_bytes)?,
        }
    }
}

impl Progress {
    fn start(limits: &BodyLimits) -> Self {
        let now = Instant::now();
        Self { end: now + limits.timeout, window_end: now + limits.progress_window, window_bytes: 0 }
    }

    fn note(&mut self, size_bytes: u64, limits: &BodyLimits, received_bytes: u64) -> Result<(), FetchFailure> {
        self.window_bytes += size_bytes;
        let now = Instant::now();
        if now >= self.end {
            return Err(FetchFailure::BodyTimeout { received_bytes });
        }
        if now >= self.window_end {
            if self.window_bytes < limits.min_window_bytes {
                return Err(FetchFailure::TooSlow { received_bytes });
            }
            (self.window_end, self.window_bytes) = (now + limits.progress_window, 0);
        }
        Ok(())
    }
}

//! How do the other processes of a meeting speak to the first one?

use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::{BEAT, GRACE, PATIENCE, SESSION, Seat, to_bytes_le};

/// Bytes of an answer, at most.
const MOST_BYTES: u64 = 8 << 30;

/// The others' way to the first process.
pub(super) struct Line {
    http: reqwest::Client,
    base: String,
    number: usize,
    token: String,
    session: u64,
    /// Why the first process cannot be reached any more.
    broken: watch::Sender<Option<String>>,
}

/// Why there was no answer.
pub(super) enum Refusal {
    /// Another attempt may help.
    Passing(String),
    /// None does.
    Final(String),
}

impl Line {
    pub(super) fn new(http: reqwest::Client, base: String, seat: &Seat) -> Line {
        let (number, token) = (seat.number, seat.token.clone());
        Line { http, base, number, token, session: 0, broken: watch::Sender::new(None) }
    }

    /// The same, once it is known which meeting this is.
    pub(super) fn of_session(self, session: u64) -> Line {
        Line { session, ..self }
    }

    /// Has a request open all the time, and notes why the first process is not there any more.
    pub(super) async fn beat(&self) {
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

    /// Our rows of a round, and what all get.
    pub(super) async fn bring(&self, round: u64, rows: &[(usize, Vec<f32>)]) -> Result<Bytes, String> {
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

    pub(super) async fn ask(&self, path: &str, body: Bytes) -> Result<Bytes, Refusal> {
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

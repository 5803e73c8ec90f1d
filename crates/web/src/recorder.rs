//! How do a hundred annotators' answers get to the disk without waiting for each other?
//!
//! Answers that come in while a transaction is being flushed are recorded together in the next one. Nobody is told that an
//! answer is recorded before the disk has it.

use std::sync::Arc;

use affectory_catalog::{AnswerEvent, Catalog, CatalogError, EventOutcome};
use tokio::sync::{mpsc, oneshot};

/// Events in one transaction.
const BATCH: usize = 500;

/// Requests that wait; more than that are told to come again.
const WAITING: usize = 1_000;

struct Job {
    events: Vec<AnswerEvent>,
    done: oneshot::Sender<Result<Vec<EventOutcome>, Arc<CatalogError>>>,
}

/// Where answers are handed in.
pub(crate) struct Recorder {
    jobs: mpsc::Sender<Job>,
}

/// Why answers were not recorded.
#[derive(Debug)]
pub(crate) enum NotRecorded {
    /// Too many are waiting.
    Busy,
    /// The catalogue failed.
    Failed(Arc<CatalogError>),
}

impl Recorder {
    pub(crate) fn start(catalog: Catalog) -> Recorder {
        let (jobs, waiting) = mpsc::channel(WAITING);
        tokio::spawn(record_all(catalog, waiting));
        Recorder { jobs }
    }

    /// Records events; when this returns, the disk has them.
    pub(crate) async fn record(&self, events: Vec<AnswerEvent>) -> Result<Vec<EventOutcome>, NotRecorded> {
        let (done, outcome) = oneshot::channel();
        self.jobs.try_send(Job { events, done }).map_err(|_| NotRecorded::Busy)?;
        match outcome.await {
            Ok(outcome) => outcome.map_err(NotRecorded::Failed),
            // The server is going down.
            Err(_) => Err(NotRecorded::Busy),
        }
    }
}

async fn record_all(catalog: Catalog, mut waiting: mpsc::Receiver<Job>) {
    while let Some(first) = waiting.recv().await {
        let mut n_events = first.events.len();
        let mut jobs = vec![first];
        while n_events < BATCH
            && let Ok(job) = waiting.try_recv()
        {
            n_events += job.events.len();
            jobs.push(job);
        }
        let events: Vec<AnswerEvent> = jobs.iter().flat_map(|job| job.events.iter().cloned()).collect();
        let mut outcome = catalog.record_events(&events).await.map_err(Arc::new);
        for job in jobs {
            let answer = match &mut outcome {
                Ok(outcomes) => Ok(outcomes.drain(..job.events.len()).collect()),
                Err(error) => Err(Arc::clone(error)),
            };
            // Whoever asked may have hung up; the answers are recorded all the same.
            let _ = job.done.send(answer);
        }
    }
}

//! How does what many ask to have written get to the disk without waiting for each other?
//!
//! What comes in while a transaction is being flushed is recorded together in the next one: a hundred annotators' answers,
//! the beginnings and ends of downloads. Nobody is told that something is recorded before the disk has it.

use std::future::Future;
use std::sync::Arc;

use affectory_catalog::CatalogError;
use tokio::sync::{mpsc, oneshot};

/// Entries in one transaction.
const BATCH: usize = 500;

/// Requests that wait; more than that are told to come again.
const WAITING: usize = 1_000;

struct Job<Entry, Outcome> {
    entries: Vec<Entry>,
    done: oneshot::Sender<Result<Vec<Outcome>, Arc<CatalogError>>>,
}

/// Where entries are handed in.
pub(crate) struct Recorder<Entry, Outcome> {
    jobs: mpsc::Sender<Job<Entry, Outcome>>,
}

/// Why entries were not recorded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRecorded {
    #[error("too many wait to be recorded")]
    Busy,
    #[error(transparent)]
    Failed(Arc<CatalogError>),
}

impl<Entry: Send + 'static, Outcome: Send + 'static> Recorder<Entry, Outcome> {
    /// `record` writes entries in one transaction and gives an outcome for each, in their order.
    pub(crate) fn start<Recording>(record: impl Fn(Vec<Entry>) -> Recording + Send + 'static) -> Self
    where
        Recording: Future<Output = Result<Vec<Outcome>, CatalogError>> + Send + 'static,
    {
        let (jobs, waiting) = mpsc::channel(WAITING);
        tokio::spawn(record_all(record, waiting));
        Self { jobs }
    }

    /// Records entries; when this returns, the disk has them.
    pub(crate) async fn record(&self, entries: Vec<Entry>) -> Result<Vec<Outcome>, NotRecorded> {
        let (done, outcome) = oneshot::channel();
        self.jobs.try_send(Job { entries, done }).map_err(|_| NotRecorded::Busy)?;
        answered(outcome).await
    }

    /// The same, and waits for a place however many there are before it.
    pub(crate) async fn record_in_turn(&self, entries: Vec<Entry>) -> Result<Vec<Outcome>, NotRecorded> {
        let (done, outcome) = oneshot::channel();
        self.jobs.send(Job { entries, done }).await.map_err(|_| NotRecorded::Busy)?;
        answered(outcome).await
    }
}

async fn answered<Outcome>(
    outcome: oneshot::Receiver<Result<Vec<Outcome>, Arc<CatalogError>>>,
) -> Result<Vec<Outcome>, NotRecorded> {
    match outcome.await {
        Ok(outcome) => outcome.map_err(NotRecorded::Failed),
        // The server is going down.
        Err(_) => Err(NotRecorded::Busy),
    }
}

async fn record_all<Entry, Outcome, Recording>(
    record: impl Fn(Vec<Entry>) -> Recording,
    mut waiting: mpsc::Receiver<Job<Entry, Outcome>>,
) where
    Recording: Future<Output = Result<Vec<Outcome>, CatalogError>>,
{
    while let Some(Job { mut entries, done }) = waiting.recv().await {
        let mut asked = vec![(entries.len(), done)];
        while entries.len() < BATCH
            && let Ok(job) = waiting.try_recv()
        {
            asked.push((job.entries.len(), job.done));
            entries.extend(job.entries);
        }
        let mut outcome = record(entries).await.map_err(Arc::new);
        for (n_entries, done) in asked {
            let answer = match &mut outcome {
                Ok(outcomes) => Ok(outcomes.drain(..n_entries).collect()),
                Err(error) => Err(Arc::clone(error)),
            };
            // Whoever asked may have hung up; the entries are recorded all the same.
            let _ = done.send(answer);
        }
    }
}

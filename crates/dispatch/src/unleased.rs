//! How does a worker work off shards that need no lease, because twice done they come to the same?

use std::time::Duration;

use affectory_core::Stop;
use tokio::time::{Instant, sleep, sleep_until};

use crate::aside::Source as _;
use crate::queue::{SAY_EVERY, Taker};
use crate::{Activity, DispatchError, Shard, WorkerCounts};

/// How long a worker that found no shard waits before it asks again.
const PAUSE: Duration = Duration::from_millis(300);

/// What became of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worked {
    /// It is done, and recorded.
    Done,
    /// It was done before, or is for somebody else.
    NothingLeft,
    /// A stop was asked for before its end.
    Stopped,
}

/// Works at shards of one stage.
pub trait ShardWork: Send {
    /// Works off one shard; when this returns, what came of it is recorded.
    fn work(&mut self, shard: &Shard) -> impl Future<Output = Result<Worked, DispatchError>> + Send;
}

/// Takes shards and works them off, until a stop is asked for or, where none waits, `is_busy` says that no more will come.
///
/// # Errors
/// The first one of `work`; the shard it was at is given back.
pub async fn work_off(
    work: &mut impl ShardWork,
    mut taker: Taker,
    (activity, is_busy): (&Activity, impl Fn() -> bool),
    now_ms: impl Fn() -> i64,
    stop: &Stop,
) -> Result<WorkerCounts, DispatchError> {
    let mut counts = WorkerCounts::default();
    while !stop.is_requested() {
        let Some(mut held) = taker.next().await else {
            if !is_busy() {
                break;
            }
            sleep(PAUSE).await;
            continue;
        };
        held.waited_ms = counts.came(held.published_ms, now_ms());
        let shard = held.shard.clone();
        let mut working = std::pin::pin!(work.work(&shard));
        let mut say_at = Instant::now() + SAY_EVERY;
        let worked = loop {
            tokio::select! {
                worked = &mut working => break worked,
                () = sleep_until(say_at) => {
                    say_at += SAY_EVERY;
                    activity.note(now_ms());
                    held.keep().await;
                }
            }
        };
        activity.note(now_ms());
        match worked {
            Ok(Worked::Done) => {
                counts.done += 1;
                held.done().await;
            }
            Ok(Worked::NothingLeft) => {
                counts.nothing_left += 1;
                held.done().await;
            }
            Ok(Worked::Stopped) => {
                counts.given_back += 1;
                held.give_back().await;
            }
            Err(error) => {
                held.give_back().await;
                return Err(error);
            }
        }
    }
    Ok(counts)
}

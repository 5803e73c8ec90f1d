//! The room that answers: how do many machines share a project's work?
//!
//! A dispatcher looks into the catalogue for what is due, and offers it in shards on a JetStream work queue. Workers take
//! shards, lease what they name in the catalogue, and do it by the same code that one machine alone runs
//! ([`affectory_collect::fetch`], [`affectory_faces::scan`], [`affectory_annotate::suggest`],
//! [`affectory_release::pack::Packer`]). A shard is acknowledged after its results are committed.
//!
//! The catalogue is the record. The queue may lose a shard (what is due is offered again), hand it out twice (what is
//! leased or done is not leased again) or come back empty from a crash: nothing is lost, and nothing is counted twice.
//! Politeness does not rest on the queue either: a host is leased to one worker at a time.
//!
//! Training is shared in another way: the processes that train one network meet ([`Meeting`]), and give each other what each
//! has found of every batch.
//!
//! Absent here: SQL, pictures, the clock, and any knowledge of how a stage does its work.

mod aside;
mod error;
mod hosts;
mod images;
mod meeting;
mod offer;
mod packs;
mod pools;
mod queue;
mod shard;
mod unleased;
mod worker;

pub use error::DispatchError;
pub use hosts::QueuedHosts;
pub use images::QueuedImages;
pub use meeting::{Meeting, Seat};
pub use offer::{DispatchRequest, DispatchSummary, PredictRequest, dispatch};
pub use packs::PackWork;
pub use pools::PoolWork;
pub use queue::{Buried, Credentials, Queue, Taker, Waiting};
pub use shard::{Shard, ShardHost, Urgency, WorkStage};
pub use unleased::{ShardWork, Worked, work_off};
pub use worker::{Activity, WorkerCounts};

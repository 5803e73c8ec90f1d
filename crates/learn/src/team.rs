//! How do several processes train one network? Each works through its parts of every batch, and all take the same step.
//!
//! A recipe's `batch_parts` says into how many parts a batch is dealt. A part is a small batch of its own: its loss, its
//! gradients and its batch statistics come from its faces alone ("ghost batches", Hoffer et al. 2017), and a step follows
//! their mean, which is added up in the order of the parts. So the weights are the same to the last bit whether one
//! process works through all parts or several share them.

use std::collections::HashMap;

use affectory_nets::Network;
use burn::module::Module as _;
use burn::optim::ModuleOptimizer;
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use sha2::{Digest as _, Sha256};

use crate::LearnError;
use crate::checkpoint::{Checkpoint, State};
use crate::training::TrainJob;

/// The processes that train one network together, as one of them sees it. All make the same calls in the same order; each
/// call returns when all have made it.
pub trait Team: Send + Sync {
    /// This process's number, from 0. The first one keeps the run's folder.
    fn number(&self) -> usize;

    /// How many processes there are, at least 1.
    fn size(&self) -> usize;

    /// What the first process has, for all; the others give `None`.
    ///
    /// # Errors
    /// Why it cannot be had: somebody left, or does not answer.
    fn share(&self, bytes: Option<Vec<u8>>) -> Result<Vec<u8>, String>;

    /// The sum of all rows, [`added`] by their numbers, whoever brought which. No number comes twice, all rows are of one length.
    ///
    /// # Errors
    /// As [`Team::share`].
    fn sum(&self, rows: Vec<(usize, Vec<f32>)>) -> Result<Vec<f32>, String>;
}

/// A process that trains by itself.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl Team for Alone {
    fn number(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn share(&self, bytes: Option<Vec<u8>>) -> Result<Vec<u8>, String> {
        bytes.ok_or_else(|| "there is nobody to have it from".into())
    }

    fn sum(&self, rows: Vec<(usize, Vec<f32>)>) -> Result<Vec<f32>, String> {
        added(rows)
    }
}

/// Rows added one after the other in the order of their numbers, which is what makes a sum the same to the last bit.
///
/// # Errors
/// If there is none, or one is of another length.
pub fn added(mut rows: Vec<(usize, Vec<f32>)>) -> Result<Vec<f32>, String> {
    rows.sort_by_key(|(number, _)| *number);
    let mut rows = rows.into_iter().map(|(_, row)| row);
    let mut sum = rows.next().ok_or("nobody brought a row")?;
    for row in rows {
        if row.len() != sum.len() {
            return Err(format!(
                "rows of {} and {} numbers: the processes train different networks",
                sum.len(),
                row.len()
            ));
        }
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    Ok(sum)
}

/// Which parts of a batch, or batches of a pass, a process has: every `size`th from its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The process.
    pub number: usize,
    /// Of how many.
    pub size: usize,
}

impl Turn {
    pub(crate) fn of(team: &dyn Team) -> Turn {
        Turn { number: team.number(), size: team.size().max(1) }
    }

    /// Its places among `n`.
    pub(crate) fn places(self, n: usize) -> impl Iterator<Item = usize> {
        (self.number..n).step_by(self.size)
    }
}

fn failed(reason: String) -> LearnError {
    LearnError::Team(reason)
}

/// Refuses to go on unless all processes are about to train the same.
pub(crate) fn agree(team: &dyn Team, job: &TrainJob) -> Result<(), LearnError> {
    if team.size() <= 1 {
        return Ok(());
    }
    if team.size() > job.recipe.batch_parts {
        return Err(failed(format!(
            "{} processes for batch_parts = {}: give every process a part, e.g. `--set batch_parts={}`",
            team.size(),
            job.recipe.batch_parts,
            team.size()
        )));
    }
    let own = serde_json::json!({ "run": job.identity, "recipe": job.recipe }).to_string();
    let first = team.share((team.number() == 0).then(|| own.clone().into_bytes())).map_err(failed)?;
    if first != own.as_bytes() {
        return Err(failed(
            "process 0 trains another release, recipe, knob or seed, or with another version: give all processes the same words"
                .into(),
        ));
    }
    Ok(())
}

/// The first process's beginning, for all: a run goes on from its folder, and nobody rests on drawing the same weights.
pub(crate) fn share_start(
    team: &dyn Team,
    own: Option<Checkpoint>,
    fresh: impl FnOnce() -> Result<Checkpoint, String>,
) -> Result<Option<Checkpoint>, LearnError> {
    if team.size() <= 1 {
        return Ok(own);
    }
    let broken = |reason: String| failed(format!("what process 0 begins with is broken: {reason}"));
    let share = |bytes: Option<Vec<u8>>| team.share(bytes).map_err(failed);
    if team.number() == 0 {
        let start = own.map_or_else(fresh, Ok).map_err(broken)?;
        let bytes =
            |record: ModuleRecord| record.into_bytes().map(|bytes| bytes.to_vec()).map_err(|e| broken(e.to_string()));
        let state = serde_json::to_vec(&start.state).map_err(|e| broken(e.to_string()))?;
        share(Some(state))?;
        let network = share(Some(bytes(start.network)?))?;
        let optimizer = share(Some(start.optimizer.to_vec()))?;
        let average = share(Some(start.average.map(bytes).transpose()?.unwrap_or_default()))?;
        return read_start(start.state, network, optimizer, average).map(Some).map_err(broken);
    }
    let state: State = serde_json::from_slice(&share(None)?).map_err(|e| broken(e.to_string()))?;
    let [network, optimizer, average] = [share(None)?, share(None)?, share(None)?];
    read_start(state, network, optimizer, average).map(Some).map_err(broken)
}

fn read_start(state: State, network: Vec<u8>, optimizer: Vec<u8>, average: Vec<u8>) -> Result<Checkpoint, String> {
    let record =
        |bytes: Vec<u8>| ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes)).map_err(|error| error.to_string());
    let average = if average.is_empty() { None } else { Some(record(average)?) };
    Ok(Checkpoint { state, network: record(network)?, optimizer: Bytes::from_bytes_vec(optimizer), average })
}

/// What a fresh run begins with.
pub(crate) fn fresh_start(
    network: &Network,
    optimizer: &ModuleOptimizer,
    average: Option<&Network>,
) -> Result<Checkpoint, String> {
    Ok(Checkpoint {
        state: State::default(),
        network: network.clone().into_record(),
        optimizer: optimizer.into_bytes().map_err(|error| error.to_string())?,
        average: average.map(|average| average.clone().into_record()),
    })
}

/// Refuses to go on with weights that have parted, as those of machines with other processors may.
pub(crate) fn check_alike(team: &dyn Team, network: &Network) -> Result<(), LearnError> {
    if team.size() <= 1 {
        return Ok(());
    }
    let bytes = network.to_safetensors(HashMap::new())?;
    let own = Sha256::digest(&bytes).to_vec();
    let first = team.share((team.number() == 0).then(|| own.clone())).map_err(failed)?;
    if first != own {
        return Err(failed(
            "this process's weights are no longer those of process 0: train on machines of one kind".into(),
        ));
    }
    Ok(())
}

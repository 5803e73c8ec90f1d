//! What does a dispatcher offer to workers, when, and how much of it ahead of them?
//!
//! It asks the catalogue what is due and free, and offers that in shards, a few more than there are workers. It remembers
//! nothing that matters: killed and started again, or two at once, they offer what the catalogue says.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use affectory_catalog::{COMMAND_LINE, Catalog, OpenHost, Project};
use affectory_core::{FaceId, ImageId, PoolId, Progress, Split, Stop};
use affectory_release::pack::Packer;

use crate::shard::{ENOUGH_CANDIDATES, MOST_CANDIDATES, MOST_FACES, MOST_HOSTS, MOST_IMAGES};
use crate::{DispatchError, Queue, Shard, ShardHost, Urgency, WorkStage};

/// How often the catalogue and the queue are asked.
const PAUSE: Duration = Duration::from_millis(300);

/// A host that was offered and is still due and free after this time is offered again: its shard was lost, or waits.
const AGAIN_MS: i64 = 60_000;

/// How often the catalogue is asked whether all is done, ms.
const COUNT_EVERY_MS: i64 = 2_000;

/// How often a release that is packed is looked at for withdrawals, ms: its whole manifest is read.
const PACKS_AGAIN_MS: i64 = 600_000;

/// Hosts looked at in one turn, at most.
const MOST_LISTED: usize = 20_000;

/// What a dispatcher needs to know.
#[derive(Debug, Clone)]
pub struct DispatchRequest {
    /// Which stages' work is offered.
    pub stages: Vec<WorkStage>,
    /// Whether what is offered goes before all that is not urgent.
    pub urgency: Urgency,
    /// The detector whose images are offered.
    pub detector: String,
    /// The pool whose faces are offered.
    pub pool: Option<PredictRequest>,
    /// The release whose packs are offered. It was divided before.
    pub release: Option<String>,
    /// Shards of a stage that wait for a worker, at most: more are offered as they are taken.
    pub ahead: u64,
    /// Ends when nothing is due any more within this time, ms, and nobody works. `None`: goes on until it is stopped.
    pub until_done_ms: Option<i64>,
}

/// Which model is to look at which pool.
#[derive(Debug, Clone)]
pub struct PredictRequest {
    /// The pool.
    pub pool: PoolId,
    /// The model's name.
    pub model: String,
    /// Whether what it is least certain of is put first, once it has seen all.
    pub by_uncertainty: bool,
}

/// What a dispatcher did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct DispatchSummary {
    /// Shards of hosts.
    pub fetch_shards: u64,
    /// Shards of images.
    pub face_shards: u64,
    /// Shards of a pool's faces.
    pub predict_shards: u64,
    /// Packs of a release.
    pub pack_shards: u64,
    /// Whether a stop was asked for before the end.
    pub stopped: bool,
}

/// Offers what is due until it is stopped, or until nothing is.
///
/// # Errors
/// [`DispatchError::Catalog`]. A queue that is away is waited for.
pub async fn dispatch(
    project: &Project,
    queue: &Queue,
    request: &DispatchRequest,
    now_ms: impl Fn() -> i64,
    (stop, progress): (&Stop, &dyn Progress),
) -> Result<DispatchSummary, DispatchError> {
    let mut run = Run {
        project,
        catalog: &project.catalog,
        queue,
        request,
        offered: HashMap::new(),
        after: ImageId(0),
        round: now_ms(),
        faces: Faces { after: FaceId(0), round: now_ms(), n_left: None, is_over: false, look_ms: 0 },
        packs: Packs { pending: VecDeque::new(), round: now_ms(), is_over: false, look_ms: 0 },
        seen: HashMap::new(),
        counted_ms: 0,
        summary: DispatchSummary::default(),
    };
    progress.begin("dispatch", None);
    loop {
        if stop.is_requested() {
            run.summary.stopped = true;
            break;
        }
        match run.turn(now_ms()).await {
            Ok(is_over) if is_over => break,
            Ok(_) => {}
            Err(error @ DispatchError::Queue { .. }) => tracing::warn!("{error}; trying again"),
            Err(error) => return Err(error),
        }
        progress.note(&run.summary.to_string());
        tokio::time::sleep(PAUSE).await;
    }
    progress.end();
    Ok(run.summary)
}

impl std::fmt::Display for DispatchSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = [
            (self.fetch_shards, "addresses"),
            (self.face_shards, "images"),
            (self.predict_shards, "a pool's faces"),
            (self.pack_shards, "packs"),
        ];
        let told: Vec<String> = all.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} of {what}")).collect();
        if told.is_empty() { f.write_str("no shards") } else { write!(f, "shards: {}", told.join(", ")) }
    }
}

/// How far a pool's faces are offered.
struct Faces {
    /// Those up to here were offered in this round.
    after: FaceId,
    round: i64,
    /// How many the model had not seen when the last round ended.
    n_left: Option<u64>,
    /// Whether it has seen all that it can.
    is_over: bool,
    /// Not looked at before, ms UTC.
    look_ms: i64,
}

/// How far a release's packs are offered.
struct Packs {
    /// Not offered in this round yet.
    pending: VecDeque<(Split, u32)>,
    round: i64,
    is_over: bool,
    look_ms: i64,
}

struct Run<'a> {
    project: &'a Project,
    catalog: &'a Catalog,
    queue: &'a Queue,
    request: &'a DispatchRequest,
    /// Hosts that were offered, and when.
    offered: HashMap<String, i64>,
    /// Images up to here were offered in this round.
    after: ImageId,
    round: i64,
    faces: Faces,
    packs: Packs,
    /// How many shards of each stage there were, and since when as many.
    seen: HashMap<WorkStage, (u64, i64)>,
    counted_ms: i64,
    summary: DispatchSummary,
}

impl Run<'_> {
    /// Offers once; says whether all is done. That is for the catalogue to say: a queue that crashed may keep shards for
    /// ever that nobody gets.
    async fn turn(&mut self, now_ms: i64) -> Result<bool, DispatchError> {
        let mut n_offered = 0;
        for &stage in &self.request.stages {
            let waiting = self.queue.waiting_of(stage, self.request.urgency).await?;
            let n_shards = waiting.waiting + waiting.in_work;
            let seen = self.seen.entry(stage).or_insert((n_shards, now_ms));
            if seen.0 != n_shards {
                *seen = (n_shards, now_ms);
            }
            let is_stuck = now_ms - seen.1 > AGAIN_MS;
            let room = if is_stuck { self.request.ahead } else { self.request.ahead.saturating_sub(waiting.waiting) };
            if room == 0 {
                continue;
            }
            let is_busy = n_shards > 0 && !is_stuck;
            n_offered += match stage {
                WorkStage::Fetch => self.offer_hosts(room, now_ms).await?,
                WorkStage::Faces => self.offer_images(room, is_busy, now_ms).await?,
                WorkStage::Predict => self.offer_faces(room, is_busy, now_ms).await?,
                WorkStage::Pack => self.offer_packs(room, is_busy, now_ms).await?,
            };
        }
        let Some(patience_ms) = self.request.until_done_ms else { return Ok(false) };
        // Counting takes a while on a large catalogue.
        if n_offered > 0 || now_ms - self.counted_ms < COUNT_EVERY_MS {
            return Ok(false);
        }
        self.counted_ms = now_ms;
        for &stage in &self.request.stages {
            let is_over = match stage {
                WorkStage::Fetch => {
                    let open = self.catalog.count_open_hosts(now_ms).await?;
                    let is_later = open.next_due_ms.is_none_or(|due_ms| due_ms - now_ms > patience_ms);
                    open.due == 0 && open.leased == 0 && is_later
                }
                WorkStage::Faces => {
                    let scan = self.catalog.face_scan(&self.request.detector).await?;
                    scan.pending == 0 && scan.leased == 0
                }
                WorkStage::Predict => self.request.pool.is_none() || self.faces.is_over,
                WorkStage::Pack => self.request.release.is_none() || self.packs.is_over,
            };
            if !is_over {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn offer_hosts(&mut self, room: u64, now_ms: i64) -> Result<u64, DispatchError> {
        self.offered.retain(|_, offered_ms| now_ms - *offered_ms < AGAIN_MS);
        let wanted = usize::try_from(room).unwrap_or(usize::MAX).saturating_mul(MOST_HOSTS);
        let limit = u32::try_from(self.offered.len().saturating_add(wanted).min(MOST_LISTED)).unwrap_or(u32::MAX);
        let open = self.catalog.list_open_hosts(limit, MOST_CANDIDATES, now_ms).await?;
        let fresh: Vec<OpenHost> =
            open.into_iter().filter(|host| host.n_due > 0 && !self.offered.contains_key(&host.name)).collect();
        let mut n_offered = 0;
        for hosts in shards_of(&fresh).into_iter().take(usize::try_from(room).unwrap_or(usize::MAX)) {
            let names: Vec<String> = hosts.iter().map(|host| host.host.clone()).collect();
            // The same shard again, within the queue's memory, waits there or was just taken.
            if self.queue.offer(&Shard::Fetch { hosts }, self.request.urgency).await? {
                n_offered += 1;
                self.summary.fetch_shards += 1;
            }
            self.offered.extend(names.into_iter().map(|name| (name, now_ms)));
        }
        Ok(n_offered)
    }

    async fn offer_images(&mut self, room: u64, is_busy: bool, now_ms: i64) -> Result<u64, DispatchError> {
        let (mut n_offered, detector) = (0, &self.request.detector);
        while n_offered < room {
            let images = self.catalog.list_open_images(detector, self.after, MOST_IMAGES, now_ms).await?;
            // While there is other work, few images wait for more to come.
            let is_full = images.len() >= MOST_IMAGES as usize;
            let (Some(first), Some(last)) = (images.first(), images.last()) else { break };
            if !is_full && (is_busy || n_offered > 0) {
                break;
            }
            let shard = Shard::Faces { detector: detector.clone(), first: first.0, last: last.0, round: self.round };
            if self.queue.offer(&shard, self.request.urgency).await? {
                n_offered += 1;
                self.summary.face_shards += 1;
            }
            self.after = *last;
        }
        if !is_busy && n_offered == 0 && self.after.0 > 0 {
            // All that was offered is done with: what is left of it (a worker died) is offered again.
            self.after = ImageId(0);
            self.round += 1;
        }
        Ok(n_offered)
    }

    async fn offer_faces(&mut self, room: u64, is_busy: bool, now_ms: i64) -> Result<u64, DispatchError> {
        let Some(PredictRequest { pool, model, by_uncertainty }) = &self.request.pool else { return Ok(0) };
        let mut n_offered = 0;
        if now_ms < self.faces.look_ms {
            return Ok(0);
        }
        while n_offered < room {
            let range = (self.faces.after, FaceId(i64::MAX));
            let faces = self.catalog.list_unsuggested(*pool, model, range, MOST_FACES).await?;
            let (Some(first), Some(last)) = (faces.first(), faces.last()) else { break };
            let (first, last, round) = (first.0, last.0, self.faces.round);
            let shard = Shard::Predict { pool: pool.0, model: model.clone(), first, last, round };
            if self.queue.offer(&shard, self.request.urgency).await? {
                n_offered += 1;
                self.summary.predict_shards += 1;
            }
            self.faces.after = FaceId(last);
        }
        if is_busy || n_offered > 0 {
            return Ok(n_offered);
        }
        // A round is over. What it left was with a worker that died, or has no picture that can be read: that is so if
        // another round leaves as much.
        let n_left = self.catalog.count_unsuggested(*pool, model).await?;
        let is_over = n_left == 0 || self.faces.n_left == Some(n_left);
        if is_over && !self.faces.is_over && *by_uncertainty {
            self.catalog.order_by_uncertainty(*pool, COMMAND_LINE, now_ms).await?;
        }
        let look_ms = if is_over { now_ms + AGAIN_MS } else { now_ms };
        let round = self.faces.round + 1;
        self.faces = Faces { after: FaceId(0), round, n_left: Some(n_left), is_over, look_ms };
        Ok(0)
    }

    async fn offer_packs(&mut self, room: u64, is_busy: bool, now_ms: i64) -> Result<u64, DispatchError> {
        let Some(release) = &self.request.release else { return Ok(0) };
        if self.packs.pending.is_empty() {
            if is_busy || now_ms < self.packs.look_ms {
                return Ok(0);
            }
            let packer = Packer::join(self.project, release).await?;
            let pending = packer.list_pending().await?;
            self.packs.is_over = pending.is_empty();
            if self.packs.is_over {
                packer.sweep().await?;
            }
            self.packs.look_ms = if pending.is_empty() { now_ms + PACKS_AGAIN_MS } else { now_ms };
            self.packs.round += 1;
            self.packs.pending = pending.into();
        }
        let mut n_offered = 0;
        while n_offered < room
            && let Some((split, number)) = self.packs.pending.front().copied()
        {
            let shard = Shard::Pack { release: release.clone(), split, number, round: self.packs.round };
            if self.queue.offer(&shard, self.request.urgency).await? {
                n_offered += 1;
                self.summary.pack_shards += 1;
            }
            // Only now: were it taken out before, one that the queue refused would wait for the next round.
            self.packs.pending.pop_front();
        }
        Ok(n_offered)
    }
}

/// Hosts in shards of 500 to 1,000 candidates, as far as there are as many; a host of more has a shard for itself.
fn shards_of(hosts: &[OpenHost]) -> Vec<Vec<ShardHost>> {
    let mut shards = Vec::new();
    let (mut shard, mut n_candidates) = (Vec::new(), 0);
    for host in hosts {
        let n_due = host.n_due.min(u64::from(MOST_CANDIDATES));
        if !shard.is_empty() && (n_candidates + n_due > u64::from(MOST_CANDIDATES) || shard.len() >= MOST_HOSTS) {
            shards.push(std::mem::take(&mut shard));
            n_candidates = 0;
        }
        let at_most = u32::try_from(n_due).unwrap_or(MOST_CANDIDATES);
        shard.push(ShardHost { host: host.name.clone(), at_most, first: host.first });
        n_candidates += n_due;
        if n_candidates >= ENOUGH_CANDIDATES {
            shards.push(std::mem::take(&mut shard));
            n_candidates = 0;
        }
    }
    if !shard.is_empty() {
        shards.push(shard);
    }
    shards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_hold_each_host_once_and_no_more_than_a_worker_can_lose() {
        let sizes = [3, 999, 1_000, 400, 400, 400, 1, 1, 1];
        let sizes = sizes.into_iter().chain(std::iter::repeat_n(1, 200));
        let host = |(n, n_due)| OpenHost { name: format!("{n}.org"), n_due, first: Some(n as i64) };
        let hosts: Vec<OpenHost> = sizes.enumerate().map(host).collect();
        let shards = shards_of(&hosts);
        let names: Vec<&str> = shards.iter().flatten().map(|host| host.host.as_str()).collect();
        assert_eq!(names, hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>());
        for shard in &shards {
            let n: u32 = shard.iter().map(|host| host.at_most).sum();
            assert!((1..=MOST_CANDIDATES).contains(&n) && shard.len() <= MOST_HOSTS, "{n} of {}", shard.len());
            let bytes = serde_json::to_vec(&Shard::Fetch { hosts: shard.clone() }).unwrap();
            assert!(Shard::parse(&bytes).is_ok());
        }
        let sizes: Vec<u32> = shards.iter().map(|shard| shard.iter().map(|host| host.at_most).sum()).collect();
        assert_eq!(sizes[..4], [3, 999, 1_000, 800]);
    }
}

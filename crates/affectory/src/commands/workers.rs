//! `affectory dispatch`, `worker` and `queue`: a project's work, shared by machines.

use std::sync::Arc;

use affectory_annotate::{SuggestSummary, Suggester as _};
use affectory_catalog::{Project, Strategy};
use affectory_collect::{Client, FetchPlace, FetchRequest, FetchSummary, fetch};
use affectory_core::Stop;
use affectory_dispatch::{
    Activity, Credentials, DispatchError, DispatchRequest, PackWork, PoolWork, PredictRequest, Queue, QueuedHosts,
    QueuedImages, ShardWork, Taker, Urgency, Waiting, WorkStage, WorkerCounts, dispatch, work_off,
};
use affectory_faces::{ScanSummary, scan};
use affectory_release::pack::Packer;
use affectory_web::{Operations, QueueFigures, ShardFigures};
use anyhow::{Context as _, bail};
use serde_json::json;
use tokio::task::JoinHandle;

use super::pools::Model;
use super::{Context, collect, faces, operations, pools, shown};
use crate::cli::{DispatchArgs, QueueArgs, SharedStage, WorkerArgs};
use crate::environment::{now_ms, variable, worker_id};
use crate::failure::printable;

pub async fn dispatch_work(context: &Context, args: &DispatchArgs) -> anyhow::Result<()> {
    let stages = offered_stages(args)?;
    let project = context.open().await?;
    let queue = connect(&project).await?;
    if let Some(address) = args.operations {
        operations::listen(probes(&project, &queue, faces::name(&args.detector)), address, &context.stop).await?;
    }
    let pool = match &args.pool {
        Some(name) => Some(pools::named(&project, name).await?),
        None => None,
    };
    let model = match &pool {
        Some(_) => Some(Model::open(args.model.as_deref())?),
        None => None,
    };
    if let Some(release) = &args.release {
        Packer::begin(&project, release, args.images_per_pack).await?;
    }
    let pool = pool.as_ref().zip(model.as_ref()).map(|(pool, model)| PredictRequest {
        pool: pool.id,
        model: model.name().to_owned(),
        by_uncertainty: pool.rules.strategy == Strategy::Uncertainty,
    });
    let request = DispatchRequest {
        stages,
        urgency: if args.urgent { Urgency::Urgent } else { Urgency::Usual },
        pool,
        release: args.release.clone(),
        detector: faces::name(&args.detector).into(),
        ahead: args.ahead,
        until_done_ms: args.until_done.then_some(i64::from(args.patience) * 1000),
    };
    let summary = dispatch(&project, &queue, &request, now_ms, (&context.stop, &context.bars)).await?;
    let mut text = format!("offered {summary}");
    let mut document = serde_json::to_value(summary)?;
    if let Some(PredictRequest { pool, model, .. }) = &request.pool {
        let n_unseen = project.catalog.count_unsuggested(*pool, model).await?;
        document["unseen"] = n_unseen.into();
        if n_unseen > 0 {
            text += &format!(
                "; {n_unseen} faces were not seen by {model}: their pictures could not be read, or no worker had it"
            );
        }
    }
    context.print(&text, &document)?;
    if summary.stopped && args.until_done {
        bail!("stopped before the end: the same command goes on from here");
    }
    Ok(())
}

pub async fn work(context: &Context, args: &WorkerArgs) -> anyhow::Result<()> {
    let project = context.open().await?;
    let queue = connect(&project).await?;
    let mut settings = collect::settings_of(&project)?;
    let stages = match &args.stages[..] {
        [] => WorkStage::ALL.to_vec(),
        chosen => chosen.iter().map(stage).collect(),
    };
    let finder = match stages.contains(&WorkStage::Faces) {
        true => Some(faces::finder(&args.detector, settings.faces.min_px)?),
        false => None,
    };
    collect::free_the_dead(&project).await?;
    if let Some(finder) = &finder {
        faces::free_the_dead(&project, finder.name()).await?;
    }
    if let Some(address) = args.operations {
        operations::listen(probes(&project, &queue, faces::name(&args.detector)), address, &context.stop).await?;
    }
    // Who only looks at what is here needs to tell nobody who they are.
    let client = match stages.contains(&WorkStage::Fetch) {
        true => Some(Client::new(collect::client_that_fits(&mut settings)?)?),
        false => None,
    };
    let request = FetchRequest { worker: worker_id(), patience_ms: 0, seed: args.seed };
    let scan_request = faces::scan_request(&settings.faces, true);
    let activity = Arc::new(Activity::new(now_ms()));
    let idle_ms = args.exit_when_idle.map(|seconds| i64::from(seconds) * 1000);
    let is_busy = {
        let activity = Arc::clone(&activity);
        move || idle_ms.is_none_or(|idle_ms| now_ms() - activity.last_ms() < idle_ms)
    };
    // A task of its own: detection keeps its thread busy, and fetching has to go on meanwhile.
    let looking = match finder {
        Some(finder) => {
            let taker = queue.take(WorkStage::Faces).await?;
            let (project, stop, bars) = (project.clone(), context.stop.clone(), context.bars.beside());
            let (activity, is_busy) = (Arc::clone(&activity), is_busy.clone());
            Some(tokio::spawn(async move {
                let who = (finder.name(), scan_request.worker.as_str());
                let mut images = QueuedImages::new(&project.catalog, who, taker, &activity);
                let place = (&project.catalog, &project.store);
                let source = (&mut images, is_busy);
                let outcome = scan(place, &finder, &scan_request, source, now_ms, (&stop, &bars)).await;
                images.close().await;
                stop_after(&outcome, &stop);
                outcome.map(|summary| (summary, images.counts().clone()))
            }))
        }
        None => None,
    };
    let while_busy = (&activity, &is_busy);
    let seeing = match stages.contains(&WorkStage::Predict) {
        true => {
            let work = PoolWork::new(&project, Model::open(args.model.as_deref())?, &context.stop);
            Some(begin(work, queue.take(WorkStage::Predict).await?, while_busy, &context.stop))
        }
        false => None,
    };
    let packing = match stages.contains(&WorkStage::Pack) {
        true => {
            let work = PackWork::new(&project, &context.stop);
            Some(begin(work, queue.take(WorkStage::Pack).await?, while_busy, &context.stop))
        }
        false => None,
    };
    let fetched = match client {
        Some(client) => {
            let taker = queue.take(WorkStage::Fetch).await?;
            let mut hosts = QueuedHosts::new(&project.catalog, &request.worker, taker, &activity);
            let place = FetchPlace { catalog: &project.catalog, store: &project.store };
            let bars = context.bars.beside();
            let source = (&mut hosts, is_busy);
            let settings = (&request, &settings.fetch);
            let outcome = fetch(place, &client, settings, source, now_ms, (&context.stop, &bars)).await;
            hosts.close().await;
            stop_after(&outcome, &context.stop);
            Some(outcome.map(|summary| (summary, hosts.counts().clone())))
        }
        None => None,
    };
    // All to their end: a stage that failed does not leave the others' results unrecorded.
    let (looked, seen, packed) = (ended(looking).await?, ended(seeing).await?, ended(packing).await?);
    queue.flush().await;
    let fetched = fetched.transpose().context("failed to fetch")?;
    let looked = looked.transpose().context("failed to look for faces")?;
    let seen = seen.transpose().context("failed to let a model look at faces")?;
    let packed = packed.transpose().context("failed to pack a release")?;
    let seen = seen.map(|(work, counts)| (work.summary, counts));
    let packed = packed.map(|(work, counts)| (work.n_written, counts));
    print(context, &Done { fetched, looked, seen, packed })
}

/// Works off shards in a task of its own.
fn begin<W: ShardWork + 'static>(
    mut work: W,
    taker: Taker,
    (activity, is_busy): (&Arc<Activity>, &(impl Fn() -> bool + Clone + Send + 'static)),
    stop: &Stop,
) -> JoinHandle<Result<(W, WorkerCounts), DispatchError>> {
    let (activity, is_busy, stop) = (Arc::clone(activity), is_busy.clone(), stop.clone());
    tokio::spawn(async move {
        let outcome = work_off(&mut work, taker, (&activity, is_busy), now_ms, &stop).await;
        stop_after(&outcome, &stop);
        outcome.map(|counts| (work, counts))
    })
}

async fn ended<T>(task: Option<JoinHandle<T>>) -> anyhow::Result<Option<T>> {
    Ok(match task {
        Some(task) => Some(task.await?),
        None => None,
    })
}

/// What each stage did.
struct Done {
    fetched: Option<(FetchSummary, WorkerCounts)>,
    looked: Option<(ScanSummary, WorkerCounts)>,
    seen: Option<(SuggestSummary, WorkerCounts)>,
    /// Packs that were written.
    packed: Option<(u64, WorkerCounts)>,
}

/// A worker whose one stage failed ends, so that somebody notices, and does not go on with the other alone.
fn stop_after<T, E>(outcome: &Result<T, E>, stop: &Stop) {
    if outcome.is_err() {
        stop.request();
    }
}

fn print(context: &Context, done: &Done) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    let mut document = json!({ "fetch": null, "faces": null, "predict": null, "pack": null });
    let of_shards = |counts: &WorkerCounts| {
        let waits = counts.wait_ms(50).zip(counts.wait_ms(95));
        let waited = waits.map(|(half, most)| format!("; they had waited {half} ms (median), {most} ms (95 %)"));
        let WorkerCounts { done, nothing_left, given_back, .. } = counts;
        format!(
            "  {done} shards done, {nothing_left} with nothing left, {given_back} given back{}",
            waited.unwrap_or_default()
        )
    };
    let json_of = |summary: serde_json::Value, counts: &WorkerCounts| {
        json!({
            "work": summary, "shards": counts, "wait_ms": { "p50": counts.wait_ms(50), "p95": counts.wait_ms(95) },
        })
    };
    if let Some((summary, counts)) = &done.fetched {
        lines.push(collect::describe_fetched(summary));
        lines.push(of_shards(counts));
        document["fetch"] = json_of(serde_json::to_value(summary)?, counts);
    }
    if let Some((summary, counts)) = &done.looked {
        lines.push(faces::describe(summary));
        lines.push(of_shards(counts));
        document["faces"] = json_of(serde_json::to_value(summary)?, counts);
    }
    if let Some((SuggestSummary { faces, unreadable, .. }, counts)) = done.seen.as_ref().filter(|(_, c)| c.has_come()) {
        lines.push(format!("the model looked at {faces} faces, {unreadable} could not be read"));
        lines.push(of_shards(counts));
        document["predict"] = json_of(json!({ "faces": faces, "unreadable": unreadable }), counts);
    }
    if let Some((n_written, counts)) = done.packed.as_ref().filter(|(_, counts)| counts.has_come()) {
        lines.push(format!("{n_written} packs written"));
        lines.push(of_shards(counts));
        document["pack"] = json_of(json!({ "packs": n_written }), counts);
    }
    context.print(&lines.join("\n"), &document)
}

pub async fn queue(context: &Context, args: &QueueArgs) -> anyhow::Result<()> {
    let project = context.open().await?;
    let queue = connect(&project).await?;
    let mut text = String::new();
    let mut stages = serde_json::Map::new();
    for stage in WorkStage::ALL {
        let waiting = queue.waiting(stage).await?;
        let urgent = match waiting.urgent {
            0 => String::new(),
            n => format!(" ({n} of them urgent)"),
        };
        text += &format!("{:8}  {} shards wait{urgent}, {} in work\n", stage.name(), waiting.waiting, waiting.in_work);
        stages.insert(stage.name().into(), serde_json::to_value(waiting)?);
    }
    let (n_dead, dead) = queue.list_buried(args.dead).await?;
    text += &format!("given up  {n_dead}\n");
    for buried in &dead {
        text += &format!("  {}: {}: {}\n", printable(&buried.stage), printable(&buried.reason), {
            let shard: String = buried.shard.chars().take(120).collect();
            printable(&shard)
        });
    }
    context.print(&text, &json!({ "stages": stages, "given_up": n_dead, "last_given_up": dead }))
}

fn probes(project: &Project, queue: &Queue, detector: &str) -> Operations {
    let queue = queue.clone();
    let figures: QueueFigures = Arc::new(move || {
        let queue = queue.clone();
        Box::pin(async move {
            let mut stages = Vec::new();
            for stage in WorkStage::ALL {
                let Waiting { waiting, in_work, .. } = queue.waiting(stage).await.map_err(|error| error.to_string())?;
                stages.push(ShardFigures { stage: stage.name(), waiting, in_work });
            }
            let (n_given_up, _) = queue.list_buried(0).await.map_err(|error| error.to_string())?;
            Ok((stages, n_given_up))
        })
    });
    Operations::new(project.clone(), detector, Arc::new(now_ms)).with_queue(figures)
}

fn stage(chosen: &SharedStage) -> WorkStage {
    match chosen {
        SharedStage::Fetch => WorkStage::Fetch,
        SharedStage::Faces => WorkStage::Faces,
        SharedStage::Predict => WorkStage::Predict,
        SharedStage::Pack => WorkStage::Pack,
    }
}

fn offered_stages(args: &DispatchArgs) -> anyhow::Result<Vec<WorkStage>> {
    let named = [(args.pool.is_some(), WorkStage::Predict), (args.release.is_some(), WorkStage::Pack)];
    let named: Vec<WorkStage> = named.into_iter().filter_map(|(is_named, stage)| is_named.then_some(stage)).collect();
    let chosen: Vec<WorkStage> = args.stages.iter().map(stage).collect();
    match &chosen[..] {
        [] if named.is_empty() => Ok(vec![WorkStage::Fetch, WorkStage::Faces]),
        [] => Ok(named),
        chosen if chosen.contains(&WorkStage::Predict) && args.pool.is_none() => {
            bail!("--stage predict needs --pool: the pool at whose faces a model is to look")
        }
        chosen if chosen.contains(&WorkStage::Pack) && args.release.is_none() => {
            bail!("--stage pack needs --release: the release that is to be packed")
        }
        chosen => Ok(chosen.to_vec()),
    }
}

/// Further than this from the database's clock, this machine would take leases that others hold.
const CLOCK_OFF_MS: i64 = 10_000;

async fn connect(project: &Project) -> anyhow::Result<Queue> {
    if let Some(ahead_ms) = project.catalog.clock_ahead_ms(now_ms).await?
        && ahead_ms.abs() > CLOCK_OFF_MS
    {
        let way = if ahead_ms > 0 { "ahead of" } else { "behind" };
        bail!(
            "this machine's clock is {} s {way} the database's: set it (NTP), and start again",
            ahead_ms.abs() / 1000
        );
    }
    let Some(config) = &project.config.queue else {
        bail!(
            "{} names no queue: add [queue] with servers = [\"nats://HOST:4222\"], or let this machine work alone with \
             `affectory collect run`",
            shown(&project.root.join("affectory.toml"))
        );
    };
    let credentials = match (variable("AFFECTORY_NATS_CREDENTIALS"), variable("AFFECTORY_NATS_TOKEN")) {
        (Some(path), _) => Credentials::File(path.into()),
        (None, Some(token)) => Credentials::Token(token),
        (None, None) => Credentials::None,
    };
    Ok(Queue::connect(config, &credentials).await?)
}

//! `affectory dispatch`, `worker` and `queue`: a project's work, shared by machines.

use std::sync::Arc;

use affectory_catalog::Project;
use affectory_collect::{Client, FetchPlace, FetchRequest, FetchSummary, fetch};
use affectory_core::Stop;
use affectory_dispatch::{
    Activity, Credentials, DispatchRequest, Queue, QueuedHosts, QueuedImages, Waiting, WorkStage, WorkerCounts,
    dispatch,
};
use affectory_faces::{ScanSummary, scan};
use affectory_web::{Operations, QueueFigures, ShardFigures};
use anyhow::{Context as _, bail};
use serde_json::json;

use super::{Context, collect, faces, operations, shown};
use crate::cli::{DispatchArgs, QueueArgs, SharedStage, WorkerArgs};
use crate::environment::{now_ms, variable, worker_id};
use crate::failure::printable;

pub async fn dispatch_work(context: &Context, args: &DispatchArgs) -> anyhow::Result<()> {
    let project = context.open().await?;
    let queue = connect(&project).await?;
    if let Some(address) = args.operations {
        operations::listen(probes(&project, &queue, faces::name(&args.detector)), address, &context.stop).await?;
    }
    let request = DispatchRequest {
        stages: stages(&args.stages),
        detector: faces::name(&args.detector).into(),
        ahead: args.ahead,
        until_done_ms: args.until_done.then_some(i64::from(args.patience) * 1000),
    };
    let summary = dispatch(&project.catalog, &queue, &request, now_ms, (&context.stop, &context.bars)).await?;
    let text = format!("offered {} shards of addresses and {} of images", summary.fetch_shards, summary.face_shards);
    context.print(&text, &serde_json::to_value(summary)?)?;
    if summary.stopped && args.until_done {
        bail!("stopped before the end: the same command goes on from here");
    }
    Ok(())
}

pub async fn work(context: &Context, args: &WorkerArgs) -> anyhow::Result<()> {
    let project = context.open().await?;
    let queue = connect(&project).await?;
    let settings = collect::settings_of(&project)?;
    let stages = stages(&args.stages);
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
    let client = Client::new(settings.client()?)?;
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
    let fetched = match stages.contains(&WorkStage::Fetch) {
        true => {
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
        false => None,
    };
    // Both to their end: a stage that failed does not leave the other's results unrecorded.
    let looked = match looking {
        Some(task) => Some(task.await?),
        None => None,
    };
    queue.flush().await;
    let fetched = fetched.transpose().context("failed to fetch")?;
    let looked = looked.transpose().context("failed to look for faces")?;
    print(context, fetched.as_ref(), looked.as_ref())
}

/// A worker whose one stage failed ends, so that somebody notices, and does not go on with the other alone.
fn stop_after<T, E>(outcome: &Result<T, E>, stop: &Stop) {
    if outcome.is_err() {
        stop.request();
    }
}

fn print(
    context: &Context,
    fetched: Option<&(FetchSummary, WorkerCounts)>,
    looked: Option<&(ScanSummary, WorkerCounts)>,
) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    let mut document = json!({ "fetch": null, "faces": null });
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
    if let Some((summary, counts)) = fetched {
        lines.push(collect::describe_fetched(summary));
        lines.push(of_shards(counts));
        document["fetch"] = json_of(serde_json::to_value(summary)?, counts);
    }
    if let Some((summary, counts)) = looked {
        lines.push(faces::describe(summary));
        lines.push(of_shards(counts));
        document["faces"] = json_of(serde_json::to_value(summary)?, counts);
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
        text += &format!("{:8}  {} shards wait, {} in work\n", stage.name(), waiting.waiting, waiting.in_work);
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
                let Waiting { waiting, in_work } = queue.waiting(stage).await.map_err(|error| error.to_string())?;
                stages.push(ShardFigures { stage: stage.name(), waiting, in_work });
            }
            let (n_given_up, _) = queue.list_buried(0).await.map_err(|error| error.to_string())?;
            Ok((stages, n_given_up))
        })
    });
    Operations::new(project.clone(), detector, Arc::new(now_ms)).with_queue(figures)
}

fn stages(chosen: &[SharedStage]) -> Vec<WorkStage> {
    let stage = |stage: &SharedStage| match stage {
        SharedStage::Fetch => WorkStage::Fetch,
        SharedStage::Faces => WorkStage::Faces,
    };
    if chosen.is_empty() { WorkStage::ALL.to_vec() } else { chosen.iter().map(stage).collect() }
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

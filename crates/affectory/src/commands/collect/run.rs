//! `affectory collect run`: three stages side by side, which meet in the catalogue alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use affectory_catalog::Project;
use affectory_collect::{
    ApiClient, CatalogHosts, Client, FetchPlace, FetchRequest, FetchSummary, SearchProvider, SearchRequest,
    SearchSummary, build_providers, fetch, search,
};
use affectory_faces::{CatalogImages, ScanSummary, scan};
use anyhow::{Context as _, bail};

use super::super::{Context, faces, shown};
use super::{SETTINGS_FILE, client_that_fits, settings_of};
use crate::cli::CollectRun;
use crate::environment::{now_ms, variable, worker_id, worker_is_alive};
use crate::failure::printable;

pub(super) async fn run(context: &Context, args: &CollectRun) -> anyhow::Result<()> {
    let project = context.open().await?;
    let mut settings = settings_of(&project)?;
    let client_settings = client_that_fits(&mut settings)?;
    let providers: Vec<Box<dyn SearchProvider>> =
        if args.no_search { Vec::new() } else { build_providers(&settings, variable)? };
    if providers.is_empty() && !args.no_search {
        bail!(
            "{} names no provider to ask: write one into it, or fetch what was found before with --no-search",
            shown(&project.root.join(SETTINGS_FILE))
        );
    }
    if !args.no_search {
        check_plan(&project, &providers).await?;
    }
    let finder = if args.no_faces { None } else { Some(faces::finder(&args.detector, settings.faces.min_px)?) };
    free_the_dead(&project).await?;
    if let Some(finder) = &finder {
        faces::free_the_dead(&project, finder.name()).await?;
    }
    let patience_ms = i64::from(args.patience) * 1000;
    let search_request = SearchRequest { worker: worker_id(), patience_ms };
    let fetch_request = FetchRequest { worker: worker_id(), patience_ms, seed: args.seed };
    let api = ApiClient::new(&client_settings)?;
    let client = Client::new(client_settings)?;
    let scan_request = faces::scan_request(&settings.faces, true);
    // Each stage ends when the one before it has ended and nothing is left; they meet in the catalogue alone.
    let is_searching = AtomicBool::new(!providers.is_empty());
    let is_fetching = Arc::new(AtomicBool::new(!args.no_fetch));
    let searching = async {
        let request = (&search_request, &settings.fetch);
        let bars = context.bars.beside();
        let outcome = search(&project.catalog, &providers, &api, request, now_ms, (&context.stop, &bars)).await;
        is_searching.store(false, Ordering::Release);
        outcome
    };
    let fetching = async {
        if args.no_fetch {
            return Ok(FetchSummary::default());
        }
        let place = FetchPlace { catalog: &project.catalog, store: &project.store };
        let is_fed = || is_searching.load(Ordering::Acquire);
        let bars = context.bars.beside();
        let request = (&fetch_request, &settings.fetch);
        let mut hosts = CatalogHosts { catalog: &project.catalog, worker: &fetch_request.worker };
        let outcome = fetch(place, &client, request, (&mut hosts, is_fed), now_ms, (&context.stop, &bars)).await;
        is_fetching.store(false, Ordering::Release);
        outcome
    };
    // A task of its own: detection keeps its thread busy, and fetching has to go on meanwhile.
    let looking = finder.map(|finder| {
        let (project, stop, bars) = (project.clone(), context.stop.clone(), context.bars.beside());
        let is_fetching = Arc::clone(&is_fetching);
        tokio::spawn(async move {
            let is_fed = || is_fetching.load(Ordering::Acquire);
            let place = (&project.catalog, &project.store);
            let worker = &scan_request.worker;
            let mut images = CatalogImages { catalog: &project.catalog, detector: finder.name(), worker };
            scan(place, &finder, &scan_request, (&mut images, is_fed), now_ms, (&stop, &bars)).await
        })
    });
    // All to their end: a failed search does not leave fetches unrecorded.
    let (searches, fetched) = tokio::join!(searching, fetching);
    let faces = match looking {
        Some(task) => Some(task.await?),
        None => None,
    };
    let (searches, fetched) =
        (searches.context("failed to search")?, fetched.context("failed to fetch what was found")?);
    let faces = faces.transpose().context("failed to look for faces")?;
    let text = describe(&searches, &fetched, faces.as_ref());
    context.print(&text, &serde_json::json!({ "searches": searches, "fetched": fetched, "faces": faces }))?;
    if context.stop.is_requested() {
        bail!("stopped before the end: the same command goes on from here");
    }
    Ok(())
}

/// Refuses a search for which nothing was planned, and names providers that have nothing to do.
async fn check_plan(project: &Project, providers: &[Box<dyn SearchProvider>]) -> anyhow::Result<()> {
    let planned = project.catalog.count_searches().await?;
    let is_idle = |name: &&str| !planned.iter().any(|row| row.provider == *name);
    let idle: Vec<&str> = providers.iter().map(|provider| provider.name()).filter(is_idle).collect();
    if idle.len() == providers.len() {
        bail!(
            "no query is on the list for {}: put some there with `affectory collect plan`, or fetch what was found before \
             with --no-search",
            idle.join(", ")
        );
    }
    if !idle.is_empty() {
        tracing::warn!("no query is on the list for {}: `affectory collect plan` puts them there", idle.join(", "));
    }
    Ok(())
}

/// Of this machine's processes we know which are dead; leases of other machines end by themselves.
pub(in super::super) async fn free_the_dead(project: &Project) -> anyhow::Result<()> {
    for worker in project.catalog.list_collectors().await? {
        if !worker_is_alive(&worker) {
            project.catalog.release_collector(&worker).await?;
            tracing::info!("{worker} is gone: its searches and hosts are free again");
        }
    }
    Ok(())
}

/// What a run did, for people.
fn describe(searches: &[SearchSummary], fetched: &FetchSummary, faces: Option<&ScanSummary>) -> String {
    let mut text = String::new();
    for s in searches {
        text += &format!("{}: {} pages, {} hits, {} new addresses", s.provider, s.pages, s.hits, s.candidates);
        if s.left_out > 0 {
            text += &format!("; {} results left out", s.left_out);
        }
        if s.failures > 0 {
            text += &format!("; {} requests failed", s.failures);
        }
        if let Some(reason) = &s.ended_early {
            text += &format!("; ended early: {}", printable(reason));
        }
        text.push('\n');
    }
    text += &describe_fetched(fetched);
    if let Some(due_ms) = fetched.next_due_ms {
        let minutes = (due_ms - now_ms()).max(0) / 60_000 + 1;
        text += &format!("\nsome are to be tried again: the next in {minutes} minutes, by affectory collect run");
    }
    if let Some(faces) = faces {
        text += &format!("\n{}", faces::describe(faces));
    }
    text + "\nnext: affectory collect status, affectory collect report"
}

/// What a run of fetching did, for people.
pub(in super::super) fn describe_fetched(fetched: &FetchSummary) -> String {
    format!(
        "fetched {} ({} new images); {} without an image, {} failed after several attempts",
        fetched.fetched, fetched.new_images, fetched.rejected, fetched.failed
    )
}

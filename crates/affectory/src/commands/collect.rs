//! `affectory collect`: plans queries, asks search engines, fetches what they point at, says how far that is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use affectory_catalog::Project;
use affectory_collect::{
    ApiClient, Client, CollectSettings, FetchPlace, FetchRequest, FetchSummary, Keywords, Pictures, PlanOptions,
    ReportRequest, SearchProvider, SearchRequest, SearchSummary, build_providers, fetch, gather_report, plan_table,
    record_plan, report_html, search, write_report,
};
use affectory_core::Expression;
use affectory_faces::{ScanRequest, ScanSummary, scan};
use affectory_imaging::Limits;
use anyhow::{Context as _, bail};

use super::{Context, faces, shown};
use crate::cli::{CollectCommand, CollectPlan, CollectReport, CollectRetry, CollectRun};
use crate::environment::{now_ms, variable, worker_id, worker_is_alive};

/// Whom to ask and how to fetch, in the project's folder.
pub const SETTINGS_FILE: &str = "collect.toml";

/// Where `collect report` writes, in the project's folder.
const REPORT_FILE: &str = "report.html";

/// A lab's own keyword files, in the project's folder.
const KEYWORDS_FOLDER: &str = "keywords";

pub async fn run(context: &Context, command: CollectCommand) -> anyhow::Result<()> {
    match command {
        CollectCommand::Plan(args) => plan(context, &args).await,
        CollectCommand::Run(args) => collect(context, &args).await,
        CollectCommand::Status => status(context).await,
        CollectCommand::Retry(args) => retry(context, &args).await,
        CollectCommand::Report(args) => report(context, &args).await,
    }
}

fn settings_of(project: &Project) -> anyhow::Result<CollectSettings> {
    let path = project.root.join(SETTINGS_FILE);
    // A project of an older version has none.
    if path.exists() { Ok(CollectSettings::load(&path)?) } else { Ok(CollectSettings::default()) }
}

async fn plan(context: &Context, args: &CollectPlan) -> anyhow::Result<()> {
    let project = if args.show { None } else { Some(context.open().await?) };
    let keywords = match &project {
        Some(project) => Keywords::with_folder(&project.root.join(KEYWORDS_FOLDER))?,
        None => Keywords::bundled()?,
    };
    let expressions: Result<Vec<Expression>, _> = args.expressions.iter().map(|name| name.parse()).collect();
    let options = PlanOptions {
        languages: args.languages.clone(),
        expressions: expressions.context("--expressions")?,
        limit: args.limit,
        seed: args.seed,
    };
    let queries = keywords.plan(&options)?;
    let table = plan_table(&queries);
    let mut text = table.to_string();
    if args.list {
        for query in &queries {
            let (code, expression) = (&query.language.code, query.expression);
            text += &format!("\n{code:6}  {expression:8}  {}", query.for_terminal());
        }
    }
    let mut json = table.json();
    if let Some(project) = project {
        let settings = settings_of(&project)?;
        let names: Vec<&str> = settings.providers.iter().map(|provider| provider.name()).collect();
        let n_new = record_plan(&project.catalog, &names, &queries, now_ms()).await?;
        json["providers"] = serde_json::json!(names);
        json["new"] = n_new.into();
        text += &if names.is_empty() {
            format!(
                "\nnot on the list yet: {} names no provider to ask; write one into it and repeat this command",
                shown(&project.root.join(SETTINGS_FILE))
            )
        } else {
            format!("\n{n_new} new queries on the list for {}; next: affectory collect run", names.join(", "))
        };
    }
    context.print(&text, &json)
}

async fn collect(context: &Context, args: &CollectRun) -> anyhow::Result<()> {
    let project = context.open().await?;
    let settings = settings_of(&project)?;
    let client_settings = settings.client()?;
    let providers: Vec<Box<dyn SearchProvider>> =
        if args.no_search { Vec::new() } else { build_providers(&settings, variable)? };
    if providers.is_empty() && !args.no_search {
        bail!(
            "{} names no provider to ask: write one into it, or fetch what was found before with --no-search",
            shown(&project.root.join(SETTINGS_FILE))
        );
    }
    let finder = if args.no_faces { None } else { Some(faces::finder(&args.detector, settings.faces.min_px)?) };
    free_the_dead(&project).await?;
    if let Some(finder) = &finder {
        faces::free_the_dead(&project, finder.name()).await?;
    }
    let patience_ms = i64::from(args.patience) * 1000;
    let search_request = SearchRequest { worker: worker_id(), patience_ms };
    let fetch_request = FetchRequest { worker: worker_id(), patience_ms, seed: now_ms().cast_unsigned() };
    let api = ApiClient::new(&client_settings)?;
    let client = Client::new(client_settings)?;
    let scan_request = ScanRequest {
        worker: worker_id(),
        limits: Limits::default(),
        keep_crops: true,
        usable_px: Some(settings.faces.usable_px as f32),
        drop_unusable: settings.faces.drop_unusable,
    };
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
        let outcome = fetch(place, &client, request, is_fed, now_ms, (&context.stop, &bars)).await;
        is_fetching.store(false, Ordering::Release);
        outcome
    };
    // A task of its own: detection keeps its thread busy, and fetching has to go on meanwhile.
    let looking = finder.map(|finder| {
        let (project, stop, bars) = (project.clone(), context.stop.clone(), context.bars.beside());
        let is_fetching = Arc::clone(&is_fetching);
        tokio::spawn(async move {
            let is_fed = || is_fetching.load(Ordering::Acquire);
            scan((&project.catalog, &project.store), &finder, &scan_request, is_fed, now_ms, (&stop, &bars)).await
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

/// Of this machine's processes we know which are dead; leases of other machines end by themselves.
async fn free_the_dead(project: &Project) -> anyhow::Result<()> {
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
            text += &format!("; ended early: {}", crate::failure::printable(reason));
        }
        text.push('\n');
    }
    text += &format!(
        "fetched {} ({} new images); {} without an image, {} failed after several attempts",
        fetched.fetched, fetched.new_images, fetched.rejected, fetched.failed
    );
    if let Some(due_ms) = fetched.next_due_ms {
        let minutes = (due_ms - now_ms()).max(0) / 60_000 + 1;
        text += &format!("\nsome are to be tried again: the next in {minutes} minutes, by affectory collect run");
    }
    if let Some(faces) = faces {
        text += &format!("\n{}", faces::describe(faces));
    }
    text + "\nnext: affectory collect status, affectory collect report"
}

async fn status(context: &Context) -> anyhow::Result<()> {
    let project = context.open().await?;
    let searches = project.catalog.count_searches().await?;
    let outcomes = project.catalog.count_outcomes().await?;
    let yields = project.catalog.count_yield().await?;
    let quota = project.catalog.list_quota().await?;
    if searches.is_empty() && !context.is_json {
        return context.print_text("no query is on the list yet: put some there with `affectory collect plan`");
    }
    let mut text = String::from("provider      language  queries  open  failed  pages      hits\n");
    let mut lines: Vec<(String, [u64; 5])> = Vec::new();
    for row in &searches {
        let label = format!("{:12}  {:8}", row.provider, row.language);
        let counts = [row.queries, row.open, row.failed, row.pages, row.hits];
        match lines.last_mut().filter(|(last, _)| *last == label) {
            Some((_, sums)) => sums.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n),
            None => lines.push((label, counts)),
        }
    }
    for (label, [queries, open, failed, pages, hits]) in lines {
        text += &format!("{label}  {queries:7}  {open:4}  {failed:6}  {pages:5}  {hits:8}\n");
    }
    text += "\nengine                expression  addresses   fetched\n";
    let mut by_engine: Vec<(String, [u64; 2])> = Vec::new();
    for row in &yields {
        let expression = row.expression.map_or("-", |expression| expression.name());
        let label = format!("{:20}  {expression:10}", crate::failure::printable(&row.engine));
        match by_engine.iter_mut().find(|(known, _)| *known == label) {
            Some((_, sums)) => {
                sums[0] += row.candidates;
                sums[1] += row.fetched;
            }
            None => by_engine.push((label, [row.candidates, row.fetched])),
        }
    }
    for (label, [candidates, fetched]) in by_engine {
        text += &format!("{label}  {candidates:9}  {fetched:8}\n");
    }
    text += "\naddresses  how the last attempt ended\n";
    for row in &outcomes {
        let state = if row.state == "new" { "waiting" } else { &row.state };
        text += &format!("{:9}  {state}: {}\n", row.candidates, row.outcome.as_deref().unwrap_or("not tried yet"));
    }
    let json = serde_json::json!({ "searches": searches, "yield": yields, "outcomes": outcomes, "requests": quota });
    context.print(&text, &json)
}

async fn retry(context: &Context, args: &CollectRetry) -> anyhow::Result<()> {
    let project = context.open().await?;
    // One class can stand under several states.
    let known: BTreeSet<String> =
        project.catalog.count_outcomes().await?.into_iter().filter_map(|row| row.outcome).collect();
    let mut chosen: BTreeSet<&String> = BTreeSet::new();
    for wanted in &args.only {
        let fits = |outcome: &&String| {
            outcome.starts_with(wanted.as_str()) || outcome.strip_prefix("http-") == Some(wanted.as_str())
        };
        let fitting: Vec<&String> = known.iter().filter(fits).collect();
        if fitting.is_empty() {
            let list: Vec<&str> = known.iter().map(String::as_str).collect();
            bail!("no address ended in `{}` (there are: {})", crate::failure::printable(wanted), list.join(", "));
        }
        chosen.extend(fitting);
    }
    let chosen: Vec<String> = chosen.into_iter().cloned().collect();
    let n_opened = project.catalog.retry_candidates(&chosen, now_ms()).await?;
    let text = format!(
        "{n_opened} addresses are on the list again ({}); next: affectory collect run --no-search",
        chosen.join(", ")
    );
    context.print(&text, &serde_json::json!({ "reopened": n_opened, "outcomes": chosen }))
}

async fn report(context: &Context, args: &CollectReport) -> anyhow::Result<()> {
    let project = context.open().await?;
    let keywords = Keywords::with_folder(&project.root.join(KEYWORDS_FOLDER))?;
    let root = std::path::absolute(&project.root).unwrap_or_else(|_| project.root.clone());
    let name = root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let request = ReportRequest {
        project: &name,
        now_ms: now_ms(),
        usable_px: settings_of(&project)?.faces.usable_px,
        pictures: if args.no_pictures { Pictures::None } else { Pictures::Seed(args.seed) },
    };
    let report = gather_report(&project, &keywords, &request).await.context("failed to gather the report")?;
    let mut text = String::new();
    // A script that asks for figures has asked for no file.
    if args.out.is_some() || !context.is_json {
        let path = args.out.clone().unwrap_or_else(|| project.root.join(REPORT_FILE));
        write_report(&path, &report_html(&report))?;
        text = shown(&path);
    }
    context.print(&text, &serde_json::to_value(&report).context("failed to print the report")?)
}

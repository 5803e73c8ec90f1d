//! `affectory collect status` and `list`: how far is it, how fast does it go, and how did each address end?

use affectory_catalog::{CandidateState, LeftOutCount, PaceRow, QueryState, QuotaRow, Refusal, SearchFailureCount};
use affectory_collect::CollectSettings;
use affectory_core::CandidateId;

use super::super::Context;
use super::{fitting_outcomes, settings_of};
use crate::cli::{CollectList, CollectStatus};
use crate::environment::{now_ms, variable};
use crate::failure::printable;

/// Over how long the pace is looked at.
const PACE_WINDOW_MS: i64 = 10 * 60_000;

/// Reasons of failed searches that are shown, the most frequent first.
const MOST_REASONS: u32 = 10;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Addresses that are listed in one go.
const LIST_PAGE: u32 = 5_000;

pub(super) async fn status(context: &Context, args: &CollectStatus) -> anyhow::Result<()> {
    let project = context.open().await?;
    if args.by_query {
        return by_query(context, &project.catalog.list_queries().await?);
    }
    let searches = project.catalog.count_searches().await?;
    let outcomes = project.catalog.count_outcomes().await?;
    let yields = project.catalog.count_yield().await?;
    let quota = project.catalog.list_quota().await?;
    let failures = project.catalog.count_search_failures(MOST_REASONS).await?;
    let refusals = project.catalog.list_refusals().await?;
    let left_out = project.catalog.count_left_out().await?;
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
    let now_ms = now_ms();
    // Only the budgets come from there: a mistake in the file does not hide the rest.
    let settings = settings_of(&project).unwrap_or_default();
    let today = requests_of(&quota, now_ms.div_euclid(DAY_MS), &settings);
    describe_asking(&mut text, &today, &failures);
    describe_refusals(&mut text, &refusals, now_ms);
    describe_left_out(&mut text, &left_out);
    text += "\nengine                expression  addresses   fetched\n";
    let mut by_engine: Vec<(String, [u64; 2])> = Vec::new();
    for row in &yields {
        let expression = row.expression.map_or("-", |expression| expression.name());
        let label = format!("{:20}  {expression:10}", printable(&row.engine));
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
    let pace = project.catalog.list_pace(now_ms - PACE_WINDOW_MS).await?;
    let waiting = outcomes.iter().filter(|row| row.state == "new").map(|row| row.candidates).sum();
    let pace = describe_pace(&mut text, &pace, waiting, now_ms);
    let today: Vec<serde_json::Value> = today
        .iter()
        .map(|Requests { provider, requests, budget }| {
            serde_json::json!({ "provider": provider, "requests": requests, "budget": budget })
        })
        .collect();
    let json = serde_json::json!({
        "searches": searches, "yield": yields, "outcomes": outcomes, "requests": quota, "pace": pace,
        "today": today, "search_failures": failures, "refusals": refusals, "left_out": left_out,
    });
    context.print(&text, &json)
}

/// A provider's requests of a day; no budget where the settings name it no more.
struct Requests {
    provider: String,
    requests: u64,
    budget: Option<u32>,
}

/// What each provider was asked on this day, those of the settings first.
fn requests_of(quota: &[QuotaRow], day: i64, settings: &CollectSettings) -> Vec<Requests> {
    let asked: Vec<&QuotaRow> = quota.iter().filter(|row| row.day == day).collect();
    let mut today: Vec<Requests> = settings
        .providers
        .iter()
        .map(|provider| Requests {
            provider: provider.name().to_owned(),
            requests: asked.iter().find(|row| row.provider == provider.name()).map_or(0, |row| row.requests),
            budget: Some(provider.budget(variable)),
        })
        .collect();
    for row in asked {
        if settings.provider(&row.provider).is_none() {
            today.push(Requests { provider: row.provider.clone(), requests: row.requests, budget: None });
        }
    }
    today
}

/// Says in `text` what was asked today, and why searches failed.
fn describe_asking(text: &mut String, today: &[Requests], failures: &[SearchFailureCount]) {
    if !today.is_empty() {
        *text += "\nprovider      requests today (UTC)\n";
    }
    for Requests { provider, requests, budget } in today {
        let of = budget.map(|budget| format!(" of {budget}")).unwrap_or_default();
        *text += &format!("{provider:12}  {requests:8}{of}\n");
    }
    if !failures.is_empty() {
        *text += "\nprovider      searches  why their last attempt failed\n";
    }
    for SearchFailureCount { provider, state, reason, searches } in failures {
        let state = if state == "failed" { "given up" } else { "asked again later" };
        *text += &format!("{provider:12}  {searches:8}  {state}: {}\n", printable(reason));
    }
}

/// Says in `text` which providers refused, whatever they are asked, and until when.
fn describe_refusals(text: &mut String, refusals: &[Refusal], now_ms: i64) {
    if !refusals.is_empty() {
        *text += "\nprovider      why it answers nothing\n";
    }
    for Refusal { provider, until_ms, reason, .. } in refusals {
        let then = match until_ms {
            None => "asked again by the next run".to_owned(),
            Some(until_ms) if *until_ms > now_ms => {
                format!("asked again in {}", duration((until_ms - now_ms) as f64 / 1000.0))
            }
            Some(_) => "may be asked again".to_owned(),
        };
        *text += &format!("{provider:12}  {}; {then}\n", printable(reason));
    }
}

/// Says in `text` what became no address.
fn describe_left_out(text: &mut String, left_out: &[LeftOutCount]) {
    if !left_out.is_empty() {
        *text += "\nprovider      left out  why\n";
    }
    for LeftOutCount { provider, reason, results } in left_out {
        *text += &format!("{provider:12}  {results:8}  {reason}\n");
    }
}

fn by_query(context: &Context, queries: &[QueryState]) -> anyhow::Result<()> {
    let mut text = String::from("provider      language  expression  pages  addresses  fetched  state   query");
    for query in queries {
        let state = match (query.open, query.failed) {
            (0, 0) => "done",
            (0, _) => "failed",
            _ => "open",
        };
        // The query last, isolated from what stands before it: it may run the other way.
        text += &format!(
            "\n{:12}  {:8}  {:10}  {:5}  {:9}  {:7}  {state:6}  \u{2068}{}\u{2069}",
            printable(&query.provider),
            query.language,
            query.expression.map_or("-", |expression| expression.name()),
            query.pages,
            query.addresses,
            query.fetched,
            printable(&query.text),
        );
    }
    context.print(&text, &serde_json::json!({ "queries": queries }))
}

/// Says in `text` how fast fetching goes and when it will be over at this rate.
fn describe_pace(text: &mut String, pace: &[PaceRow], waiting: u64, now_ms: i64) -> serde_json::Value {
    let since_ms = pace.first().map_or(now_ms, |first| first.start_ms.max(now_ms - PACE_WINDOW_MS));
    let seconds = ((now_ms - since_ms) as f64 / 1000.0).max(1.0);
    let (ended, images) = pace.iter().fold((0, 0), |(ended, images), row| (ended + row.ended, images + row.images));
    let (ended_per_s, images_per_s) = (ended as f64 / seconds, images as f64 / seconds);
    let eta_s = (ended > 0).then(|| waiting as f64 / ended_per_s);
    *text += &match eta_s {
        _ if waiting == 0 => "\nno address waits\n".to_owned(),
        Some(eta_s) => format!(
            "\n{images_per_s:.1} images/s in the last {}; {waiting} addresses wait, at this rate for {}\n",
            duration(seconds),
            duration(eta_s)
        ),
        None => format!("\n{waiting} addresses wait; nothing was fetched in the last ten minutes\n"),
    };
    serde_json::json!({ "waiting": waiting, "ended_per_s": ended_per_s, "images_per_s": images_per_s, "eta_s": eta_s })
}

/// A length of time as people say it.
fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

pub(super) async fn list(context: &Context, args: &CollectList) -> anyhow::Result<()> {
    let project = context.open().await?;
    let outcomes = if args.only.is_empty() { None } else { Some(fitting_outcomes(&project, &args.only).await?) };
    let mut rest = args.limit.unwrap_or(usize::MAX);
    let mut after = CandidateId(0);
    let mut rows = Vec::new();
    while rest > 0 {
        let limit = u32::try_from(rest).unwrap_or(u32::MAX).min(LIST_PAGE);
        let page = project.catalog.list_candidates(outcomes.as_deref(), after, limit).await?;
        let Some(last) = page.last() else { break };
        (after, rest) = (last.id, rest - page.len());
        if context.is_json {
            rows.extend(page);
            continue;
        }
        let lines: Vec<String> = page.iter().map(line_of).collect();
        context.print_text(&lines.join("\n"))?;
    }
    if context.is_json { context.print("", &serde_json::to_value(rows)?) } else { Ok(()) }
}

/// Outcome, address and reason, divided by tabs.
fn line_of(row: &CandidateState) -> String {
    let state = if row.state == "new" && row.outcome.is_none() { "waiting" } else { &row.state };
    let mut line = format!("{}\t{}", row.outcome.as_deref().unwrap_or(state), printable(&row.url));
    if let Some(detail) = &row.detail {
        line += &format!("\t{}", printable(detail));
    }
    if let Some(unusable) = &row.unusable {
        line += &format!("\t{unusable}");
    }
    line
}

//! `affectory collect`: plans queries, asks search engines, fetches what they point at, says how far that is.

mod export;
mod report;
mod run;
mod status;

pub(super) use run::{describe_fetched, free_the_dead};

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use affectory_catalog::Project;
use affectory_collect::{ClientSettings, CollectSettings, Keywords, PlanOptions, plan_table, record_plan};
use affectory_core::Expression;
use anyhow::{Context as _, bail};

use super::{Context, shown};
use crate::cli::{CollectCommand, CollectPlan, CollectRetry};
use crate::environment::{descriptor_limit, now_ms};
use crate::failure::printable;

/// Whom to ask and how to fetch, in the project's folder.
pub const SETTINGS_FILE: &str = "collect.toml";

/// A lab's own keyword files, in the project's folder.
const KEYWORDS_FOLDER: &str = "keywords";

pub async fn run(context: &Context, command: CollectCommand) -> anyhow::Result<()> {
    match command {
        CollectCommand::Plan(args) => plan(context, &args).await,
        CollectCommand::Run(args) => run::run(context, &args).await,
        CollectCommand::Status(args) => status::status(context, &args).await,
        CollectCommand::List(args) => status::list(context, &args).await,
        CollectCommand::Retry(args) => retry(context, &args).await,
        CollectCommand::Export(args) => export::export(context, &args).await,
        CollectCommand::Report(args) => report::report(context, &args).await,
    }
}

pub(super) fn settings_of(project: &Project) -> anyhow::Result<CollectSettings> {
    let path = project.root.join(SETTINGS_FILE);
    // A project of an older version has none.
    if path.exists() { Ok(CollectSettings::load(&path)?) } else { Ok(CollectSettings::default()) }
}

/// The client of these settings. Both are lowered to what this process may open.
pub(super) fn client_that_fits(settings: &mut CollectSettings) -> anyhow::Result<ClientSettings> {
    let mut client = settings.client()?;
    if let Some(limit) = descriptor_limit()
        && let Some(asked) = settings.fetch.fit_descriptors(&mut client, limit)
    {
        tracing::warn!(
            "{asked} fetches at once need more than the {limit} files and sockets that this process may open: {} at once \
             instead; raise that limit (`ulimit -Hn`, LimitNOFILE= of a service) or lower concurrency in {SETTINGS_FILE}",
            settings.fetch.concurrency
        );
    }
    Ok(client)
}

async fn plan(context: &Context, args: &CollectPlan) -> anyhow::Result<()> {
    let project = if args.show { None } else { Some(context.open().await?) };
    // To look at a plan no project is needed; one that is there adds its languages.
    let keywords = match context.dir() {
        Ok(folder) => Keywords::with_folder(&folder.join(KEYWORDS_FOLDER))?,
        Err(_) => Keywords::bundled()?,
    };
    let options = PlanOptions {
        languages: args.languages.clone(),
        expressions: args.expressions.iter().map(|name| plannable(name)).collect::<anyhow::Result<_>>()?,
        limit: args.limit.map(NonZeroUsize::get),
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

/// The expression of that name, if faces can be looked for by it.
fn plannable(name: &str) -> anyhow::Result<Expression> {
    let plannable = || Expression::ALL.into_iter().filter(|expression| expression.is_affective());
    let named = name.parse().ok().filter(|expression| plannable().any(|known| known == *expression));
    named.with_context(|| {
        let known: Vec<&str> = plannable().map(Expression::name).collect();
        format!("no queries are there for `{}`: --expressions takes {}", printable(name), known.join(", "))
    })
}

async fn retry(context: &Context, args: &CollectRetry) -> anyhow::Result<()> {
    let project = context.open().await?;
    let chosen = fitting_outcomes(&project, &args.only).await?;
    let n_opened = project.catalog.retry_candidates(&chosen, now_ms()).await?;
    let text = format!(
        "{n_opened} addresses are on the list again ({}); next: affectory collect run --no-search",
        chosen.join(", ")
    );
    context.print(&text, &serde_json::json!({ "reopened": n_opened, "outcomes": chosen }))
}

/// The catalogue's outcome classes that are meant by these words: themselves, their beginnings, or a status without
/// `http-`. A word that fits nothing is only told, unless none fits.
async fn fitting_outcomes(project: &Project, wanted: &[String]) -> anyhow::Result<Vec<String>> {
    // One class can stand under several states.
    let known: BTreeSet<String> =
        project.catalog.count_outcomes().await?.into_iter().filter_map(|row| row.outcome).collect();
    let mut chosen: BTreeSet<&String> = BTreeSet::new();
    let mut unknown: Vec<String> = Vec::new();
    for wanted in wanted {
        let fits = |outcome: &&String| {
            outcome.starts_with(wanted.as_str()) || outcome.strip_prefix("http-") == Some(wanted.as_str())
        };
        let fitting: Vec<&String> = known.iter().filter(fits).collect();
        if fitting.is_empty() {
            unknown.push(format!("`{}`", printable(wanted)));
        }
        chosen.extend(fitting);
    }
    let unknown = unknown.join(", ");
    if known.is_empty() {
        bail!("no address ended in {unknown}: none was fetched yet; next: affectory collect run");
    }
    let list: Vec<&str> = known.iter().map(String::as_str).collect();
    if chosen.is_empty() {
        bail!("no address ended in {unknown} (there are: {})", list.join(", "));
    }
    if !unknown.is_empty() {
        tracing::warn!("no address ended in {unknown} (there are: {})", list.join(", "));
    }
    Ok(chosen.into_iter().cloned().collect())
}

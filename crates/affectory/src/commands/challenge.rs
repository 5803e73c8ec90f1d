//! `affectory challenge`: a challenge on a withheld test set; `score` and `close` are the scoring process.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use affectory_catalog::{BoardRow, ChallengeMetric, ChallengeRow, ChallengeTask, Half, Project};
use affectory_core::LabelSet;
use affectory_evaluate::{EvaluateError, Table, read_table};
use affectory_learn::{Sample, truth_csv};
use affectory_portal::challenge::{
    ChallengeKey, ChallengeRequest, FinalBoard, Scorer, final_csv, final_latex, make_challenge, read_inputs,
};
use affectory_release::load_release;
use anyhow::{Context as _, bail};
use serde_json::json;

use super::{Context, shown, train};
use crate::cli::{
    ChallengeClose, ChallengeCommand, ChallengeCreate, ChallengeKeyFile, ChallengeName, ChallengeScore,
    ChallengeTables, ExpressionMetric, TableFormat, Task,
};
use crate::environment::{now_ms, random, variable};
use crate::failure::printable;

/// Names the key's file.
pub const KEY: &str = "AFFECTORY_CHALLENGE_KEY";

/// How long `score --watch` waits before it looks again.
const LOOK_EVERY: Duration = Duration::from_secs(2);

pub async fn run(context: &Context, command: ChallengeCommand) -> anyhow::Result<()> {
    match command {
        ChallengeCommand::Key(args) => make_key(context, &args),
        ChallengeCommand::Create(args) => create(context, &args).await,
        ChallengeCommand::Inputs(args) => inputs(context, &args).await,
        ChallengeCommand::Score(args) => score(context, &args).await,
        ChallengeCommand::Status => status(context).await,
        ChallengeCommand::Tables(args) => tables(context, &args).await,
        ChallengeCommand::Close(args) => close(context, &args).await,
    }
}

fn make_key(context: &Context, args: &ChallengeKeyFile) -> anyhow::Result<()> {
    let failed = || format!("failed to write {}", shown(&args.file));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&args.file).with_context(failed)?;
    file.write_all(ChallengeKey::new(random()).to_text().as_bytes()).with_context(failed)?;
    file.sync_all().with_context(failed)?;
    let text = format!(
        "made a key in {0}: without it nothing can be scored, with it the labels can be read; keep a copy\n\
         next: {KEY}={0} affectory challenge create ...",
        shown(&args.file)
    );
    context.print(&text, &json!({ "key_file": args.file }))
}

async fn create(context: &Context, args: &ChallengeCreate) -> anyhow::Result<()> {
    let project = context.open().await?;
    let key = key(&project)?;
    let truth = match (&args.truth, &args.release) {
        (Some(path), _) => {
            let file = std::fs::File::open(path).with_context(|| format!("failed to read {}", shown(path)))?;
            read_truth(file, path)?
        }
        (None, Some(name)) => {
            let release = load_release(&project, name).await?;
            let samples: Vec<Sample> =
                train::samples(&release).into_iter().filter(|sample| sample.split == args.split).collect();
            read_truth(truth_csv(&samples).as_bytes(), Path::new(name))?
        }
        (None, None) => bail!("name the hidden labels by --truth CSV, or by --release"),
    };
    let rules = match &args.rules {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("failed to read {}", shown(path)))?,
        None => String::new(),
    };
    let metric = |task: &Task| match (task, args.metric) {
        (Task::ValenceArousal, _) => ChallengeMetric::MeanCcc,
        (Task::Expression, ExpressionMetric::Accuracy) => ChallengeMetric::Accuracy,
        (Task::Expression, ExpressionMetric::BalancedAccuracy) => ChallengeMetric::BalancedAccuracy,
        (Task::Expression, ExpressionMetric::F1Macro) => ChallengeMetric::F1Macro,
    };
    let request = ChallengeRequest {
        name: args.name.clone(),
        title: args.title.clone().unwrap_or_else(|| args.name.clone()),
        rules,
        release: args.release.clone(),
        labels: LabelSet::parse(&args.labels).context("--labels")?,
        metrics: args.tasks.iter().map(metric).collect(),
        per_day: args.per_day.get(),
        opens_ms: args.opens,
        final_opens_ms: args.final_opens,
        closes_ms: args.closes,
        truth,
    };
    let mut nonce = [0; 24];
    nonce.copy_from_slice(&random()[..24]);
    let made = make_challenge(&project, &key, &request, nonce, now_ms()).await?;
    let name = &made.challenge.name;
    let text = format!(
        "made the challenge {name}: {} images to answer, their labels sealed\n\
         next: affectory challenge score {name} --watch, in a process beside the server; keep {KEY} from the server's own",
        made.challenge.n_inputs
    );
    context.print(&text, &json!({ "challenge": name, "inputs": made.challenge.n_inputs }))
}

/// Reads a truth; of what cannot be read the place is told, and never what stands there.
fn read_truth(reader: impl std::io::Read, path: &Path) -> anyhow::Result<Table> {
    let name = shown(path);
    read_table(reader, &name).map_err(|error| match error {
        EvaluateError::BadValue { line, column, .. } => {
            anyhow::anyhow!("`{name}` line {line}: what stands in column {} cannot be meant", printable(&column))
        }
        EvaluateError::ImageTwice { line, first_line, .. } => {
            anyhow::anyhow!("`{name}` line {line}: the image stands already on line {first_line}")
        }
        EvaluateError::Unreadable { line: Some(line), .. } => anyhow::anyhow!("`{name}` line {line} cannot be read"),
        EvaluateError::Unreadable { line: None, .. }
        | EvaluateError::BadHeader { .. }
        | EvaluateError::BadVotes { .. }
        | EvaluateError::OtherTruth { .. }
        | EvaluateError::Unmatched { .. } => {
            anyhow::anyhow!("`{name}` is no truth: it needs the columns image,expression,valence,arousal")
        }
    })
}

/// The key of this process. Read where it is needed and nowhere else: the server never does.
fn key(project: &Project) -> anyhow::Result<ChallengeKey> {
    let file = variable(KEY).with_context(|| {
        format!("{KEY} names no key file: make one by `affectory challenge key FILE`, outside the project")
    })?;
    Ok(ChallengeKey::read(Path::new(&file), &project.root)?)
}

async fn inputs(context: &Context, args: &ChallengeName) -> anyhow::Result<()> {
    let project = context.open().await?;
    let challenge = find(&project, &args.name).await?;
    let names = read_inputs(&project, &challenge)?;
    let text: Vec<String> = names.iter().map(|name| printable(name)).collect();
    context.print(&text.join("\n"), &json!(names))
}

async fn score(context: &Context, args: &ChallengeScore) -> anyhow::Result<()> {
    let project = context.open().await?;
    let scorer = Scorer::open(&project, &key(&project)?, &args.name).await?;
    let (mut n_scored, mut n_refused) = (0, 0);
    loop {
        let done = scorer.score_queued(now_ms()).await?;
        (n_scored, n_refused) = (n_scored + done.n_scored, n_refused + done.n_refused);
        if done.n_scored + done.n_refused > 0 && args.watch {
            tracing::info!(scored = done.n_scored, refused = done.n_refused, "looked through the queue");
        }
        if !args.watch || context.stop.is_requested() {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let text = format!("scored {n_scored} submissions; {n_refused} could not be scored");
    context.print(&text, &json!({ "scored": n_scored, "refused": n_refused }))
}

async fn status(context: &Context) -> anyhow::Result<()> {
    let project = context.open().await?;
    let (mut text, mut documents) = (String::new(), Vec::new());
    for row in project.catalog.list_challenges().await? {
        let (challenge, phase) = (&row.challenge, row.phase(now_ms()));
        let n_queued = project.catalog.list_queued(row.id, u32::MAX).await?.len();
        text += &format!(
            "{}: {}, {} images, {n_queued} submissions wait\n",
            challenge.name,
            phase.name(),
            challenge.n_inputs
        );
        let mut boards = serde_json::Map::new();
        for metric in &challenge.metrics {
            let board = project.catalog.read_board(row.id, metric.task(), Half::Public).await?;
            text += &format!("  {} by {}, public half\n", metric.task().name(), metric.name());
            text += &board.iter().map(line).collect::<String>();
            boards.insert(metric.task().name().to_owned(), board.iter().map(document).collect());
        }
        documents.push(json!({
            "challenge": challenge.name, "phase": phase.name(), "inputs": challenge.n_inputs, "queued": n_queued,
            "public": boards,
        }));
    }
    if documents.is_empty() {
        text = "no challenges: `affectory challenge create` makes one".into();
    }
    context.print(&text, &json!(documents))
}

fn line(row: &BoardRow) -> String {
    let tied = if row.is_tied { "=" } else { " " };
    format!("  {:>4}{tied} {:.2} [{:.2}, {:.2}]  {}\n", row.rank, row.score, row.low, row.high, printable(&row.team))
}

fn document(row: &BoardRow) -> serde_json::Value {
    json!({
        "rank": row.rank, "tied": row.is_tied, "team": row.team, "submission": row.submission_id, "score": row.score,
        "low": row.low, "high": row.high,
    })
}

async fn tables(context: &Context, args: &ChallengeTables) -> anyhow::Result<()> {
    let project = context.open().await?;
    let challenge = find(&project, &args.name).await?;
    if challenge.closed_ms.is_none() {
        bail!("`{}` is not closed: its final tables come with `affectory challenge close`", printable(&args.name));
    }
    let mut boards = Vec::new();
    for &metric in &challenge.challenge.metrics {
        let task: ChallengeTask = metric.task();
        let rows = project.catalog.read_board(challenge.id, task, Half::Private).await?;
        boards.push(FinalBoard { task, metric, rows });
    }
    let text = match args.format {
        TableFormat::Csv => final_csv(&boards),
        TableFormat::Latex => final_latex(&args.name, &boards),
    };
    let json: serde_json::Map<String, serde_json::Value> =
        boards.iter().map(|board| (board.task.name().to_owned(), board.rows.iter().map(document).collect())).collect();
    context.print(&text, &json.into())
}

async fn close(context: &Context, args: &ChallengeClose) -> anyhow::Result<()> {
    let project = context.open().await?;
    let scorer = Scorer::open(&project, &key(&project)?, &args.name).await?;
    scorer.close(args.early, now_ms()).await?;
    let text = format!("{0} is closed\nnext: affectory challenge tables {0}", args.name);
    context.print(&text, &json!({ "challenge": args.name }))
}

async fn find(project: &Project, name: &str) -> anyhow::Result<ChallengeRow> {
    let found = project.catalog.find_challenge(name).await?;
    found
        .with_context(|| format!("there is no challenge named `{}`: see `affectory challenge status`", printable(name)))
}

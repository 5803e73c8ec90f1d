//! `affectory project move`: the catalogue goes to another database, or the images to another store.

use affectory_catalog::{Passwords, move_catalog, move_objects};
use anyhow::bail;
use serde_json::json;

use super::{Context, secrets};
use crate::cli::{ProjectCommand, ProjectMove};
use crate::environment::{now_ms, variable};
use crate::failure::printable;

pub async fn run(context: &Context, command: ProjectCommand) -> anyhow::Result<()> {
    let ProjectCommand::Move(ProjectMove { to }) = command;
    if to.contains("://") && !["postgres://", "postgresql://", "s3://"].iter().any(|scheme| to.starts_with(scheme)) {
        bail!(
            "`{}` is neither a catalogue (`sqlite`, a postgres:// URL) nor a place for images (`local`, a folder, \
             s3://BUCKET/PREFIX)",
            printable(&to)
        );
    }
    let is_catalog = to == "sqlite" || to.starts_with("postgres://") || to.starts_with("postgresql://");
    if is_catalog { catalogue(context, to).await } else { objects(context, &to).await }
}

async fn objects(context: &Context, to: &str) -> anyhow::Result<()> {
    let project = context.open().await?;
    let moved = move_objects(&project, to, &secrets(), &context.stop, &context.bars).await?;
    if moved.stopped {
        bail!("stopped before the end: the project is where it was, and the same command goes on from here");
    }
    let (from, shown) = (printable(&project.config.objects), printable(to));
    let mut text = format!(
        "copied {} objects ({} bytes) from {from} to {shown}; {} were there already\nthe old ones are still there: delete \
         them once you have a backup of the new ones",
        moved.n_copied, moved.n_bytes, moved.n_known
    );
    for sha256 in &moved.damaged {
        text += &format!("\ndamaged where it was, and not copied: {sha256}");
    }
    if moved.n_missing > 0 {
        text += &format!("\n{} rows of the catalogue name objects that were not there", moved.n_missing);
    }
    let document = json!({
        "from": project.config.objects, "to": to, "copied": moved.n_copied, "bytes": moved.n_bytes,
        "were_there": moved.n_known, "damaged": moved.damaged, "missing": moved.n_missing,
    });
    context.print(&text, &document)
}

async fn catalogue(context: &Context, to: String) -> anyhow::Result<()> {
    let (from_password, new_password) = (secrets().postgres_password, variable("AFFECTORY_NEW_DB_PASSWORD"));
    let passwords =
        Passwords { from: from_password.as_deref(), to: new_password.as_deref().or(from_password.as_deref()) };
    let told = |table: &str| tracing::info!("table {table}");
    let moved = move_catalog(&context.dir()?, &to, passwords, now_ms(), told).await?;
    let mut text = String::new();
    for table in &moved.tables {
        text += &format!("{:<20} {:>12} rows  {}\n", table.table, table.rows, &table.sha256.as_str()[..16]);
    }
    text += &if moved.tables.is_empty() {
        format!("an earlier move to {} is finished: affectory.toml names it now", printable(&to))
    } else {
        let n_rows: u64 = moved.tables.iter().map(|table| table.rows).sum();
        format!(
            "moved {n_rows} rows in {} tables from {} to {}: each has the same hash on both sides\n\
             the old catalogue is still there and refuses changes: delete it once you have a backup of the new one",
            moved.tables.len(),
            printable(&moved.from),
            printable(&to)
        )
    };
    context.print(&text, &json!({ "from": moved.from, "to": to, "tables": moved.tables }))
}

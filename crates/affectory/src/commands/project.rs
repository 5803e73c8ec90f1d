//! `affectory project move`: the catalogue goes to another database.

use affectory_catalog::{Passwords, move_catalog};
use serde_json::json;

use super::{Context, password};
use crate::cli::{ProjectCommand, ProjectMove};
use crate::environment::{now_ms, variable};
use crate::failure::printable;

pub async fn run(context: &Context, command: ProjectCommand) -> anyhow::Result<()> {
    let ProjectCommand::Move(ProjectMove { to }) = command;
    let (from_password, new_password) = (password(), variable("AFFECTORY_NEW_DB_PASSWORD"));
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

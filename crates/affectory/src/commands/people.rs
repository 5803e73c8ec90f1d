//! `affectory audit`, `person`, `backup`, `restore`: what a lab owes to the people it works with.

use affectory_catalog::{NotErased, back_up, restore};
use affectory_core::Sha256Hex;
use anyhow::bail;
use serde_json::json;

use super::{Context, shown};
use crate::cli::{AuditCommand, Backup, PersonCommand, Restore};
use crate::environment::now_ms;
use crate::failure::printable;

pub async fn audit(context: &Context, command: AuditCommand) -> anyhow::Result<()> {
    let AuditCommand::Verify = command;
    match context.open().await?.catalog.verify_audit().await? {
        Ok(n_entries) => {
            let text = format!("{n_entries} entries, and none was changed, removed or put in between");
            context.print(&text, &json!({ "entries": n_entries, "is_whole": true }))
        }
        Err(id) => bail!(
            "entry {id} of the audit log does not fit the one before it: somebody changed the database past this program; \
             compare with a backup"
        ),
    }
}

pub async fn person(context: &Context, command: PersonCommand) -> anyhow::Result<()> {
    let project = context.open().await?;
    match command {
        PersonCommand::Export(args) => {
            let document = project.catalog.export_person(&args.email.trim().to_lowercase()).await?;
            context.print(&format!("{document:#}"), &document)
        }
        PersonCommand::Erase(args) => {
            let email = args.email.trim().to_lowercase();
            let objects: Vec<Sha256Hex> = match project.catalog.erase_person(&email, now_ms()).await? {
                Ok(objects) => objects,
                Err(NotErased::Unknown) => bail!("nothing is known of {}", printable(&email)),
                Err(NotErased::HasAccess) => {
                    bail!("{} has access to a release: revoke it first, on the page Who has access", printable(&email))
                }
                Err(NotErased::LastAdministrator) => {
                    bail!("{} is the last administrator: make another one first", printable(&email))
                }
            };
            for object in &objects {
                project.store.delete(object).await?;
            }
            let text = format!(
                "{} is forgotten, {} agreements among it; older backups still know them",
                printable(&email),
                objects.len()
            );
            context.print(&text, &json!({ "email": email, "objects": objects.len() }))
        }
    }
}

pub async fn backup(context: &Context, args: &Backup) -> anyhow::Result<()> {
    let project = context.open().await?;
    let copied = back_up(&project, &args.to, &context.stop).await?;
    let text = format!("copied {} files, {} bytes, to {}", copied.n_files, copied.n_bytes, shown(&args.to));
    context.print(&text, &json!({ "files": copied.n_files, "bytes": copied.n_bytes, "folder": args.to }))
}

pub async fn bring_back(context: &Context, args: &Restore) -> anyhow::Result<()> {
    let (project, copied) = restore(&args.from, &args.to, &context.stop).await?;
    let objects = project.catalog.list_agreement_objects().await?;
    for object in &objects {
        project.store.read(object).await?;
    }
    let Ok(n_entries) = project.catalog.verify_audit().await? else {
        bail!("the copy's audit log was changed: use an older copy");
    };
    let text = format!(
        "{} files in {}; {} agreements are there and whole, and {n_entries} entries of the audit log fit",
        copied.n_files,
        shown(&args.to),
        objects.len()
    );
    context.print(&text, &json!({ "files": copied.n_files, "agreements": objects.len(), "entries": n_entries }))
}

//! `affectory import`: brings labelled images in.

use affectory_catalog::Project;
use affectory_imaging::Limits;
use affectory_release::import::{ImportFormat, ImportRequest, ImportSummary, import};
use anyhow::{Context as _, bail};

use super::{Context, shown};
use crate::cli::{Format, Import};
use crate::environment::now_ms;

pub async fn run(context: &Context, args: Import) -> anyhow::Result<()> {
    let format = match args.format {
        Format::Folder => ImportFormat::Folder,
        Format::Csv => ImportFormat::Csv,
        Format::Affectnet => ImportFormat::AffectNet,
        Format::AffectnetNpy => ImportFormat::AffectNetNpy,
        Format::Ferplus => ImportFormat::FerPlus { proxy_va: args.proxy_va },
    };
    if args.proxy_va && args.format != Format::Ferplus {
        bail!("--proxy-va works on ferplus only: other formats bring their own valence and arousal");
    }
    let project = context.open().await?;
    let mut reports = Vec::new();
    for path in args.paths {
        let source = match (&args.source, reports.len()) {
            (Some(name), 0) => name.clone(),
            (Some(name), n) => format!("{name}-{}", n + 1),
            // Two archives of one database have paths of their own, so each is a source of its own.
            (None, _) => path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .filter(|_| args.format == Format::Ferplus)
                .unwrap_or(format.name())
                .to_owned(),
        };
        let request = ImportRequest { format, path, source, limits: Limits::default() };
        let summary = import_one(context, &project, &request).await?;
        let was_stopped = summary.stopped;
        reports.push((request, summary));
        if was_stopped {
            break;
        }
    }
    let text: Vec<String> = reports.iter().map(|(request, summary)| describe(request, summary)).collect();
    let json: Vec<_> = reports
        .iter()
        .map(|(request, summary)| {
            serde_json::json!({
                "source": request.source,
                "images": summary.new.images,
                "sightings": summary.new.sightings,
                "faces": summary.new.faces,
                "annotations": summary.new.annotations,
                "skipped": summary.skipped,
                "rejected": summary.rejected,
                "rejects": summary.rejects,
                "stopped": summary.stopped,
            })
        })
        .collect();
    context.print(&text.join("\n"), &serde_json::Value::Array(json))?;
    if reports.last().is_some_and(|(_, summary)| summary.stopped) {
        bail!("stopped before the end: the same command goes on from here");
    }
    Ok(())
}

/// Imports one source; the demo comes through here, too.
pub async fn import_one(
    context: &Context,
    project: &Project,
    request: &ImportRequest,
) -> anyhow::Result<ImportSummary> {
    import(project, request, now_ms(), &context.stop, &context.bars)
        .await
        .with_context(|| format!("failed to import {}", shown(&request.path)))
}

/// What an import did, for people.
pub fn describe(request: &ImportRequest, summary: &ImportSummary) -> String {
    let new = summary.new;
    let mut text = format!(
        "{}: {} new images, {} faces, {} annotations; {} known already; {} rejected",
        request.source, new.images, new.faces, new.annotations, summary.skipped, summary.rejected
    );
    if summary.rejected > 0 {
        text += &format!(" (see {})", shown(&summary.rejects));
    }
    text
}

//! `affectory collect report`: what collecting came to, in one HTML file.

use affectory_collect::{Keywords, Pictures, ReportRequest, gather_report, report_html, write_report};
use anyhow::Context as _;

use super::super::{Context, shown};
use super::{KEYWORDS_FOLDER, settings_of};
use crate::cli::CollectReport;
use crate::environment::now_ms;

/// Where `collect report` writes, in the project's folder.
const REPORT_FILE: &str = "report.html";

pub(super) async fn report(context: &Context, args: &CollectReport) -> anyhow::Result<()> {
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

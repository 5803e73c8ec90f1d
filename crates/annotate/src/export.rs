//! How does the log of all annotations leave a project, whole and as one state?

use std::io::Write;

use affectory_catalog::Catalog;
use affectory_core::{Progress, Stop};

use crate::AnnotateError;
use crate::line::{FORMAT, Header, Line, Pool, VERSION};

/// Rows in memory at a time.
const PAGE: u32 = 5_000;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct ExportReport {
    /// Annotations, those that are superseded or taken back included.
    pub n_annotations: u64,
    /// Annotators.
    pub n_annotators: u64,
    /// Faces.
    pub n_faces: u64,
}

/// Writes the log as JSON Lines. Two projects with the same log write the same bytes; accounts and addresses are in none.
///
/// # Errors
/// [`AnnotateError::Write`] where `out` fails, and whatever the catalogue refuses.
pub async fn export_log(
    catalog: &Catalog,
    program_version: &str,
    out: &mut dyn Write,
    (stop, progress): (&Stop, &dyn Progress),
) -> Result<ExportReport, AnnotateError> {
    let mut log = catalog.read_log().await?;
    let head = log.head().await?;
    let header = Header {
        format: FORMAT.to_owned(),
        version: VERSION,
        program: program_version.to_owned(),
        n_annotations: head.n_annotations,
        n_annotators: head.n_annotators,
        n_faces: head.n_faces,
        pools: head.pools.iter().map(|(name, rules)| Pool::new(name, rules)).collect(),
    };
    write_line(out, &header)?;
    progress.begin("writing annotations", Some(head.n_annotations));
    loop {
        let page = log.next_page(PAGE).await?;
        if page.is_empty() {
            break;
        }
        if stop.is_requested() {
            return Err(AnnotateError::ExportStopped);
        }
        progress.advance(page.len() as u64);
        for row in page {
            write_line(out, &Line::new(row))?;
        }
    }
    progress.end();
    out.flush().map_err(AnnotateError::Write)?;
    Ok(ExportReport { n_annotations: head.n_annotations, n_annotators: head.n_annotators, n_faces: head.n_faces })
}

fn write_line(out: &mut dyn Write, line: &impl serde::Serialize) -> Result<(), AnnotateError> {
    let mut text = serde_json::to_vec(line).map_err(|error| AnnotateError::Write(error.into()))?;
    text.push(b'\n');
    out.write_all(&text).map_err(AnnotateError::Write)
}

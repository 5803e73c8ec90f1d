//! How does another project's log enter this one: line by line, in batches, with a reason for every line left out?

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use affectory_catalog::{AnnotatorKind, LogOutcome, LoggedAnnotation, PoolRules, Project};
use affectory_core::{Progress, Stop};
use tempfile::NamedTempFile;

use crate::AnnotateError;
use crate::line::{FORMAT, Header, Line, VERSION};
use crate::pool::check_pool;

/// Longest line, bytes. The program writes none a tenth as long.
const LONGEST_LINE: usize = 64 << 10;

/// Longest header: it names the pools.
const LONGEST_HEADER: usize = 1 << 20;

/// Lines of one transaction, and their bytes at most.
const BATCH: usize = 2_000;
const BATCH_BYTES: usize = 4 << 20;

/// An import that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct LogImport {
    /// The file.
    pub file: PathBuf,
    /// Put before the names of people, so that they are not taken for this project's.
    pub rename_people: Option<String>,
}

/// What became of the lines.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct LogImportReport {
    /// Annotations that are new.
    pub n_added: u64,
    /// Annotations that were here.
    pub n_known: u64,
    /// Lines left out.
    pub n_rejected: u64,
    /// Annotations that the header announces and the file does not have: it was cut off.
    pub n_missing: u64,
    /// The list of lines left out, with reasons.
    pub rejects: PathBuf,
    /// Whether it was asked to stop before the end.
    pub stopped: bool,
}

/// Adds a log to a project's. What is there stays as it is; a second import of the same file adds nothing, and one that was
/// killed goes on.
///
/// # Errors
/// [`AnnotateError`] where the file or its header cannot be read; a bad line is a reject.
pub async fn import_log(
    project: &Project,
    request: &LogImport,
    (stop, progress): (&Stop, &dyn Progress),
    now_ms: i64,
) -> Result<LogImportReport, AnnotateError> {
    let unreadable = |source| AnnotateError::File { action: "read", path: request.file.clone(), source };
    let mut lines = Lines::new(BufReader::new(File::open(&request.file).map_err(unreadable)?));
    let (header, pools) = match lines.next(LONGEST_HEADER).map_err(unreadable)? {
        Some((_, line)) => line.and_then(read_header),
        None => Err("it is empty".into()),
    }
    .map_err(|reason| AnnotateError::NoLog { path: request.file.clone(), reason: printable(&reason) })?;
    let mut rejects = Rejects::new(project.imports_dir().join("annotations-rejects.csv"), &request.file)?;
    let detail = format!("{} annotations, written by version {}", header.n_annotations, printable(&header.program));
    let pools = project.catalog.begin_log_import(&pools, &detail, now_ms).await?;
    let mut report = LogImportReport::default();
    let mut batch = Batch::default();
    progress.begin("reading annotations", Some(header.n_annotations));
    loop {
        let line = lines.next(LONGEST_LINE).map_err(unreadable)?;
        let is_end = line.is_none();
        if let Some((number, text)) = line {
            let n_bytes = text.as_ref().map_or(0, |text| text.len());
            match text.and_then(Line::read) {
                Ok(row) => batch.push(number, n_bytes, renamed(row, request.rename_people.as_deref())),
                Err(reason) => rejects.add(number, &reason)?,
            }
        }
        if is_end || batch.is_full() {
            batch.record(project, &pools, &mut report, &mut rejects, now_ms).await?;
            progress.advance(batch.rows.len() as u64);
            batch = Batch::default();
            report.stopped = !is_end && stop.is_requested();
        }
        if is_end || report.stopped {
            break;
        }
    }
    progress.end();
    report.n_rejected = rejects.n_rejected;
    if !report.stopped {
        report.n_missing = header.n_annotations.saturating_sub(report.n_added + report.n_known + report.n_rejected);
    }
    report.rejects = rejects.finish()?;
    Ok(report)
}

fn read_header(line: &[u8]) -> Result<(Header, Vec<(String, PoolRules)>), String> {
    let header: Header =
        serde_json::from_slice(line).map_err(|error| format!("its first line is no header: {error}"))?;
    if header.format != FORMAT {
        return Err(format!("its format is `{}`, not `{FORMAT}`", header.format));
    }
    if header.version != VERSION {
        return Err(format!("it has version {} of the format, this program knows version {VERSION}", header.version));
    }
    let mut pools = Vec::with_capacity(header.pools.len());
    for pool in &header.pools {
        let rules = pool.rules()?;
        check_pool(&pool.name, &rules).map_err(|error| error.to_string())?;
        pools.push((pool.name.clone(), rules));
    }
    Ok((header, pools))
}

/// The same answer of somebody whose name says that they belong to another project.
fn renamed(mut row: LoggedAnnotation, prefix: Option<&str>) -> LoggedAnnotation {
    if let (Some(prefix), AnnotatorKind::Person) = (prefix, row.kind) {
        if let Some(older) = &mut row.supersedes {
            older.annotator.insert_str(0, prefix);
        }
        row.annotator.insert_str(0, prefix);
    }
    row
}

/// Rows on their way into the catalogue, each with its line.
#[derive(Default)]
struct Batch {
    numbers: Vec<u64>,
    rows: Vec<LoggedAnnotation>,
    size_bytes: usize,
}

impl Batch {
    fn push(&mut self, number: u64, size_bytes: usize, row: LoggedAnnotation) {
        self.numbers.push(number);
        self.rows.push(row);
        self.size_bytes += size_bytes;
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= BATCH || self.size_bytes >= BATCH_BYTES
    }

    async fn record(
        &self,
        project: &Project,
        pools: &HashMap<String, i64>,
        report: &mut LogImportReport,
        rejects: &mut Rejects,
        now_ms: i64,
    ) -> Result<(), AnnotateError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let outcomes = project.catalog.record_log(&self.rows, pools, now_ms).await?;
        for (number, outcome) in self.numbers.iter().zip(outcomes) {
            match outcome {
                LogOutcome::Added => report.n_added += 1,
                LogOutcome::Known => report.n_known += 1,
                LogOutcome::Rejected(reason) => rejects.add(*number, &reason)?,
            }
        }
        Ok(())
    }
}

/// A line's number, from 1, and the line, or why it cannot be had.
type NumberedLine<'a> = (u64, Result<&'a [u8], String>);

/// Lines of a file, of which none takes more memory than it may.
struct Lines<R> {
    reader: R,
    text: Vec<u8>,
    /// Number of the last one, from 1.
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn new(reader: R) -> Self {
        Self { reader, text: Vec::new(), number: 0 }
    }

    /// The next line; none at the end.
    fn next(&mut self, longest: usize) -> std::io::Result<Option<NumberedLine<'_>>> {
        self.text.clear();
        let mut n_bytes = 0;
        loop {
            let piece = self.reader.fill_buf()?;
            let end = piece.iter().position(|byte| *byte == b'\n');
            let n_taken = end.unwrap_or(piece.len());
            if piece.is_empty() && n_bytes == 0 {
                return Ok(None);
            }
            if n_bytes + n_taken <= longest {
                self.text.extend_from_slice(&piece[..n_taken]);
            }
            let is_end = end.is_some() || piece.is_empty();
            n_bytes += n_taken;
            self.reader.consume(n_taken + usize::from(end.is_some()));
            if is_end {
                break;
            }
        }
        self.number += 1;
        if n_bytes > longest {
            return Ok(Some((self.number, Err(format!("it has {n_bytes} bytes: at most {longest} are read")))));
        }
        Ok(Some((self.number, Ok(&self.text))))
    }
}

/// The list of lines left out, written as it grows and in its place at the end.
struct Rejects {
    table: csv::Writer<NamedTempFile>,
    path: PathBuf,
    file: String,
    n_rejected: u64,
}

impl Rejects {
    fn new(path: PathBuf, file: &Path) -> Result<Self, AnnotateError> {
        let fail = |source| AnnotateError::File { action: "write", path: path.clone(), source };
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(fail)?;
        let mut table = csv::Writer::from_writer(NamedTempFile::new_in(folder).map_err(fail)?);
        table.write_record(["file", "line", "reason"]).map_err(|error| fail(std::io::Error::other(error)))?;
        let file = file.file_name().map(|name| printable(&name.to_string_lossy())).unwrap_or_default();
        Ok(Self { table, path, file, n_rejected: 0 })
    }

    fn add(&mut self, line: u64, reason: &str) -> Result<(), AnnotateError> {
        self.n_rejected += 1;
        let written = self.table.write_record([&self.file, &line.to_string(), &printable(reason)]);
        written.map_err(|error| AnnotateError::File {
            action: "write",
            path: self.path.clone(),
            source: std::io::Error::other(error),
        })
    }

    fn finish(self) -> Result<PathBuf, AnnotateError> {
        let Self { table, path, .. } = self;
        let fail = |source| AnnotateError::File { action: "write", path: path.clone(), source };
        let file = table.into_inner().map_err(|error| fail(std::io::Error::other(error.to_string())))?;
        file.as_file().sync_all().map_err(fail)?;
        file.persist(&path).map_err(|error| fail(error.error))?;
        Ok(path)
    }
}

/// Text from outside with control characters escaped, at most 300 characters.
fn printable(text: &str) -> String {
    let hostile = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let escaped = |c: char| if hostile(c) { c.escape_default().collect::<String>() } else { c.to_string() };
    text.chars().take(300).map(escaped).collect()
}

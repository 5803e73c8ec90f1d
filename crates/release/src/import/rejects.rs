//! What was left out of an import, and why?

use std::path::Path;

use crate::ReleaseError;
use crate::names::printable;

/// One row or file that was left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reject {
    /// The table or image, relative to the import.
    pub file: String,
    /// The line, where the file is a table; the header is line 1.
    pub line: Option<u64>,
    /// Why.
    pub reason: String,
}

impl Reject {
    /// A row or file and the reason, both from outside and made fit to print.
    pub(super) fn new(file: &str, line: Option<u64>, reason: &str) -> Self {
        Self { file: printable(file), line, reason: printable(reason) }
    }
}

/// Writes `file,line,reason`, whole or not at all. Without rejects the file has its header only, so that the list
/// of an earlier run never stands for this one's.
pub(super) fn write(path: &Path, rejects: &mut [Reject]) -> Result<(), ReleaseError> {
    rejects.sort_unstable();
    let fail = |source: std::io::Error| ReleaseError::File { action: "write", path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(fail)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
    let mut table = csv::Writer::from_writer(&mut file);
    let as_io = |e: csv::Error| fail(std::io::Error::other(e));
    table.write_record(["file", "line", "reason"]).map_err(as_io)?;
    for reject in rejects.iter() {
        let line = reject.line.map(|line| line.to_string()).unwrap_or_default();
        table.write_record([&reject.file, &line, &reject.reason]).map_err(as_io)?;
    }
    table.flush().map_err(fail)?;
    drop(table);
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    Ok(())
}

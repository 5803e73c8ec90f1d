//! How does the page reach the disk? Whole or not at all.

use std::io::Write as _;
use std::path::Path;

use super::ReportError;

/// Writes a file beside its place and renames it, so that nobody opens half a report.
///
/// # Errors
/// [`ReportError::File`].
pub fn write(path: &Path, html: &str) -> Result<(), ReportError> {
    let failed = |source| ReportError::File { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // A temporary file is its owner's alone; a report is handed on, as far as the user's mask allows.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(failed)?;
    file.write_all(html.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

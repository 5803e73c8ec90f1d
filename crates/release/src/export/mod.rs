//! How does a release leave the program, in the layouts that others' programs read?

mod affectnet;
mod affectnet_npy;
mod csv;
mod folder;
mod picture;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use affectory_catalog::Project;
use affectory_core::{Progress, Stop};
use futures::stream::{self, StreamExt as _};

pub(crate) use picture::extension;

use crate::build::{open_to_all, sync_folder};
use crate::{Release, ReleaseError, ReleaseItem, load_release};

/// Objects being read at a time.
const READS_IN_FLIGHT: usize = 16;

/// The layouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// AffectNet's full release: tables and whole images.
    AffectNet,
    /// AffectNet's eight-label release: face crops and a `.npy` a label.
    AffectNetNpy,
    /// `SPLIT/LABEL/` with face crops.
    Folder,
    /// `labels.csv` and whole images: everything the manifest says of a face.
    Csv,
}

impl ExportFormat {
    /// The name used in commands.
    pub const fn name(self) -> &'static str {
        match self {
            ExportFormat::AffectNet => "affectnet",
            ExportFormat::AffectNetNpy => "affectnet-npy",
            ExportFormat::Folder => "folder",
            ExportFormat::Csv => "csv",
        }
    }
}

/// One layout being written.
trait ReleaseFormat: Send {
    /// Adds a face; `image` is the stored bytes. Items come in the manifest's order.
    fn add(&mut self, item: &ReleaseItem, image: &[u8]) -> Result<(), ReleaseError>;

    /// Writes what can only be written at the end.
    fn finish(self: Box<Self>) -> Result<(), ReleaseError>;
}

/// What an export wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportSummary {
    /// Where it lies.
    pub target: PathBuf,
    /// Faces in it.
    pub n_items: u64,
    /// Items of the release that were withdrawn since, and are not in it.
    pub n_withdrawn: u64,
}

/// Exports a release into a new or empty folder; there is all of it or nothing.
///
/// # Errors
/// [`ReleaseError::TargetTaken`], [`ReleaseError::Stopped`], or what reading and writing come up with.
pub async fn export(
    project: &Project,
    name: &str,
    format: ExportFormat,
    target: &Path,
    stop: &Stop,
    progress: &dyn Progress,
) -> Result<ExportSummary, ReleaseError> {
    let release = load_release(project, name).await?;
    let is_empty = |folder: &Path| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if target.symlink_metadata().is_ok() && !is_empty(target) {
        return Err(ReleaseError::TargetTaken(target.to_owned()));
    }
    let parent = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let fail = |source| ReleaseError::File { action: "write", path: target.to_owned(), source };
    fs::create_dir_all(parent).map_err(fail)?;
    let partial = tempfile::Builder::new().prefix(".partial-").tempdir_in(parent).map_err(fail)?;
    let mut writer = open(format, partial.path())?;
    progress.begin(&format!("export {name} as {}", format.name()), Some(release.items.len() as u64));
    let reads = release.items.iter().map(|item| async move { (item, project.store.read(&item.image_sha256).await) });
    let mut reads = stream::iter(reads).buffered(READS_IN_FLIGHT);
    while let Some((item, bytes)) = reads.next().await {
        if stop.is_requested() {
            return Err(ReleaseError::Stopped);
        }
        writer.add(item, &bytes?)?;
        progress.advance(1);
    }
    drop(reads);
    writer.finish()?;
    write_file(&partial.path().join("README.txt"), describe(&release, format).as_bytes())?;
    open_to_all(partial.path())?;
    sync_folder(partial.path())?;
    // Over an empty folder this replaces it; over one filled meanwhile it fails.
    fs::rename(partial.path(), target).map_err(fail)?;
    sync_folder(parent)?;
    progress.end();
    let n_items = release.items.len() as u64;
    Ok(ExportSummary { target: target.to_owned(), n_items, n_withdrawn: release.n_withdrawn })
}

fn open(format: ExportFormat, folder: &Path) -> Result<Box<dyn ReleaseFormat>, ReleaseError> {
    Ok(match format {
        ExportFormat::AffectNet => Box::new(affectnet::AffectNet::new(folder)?),
        ExportFormat::AffectNetNpy => Box::new(affectnet_npy::AffectNetNpy::new(folder)),
        ExportFormat::Folder => Box::new(folder::Folder::new(folder)),
        ExportFormat::Csv => Box::new(csv::Csv::new(folder)?),
    })
}

fn describe(release: &Release, format: ExportFormat) -> String {
    let n_proxy = release.items.iter().filter(|item| item.is_proxy).count();
    let mut text = format!(
        "Release {} exported as {}: {} faces.\nManifest SHA-256: {}\nLabels: {}\n",
        release.row.release.name,
        format.name(),
        release.items.len(),
        release.row.manifest_sha256,
        release.labels,
    );
    if n_proxy > 0 {
        text += &format!("PROXY: valence and arousal of {n_proxy} faces come from a formula and not from people.\n");
    }
    text
}

/// Writes a file and the folders above it.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ReleaseError> {
    let fail = |source| ReleaseError::File { action: "write", path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(fail)?;
    }
    let mut file = fs::File::create(path).map_err(fail)?;
    file.write_all(bytes).map_err(fail)
}

/// A table on disk, and errors that name it.
struct Table {
    path: PathBuf,
    writer: ::csv::Writer<fs::File>,
}

impl Table {
    fn create(path: PathBuf, header: &[&str]) -> Result<Table, ReleaseError> {
        let file = fs::File::create(&path).map_err(ReleaseError::file("create", &path))?;
        let mut table = Table { writer: ::csv::Writer::from_writer(file), path };
        table.write(header)?;
        Ok(table)
    }

    fn write<F: AsRef<[u8]>>(&mut self, fields: &[F]) -> Result<(), ReleaseError> {
        self.writer.write_record(fields).map_err(|e| ReleaseError::file("write", &self.path)(std::io::Error::other(e)))
    }

    fn finish(mut self) -> Result<(), ReleaseError> {
        self.writer.flush().map_err(ReleaseError::file("write", &self.path))
    }
}

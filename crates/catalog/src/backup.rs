//! How is a project copied while people work in it, and brought back?
//!
//! The catalogue is copied first, of one moment, and the objects after it: bytes are on the disk before a row names them
//! and are not changed, so all that the copy names is there. A second copy into the same folder brings only new objects.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use affectory_core::Stop;

use crate::project::{CATALOG_FILE, CONFIG_FILE};
use crate::store::S3Place;
use crate::{CatalogError, Project};

/// What is in a project's folder beside the catalogue and the objects, and cannot be made anew.
const FOLDERS: [&str; 5] = ["releases", "runs", "imports", "challenges", "keywords"];

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files that were not there.
    pub n_files: u64,
    /// Their bytes.
    pub n_bytes: u64,
}

/// Copies a project into a folder, also while a server runs on it. A copy that was stopped is gone on with.
///
/// # Errors
/// [`CatalogError::NotCopied`] for a project on PostgreSQL or with objects elsewhere, with what to do instead; what the
/// disk refuses.
pub async fn back_up(project: &Project, to: &Path, stop: &Stop) -> Result<Copied, CatalogError> {
    match project.config.objects.as_str() {
        "local" => {}
        // A copy on this disk of what is kept on S3 so that it need not be on this disk would serve nobody.
        objects if S3Place::is_meant(objects) => {
            return Err(CatalogError::NotCopied(
                "its objects lie on S3: let the bucket keep versions and a second copy elsewhere (or `aws s3 sync`), after \
                 the catalogue was copied; docs/storage.md says how",
            ));
        }
        _ => return Err(CatalogError::NotCopied("its objects lie in another folder: copy that by your own tools")),
    }
    make(to)?;
    let partial = to.join("catalog.partial");
    remove(&partial)?;
    if !project.catalog.copy_to(&partial).await? {
        return Err(CatalogError::NotCopied("its catalogue is PostgreSQL: copy that by pg_dump, and then the folder"));
    }
    flush(&partial)?;
    let mut copied = Copied::default();
    copy_tree(&project.root.join("objects"), &to.join("objects"), &mut copied, stop)?;
    for folder in FOLDERS {
        copy_tree(&project.root.join(folder), &to.join(folder), &mut copied, stop)?;
    }
    for entry in list(&project.root)? {
        let is_settings = entry.extension().is_some_and(|extension| extension == "toml");
        if is_settings && entry.is_file() {
            copy_file(&entry, &to.join(entry.file_name().unwrap_or_default()), &mut copied)?;
        }
    }
    // Last: a copy whose catalogue is new has all that it names.
    fs::rename(&partial, to.join(CATALOG_FILE)).map_err(refused("write", to))?;
    flush(to)?;
    Ok(copied)
}

/// Makes a project of a copy, and opens it.
///
/// # Errors
/// [`CatalogError::ProjectExists`] where there is one; [`CatalogError::NoCatalog`] where the copy is none.
pub async fn restore(from: &Path, to: &Path, stop: &Stop) -> Result<(Project, Copied), CatalogError> {
    if !from.join(CATALOG_FILE).is_file() {
        return Err(CatalogError::NoCatalog(from.join(CATALOG_FILE)));
    }
    if to.join(CONFIG_FILE).exists() {
        return Err(CatalogError::ProjectExists(to.to_owned()));
    }
    make(to)?;
    let mut copied = Copied::default();
    for entry in list(from)? {
        let target = to.join(entry.file_name().unwrap_or_default());
        if entry.is_dir() {
            copy_tree(&entry, &target, &mut copied, stop)?;
        } else if !entry.ends_with(CONFIG_FILE) {
            copy_file(&entry, &target, &mut copied)?;
        }
    }
    // As `init` does: a folder is a project once this file is in it.
    for folder in ["objects", "releases", "runs", "imports"] {
        make(&to.join(folder))?;
    }
    copy_file(&from.join(CONFIG_FILE), &to.join(CONFIG_FILE), &mut copied)?;
    flush(to)?;
    Ok((Project::open(to).await?, copied))
}

fn copy_tree(from: &Path, to: &Path, copied: &mut Copied, stop: &Stop) -> Result<(), CatalogError> {
    if !from.is_dir() {
        return Ok(());
    }
    make(to)?;
    for entry in list(from)? {
        if stop.is_requested() {
            return Err(CatalogError::NotCopied("it was stopped: the same command goes on"));
        }
        let target = to.join(entry.file_name().unwrap_or_default());
        if entry.is_dir() {
            copy_tree(&entry, &target, copied, stop)?;
        } else {
            copy_file(&entry, &target, copied)?;
        }
    }
    flush(to)
}

/// Copies beside the place and moves it there. A file of the same size that is no older stays: objects and releases never
/// change.
fn copy_file(from: &Path, to: &Path, copied: &mut Copied) -> Result<(), CatalogError> {
    let Ok(facts) = fs::metadata(from) else {
        // Gone since the folder was read: dropped, and no row names it any more.
        return Ok(());
    };
    let is_there = fs::metadata(to)
        .is_ok_and(|known| known.len() == facts.len() && known.modified().ok() >= facts.modified().ok());
    if is_there {
        return Ok(());
    }
    let partial = to.with_file_name(".partial");
    match fs::copy(from, &partial) {
        Ok(n_bytes) => copied.n_bytes += n_bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !from.exists() => return Ok(()),
        Err(error) => return Err(refused("copy", from)(error)),
    }
    flush(&partial)?;
    fs::rename(&partial, to).map_err(refused("write", to))?;
    copied.n_files += 1;
    Ok(())
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, CatalogError> {
    let entries = fs::read_dir(folder).map_err(refused("read", folder))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    Ok(paths)
}

fn make(folder: &Path) -> Result<(), CatalogError> {
    fs::create_dir_all(folder).map_err(refused("create folder", folder))
}

pub(crate) fn remove(path: &Path) -> Result<(), CatalogError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(refused("remove", path)(error)),
        _ => Ok(()),
    }
}

pub(crate) fn flush(path: &Path) -> Result<(), CatalogError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(refused("flush", path))
}

pub(crate) fn refused(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> CatalogError {
    let path = path.to_owned();
    move |source| CatalogError::File { action, path, source }
}

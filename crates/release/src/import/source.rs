//! Where are the bytes of a candidate, and may they be read at all?

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use affectory_imaging::Limits;

use crate::ReleaseError;

/// The bytes of one image, not read yet.
#[derive(Debug, Clone)]
pub enum ImageBytes {
    /// A file under a root it must not leave.
    File {
        /// The root, links resolved.
        root: Arc<Path>,
        /// The path below it, as the source wrote it.
        relative: String,
    },
    /// A piece of an archive.
    Piece {
        /// The archive.
        archive: Arc<File>,
        /// First byte.
        offset: u64,
        /// Length.
        size_bytes: u64,
    },
}

impl ImageBytes {
    /// Reads them, unless they are too many, absent, or outside the root.
    pub(super) fn read(&self, limits: &Limits) -> Result<Vec<u8>, String> {
        let check_size = |size_bytes: u64| {
            let limit = limits.max_bytes;
            if size_bytes > limit {
                Err(format!("the file has {size_bytes} bytes, the limit is {limit}"))
            } else {
                Ok(())
            }
        };
        match self {
            ImageBytes::File { root, relative } => {
                let path = resolve(root, relative)?;
                check_size(path.metadata().map_err(|e| e.to_string())?.len())?;
                std::fs::read(&path).map_err(|e| format!("cannot read the image: {e}"))
            }
            ImageBytes::Piece { archive, offset, size_bytes } => {
                check_size(*size_bytes)?;
                let mut bytes = vec![0; *size_bytes as usize];
                archive.read_exact_at(&mut bytes, *offset).map_err(|e| format!("cannot read the archive: {e}"))?;
                Ok(bytes)
            }
        }
    }

    /// When the file that holds them was last changed, ms UTC; `None` where it cannot be told.
    pub(super) fn modified_ms(&self) -> Option<i64> {
        let metadata = match self {
            ImageBytes::File { root, relative } => root.join(relative).metadata(),
            ImageBytes::Piece { archive, .. } => archive.metadata(),
        };
        let age = metadata.ok()?.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(age.as_millis()).ok()
    }
}

/// The regular file that `relative` names under `root` (links resolved), if it does not lead out.
fn resolve(root: &Path, relative: &str) -> Result<PathBuf, String> {
    let plain = |part: Component| matches!(part, Component::Normal(_) | Component::CurDir);
    if relative.is_empty() || relative.contains('\0') {
        return Err("no image is named".into());
    }
    if !Path::new(relative).components().all(plain) {
        return Err("the path leaves the folder of the import".into());
    }
    let path = match root.join(relative).canonicalize() {
        Ok(path) => path,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err("the image is missing".into()),
        Err(e) => return Err(format!("cannot find the image: {e}")),
    };
    if !path.starts_with(root) {
        return Err("a link leads out of the folder of the import".into());
    }
    // A pipe would block for ever, a device never end.
    if path.is_file() { Ok(path) } else { Err("not a file".into()) }
}

/// The folder with links resolved, or a clear error.
pub(super) fn open_root(path: &Path) -> Result<Arc<Path>, ReleaseError> {
    let root = path.canonicalize().map_err(ReleaseError::file("open", path))?;
    if root.is_dir() {
        Ok(root.into())
    } else {
        Err(ReleaseError::Layout { path: path.to_owned(), reason: "expected a folder".into() })
    }
}

/// The regular files of a tar by name; the archive itself is read only where asked.
pub(super) fn index_tar(path: &Path) -> Result<HashMap<String, ImageBytes>, ReleaseError> {
    let fail = |source| ReleaseError::File { action: "read the archive", path: path.to_owned(), source };
    let archive = Arc::new(File::open(path).map_err(fail)?);
    let archive_bytes = archive.metadata().map_err(fail)?.len();
    let mut index = HashMap::new();
    let mut reader = tar::Archive::new(archive.as_ref());
    for entry in reader.entries_with_seek().map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let (offset, size_bytes) = (entry.raw_file_position(), entry.size());
        if offset.checked_add(size_bytes).is_none_or(|end| end > archive_bytes) {
            let reason = "the archive is cut off".to_owned();
            return Err(ReleaseError::Layout { path: path.to_owned(), reason });
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        index.insert(name, ImageBytes::Piece { archive: Arc::clone(&archive), offset, size_bytes });
    }
    Ok(index)
}

/// The files of a folder and its sub-folders (`depth` levels), relative with `/`, sorted, hidden ones left out.
pub(super) fn list_files(root: &Path, depth: usize) -> Result<Vec<String>, ReleaseError> {
    let mut found = Vec::new();
    let mut open = vec![(root.to_owned(), String::new(), depth)];
    while let Some((folder, prefix, depth)) = open.pop() {
        let fail = |source| ReleaseError::File { action: "list", path: folder.clone(), source };
        for entry in std::fs::read_dir(&folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let relative = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            if entry.file_type().map_err(fail)?.is_dir() {
                if depth > 1 {
                    open.push((entry.path(), relative, depth - 1));
                }
            } else {
                found.push(relative);
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

//! How does a recipient's archive get into the project's bucket, and out of it when it may no longer be had?
//!
//! A note in the package's folder names each archive that is there. It is written before the first byte goes up and
//! finished after the last, so that what a kill leaves behind is found and removed; it goes after the archive.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use affectory_catalog::{GrantRow, Project};
use affectory_core::GrantId;
use bytes::Bytes;
use futures::stream::{self, Stream};
use sha2::{Digest as _, Sha256};

use super::{Layout, package_folder};
use crate::PortalError;

/// The line that ends the note of an archive that is there whole.
const WHOLE: &str = "whole";

/// Bytes of an archive that are read at a time.
const PIECE: u64 = 1 << 20;

/// What is known of an archive in a bucket.
pub(super) struct Note {
    path: PathBuf,
    /// The package's.
    pub(super) folder: PathBuf,
    pub(super) grant: GrantId,
    /// Where it lies, with its bucket: the project's objects may have moved since.
    place: String,
    name: String,
}

fn note_path(folder: &Path, grant: GrantId) -> PathBuf {
    folder.join(format!("shared-{grant}.txt"))
}

/// The name of a grant's archive in the bucket, which nobody guesses who does not know the grant's seed.
fn name_of(grant: &GrantRow, revision: u64) -> String {
    let digest = Sha256::digest(format!("archive of revision {revision} for {}", grant.seed));
    format!("deliveries/{}.tar", hex::encode(digest))
}

/// What a grant's archive is called in the project's bucket, if it is there whole.
pub fn shared_name(project: &Project, grant: &GrantRow, revision: u64) -> Option<String> {
    let folder = package_folder(project, &grant.release, revision);
    let text = fs::read_to_string(note_path(&folder, grant.id)).ok()?;
    let name = name_of(grant, revision);
    let is_there = text == format!("{}\n{name}\n{WHOLE}\n", project.store.shared_place(&name));
    (project.store.can_share() && is_there).then_some(name)
}

/// Stores a grant's archive in the project's bucket, as the pack is read: some parts of it are in memory.
///
/// # Errors
/// What the bucket or the disk refuse.
pub(super) async fn share(project: &Project, grant: &GrantRow, revision: u64) -> Result<(), PortalError> {
    let folder = package_folder(project, &grant.release, revision);
    let (name, note) = (name_of(grant, revision), note_path(&folder, grant.id));
    let begun = format!("{}\n{name}\n", project.store.shared_place(&name));
    write(&note, &begun)?;
    let (for_thread, seed) = (folder.clone(), grant.seed.clone());
    let opened = tokio::task::spawn_blocking(move || Layout::open(&for_thread, &seed));
    let layout = Arc::new(opened.await.map_err(|error| PortalError::Thread(error.to_string()))??);
    let pack = Arc::new(layout.open_pack()?);
    let file_name = format!("{}-r{revision}.tar", grant.release);
    project.store.share(&name, (layout.size(), &file_name), pieces(&layout, &pack)).await?;
    write(&note, &format!("{begun}{WHOLE}\n"))
}

fn pieces(layout: &Arc<Layout>, pack: &Arc<File>) -> impl Stream<Item = Result<Bytes, PortalError>> + use<> {
    let (layout, pack) = (Arc::clone(layout), Arc::clone(pack));
    stream::unfold(0, move |at| {
        let (layout, pack) = (Arc::clone(&layout), Arc::clone(&pack));
        async move {
            let n = PIECE.min(layout.size() - at);
            if n == 0 {
                return None;
            }
            let read = tokio::task::spawn_blocking(move || {
                let mut buffer = vec![0; n as usize];
                layout.read_at(&pack, at, &mut buffer)?;
                Ok(Bytes::from(buffer))
            });
            let piece = read.await.unwrap_or_else(|error| Err(PortalError::Thread(error.to_string())));
            Some((piece, at + n))
        }
    })
}

/// Removes an archive that may no longer be had, and then its note.
///
/// # Errors
/// What the bucket or the disk refuse; the next round tries again.
pub(super) async fn take_back(project: &Project, note: &Note) -> Result<(), PortalError> {
    if project.store.can_share() && project.store.shared_place(&note.name) == note.place {
        project.store.unshare(&note.name).await?;
    } else {
        tracing::warn!(place = note.place, "an archive lies in a store that this project has left: remove it there");
    }
    fs::remove_file(&note.path).map_err(PortalError::file("remove", &note.path))
}

/// All notes of the project: a few folders and small files.
pub(super) fn notes(project: &Project) -> Vec<Note> {
    let list = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let folders = list(&project.root.join("packages")).flat_map(|release| list(&release));
    let mut notes = Vec::new();
    for folder in folders {
        for path in list(&folder) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let grant = name.strip_prefix("shared-").and_then(|rest| rest.strip_suffix(".txt")?.parse().ok());
            // Beside the notes lies the pack.
            let Some(grant) = grant else { continue };
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let mut lines = text.lines().map(str::to_owned);
            let (place, name) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
            notes.push(Note { path, folder: folder.clone(), grant: GrantId(grant), place, name });
        }
    }
    notes
}

/// Writes a note in one step.
fn write(path: &Path, text: &str) -> Result<(), PortalError> {
    let partial = path.with_extension("partial");
    fs::write(&partial, text).map_err(PortalError::file("write", &partial))?;
    File::open(&partial).and_then(|file| file.sync_all()).map_err(PortalError::file("flush", &partial))?;
    fs::rename(&partial, path).map_err(PortalError::file("write", path))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use affectory_catalog::ProjectConfig;
    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    /// A server asks every few seconds, and a pack is as large as the database.
    #[tokio::test]
    async fn whoever_looks_for_notes_does_not_read_the_pack() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::init(&folder.path().join("p"), ProjectConfig::default()).await.unwrap();
        let package = package_folder(&project, "v1", 1);
        fs::create_dir_all(&package).unwrap();
        write(&note_path(&package, GrantId(7)), "s3://b\ndeliveries/x.tar\nwhole\n").unwrap();
        // Reading this has no end.
        mkfifoat(CWD, package.join("pack"), Mode::RUSR | Mode::WUSR).unwrap();
        let (found, wait) = mpsc::channel();
        std::thread::spawn(move || found.send(notes(&project)));
        let notes = wait.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(notes.len(), 1);
        assert_eq!((notes[0].grant, notes[0].name.as_str()), (GrantId(7), "deliveries/x.tar"));
    }
}

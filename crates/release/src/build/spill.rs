//! How do more faces than fit into memory come into the manifest's order?
//!
//! They are sorted by a hash, which spreads evenly: so each goes to the file of its share of all hashes, and one file after
//! the other is read, sorted and passed on.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use affectory_core::FaceId;
use tempfile::TempDir;

use super::gather::Draft;
use crate::item::COLUMNS;
use crate::{ReleaseError, ReleaseItem};

/// Faces of a file: of 350 bytes, so read and sorted some 60 MB.
const FACES_PER_FILE: u64 = 50_000;

/// Files, at most; they are all open at once.
const MOST_FILES: u64 = 256;

const BUFFER: usize = 64 << 10;

/// A folder of that name is locked by the process that sorts there.
const PREFIX: &str = ".sorting-";

/// Takes faces in any order.
pub(super) struct Spill {
    folder: Folder,
    files: Vec<(PathBuf, csv::Writer<File>)>,
    n_faces: usize,
}

impl Spill {
    /// A folder of its own beside the releases, gone when this is.
    pub(super) fn create(releases: &Path, n_expected: u64) -> Result<Spill, ReleaseError> {
        std::fs::create_dir_all(releases).map_err(ReleaseError::file("create", releases))?;
        sweep(releases).map_err(ReleaseError::file("look through", releases))?;
        let folder = Folder::create(releases).map_err(ReleaseError::file("write to", releases))?;
        let n_files = (n_expected / FACES_PER_FILE + 1).min(MOST_FILES);
        let open = |number| {
            let path = folder.place.path().join(format!("{number}.csv"));
            let file = File::create(&path).map_err(ReleaseError::file("create", &path))?;
            Ok((path, csv::WriterBuilder::new().flexible(true).buffer_capacity(BUFFER).from_writer(file)))
        };
        let files = (0..n_files).map(open).collect::<Result<_, ReleaseError>>()?;
        Ok(Spill { folder, files, n_faces: 0 })
    }

    pub(super) fn add(&mut self, draft: &Draft) -> Result<(), ReleaseError> {
        let share = u64::from_str_radix(&draft.item.image_sha256.as_str()[..8], 16).unwrap_or_default();
        let at = ((share * self.files.len() as u64) >> 32) as usize;
        let (path, file) = &mut self.files[at];
        let (item, face_id) = (draft.item.to_fields(), draft.face_id.0.to_string());
        let fields = item.iter().chain([&face_id, &draft.origin]).chain(&draft.pages);
        self.n_faces += 1;
        file.write_record(fields).map_err(|error| failed("write", path, error))
    }

    pub(super) fn finish(self) -> Result<Sorted, ReleaseError> {
        let close = |(path, mut file): (PathBuf, csv::Writer<File>)| {
            file.flush().map_err(ReleaseError::file("write", &path))?;
            Ok(path)
        };
        let files = self.files.into_iter().map(close).collect::<Result<_, ReleaseError>>()?;
        Ok(Sorted { _folder: self.folder, files, n_faces: self.n_faces })
    }
}

/// Gives them back in the manifest's order, as often as asked.
pub(super) struct Sorted {
    _folder: Folder,
    files: Vec<PathBuf>,
    n_faces: usize,
}

impl Sorted {
    pub(super) fn len(&self) -> usize {
        self.n_faces
    }

    /// Calls for each face, by its key. The next file is read and sorted beside the work on this one.
    pub(super) fn each(
        &self,
        mut face: impl FnMut(Draft, &str) -> Result<(), ReleaseError>,
    ) -> Result<(), ReleaseError> {
        std::thread::scope(|scope| {
            let (ready, files) = sync_channel(0);
            scope.spawn(move || {
                for path in &self.files {
                    let drafts = read_sorted(path);
                    let is_last = drafts.is_err();
                    // Refused: whoever works on them has failed.
                    if ready.send(drafts).is_err() || is_last {
                        break;
                    }
                }
            });
            for drafts in files {
                drafts?.into_iter().try_for_each(|(key, draft)| face(draft, &key))?;
            }
            Ok(())
        })
    }
}

/// The faces of one file with their keys, in the order of these.
fn read_sorted(path: &Path) -> Result<Vec<(String, Draft)>, ReleaseError> {
    let mut file = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(BUFFER)
        .from_path(path)
        .map_err(|error| failed("read", path, error))?;
    let mut drafts = Vec::new();
    for line in file.records() {
        let line = line.map_err(|error| failed("read", path, error))?;
        let draft = parse(&line).map_err(|reason| failed("read", path, reason))?;
        drafts.push((draft.key(), draft));
    }
    drafts.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(drafts)
}

struct Folder {
    place: TempDir,
    _lock: File,
}

impl Folder {
    fn create(releases: &Path) -> std::io::Result<Folder> {
        let place = tempfile::Builder::new().prefix(PREFIX).tempdir_in(releases)?;
        let lock = File::open(place.path())?;
        lock.try_lock()?;
        Ok(Folder { place, _lock: lock })
    }
}

/// Takes away what builds that were killed have left: gigabytes, of a large one.
fn sweep(releases: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(releases)? {
        let entry = entry?;
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if is_ours && File::open(entry.path()).is_ok_and(|lock| lock.try_lock().is_ok()) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn parse(line: &csv::StringRecord) -> Result<Draft, String> {
    let item = ReleaseItem::from_fields(line)?;
    let mut further = line.iter().skip(COLUMNS.len());
    let face_id =
        further.next().and_then(|text| text.parse().ok()).map(FaceId).ok_or("a line without its face's id")?;
    let origin = further.next().ok_or("a line without its origin")?.to_owned();
    Ok(Draft { origin, face_id, pages: further.map(str::to_owned).collect(), item })
}

fn failed(
    action: &'static str,
    path: &Path,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> ReleaseError {
    ReleaseError::file(action, path)(std::io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::tests::item;

    #[test]
    fn faces_come_back_as_they_were_in_the_order_of_their_keys_however_many_files_there_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let drafts: Vec<Draft> = (0..2_000u64)
            .map(|n| Draft {
                origin: format!("detector \"{n}\""),
                face_id: FaceId(n as i64),
                pages: (0..n % 3).map(|page| format!("https://a.org/{page},\n{n}")).collect(),
                // Some images have several faces.
                item: ReleaseItem { item: String::new(), ..item((n / 2).wrapping_mul(0x9e37_79b9_7f4a_7c15)) },
            })
            .collect();
        let mut expected: Vec<&Draft> = drafts.iter().collect();
        expected.sort_by_key(|draft| draft.key());
        for n_expected in [0, 70 * FACES_PER_FILE, u64::MAX] {
            let mut spill = Spill::create(folder.path(), n_expected).expect("files");
            drafts.iter().for_each(|draft| spill.add(draft).expect("a line"));
            let sorted = spill.finish().expect("files");
            let mut found = Vec::new();
            let mut take = |draft: Draft, key: &str| {
                assert_eq!(draft.key(), key);
                found.push(draft);
                Ok(())
            };
            sorted.each(&mut take).expect("files");
            assert!(found.iter().eq(expected.iter().copied()) && sorted.len() == found.len());
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left");
    }

    #[test]
    fn what_a_killed_build_left_is_taken_away_and_what_a_running_one_has_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let running = Spill::create(folder.path(), 0).expect("files");
        let left = folder.path().join(format!("{PREFIX}left"));
        std::fs::create_dir(&left).expect("a folder");
        drop(Spill::create(folder.path(), 0).expect("files"));
        assert!(running.folder.place.path().exists() && !left.exists());
    }
}

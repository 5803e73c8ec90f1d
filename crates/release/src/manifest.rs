//! Where does a release's manifest lie, and how is it read one item at a time? One of ten million faces has gigabytes.

use std::fs::File;
use std::io::{Cursor, ErrorKind, Read, Seek};
use std::path::PathBuf;

use affectory_catalog::{Project, ReleaseRow};
use affectory_core::Sha256Hex;

use crate::build::MANIFEST;
use crate::hashing::Hashing;
use crate::item::read_items;
use crate::{ReleaseError, ReleaseItem};

/// Where the manifest of a packed release lies in a store that other machines reach.
pub(crate) fn shared_manifest(release: &str) -> String {
    format!("packs/{release}/{MANIFEST}")
}

/// A manifest that is open for reading, as often as one likes. It is believed once its hash is the one recorded.
pub(crate) struct Manifest {
    from: Box<dyn Source>,
    path: PathBuf,
}

trait Source: Read + Seek + Send {}

impl<T: Read + Seek + Send> Source for T {}

impl Manifest {
    /// In the project's folder; on a machine that does not have it, in the store.
    pub(crate) async fn open(project: &Project, row: &ReleaseRow) -> Result<Manifest, ReleaseError> {
        let path = project.releases_dir().join(&row.release.name).join(MANIFEST);
        let from: Box<dyn Source> = match File::open(&path) {
            Ok(file) => Box::new(file),
            Err(error) if error.kind() == ErrorKind::NotFound && project.store.is_shared() => {
                let shared = project.store.read_named(&shared_manifest(&row.release.name)).await?;
                Box::new(Cursor::new(shared.ok_or(error).map_err(ReleaseError::file("read", &path))?))
            }
            Err(error) => return Err(ReleaseError::file("read", &path)(error)),
        };
        Ok(Manifest { from, path })
    }

    /// The hash of all of it.
    pub(crate) fn sha256(&mut self) -> Result<Sha256Hex, ReleaseError> {
        let mut hashing = Hashing::new(std::io::sink());
        let hashed = self.from.rewind().and_then(|()| std::io::copy(&mut self.from, &mut hashing));
        hashed.map_err(ReleaseError::file("read", &self.path))?;
        Ok(hashing.sha256())
    }

    /// All of it, as it is.
    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, ReleaseError> {
        let mut bytes = Vec::new();
        let read = self.from.rewind().and_then(|()| self.from.read_to_end(&mut bytes));
        read.map_err(ReleaseError::file("read", &self.path))?;
        Ok(bytes)
    }

    /// Its items from the first on, each or why a line is none; or why the whole is no manifest.
    pub(crate) fn items(&mut self) -> Result<impl Iterator<Item = Result<ReleaseItem, String>> + Send, String> {
        self.from.rewind().map_err(|error| error.to_string())?;
        read_items(&mut self.from)
    }
}

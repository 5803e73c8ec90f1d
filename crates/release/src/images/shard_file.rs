//! How does a shard come to lie on disk whole or not at all?

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use affectory_core::Sha256Hex;

use crate::ReleaseError;
use crate::build::sync_folder;
use crate::hashing::Hashing;

/// A file under a passing name, hashed and counted as it is written. Dropped early, it is removed.
pub(super) struct ShardFile {
    writer: Hashing<BufWriter<File>>,
    partial: PathBuf,
    place: PathBuf,
}

impl ShardFile {
    pub(super) fn create(partial: PathBuf, place: PathBuf) -> Result<Self, ReleaseError> {
        let file = File::create(&partial).map_err(ReleaseError::file("create", &partial))?;
        let writer = Hashing::new(BufWriter::with_capacity(1 << 20, file));
        Ok(Self { writer, partial, place })
    }

    /// Flushes it and gives it its name; says its length and hash.
    pub(super) fn put_in_place(mut self) -> Result<(u64, Sha256Hex), ReleaseError> {
        let place = self.place.clone();
        let done = self.writer.flush().and_then(|()| self.writer.to.get_ref().sync_all());
        done.and_then(|()| fs::rename(&self.partial, &place)).map_err(ReleaseError::file("write", &place))?;
        sync_folder(place.parent().unwrap_or(&place))?;
        Ok((self.writer.n_bytes, self.writer.sha256()))
    }

    /// What a failed write into it becomes.
    pub(super) fn failed(&self) -> impl FnOnce(io::Error) -> ReleaseError + use<> {
        ReleaseError::file("write", &self.partial)
    }
}

impl Write for ShardFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Drop for ShardFile {
    fn drop(&mut self) {
        // Gone already if it has its place; if not, the next run removes it.
        let _ = fs::remove_file(&self.partial);
    }
}

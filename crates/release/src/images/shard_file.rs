//! How does a shard come to lie on disk whole or not at all?

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use affectory_core::Sha256Hex;
use sha2::{Digest as _, Sha256};

use crate::ReleaseError;
use crate::build::sync_folder;

/// A file under a passing name, hashed and counted as it is written. Dropped early, it is removed.
pub(super) struct ShardFile {
    writer: BufWriter<File>,
    hash: Sha256,
    n_bytes: u64,
    partial: PathBuf,
    place: PathBuf,
}

impl ShardFile {
    pub(super) fn create(partial: PathBuf, place: PathBuf) -> Result<Self, ReleaseError> {
        let file = File::create(&partial).map_err(ReleaseError::file("create", &partial))?;
        let writer = BufWriter::with_capacity(1 << 20, file);
        Ok(Self { writer, hash: Sha256::new(), n_bytes: 0, partial, place })
    }

    /// Flushes it and gives it its name; says its length and hash.
    pub(super) fn put_in_place(mut self) -> Result<(u64, Sha256Hex), ReleaseError> {
        let place = self.place.clone();
        let done = self.writer.flush().and_then(|()| self.writer.get_ref().sync_all());
        done.and_then(|()| fs::rename(&self.partial, &place)).map_err(ReleaseError::file("write", &place))?;
        sync_folder(place.parent().unwrap_or(&place))?;
        Ok((self.n_bytes, Sha256Hex::from_digest(&std::mem::take(&mut self.hash).finalize().into())))
    }

    /// What a failed write into it becomes.
    pub(super) fn failed(&self) -> impl FnOnce(io::Error) -> ReleaseError + use<> {
        ReleaseError::file("write", &self.partial)
    }
}

impl Write for ShardFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)?;
        self.hash.update(bytes);
        self.n_bytes += bytes.len() as u64;
        Ok(())
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

//! How is a shard written as a WebDataset tar?

use std::io::{self, Write};

use super::entry::Entry;
use super::pipeline::ShardWriter;
use super::shard_file::ShardFile;
use crate::ReleaseError;
use crate::export::extension;

/// `KEY.jpg` and `KEY.json` for each image, nothing of the machine or the day in their headers.
pub(super) struct WebDatasetShard {
    tar: tar::Builder<ShardFile>,
}

impl WebDatasetShard {
    pub(super) fn new(file: ShardFile) -> Self {
        Self { tar: tar::Builder::new(file) }
    }

    fn add_member(&mut self, name: &str, bytes: &[u8]) -> Result<(), ReleaseError> {
        add_member(&mut self.tar, name, bytes).map_err(|error| self.tar.get_ref().failed()(error))
    }
}

/// Adds a file to a tar, with nothing of the machine or the day in its header.
pub(crate) fn add_member(tar: &mut tar::Builder<impl Write>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    tar.append_data(&mut header, name, bytes)
}

impl ShardWriter for WebDatasetShard {
    fn add(&mut self, entry: &Entry, image: &[u8]) -> Result<(), ReleaseError> {
        let said = serde_json::to_vec(entry).map_err(|error| self.tar.get_ref().failed()(error.into()))?;
        self.add_member(&format!("{}.{}", entry.key, extension(entry.format)), image)?;
        self.add_member(&format!("{}.json", entry.key), &said)
    }

    fn finish(self: Box<Self>) -> Result<ShardFile, ReleaseError> {
        let failed = self.tar.get_ref().failed();
        self.tar.into_inner().map_err(failed)
    }
}

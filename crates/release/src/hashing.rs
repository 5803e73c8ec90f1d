//! What is the SHA-256 of a file that is being written, or read, without holding it?

use std::io::{Result, Write};

use affectory_core::Sha256Hex;
use sha2::{Digest as _, Sha256};

/// Passes on what is written, counts it, and knows its SHA-256 at the end.
pub(crate) struct Hashing<W> {
    pub(crate) to: W,
    digest: Sha256,
    pub(crate) n_bytes: u64,
}

impl<W> Hashing<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to, digest: Sha256::new(), n_bytes: 0 }
    }

    /// Of all that was written until now.
    pub(crate) fn sha256(&self) -> Sha256Hex {
        Sha256Hex::from_digest(&self.digest.clone().finalize().into())
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let n = self.to.write(bytes)?;
        self.digest.update(&bytes[..n]);
        self.n_bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> Result<()> {
        self.to.flush()
    }
}

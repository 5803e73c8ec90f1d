//! How do a release's images lie in one file, and where is a byte of a recipient's archive in it?

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use affectory_catalog::Project;
use affectory_core::Sha256Hex;
use affectory_release::ReleaseItem;
use futures::stream::{self, StreamExt as _};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha20Rng;
use sha2::{Digest as _, Sha256};

use crate::PortalError;

/// Objects read at a time: one after another, a bucket's million takes hours.
const READS_IN_FLIGHT: usize = 16;

const PACK: &str = "pack";
const INDEX: &str = "index.csv";

/// A chunk is closed once it has this many bytes; of small releases there are smaller ones, that there are some to be put
/// in order.
const CHUNK_BYTES: u64 = 1 << 20;
const SMALLEST_CHUNK: u64 = 16 << 10;
/// So many chunks are wanted, where there are images enough.
const CHUNKS_WANTED: u64 = 512;

/// A tar ends with two blocks of zeros.
const END: u64 = 1024;
const BLOCK: u64 = 512;

/// Writes the pack of a release's items beside its place and moves it there; says the size of an archive, bytes.
///
/// # Errors
/// What the store or the disk refuse; there is no folder then.
pub async fn build(project: &Project, items: &[ReleaseItem], folder: &Path) -> Result<u64, PortalError> {
    let parent = folder.parent().unwrap_or(folder);
    let partial = tempfile::Builder::new()
        .prefix(".partial-")
        .tempdir_in(parent)
        .map_err(PortalError::file("write in", parent))?;
    let path = partial.path().join(PACK);
    let fail = |error| PortalError::file("write", &path)(error);
    let mut pack = BufWriter::with_capacity(1 << 20, File::create(&path).map_err(fail)?);
    let mut index = csv::Writer::from_writer(Vec::new());
    let mut known = HashMap::new();
    let images: Vec<&ReleaseItem> =
        items.iter().filter(|item| known.insert(&item.image_sha256, ()).is_none()).collect();
    // A guess from the pixels is enough: it decides the size of chunks only.
    let guess: u64 = images.iter().map(|item| u64::from(item.width) * u64::from(item.height) / 4).sum();
    let chunk_bytes = (guess / CHUNKS_WANTED).clamp(SMALLEST_CHUNK, CHUNK_BYTES);
    let (mut chunk, mut chunk_size, mut size) = (0_u64, 0, 0);
    // All its own, so that a server's thread may carry it.
    let (store, hashes) =
        (project.store.clone(), images.iter().map(|item| item.image_sha256.clone()).collect::<Vec<_>>());
    let mut reads = stream::iter(hashes)
        .map(move |sha256| {
            let store = store.clone();
            async move { store.read(&sha256).await }
        })
        .buffered(READS_IN_FLIGHT);
    for item in images {
        let Some(bytes) = reads.next().await else { break };
        let bytes = bytes?;
        let name = file_name(item);
        let mut header = tar::Header::new_ustar();
        header.set_path(&name).map_err(fail)?;
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_cksum();
        let padding = (BLOCK - bytes.len() as u64 % BLOCK) % BLOCK;
        pack.write_all(header.as_bytes()).map_err(fail)?;
        pack.write_all(&bytes).map_err(fail)?;
        pack.write_all(&[0; BLOCK as usize][..padding as usize]).map_err(fail)?;
        let entry = BLOCK + bytes.len() as u64 + padding;
        let line = [chunk.to_string(), entry.to_string(), item.image_sha256.to_string()];
        index.write_record(&line).map_err(|error| fail(error.into()))?;
        (chunk_size, size) = (chunk_size + entry, size + entry);
        if chunk_size >= chunk_bytes {
            (chunk, chunk_size) = (chunk + 1, 0);
        }
    }
    let file = pack.into_inner().map_err(|error| fail(error.into_error()))?;
    file.sync_all().map_err(fail)?;
    let index = index.into_inner().map_err(|error| fail(error.into_error()))?;
    let path = partial.path().join(INDEX);
    fs::write(&path, index).map_err(PortalError::file("write", &path))?;
    File::open(&path).and_then(|file| file.sync_all()).map_err(PortalError::file("flush", &path))?;
    if folder.exists() {
        // Built before, and the process was killed before it was recorded.
        fs::remove_dir_all(folder).map_err(PortalError::file("remove", folder))?;
    }
    fs::rename(partial.path(), folder).map_err(PortalError::file("move the package to", folder))?;
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(PortalError::file("flush", parent))?;
    Ok(size + END)
}

/// A picture's name in an archive: the same for everybody, so that people can talk about it.
pub(super) fn file_name(item: &ReleaseItem) -> String {
    let sha256 = item.image_sha256.as_str();
    format!("images/{}/{sha256}.{}", &sha256[..2], item.format)
}

/// The random numbers of a recipient's seed, for one use.
pub(super) fn numbers(seed: &str, r#use: &str) -> ChaCha20Rng {
    ChaCha20Rng::from_seed(Sha256::digest(format!("{use} of {seed}")).into())
}

/// A run of bytes of an archive that lie together in the pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins in the archive.
    start: u64,
    /// Where in the pack.
    offset: u64,
    /// Bytes.
    len: u64,
}

/// One recipient's archive: the pack's chunks in their order.
#[derive(Debug, Clone)]
pub struct Layout {
    folder: PathBuf,
    pieces: Vec<Piece>,
    size: u64,
    /// Of each picture: its chunk's place in the archive, and its own place in the pack.
    places: HashMap<Sha256Hex, (usize, usize)>,
}

impl Layout {
    /// The layout of the archive for a seed of 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`PortalError::File`] where the package is not there or damaged.
    pub fn open(folder: &Path, seed: &str) -> Result<Layout, PortalError> {
        let path = folder.join(INDEX);
        let damaged = || PortalError::file("read", &path)(std::io::Error::other("it is damaged: remove its folder"));
        let bytes = fs::read(&path).map_err(PortalError::file("read", &path))?;
        let mut table = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes.as_slice());
        let mut chunks: Vec<Piece> = Vec::new();
        let mut images = Vec::new();
        let mut offset = 0;
        for line in table.records() {
            let line = line.map_err(|_| damaged())?;
            let number = |n: usize| line.get(n).and_then(|text| text.parse::<u64>().ok()).ok_or_else(damaged);
            let (chunk, len) = (number(0)? as usize, number(1)?);
            if chunk == chunks.len() {
                chunks.push(Piece { start: 0, offset, len: 0 });
            }
            let last = chunks.last_mut().filter(|_| chunk < images.len() + 1).ok_or_else(damaged)?;
            last.len += len;
            offset += len;
            let sha256: Sha256Hex = line.get(2).and_then(|text| text.parse().ok()).ok_or_else(damaged)?;
            images.push((sha256, chunk));
        }
        let mut order: Vec<usize> = (0..chunks.len()).collect();
        order.shuffle(&mut numbers(seed, "order"));
        let mut place_of = vec![0; chunks.len()];
        let mut pieces = Vec::with_capacity(chunks.len());
        let mut start = 0;
        for (place, chunk) in order.into_iter().enumerate() {
            place_of[chunk] = place;
            pieces.push(Piece { start, ..chunks[chunk] });
            start += chunks[chunk].len;
        }
        let places =
            images.into_iter().enumerate().map(|(at, (sha256, chunk))| (sha256, (place_of[chunk], at))).collect();
        Ok(Layout { folder: folder.to_owned(), pieces, size: start + END, places })
    }

    /// Size of the archive, bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where a picture comes among all of the archive; `None` if it is not in it.
    pub fn place(&self, sha256: &Sha256Hex) -> Option<(usize, usize)> {
        self.places.get(sha256).copied()
    }

    /// The piece with the archive's byte `at`; none past the last picture.
    fn piece_at(&self, at: u64) -> Option<Piece> {
        let next = self.pieces.partition_point(|piece| piece.start <= at);
        next.checked_sub(1).map(|n| self.pieces[n]).filter(|piece| at < piece.start + piece.len)
    }

    /// Opens the pack that all archives are made of.
    ///
    /// # Errors
    /// [`PortalError::File`].
    pub fn open_pack(&self) -> Result<File, PortalError> {
        let path = self.folder.join(PACK);
        File::open(&path).map_err(PortalError::file("read", &path))
    }

    /// Where in the pack the archive's bytes from `at` lie, and how many of them together, at most `n`, if they are in the system's
    /// memory: a probe of the first and the last. `None` where the disk would have to be waited for, which is then for
    /// [`Layout::read_at`], in a thread that may wait.
    #[cfg(target_os = "linux")]
    pub fn in_memory(&self, pack: &File, at: u64, n: usize) -> Option<(u64, usize)> {
        let piece = self.piece_at(at)?;
        let within = at - piece.start;
        let n = usize::try_from(piece.len - within).unwrap_or(usize::MAX).min(n);
        let offset = piece.offset + within;
        let is_there = |at| {
            let (mut byte, nowait) = ([0], rustix::io::ReadWriteFlags::NOWAIT);
            rustix::io::preadv2(pack, &mut [std::io::IoSliceMut::new(&mut byte)], at, nowait) == Ok(1)
        };
        (is_there(offset) && is_there(offset + n.checked_sub(1)? as u64)).then_some((offset, n))
    }

    /// Elsewhere the disk is always waited for.
    #[cfg(not(target_os = "linux"))]
    pub fn in_memory(&self, _pack: &File, _at: u64, _n: usize) -> Option<(u64, usize)> {
        None
    }

    /// Fills `buffer` with the archive's bytes from `at`; all of it must lie within [`Layout::size`].
    ///
    /// # Errors
    /// [`PortalError::File`] where the pack is shorter than its index says.
    pub fn read_at(&self, pack: &File, mut at: u64, mut buffer: &mut [u8]) -> Result<(), PortalError> {
        while !buffer.is_empty() {
            let Some(piece) = self.piece_at(at) else {
                // Past the last picture a tar has zeros.
                buffer.fill(0);
                return Ok(());
            };
            let within = at - piece.start;
            let n = usize::try_from(piece.len - within).unwrap_or(usize::MAX).min(buffer.len());
            let (now, later) = buffer.split_at_mut(n);
            let path = || self.folder.join(PACK);
            pack.read_exact_at(now, piece.offset + within)
                .map_err(|error| PortalError::file("read", &path())(error))?;
            (at, buffer) = (at + n as u64, later);
        }
        Ok(())
    }
}

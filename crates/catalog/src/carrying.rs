//! How do a project's objects get into another store, without one lost, however often the move is interrupted?
//!
//! Objects are copied by the first two digits of their names, each verified by its hash when it is read; what is there
//! already is left. Only when all that the old store has is in the new one, `affectory.toml` names the new one. The old
//! store is not touched.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use affectory_core::{Progress, Sha256Hex, Stop};
use futures::TryStreamExt as _;
use tokio::sync::Semaphore;

use crate::backup::refused;
use crate::catalog::NamedBy;
use crate::project::{CONFIG_FILE, objects_dir, open_store, write_moved};
use crate::store::S3Place;
use crate::{Catalog, CatalogError, ImageStore, Project, ProjectConfig, Secrets};

/// Objects under way at a time, and their bytes in KiB: 128 MiB.
const IN_FLIGHT: usize = 32;
const KIB_IN_FLIGHT: u32 = 128 << 10;

/// Names asked of the catalogue at a time.
const PAGE: u32 = 10_000;

/// What came of a move.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    /// Objects that were copied.
    pub n_copied: u64,
    /// Their bytes.
    pub n_bytes: u64,
    /// Objects that were there already.
    pub n_known: u64,
    /// Objects whose bytes have another hash in the old store: they were not copied, and nothing can read them there either.
    pub damaged: Vec<Sha256Hex>,
    /// How many times the catalogue names an object that could not be copied.
    pub n_missing: u64,
    /// Whether it was stopped before the end: then the project is where it was, and the same move goes on.
    pub stopped: bool,
}

/// Copies all objects of a project to `to` (`local`, a path, or `s3://BUCKET/PREFIX`), and then writes `to` into its
/// `affectory.toml`. For when nothing else works on the project: a server that runs on goes on writing to the old store.
/// In memory are 16 bytes an object, and 128 MiB of their bytes.
///
/// # Errors
/// [`CatalogError::BadConfig`] for a place that is none, or the same; what either store or the catalogue refuses. What was
/// copied before stays, and the project is where it was.
pub async fn move_objects(
    project: &Project,
    to: &str,
    secrets: &Secrets,
    stop: &Stop,
    progress: &dyn Progress,
) -> Result<Carried, CatalogError> {
    let config = ProjectConfig { objects: to.to_owned(), ..project.config.clone() };
    let target = open_target(&project.root, &project.config.objects, to, secrets).await?;
    let mut carried = Carried::default();
    let mut there = HashSet::new();
    progress.begin("move objects", Some(256));
    // The second round finds what was stored during the first.
    for round in 0..2 {
        for first in 0..=255_u8 {
            if stop.is_requested() {
                carried.stopped = true;
                progress.end();
                return Ok(carried);
            }
            let digits = format!("{first:02x}");
            copy_some((&project.store, &target), &digits, &mut there, &mut carried).await?;
            progress.advance(u64::from(round == 0));
            progress.note(&format!("{} copied, {} were there", carried.n_copied, carried.n_known));
        }
    }
    carried.n_missing = count_missing(&project.catalog, &there).await?;
    target.flush().await?;
    write_moved(&project.root, &config)?;
    progress.end();
    Ok(carried)
}

/// The store that is moved to: a folder is made, a bucket is tried.
async fn open_target(root: &Path, from: &str, to: &str, secrets: &Secrets) -> Result<ImageStore, CatalogError> {
    let bad = |reason: String| CatalogError::BadConfig { path: root.join(CONFIG_FILE), reason };
    let same = || bad(format!("the project's objects lie in {from} already"));
    if S3Place::is_meant(to) {
        let place = S3Place::parse(to).map_err(bad)?;
        if S3Place::parse(from).is_ok_and(|old| old == place) {
            return Err(same());
        }
        let target = open_store(root, to, &secrets.s3)?;
        target.check(&root.display().to_string()).await?;
        return Ok(target);
    }
    let folder = objects_dir(root, to);
    std::fs::create_dir_all(&folder).map_err(refused("create folder", &folder))?;
    let is_same = !S3Place::is_meant(from)
        && objects_dir(root, from).canonicalize().ok()
            == Some(folder.canonicalize().map_err(refused("open", &folder))?);
    if is_same { Err(same()) } else { open_store(root, to, &secrets.s3) }
}

/// Copies the objects whose names begin with two digits; `there` knows what is in the new store.
async fn copy_some(
    (from, to): (&ImageStore, &ImageStore),
    digits: &str,
    there: &mut HashSet<[u8; 16]>,
    carried: &mut Carried,
) -> Result<(), CatalogError> {
    let known: HashMap<Sha256Hex, u64> = to.list(digits).try_collect().await?;
    let room = Arc::new(Semaphore::new(KIB_IN_FLIGHT as usize));
    let (n_bytes, n_known) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = from
        .list(digits)
        .map_ok(|(sha256, size)| {
            let (room, known, n_bytes, n_known) = (Arc::clone(&room), &known, &n_bytes, &n_known);
            async move {
                if known.get(&sha256) == Some(&size) {
                    n_known.fetch_add(1, Ordering::Relaxed);
                    return Ok((sha256, Outcome::Known));
                }
                let kib = u32::try_from(size / 1024 + 1).unwrap_or(u32::MAX).min(KIB_IN_FLIGHT);
                // It is never closed.
                let _held = room.acquire_many(kib).await.ok();
                let bytes = match from.read(&sha256).await {
                    Err(CatalogError::DamagedObject(_)) => return Ok((sha256, Outcome::Damaged)),
                    // Dropped since the list was made.
                    Err(CatalogError::NoObject(_)) => return Ok((sha256, Outcome::Gone)),
                    read => read?,
                };
                n_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                to.put(bytes).await?;
                Ok((sha256, Outcome::Copied))
            }
        })
        .try_buffer_unordered(IN_FLIGHT);
    let outcomes: Vec<(Sha256Hex, Outcome)> = work.try_collect().await?;
    // What is left of a crash of this machine must not be met as "there" by the next move.
    to.flush().await?;
    for (sha256, outcome) in outcomes {
        let is_new = match outcome {
            Outcome::Known | Outcome::Copied => there.insert(short(&sha256)),
            Outcome::Damaged | Outcome::Gone => false,
        };
        match outcome {
            Outcome::Copied => carried.n_copied += 1,
            Outcome::Known => carried.n_known += u64::from(is_new),
            Outcome::Damaged if !carried.damaged.contains(&sha256) => carried.damaged.push(sha256),
            Outcome::Damaged | Outcome::Gone => {}
        }
    }
    carried.n_bytes += n_bytes.into_inner();
    Ok(())
}

/// Counts the objects that the catalogue names and the new store does not have.
async fn count_missing(catalog: &Catalog, there: &HashSet<[u8; 16]>) -> Result<u64, CatalogError> {
    let is_missing = |sha256: &&Sha256Hex| !there.contains(&short(sha256));
    let mut n_missing = catalog.list_agreement_objects().await?.iter().filter(is_missing).count() as u64;
    for by in NamedBy::ALL {
        let mut after = 0;
        loop {
            let named = catalog.list_named_objects(by, after, PAGE).await?;
            let Some((last, _)) = named.last() else { break };
            after = *last;
            n_missing += named.iter().map(|(_, sha256)| sha256).filter(is_missing).count() as u64;
        }
    }
    Ok(n_missing)
}

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Copied,
    Known,
    Damaged,
    Gone,
}

/// Half of a hash, which is enough to tell objects apart.
fn short(sha256: &Sha256Hex) -> [u8; 16] {
    let mut half = [0; 16];
    // Two digits a byte; a hash is hexadecimal by its type.
    let _ = hex::decode_to_slice(&sha256.as_str()[..32], &mut half);
    half
}

//! How do a release's images lie together in few large files, so that a trainer reads them one after the other?
//!
//! An image at a time, a bucket is asked a million times for a million images. A pack is a WebDataset tar with some hundreds
//! of them, and lies in the store beside the images: `packs/RELEASE/SPLIT-NNNNN.tar`, listed in `packs/RELEASE/index.json`.
//! Which pack an image is in follows from its hash alone: each has an equal share of the range of all hashes. So a pack is a
//! random part of its split, nobody has to search an index, a withdrawal changes one pack, and repeating the command
//! writes what is missing or has changed, and nothing else.

mod index;
mod reader;
mod writer;

use std::collections::BTreeMap;

use affectory_catalog::Project;
use affectory_core::{Progress, Sha256Hex, Split, Stop};

use crate::{Release, ReleaseError, ReleaseItem, load_release};
use index::{Index, PackRow};

pub use reader::PackReader;

/// Images of a pack, about, unless said otherwise.
pub const USUAL_IMAGES: u32 = 1_000;

/// What packing came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct PackSummary {
    /// Packs of the release now.
    pub n_packs: u64,
    /// Of these, written by this call.
    pub n_written: u64,
    /// Images in all of them.
    pub n_images: u64,
    /// Their size in all, bytes.
    pub n_bytes: u64,
    /// Whether a stop was asked for before all were there; the same call goes on.
    pub is_stopped: bool,
}

/// Packs a release, or what of it is not packed yet.
///
/// # Errors
/// [`ReleaseError::PackedOtherwise`] if there are packs of another size, and whatever store and catalogue refuse.
pub async fn pack(
    project: &Project,
    name: &str,
    images_per_pack: Option<u32>,
    (stop, progress): (&Stop, &dyn Progress),
) -> Result<PackSummary, ReleaseError> {
    let release = load_release(project, name).await?;
    let known = Index::read(project, name).await?;
    let mut index = match known {
        Some(index) => {
            index.check(&release, images_per_pack)?;
            index
        }
        None => Index::new(&release, images_per_pack.unwrap_or(USUAL_IMAGES)),
    };
    let packs = sorted_into(&index, &release);
    let mut summary = PackSummary { n_packs: packs.len() as u64, ..PackSummary::default() };
    progress.begin(&format!("pack {name}"), Some(release.items.len() as u64));
    for ((split, number), images) in &packs {
        let n_items: usize = images.values().map(Vec::len).sum();
        let fingerprint = index::fingerprint(images);
        if index.row(*split, *number).is_none_or(|row| row.fingerprint != fingerprint) {
            let Some((bytes, sha256)) = writer::write(project, images, stop).await? else {
                summary.is_stopped = true;
                break;
            };
            let row = PackRow {
                split: *split,
                number: *number,
                n_images: images.len() as u64,
                n_bytes: bytes.len() as u64,
                sha256: sha256.to_string(),
                fingerprint,
            };
            project.store.put_pack(&index::name_of(name, *split, *number), bytes).await?;
            index.put(row);
            // After each: what a kill costs is one pack.
            index.write(project, name).await?;
            summary.n_written += 1;
        }
        progress.advance(n_items as u64);
    }
    progress.end();
    if !summary.is_stopped {
        summary.n_written += index.empty_others(project, name, &packs).await?;
    }
    (summary.n_images, summary.n_bytes) = index.sums();
    Ok(summary)
}

/// The images of one pack in the order of their hashes, each with its faces.
type Images<'a> = BTreeMap<&'a Sha256Hex, Vec<&'a ReleaseItem>>;

fn sorted_into<'a>(index: &Index, release: &'a Release) -> BTreeMap<(Split, u32), Images<'a>> {
    let mut packs: BTreeMap<(Split, u32), Images<'a>> = BTreeMap::new();
    for item in &release.items {
        let number = index.number_of(item.split, &item.image_sha256);
        packs.entry((item.split, number)).or_default().entry(&item.image_sha256).or_default().push(item);
    }
    packs
}

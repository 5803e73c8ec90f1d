//! How do a release's images lie together in few large files, so that a trainer reads them one after the other?
//!
//! An image at a time, a bucket is asked a million times for a million images. A pack is a WebDataset tar with some hundreds
//! of them, and lies in the store beside the images, `packs/RELEASE/SPLIT-NNNNN.FROM.tar`; the catalogue records it.
//! Which pack an image is in follows from its hash alone: each has an equal share of the range of all hashes. So a pack is a
//! random part of its split, nobody has to search an index, a withdrawal changes one pack, and repeating the command
//! writes what is missing or has changed, and nothing else. A file never changes: a pack with fewer images has another name.
//!
//! Packs are written one by one, by one process or by many: whoever writes one twice writes the same bytes.

mod plan;
mod reader;
mod writer;

use std::collections::{BTreeMap, HashSet};

use affectory_catalog::{PackRow, Project, WrittenPack};
use affectory_core::{Progress, Sha256Hex, Split, Stop};

use crate::manifest::{Manifest, shared_manifest};
use crate::{Release, ReleaseError, ReleaseItem, load_release};
use plan::Plan;

pub use reader::PackReader;

/// Images of a pack, about, unless said otherwise.
pub const USUAL_IMAGES: u32 = 1_000;

/// What packing came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
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
    /// Their names in the store.
    pub files: Vec<String>,
}

/// The images of one pack in the order of their hashes, each with its faces.
type Images<'a> = BTreeMap<&'a Sha256Hex, Vec<&'a ReleaseItem>>;

/// Writes the packs of one release.
#[derive(Debug)]
pub struct Packer {
    project: Project,
    release: Release,
    /// Places of items, by pack.
    items: BTreeMap<(Split, u32), Vec<usize>>,
}

impl Packer {
    /// Divides a release if nobody did before, and puts its manifest where workers on other machines find it.
    ///
    /// # Errors
    /// [`ReleaseError::PackedOtherwise`] if it was divided into packs of another size, and whatever store and catalogue
    /// refuse.
    pub async fn begin(project: &Project, name: &str, images_per_pack: Option<u32>) -> Result<Packer, ReleaseError> {
        let release = load_release(project, name).await?;
        let wanted = images_per_pack.unwrap_or(USUAL_IMAGES);
        let counts = plan::counts(&release, wanted);
        let packing = project.catalog.plan_packs(release.row.id, wanted, &counts).await?;
        if images_per_pack.is_some_and(|wanted| wanted != packing.images_per_pack) {
            return Err(ReleaseError::PackedOtherwise {
                name: name.to_owned(),
                found: packing.images_per_pack,
                wanted,
            });
        }
        if project.store.is_shared() && project.store.read_named(&shared_manifest(name)).await?.is_none() {
            let manifest = Manifest::open(project, &release.row).await?.bytes()?;
            project.store.put_named(&shared_manifest(name), manifest.into()).await?;
        }
        Ok(Packer::new(project, release, &Plan::new(&packing)))
    }

    /// A release that was divided before.
    ///
    /// # Errors
    /// [`ReleaseError::NotPacked`] if it was not, and whatever store and catalogue refuse.
    pub async fn join(project: &Project, name: &str) -> Result<Packer, ReleaseError> {
        let row = project.catalog.find_release(name).await?;
        let packing = project.catalog.find_packing(row.id).await?;
        let packing = packing.ok_or_else(|| ReleaseError::NotPacked(name.to_owned()))?;
        Ok(Packer::new(project, load_release(project, name).await?, &Plan::new(&packing)))
    }

    fn new(project: &Project, release: Release, plan: &Plan) -> Packer {
        Packer { project: project.clone(), items: plan.sort(&release), release }
    }

    /// The release.
    pub fn name(&self) -> &str {
        &self.release.row.release.name
    }

    /// Packs that are not written as the release was when this began, or whose file is gone; in their order.
    ///
    /// # Errors
    /// Whatever store and catalogue refuse.
    pub async fn list_pending(&self) -> Result<Vec<(Split, u32)>, ReleaseError> {
        let there: HashSet<String> =
            self.project.store.list_named(&plan::folder_of(self.name())).await?.into_iter().collect();
        let is_there = |row: &PackRow| {
            plan::current_file(row, &self.images((row.split, row.number))).is_some_and(|file| there.contains(&file))
        };
        let rows = self.rows().await?.into_iter();
        Ok(rows.filter(|row| !is_there(row)).map(|row| (row.split, row.number)).collect())
    }

    /// Removes files that the catalogue does not name: somebody was killed between writing and recording one. For when no
    /// pack is pending; one that is being written may go with them, and is pending then.
    ///
    /// # Errors
    /// Whatever store and catalogue refuse.
    pub async fn sweep(&self) -> Result<(), ReleaseError> {
        let folder = plan::folder_of(self.name());
        let found = self.project.store.list_named(&folder).await?;
        let rows = self.rows().await?;
        let named: HashSet<String> = rows.iter().filter_map(plan::recorded_file).collect();
        for name in found.iter().filter(|name| name.ends_with(".tar") && !named.contains(*name)) {
            self.project.store.delete_named(&format!("{folder}/{name}")).await?;
        }
        Ok(())
    }

    /// Writes one pack as the release is now, records it, and removes what it was before. Says false if there is no such
    /// pack, or a stop was asked for.
    ///
    /// # Errors
    /// [`ReleaseError::PackTooLarge`], and whatever store and catalogue refuse.
    pub async fn write(&self, (split, number): (Split, u32), stop: &Stop) -> Result<bool, ReleaseError> {
        let (catalog, store) = (&self.project.catalog, &self.project.store);
        if !self.items.contains_key(&(split, number)) {
            return Ok(false);
        }
        let mut images = self.images((split, number));
        let hashes: Vec<&Sha256Hex> = images.keys().copied().collect();
        // This may have been begun hours ago.
        for withdrawn in catalog.list_withdrawn_of(&hashes).await? {
            images.remove(&withdrawn);
        }
        let Some((bytes, sha256)) = writer::write(&self.project, &images, stop).await? else { return Ok(false) };
        let made_from = plan::made_from(&images);
        let n_bytes = bytes.len() as u64;
        let folder = plan::folder_of(self.name());
        let name_of = |made_from: &Sha256Hex| format!("{folder}/{}", plan::file_of(split, number, made_from));
        store.put_named(&name_of(&made_from), bytes).await?;
        store.flush().await?;
        let written = WrittenPack { n_images: images.len() as u64, n_bytes, sha256, made_from };
        let before = catalog.record_pack(self.release.row.id, (split, number), &written).await?;
        // What it was before a withdrawal.
        if let Some(before) = before.filter(|before| before.made_from != written.made_from) {
            store.delete_named(&name_of(&before.made_from)).await?;
        }
        Ok(true)
    }

    async fn rows(&self) -> Result<Vec<PackRow>, ReleaseError> {
        let packing = self.project.catalog.find_packing(self.release.row.id).await?;
        Ok(packing.map(|packing| packing.packs).unwrap_or_default())
    }

    /// What a pack holds.
    fn images(&self, place: (Split, u32)) -> Images<'_> {
        plan::images(&self.release, &self.items, place)
    }

    /// What there is now, of which `n_written` were written by the caller.
    ///
    /// # Errors
    /// Whatever the catalogue refuses.
    pub async fn summary(&self, n_written: u64, is_stopped: bool) -> Result<PackSummary, ReleaseError> {
        let rows = self.rows().await?;
        let mut summary = PackSummary { n_packs: rows.len() as u64, n_written, is_stopped, ..PackSummary::default() };
        let folder = plan::folder_of(self.name());
        for row in &rows {
            if let Some((written, file)) = row.written.as_ref().zip(plan::recorded_file(row)) {
                summary.n_images += written.n_images;
                summary.n_bytes += written.n_bytes;
                summary.files.push(format!("{folder}/{file}"));
            }
        }
        Ok(summary)
    }
}

/// Packs a release, or what of it is not packed yet.
///
/// # Errors
/// As [`Packer::begin`] and [`Packer::write`].
pub async fn pack(
    project: &Project,
    name: &str,
    images_per_pack: Option<u32>,
    (stop, progress): (&Stop, &dyn Progress),
) -> Result<PackSummary, ReleaseError> {
    let packer = Packer::begin(project, name, images_per_pack).await?;
    let pending = packer.list_pending().await?;
    let (mut n_written, mut is_stopped) = (0, false);
    progress.begin(&format!("pack {name}"), Some(pending.len() as u64));
    for place in pending {
        if !packer.write(place, stop).await? {
            is_stopped = true;
            break;
        }
        n_written += 1;
        progress.advance(1);
    }
    progress.end();
    if !is_stopped {
        packer.sweep().await?;
    }
    packer.summary(n_written, is_stopped).await
}

//! Which packs has a release, and which image is in which of them?

use std::collections::BTreeMap;

use affectory_catalog::Project;
use affectory_core::{Sha256Hex, Split};
use affectory_imaging::sha256;
use serde::{Deserialize, Serialize};

use super::Images;
use crate::{Release, ReleaseError};

/// Bytes of an index, at most: a hundred thousand packs.
const MOST_BYTES: usize = 64 << 20;

/// `packs/RELEASE/index.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Index {
    /// SHA-256 of the release's manifest.
    manifest_sha256: String,
    /// Images of a pack that were asked for.
    images_per_pack: u32,
    /// Packs of each split; fixed when the first one is written.
    n_packs: BTreeMap<Split, u32>,
    /// Those that are written.
    packs: Vec<PackRow>,
}

/// A pack that is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PackRow {
    pub(super) split: Split,
    pub(super) number: u32,
    pub(super) n_images: u64,
    pub(super) n_bytes: u64,
    /// Of the file.
    pub(super) sha256: String,
    /// Of the names of its faces: another one has other content.
    pub(super) fingerprint: String,
}

pub(super) fn name_of(release: &str, split: Split, number: u32) -> String {
    format!("packs/{release}/{split}-{number:05}.tar")
}

fn index_of(release: &str) -> String {
    format!("packs/{release}/index.json")
}

/// What a pack is made from.
pub(super) fn fingerprint(images: &Images<'_>) -> String {
    let names: Vec<&str> = images.values().flatten().map(|item| item.item.as_str()).collect();
    sha256(names.join("\n").as_bytes()).to_string()
}

impl Index {
    pub(super) fn new(release: &Release, images_per_pack: u32) -> Index {
        let mut n_images: BTreeMap<Split, u64> = BTreeMap::new();
        let mut seen = std::collections::HashSet::new();
        for item in release.items.iter().filter(|item| seen.insert(&item.image_sha256)) {
            *n_images.entry(item.split).or_default() += 1;
        }
        let n_packs =
            |n_images: u64| u32::try_from(n_images.div_ceil(images_per_pack.max(1).into())).unwrap_or(u32::MAX).max(1);
        Index {
            manifest_sha256: release.row.release.manifest_sha256.to_string(),
            images_per_pack,
            n_packs: n_images.into_iter().map(|(split, n)| (split, n_packs(n))).collect(),
            packs: Vec::new(),
        }
    }

    pub(super) async fn read(project: &Project, release: &str) -> Result<Option<Index>, ReleaseError> {
        let Some(bytes) = project.store.read_pack(&index_of(release)).await? else { return Ok(None) };
        let damaged = |reason: String| ReleaseError::DamagedPack { name: index_of(release), reason };
        if bytes.len() > MOST_BYTES {
            return Err(damaged(format!("{} bytes", bytes.len())));
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|error| damaged(error.to_string()))
    }

    pub(super) async fn write(&self, project: &Project, release: &str) -> Result<(), ReleaseError> {
        let damaged =
            |error: serde_json::Error| ReleaseError::DamagedPack { name: index_of(release), reason: error.to_string() };
        let bytes = serde_json::to_vec_pretty(self).map_err(damaged)?;
        // Packs before the list that names them.
        project.store.flush().await?;
        project.store.put_pack(&index_of(release), bytes.into()).await?;
        Ok(())
    }

    /// Refuses packs that are another release's, or of another size than was asked for.
    pub(super) fn check(&self, release: &Release, images_per_pack: Option<u32>) -> Result<(), ReleaseError> {
        let name = &release.row.release.name;
        if self.manifest_sha256 != release.row.release.manifest_sha256.as_str() {
            let reason = "it lists packs of another manifest: remove the folder".to_owned();
            return Err(ReleaseError::DamagedPack { name: index_of(name), reason });
        }
        match images_per_pack {
            Some(wanted) if wanted != self.images_per_pack => {
                Err(ReleaseError::PackedOtherwise { name: name.clone(), found: self.images_per_pack, wanted })
            }
            _ => Ok(()),
        }
    }

    /// The pack of an image: each has an equal share of all hashes.
    pub(super) fn number_of(&self, split: Split, image: &Sha256Hex) -> u32 {
        let n_packs = u128::from(self.n_packs.get(&split).copied().unwrap_or(1));
        let place = u64::from_str_radix(image.as_str().get(..16).unwrap_or_default(), 16).unwrap_or(0);
        u32::try_from((u128::from(place) * n_packs) >> 64).unwrap_or(0)
    }

    pub(super) fn row(&self, split: Split, number: u32) -> Option<&PackRow> {
        self.packs.iter().find(|row| (row.split, row.number) == (split, number))
    }

    pub(super) fn put(&mut self, row: PackRow) {
        self.packs.retain(|known| (known.split, known.number) != (row.split, row.number));
        self.packs.push(row);
        self.packs.sort_by_key(|row| (row.split, row.number));
    }

    /// Removes packs all of whose images are gone from the release; says how many.
    pub(super) async fn empty_others<T>(
        &mut self,
        project: &Project,
        release: &str,
        full: &BTreeMap<(Split, u32), T>,
    ) -> Result<u64, ReleaseError> {
        let (kept, empty): (Vec<PackRow>, Vec<PackRow>) =
            std::mem::take(&mut self.packs).into_iter().partition(|row| full.contains_key(&(row.split, row.number)));
        self.packs = kept;
        if !empty.is_empty() {
            self.write(project, release).await?;
        }
        for row in &empty {
            project.store.delete_pack(&name_of(release, row.split, row.number)).await?;
        }
        Ok(empty.len() as u64)
    }

    /// Images and bytes in all packs.
    pub(super) fn sums(&self) -> (u64, u64) {
        self.packs.iter().fold((0, 0), |(n, bytes), row| (n + row.n_images, bytes + row.n_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hash_has_a_pack_and_each_pack_an_equal_share() {
        let index = Index {
            manifest_sha256: String::new(),
            images_per_pack: 10,
            n_packs: BTreeMap::from([(Split::Train, 7), (Split::Valid, 1)]),
            packs: Vec::new(),
        };
        let mut counts = [0; 7];
        for n in 0..7_000 {
            let image = sha256(format!("{n}").as_bytes());
            counts[index.number_of(Split::Train, &image) as usize] += 1;
            assert_eq!(index.number_of(Split::Valid, &image), 0);
        }
        assert!(counts.iter().all(|n| (850..1_150).contains(n)), "{counts:?}");
        for (digit, number) in [("0", 0), ("f", 6)] {
            assert_eq!(index.number_of(Split::Train, &digit.repeat(64).parse().unwrap()), number);
        }
    }
}

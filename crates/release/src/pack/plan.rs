//! Which packs has a release, which image is in which of them, and what are their files called?

use std::collections::{BTreeMap, HashSet};

use affectory_catalog::{PackRow, Packing};
use affectory_core::{Sha256Hex, Split};
use affectory_imaging::sha256;

use super::Images;
use crate::Release;

/// How many packs each split has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan(BTreeMap<Split, u32>);

/// How many packs of that size each split of a release needs.
pub(super) fn counts(release: &Release, images_per_pack: u32) -> Vec<(Split, u32)> {
    let mut n_images: BTreeMap<Split, u64> = BTreeMap::new();
    let mut seen = HashSet::new();
    for item in release.items.iter().filter(|item| seen.insert(&item.image_sha256)) {
        *n_images.entry(item.split).or_default() += 1;
    }
    let n_packs = |n: u64| u32::try_from(n.div_ceil(images_per_pack.max(1).into())).unwrap_or(u32::MAX).max(1);
    n_images.into_iter().map(|(split, n)| (split, n_packs(n))).collect()
}

pub(super) fn folder_of(release: &str) -> String {
    format!("packs/{release}")
}

/// The name of a pack's file. Half of the hash tells a pack from what it was before.
pub(super) fn file_of(split: Split, number: u32, made_from: &Sha256Hex) -> String {
    let (from, _) = made_from.as_str().split_at(16);
    format!("{split}-{number:05}.{from}.tar")
}

/// The images of one pack; `items` are those of each.
pub(super) fn images<'a>(
    release: &'a Release,
    items: &BTreeMap<(Split, u32), Vec<usize>>,
    place: (Split, u32),
) -> Images<'a> {
    let mut images = Images::new();
    for &idx in items.get(&place).into_iter().flatten() {
        let item = &release.items[idx];
        images.entry(&item.image_sha256).or_default().push(item);
    }
    images
}

/// A hash of what a pack is made from.
pub(super) fn made_from(images: &Images<'_>) -> Sha256Hex {
    let names: Vec<&str> = images.values().flatten().map(|item| item.item.as_str()).collect();
    sha256(names.join("\n").as_bytes())
}

/// The file that the catalogue has recorded for a pack.
pub(super) fn recorded_file(row: &PackRow) -> Option<String> {
    row.written.as_ref().map(|written| file_of(row.split, row.number, &written.made_from))
}

/// The same, if that is a pack of these images and no others.
pub(super) fn current_file(row: &PackRow, images: &Images<'_>) -> Option<String> {
    let is_current = row.written.as_ref().is_some_and(|written| written.made_from == made_from(images));
    if is_current { recorded_file(row) } else { None }
}

impl Plan {
    pub(super) fn new(packing: &Packing) -> Plan {
        let mut n_packs: BTreeMap<Split, u32> = BTreeMap::new();
        for row in &packing.packs {
            *n_packs.entry(row.split).or_default() += 1;
        }
        Plan(n_packs)
    }

    /// The places of a release's items, by pack; every pack has an entry.
    pub(super) fn sort(&self, release: &Release) -> BTreeMap<(Split, u32), Vec<usize>> {
        let all = self.0.iter().flat_map(|(split, n)| (0..*n).map(|number| ((*split, number), Vec::new())));
        let mut items: BTreeMap<(Split, u32), Vec<usize>> = all.collect();
        for (idx, item) in release.items.iter().enumerate() {
            items.entry((item.split, self.number_of(item.split, &item.image_sha256))).or_default().push(idx);
        }
        items
    }

    /// The pack of an image: each has an equal share of all hashes.
    pub(super) fn number_of(&self, split: Split, image: &Sha256Hex) -> u32 {
        let n_packs = u128::from(self.0.get(&split).copied().unwrap_or(1));
        let place = u64::from_str_radix(image.as_str().get(..16).unwrap_or_default(), 16).unwrap_or(0);
        u32::try_from((u128::from(place) * n_packs) >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hash_has_a_pack_and_each_pack_an_equal_share() {
        let plan = Plan(BTreeMap::from([(Split::Train, 7), (Split::Valid, 1)]));
        let mut counts = [0; 7];
        for n in 0..7_000 {
            let image = sha256(format!("{n}").as_bytes());
            counts[plan.number_of(Split::Train, &image) as usize] += 1;
            assert_eq!(plan.number_of(Split::Valid, &image), 0);
        }
        assert!(counts.iter().all(|n| (850..1_150).contains(n)), "{counts:?}");
        for (digit, number) in [("0", 0), ("f", 6)] {
            assert_eq!(plan.number_of(Split::Train, &digit.repeat(64).parse().unwrap()), number);
        }
    }
}

//! How many images look like another one?

use affectory_core::{DisjointSets, PerceptualHash};
use affectory_imaging::near_pairs;

/// Bits that may differ between near-duplicates, as everywhere in the program.
const DISTANCE: u32 = 4;

/// Groups of images that look the same: each within 4 of 64 bits of another one of its group.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct NearDuplicates {
    /// Images whose looks are known.
    pub images: u64,
    /// (Images in a group, groups of that size), from 2 on.
    pub sizes: Vec<(u64, u64)>,
}

impl NearDuplicates {
    /// Groups of two and more.
    pub fn groups(&self) -> u64 {
        self.sizes.iter().map(|(_, groups)| groups).sum()
    }

    /// Images that could be left out without losing a motif.
    pub fn surplus(&self) -> u64 {
        self.sizes.iter().map(|(size, groups)| (size - 1) * groups).sum()
    }
}

/// Groups what is near, along chains, as a release does.
pub(super) fn near_duplicate_groups(hashes: &[PerceptualHash]) -> NearDuplicates {
    let mut sets = DisjointSets::new(hashes.len());
    for (a, b) in near_pairs(hashes, DISTANCE) {
        sets.join(a, b);
    }
    let mut members = vec![0u64; hashes.len()];
    for at in 0..hashes.len() {
        members[sets.find(at)] += 1;
    }
    members.retain(|size| *size > 1);
    members.sort_unstable();
    let sizes = members.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u64)).collect();
    NearDuplicates { images: hashes.len() as u64, sizes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_four_bits_apart_are_one_group_and_five_are_two() {
        let found = near_duplicate_groups(
            &[0, 0b1111, 0b1111_1111, u64::MAX, u64::MAX ^ 0b1_1111, 7 << 40].map(PerceptualHash),
        );
        // 0, 4 and 8 bits are a chain; three bits elsewhere are near the first of them.
        assert_eq!((found.images, &found.sizes[..]), (6, &[(4, 1)][..]));
        assert_eq!((found.groups(), found.surplus()), (1, 3));
        assert_eq!(near_duplicate_groups(&[]), NearDuplicates::default());
    }
}

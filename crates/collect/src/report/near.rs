//! How many images look like another one?

use affectory_core::PerceptualHash;

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

/// Groups hashes. Cut into five bands, two hashes that differ in at most four bits agree in one band whole, so only
/// hashes that share a band are compared.
pub(super) fn near_duplicate_groups(hashes: &[PerceptualHash]) -> NearDuplicates {
    let mut sorted: Vec<u64> = hashes.iter().map(|hash| hash.0).collect();
    sorted.sort_unstable();
    // Equal ones are one with a weight: a placeholder served a thousand times must not be compared with itself.
    let equal: Vec<(u64, u64)> = sorted.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u64)).collect();
    let mut leader: Vec<usize> = (0..equal.len()).collect();
    let n_bands = DISTANCE + 1;
    for band in 0..n_bands {
        let (from, to) = (64 * band / n_bands, 64 * (band + 1) / n_bands);
        let key = |at: &usize| (equal[*at].0 >> from) & (u64::MAX >> (64 - (to - from)));
        let mut order: Vec<usize> = (0..equal.len()).collect();
        order.sort_unstable_by_key(key);
        for bucket in order.chunk_by(|a, b| key(a) == key(b)) {
            for (nth, &a) in bucket.iter().enumerate() {
                for &b in &bucket[nth + 1..] {
                    if (equal[a].0 ^ equal[b].0).count_ones() <= DISTANCE {
                        let (a, b) = (find(&mut leader, a), find(&mut leader, b));
                        leader[a.max(b)] = a.min(b);
                    }
                }
            }
        }
    }
    let mut members = vec![0u64; equal.len()];
    for at in 0..equal.len() {
        members[find(&mut leader, at)] += equal[at].1;
    }
    members.retain(|size| *size > 1);
    members.sort_unstable();
    let sizes = members.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u64)).collect();
    NearDuplicates { images: hashes.len() as u64, sizes }
}

fn find(leader: &mut [usize], mut member: usize) -> usize {
    while leader[member] != member {
        leader[member] = leader[leader[member]];
        member = leader[member];
    }
    member
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

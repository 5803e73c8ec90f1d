//! Which pictures of a list look nearly like one another?

use affectory_core::PerceptualHash;
use rayon::prelude::*;

use super::HashIndex;

impl HashIndex<usize> {
    /// Pairs of values (positions in one list), the smaller first: each hash's first value with the others that it has,
    /// and with the first value of each hash that is near.
    fn pairs(&self, distance: u32) -> Vec<(usize, usize)> {
        let pairs_of = |(&hash, &last): (&u64, &u32)| {
            let first = self.first(last);
            let mut found = Vec::new();
            if distance > 0 {
                self.search(hash, distance, &mut found);
            }
            // A pair is found from both its sides.
            let larger = found.into_iter().filter(move |near| near.hash.0 > hash);
            let near = larger.filter_map(|near| self.last.get(&near.hash.0)).map(|&last| self.first(last));
            let others = self.values(PerceptualHash(hash)).skip(1).chain(near);
            others.map(move |other| (*first.min(other), *first.max(other)))
        };
        self.last.par_iter().flat_map_iter(pairs_of).collect()
    }
}

/// Enough pairs of positions to join all hashes that are within `distance` bits, each pair once, the smaller position
/// first: of equal hashes each is paired with their first only, and only their first with what is near.
pub fn near_pairs(hashes: &[PerceptualHash], distance: u32) -> Vec<(usize, usize)> {
    positions(hashes).collect::<HashIndex<usize>>().pairs(distance)
}

fn positions(hashes: &[PerceptualHash]) -> impl Iterator<Item = (PerceptualHash, usize)> {
    hashes.iter().enumerate().map(|(at, &hash)| (hash, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::near::tests::some_hashes;

    #[test]
    fn pairs_are_exactly_those_that_comparing_all_finds_with_one_hash_for_all_its_equals() {
        arbtest::arbtest(|u| {
            let distance = u.int_in_range(0..=12)?;
            let hashes = some_hashes(u)?;
            let first_of = |hash| hashes.iter().position(|other| *other == hash);
            let mut expected = Vec::new();
            for b in 0..hashes.len() {
                for a in (0..b).filter(|&a| first_of(hashes[a]) == Some(a)) {
                    let is_first = first_of(hashes[b]) == Some(b);
                    if hashes[a] == hashes[b] || is_first && hashes[a].distance(hashes[b]) <= distance {
                        expected.push((a, b));
                    }
                }
            }
            let small_up_to = u.int_in_range(0..=20)?;
            let mut pairs = HashIndex::collect_small_up_to(small_up_to, positions(&hashes)).pairs(distance);
            pairs.sort_unstable();
            expected.sort_unstable();
            assert_eq!(pairs, expected);
            Ok(())
        })
        .budget_ms(1_000);
    }

    #[test]
    fn equal_hashes_are_paired_with_their_first_only() {
        assert_eq!(near_pairs(&[PerceptualHash(7); 100_000], 8).len(), 99_999);
    }
}

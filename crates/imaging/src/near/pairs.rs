//! Which pictures of a list look nearly like one another?

use affectory_core::PerceptualHash;
use rayon::prelude::*;

use super::{BAND_BITS, N_BANDS, key, near, position, share, with_bits_set};

/// Enough pairs of positions to join all hashes that are within `distance` bits, each pair once, the smaller position
/// first: of equal hashes each is paired with their first only, and only their first with what is near.
///
/// As [`super::HashIndex`] finds them, but a band at a time, over one list that is sorted by it: 16 bytes a hash, so ten
/// million take 160 MB and not 700, and what is compared lies side by side.
///
/// # Panics
/// With the 4,294,967,296th hash.
pub fn near_pairs(hashes: &[PerceptualHash], distance: u32) -> Vec<(usize, usize)> {
    let mut firsts: Vec<(u64, u32)> = hashes.iter().enumerate().map(|(at, hash)| (hash.0, position(at))).collect();
    firsts.par_sort_unstable();
    let equal = firsts.chunk_by(|a, b| a.0 == b.0);
    let mut pairs: Vec<(usize, usize)> =
        equal.flat_map(|same| same[1..].iter().map(|other| (same[0].1 as usize, other.1 as usize))).collect();
    firsts.dedup_by_key(|(hash, _)| *hash);
    if distance == 0 {
        return pairs;
    }
    for band in 0..N_BANDS {
        firsts.par_sort_unstable_by_key(|(hash, _)| key(*hash, band));
        let mut starts = vec![0; (1 << BAND_BITS) + 1];
        firsts.iter().for_each(|(hash, _)| starts[key(*hash, band) + 1] += 1);
        (1..starts.len()).for_each(|at| starts[at] += starts[at - 1]);
        let with = |value: usize| &firsts[starts[value]..starts[value + 1]];
        let flips: Vec<usize> = (0..share(band, distance)).flat_map(with_bits_set).collect();
        let is_new = |a, b| (0..band).all(|band| (key(a, band) ^ key(b, band)).count_ones() >= share(band, distance));
        let pairs_of = |value: usize| {
            let mut found = Vec::new();
            let mine = with(value);
            for other in flips.iter().map(|flips| value ^ flips).filter(|other| *other >= value && !mine.is_empty()) {
                for (at, &(a, first_a)) in mine.iter().enumerate() {
                    let others = if other == value { &mine[at + 1..] } else { with(other) };
                    let close = others.iter().filter(|(b, _)| near(a, *b).distance <= distance && is_new(a, *b));
                    found.extend(close.map(|&(_, b)| (first_a.min(b) as usize, first_a.max(b) as usize)));
                }
            }
            found
        };
        pairs.par_extend((0..1 << BAND_BITS).into_par_iter().flat_map_iter(pairs_of));
    }
    pairs
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
            let mut pairs = near_pairs(&hashes, distance);
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

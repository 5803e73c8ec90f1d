//! Which pictures of a list look nearly like one another?

use affectory_core::PerceptualHash;
use rayon::prelude::*;

use super::{MAX_BANDED, position};

/// What it costs to bring a hash to its place in a sorted list, in comparisons of two hashes.
const SORTING: f64 = 40.0;

/// Equal blocks, at most: each more means several times as many choices.
const MOST_EQUAL: u32 = 4;

/// Enough pairs of positions to join all hashes that are within `distance` bits, each pair once, the smaller position
/// first: of equal hashes each is paired with their first only, and only their first with what is near.
///
/// A hash is cut into `distance + n` blocks: of two that are near, `n` blocks at least are equal. So for every choice of `n` blocks the
/// list is sorted by them, and only what is equal there is compared (16 bytes a hash: ten million take 160 MB). A larger `n` sorts
/// more often and compares less: the best one follows from the number of hashes.
///
/// # Panics
/// With the 4,294,967,296th hash.
pub fn near_pairs(hashes: &[PerceptualHash], distance: u32) -> Vec<(usize, usize)> {
    pairs_by(hashes, distance, best_n_equal(hashes.len(), distance))
}

fn pairs_by(hashes: &[PerceptualHash], distance: u32, n_equal: u32) -> Vec<(usize, usize)> {
    let mut firsts: Vec<(u64, u32)> = hashes.iter().enumerate().map(|(at, hash)| (hash.0, position(at))).collect();
    firsts.par_sort_unstable();
    let equal = firsts.chunk_by(|a, b| a.0 == b.0);
    let mut pairs: Vec<(usize, usize)> =
        equal.flat_map(|same| same[1..].iter().map(|other| (same[0].1 as usize, other.1 as usize))).collect();
    firsts.dedup_by_key(|(hash, _)| *hash);
    if distance == 0 {
        return pairs;
    }
    let blocks = if n_equal == 0 { Vec::new() } else { blocks(distance + n_equal) };
    for chosen in choices(blocks.len(), n_equal) {
        let mask =
            blocks.iter().enumerate().filter(|(at, _)| chosen & 1 << at != 0).fold(0, |mask, (_, block)| mask | block);
        firsts.par_sort_unstable_by_key(|(hash, _)| hash & mask);
        // Several choices find a pair; that of its first equal blocks counts.
        let is_first = |a: u64, b: u64| {
            let equal = (0..blocks.len()).filter(|at| (a ^ b) & blocks[*at] == 0).take(n_equal as usize);
            equal.fold(0, |found, at| found | 1 << at) == chosen
        };
        let pairs_of = |alike: &[(u64, u32)]| {
            let mut found = Vec::new();
            for (at, &(a, first_a)) in alike.iter().enumerate() {
                let close = alike[at + 1..].iter().filter(|(b, _)| (a ^ b).count_ones() <= distance && is_first(a, *b));
                found.extend(close.map(|&(_, b)| (first_a.min(b) as usize, first_a.max(b) as usize)));
            }
            found
        };
        let alike = firsts.par_chunk_by(|(a, _), (b, _)| a & mask == b & mask).filter(|alike| alike.len() > 1);
        pairs.par_extend(alike.flat_map_iter(pairs_of));
    }
    pairs
}

/// With how many equal blocks finding all pairs costs least; with none, all are compared.
fn best_n_equal(n_hashes: usize, distance: u32) -> u32 {
    let n = n_hashes as f64;
    let cost = |n_equal: &u32| {
        let n_blocks = distance + n_equal;
        let n_choices = (0..*n_equal).fold(1.0, |n, at| n * f64::from(n_blocks - at) / f64::from(at + 1));
        let n_keys = (64.0 * f64::from(*n_equal) / f64::from(n_blocks)).exp2();
        n_choices * (n * SORTING + n * n / 2.0 / n_keys)
    };
    let most = if distance > MAX_BANDED { 0 } else { MOST_EQUAL };
    (0..=most).min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or(0)
}

/// The bits of each of so many blocks, which differ in length by one at most.
fn blocks(n_blocks: u32) -> Vec<u64> {
    let upto = |at: u32| u64::try_from((1_u128 << (64 * at / n_blocks)) - 1).unwrap_or(u64::MAX);
    (0..n_blocks).map(|at| upto(at + 1) & !upto(at)).collect()
}

/// Every choice of `n_chosen` of so many (up to 19), as bits.
fn choices(n: usize, n_chosen: u32) -> impl Iterator<Item = u64> {
    (0..1_u64 << n).filter(move |chosen| chosen.count_ones() == n_chosen)
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
            expected.sort_unstable();
            for n_equal in 0..=MOST_EQUAL {
                let mut pairs = pairs_by(&hashes, distance, n_equal);
                pairs.sort_unstable();
                assert_eq!(pairs, expected, "by {n_equal} equal blocks");
            }
            Ok(())
        })
        .budget_ms(1_000);
    }

    #[test]
    fn equal_hashes_are_paired_with_their_first_only() {
        assert_eq!(near_pairs(&[PerceptualHash(7); 100_000], 8).len(), 99_999);
    }

    #[test]
    fn more_hashes_are_sorted_more_often_and_compared_less() {
        let best: Vec<u32> = [10, 10_000, 10_000_000].map(|n| best_n_equal(n, 4)).into();
        assert_eq!(best, [0, 1, 2]);
        assert_eq!(best_n_equal(10_000_000, 16), 0);
        let pairs = near_pairs(&[PerceptualHash(0), PerceptualHash(u64::MAX)], 64);
        assert_eq!(pairs, [(0, 1)]);
    }
}

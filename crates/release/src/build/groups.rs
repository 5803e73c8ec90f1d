//! Which faces must never be torn apart by a split: those of one image, of near-duplicates, of one page?

use std::collections::HashMap;

use affectory_core::PerceptualHash;
use rayon::prelude::*;

/// Largest distance that is searched: beyond it, unlike faces count as the same and the search grows quadratic.
pub const MAX_DISTANCE: u32 = 8;

/// Disjoint sets with path halving; the smallest member names its set, so the names do not depend on the order of joins.
struct Sets(Vec<usize>);

impl Sets {
    fn find(&mut self, mut member: usize) -> usize {
        while self.0[member] != member {
            self.0[member] = self.0[self.0[member]];
            member = self.0[member];
        }
        member
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a.max(b)] = a.min(b);
    }
}

/// What a face has in common with others.
#[derive(Debug, Clone, Copy)]
pub struct Kinship<'a> {
    /// Hash of its image.
    pub image: &'a str,
    /// What its image looks like.
    pub phash: PerceptualHash,
    /// Pages its image stood on.
    pub pages: &'a [String],
}

/// The group of each face: the position of the first face that is in it. `distance` `None` leaves looks aside.
pub fn group(faces: &[Kinship], distance: Option<u32>) -> Vec<usize> {
    let mut sets = Sets((0..faces.len()).collect());
    let mut by_image = HashMap::new();
    let mut by_page = HashMap::new();
    for (at, face) in faces.iter().enumerate() {
        sets.join(at, *by_image.entry(face.image).or_insert(at));
        for page in face.pages {
            sets.join(at, *by_page.entry(page.as_str()).or_insert(at));
        }
    }
    if let Some(distance) = distance {
        let hashes: Vec<u64> = faces.iter().map(|face| face.phash.0).collect();
        for (a, b) in near_pairs(&hashes, distance) {
            sets.join(a, b);
        }
    }
    (0..faces.len()).map(|at| sets.find(at)).collect()
}

/// Enough pairs of positions to join all that are within `distance` bits (each equal hash is paired with one other only).
///
/// Exact: cut into `distance + 1` bands, two hashes that differ in at most `distance` bits agree in one band whole, so
/// only hashes that share a band are compared.
pub fn near_pairs(hashes: &[u64], distance: u32) -> Vec<(usize, usize)> {
    let distance = distance.min(MAX_DISTANCE);
    let mut order: Vec<usize> = (0..hashes.len()).collect();
    order.par_sort_unstable_by_key(|&at| (hashes[at], at));
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    let mut distinct: Vec<usize> = Vec::with_capacity(order.len());
    for at in order {
        match distinct.last() {
            Some(&first) if hashes[first] == hashes[at] => pairs.push((first, at)),
            _ => distinct.push(at),
        }
    }
    if distance == 0 {
        return pairs;
    }
    let n_bands = distance + 1;
    for band in 0..n_bands {
        let (from, to) = (64 * band / n_bands, 64 * (band + 1) / n_bands);
        let key = |hash: u64| (hash >> from) & (u64::MAX >> (64 - (to - from)));
        let mut sorted: Vec<(u64, u64, usize)> = distinct.iter().map(|&at| (key(hashes[at]), hashes[at], at)).collect();
        sorted.par_sort_unstable();
        let buckets: Vec<&[(u64, u64, usize)]> = sorted.chunk_by(|a, b| a.0 == b.0).collect();
        pairs.par_extend(buckets.into_par_iter().flat_map_iter(|bucket| {
            bucket.iter().enumerate().flat_map(move |(nth, &(_, hash, at))| {
                let near = move |other: &&(u64, u64, usize)| (hash ^ other.1).count_ones() <= distance;
                bucket[nth + 1..].iter().filter(near).map(move |other| (at, other.2))
            })
        }));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_find_exactly_what_comparing_all_finds() {
        arbtest::arbtest(|u| {
            let distance = u.int_in_range(0..=MAX_DISTANCE)?;
            let centre: u64 = u.arbitrary()?;
            let mut hashes = Vec::new();
            for _ in 0..u.int_in_range(0..=40)? {
                let mut hash = centre;
                for _ in 0..u.int_in_range(0..=10)? {
                    hash ^= 1 << u.int_in_range(0..=63u32)?;
                }
                hashes.push(hash);
            }
            let face = |&hash: &u64| PerceptualHash(hash);
            let images: Vec<String> = (0..hashes.len()).map(|n| n.to_string()).collect();
            let faces: Vec<Kinship> = hashes
                .iter()
                .zip(&images)
                .map(|(hash, image)| Kinship { image, phash: face(hash), pages: &[] })
                .collect();
            let mut all = Sets((0..hashes.len()).collect());
            for a in 0..hashes.len() {
                for b in 0..a {
                    if (hashes[a] ^ hashes[b]).count_ones() <= distance {
                        all.join(a, b);
                    }
                }
            }
            let expected: Vec<usize> = (0..hashes.len()).map(|at| all.find(at)).collect();
            assert_eq!(group(&faces, Some(distance)), expected);
            Ok(())
        })
        .budget_ms(500);
    }

    #[test]
    fn one_page_is_one_group_however_different_its_pictures() {
        let page = ["p".to_owned()];
        let face = |image, phash, pages| Kinship { image, phash: PerceptualHash(phash), pages };
        let faces = [face("a", 0, &page[..]), face("b", u64::MAX, &[]), face("c", 0xff, &page[..])];
        assert_eq!(group(&faces, Some(2)), [0, 1, 0]);
    }
}

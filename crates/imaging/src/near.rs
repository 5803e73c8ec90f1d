//! Which of many pictures look nearly like this one?
//!
//! Exact search over perceptual hashes by multi-index hashing (Norouzi, Punjani and Fleet 2012): a hash is cut into four
//! bands of 16 bits, each band has a table by its value, and the pigeonhole principle says which values to look under.

use std::collections::BTreeMap;

use affectory_core::PerceptualHash;

mod pairs;

pub use pairs::near_pairs;

const N_BANDS: usize = 4;
const BAND_BITS: u32 = 16;
/// Up to so many different hashes all are compared: that takes some microseconds, and the empty tables 6 MB.
const SMALL: usize = 2_048;
/// Above it so many values are looked under that comparing all is as fast.
const MAX_BANDED: u32 = 15;

/// A hash in the index that is near the one asked for. The order is by distance, then by hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Near {
    /// Bits that differ, 0 to 64.
    pub distance: u32,
    /// The hash in the index.
    pub hash: PerceptualHash,
}

/// Perceptual hashes with a value each (a row id, a position), found again by what is near.
///
/// Equal hashes are one entry with a ring of values, so 100,000 flat pictures cost a query one comparison. A million
/// different hashes with values of 8 bytes take some 70 bytes each built at once, 90 grown one by one. One picture after
/// the other is added with [`HashIndex::insert`]; many at once are collected from an iterator, which is faster.
///
/// ```
/// use affectory_core::PerceptualHash;
/// use affectory_imaging::{HashIndex, Near};
///
/// let mut index = HashIndex::default();
/// index.insert(PerceptualHash(0b1111), "first");
/// index.insert(PerceptualHash(0b1111), "second");
/// let near = index.within(PerceptualHash(0b1001), 2);
/// assert_eq!(near, [Near { distance: 2, hash: PerceptualHash(0b1111) }]);
/// assert!(index.values(near[0].hash).eq(&["first", "second"]));
/// assert_eq!(index.within(PerceptualHash(0b1000), 2), []);
/// ```
#[derive(Debug, Clone)]
pub struct HashIndex<V> {
    values: Vec<V>,
    /// Beside each value the position of the next one with the same hash; after the last comes the first.
    next: Vec<u32>,
    /// For each different hash the position of its last value.
    last: BTreeMap<u64, u32>,
    /// For each band and each value of it the hashes that have it: `[N_BANDS][2^BAND_BITS]`, or nothing while it is small.
    bands: Vec<Vec<Vec<u64>>>,
    small: usize,
}

impl<V> Default for HashIndex<V> {
    fn default() -> Self {
        Self::small_up_to(SMALL)
    }
}

impl<V> HashIndex<V> {
    fn small_up_to(small: usize) -> Self {
        Self { values: Vec::new(), next: Vec::new(), last: BTreeMap::new(), bands: Vec::new(), small }
    }

    /// Number of values, those of equal hashes counted each.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The different hashes, ascending.
    pub fn hashes(&self) -> impl Iterator<Item = PerceptualHash> {
        self.last.keys().map(|&hash| PerceptualHash(hash))
    }

    /// Adds a value under its hash.
    ///
    /// # Panics
    /// With the 4,294,967,296th value.
    pub fn insert(&mut self, hash: PerceptualHash, value: V) {
        let at = position(self.values.len());
        self.values.push(value);
        match self.last.insert(hash.0, at) {
            Some(last) => {
                self.next.push(self.next[last as usize]);
                self.next[last as usize] = at;
            }
            None => {
                self.next.push(at);
                if self.bands.is_empty() {
                    self.fill_bands();
                } else {
                    add(&mut self.bands, hash.0);
                }
            }
        }
    }

    /// The values under exactly this hash, in the order in which they came.
    pub fn values(&self, hash: PerceptualHash) -> impl Iterator<Item = &V> {
        let last = self.last.get(&hash.0).copied();
        let first = last.map(|last| self.next[last as usize]);
        let ring = std::iter::successors(first, move |&at| (Some(at) != last).then(|| self.next[at as usize]));
        ring.map(|at| &self.values[at as usize])
    }

    /// Every different hash that differs in at most `distance` bits, the nearest first.
    ///
    /// Distances up to 12 are what it is made for; above 15 all hashes are compared.
    pub fn within(&self, hash: PerceptualHash, distance: u32) -> Vec<Near> {
        let mut found = Vec::new();
        self.search(hash.0, distance, &mut found);
        found.sort_unstable();
        found
    }

    /// Finds what [`HashIndex::within`] promises, in any order; returns how many hashes it compared.
    ///
    /// Each band has a share of the `distance + 1` differences that are too many. A hash that used up its share in every
    /// band would be too far, so one that is near enough differs in fewer bits than its share in some band, and is found
    /// under a value of that band with so few bits flipped.
    fn search(&self, hash: u64, distance: u32, found: &mut Vec<Near>) -> usize {
        if self.bands.is_empty() || distance > MAX_BANDED {
            let all = self.last.keys().map(|&other| near(hash, other));
            found.extend(all.filter(|near| near.distance <= distance));
            return self.last.len();
        }
        let mut n_compared = 0;
        for (band, buckets) in self.bands.iter().enumerate() {
            for n_flipped in 0..share(band, distance) {
                for flips in with_bits_set(n_flipped) {
                    let bucket = &buckets[key(hash, band) ^ flips];
                    n_compared += bucket.len();
                    let near = bucket.iter().map(|&other| near(hash, other)).filter(|near| near.distance <= distance);
                    // What an earlier band has found is not told again.
                    found.extend(near.filter(|near| {
                        (0..band).all(|earlier| {
                            (key(hash, earlier) ^ key(near.hash.0, earlier)).count_ones() >= share(earlier, distance)
                        })
                    }));
                }
            }
        }
        n_compared
    }

    /// Makes the tables once there are enough hashes.
    fn fill_bands(&mut self) {
        if self.last.len() <= self.small {
            return;
        }
        let mut sizes = vec![vec![0; 1 << BAND_BITS]; N_BANDS];
        for hash in self.last.keys() {
            sizes.iter_mut().enumerate().for_each(|(band, sizes)| sizes[key(*hash, band)] += 1);
        }
        let empty = |sizes: Vec<usize>| sizes.into_iter().map(Vec::with_capacity).collect();
        self.bands = sizes.into_iter().map(empty).collect();
        for hash in self.last.keys() {
            add(&mut self.bands, *hash);
        }
    }
}

impl<V> FromIterator<(PerceptualHash, V)> for HashIndex<V> {
    fn from_iter<I: IntoIterator<Item = (PerceptualHash, V)>>(pairs: I) -> Self {
        let mut index = Self::default();
        let mut order = Vec::new();
        for (hash, value) in pairs {
            order.push((hash.0, position(order.len())));
            index.values.push(value);
        }
        order.sort_unstable();
        index.next = vec![0; order.len()];
        let mut last = Vec::new();
        for equal in order.chunk_by(|a, b| a.0 == b.0) {
            for (one, next) in equal.iter().zip(equal.iter().cycle().skip(1)) {
                index.next[one.1 as usize] = next.1;
            }
            last.extend(equal.last());
        }
        index.last = last.into_iter().copied().collect();
        index.fill_bands();
        index
    }
}

fn position(n_values: usize) -> u32 {
    u32::try_from(n_values).expect("fewer than 2^32 values")
}

fn near(hash: u64, other: u64) -> Near {
    Near { distance: (hash ^ other).count_ones(), hash: PerceptualHash(other) }
}

/// The bits of one band.
fn key(hash: u64, band: usize) -> usize {
    (hash >> (band as u32 * BAND_BITS)) as usize & ((1 << BAND_BITS) - 1)
}

/// How many of the `distance + 1` differences that are too many fall to a band.
fn share(band: usize, distance: u32) -> u32 {
    (distance + N_BANDS as u32 - band as u32) / N_BANDS as u32
}

/// All values of a band with exactly so many bits set, ascending (Gosper's hack: Beeler et al. 1972, HAKMEM, item 175).
fn with_bits_set(n_set: u32) -> impl Iterator<Item = usize> {
    let first = (1usize << n_set) - 1;
    let all = std::iter::successors(Some(first), |&value| {
        let lowest = value & value.wrapping_neg();
        let carried = value + lowest;
        (lowest > 0).then(|| carried | ((value ^ carried) / lowest) >> 2)
    });
    all.take_while(|&value| value < 1 << BAND_BITS)
}

fn add(bands: &mut [Vec<Vec<u64>>], hash: u64) {
    for (band, buckets) in bands.iter_mut().enumerate() {
        let bucket = &mut buckets[key(hash, band)];
        if bucket.len() == bucket.capacity() {
            // Doubling, as a Vec does on its own, would leave a third of the memory empty.
            bucket.reserve_exact(bucket.len() / 4 + 2);
        }
        bucket.push(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes that are near one another: a few bits flipped in one.
    pub(super) fn some_hashes(
        u: &mut arbtest::arbitrary::Unstructured<'_>,
    ) -> arbtest::arbitrary::Result<Vec<PerceptualHash>> {
        let centre: u64 = u.arbitrary()?;
        let mut hashes = Vec::new();
        for _ in 0..u.int_in_range(0..=40)? {
            let mut hash = centre;
            for _ in 0..u.int_in_range(0..=16)? {
                hash ^= 1 << u.int_in_range(0..=63u32)?;
            }
            hashes.push(PerceptualHash(hash));
        }
        Ok(hashes)
    }

    #[test]
    fn while_it_grows_the_index_finds_exactly_what_comparing_all_finds() {
        arbtest::arbtest(|u| {
            let mut index = HashIndex::small_up_to(u.int_in_range(0..=20)?);
            let hashes = some_hashes(u)?;
            for (at, &hash) in hashes.iter().enumerate() {
                index.insert(hash, at);
                let (asked, distance) = (*u.choose(&hashes)?, u.int_in_range(0..=MAX_BANDED + 2)?);
                let mut expected: Vec<Near> = hashes[..=at].iter().map(|other| near(asked.0, other.0)).collect();
                expected.retain(|near| near.distance <= distance);
                expected.sort_unstable();
                expected.dedup();
                assert_eq!(index.within(asked, distance), expected);
                let equal = (0..=at).filter(|&other| hashes[other] == asked);
                assert!(index.values(asked).copied().eq(equal));
            }
            Ok(())
        })
        .budget_ms(1_000);
    }

    #[test]
    fn equal_hashes_are_one_entry_and_one_comparison() {
        let flat = PerceptualHash(0x8000_0000_0000_0001);
        let hashes: Vec<PerceptualHash> =
            (0..100_000).map(|_| flat).chain((1..=5_000).map(|n| PerceptualHash(n << 40))).collect();
        let index: HashIndex<usize> = hashes.iter().copied().zip(0..).collect();
        let mut found = Vec::new();
        let n_compared = index.search(flat.0, 0, &mut found);
        assert_eq!(found, [near(flat.0, flat.0)]);
        // Under the lowest 16 bits of the flat one there is nothing else.
        assert_eq!(n_compared, 1);
        assert!(index.values(flat).copied().eq(0..100_000));
    }

    #[test]
    fn a_query_among_many_compares_few() {
        // A full-period walk through 64-bit numbers (Steele and Vigna's multiplier): spread evenly, and always the same.
        let walk = std::iter::successors(Some(1u64), |x| Some(x.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1)));
        let index: HashIndex<u64> = walk.take(100_000).map(|x| (PerceptualHash(x ^ (x >> 32)), x)).collect();
        let n_compared = index.search(0x1234_5678_9abc_def0, 8, &mut Vec::new());
        // 188 of 65,536 values are looked under.
        assert!(n_compared < 1_000, "{n_compared} of 100,000");
    }
}

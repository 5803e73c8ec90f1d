//! Which faces must never be torn apart by a split: those of one image, of near-duplicates, of one page?

use affectory_core::{DisjointSets, PerceptualHash, Sha256Hex};
use affectory_imaging::near_pairs;
use sha2::{Digest as _, Sha256};

/// Largest distance that is searched: beyond it, unlike faces count as the same.
pub const MAX_DISTANCE: u32 = 8;

/// What faces have in common, some 40 bytes for each. They come in the manifest's order: those of an image one after the
/// other.
#[derive(Debug)]
pub struct Kinship {
    sets: DisjointSets,
    looks: Vec<PerceptualHash>,
    last_image: Option<Sha256Hex>,
    /// Digest of a page, and who stood on it. Of ten million pages two share 96 bits once in 10^15 releases.
    pages: Vec<([u8; 12], u32)>,
}

impl Kinship {
    /// For so many faces.
    pub fn new(n_faces: usize) -> Kinship {
        let looks = Vec::with_capacity(n_faces);
        Kinship { sets: DisjointSets::new(n_faces), looks, last_image: None, pages: Vec::new() }
    }

    /// Adds the next face: its image, what that looks like, and the pages it stood on.
    ///
    /// # Panics
    /// With one more than it was made for.
    pub fn add<'a>(&mut self, image: &Sha256Hex, looks: PerceptualHash, pages: impl IntoIterator<Item = &'a str>) {
        let at = self.looks.len();
        if self.last_image.as_ref() == Some(image) {
            self.sets.join(at, at - 1);
        } else {
            self.last_image = Some(image.clone());
        }
        self.looks.push(looks);
        let digest = |page: &str| {
            let digest: [u8; 32] = Sha256::digest(page).into();
            std::array::from_fn(|at| digest[at])
        };
        self.pages.extend(pages.into_iter().map(|page| (digest(page), at as u32)));
    }

    /// The group of each face: the position of the first face that is in it. `distance` `None` leaves looks aside.
    pub fn group(mut self, distance: Option<u32>) -> Vec<u32> {
        self.pages.sort_unstable();
        for pair in self.pages.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            self.sets.join(pair[0].1 as usize, pair[1].1 as usize);
        }
        drop(self.pages);
        if let Some(distance) = distance {
            for (a, b) in near_pairs(&self.looks, distance.min(MAX_DISTANCE)) {
                self.sets.join(a, b);
            }
        }
        (0..self.looks.len()).map(|at| self.sets.find(at) as u32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_duplicates_are_one_group_along_a_chain_but_never_beyond_the_largest_distance() {
        let looks = [0x0, 0xf00, 0xff00, 0xff_ffff_ff00, 0xf00];
        let groups = |distance| {
            let mut kin = Kinship::new(looks.len());
            for (n, looks) in (0..).zip(looks) {
                kin.add(&image(n), PerceptualHash(looks), []);
            }
            kin.group(distance)
        };
        assert_eq!(groups(None), [0, 1, 2, 3, 4]);
        assert_eq!(groups(Some(0)), [0, 1, 2, 3, 1]);
        assert_eq!(groups(Some(4)), [0, 0, 0, 3, 0]);
        assert_eq!(groups(Some(64)), [0, 0, 0, 3, 0]);
    }

    #[test]
    fn one_page_is_one_group_however_different_its_pictures() {
        let mut kin = Kinship::new(4);
        kin.add(&image(1), PerceptualHash(0), ["p", "q"]);
        kin.add(&image(2), PerceptualHash(u64::MAX), []);
        kin.add(&image(2), PerceptualHash(u64::MAX), ["r"]);
        kin.add(&image(3), PerceptualHash(0xff), ["q"]);
        assert_eq!(kin.group(Some(2)), [0, 1, 1, 0]);
    }

    fn image(n: u8) -> Sha256Hex {
        Sha256Hex::from_digest(&[n; 32])
    }
}

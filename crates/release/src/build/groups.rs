//! Which faces must never be torn apart by a split: those of one image, of near-duplicates, of one page?

use std::collections::HashMap;

use affectory_core::{DisjointSets, PerceptualHash};
use affectory_imaging::near_pairs;

/// Largest distance that is searched: beyond it, unlike faces count as the same.
pub const MAX_DISTANCE: u32 = 8;

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
    let mut sets = DisjointSets::new(faces.len());
    let mut by_image = HashMap::new();
    let mut by_page = HashMap::new();
    for (at, face) in faces.iter().enumerate() {
        sets.join(at, *by_image.entry(face.image).or_insert(at));
        for page in face.pages {
            sets.join(at, *by_page.entry(page.as_str()).or_insert(at));
        }
    }
    if let Some(distance) = distance {
        let hashes: Vec<PerceptualHash> = faces.iter().map(|face| face.phash).collect();
        for (a, b) in near_pairs(&hashes, distance.min(MAX_DISTANCE)) {
            sets.join(a, b);
        }
    }
    (0..faces.len()).map(|at| sets.find(at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_duplicates_are_one_group_along_a_chain_but_never_beyond_the_largest_distance() {
        let looks = [0x0, 0xf00, 0xff00, 0xff_ffff_ff00, 0xf00];
        let faces: Vec<Kinship> = ["a", "b", "c", "d", "e"]
            .iter()
            .zip(looks)
            .map(|(image, phash)| Kinship { image, phash: PerceptualHash(phash), pages: &[] })
            .collect();
        assert_eq!(group(&faces, None), [0, 1, 2, 3, 4]);
        assert_eq!(group(&faces, Some(0)), [0, 1, 2, 3, 1]);
        assert_eq!(group(&faces, Some(4)), [0, 0, 0, 3, 0]);
        assert_eq!(group(&faces, Some(64)), [0, 0, 0, 3, 0]);
    }

    #[test]
    fn one_page_is_one_group_however_different_its_pictures() {
        let page = ["p".to_owned()];
        let face = |image, phash, pages| Kinship { image, phash: PerceptualHash(phash), pages };
        let faces = [face("a", 0, &page[..]), face("b", u64::MAX, &[]), face("c", 0xff, &page[..])];
        assert_eq!(group(&faces, Some(2)), [0, 1, 0]);
    }
}

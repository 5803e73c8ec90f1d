//! Which images look like one that is exported before them?

use std::collections::HashSet;

use affectory_catalog::Catalog;
use affectory_core::{DisjointSets, ImageId, PerceptualHash};
use affectory_imaging::near_pairs;

use crate::ReleaseError;

/// Bits that may differ. Fewer than a release's grouping allows: there a mistake joins two faces in one split, here it
/// loses an image. Within 2 bits no two different photographs of 1,862 were met (`cargo bench -p affectory-imaging`).
const DISTANCE: u32 = 2;

/// All images but the first found of each group that looks the same. An image that nobody has decoded yet has no looks,
/// and is none of them.
pub(super) async fn list_twins(catalog: &Catalog) -> Result<HashSet<ImageId>, ReleaseError> {
    let mut looks = catalog.list_all_looks().await?;
    // One that is not exported must not keep its likeness out.
    looks.retain(|look| look.is_kept);
    let hashes: Vec<PerceptualHash> = looks.iter().map(|look| look.phash).collect();
    let mut sets = DisjointSets::new(hashes.len());
    for (a, b) in near_pairs(&hashes, DISTANCE) {
        sets.join(a, b);
    }
    Ok((0..looks.len()).filter(|&at| sets.find(at) != at).map(|at| looks[at].image_id).collect())
}

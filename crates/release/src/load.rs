//! What is in a release now, for a trainer, an export or a reader?

use std::collections::HashSet;

use affectory_catalog::{Project, ReleaseRow};
use affectory_core::{LabelSet, Sha256Hex};

use crate::build::MANIFEST;
use crate::manifest::Manifest;
use crate::{ReleaseError, ReleaseItem};

/// A release as it may be used today.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// Its row in the catalogue.
    pub row: ReleaseRow,
    /// Its categories in class order.
    pub labels: LabelSet,
    /// Its items in the manifest's order, without those of withdrawn images.
    pub items: Vec<ReleaseItem>,
    /// Items that were left out because their image was withdrawn since.
    pub n_withdrawn: u64,
}

/// Reads a release, checks its manifest against the recorded hash, and leaves withdrawn images out.
///
/// # Errors
/// [`ReleaseError::Damaged`] if the manifest is not the one recorded; whatever catalogue or disk refuse.
pub async fn load_release(project: &Project, name: &str) -> Result<Release, ReleaseError> {
    let row = project.catalog.find_release(name).await?;
    let mut manifest = Manifest::open(project, &row).await?;
    let damaged = |reason| ReleaseError::Damaged { name: name.to_owned(), reason };
    let unreadable = |reason| damaged(format!("{MANIFEST}: {reason}"));
    let found = manifest.sha256()?;
    if found != row.manifest_sha256 {
        let reason = format!("{MANIFEST} has SHA-256 {found}, recorded is {}", row.manifest_sha256);
        return Err(damaged(reason));
    }
    let labels = LabelSet::parse(&row.release.labels).map_err(|e| damaged(e.to_string()))?;
    let withdrawn: HashSet<Sha256Hex> = project.catalog.list_withdrawn().await?.into_iter().collect();
    let (mut items, mut n_withdrawn) = (Vec::new(), 0);
    for item in manifest.items().map_err(unreadable)? {
        let item = item.map_err(unreadable)?;
        match withdrawn.contains(&item.image_sha256) {
            true => n_withdrawn += 1,
            false => items.push(item),
        }
    }
    Ok(Release { n_withdrawn, row, labels, items })
}

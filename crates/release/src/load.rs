//! What is in a release now, for a trainer, an export or a reader?

use std::collections::HashSet;
use std::io::ErrorKind;

use affectory_catalog::{Project, ReleaseRow};
use affectory_core::{LabelSet, Sha256Hex};
use affectory_imaging::sha256;

use crate::build::MANIFEST;
use crate::item::read_manifest;
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
    let bytes = manifest_bytes(project, &row).await?;
    let damaged = |reason| ReleaseError::Damaged { name: name.to_owned(), reason };
    let found = sha256(&bytes);
    if found != row.release.manifest_sha256 {
        let reason = format!("{MANIFEST} has SHA-256 {found}, recorded is {}", row.release.manifest_sha256);
        return Err(damaged(reason));
    }
    let labels = LabelSet::parse(&row.release.labels).map_err(|e| damaged(e.to_string()))?;
    let mut items = read_manifest(&bytes).map_err(|reason| damaged(format!("{MANIFEST}: {reason}")))?;
    let n_items = items.len();
    let withdrawn: HashSet<Sha256Hex> = project.catalog.list_withdrawn().await?.into_iter().collect();
    items.retain(|item| !withdrawn.contains(&item.image_sha256));
    Ok(Release { n_withdrawn: (n_items - items.len()) as u64, row, labels, items })
}

/// Where the manifest of a packed release lies in a store that other machines reach.
pub(crate) fn shared_manifest(release: &str) -> String {
    format!("packs/{release}/{MANIFEST}")
}

/// The manifest out of the project's folder; on a machine that does not have it, out of the store. Not checked.
pub(crate) async fn manifest_bytes(project: &Project, row: &ReleaseRow) -> Result<Vec<u8>, ReleaseError> {
    let path = project.releases_dir().join(&row.release.name).join(MANIFEST);
    match std::fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound && project.store.is_shared() => {
            let shared = project.store.read_named(&shared_manifest(&row.release.name)).await?;
            shared.map(Vec::from).ok_or(error).map_err(ReleaseError::file("read", &path))
        }
        read => read.map_err(ReleaseError::file("read", &path)),
    }
}

//! Is a release still what was recorded, whole, and free of leaks between its splits?

use std::collections::{BTreeMap, HashSet};

use affectory_catalog::{CatalogError, Project};
use affectory_core::{LabelSet, Sha256Hex, Split};
use affectory_imaging::sha256;
use futures::stream::{self, StreamExt as _};

use crate::build::{CountTable, Kinship, MANIFEST};
use crate::item::read_manifest;
use crate::load::manifest_bytes;
use crate::{ReleaseError, ReleaseItem};

/// Objects being read at a time.
const READS_IN_FLIGHT: usize = 16;

/// Something a person should know of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The manifest is not the one recorded; nothing else was looked at.
    ManifestChanged {
        /// Its hash now.
        found: Sha256Hex,
    },
    /// The manifest has the recorded hash but cannot be read.
    ManifestUnreadable(String),
    /// The catalogue records another number of items.
    CountsDiffer(String),
    /// An image is not in the store.
    Missing(Sha256Hex),
    /// An image's bytes have changed.
    Damaged(Sha256Hex),
    /// Near-duplicates, or images of one page, are in more than one split.
    SplitLeak {
        /// An item of the group.
        item: String,
        /// The splits.
        splits: Vec<Split>,
    },
    /// An image was withdrawn since; it is delivered no more.
    Withdrawn(Sha256Hex),
}

impl Finding {
    /// Whether the release is broken; a withdrawal is no fault.
    pub const fn is_fault(&self) -> bool {
        !matches!(self, Finding::Withdrawn(_))
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Finding::ManifestChanged { found } => write!(f, "{MANIFEST} was changed: its SHA-256 is now {found}"),
            Finding::ManifestUnreadable(reason) => write!(f, "{MANIFEST} cannot be read: {reason}"),
            Finding::CountsDiffer(reason) => write!(f, "counts differ: {reason}"),
            Finding::Missing(hash) => write!(f, "image {hash} is not in the store"),
            Finding::Damaged(hash) => write!(f, "image {hash} is damaged"),
            Finding::SplitLeak { item, splits } => {
                let splits: Vec<&str> = splits.iter().map(|split| split.name()).collect();
                write!(f, "item {item} and its near-duplicates are in {}", splits.join(" and "))
            }
            Finding::Withdrawn(hash) => write!(f, "image {hash} was withdrawn and is delivered no more"),
        }
    }
}

/// Checks a release from its manifest's hash down to the bytes of each image.
///
/// # Errors
/// If it cannot be looked at; what is wrong with it is in the findings.
pub async fn verify(project: &Project, name: &str) -> Result<Vec<Finding>, ReleaseError> {
    let row = project.catalog.find_release(name).await?;
    let bytes = manifest_bytes(project, &row).await?;
    let found = sha256(&bytes);
    if found != row.release.manifest_sha256 {
        return Ok(vec![Finding::ManifestChanged { found }]);
    }
    let items = match read_manifest(&bytes) {
        Ok(items) => items,
        Err(reason) => return Ok(vec![Finding::ManifestUnreadable(reason)]),
    };
    let mut findings = Vec::new();
    if items.len() as u64 != row.n_items {
        findings.push(Finding::CountsDiffer(format!("{} items, recorded are {}", items.len(), row.n_items)));
    }
    let counts_path = project.releases_dir().join(name).join("counts.csv");
    let counts = LabelSet::parse(&row.release.labels).map(|labels| CountTable::of(&items, &labels).to_csv());
    if std::fs::read_to_string(counts_path).ok() != counts.ok() {
        findings.push(Finding::CountsDiffer("counts.csv does not say what the manifest holds".into()));
    }
    findings.extend(check_objects(project, &items).await?);
    findings.extend(leaks(&items, duplicate_distance(&row.release.parameters)));
    let images: HashSet<&Sha256Hex> = items.iter().map(|item| &item.image_sha256).collect();
    let withdrawn = project.catalog.list_withdrawn().await?;
    findings.extend(withdrawn.into_iter().filter(|hash| images.contains(hash)).map(Finding::Withdrawn));
    Ok(findings)
}

async fn check_objects(project: &Project, items: &[ReleaseItem]) -> Result<Vec<Finding>, ReleaseError> {
    let mut hashes: Vec<&Sha256Hex> = items.iter().map(|item| &item.image_sha256).collect();
    hashes.dedup();
    let mut checks = stream::iter(hashes)
        .map(|hash| {
            let (store, hash) = (project.store.clone(), hash.clone());
            // A task each, so that hashing uses every core.
            tokio::spawn(async move { (store.read(&hash).await.map(|_| ()), hash) })
        })
        .buffered(READS_IN_FLIGHT);
    let mut findings = Vec::new();
    while let Some(check) = checks.next().await {
        match check? {
            (Ok(()), _) => {}
            (Err(CatalogError::NoObject(_)), hash) => findings.push(Finding::Missing(hash)),
            (Err(CatalogError::DamagedObject(_)), hash) => findings.push(Finding::Damaged(hash)),
            (Err(e), _) => return Err(e.into()),
        }
    }
    Ok(findings)
}

/// The distance the release was built with, from its parameters.
fn duplicate_distance(parameters: &str) -> Option<u32> {
    let parameters: serde_json::Value = serde_json::from_str(parameters).ok()?;
    parameters.get("duplicate_distance")?.as_u64().and_then(|distance| u32::try_from(distance).ok())
}

/// Groups are found anew and not believed, and joined with those of the manifest, which also know of pages.
fn leaks(items: &[ReleaseItem], distance: Option<u32>) -> Vec<Finding> {
    let mut kin = Kinship::new(items.len());
    for item in items {
        kin.add(&item.image_sha256, item.phash, [item.group.to_string().as_str()]);
    }
    let mut splits_of: BTreeMap<u32, Vec<Split>> = BTreeMap::new();
    for (item, group) in items.iter().zip(kin.group(distance)) {
        let splits = splits_of.entry(group).or_default();
        if !splits.contains(&item.split) {
            splits.push(item.split);
        }
    }
    let torn = splits_of.into_iter().filter(|(_, splits)| splits.len() > 1);
    torn.map(|(first, mut splits)| {
        splits.sort_unstable();
        Finding::SplitLeak { item: items[first as usize].item.clone(), splits }
    })
    .collect()
}

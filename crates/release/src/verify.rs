//! Is a release still what was recorded, whole, and free of leaks between its splits?

use std::collections::{BTreeMap, HashSet, VecDeque};

use affectory_catalog::{CatalogError, Project};
use affectory_core::{LabelSet, Sha256Hex, Split};
use tokio::task::JoinHandle;

use crate::ReleaseError;
use crate::build::{CountTable, Kinship, MANIFEST};
use crate::manifest::Manifest;

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

/// Checks a release from its manifest's hash down to the bytes of each image. Of a face it holds some 40 bytes.
///
/// # Errors
/// If it cannot be looked at; what is wrong with it is in the findings.
pub async fn verify(project: &Project, name: &str) -> Result<Vec<Finding>, ReleaseError> {
    let row = project.catalog.find_release(name).await?;
    let mut manifest = Manifest::open(project, &row).await?;
    let found = manifest.sha256()?;
    if found != row.manifest_sha256 {
        return Ok(vec![Finding::ManifestChanged { found }]);
    }
    let withdrawn: HashSet<Sha256Hex> = project.catalog.list_withdrawn().await?.into_iter().collect();
    let mut counts = LabelSet::parse(&row.release.labels).ok().map(|labels| CountTable::new(&labels));
    let n_recorded = usize::try_from(row.n_items).unwrap_or(usize::MAX);
    let mut places = Places { kin: Kinship::new(n_recorded), splits: Vec::with_capacity(n_recorded) };
    let (mut objects, mut gone, mut last_image) = (Objects::new(project), Vec::new(), None);
    let items = match manifest.items() {
        Ok(items) => items,
        Err(reason) => return Ok(vec![Finding::ManifestUnreadable(reason)]),
    };
    let mut n_items = 0;
    for item in items {
        let item = match item {
            Ok(item) => item,
            Err(reason) => return Ok(vec![Finding::ManifestUnreadable(reason)]),
        };
        n_items += 1;
        if let Some(counts) = &mut counts {
            counts.add(&item);
        }
        if n_items <= n_recorded {
            places.kin.add(&item.image_sha256, item.phash, [item.group.to_string().as_str()]);
            places.splits.push(item.split);
        }
        // The faces of an image follow one another.
        if last_image.as_ref() != Some(&item.image_sha256) {
            if withdrawn.contains(&item.image_sha256) {
                gone.push(Finding::Withdrawn(item.image_sha256.clone()));
            }
            objects.check(item.image_sha256.clone()).await?;
            last_image = Some(item.image_sha256);
        }
    }
    let mut findings = Vec::new();
    if n_items != n_recorded {
        findings.push(Finding::CountsDiffer(format!("{n_items} items, recorded are {n_recorded}")));
    }
    let counts_path = project.releases_dir().join(name).join("counts.csv");
    if std::fs::read_to_string(counts_path).ok() != counts.map(|counts| counts.to_csv()) {
        findings.push(Finding::CountsDiffer("counts.csv does not say what the manifest holds".into()));
    }
    findings.extend(objects.end().await?);
    findings.extend(places.leaks(duplicate_distance(&row.release.parameters), &mut manifest));
    findings.extend(gone);
    Ok(findings)
}

/// A look at an image in the store.
type Look = JoinHandle<(Result<(), CatalogError>, Sha256Hex)>;

/// Reads images, some at a time, and notes those that are not what they were.
struct Objects<'a> {
    project: &'a Project,
    looks: VecDeque<Look>,
    findings: Vec<Finding>,
}

impl Objects<'_> {
    fn new(project: &Project) -> Objects<'_> {
        Objects { project, looks: VecDeque::new(), findings: Vec::new() }
    }

    async fn check(&mut self, image: Sha256Hex) -> Result<(), ReleaseError> {
        if self.looks.len() >= READS_IN_FLIGHT {
            self.note_first().await?;
        }
        let store = self.project.store.clone();
        // A task each, so that hashing uses every core.
        self.looks.push_back(tokio::spawn(async move { (store.read(&image).await.map(drop), image) }));
        Ok(())
    }

    async fn note_first(&mut self) -> Result<(), ReleaseError> {
        let Some(look) = self.looks.pop_front() else { return Ok(()) };
        match look.await? {
            (Ok(()), _) => {}
            (Err(CatalogError::NoObject(_)), image) => self.findings.push(Finding::Missing(image)),
            (Err(CatalogError::DamagedObject(_)), image) => self.findings.push(Finding::Damaged(image)),
            (Err(error), _) => return Err(error.into()),
        }
        Ok(())
    }

    async fn end(mut self) -> Result<Vec<Finding>, ReleaseError> {
        while !self.looks.is_empty() {
            self.note_first().await?;
        }
        Ok(self.findings)
    }
}

/// The distance the release was built with, from its parameters.
fn duplicate_distance(parameters: &str) -> Option<u32> {
    let parameters: serde_json::Value = serde_json::from_str(parameters).ok()?;
    parameters.get("duplicate_distance")?.as_u64().and_then(|distance| u32::try_from(distance).ok())
}

/// Which faces belong together, and in which split each is.
struct Places {
    kin: Kinship,
    splits: Vec<Split>,
}

impl Places {
    /// Groups are found anew and not believed, and joined with those of the manifest, which also know of pages.
    fn leaks(self, distance: Option<u32>, manifest: &mut Manifest) -> Vec<Finding> {
        // Of each group, at the place of its first face, a bit for each split.
        let mut met = vec![0_u8; self.splits.len()];
        for (group, split) in self.kin.group(distance).into_iter().zip(&self.splits) {
            met[group as usize] |= 1 << *split as u8;
        }
        let mut torn: BTreeMap<usize, u8> =
            met.into_iter().enumerate().filter(|(_, met)| met.count_ones() > 1).collect();
        let mut leaks = Vec::new();
        // Only now are their names wanted.
        for (place, item) in manifest.items().into_iter().flatten().flatten().enumerate() {
            if torn.is_empty() {
                break;
            }
            if let Some(met) = torn.remove(&place) {
                let splits = Split::ALL.into_iter().filter(|split| met & (1 << *split as u8) != 0).collect();
                leaks.push(Finding::SplitLeak { item: item.item, splits });
            }
        }
        leaks
    }
}

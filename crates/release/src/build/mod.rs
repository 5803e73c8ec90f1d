//! How does a set of labelled faces become an immutable release?
//!
//! Gather faces and their consensus, group what must stay together, deal groups to splits, write, record.

mod counts;
mod gather;
mod groups;
mod splits;
mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;

use affectory_catalog::{NewRelease, Project, ReleaseItemRow, ReleaseRow};
use affectory_core::{LabelSet, Split};

use crate::names::check_name;
use crate::{ReleaseError, ReleaseItem};
pub use counts::CountTable;
use gather::{Gathered, gather};
pub use groups::{Kinship, MAX_DISTANCE, group};
pub use splits::{Dealt, Fractions, deal};
pub(crate) use write::{MANIFEST, open_to_all, sync_folder};

/// Bits in which two perceptual hashes may differ and still be one picture. Measured on FER+'s 35,000 small aligned
/// faces: see `benches/near_duplicates.rs`.
pub const DEFAULT_DISTANCE: u32 = 4;

/// Where the splits come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Splits {
    /// As the source says. Faces without a split are left out, and training faces that look like one of
    /// validation or test.
    Given,
    /// Drawn from the seed.
    Fractions(Fractions),
}

/// What kind of release is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildOptions {
    /// Its name, never to be used again.
    pub name: String,
    /// Seed of the splits.
    pub seed: u64,
    /// The categories that take part.
    pub labels: LabelSet,
    /// Where the splits come from.
    pub splits: Splits,
    /// Bits of perceptual hash within which pictures count as the same; `None`: only identical files do.
    pub duplicate_distance: Option<u32>,
    /// The program that builds it, for `release.json`.
    pub program_version: String,
}

/// A release that now exists.
#[derive(Debug, Clone, PartialEq)]
pub struct BuiltRelease {
    /// Its row in the catalogue.
    pub row: ReleaseRow,
    /// Its folder.
    pub folder: PathBuf,
    /// Faces by category and split.
    pub counts: CountTable,
    /// Faces left out, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// Number of groups.
    pub n_groups: u64,
    /// Faces in the largest group: far above the rest, it is a chain of look-alikes, and the distance too large.
    pub largest_group: u64,
    /// Groups that lie in both validation and test (given splits only, which are kept as they are).
    pub n_shared_by_valid_and_test: u64,
    /// Whether an earlier build had written the files and died before recording them.
    pub was_repaired: bool,
}

/// Builds a release.
///
/// # Errors
/// If the name is taken, nothing qualifies, or the project cannot be written.
pub async fn build(project: &Project, options: &BuildOptions, now_ms: i64) -> Result<BuiltRelease, ReleaseError> {
    check_name(&options.name)?;
    if let Some(distance) = options.duplicate_distance.filter(|distance| *distance > MAX_DISTANCE) {
        return Err(ReleaseError::BadDistance(distance));
    }
    let releases = project.catalog.list_releases().await?;
    if releases.iter().any(|row| row.release.name == options.name) {
        return Err(affectory_catalog::CatalogError::ReleaseExists(options.name.clone()).into());
    }
    let mut gathered = gather(project, options, now_ms).await?;
    let assigned = {
        let options = options.clone();
        tokio::task::spawn_blocking(move || {
            let facts = assign(&mut gathered, &options);
            (gathered, facts)
        })
    };
    let (gathered, facts) = assigned.await?;
    let Gathered { drafts, left_out } = gathered;
    if drafts.is_empty() {
        let reasons: Vec<String> = left_out.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
        let none = "the project has no faces; import some first".to_owned();
        return Err(ReleaseError::NothingToRelease(if reasons.is_empty() { none } else { reasons.join(", ") }));
    }
    let rows: Vec<ReleaseItemRow> = drafts
        .iter()
        .zip(0..)
        .map(|(draft, item_idx)| ReleaseItemRow {
            item_idx,
            face_id: draft.face_id,
            image_id: draft.image_id,
            split: draft.item.split,
            expression: Some(draft.item.expression),
        })
        .collect();
    let items: Vec<ReleaseItem> = drafts.into_iter().map(|draft| draft.item).collect();
    let counts = CountTable::of(&items, &options.labels);
    let written = write::write(project, options, &items, &counts, &left_out, &facts)?;
    let release = NewRelease {
        name: options.name.clone(),
        manifest_sha256: written.manifest_sha256,
        seed: options.seed,
        labels: options.labels.to_string(),
        parameters: written.parameters,
    };
    let row = project.catalog.record_release(&release, &rows, now_ms).await?;
    Ok(BuiltRelease {
        row,
        folder: written.folder,
        counts,
        left_out,
        n_groups: facts.n_groups,
        largest_group: facts.largest_group,
        n_shared_by_valid_and_test: facts.n_shared_by_valid_and_test,
        was_repaired: written.was_repaired,
    })
}

/// What grouping found out.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(crate) struct GroupFacts {
    n_groups: u64,
    largest_group: u64,
    n_shared_by_valid_and_test: u64,
}

/// Gives each face its group and split, and takes out what may not stay.
fn assign(gathered: &mut Gathered, options: &BuildOptions) -> GroupFacts {
    // By content, so that neither row ids nor the order of imports show in the manifest.
    gathered.drafts.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let kin: Vec<Kinship> = gathered
        .drafts
        .iter()
        .map(|d| Kinship { image: d.item.image_sha256.as_str(), phash: d.item.phash, pages: &d.pages })
        .collect();
    let groups = group(&kin, options.duplicate_distance);
    match options.splits {
        Splits::Fractions(fractions) => {
            let faces: Vec<Dealt> = gathered
                .drafts
                .iter()
                .zip(&groups)
                .map(|(d, &group)| Dealt { key: &d.key, group, category: d.item.expression.index() })
                .collect();
            let splits = deal(&faces, fractions, options.seed);
            for (draft, split) in gathered.drafts.iter_mut().zip(splits) {
                draft.item.split = split;
            }
        }
        Splits::Given => leave_leaks_out(gathered, &groups),
    }
    number_groups(gathered, &groups)
}

/// Validation and test stay exactly as given, so it is training that gives way.
fn leave_leaks_out(gathered: &mut Gathered, groups: &[usize]) {
    let mut is_held_out = vec![false; groups.len()];
    for (draft, &group) in gathered.drafts.iter().zip(groups) {
        is_held_out[group] |= draft.item.split != Split::Train;
    }
    let mut n_leaks = 0;
    for (draft, &group) in gathered.drafts.iter_mut().zip(groups) {
        draft.is_leak = draft.item.split == Split::Train && is_held_out[group];
        n_leaks += u64::from(draft.is_leak);
    }
    if n_leaks > 0 {
        gathered
            .left_out
            .insert("in train, but looks like a face of valid or test, or shares its page".into(), n_leaks);
    }
}

/// Numbers the groups that remain from 0 in the manifest's order, names the items, drops the leaks.
fn number_groups(gathered: &mut Gathered, groups: &[usize]) -> GroupFacts {
    let mut number_of = std::collections::HashMap::new();
    let mut sizes: Vec<(u64, [bool; 3])> = Vec::new();
    for (draft, group) in gathered.drafts.iter_mut().zip(groups).filter(|(draft, _)| !draft.is_leak) {
        let number = *number_of.entry(*group).or_insert(sizes.len());
        if number == sizes.len() {
            sizes.push((0, [false; 3]));
        }
        sizes[number].0 += 1;
        sizes[number].1[draft.item.split as usize] = true;
        draft.item.group = number as u64;
    }
    gathered.drafts.retain(|draft| !draft.is_leak);
    let mut last = (String::new(), 0);
    for draft in &mut gathered.drafts {
        let image = draft.item.image_sha256.as_str();
        last = if last.0 == image { (last.0, last.1 + 1) } else { (image.to_owned(), 0) };
        draft.item.item = format!("{}-{}", &image[..16], last.1);
    }
    GroupFacts {
        n_groups: sizes.len() as u64,
        largest_group: sizes.iter().map(|(size, _)| *size).max().unwrap_or(0),
        n_shared_by_valid_and_test: sizes.iter().filter(|(_, [_, valid, test])| *valid && *test).count() as u64,
    }
}

//! How does a set of labelled faces become an immutable release?
//!
//! Gather faces and their consensus, group what must stay together, deal groups to splits, write, record. Faces wait on the
//! disk in the manifest's order and are read twice, to plan and to write, so that ten million fit into a gigabyte.

mod counts;
mod gather;
mod groups;
mod plan;
mod spill;
mod splits;
mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use affectory_catalog::{NewRelease, Project, ReleaseRow};
use affectory_core::{LabelSet, WAY, way_us};
use tokio::sync::SetOnce;

use crate::ReleaseError;
use crate::names::check_name;
pub use counts::CountTable;
use gather::{Gathered, gather};
pub use groups::{Kinship, MAX_DISTANCE};
use plan::plan;
pub use splits::{Dealt, Fractions, deal, draw};
pub(crate) use write::{MANIFEST, open_to_all, sync_folder};
use write::{parameters, write};

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
    let began = Instant::now();
    check_name(&options.name)?;
    if let Some(distance) = options.duplicate_distance.filter(|distance| *distance > MAX_DISTANCE) {
        return Err(ReleaseError::BadDistance(distance));
    }
    let releases = project.catalog.list_releases().await?;
    if releases.iter().any(|row| row.release.name == options.name) {
        return Err(affectory_catalog::CatalogError::ReleaseExists(options.name.clone()).into());
    }
    let Gathered { faces, mut left_out } = gather(project, options, now_ms).await?;
    let planning = {
        let options = options.clone();
        tokio::task::spawn_blocking(move || {
            let planned = plan(&faces, &options)?;
            Ok::<_, ReleaseError>((faces, planned))
        })
    };
    let (faces, (plan, rows)) = planning.await??;
    let facts = plan.facts;
    if plan.n_leaks > 0 {
        let reason = "in train, but looks like a face of valid or test, or shares its page";
        left_out.insert(reason.into(), plan.n_leaks);
    }
    if rows.is_empty() {
        return Err(nothing(&left_out));
    }
    let release = NewRelease {
        name: options.name.clone(),
        seed: options.seed,
        labels: options.labels.to_string(),
        parameters: parameters(options).to_string(),
    };
    let manifest = SetOnce::new();
    let writing = async {
        let (options, releases, left_out) = (options.clone(), project.releases_dir(), left_out.clone());
        let work = tokio::task::spawn_blocking(move || write(&releases, &options, (&faces, &plan), &left_out));
        let written = work.await??;
        // Nothing else sets it.
        let _ = manifest.set(written.manifest_sha256.clone());
        Ok::<_, ReleaseError>(written)
    };
    let recording = async {
        let row = project.catalog.record_release(&release, &rows, async || manifest.wait().await.clone(), now_ms).await;
        // If that failed, the next build of this name still finds its files, whole.
        manifest.wait().await;
        Ok(row?)
    };
    // What was recorded of a release that could not be written goes with its transaction.
    let (written, row) = tokio::try_join!(writing, recording)?;
    let took_us = way_us(began.elapsed());
    // One step for all its images: there may be ten million.
    tracing::info!(
        target: WAY,
        step = "release build",
        hash = row.manifest_sha256.as_str(),
        brings = "release build",
        ago_us = took_us,
        took_us,
        n_items = row.n_items,
        n_groups = facts.n_groups,
    );
    Ok(BuiltRelease {
        row,
        folder: written.folder,
        counts: written.counts,
        left_out,
        n_groups: facts.n_groups,
        largest_group: facts.largest_group,
        n_shared_by_valid_and_test: facts.n_shared_by_valid_and_test,
        was_repaired: written.was_repaired,
    })
}

fn nothing(left_out: &BTreeMap<String, u64>) -> ReleaseError {
    let reasons: Vec<String> = left_out.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    let none = "the project has no faces; import some first".to_owned();
    ReleaseError::NothingToRelease(if reasons.is_empty() { none } else { reasons.join(", ") })
}

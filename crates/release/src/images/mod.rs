//! How do a collection's images leave the program for those who want images only?
//!
//! An export is a folder of shards, each a WebDataset tar or a Parquet file, and all of it follows from the catalogue
//! and the options: image after image by id, `shard_size` of them a shard, each under its number. So a shard that lies
//! there whole is known again by what it was made from ([`record`]), and a killed export goes on behind it.

mod entry;
mod folder;
mod options;
mod parquet;
mod pipeline;
mod record;
mod render;
mod shard_file;
mod twins;
mod webdataset;

pub(crate) use webdataset::add_member;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use affectory_catalog::{CollectedImage, Project};
use affectory_core::{ImageId, Progress, Stop};

use crate::ReleaseError;
use folder::ExportFolder;
use pipeline::write_shard;
use record::{ShardRecord, fingerprint};
use twins::list_twins;

pub use options::{ImageExportOptions, ImageShape, ShardFormat};
pub use record::{ImageReject, RejectKind};

/// Images that the catalogue is asked for at a time.
const PAGE: u32 = 1000;

/// What an export of images did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ImageExportSummary {
    /// Where it lies.
    pub target: PathBuf,
    /// Shards in it.
    pub shards: u64,
    /// Of these, found whole and left as they were.
    pub kept: u64,
    /// Images in it.
    pub images: u64,
    /// Images left out because one before them looks the same.
    pub twins: u64,
    /// Images that could not be exported: `rejects.csv` says which and why.
    pub rejects: u64,
    /// Bytes of all shards.
    pub bytes: u64,
    /// Whether a stop was asked for before the end; the same export again goes on from there.
    pub stopped: bool,
}

/// The images of one shard, in their order.
struct ShardPlan {
    /// The shard, from 0.
    number: u64,
    /// The first image's place in the export, from 0.
    first_place: u64,
    images: Vec<CollectedImage>,
}

/// Exports every image that was fetched by collecting and is not withdrawn, into a new or empty folder, or into one where
/// an export with the same options was begun: what lies there whole is left as it is.
///
/// # Errors
/// [`ReleaseError::TargetTaken`], [`ReleaseError::OtherExport`], [`ReleaseError::ExportBusy`], or what the catalogue, the
/// store and the file system come up with. An image that cannot be read or decoded is no error: it is listed.
pub async fn export_images(
    project: &Project,
    options: &ImageExportOptions,
    target: &Path,
    (stop, progress): (&Stop, &dyn Progress),
) -> Result<ImageExportSummary, ReleaseError> {
    let mut folder = ExportFolder::open(target, options)?;
    progress.begin("export images", None);
    let mut records: Vec<ShardRecord> = Vec::new();
    let mut n_kept = 0;
    let mut is_stopped = false;
    let twins = if options.is_unique { list_twins(&project.catalog).await? } else { HashSet::new() };
    let mut next = plan_shard(project, options, &twins, None).await?;
    while let Some(plan) = next {
        let fingerprint = fingerprint(&plan.images);
        if let Some(record) = folder.find_whole(plan.number, &fingerprint) {
            progress.advance(plan.images.len() as u64);
            n_kept += 1;
            records.push(record);
            next = plan_shard(project, options, &twins, Some(&plan)).await?;
            continue;
        }
        folder.begin_change()?;
        // The next shard's rows are read while this one's pictures are at work.
        let (written, following) = tokio::join!(
            write_shard(project, options, &folder, (&plan, fingerprint), (stop, progress)),
            plan_shard(project, options, &twins, Some(&plan)),
        );
        match written? {
            Some(record) => records.push(record),
            None => {
                is_stopped = true;
                break;
            }
        }
        next = following?;
    }
    if !is_stopped {
        folder.finish(&records)?;
    }
    progress.end();
    let summary = ImageExportSummary {
        target: target.to_owned(),
        shards: records.len() as u64,
        kept: n_kept,
        images: records.iter().map(|record| record.images).sum(),
        twins: twins.len() as u64,
        rejects: records.iter().map(|record| record.rejects.len() as u64).sum(),
        bytes: records.iter().map(|record| record.bytes).sum(),
        stopped: is_stopped,
    };
    tracing::info!(shards = summary.shards, images = summary.images, rejects = summary.rejects, "export ended");
    Ok(summary)
}

/// The images after those of `before`; `None` when there are no more.
async fn plan_shard(
    project: &Project,
    options: &ImageExportOptions,
    twins: &HashSet<ImageId>,
    before: Option<&ShardPlan>,
) -> Result<Option<ShardPlan>, ReleaseError> {
    let (number, first_place) =
        before.map_or((0, 0), |plan| (plan.number + 1, plan.first_place + plan.images.len() as u64));
    let mut after = before.and_then(|plan| plan.images.last()).map_or(ImageId(0), |image| image.image.id);
    let mut images: Vec<CollectedImage> = Vec::new();
    loop {
        let wanted = options.shard_size.get().saturating_sub(images.len() as u32).min(PAGE);
        if wanted == 0 {
            break;
        }
        let page = project.catalog.list_collected_images(after, wanted).await?;
        let is_last = (page.len() as u32) < wanted;
        after = page.last().map_or(after, |image| image.image.id);
        images.extend(page.into_iter().filter(|image| !twins.contains(&image.image.id)));
        if is_last {
            break;
        }
    }
    Ok((!images.is_empty()).then_some(ShardPlan { number, first_place, images }))
}

//! Which way does a shard go? Objects are read, rendered on every core, and written in order.

use std::panic::{AssertUnwindSafe, catch_unwind};

use affectory_catalog::{CatalogError, CollectedImage, Project};
use affectory_core::{Progress, Stop};
use futures::stream::{self, StreamExt as _};
use tokio::sync::{Semaphore, oneshot};

use super::ShardPlan;
use super::entry::{Entry, key_of};
use super::folder::ExportFolder;
use super::options::{ImageExportOptions, ImageShape, ShardFormat};
use super::parquet::ParquetShard;
use super::record::{ImageReject, RejectKind, ShardRecord};
use super::render::{Rendered, memory_kib, render};
use super::shard_file::ShardFile;
use super::webdataset::WebDatasetShard;
use crate::ReleaseError;

/// Memory for pictures at work, KiB. A picture that alone needs more has it for itself.
const MEMORY_KIB: u64 = 96 * 1024;

/// A shard being written.
pub(super) trait ShardWriter: Send {
    /// Adds an image, and what is said of it. Images come in the order of their keys.
    fn add(&mut self, entry: &Entry, image: &[u8]) -> Result<(), ReleaseError>;

    /// Writes what can only be written at the end, and hands the file back.
    fn finish(self: Box<Self>) -> Result<ShardFile, ReleaseError>;
}

/// Writes one shard and its record; `None` if a stop was asked for, and then there is nothing of it.
pub(super) async fn write_shard(
    project: &Project,
    options: &ImageExportOptions,
    folder: &ExportFolder,
    (plan, fingerprint): (&ShardPlan, String),
    (stop, progress): (&Stop, &dyn Progress),
) -> Result<Option<ShardRecord>, ReleaseError> {
    let file = ShardFile::create(folder.partial(plan.number), folder.shard(plan.number))?;
    let mut shard: Box<dyn ShardWriter> = match options.format {
        ShardFormat::WebDataset => Box::new(WebDatasetShard::new(file)),
        ShardFormat::Parquet => Box::new(ParquetShard::new(file)?),
    };
    let memory = Semaphore::new(MEMORY_KIB as usize);
    let shape = options.shape;
    let at_work = plan.images.iter().map(|image| on_its_way(project, image, shape, &memory));
    // Enough that no core waits while the oldest one is slow.
    let mut at_work = stream::iter(at_work).buffered(8 * rayon::current_num_threads());
    let mut rejects = Vec::new();
    for (place, image) in (plan.first_place..).zip(&plan.images) {
        let Some(outcome) = at_work.next().await else { break };
        if stop.is_requested() {
            return Ok(None);
        }
        match outcome? {
            Ok(rendered) => shard.add(&Entry::new(place, image, &rendered), &rendered.bytes)?,
            Err((kind, reason)) => {
                rejects.push(ImageReject::new(key_of(place), &image.image.image.sha256, kind, &reason));
            }
        }
        progress.advance(1);
    }
    drop(at_work);
    let (bytes, sha256) = shard.finish()?.put_in_place()?;
    let id_of = |image: Option<&CollectedImage>| image.map_or(0, |image| image.image.id.0);
    let record = ShardRecord {
        shard: plan.number,
        first_image_id: id_of(plan.images.first()),
        last_image_id: id_of(plan.images.last()),
        fingerprint,
        images: (plan.images.len() - rejects.len()) as u64,
        bytes,
        sha256: sha256.to_string(),
        rejects,
    };
    folder.keep_record(&record)?;
    Ok(Some(record))
}

/// A picture, or why there is none.
type Outcome = Result<Rendered, (RejectKind, String)>;

/// Brings one image from the store through the pool of threads. Errors are those that would meet every other image too.
async fn on_its_way(
    project: &Project,
    image: &CollectedImage,
    shape: ImageShape,
    memory: &Semaphore,
) -> Result<Outcome, ReleaseError> {
    let share = memory_kib(image, shape).min(MEMORY_KIB) as u32;
    // The semaphore is never closed, and first come is first served, so that the oldest image always gets on.
    let _share = memory.acquire_many(share).await.ok();
    let bytes = match project.store.read(&image.image.image.sha256).await {
        Ok(bytes) => bytes,
        Err(error @ CatalogError::NoObject(_)) => return Ok(Err((RejectKind::ObjectMissing, error.to_string()))),
        Err(error @ CatalogError::DamagedObject(_)) => return Ok(Err((RejectKind::ObjectDamaged, error.to_string()))),
        Err(error) => return Err(error.into()),
    };
    if shape == ImageShape::Original {
        return Ok(render(image, bytes, shape));
    }
    let (done, ended) = oneshot::channel();
    let image = image.clone();
    rayon::spawn(move || {
        // A panic costs the image; unwound into the pool it would end the process.
        if let Ok(outcome) = catch_unwind(AssertUnwindSafe(|| render(&image, bytes, shape))) {
            // Nobody listens after a stop.
            let _ = done.send(outcome);
        }
    });
    Ok(ended.await.unwrap_or_else(|_| Err((RejectKind::NotDecodable, "making it smaller broke down".into()))))
}

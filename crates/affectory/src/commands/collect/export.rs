//! `affectory collect export`: the collection's images for those who want images only, as WebDataset or Parquet.

use affectory_imaging::Fit;
use affectory_release::images::{ImageExportOptions, ImageExportSummary, ImageShape, ShardFormat, export_images};
use anyhow::bail;

use super::super::{Context, shown};
use crate::cli::{CollectExport, ImageMode, ShardKind};

pub(super) async fn export(context: &Context, args: &CollectExport) -> anyhow::Result<()> {
    let fitted = |fit| ImageShape::Fitted { fit, size: args.size, quality: args.quality };
    let options = ImageExportOptions {
        format: match args.format {
            ShardKind::Webdataset => ShardFormat::WebDataset,
            ShardKind::Parquet => ShardFormat::Parquet,
        },
        shape: match args.mode {
            ImageMode::Border => fitted(Fit::Border),
            ImageMode::KeepRatio => fitted(Fit::KeepRatio),
            ImageMode::CenterCrop => fitted(Fit::CenterCrop),
            ImageMode::Original => ImageShape::Original,
        },
        shard_size: args.shard_size,
        is_unique: args.unique,
    };
    let project = context.open().await?;
    let summary = export_images(&project, &options, &args.out, (&context.stop, &context.bars)).await?;
    context.print(&describe(&summary), &serde_json::to_value(&summary)?)?;
    if summary.stopped {
        bail!("stopped before the end: the same command goes on from here");
    }
    Ok(())
}

/// What an export did, for people.
fn describe(summary: &ImageExportSummary) -> String {
    let mut text = format!("{} images in {} shards in {}", summary.images, summary.shards, shown(&summary.target));
    if summary.kept > 0 {
        text += &format!("; {} shards were there already", summary.kept);
    }
    if summary.twins > 0 {
        text += &format!("; {} images left out that look like one before them", summary.twins);
    }
    if summary.rejects > 0 {
        text += &format!(
            "\n{} images could not be exported: see {}",
            summary.rejects,
            shown(&summary.target.join("rejects.csv"))
        );
    }
    if summary.images == 0 && summary.rejects == 0 {
        text += "\nnothing was fetched yet: affectory collect plan, then affectory collect run";
    }
    text
}

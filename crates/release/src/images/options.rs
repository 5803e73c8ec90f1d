//! What may be asked of an export of images?

use std::num::NonZeroU32;

use affectory_imaging::{Fit, JPEG_DECODER, JPEG_ENCODER};

/// What a shard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardFormat {
    /// A tar with `KEY.jpg` and `KEY.json` for each image.
    WebDataset,
    /// A table with a row for each image, its bytes in the column `image`.
    Parquet,
}

impl ShardFormat {
    /// The name used in commands.
    pub const fn name(self) -> &'static str {
        match self {
            ShardFormat::WebDataset => "webdataset",
            ShardFormat::Parquet => "parquet",
        }
    }

    /// The ending of a shard's name.
    pub(super) const fn ending(self) -> &'static str {
        match self {
            ShardFormat::WebDataset => "tar",
            ShardFormat::Parquet => "parquet",
        }
    }
}

/// What becomes of each picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageShape {
    /// The bytes as they were fetched; they are not decoded.
    Original,
    /// Fitted to one size, turned upright, as JPEG with quarter chroma.
    Fitted {
        /// How it is fitted.
        fit: Fit,
        /// Pixels a side, or of the shorter side.
        size: NonZeroU32,
        /// Quality of the JPEG, 1 to 100.
        quality: u8,
    },
}

/// What shall be exported, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageExportOptions {
    /// What a shard is.
    pub format: ShardFormat,
    /// What becomes of each picture.
    pub shape: ImageShape,
    /// Images a shard.
    pub shard_size: NonZeroU32,
    /// Whether an image that looks like one before it is left out.
    pub is_unique: bool,
}

impl ImageExportOptions {
    /// As `export.json` keeps them: two exports with the same text make the same bytes of the same images.
    pub(super) fn to_json(self) -> serde_json::Value {
        let mut json = serde_json::json!({
            "export": "affectory collect",
            "version": 1,
            "format": self.format.name(),
            "shard_size": self.shard_size,
            "unique": self.is_unique,
        });
        match self.shape {
            ImageShape::Original => json["mode"] = "original".into(),
            ImageShape::Fitted { fit, size, quality } => {
                json["mode"] = fit_name(fit).into();
                json["size"] = size.get().into();
                json["quality"] = quality.into();
                json["decoder"] = JPEG_DECODER.into();
                json["encoder"] = JPEG_ENCODER.into();
            }
        }
        json
    }
}

fn fit_name(fit: Fit) -> &'static str {
    match fit {
        Fit::Border => "border",
        Fit::KeepRatio => "keep-ratio",
        Fit::CenterCrop => "center-crop",
    }
}

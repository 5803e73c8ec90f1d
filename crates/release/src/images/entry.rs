//! What does an export say of an image?

use affectory_catalog::{CollectedImage, CollectedSighting};

use super::render::Rendered;

/// The `KEY.json` of an image, and the columns of its row. All text of others is a value here, and never a name.
#[derive(Debug, serde::Serialize)]
pub(super) struct Entry<'a> {
    /// The image's place in the export.
    pub key: String,
    /// SHA-256 of the bytes as fetched: the image's name everywhere in the project.
    pub sha256: &'a str,
    /// Format of the exported bytes.
    pub format: &'a str,
    pub width: u32,
    pub height: u32,
    pub original_format: &'a str,
    pub original_width: u32,
    pub original_height: u32,
    pub original_bytes: u64,
    /// 16 hexadecimal digits; null until faces were looked for.
    pub phash: Option<String>,
    /// Where it was met first.
    pub url: Option<&'a str>,
    pub sightings: &'a [CollectedSighting],
}

impl<'a> Entry<'a> {
    pub(super) fn new(place: u64, image: &'a CollectedImage, rendered: &'a Rendered) -> Self {
        let original = &image.image.image;
        Entry {
            key: key_of(place),
            sha256: original.sha256.as_str(),
            format: &rendered.format,
            width: rendered.width,
            height: rendered.height,
            original_format: &original.format,
            original_width: original.width,
            original_height: original.height,
            original_bytes: original.size_bytes,
            phash: image.phash.map(|phash| format!("{:016x}", phash.0)),
            url: image.sightings.first().map(|sighting| sighting.url.as_str()),
            sightings: &image.sightings,
        }
    }
}

/// A WebDataset key: nine digits, so that keys sort as numbers do.
pub(super) fn key_of(place: u64) -> String {
    format!("{place:09}")
}

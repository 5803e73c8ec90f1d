//! How is a pack made? A tar whose bytes follow from the images and from what the manifest says of them, and from nothing else.

use affectory_catalog::Project;
use affectory_core::{Sha256Hex, Stop};
use affectory_imaging::sha256;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};

use super::Images;
use crate::images::add_member;
use crate::item::ReleaseItem;
use crate::{ReleaseError, export};

/// Objects being read at a time.
const READS_IN_FLIGHT: usize = 16;

/// Bytes of a pack, at most: it is made in memory, and read into it.
const MOST_BYTES: usize = 1 << 30;

/// What is said of an image, `SHA256.json`.
#[derive(serde::Serialize)]
struct Said<'a> {
    sha256: &'a str,
    width: u32,
    height: u32,
    license: Option<&'a str>,
    page_url: Option<&'a str>,
    faces: Vec<Face<'a>>,
}

#[derive(serde::Serialize)]
struct Face<'a> {
    item: &'a str,
    /// x, y, width, height; pixels of the image.
    #[serde(rename = "box")]
    bounding_box: [f32; 4],
    expression: &'a str,
    valence: Option<f32>,
    arousal: Option<f32>,
    /// Whether valence and arousal come from a formula and not from people.
    is_proxy: bool,
    votes: [u32; 11],
    split: &'a str,
}

/// The pack and its hash; `None` if a stop was asked for.
pub(super) async fn write(
    project: &Project,
    images: &Images<'_>,
    stop: &Stop,
) -> Result<Option<(Bytes, Sha256Hex)>, ReleaseError> {
    let mut tar = tar::Builder::new(Vec::new());
    let hashes: Vec<Sha256Hex> = images.keys().map(|image| (*image).clone()).collect();
    let store = project.store.clone();
    let read = move |image: Sha256Hex| {
        let store = store.clone();
        async move { (store.read(&image).await, image) }
    };
    let mut reads = stream::iter(hashes).map(read).buffered(READS_IN_FLIGHT);
    while let Some((bytes, image)) = reads.next().await {
        if stop.is_requested() {
            return Ok(None);
        }
        let (bytes, Some(items)) = (bytes?, images.get(&image)) else { continue };
        let Some(first) = items.first() else { continue };
        if tar.get_ref().len() + bytes.len() > MOST_BYTES {
            return Err(ReleaseError::PackTooLarge);
        }
        let said = serde_json::to_vec(&said(first, items)).map_err(std::io::Error::from);
        let image_name = format!("{image}.{}", export::extension(&first.format));
        let added = add_member(&mut tar, &image_name, &bytes)
            .and_then(|()| add_member(&mut tar, &format!("{image}.json"), &said?));
        added.map_err(ReleaseError::file("write", std::path::Path::new(&image_name)))?;
    }
    drop(reads);
    let bytes = tar.into_inner().map_err(ReleaseError::file("write", std::path::Path::new("a pack")))?;
    let hash = sha256(&bytes);
    Ok(Some((bytes.into(), hash)))
}

fn said<'a>(first: &'a ReleaseItem, items: &[&'a ReleaseItem]) -> Said<'a> {
    let face = |item: &&'a ReleaseItem| Face {
        item: &item.item,
        bounding_box: [item.bounding_box.x, item.bounding_box.y, item.bounding_box.width, item.bounding_box.height],
        expression: item.expression.name(),
        valence: item.valence.map(affectory_core::Valence::value),
        arousal: item.arousal.map(affectory_core::Arousal::value),
        is_proxy: item.is_proxy,
        votes: item.votes,
        split: item.split.name(),
    };
    Said {
        sha256: first.image_sha256.as_str(),
        width: first.width,
        height: first.height,
        license: first.license.as_deref(),
        page_url: first.page_url.as_deref(),
        faces: items.iter().map(face).collect(),
    }
}

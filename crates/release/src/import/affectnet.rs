//! How is AffectNet's full release read?

use std::path::Path;

use affectory_catalog::AnnotatorKind;
use affectory_core::Split;

use super::labels::{Labels, parse_box, parse_landmarks};
use super::rows::{Line, group, read_table};
use super::source::open_root;
use super::{Candidates, ImageBytes};
use crate::ReleaseError;

/// The header of its tables.
pub(crate) const COLUMNS: [&str; 9] = [
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
];

/// Where its images lie.
pub(crate) const IMAGES: &str = "Manually_Annotated_Images";

/// Its tables; the third is ours, for releases that have a test split.
pub(crate) const TABLES: [(&str, Split); 3] =
    [("training.csv", Split::Train), ("validation.csv", Split::Valid), ("test.csv", Split::Test)];

pub(super) fn candidates(path: &Path, source: &str) -> Result<Candidates, ReleaseError> {
    let root = open_root(path)?;
    let layout = |reason: &str| ReleaseError::Layout { path: path.to_owned(), reason: reason.to_owned() };
    let tables: Vec<_> = TABLES.into_iter().filter(|(name, _)| root.join(name).is_file()).collect();
    if tables.is_empty() {
        return Err(layout("expected training.csv or validation.csv"));
    }
    let images = root.join(IMAGES);
    if !images.is_dir() {
        return Err(layout("expected the images in Manually_Annotated_Images/"));
    }
    let images = open_root(&images)?;
    let mut out = Vec::new();
    for (name, split) in tables {
        let path = root.join(name);
        let file = std::fs::File::open(&path).map_err(ReleaseError::file("open", &path))?;
        let lines = read_table(file, &path, &COLUMNS, &COLUMNS, |columns, line| {
            let text = |name| columns.text(line, name);
            let labels = Labels::parse(text("expression"), text("valence"), text("arousal"))?;
            Ok(Line {
                path: text("subDirectory_filePath").to_owned(),
                bounding_box: parse_box(["face_x", "face_y", "face_width", "face_height"].map(text))?,
                landmarks: parse_landmarks(text("facial_landmarks"))?,
                annotation: labels.by(source.to_owned(), AnnotatorKind::Imported),
                given_split: Some(split),
                page_url: None,
                license: None,
            })
        })?;
        let bytes_of = |path: &str| ImageBytes::File { root: images.clone(), relative: path.to_owned() };
        out.extend(group(name, lines, bytes_of));
    }
    Ok(Box::new(out.into_iter()))
}

//! How is a CSV with one line a face (and annotator) read?

use std::path::{Path, PathBuf};

use affectory_catalog::AnnotatorKind;

use super::labels::{Labels, parse_box, parse_landmarks};
use super::rows::{Line, group, read_table};
use super::source::open_root;
use super::{Candidates, ImageBytes};
use crate::ReleaseError;

/// All columns; `image` and one label are needed.
pub(crate) const COLUMNS: [&str; 13] = [
    "image",
    "expression",
    "valence",
    "arousal",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "landmarks",
    "split",
    "page_url",
    "license",
    "annotator",
];

pub(super) fn candidates(path: &Path, source: &str) -> Result<Candidates, ReleaseError> {
    let file = std::fs::File::open(path).map_err(ReleaseError::file("open", path))?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).map_or(PathBuf::from("."), Path::to_owned);
    let root = open_root(&folder)?;
    let mut has_label = false;
    let lines = read_table(file, path, &["image"], &COLUMNS, |columns, line| {
        has_label |= ["expression", "valence", "arousal"].iter().any(|label| columns.has(label));
        let text = |name| columns.text(line, name);
        let who = text("annotator");
        // `proxy...` is a formula; it must not come back as a person.
        let kind = if who.starts_with("proxy") { AnnotatorKind::Proxy } else { AnnotatorKind::Imported };
        let annotator = if who.is_empty() { source.to_owned() } else { format!("{source}/{who}") };
        Ok(Line {
            path: text("image").to_owned(),
            bounding_box: parse_box(["face_x", "face_y", "face_width", "face_height"].map(text))?,
            landmarks: parse_landmarks(text("landmarks"))?,
            annotation: Labels::parse(text("expression"), text("valence"), text("arousal"))?.by(annotator, kind),
            given_split: match text("split") {
                "" => None,
                split => Some(split.parse().map_err(|e: affectory_core::CoreError| e.to_string())?),
            },
            page_url: columns.filled(line, "page_url"),
            license: columns.filled(line, "license"),
        })
    })?;
    if !lines.is_empty() && !has_label {
        let reason = "no label: expected at least one of the columns expression, valence, arousal".to_owned();
        return Err(ReleaseError::Layout { path: path.to_owned(), reason });
    }
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let bytes_of = |path: &str| ImageBytes::File { root: root.clone(), relative: path.to_owned() };
    Ok(Box::new(group(&name, lines, bytes_of).into_iter()))
}

//! How is AffectNet's eight-label release read, which keeps each label in a file of its own?

use std::path::Path;
use std::sync::Arc;

use affectory_catalog::AnnotatorKind;
use affectory_core::{Landmarks, Point, Split};
use affectory_imaging::Limits;

use super::labels::Labels;
use super::source::{list_files, open_root};
use super::{Candidate, CandidateFace, Candidates, ImageBytes, Reject};
use crate::ReleaseError;
use crate::npy::{self, Array};

/// Its parts; the third is ours, for releases that have a test split.
pub(crate) const PARTS: [(&str, Split); 3] =
    [("train_set", Split::Train), ("val_set", Split::Valid), ("test_set", Split::Test)];

pub(super) fn candidates(path: &Path, source: &str) -> Result<Candidates, ReleaseError> {
    let root = open_root(path)?;
    let mut images = Vec::new();
    for (part, split) in PARTS {
        let folder = root.join(part).join("images");
        if folder.is_dir() {
            let mut names = list_files(&folder, 1)?;
            // 2 before 10: the order of the release, not of the alphabet.
            names.sort_by_key(|name| (stem(name).parse::<u64>().unwrap_or(u64::MAX), name.clone()));
            images.extend(names.into_iter().map(|name| (part, split, name)));
        }
    }
    if images.is_empty() {
        let reason = "expected train_set/images/ or val_set/images/ with images in it".to_owned();
        return Err(ReleaseError::Layout { path: path.to_owned(), reason });
    }
    let source = source.to_owned();
    Ok(Box::new(images.into_iter().map(move |(part, split, name)| candidate(&root, &source, part, split, &name))))
}

fn candidate(root: &Arc<Path>, source: &str, part: &str, split: Split, name: &str) -> Result<Candidate, Reject> {
    let annotation_file = |what: &str| format!("{part}/annotations/{}_{what}.npy", stem(name));
    let read = |what: &str| -> Result<Array, Reject> {
        let relative = annotation_file(what);
        let bytes = ImageBytes::File { root: Arc::clone(root), relative: relative.clone() };
        let limits = Limits { max_bytes: 1 << 20, ..Limits::default() };
        let parsed = bytes.read(&limits).and_then(|bytes| npy::parse(&bytes));
        parsed.map_err(|e| Reject::new(&relative, None, &e.replace("the image", "the file")))
    };
    let path = format!("{part}/images/{name}");
    let reject = |reason: String| Reject::new(&path, None, &reason);
    let single = |what: &str| single_text(read(what)?).map_err(|e| Reject::new(&annotation_file(what), None, &e));
    let labels = Labels::parse(&single("exp")?, &single("val")?, &single("aro")?).map_err(reject)?;
    let has_landmarks = root.join(annotation_file("lnd")).exists();
    let landmarks = if has_landmarks { landmarks(read("lnd")?).map_err(reject)? } else { None };
    Ok(Candidate {
        file: path.clone(),
        line: None,
        bytes: ImageBytes::File { root: Arc::clone(root), relative: path.clone() },
        path,
        given_split: Some(split),
        page_url: None,
        license: None,
        faces: vec![CandidateFace {
            line: None,
            bounding_box: None,
            landmarks,
            annotations: labels.by(source.to_owned(), AnnotatorKind::Imported).into_iter().collect(),
        }],
    })
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The one value of a label file as text, whatever it was stored as.
fn single_text(array: Array) -> Result<String, String> {
    match array {
        Array::Text(texts) => match <[String; 1]>::try_from(texts) {
            Ok([text]) => Ok(text),
            Err(texts) => Err(format!("{} values where one was expected", texts.len())),
        },
        Array::Numbers(numbers) => match numbers[..] {
            [number] => Ok(number.to_string()),
            _ => Err(format!("{} values where one was expected", numbers.len())),
        },
    }
}

fn landmarks(array: Array) -> Result<Option<Landmarks>, String> {
    let numbers: Vec<f32> = match array {
        Array::Numbers(numbers) => numbers.into_iter().map(|n| n as f32).collect(),
        Array::Text(texts) => texts
            .iter()
            .map(|text| text.trim().parse().map_err(|_| "a landmark is not a number".to_owned()))
            .collect::<Result<_, _>>()?,
    };
    if numbers.is_empty() {
        return Ok(None);
    }
    if !numbers.len().is_multiple_of(2) {
        return Err("an odd number of landmark coordinates".into());
    }
    let points = numbers.chunks_exact(2).map(|xy| Point { x: xy[0], y: xy[1] }).collect();
    Landmarks::new(points).map(Some).map_err(|e| e.to_string())
}

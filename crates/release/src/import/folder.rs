//! How is a folder with one sub-folder a label read?

use std::path::Path;

use affectory_catalog::AnnotatorKind;
use affectory_core::{Expression, Split};

use super::labels::Labels;
use super::source::{list_files, open_root};
use super::{Candidate, CandidateFace, Candidates, ImageBytes, Reject};
use crate::ReleaseError;

pub(super) fn candidates(path: &Path, source: &str) -> Result<Candidates, ReleaseError> {
    let root = open_root(path)?;
    let files = list_files(&root, 3)?;
    if !files.iter().any(|file| file.contains('/')) {
        let reason =
            "expected one sub-folder a label (neutral, happy, ...), or train/LABEL, valid/LABEL, test/LABEL".to_owned();
        return Err(ReleaseError::Layout { path: path.to_owned(), reason });
    }
    let source = source.to_owned();
    // Beside the labels' folders lie read-me files and tables, which are no images.
    Ok(Box::new(files.into_iter().filter(|file| file.contains('/')).map(move |file| {
        let (given_split, expression) = place(&file).map_err(|reason| Reject::new(&file, None, &reason))?;
        let labels = Labels { expression: Some(expression), valence: None, arousal: None };
        let annotations = labels.by(source.clone(), AnnotatorKind::Imported).into_iter().collect();
        Ok(Candidate {
            bytes: ImageBytes::File { root: root.clone(), relative: file.clone() },
            path: file.clone(),
            file,
            line: None,
            given_split,
            page_url: None,
            license: None,
            faces: vec![CandidateFace { line: None, bounding_box: None, landmarks: None, annotations }],
        })
    })))
}

/// What the folders over a file say: `happy/1.png`, or `valid/happy/1.png`.
fn place(file: &str) -> Result<(Option<Split>, Expression), String> {
    let folders: Vec<&str> = file.split('/').collect();
    match folders[..] {
        [label, _] => match label.parse::<Expression>() {
            Ok(expression) => Ok((None, expression)),
            Err(_) if label.parse::<Split>().is_ok() => Err("lies in no label's folder".into()),
            Err(e) => Err(e.to_string()),
        },
        [split, label, _] => {
            let expression = label.parse::<Expression>().map_err(|e| e.to_string())?;
            Ok((Some(split.parse::<Split>().map_err(|e| e.to_string())?), expression))
        }
        _ => Err("lies too deep: expected LABEL/FILE or SPLIT/LABEL/FILE".into()),
    }
}

//! How is FER+ read, and how do ten anonymous votes become ten annotations?
//!
//! Barsoum et al., "Training deep networks for facial expression recognition with crowd-sourced label
//! distribution" (2016): 48x48 faces of FER2013, each judged by ten people.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use affectory_catalog::{AnnotatorKind, NewAnnotation};
use affectory_core::ValenceArousal;
use affectory_core::{Expression, Split};

use super::rows::{Line, group, read_table};
use super::source::{index_tar, list_files, open_root};
use super::{Candidate, Candidates, ImageBytes, Reject};
use crate::ReleaseError;

/// The columns of `votes.csv` after `image`, and what a vote in each says.
const VOTES: [(&str, Expression); 10] = [
    ("neutral", Expression::Neutral),
    ("happiness", Expression::Happy),
    ("surprise", Expression::Surprise),
    ("sadness", Expression::Sad),
    ("anger", Expression::Anger),
    ("disgust", Expression::Disgust),
    ("fear", Expression::Fear),
    ("contempt", Expression::Contempt),
    ("unknown", Expression::Uncertain),
    ("nf", Expression::NonFace),
];

/// The annotator of the proxy.
pub const PROXY_ANNOTATOR: &str = "proxy:ferplus-linear-map";

pub(super) fn candidates(path: &Path, proxy_va: bool) -> Result<Candidates, ReleaseError> {
    let files = if path.is_dir() {
        let root = open_root(path)?;
        let files = list_files(&root, 2)?.into_iter();
        files.map(|relative| (relative.clone(), ImageBytes::File { root: root.clone(), relative })).collect()
    } else {
        index_tar(path)?
    };
    let mut tables: Vec<&String> = files.keys().filter(|name| name.rsplit('/').next() == Some("votes.csv")).collect();
    tables.sort_unstable();
    if tables.is_empty() {
        let reason = "expected votes.csv, beside the images or in train/, valid/, test/".to_owned();
        return Err(ReleaseError::Layout { path: path.to_owned(), reason });
    }
    let mut out = Vec::new();
    for table in tables {
        out.extend(read_votes(&files, table, path, proxy_va)?);
    }
    Ok(Box::new(out.into_iter()))
}

fn read_votes(
    files: &HashMap<String, ImageBytes>,
    table: &str,
    path: &Path,
    proxy_va: bool,
) -> Result<Vec<Result<Candidate, Reject>>, ReleaseError> {
    let limits = affectory_imaging::Limits::default();
    let layout = |reason| ReleaseError::Layout { path: path.join(table), reason };
    let bytes = files[table].read(&limits).map_err(layout)?;
    let folder = table.strip_suffix("votes.csv").unwrap_or_default();
    let given_split = folder.trim_end_matches('/').parse::<Split>().ok();
    let columns: Vec<&str> = std::iter::once("image").chain(VOTES.map(|(column, _)| column)).collect();

    let mut votes_of: HashMap<String, [u8; 10]> = HashMap::new();
    let mut listed: HashSet<String> = HashSet::new();
    let lines = read_table(bytes.as_slice(), &path.join(table), &columns, &columns, |columns, line| {
        let image = format!("{folder}{}", columns.text(line, "image"));
        if !listed.insert(image.clone()) {
            return Err("the image has a line already".into());
        }
        if !files.contains_key(&image) {
            return Err("the image is missing".into());
        }
        let mut votes = [0u8; 10];
        for (count, (column, _)) in votes.iter_mut().zip(VOTES) {
            let text = columns.text(line, column);
            *count = text.parse().map_err(|_| format!("votes for {column} are `{text}`, expected 0 to 10"))?;
        }
        let n_votes: u32 = votes.iter().map(|&n| u32::from(n)).sum();
        if n_votes > 10 {
            return Err(format!("{n_votes} votes where there were ten annotators"));
        }
        votes_of.insert(image.clone(), votes);
        Ok(Line {
            path: image,
            bounding_box: None,
            landmarks: None,
            annotation: None,
            given_split,
            page_url: None,
            license: None,
        })
    })?;
    let mut found = group(table, lines, |path| files[path].clone());
    for candidate in found.iter_mut().flatten() {
        if let (Some(votes), [face]) = (votes_of.get(&candidate.path), &mut candidate.faces[..]) {
            face.annotations = annotations(votes, proxy_va);
        }
    }
    let mut unlisted: Vec<&String> = files
        .keys()
        .filter(|name| name.starts_with(folder) && !name[folder.len()..].contains('/'))
        .filter(|name| name.as_str() != table && !listed.contains(*name))
        .collect();
    unlisted.sort_unstable();
    found.extend(unlisted.into_iter().map(|name| Err(Reject::new(name, None, "the image has no line in votes.csv"))));
    Ok(found)
}

/// The k-th vote in the order of the columns goes to annotator k: who gave which is not published.
fn annotations(votes: &[u8; 10], proxy_va: bool) -> Vec<NewAnnotation> {
    let cast =
        votes.iter().zip(VOTES).flat_map(|(&n, (_, expression))| std::iter::repeat_n(expression, usize::from(n)));
    let mut annotations: Vec<NewAnnotation> = cast
        .enumerate()
        .map(|(nth, expression)| NewAnnotation {
            annotator: format!("ferplus/{:02}", nth + 1),
            kind: AnnotatorKind::Imported,
            expression: Some(expression),
            valence: None,
            arousal: None,
        })
        .collect();
    if let Some(point) = proxy_va.then(|| proxy(votes)).flatten() {
        annotations.push(NewAnnotation {
            annotator: PROXY_ANNOTATOR.to_owned(),
            kind: AnnotatorKind::Proxy,
            expression: None,
            valence: Some(point.valence),
            arousal: Some(point.arousal),
        });
    }
    annotations
}

/// The proxy of the votes for the eight expressions. Votes of 1 are dropped as noise first, as is customary for FER+;
/// `None` where nothing remains.
fn proxy(votes: &[u8; 10]) -> Option<ValenceArousal> {
    let kept = votes.iter().zip(VOTES).filter(|(n, _)| **n > 1);
    ValenceArousal::proxy(kept.map(|(&n, (_, expression))| (expression, f32::from(n))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_go_to_annotators_in_the_order_of_the_columns() {
        let given = annotations(&[1, 2, 0, 0, 0, 0, 0, 0, 0, 1], false);
        let said: Vec<_> = given.iter().map(|a| (a.annotator.as_str(), a.expression)).collect();
        assert_eq!(said[0], ("ferplus/01", Some(Expression::Neutral)));
        assert_eq!(said[2], ("ferplus/03", Some(Expression::Happy)));
        assert_eq!(said[3], ("ferplus/04", Some(Expression::NonFace)));
    }

    #[test]
    fn the_proxy_is_the_mean_of_its_map_over_votes_above_one() {
        // 6 happy, 2 neutral, 1 sad (dropped), 1 unknown: valence (6 * 0.47 + 2 * 0.05) / 8 = 0.365
        let point = proxy(&[2, 6, 0, 1, 0, 0, 0, 0, 1, 0]).expect("eight votes remain");
        assert!((point.valence.value() - 0.365).abs() < 1e-6);
        assert_eq!(proxy(&[1, 1, 0, 0, 0, 0, 0, 0, 8, 0]), None);
    }
}

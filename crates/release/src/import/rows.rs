//! How do the lines of a table become candidates, one an image, whatever the lines' order?

use std::collections::HashMap;
use std::path::Path;

use ::csv::StringRecord;
use affectory_catalog::NewAnnotation;
use affectory_core::{BoundingBox, Landmarks, Split};

use super::{Candidate, CandidateFace, ImageBytes, Reject};
use crate::ReleaseError;

/// A table's columns by name.
pub(super) struct Columns(HashMap<String, usize>);

impl Columns {
    /// The trimmed text of a column; empty where the table or the line lacks it.
    pub fn text<'a>(&self, line: &'a StringRecord, name: &str) -> &'a str {
        self.0.get(name).and_then(|&at| line.get(at)).map_or("", str::trim)
    }

    /// Like [`Columns::text`], with absence told apart.
    pub fn filled(&self, line: &StringRecord, name: &str) -> Option<String> {
        Some(self.text(line, name)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// What one line says.
pub(super) struct Line {
    pub path: String,
    pub bounding_box: Option<BoundingBox>,
    pub landmarks: Option<Landmarks>,
    pub annotation: Option<NewAnnotation>,
    pub given_split: Option<Split>,
    pub page_url: Option<String>,
    pub license: Option<String>,
}

/// A line's number in the file and what it says, or why it says nothing.
pub(super) type Numbered = (u64, Result<Line, String>);

/// Reads a whole table. `known` are the columns its format has, `required` those without which it means nothing;
/// a line that cannot be understood becomes a reject.
pub(super) fn read_table(
    reader: impl std::io::Read,
    path: &Path,
    required: &[&str],
    known: &[&str],
    mut parse: impl FnMut(&Columns, &StringRecord) -> Result<Line, String>,
) -> Result<Vec<Numbered>, ReleaseError> {
    let layout = |reason: String| ReleaseError::Layout { path: path.to_owned(), reason };
    // Flexible, so that one short line is one reject and not the end.
    let mut table = ::csv::ReaderBuilder::new().flexible(true).from_reader(reader);
    let header = table.headers().map_err(|e| layout(format!("cannot read the header: {e}")))?.clone();
    let expected = || format!("expected a header with {} (known: {})", required.join(","), known.join(","));
    let mut columns = HashMap::new();
    for (at, name) in header.iter().enumerate() {
        let name = name.trim().to_lowercase();
        let Some(known) = known.iter().find(|known| known.to_lowercase() == name) else {
            return Err(layout(format!("unknown column `{}`: {}", crate::names::printable(&name), expected())));
        };
        if columns.insert((*known).to_owned(), at).is_some() {
            return Err(layout(format!("column `{known}` stands twice")));
        }
    }
    if let Some(missing) = required.iter().find(|name| !columns.contains_key(**name)) {
        return Err(layout(format!("no column `{missing}`: {}", expected())));
    }
    let columns = Columns(columns);
    let mut lines = Vec::new();
    for record in table.byte_records() {
        let record = match record {
            Ok(record) => record,
            // The reader cannot find the next line after this, so what follows would be guesswork.
            Err(e) => return Err(layout(format!("cannot read on: {e}"))),
        };
        let line_number = record.position().map_or(0, ::csv::Position::line);
        let parsed = match StringRecord::from_byte_record(record) {
            Ok(record) if record.len() != header.len() => {
                Err(format!("{} fields where the header has {}", record.len(), header.len()))
            }
            Ok(record) => parse(&columns, &record),
            Err(_) => Err("not UTF-8".to_owned()),
        };
        lines.push((line_number, parsed));
    }
    Ok(lines)
}

/// Gathers the lines of each image, in the order of its first line. `bytes_of` says where a path's bytes are.
pub(super) fn group(
    file: &str,
    lines: Vec<(u64, Result<Line, String>)>,
    bytes_of: impl Fn(&str) -> ImageBytes,
) -> Vec<Result<Candidate, Reject>> {
    let mut out: Vec<Result<Candidate, Reject>> = Vec::new();
    let mut place: HashMap<String, usize> = HashMap::new();
    for (number, line) in lines {
        let reject = |reason: &str| Err(Reject::new(file, Some(number), reason));
        let line = match line {
            Ok(line) => line,
            Err(reason) => {
                out.push(reject(&reason));
                continue;
            }
        };
        let face = CandidateFace {
            line: Some(number),
            bounding_box: line.bounding_box,
            landmarks: line.landmarks,
            annotations: line.annotation.into_iter().collect(),
        };
        match place.get(&line.path).and_then(|&at| out.get_mut(at)) {
            Some(Ok(candidate)) => {
                if let Err(reason) = add_face(candidate, face, line.given_split) {
                    out.push(reject(reason));
                }
            }
            Some(Err(_)) | None => {
                place.insert(line.path.clone(), out.len());
                out.push(Ok(Candidate {
                    file: file.to_owned(),
                    line: Some(number),
                    bytes: bytes_of(&line.path),
                    path: line.path,
                    given_split: line.given_split,
                    page_url: line.page_url,
                    license: line.license,
                    faces: vec![face],
                }));
            }
        }
    }
    out
}

/// Another line on an image already met: another face in it, or another annotator of the same face.
fn add_face(candidate: &mut Candidate, face: CandidateFace, split: Option<Split>) -> Result<(), &'static str> {
    if split != candidate.given_split {
        return Err("the image stands in another split already");
    }
    let Some(known) = candidate.faces.iter_mut().find(|known| known.bounding_box == face.bounding_box) else {
        candidate.faces.push(face);
        return Ok(());
    };
    for annotation in face.annotations {
        if known.annotations.iter().any(|other| other.annotator == annotation.annotator) {
            return Err("the same annotator labels this face on an earlier line");
        }
        known.annotations.push(annotation);
    }
    known.landmarks = known.landmarks.take().or(face.landmarks);
    Ok(())
}

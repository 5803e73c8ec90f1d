//! How is a release written as one CSV and whole images?

use std::path::{Path, PathBuf};

use affectory_core::{Arousal, Landmarks, Valence};

use super::picture::extension;
use super::{ReleaseFormat, Table, write_file};
use crate::import::csv::COLUMNS;
use crate::item::or_empty;
use crate::{ReleaseError, ReleaseItem};

pub(super) struct Csv {
    folder: PathBuf,
    table: Table,
}

impl Csv {
    pub fn new(folder: &Path) -> Result<Self, ReleaseError> {
        Ok(Self { folder: folder.to_owned(), table: Table::create(folder.join("labels.csv"), &COLUMNS)? })
    }

    fn line(
        &mut self,
        item: &ReleaseItem,
        image: &str,
        labels: [String; 3],
        annotator: &str,
    ) -> Result<(), ReleaseError> {
        let [expression, valence, arousal] = labels;
        let face = item.bounding_box;
        self.table.write(&[
            image.to_owned(),
            expression,
            valence,
            arousal,
            face.x.to_string(),
            face.y.to_string(),
            face.width.to_string(),
            face.height.to_string(),
            item.landmarks.as_ref().map(Landmarks::to_text).unwrap_or_default(),
            item.split.to_string(),
            item.page_url.clone().unwrap_or_default(),
            item.license.clone().unwrap_or_default(),
            annotator.to_owned(),
        ])
    }
}

impl ReleaseFormat for Csv {
    fn add(&mut self, item: &ReleaseItem, image: &[u8]) -> Result<(), ReleaseError> {
        let hash = item.image_sha256.as_str();
        let path = format!("images/{}/{hash}.{}", &hash[..2], extension(&item.format));
        write_file(&self.folder.join(&path), image)?;
        let expression = item.expression.to_string();
        let valence = or_empty(item.valence.map(Valence::value));
        let arousal = or_empty(item.arousal.map(Arousal::value));
        if item.is_proxy {
            // A line of its own, so that whoever reads it back cannot take the formula for a person.
            self.line(item, &path, [expression, String::new(), String::new()], "")?;
            self.line(item, &path, [String::new(), valence, arousal], "proxy")
        } else {
            self.line(item, &path, [expression, valence, arousal], "")
        }
    }

    fn finish(self: Box<Self>) -> Result<(), ReleaseError> {
        self.table.finish()
    }
}

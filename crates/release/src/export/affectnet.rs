//! How is a release written as AffectNet's full release?

use std::path::{Path, PathBuf};

use affectory_core::{Arousal, Landmarks, Split, Valence};

use super::picture::extension;
use super::{ReleaseFormat, Table, write_file};
use crate::import::affectnet::{COLUMNS, IMAGES, TABLES};
use crate::{ReleaseError, ReleaseItem};

pub(super) struct AffectNet {
    folder: PathBuf,
    tables: Vec<(Split, Table)>,
}

impl AffectNet {
    pub fn new(folder: &Path) -> Result<Self, ReleaseError> {
        let open = |(name, split)| Ok((split, Table::create(folder.join(name), &COLUMNS)?));
        std::fs::create_dir(folder.join(IMAGES)).map_err(ReleaseError::file("create", folder))?;
        let tables = TABLES.into_iter().map(open).collect::<Result<_, ReleaseError>>()?;
        Ok(Self { folder: folder.to_owned(), tables })
    }
}

impl ReleaseFormat for AffectNet {
    fn add(&mut self, item: &ReleaseItem, image: &[u8]) -> Result<(), ReleaseError> {
        let hash = item.image_sha256.as_str();
        let path = format!("{}/{hash}.{}", &hash[..2], extension(&item.format));
        write_file(&self.folder.join(IMAGES).join(&path), image)?;
        // -2 says "nobody was asked"; one of the eight that merely lacks its point has an empty field.
        let value = |value: Option<f32>| match value {
            Some(value) => value.to_string(),
            None if item.expression.is_affective() => String::new(),
            None => "-2".to_owned(),
        };
        let face = item.bounding_box;
        let fields = [
            path,
            face.x.to_string(),
            face.y.to_string(),
            face.width.to_string(),
            face.height.to_string(),
            item.landmarks.as_ref().map(Landmarks::to_text).unwrap_or_default(),
            item.expression.index().to_string(),
            value(item.valence.map(Valence::value)),
            value(item.arousal.map(Arousal::value)),
        ];
        for (split, table) in &mut self.tables {
            if *split == item.split {
                table.write(&fields)?;
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), ReleaseError> {
        self.tables.into_iter().try_for_each(|(_, table)| table.finish())
    }
}

//! How is a release written as `SPLIT/LABEL/` folders?

use std::path::{Path, PathBuf};

use super::picture::{Encoding, face_picture};
use super::{ReleaseFormat, write_file};
use crate::{ReleaseError, ReleaseItem};

pub(super) struct Folder {
    folder: PathBuf,
}

impl Folder {
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }
}

impl ReleaseFormat for Folder {
    fn add(&mut self, item: &ReleaseItem, image: &[u8]) -> Result<(), ReleaseError> {
        let (picture, ending) = face_picture(item, image, Encoding::Png)?;
        let name = format!("{}.{ending}", item.item);
        write_file(&self.folder.join(item.split.name()).join(item.expression.name()).join(name), &picture)
    }

    fn finish(self: Box<Self>) -> Result<(), ReleaseError> {
        Ok(())
    }
}

//! How is a release written as AffectNet's eight-label release?

use std::path::{Path, PathBuf};

use affectory_core::{Arousal, Valence};

use super::picture::{Encoding, face_picture, landmarks_in_picture};
use super::{ReleaseFormat, write_file};
use crate::import::affectnet_npy::PARTS;
use crate::{ReleaseError, ReleaseItem, npy};

pub(super) struct AffectNetNpy {
    folder: PathBuf,
    n_written: [u64; 3],
}

impl AffectNetNpy {
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), n_written: [0; 3] }
    }
}

impl ReleaseFormat for AffectNetNpy {
    fn add(&mut self, item: &ReleaseItem, image: &[u8]) -> Result<(), ReleaseError> {
        let number = self.n_written[item.split as usize];
        self.n_written[item.split as usize] += 1;
        let (part, _) = PARTS[item.split as usize];
        let part = self.folder.join(part);
        let (picture, ending) = face_picture(item, image, Encoding::Jpeg)?;
        write_file(&part.join("images").join(format!("{number}.{ending}")), &picture)?;
        let write = |what: &str, bytes: &[u8]| {
            write_file(&part.join("annotations").join(format!("{number}_{what}.npy")), bytes)
        };
        let value = |value: Option<f32>| match value {
            Some(value) => value.to_string(),
            None if item.expression.is_affective() => "nan".to_owned(),
            None => "-2".to_owned(),
        };
        write("exp", &npy::text(&item.expression.index().to_string()))?;
        write("val", &npy::text(&value(item.valence.map(Valence::value))))?;
        write("aro", &npy::text(&value(item.arousal.map(Arousal::value))))?;
        let landmarks = landmarks_in_picture(item);
        let flat = landmarks.iter().flat_map(|l| l.points()).flat_map(|p| [p.x, p.y]).collect::<Vec<f32>>();
        write("lnd", &npy::floats(&flat))
    }

    fn finish(self: Box<Self>) -> Result<(), ReleaseError> {
        Ok(())
    }
}

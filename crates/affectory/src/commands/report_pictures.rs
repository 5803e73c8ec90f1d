//! Where are the small pictures of a report from? A folder in which they lie under their names, or a release of the project.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use affectory_imaging::{Limits, RgbImage, crop_resize, decode, encode_jpeg, resize};
use affectory_learn::{ReadImage, Sample};
use affectory_release::load_release;
use anyhow::bail;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Context, shown, train};
use crate::cli::Evaluate;

/// Longer side of a small picture, pixels.
const SIDE: u32 = 112;

/// Where pictures are looked for by the names that the truth has.
pub enum Pictures {
    /// Nowhere.
    None,
    /// Whole pictures: the name is a path below the folder.
    Folder(PathBuf),
    /// Faces: the name is an item's.
    Release { faces: HashMap<String, Sample>, read: ReadImage },
}

impl Pictures {
    /// What `--images` or `--release` names.
    pub async fn of(context: &Context, args: &Evaluate) -> anyhow::Result<Self> {
        if let Some(folder) = &args.images {
            if !folder.is_dir() {
                bail!("--images {} is no folder", shown(folder));
            }
            return Ok(Self::Folder(folder.clone()));
        }
        let Some(name) = &args.release else { return Ok(Self::None) };
        let project = context.open().await?;
        let release = load_release(&project, name).await?;
        let faces = train::samples(&release).into_iter().map(|sample| (sample.name.clone(), sample)).collect();
        Ok(Self::Release { faces, read: train::reader(&project) })
    }

    /// A JPEG as a data address; none where there is no such picture, or where a name leads out of the folder. Waits for
    /// the store: to be called from a thread that may.
    pub fn small(&self, name: &str) -> Option<String> {
        let small = match self {
            Self::None => return None,
            Self::Folder(folder) => {
                let image = decode(&read_within(folder, name)?, &Limits::default()).ok()?.image;
                fitted(&image)
            }
            Self::Release { faces, read } => {
                let face = faces.get(name)?;
                let image = decode(&read(&face.image).ok()?, &Limits::default()).ok()?.image;
                crop_resize(&image, face.bounding_box.squared(1.0), SIDE, SIDE)
            }
        };
        Some(format!("data:image/jpeg;base64,{}", STANDARD.encode(encode_jpeg(&small, 80).ok()?)))
    }

    /// What is to be said if not one of the pictures was there; nothing where none was to be shown.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Folder(folder) => Some(format!(
                "no picture of the report is in {} under its name in the truth; a run's are shown by --release",
                shown(folder)
            )),
            Self::Release { .. } => Some("no picture of the report is an item of the release".into()),
        }
    }
}

fn read_within(folder: &Path, name: &str) -> Option<Vec<u8>> {
    let is_inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    let path = folder.join(name);
    if !is_inside || std::fs::metadata(&path).ok()?.len() > Limits::default().max_bytes {
        return None;
    }
    std::fs::read(&path).ok()
}

fn fitted(image: &RgbImage) -> RgbImage {
    let longer = image.width.max(image.height).max(1);
    let side = |side: u32| (u64::from(side) * u64::from(SIDE) / u64::from(longer)).max(1) as u32;
    resize(image, side(image.width), side(image.height))
}

//! How does a trainer read images out of packs? Whole packs come into memory, some at a time, and what comes out is checked.

use std::collections::{HashMap, VecDeque};
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};

use affectory_catalog::Project;
use affectory_core::{Sha256Hex, Split};
use affectory_imaging::sha256;
use bytes::Bytes;
use tokio::sync::OnceCell;

use super::plan::{self, Plan};
use crate::{Release, ReleaseError};

/// Images of one pack, by their names.
type Pack = HashMap<Sha256Hex, Bytes>;

/// A pack on its way or there; whoever comes first fetches it, others wait.
type Shelf = Arc<OnceCell<Arc<Pack>>>;

/// Reads images of a packed release.
pub struct PackReader {
    project: Project,
    plan: Plan,
    /// Names of the files.
    files: HashMap<(Split, u32), String>,
    /// The packs that are open, the one that was used last at the end.
    open: Mutex<VecDeque<((Split, u32), Shelf)>>,
    most_open: usize,
}

impl PackReader {
    /// Keeps up to `most_open` packs in memory.
    ///
    /// # Errors
    /// [`ReleaseError::NotPacked`] if packs are missing or of another state of the release.
    pub async fn open(project: &Project, release: &Release, most_open: usize) -> Result<PackReader, ReleaseError> {
        let name = &release.row.release.name;
        let not_packed = || ReleaseError::NotPacked(name.clone());
        let packing = project.catalog.find_packing(release.row.id).await?.ok_or_else(not_packed)?;
        let plan = Plan::new(&packing);
        let items = plan.sort(release);
        let mut files = HashMap::new();
        for row in packing.packs {
            let place = (row.split, row.number);
            let images = plan::images(release, &items, place);
            let file = plan::current_file(&row, &images).ok_or_else(not_packed)?;
            files.insert(place, format!("{}/{file}", plan::folder_of(name)));
        }
        let open = Mutex::new(VecDeque::new());
        Ok(PackReader { project: project.clone(), plan, files, open, most_open: most_open.max(1) })
    }

    /// The number of the pack, in its split, that an image is in.
    pub fn number_of(&self, split: Split, image: &Sha256Hex) -> u32 {
        self.plan.number_of(split, image)
    }

    /// An image's bytes, which have the hash that they are named by.
    ///
    /// # Errors
    /// [`ReleaseError::DamagedPack`], or what the store refuses.
    pub async fn read(&self, split: Split, image: &Sha256Hex) -> Result<Bytes, ReleaseError> {
        let number = self.number_of(split, image);
        let shelf = self.shelf((split, number));
        let pack = shelf.get_or_try_init(|| self.fetch(split, number)).await?;
        pack.get(image).cloned().ok_or_else(|| self.damaged(split, number, format!("image {image} is not in it")))
    }

    fn shelf(&self, place: (Split, u32)) -> Shelf {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let known = open.iter().position(|(known, _)| *known == place).and_then(|at| open.remove(at));
        let shelf = known.map(|(_, shelf)| shelf).unwrap_or_default();
        open.push_back((place, Arc::clone(&shelf)));
        while open.len() > self.most_open {
            open.pop_front();
        }
        shelf
    }

    async fn fetch(&self, split: Split, number: u32) -> Result<Arc<Pack>, ReleaseError> {
        let absent = || self.damaged(split, number, "it is not there".into());
        let name = self.files.get(&(split, number)).ok_or_else(absent)?;
        let bytes = self.project.store.read_named(name).await?.ok_or_else(absent)?;
        let unpacked = tokio::task::spawn_blocking(move || unpack(&bytes)).await;
        let unpacked = unpacked.unwrap_or_else(|error| Err(error.to_string()));
        unpacked.map(Arc::new).map_err(|reason| self.damaged(split, number, reason))
    }

    fn damaged(&self, split: Split, number: u32, reason: String) -> ReleaseError {
        let name = self.files.get(&(split, number)).cloned().unwrap_or_else(|| format!("{split} {number}"));
        ReleaseError::DamagedPack { name, reason }
    }
}

/// The images of a pack whose bytes have their names; anything else in it is for other programs.
fn unpack(pack: &Bytes) -> Result<Pack, String> {
    let mut images = Pack::new();
    let mut tar = tar::Archive::new(&pack[..]);
    for member in tar.entries().map_err(|error| error.to_string())? {
        let mut member = member.map_err(|error| error.to_string())?;
        let path = member.path().map_err(|error| error.to_string())?.into_owned();
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        if path.extension().is_some_and(|extension| extension == "json") {
            continue;
        }
        let Ok(name) = stem.parse::<Sha256Hex>() else { continue };
        // No larger than the pack itself, whatever its header says.
        let mut bytes = Vec::with_capacity(usize::try_from(member.size()).unwrap_or(0).min(pack.len()));
        member.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if sha256(&bytes) != name {
            return Err(format!("image {name} in it is damaged"));
        }
        images.insert(name, bytes.into());
    }
    Ok(images)
}

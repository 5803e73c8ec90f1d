//! Where do the bytes of images lie? Under their SHA-256, written once, never changed.

use std::path::Path;
use std::sync::Arc;

use affectory_core::Sha256Hex;
use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt as _};
use sha2::{Digest as _, Sha256};

use crate::CatalogError;

/// The content-addressed store: `objects/ab/abcd...` through `object_store`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ImageStore {
    objects: Arc<dyn ObjectStore>,
    /// The local folder, open: what was written below it is flushed through it.
    #[cfg(target_os = "linux")]
    folder: Arc<std::fs::File>,
}

impl ImageStore {
    /// The store in a folder that exists.
    ///
    /// # Errors
    /// [`CatalogError::Store`] or [`CatalogError::File`] if there is no such folder.
    pub fn local(folder: &Path) -> Result<ImageStore, CatalogError> {
        let objects = LocalFileSystem::new_with_prefix(folder)
            .map_err(|source| CatalogError::Store { key: folder.display().to_string(), source })?;
        #[cfg(target_os = "linux")]
        let folder = {
            let path = folder.to_owned();
            Arc::new(std::fs::File::open(folder).map_err(|source| CatalogError::File {
                action: "open",
                path,
                source,
            })?)
        };
        Ok(ImageStore {
            objects: Arc::new(objects),
            #[cfg(target_os = "linux")]
            folder,
        })
    }

    /// Stores bytes and says their name. Storing the same bytes again changes nothing, and mends an object that a crash
    /// of the machine cut short.
    ///
    /// # Errors
    /// [`CatalogError::Store`] (a full disk, a read-only folder); nothing half-written is ever visible.
    pub async fn put(&self, bytes: Bytes) -> Result<Sha256Hex, CatalogError> {
        let sha256 = name_of(&bytes);
        // The local store writes beside the place and renames, so that no reader meets a half object. Not asked first
        // whether it is there: nearly always it is not, and the question costs a third of the time.
        self.objects.put(&key(&sha256), bytes.into()).await.map_err(failed(&sha256))?;
        Ok(sha256)
    }

    /// Returns once everything put before is on the disk: a row that names it may be written then, and outlives a power
    /// cut. One call for many objects, because a flush of each would cost more than the rest of the work.
    ///
    /// # Errors
    /// [`CatalogError::Flush`].
    pub async fn flush(&self) -> Result<(), CatalogError> {
        #[cfg(target_os = "linux")]
        {
            let folder = Arc::clone(&self.folder);
            tokio::task::spawn_blocking(move || rustix::fs::syncfs(&*folder))
                .await
                .map_err(|error| CatalogError::Flush(error.into()))?
                .map_err(|error| CatalogError::Flush(error.into()))?;
        }
        #[cfg(all(unix, not(target_os = "linux")))]
        rustix::fs::sync();
        Ok(())
    }

    /// Takes an object out of the store; one that is not there is no failure.
    ///
    /// # Errors
    /// [`CatalogError::Store`].
    pub async fn delete(&self, sha256: &Sha256Hex) -> Result<(), CatalogError> {
        for place in [key(sha256), old_key(sha256)] {
            match self.objects.delete(&place).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => return Err(failed(sha256)(source)),
            }
        }
        Ok(())
    }

    /// Reads an object and checks that its bytes still have its name.
    ///
    /// # Errors
    /// [`CatalogError::NoObject`], [`CatalogError::DamagedObject`] or [`CatalogError::Store`].
    pub async fn read(&self, sha256: &Sha256Hex) -> Result<Bytes, CatalogError> {
        let object = match self.objects.get(&key(sha256)).await {
            Err(object_store::Error::NotFound { .. }) => self.objects.get(&old_key(sha256)).await,
            other => other,
        };
        let bytes = match object {
            Ok(object) => object.bytes().await.map_err(failed(sha256))?,
            Err(object_store::Error::NotFound { .. }) => return Err(CatalogError::NoObject(sha256.to_string())),
            Err(source) => return Err(failed(sha256)(source)),
        };
        if name_of(&bytes) == *sha256 { Ok(bytes) } else { Err(CatalogError::DamagedObject(sha256.to_string())) }
    }

    /// Whether an object is there, without reading it.
    ///
    /// # Errors
    /// [`CatalogError::Store`].
    pub async fn contains(&self, sha256: &Sha256Hex) -> Result<bool, CatalogError> {
        for place in [key(sha256), old_key(sha256)] {
            match self.objects.head(&place).await {
                Ok(_) => return Ok(true),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => return Err(failed(sha256)(source)),
            }
        }
        Ok(false)
    }
}

fn name_of(bytes: &[u8]) -> Sha256Hex {
    Sha256Hex::from_digest(&Sha256::digest(bytes).into())
}

/// One level of 256 folders: 4,000 objects each at a million, and no folder to be made for nearly every new object.
fn key(sha256: &Sha256Hex) -> Key {
    let name = sha256.as_str();
    Key::from(format!("{}/{name}", &name[..2]))
}

/// Where objects lay before there was [`key`]: those of older projects are found there.
fn old_key(sha256: &Sha256Hex) -> Key {
    let name = sha256.as_str();
    Key::from(format!("{}/{}/{name}", &name[..2], &name[2..4]))
}

fn failed(sha256: &Sha256Hex) -> impl FnOnce(object_store::Error) -> CatalogError {
    let key = sha256.to_string();
    move |source| CatalogError::Store { key, source }
}

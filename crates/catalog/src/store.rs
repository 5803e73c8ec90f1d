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

/// The content-addressed store: `objects/ab/cd/abcd...` through `object_store`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ImageStore {
    objects: Arc<dyn ObjectStore>,
}

impl ImageStore {
    /// The store in a folder that exists.
    ///
    /// # Errors
    /// [`CatalogError::Store`] if there is no such folder.
    pub fn local(folder: &Path) -> Result<ImageStore, CatalogError> {
        let objects = LocalFileSystem::new_with_prefix(folder)
            .map_err(|source| CatalogError::Store { key: folder.display().to_string(), source })?;
        Ok(ImageStore { objects: Arc::new(objects) })
    }

    /// Stores bytes and says their name. Storing the same bytes again changes nothing.
    ///
    /// # Errors
    /// [`CatalogError::Store`] (a full disk, a read-only folder); nothing half-written is ever visible.
    pub async fn put(&self, bytes: Bytes) -> Result<Sha256Hex, CatalogError> {
        let sha256 = name_of(&bytes);
        // An object of another length was cut short by a crash of the machine: it is written again.
        if self.size_bytes(&sha256).await? != Some(bytes.len() as u64) {
            // The local store writes beside the place and renames, so that no reader meets a half object.
            self.objects.put(&key(&sha256), bytes.into()).await.map_err(failed(&sha256))?;
        }
        Ok(sha256)
    }

    /// Reads an object and checks that its bytes still have its name.
    ///
    /// # Errors
    /// [`CatalogError::NoObject`], [`CatalogError::DamagedObject`] or [`CatalogError::Store`].
    pub async fn read(&self, sha256: &Sha256Hex) -> Result<Bytes, CatalogError> {
        let bytes = match self.objects.get(&key(sha256)).await {
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
        Ok(self.size_bytes(sha256).await?.is_some())
    }

    async fn size_bytes(&self, sha256: &Sha256Hex) -> Result<Option<u64>, CatalogError> {
        match self.objects.head(&key(sha256)).await {
            Ok(object) => Ok(Some(object.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(failed(sha256)(source)),
        }
    }
}

fn name_of(bytes: &[u8]) -> Sha256Hex {
    Sha256Hex::from_digest(&Sha256::digest(bytes).into())
}

/// Two levels of 256 folders keep every folder small.
fn key(sha256: &Sha256Hex) -> Key {
    let name = sha256.as_str();
    Key::from(format!("{}/{}/{name}", &name[..2], &name[2..4]))
}

fn failed(sha256: &Sha256Hex) -> impl FnOnce(object_store::Error) -> CatalogError {
    let key = sha256.to_string();
    move |source| CatalogError::Store { key, source }
}

//! Where do the bytes of images lie? Under their SHA-256, written once, never changed.

use affectory_core::Sha256Hex;
use bytes::Bytes;

use crate::CatalogError;

/// The content-addressed store: `objects/ab/cd/abcd...` through `object_store`.
#[derive(Debug, Clone)]
pub struct ImageStore {}

impl ImageStore {
    /// Stores bytes and says their name. Storing the same bytes again changes nothing.
    ///
    /// # Errors
    /// [`CatalogError::Store`] (a full disk, a read-only folder); nothing half-written is ever visible.
    pub async fn put(&self, _bytes: Bytes) -> Result<Sha256Hex, CatalogError> {
        todo!()
    }

    /// Reads an object and checks that its bytes still have its name.
    ///
    /// # Errors
    /// [`CatalogError::NoObject`], [`CatalogError::DamagedObject`] or [`CatalogError::Store`].
    pub async fn read(&self, _sha256: &Sha256Hex) -> Result<Bytes, CatalogError> {
        todo!()
    }

    /// Whether an object is there, without reading it.
    ///
    /// # Errors
    /// [`CatalogError::Store`].
    pub async fn contains(&self, _sha256: &Sha256Hex) -> Result<bool, CatalogError> {
        todo!()
    }
}

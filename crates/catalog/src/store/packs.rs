//! Where do the packs of a release lie? Beside the images, under names that say what they are.

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::ObjectStoreExt as _;

use super::{ImageStore, Kind};
use crate::CatalogError;

impl ImageStore {
    /// Whether the store is one that other machines reach, too.
    pub fn is_shared(&self) -> bool {
        matches!(self.kind, Kind::S3(_))
    }

    /// Stores a file under a name: readers meet it whole, or not at all.
    ///
    /// # Errors
    /// [`CatalogError::Store`] or [`CatalogError::S3`].
    pub async fn put_named(&self, name: &str, bytes: Bytes) -> Result<(), CatalogError> {
        self.put_at(&self.key_of(name), bytes, name).await
    }

    /// A file by its name, or `None` if there is none.
    ///
    /// # Errors
    /// [`CatalogError::Store`] or [`CatalogError::S3`].
    pub async fn read_named(&self, name: &str) -> Result<Option<Bytes>, CatalogError> {
        match self.objects.get(&self.key_of(name)).await {
            Ok(object) => object.bytes().await.map(Some).map_err(self.failed(name)),
            Err(error) if self.is_absent(&error) => Ok(None),
            Err(error) => Err(self.failed(name)(error)),
        }
    }

    /// Removes a file; one that is not there is no failure.
    ///
    /// # Errors
    /// [`CatalogError::Store`] or [`CatalogError::S3`].
    pub async fn delete_named(&self, name: &str) -> Result<(), CatalogError> {
        match self.objects.delete(&self.key_of(name)).await {
            Err(error) if !self.is_absent(&error) => Err(self.failed(name)(error)),
            _ => Ok(()),
        }
    }

    /// The names of the files in a folder of the store, without it, in no order.
    ///
    /// # Errors
    /// [`CatalogError::Store`] or [`CatalogError::S3`].
    pub async fn list_named(&self, folder: &str) -> Result<Vec<String>, CatalogError> {
        let listed = self.objects.list(Some(&self.key_of(folder))).try_collect::<Vec<_>>().await;
        let listed = listed.map_err(self.failed(folder))?;
        Ok(listed.iter().filter_map(|meta| meta.location.filename().map(str::to_owned)).collect())
    }
}

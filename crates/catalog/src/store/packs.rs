//! Where do the packs of a release lie? Beside the images, under names that say what they are.

use bytes::Bytes;
use object_store::{ObjectStoreExt as _, WriteMultipart};

use super::{ImageStore, Kind, PART_BYTES};
use crate::CatalogError;

impl ImageStore {
    /// Stores a pack, or a list of packs, in the place of what had that name before: readers meet the one or the other, whole.
    ///
    /// # Errors
    /// [`CatalogError::Store`] or [`CatalogError::S3`].
    pub async fn put_pack(&self, name: &str, bytes: Bytes) -> Result<(), CatalogError> {
        let key = self.key_of(name);
        match &self.kind {
            Kind::S3(bucket) if bytes.len() > 2 * PART_BYTES => {
                let upload = self.objects.put_multipart(&key).await.map_err(bucket.failed())?;
                let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
                upload.put(bytes);
                upload.finish().await.map_err(bucket.failed())?;
            }
            Kind::Local { .. } | Kind::S3(_) => {
                self.objects.put(&key, bytes.into()).await.map_err(self.failed(name))?;
            }
        }
        Ok(())
    }

    /// A pack, or `None` if there is none of that name.
    ///
    /// # Errors
    /// [`CatalogError::Store`] or [`CatalogError::S3`].
    pub async fn read_pack(&self, name: &str) -> Result<Option<Bytes>, CatalogError> {
        match self.objects.get(&self.key_of(name)).await {
            Ok(object) => object.bytes().await.map(Some).map_err(self.failed(name)),
            Err(error) if self.is_absent(&error) => Ok(None),
            Err(error) => Err(self.failed(name)(error)),
        }
    }

    /// Removes a pack; one that is not there is no failure.
    ///
    /// # Errors
    /// [`CatalogError::Store`] or [`CatalogError::S3`].
    pub async fn delete_pack(&self, name: &str) -> Result<(), CatalogError> {
        match self.objects.delete(&self.key_of(name)).await {
            Err(error) if !self.is_absent(&error) => Err(self.failed(name)(error)),
            _ => Ok(()),
        }
    }
}

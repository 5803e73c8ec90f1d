//! How does somebody without a key get one large file of a bucket for a minute?
//!
//! Such files lie beside the images under names of their own, which nobody guesses.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{Stream, StreamExt as _};
use object_store::signer::Signer as _;
use object_store::{Attribute, Attributes, ObjectStore as _, ObjectStoreExt as _, PutMultipartOptions, WriteMultipart};
use url::Url;

use super::{Bucket, ImageStore, Kind};
use crate::CatalogError;

/// Parts of a file under way.
const PARTS_IN_FLIGHT: usize = 4;

/// The smallest part of a file, bytes, and how many parts there may be: S3 takes 10,000.
const PART_BYTES: u64 = 16 << 20;
const MOST_PARTS: u64 = 9_000;

impl ImageStore {
    /// Whether files can be shared from here: only a bucket's.
    pub fn can_share(&self) -> bool {
        matches!(self.kind, Kind::S3(_))
    }

    /// Where a shared file lies, for people and for comparing: `s3://BUCKET/PREFIX/NAME`.
    pub fn shared_place(&self, name: &str) -> String {
        match &self.kind {
            Kind::Local { .. } => name.to_owned(),
            Kind::S3(bucket) => format!("s3://{}/{}", bucket.place.bucket, self.key_of(name)),
        }
    }

    /// Stores a file of `size` bytes as it comes, in parts: 64 MiB of it are in memory, more of files beyond 140 GiB. There is
    /// nothing of it before its last byte is there.
    ///
    /// # Errors
    /// Those of `pieces`; [`CatalogError::S3`].
    pub async fn share<E: From<CatalogError>>(
        &self,
        name: &str,
        (size, file_name): (u64, &str),
        pieces: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<(), E> {
        let bucket = self.bucket()?;
        let attributes = Attributes::from_iter([
            (Attribute::ContentType, "application/octet-stream".to_owned()),
            (Attribute::ContentDisposition, format!("attachment; filename=\"{file_name}\"")),
        ]);
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        let upload = bucket.s3.put_multipart_opts(&self.key_of(name), options).await.map_err(bucket.failed())?;
        let part_bytes = usize::try_from(PART_BYTES.max(size / MOST_PARTS)).unwrap_or(usize::MAX);
        let mut upload = WriteMultipart::new_with_chunk_size(upload, part_bytes);
        let mut pieces = std::pin::pin!(pieces);
        let outcome = loop {
            let Some(piece) = pieces.next().await else { break Ok(()) };
            match piece {
                Ok(bytes) => upload.put(bytes),
                Err(error) => break Err(error),
            }
            if let Err(error) = upload.wait_for_capacity(PARTS_IN_FLIGHT).await {
                break Err(bucket.failed()(error).into());
            }
        };
        if let Err(error) = outcome {
            // What is left of it is for the bucket's rule on unfinished uploads if this fails, too.
            let _ = upload.abort().await;
            return Err(error);
        }
        upload.finish().await.map_err(bucket.failed())?;
        Ok(())
    }

    /// An address at which anybody gets a shared file, in ranges too, for as long as that.
    ///
    /// # Errors
    /// [`CatalogError::S3`].
    pub async fn shared_link(&self, name: &str, valid_for: Duration) -> Result<Url, CatalogError> {
        let bucket = self.bucket()?;
        bucket.s3.signed_url(reqwest::Method::GET, &self.key_of(name), valid_for).await.map_err(bucket.failed())
    }

    /// Removes a shared file: links to it, also those that are out, lead to nothing. One that is not there is no failure.
    ///
    /// # Errors
    /// [`CatalogError::S3`].
    pub async fn unshare(&self, name: &str) -> Result<(), CatalogError> {
        let bucket = self.bucket()?;
        match bucket.s3.delete(&self.key_of(name)).await {
            Err(error) if !self.is_absent(&error) => Err(bucket.failed()(error)),
            _ => Ok(()),
        }
    }

    fn bucket(&self) -> Result<&Bucket, CatalogError> {
        match &self.kind {
            Kind::S3(bucket) => Ok(bucket),
            Kind::Local { .. } => Err(CatalogError::S3 {
                place: "on this disk".into(),
                problem: "only a bucket shares files: objects are not on S3".into(),
            }),
        }
    }
}

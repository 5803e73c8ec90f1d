//! Where do the bytes of images lie? Under their SHA-256, written once, never changed: in a folder, or in a bucket.

mod packs;
mod s3;
mod shared;

use std::path::Path;
use std::sync::Arc;

use affectory_core::Sha256Hex;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, WriteMultipart};
use sha2::{Digest as _, Sha256};

pub(crate) use s3::{Bucket, S3Place};
pub use s3::{Patience, S3Access};

use crate::CatalogError;
use crate::backup::refused;

/// What goes to S3 in one request; more goes in parts of that size, each of which is tried again for itself.
const PART_BYTES: usize = 8 << 20;

/// The content-addressed store: `objects/ab/abcd...` through `object_store`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ImageStore {
    objects: Arc<dyn ObjectStore>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Local {
        root: Arc<Path>,
        /// The folder, open: what was written below it is flushed through it.
        #[cfg(target_os = "linux")]
        folder: Arc<std::fs::File>,
    },
    S3(Arc<Bucket>),
}

impl ImageStore {
    /// The store in a folder that exists.
    ///
    /// # Errors
    /// [`CatalogError::Store`] or [`CatalogError::File`] if there is no such folder.
    pub fn local(folder: &Path) -> Result<ImageStore, CatalogError> {
        let objects = LocalFileSystem::new_with_prefix(folder)
            .map_err(|source| CatalogError::Store { key: folder.display().to_string(), source })?;
        let root = Arc::from(folder);
        #[cfg(target_os = "linux")]
        let folder = Arc::new(std::fs::File::open(folder).map_err(refused("open", folder))?);
        Ok(ImageStore {
            objects: Arc::new(objects),
            kind: Kind::Local {
                root,
                #[cfg(target_os = "linux")]
                folder,
            },
        })
    }

    /// The store in a bucket, `s3://BUCKET/PREFIX`; nothing is asked of it yet.
    ///
    /// # Errors
    /// [`CatalogError::S3`] for what is no such place, and where keys are missing.
    pub fn s3(place: &str, access: &S3Access) -> Result<ImageStore, CatalogError> {
        let bucket = S3Place::parse(place).map_err(|problem| CatalogError::S3 { place: "S3".into(), problem })?;
        let bucket = Bucket::new(bucket, access)?;
        Ok(ImageStore { objects: Arc::new(bucket.s3.clone()), kind: Kind::S3(Arc::new(bucket)) })
    }

    /// Writes, reads and removes a small object, under a name that others do not use at the same time.
    ///
    /// # Errors
    /// [`CatalogError::Store`] or [`CatalogError::S3`], which says what to do.
    pub async fn check(&self, word: &str) -> Result<(), CatalogError> {
        let place = self.key_of(&format!("check-{}", &name_of(word.as_bytes()).as_str()[..16]));
        let failed = || self.failed("check");
        self.objects.put(&place, word.to_owned().into()).await.map_err(failed())?;
        let read = self.objects.get(&place).await.map_err(failed())?.bytes().await.map_err(failed())?;
        self.objects.delete(&place).await.map_err(failed())?;
        if read == word.as_bytes() { Ok(()) } else { Err(CatalogError::DamagedObject("check".into())) }
    }

    /// Stores bytes and says their name. Storing the same bytes again changes nothing, and mends an object that a crash
    /// of the machine cut short.
    ///
    /// # Errors
    /// [`CatalogError::Store`] (a full disk, a read-only folder); nothing half-written is ever visible.
    pub async fn put(&self, bytes: Bytes) -> Result<Sha256Hex, CatalogError> {
        let sha256 = name_of(&bytes);
        let key = self.key(&sha256);
        let is_there = match self.kind {
            Kind::Local { .. } => self.put_new(&key, &bytes).await,
            Kind::S3(_) => false,
        };
        if !is_there {
            self.put_at(&key, bytes, sha256.as_str()).await?;
        }
        Ok(sha256)
    }

    /// Stores an object in a folder unless there is one; says whether it is there now, whole. A whole one is left alone: it may
    /// be on the disk with rows that name it, and a copy that took its place would not be on the disk yet. After a power cut
    /// XFS then has neither, but an empty file.
    async fn put_new(&self, key: &Key, bytes: &Bytes) -> bool {
        match self.objects.put_opts(key, bytes.clone().into(), PutMode::Create.into()).await {
            Ok(_) => true,
            Err(object_store::Error::AlreadyExists { .. }) => match self.objects.get(key).await {
                Ok(object) => object.bytes().await.is_ok_and(|there| there == *bytes),
                Err(_) => false,
            },
            // A file system without hard links, or a failure that the next attempt will have, too.
            Err(_) => false,
        }
    }

    async fn put_at(&self, key: &Key, bytes: Bytes, name: &str) -> Result<(), CatalogError> {
        match &self.kind {
            Kind::S3(bucket) if bytes.len() > 2 * PART_BYTES => {
                let upload = self.objects.put_multipart(key).await.map_err(bucket.failed())?;
                let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
                upload.put(bytes);
                upload.finish().await.map_err(bucket.failed())?;
            }
            // The local store writes beside the place and renames, so that no reader meets a half object; S3 shows an object
            // once it has it whole, with the SHA-256 that we send along. Not asked first whether it is there: nearly
            // always it is not, and the question costs a third of the time.
            Kind::Local { .. } | Kind::S3(_) => {
                self.objects.put(key, bytes.into()).await.map_err(self.failed(name))?;
            }
        }
        Ok(())
    }

    /// Returns once everything put before is on the disk: a row that names it may be written then, and outlives a power
    /// cut. One call for many objects, because a flush of each would cost more than the rest of the work. Nothing is
    /// left to do on S3, which answers a put once the object is safe.
    ///
    /// # Errors
    /// [`CatalogError::Flush`].
    pub async fn flush(&self) -> Result<(), CatalogError> {
        match &self.kind {
            #[cfg(target_os = "linux")]
            Kind::Local { folder, .. } => {
                let folder = Arc::clone(folder);
                tokio::task::spawn_blocking(move || rustix::fs::syncfs(&*folder))
                    .await
                    .map_err(|error| CatalogError::Flush(error.into()))?
                    .map_err(|error| CatalogError::Flush(error.into()))?;
            }
            #[cfg(all(unix, not(target_os = "linux")))]
            Kind::Local { .. } => rustix::fs::sync(),
            #[cfg(not(unix))]
            Kind::Local { .. } => {}
            Kind::S3(_) => {}
        }
        Ok(())
    }

    /// Takes an object out of the store, with what writers that were killed left of it; one that is not there is no failure.
    ///
    /// # Errors
    /// [`CatalogError::Store`], [`CatalogError::File`] or [`CatalogError::S3`].
    pub async fn delete(&self, sha256: &Sha256Hex) -> Result<(), CatalogError> {
        for place in self.places(sha256) {
            match self.objects.delete(&place).await {
                Ok(()) => {}
                Err(error) if self.is_absent(&error) => {}
                Err(error) => return Err(self.failed(sha256.as_str())(error)),
            }
        }
        if let Kind::Local { root, .. } = &self.kind {
            let object = root.join(self.key(sha256).as_ref());
            tokio::task::spawn_blocking(move || delete_parts(&object))
                .await
                .map_err(|error| refused("remove", root)(error.into()))??;
        }
        Ok(())
    }

    /// Reads an object and checks that its bytes still have its name.
    ///
    /// # Errors
    /// [`CatalogError::NoObject`], [`CatalogError::DamagedObject`], [`CatalogError::Store`] or [`CatalogError::S3`].
    pub async fn read(&self, sha256: &Sha256Hex) -> Result<Bytes, CatalogError> {
        let bytes = self.bytes(sha256).await?;
        if name_of(&bytes) == *sha256 {
            return Ok(bytes);
        }
        // On the way from S3 they may have been changed or cut; those of a file are as they are.
        let is_far = matches!(self.kind, Kind::S3(_));
        let bytes = if is_far { self.bytes(sha256).await? } else { bytes };
        if name_of(&bytes) == *sha256 { Ok(bytes) } else { Err(CatalogError::DamagedObject(sha256.to_string())) }
    }

    async fn bytes(&self, sha256: &Sha256Hex) -> Result<Bytes, CatalogError> {
        for place in self.places(sha256) {
            match self.objects.get(&place).await {
                Ok(object) => return object.bytes().await.map_err(self.failed(sha256.as_str())),
                Err(error) if self.is_absent(&error) => {}
                Err(error) => return Err(self.failed(sha256.as_str())(error)),
            }
        }
        Err(CatalogError::NoObject(sha256.to_string()))
    }

    /// Whether an object is there, without reading it.
    ///
    /// # Errors
    /// [`CatalogError::Store`] or [`CatalogError::S3`].
    pub async fn contains(&self, sha256: &Sha256Hex) -> Result<bool, CatalogError> {
        for place in self.places(sha256) {
            match self.objects.head(&place).await {
                Ok(_) => return Ok(true),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failed(sha256.as_str())(error)),
            }
        }
        Ok(false)
    }

    /// Objects whose names begin with two hexadecimal digits, and their sizes in bytes; whatever else lies there is left
    /// out.
    pub(crate) fn list(&self, digits: &str) -> BoxStream<'static, Result<(Sha256Hex, u64), CatalogError>> {
        let store = self.clone();
        self.objects
            .list(Some(&self.key_of(digits)))
            .map_err(move |error| store.failed("list")(error))
            .try_filter_map(|meta| async move {
                let name = meta.location.filename().unwrap_or_default();
                Ok(name.parse::<Sha256Hex>().ok().map(|sha256| (sha256, meta.size)))
            })
            .boxed()
    }

    /// Where an object may lie, the likelier place first.
    fn places(&self, sha256: &Sha256Hex) -> impl Iterator<Item = Key> + use<> {
        let old = match &self.kind {
            Kind::Local { .. } => Some(old_key(sha256)),
            Kind::S3(_) => None,
        };
        std::iter::once(self.key(sha256)).chain(old)
    }

    /// One level of 256 folders: 4,000 objects each at a million, and no folder to be made for nearly every new object.
    fn key(&self, sha256: &Sha256Hex) -> Key {
        let name = sha256.as_str();
        self.key_of(&format!("{}/{name}", &name[..2]))
    }

    fn key_of(&self, name: &str) -> Key {
        match &self.kind {
            Kind::S3(bucket) if !bucket.place.prefix.as_ref().is_empty() => {
                Key::from(format!("{}/{name}", bucket.place.prefix))
            }
            Kind::Local { .. } | Kind::S3(_) => Key::from(name),
        }
    }

    /// Whether an answer says that an object is not there.
    fn is_absent(&self, error: &object_store::Error) -> bool {
        match &self.kind {
            Kind::Local { .. } => matches!(error, object_store::Error::NotFound { .. }),
            Kind::S3(_) => s3::is_absent(error),
        }
    }

    /// What a failure becomes, for `map_err`.
    fn failed(&self, key: &str) -> impl FnOnce(object_store::Error) -> CatalogError + use<> {
        let bucket = match &self.kind {
            Kind::Local { .. } => None,
            Kind::S3(bucket) => Some(Arc::clone(bucket)),
        };
        let key = key.to_owned();
        move |source| match bucket {
            Some(bucket) => bucket.failed()(source),
            None => CatalogError::Store { key, source },
        }
    }
}

/// Removes what `object_store` began to write as an object and did not rename: `abcd...#1`, `#2` and so on beside it, names
/// that its own listing leaves out and its own deleting refuses.
fn delete_parts(object: &Path) -> Result<(), CatalogError> {
    let (mut number, mut n_absent) = (0_u32, 0);
    // A gap is left by a writer that ended before another one was killed.
    while n_absent < 5 {
        number += 1;
        let mut path = object.as_os_str().to_owned();
        path.push(format!("#{number}"));
        let path = Path::new(&path);
        match std::fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => n_absent += 1,
            Err(error) => return Err(refused("remove", path)(error)),
        }
    }
    Ok(())
}

fn name_of(bytes: &[u8]) -> Sha256Hex {
    Sha256Hex::from_digest(&Sha256::digest(bytes).into())
}

/// Where objects lay before there was [`ImageStore::key`]: those of older projects are found there.
fn old_key(sha256: &Sha256Hex) -> Key {
    let name = sha256.as_str();
    Key::from(format!("{}/{}/{name}", &name[..2], &name[2..4]))
}

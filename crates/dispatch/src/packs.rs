//! How does a worker write the packs of a release that shards name?

use affectory_catalog::{CatalogError, Project};
use affectory_core::Stop;
use affectory_release::ReleaseError;
use affectory_release::pack::Packer;

use crate::{DispatchError, Shard, ShardWork, Worked};

/// Writes packs.
#[derive(Debug)]
pub struct PackWork {
    project: Project,
    stop: Stop,
    /// The release of the last shard: the next one is nearly always of the same.
    packer: Option<Packer>,
    /// Packs written.
    pub n_written: u64,
}

impl PackWork {
    /// Works in that project.
    pub fn new(project: &Project, stop: &Stop) -> PackWork {
        PackWork { project: project.clone(), stop: stop.clone(), packer: None, n_written: 0 }
    }
}

impl ShardWork for PackWork {
    async fn work(&mut self, shard: &Shard) -> Result<Worked, DispatchError> {
        let Shard::Pack { release, split, number, .. } = shard else { return Ok(Worked::NothingLeft) };
        let packer = match self.packer.take() {
            Some(packer) if packer.name() == release => packer,
            _ => match Packer::join(&self.project, release).await {
                Ok(packer) => packer,
                // Anybody with access to the queue can name one; what is none is no reason to end.
                Err(error @ (ReleaseError::NotPacked(_) | ReleaseError::Catalog(CatalogError::NoRelease { .. }))) => {
                    tracing::warn!("a shard of a pack: {error}");
                    return Ok(Worked::NothingLeft);
                }
                Err(error) => return Err(error.into()),
            },
        };
        let is_written = packer.write((*split, *number), &self.stop).await?;
        self.packer = Some(packer);
        Ok(match is_written {
            true => {
                self.n_written += 1;
                Worked::Done
            }
            false if self.stop.is_requested() => Worked::Stopped,
            false => Worked::NothingLeft,
        })
    }
}

//! How does a worker let its model look at the faces of a pool that shards name?

use std::sync::Arc;

use affectory_annotate::{SuggestSummary, Suggester, suggest};
use affectory_catalog::Project;
use affectory_core::{FaceId, PoolId, Silent, Stop};

use crate::{DispatchError, Shard, ShardWork, Worked};

/// Lets a model look at faces. Shards for other models are left to other workers.
#[derive(Debug)]
pub struct PoolWork<S> {
    project: Project,
    suggester: Arc<S>,
    stop: Stop,
    /// What came of it.
    pub summary: SuggestSummary,
}

impl<S: Suggester> PoolWork<S> {
    /// Works in that project, with that model.
    pub fn new(project: &Project, suggester: S, stop: &Stop) -> PoolWork<S> {
        let suggester = Arc::new(suggester);
        PoolWork { project: project.clone(), suggester, stop: stop.clone(), summary: SuggestSummary::default() }
    }
}

impl<S: Suggester> ShardWork for PoolWork<S> {
    async fn work(&mut self, shard: &Shard) -> Result<Worked, DispatchError> {
        let Shard::Predict { pool, model, first, last, .. } = shard else { return Ok(Worked::NothingLeft) };
        if model != self.suggester.name() {
            tracing::warn!(wanted = %model, ours = self.suggester.name(), "a shard for another model");
            return Ok(Worked::NothingLeft);
        }
        let place = (&self.project.catalog, &self.project.store);
        let range = (FaceId(*first), FaceId(*last));
        let found = suggest(place, &self.suggester, PoolId(*pool), range, (&self.stop, &Silent)).await?;
        self.summary.faces += found.faces;
        self.summary.unreadable += found.unreadable;
        self.summary.stopped |= found.stopped;
        Ok(match found {
            SuggestSummary { stopped: true, .. } => Worked::Stopped,
            SuggestSummary { faces: 0, unreadable: 0, .. } => Worked::NothingLeft,
            SuggestSummary { .. } => Worked::Done,
        })
    }
}

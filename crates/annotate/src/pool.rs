//! How does a pool come to be, out of all faces of a project?

use affectory_catalog::{Account, COMMAND_LINE, Catalog, PoolRules, PoolState};
use affectory_core::{FaceId, PoolId, Progress, Stop};

use crate::AnnotateError;
use crate::plan::{FaceFilter, plan, same_looks};

/// Faces read, and written, at a time.
const PAGE: u32 = 10_000;

/// A pool that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolRequest {
    /// Its name.
    pub name: String,
    /// By which rules its faces are given out.
    pub rules: PoolRules,
    /// Which faces go in.
    pub filter: FaceFilter,
}

/// A pool that now exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct PoolReport {
    /// Its row.
    pub pool: PoolId,
    /// Faces in it.
    pub n_faces: usize,
    /// Of these, faces for more than one annotator.
    pub n_overlap: usize,
    /// Faces that look like another one: nobody gets both.
    pub n_alike: usize,
}

/// Makes a pool and opens it once all its faces are in.
///
/// # Errors
/// [`AnnotateError`]; a pool whose filling is interrupted gives nothing out.
pub async fn make_pool(
    catalog: &Catalog,
    request: &PoolRequest,
    created_by: Option<&Account>,
    (stop, progress): (&Stop, &dyn Progress),
    now_ms: i64,
) -> Result<PoolReport, AnnotateError> {
    check_pool(&request.name, &request.rules)?;
    let mut faces = Vec::new();
    let mut after = FaceId(0);
    progress.begin("reading faces", None);
    loop {
        let page = catalog.list_pool_candidates(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.face_id;
        progress.advance(page.len() as u64);
        faces.extend(page.into_iter().filter(|face| request.filter.admits(face)));
    }
    progress.end();
    if faces.is_empty() {
        let hint = "import images or collect some, run `affectory faces run`, or ask for smaller or labelled faces too (--labelled)";
        return Err(AnnotateError::NoFaces(hint.into()));
    }
    let (planned, n_alike) = tokio::task::block_in_place(|| {
        let looks = same_looks(&faces);
        let n_alike = faces.iter().zip(&looks).filter(|(face, look)| face.face_id != **look).count();
        let mut planned = plan(&faces, &looks, &request.rules);
        planned.truncate(request.filter.limit.unwrap_or(usize::MAX));
        (planned, n_alike)
    });
    let pool = catalog.insert_pool(&request.name, &request.rules, created_by, now_ms).await?;
    progress.begin("filling the pool", Some(planned.len() as u64));
    for batch in planned.chunks(PAGE as usize) {
        if stop.is_requested() {
            return Err(AnnotateError::Stopped(request.name.clone()));
        }
        catalog.insert_pool_faces(pool, batch).await?;
        progress.advance(batch.len() as u64);
    }
    progress.end();
    let actor = created_by.map_or_else(|| COMMAND_LINE.to_owned(), Account::actor);
    catalog.set_pool_state(pool, PoolState::Open, &actor, now_ms).await?;
    let n_overlap = planned.iter().filter(|face| face.n_wanted > 1).count();
    Ok(PoolReport { pool, n_faces: planned.len(), n_overlap, n_alike })
}

/// Whether a pool may have this name and these rules.
pub(crate) fn check_pool(name: &str, rules: &PoolRules) -> Result<(), AnnotateError> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    if name.trim().is_empty() || name.trim() != name || name.chars().count() > 60 || !name.chars().all(is_word) {
        return Err(AnnotateError::BadName(name.to_owned()));
    }
    let bad = |what: &str| Err(AnnotateError::BadRule(what.into()));
    if !(1..=100).contains(&rules.n_annotators) {
        return bad("annotators a face in the overlap: 1 to 100");
    }
    if rules.overlap_percent > 100 {
        return bad("the overlap is a share: 0 to 100 percent");
    }
    if rules.gold_percent > 50 {
        return bad("gold faces: at most 50 percent");
    }
    Ok(())
}

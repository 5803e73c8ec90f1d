//! Which candidates does the project know already, and are they still what they were?

use std::collections::{HashMap, HashSet};
use std::path::Path;

use affectory_catalog::Project;
use affectory_core::{FaceId, Sha256Hex};

use super::{Candidate, ImportRequest};
use crate::ReleaseError;

/// Where and when a source was first read: kept beside its rejects, so that other data under the same name is noticed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Origin {
    format: String,
    location: String,
    begun_ms: i64,
}

/// What is known of a source before its import.
pub(super) struct Known {
    origin: Option<Origin>,
    same_place: bool,
    hashes: Option<HashMap<String, Sha256Hex>>,
}

/// What to do with a candidate.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not met before: import it.
    New,
    /// Met before in this very place, and untouched since: not even read.
    Skip,
    /// Met before, perhaps with other labels: record what is new, if its bytes still have this hash.
    MustBe(Sha256Hex),
}

impl Known {
    /// Looks up the origin of the source, and notes it if this is its first import.
    pub fn open(project: &Project, request: &ImportRequest, now_ms: i64) -> Result<Known, ReleaseError> {
        let path = project.imports_dir().join(format!("{}.json", request.source));
        let location = request.path.canonicalize().map_err(ReleaseError::file("open", &request.path))?;
        let location = location.to_string_lossy().into_owned();
        let format = format!("{:?}", request.format);
        let origin: Option<Origin> = match std::fs::read(&path) {
            // A file that says nothing is as good as none: everything known is compared.
            Ok(bytes) => serde_json::from_slice(&bytes).ok(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let origin = Origin { format: format.clone(), location: location.clone(), begun_ms: now_ms };
                write_origin(&path, &origin)?;
                Some(origin)
            }
            Err(e) => return Err(ReleaseError::File { action: "read", path, source: e }),
        };
        let same = |o: &Origin| o.location == location && o.format == format;
        Ok(Known { same_place: origin.as_ref().is_some_and(same), origin, hashes: None })
    }

    /// One verdict for each candidate of a batch.
    pub async fn judge(
        &mut self,
        project: &Project,
        source: &str,
        batch: &[Candidate],
    ) -> Result<Vec<Verdict>, ReleaseError> {
        let paths: Vec<String> = batch.iter().map(|candidate| candidate.path.clone()).collect();
        let sighted: HashSet<String> = project.catalog.list_sighted(source, &paths).await?.into_iter().collect();
        let mut verdicts = Vec::with_capacity(batch.len());
        for candidate in batch {
            verdicts.push(if !sighted.contains(&candidate.path) {
                Verdict::New
            } else if self.is_untouched(candidate) {
                Verdict::Skip
            } else {
                if self.hashes.is_none() {
                    self.hashes = Some(list_hashes(project, source).await?);
                }
                let known = self.hashes.as_ref().and_then(|hashes| hashes.get(&candidate.path));
                known.map_or(Verdict::New, |hash| Verdict::MustBe(hash.clone()))
            });
        }
        Ok(verdicts)
    }

    /// Several faces are always looked at again: one of them may have been rejected for its box, and must be again.
    fn is_untouched(&self, candidate: &Candidate) -> bool {
        let begun_ms = self.origin.as_ref().map_or(i64::MIN, |origin| origin.begun_ms);
        let old = || candidate.bytes.modified_ms().is_some_and(|modified_ms| modified_ms < begun_ms);
        self.same_place && candidate.faces.len() == 1 && old()
    }
}

fn write_origin(path: &Path, origin: &Origin) -> Result<(), ReleaseError> {
    let fail = |source: std::io::Error| ReleaseError::File { action: "write", path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(fail)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
    serde_json::to_writer_pretty(&mut file, origin).map_err(|e| fail(e.into()))?;
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    Ok(())
}

/// Path -> hash of everything met in a source.
async fn list_hashes(project: &Project, source: &str) -> Result<HashMap<String, Sha256Hex>, ReleaseError> {
    let mut hashes = HashMap::new();
    let mut after = FaceId(0);
    loop {
        let page = project.catalog.list_labelled_faces(after, 5_000).await?;
        let Some(last) = page.last() else { return Ok(hashes) };
        after = last.face.id;
        for face in &page {
            for sighting in face.sightings.iter().filter(|sighting| sighting.source == source) {
                hashes.insert(sighting.path.clone(), face.image.image.sha256.clone());
            }
        }
    }
}

//! How does a candidate become rows: read, limits, decode, hashes, store, catalogue, batch by batch?

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Instant;

use affectory_catalog::{ImportItem, ImportOutcome, NewFace, NewImage, NewSighting, Project};
use affectory_core::{BoundingBox, Progress, Stop, WAY, way_us};
use affectory_imaging::{Limits, decode, perceptual_hash, sha256};
use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use rayon::prelude::*;
use tracing::Level;

use super::labels::check_box;
use super::sighted::{Known, Verdict};
use super::{Candidate, CandidateFace, Candidates, ImportFormat, Reject, candidates, rejects};
use crate::ReleaseError;
use crate::names::check_name;

/// Images in one transaction: enough that its disk flush is cheap, few enough that a kill costs little.
const BATCH: usize = 500;

/// Objects being written at a time.
const WRITES_IN_FLIGHT: usize = 16;

/// What shall be imported.
#[derive(Debug, Clone)]
pub struct ImportRequest {
    /// Its layout.
    pub format: ImportFormat,
    /// The folder, table or archive.
    pub path: PathBuf,
    /// The name under which the project will know it; [`ImportFormat::name`] where the user gives none.
    pub source: String,
    /// What decoding an image may use.
    pub limits: Limits,
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportSummary {
    /// Rows that are new.
    pub new: ImportOutcome,
    /// Images recorded by an earlier run and not touched since; they were not read.
    pub skipped: u64,
    /// Rows and files left out.
    pub rejected: u64,
    /// The list of them: `imports/SOURCE-rejects.csv`.
    pub rejects: PathBuf,
    /// Whether a stop was asked for before the end; the same import again goes on from there.
    pub stopped: bool,
}

/// Imports a source into a project. Run again, it adds what is missing and nothing twice.
///
/// # Errors
/// If the source is not laid out as its format asks, or the project cannot be written. Bad rows are not errors.
pub async fn import(
    project: &Project,
    request: &ImportRequest,
    now_ms: i64,
    stop: &Stop,
    progress: &dyn Progress,
) -> Result<ImportSummary, ReleaseError> {
    check_name(&request.source)?;
    let (format, path, source) = (request.format, request.path.clone(), request.source.clone());
    let mut rest = tokio::task::spawn_blocking(move || candidates(format, &path, &source)).await??;
    let mut known = Known::open(project, request, now_ms)?;
    progress.begin(&format!("import {}", request.source), rest.size_hint().1.map(|n| n as u64));
    let mut summary = ImportSummary {
        new: ImportOutcome::default(),
        skipped: 0,
        rejected: 0,
        rejects: project.imports_dir().join(format!("{}-rejects.csv", request.source)),
        stopped: false,
    };
    let mut rejected = Vec::new();
    let mut met = HashSet::new();
    let mut ready = Vec::new();
    loop {
        // The next batch is decoded while this one is stored and recorded.
        let next = prepare_next(project, request, &mut known, rest, &mut met);
        let (next, outcome) = tokio::join!(next, record(project, &ready, now_ms));
        let (outcome, next) = (outcome?, next?);
        add(&mut summary.new, outcome);
        progress.advance((next.items.len() + next.rejects.len()) as u64 + next.skipped);
        summary.skipped += next.skipped;
        rejected.extend(next.rejects);
        (ready, rest) = (next.items, next.rest);
        if next.is_last || stop.is_requested() {
            summary.stopped = !next.is_last;
            break;
        }
    }
    add(&mut summary.new, record(project, &ready, now_ms).await?);
    summary.rejected = rejected.len() as u64;
    rejects::write(&summary.rejects, &mut rejected)?;
    progress.end();
    tracing::info!(source = request.source, images = summary.new.images, rejected = summary.rejected, "import ended");
    Ok(summary)
}

/// An image that is ready to be stored, and when its reading began and ended.
type Ready = (Bytes, ImportItem, [Instant; 2]);

/// A batch of them.
struct Prepared {
    items: Vec<Ready>,
    rejects: Vec<Reject>,
    skipped: u64,
    rest: Candidates,
    is_last: bool,
}

async fn prepare_next(
    project: &Project,
    request: &ImportRequest,
    known: &mut Known,
    mut rest: Candidates,
    met: &mut HashSet<String>,
) -> Result<Prepared, ReleaseError> {
    let (mut batch, mut rejects) = (Vec::new(), Vec::new());
    let mut is_last = true;
    for candidate in rest.by_ref() {
        match candidate {
            Ok(candidate) if met.insert(candidate.path.clone()) => batch.push(candidate),
            Ok(Candidate { file, line, .. }) => {
                rejects.push(Reject::new(&file, line, "the image stands in the source twice"))
            }
            Err(reject) => rejects.push(reject),
        }
        if batch.len() + rejects.len() >= BATCH {
            is_last = false;
            break;
        }
    }
    let verdicts = known.judge(project, &request.source, &batch).await?;
    let skipped = verdicts.iter().filter(|verdict| **verdict == Verdict::Skip).count() as u64;
    let (source, limits) = (request.source.clone(), request.limits);
    let work: Vec<_> = batch.into_iter().zip(verdicts).filter(|(_, verdict)| *verdict != Verdict::Skip).collect();
    let read = tokio::task::spawn_blocking(move || -> Vec<_> {
        work.into_par_iter().map(|(candidate, verdict)| read_candidate(candidate, &verdict, &source, &limits)).collect()
    });
    let mut items = Vec::new();
    for (item, mut bad_rows) in read.await? {
        items.extend(item);
        rejects.append(&mut bad_rows);
    }
    Ok(Prepared { items, rejects, skipped, rest, is_last })
}

/// Reads, checks and hashes one image; faces whose box is impossible are rejected alone.
fn read_candidate(
    candidate: Candidate,
    verdict: &Verdict,
    source: &str,
    limits: &Limits,
) -> (Option<Ready>, Vec<Reject>) {
    let began = Instant::now();
    let Candidate { file, line, path, bytes, given_split, page_url, license, faces } = candidate;
    let alone = |reason: &str| {
        let reason = if file == path { reason.to_owned() } else { format!("{path}: {reason}") };
        (None, vec![Reject::new(&file, line, &reason)])
    };
    let bytes = match bytes.read(limits) {
        Ok(bytes) => bytes,
        Err(reason) => return alone(&reason),
    };
    let hash = sha256(&bytes);
    if let Verdict::MustBe(known) = verdict
        && *known != hash
    {
        return alone("other content than was imported from this source under this path before");
    }
    let decoded = match decode(&bytes, limits) {
        Ok(decoded) => decoded,
        Err(e) => return alone(&e.to_string()),
    };
    let (width, height) = (decoded.image.width, decoded.image.height);
    let mut rejects = Vec::new();
    let mut kept = Vec::new();
    for CandidateFace { line, bounding_box, landmarks, annotations } in faces {
        let bounding_box = bounding_box.unwrap_or(BoundingBox::whole(width, height));
        match check_box(bounding_box, width, height) {
            Ok(()) => kept.push(NewFace { bounding_box, landmarks, annotations }),
            Err(reason) => rejects.push(Reject::new(&file, line, &format!("{path}: {reason}"))),
        }
    }
    if kept.is_empty() {
        return (None, rejects);
    }
    let image = NewImage {
        sha256: hash,
        phash: perceptual_hash(&decoded.image),
        width,
        height,
        format: decoded.format.name().to_owned(),
        size_bytes: bytes.len() as u64,
    };
    let sighting = NewSighting { source: source.to_owned(), path, page_url, license, given_split };
    (Some((bytes.into(), ImportItem { image, sighting, faces: kept }, [began, Instant::now()])), rejects)
}

/// Objects first, rows after: a row never names an object that is not there.
async fn record(project: &Project, ready: &[Ready], now_ms: i64) -> Result<ImportOutcome, ReleaseError> {
    if ready.is_empty() {
        return Ok(ImportOutcome::default());
    }
    put_all(project, ready).await?;
    let items: Vec<ImportItem> = ready.iter().map(|(_, item, _)| item.clone()).collect();
    let outcome = project.catalog.record_import(&items, now_ms).await?;
    if outcome.restored > 0 {
        // The store may have dropped them after we found them there.
        put_all(project, ready).await?;
    }
    if tracing::enabled!(target: WAY, Level::INFO) {
        ready.iter().for_each(|(_, item, times)| tell(item, *times));
    }
    Ok(outcome)
}

/// For whoever follows an image that has just been recorded. Its path is not told: it may hold a name.
fn tell(item: &ImportItem, [began, read]: [Instant; 2]) {
    let all_us = way_us(began.elapsed());
    tracing::info!(
        target: WAY,
        step = "import",
        hash = item.image.sha256.as_str(),
        brings = "image",
        ago_us = all_us,
        took_us = all_us,
        part.read = way_us(read - began),
        part.record = way_us(read.elapsed()),
        bytes = item.image.size_bytes,
        n_faces = item.faces.len() as u64,
        source = item.sighting.source.as_str(),
    );
}

async fn put_all(project: &Project, ready: &[Ready]) -> Result<(), ReleaseError> {
    stream::iter(ready.iter().map(|(bytes, ..)| project.store.put(bytes.clone())))
        .buffer_unordered(WRITES_IN_FLIGHT)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    // A row that outlives a power cut must not name an object that does not.
    project.store.flush().await?;
    Ok(())
}

fn add(total: &mut ImportOutcome, outcome: ImportOutcome) {
    total.images += outcome.images;
    total.sightings += outcome.sightings;
    total.faces += outcome.faces;
    total.annotations += outcome.annotations;
    total.restored += outcome.restored;
}

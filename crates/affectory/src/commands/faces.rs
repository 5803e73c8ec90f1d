//! `affectory faces`: looks for faces in the project's images, and says how far that is.

use affectory_catalog::{FaceScan, Project};
use affectory_collect::FacesSettings;
use affectory_faces::{
    CatalogImages, FaceDetector, FaceFinder, Mtcnn, MtcnnSettings, ScanRequest, ScanSummary, Yunet, scan,
};
use affectory_imaging::Limits;
use anyhow::{Context as _, bail};

use super::{Context, collect, onnx_runtime};
use crate::cli::{Detector, FacesCommand, FacesRun};
use crate::environment::{now_ms, worker_id, worker_is_alive};

pub async fn run(context: &Context, command: FacesCommand) -> anyhow::Result<()> {
    let project = context.open().await?;
    match command {
        FacesCommand::Run(args) => look(context, &project, &args).await,
        FacesCommand::Status(args) => status(context, &project, name(&args.detector)).await,
    }
}

/// A detector's name in the catalogue.
pub fn name(detector: &Detector) -> &'static str {
    match detector {
        Detector::Mtcnn => Mtcnn::NAME,
        Detector::Yunet(_) => Yunet::NAME,
    }
}

/// How this process looks for faces, as `collect.toml` has it.
pub fn scan_request(settings: &FacesSettings, keep_crops: bool) -> ScanRequest {
    ScanRequest {
        worker: worker_id(),
        limits: Limits::default(),
        keep_crops,
        usable_px: Some(settings.usable_px as f32),
        drop_unusable: settings.drop_unusable,
    }
}

/// A detector with the landmark network.
pub fn finder(detector: &Detector, min_face: u32) -> anyhow::Result<FaceFinder> {
    Ok(FaceFinder::new(self::detector(detector, min_face)?)?)
}

/// A detector by itself.
pub fn detector(detector: &Detector, min_face: u32) -> anyhow::Result<Box<dyn FaceDetector>> {
    Ok(match detector {
        Detector::Mtcnn => Box::new(Mtcnn::bundled(MtcnnSettings { min_face, ..MtcnnSettings::default() })?),
        Detector::Yunet(model) => Box::new(Yunet::open(model, &onnx_runtime())?),
    })
}

async fn look(context: &Context, project: &Project, args: &FacesRun) -> anyhow::Result<()> {
    let finder = finder(&args.detector, args.min_face)?;
    free_the_dead(project, finder.name()).await?;
    // What was collected with --no-faces is judged as it would have been then.
    let request = scan_request(&collect::settings_of(project)?.faces, !args.no_crops);
    let place = (&project.catalog, &project.store);
    let mut images = CatalogImages { catalog: &project.catalog, detector: finder.name(), worker: &request.worker };
    let summary = scan(place, &finder, &request, (&mut images, || false), now_ms, (&context.stop, &context.bars))
        .await
        .context("failed to look for faces")?;
    let mut json = serde_json::to_value(summary)?;
    json["detector"] = finder.name().into();
    context.print(&describe(&summary), &json)?;
    if summary.stopped {
        bail!("stopped before the end: the same command goes on from here");
    }
    Ok(())
}

/// Of this machine's processes we know which are dead; leases of other machines end by themselves.
pub(super) async fn free_the_dead(project: &Project, detector: &str) -> anyhow::Result<()> {
    for worker in project.catalog.list_lease_holders(detector).await? {
        if !worker_is_alive(&worker) {
            let n_released = project.catalog.release_leases(detector, &worker).await?;
            tracing::info!("{worker} is gone: {n_released} images go back to the queue");
        }
    }
    Ok(())
}

/// What a run did, for people.
pub(super) fn describe(summary: &ScanSummary) -> String {
    let mut text = format!(
        "{} images searched: {} new faces; {} images without a face, {} unreadable",
        summary.images, summary.faces, summary.no_face, summary.unreadable
    );
    if summary.small_faces > 0 {
        text += &format!(", {} with small faces only", summary.small_faces);
    }
    if summary.dropped > 0 {
        text += "; the bytes of unusable ones were taken out of the store";
    }
    let given = summary.given_seen + summary.given_missed;
    if given > 0 {
        text += &format!("\nof {given} faces that came with the data, {} were seen", summary.given_seen);
    }
    text
}

async fn status(context: &Context, project: &Project, name: &str) -> anyhow::Result<()> {
    let FaceScan { pending, leased, found, no_face, unreadable, faces } = project.catalog.face_scan(name).await?;
    let text = format!(
        "detector    {name}\nwaiting     {pending}\nin work     {leased}\nwith faces  {found}\nwithout     {no_face}\n\
         unreadable  {unreadable}\nfaces       {faces} in the project, given ones included"
    );
    let json = serde_json::json!({
        "detector": name, "pending": pending, "leased": leased, "found": found, "no_face": no_face,
        "unreadable": unreadable, "faces": faces,
    });
    context.print(&text, &json)
}

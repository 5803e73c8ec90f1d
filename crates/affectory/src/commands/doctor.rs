//! `affectory doctor`: what was found on this machine and in this project?

use affectory_catalog::Patience;
use affectory_imaging::{ImageFormat, JPEG_DECODER, JPEG_ENCODER};
use affectory_learn::{Predictor, Recipe};
use affectory_video::Ffmpeg;

use super::{Context, ffmpeg, secrets, shown};
use crate::environment::{variable, worker_id};
use crate::failure::printable;

pub async fn run(context: &Context) -> anyhow::Result<()> {
    let recipes: Vec<&str> = Recipe::built_in().iter().map(|(name, _)| *name).collect();
    let model = Predictor::bundled()?;
    let formats = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp];
    let formats: Vec<String> = formats.iter().map(|format| format!("{format:?}").to_lowercase()).collect();
    let version = env!("CARGO_PKG_VERSION");
    let n_threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runtime = variable("ORT_DYLIB_PATH");
    let onnx = runtime.as_deref().map_or_else(
        || "needs ONNX Runtime: ORT_DYLIB_PATH is not set".to_owned(),
        |path| format!("by {}", printable(path)),
    );
    let ffmpeg = Ffmpeg::find(&ffmpeg());
    let video = match &ffmpeg {
        Ok(ffmpeg) => format!("by ffmpeg {}", printable(ffmpeg.version())),
        Err(error) => format!("none: {}", printable(&error.to_string())),
    };
    let mut text = format!(
        "affectory {version}, {n_threads} threads\nimages     {} (jpeg read by {JPEG_DECODER}, written by {JPEG_ENCODER})\nvideos     {video}\nrecipes    {}\nmodel      {}; also face-api, and ONNX models by manifest\ndetectors  mtcnn with 68 landmarks; yunet=FILE.onnx {onnx}\n",
        formats.join(", "),
        recipes.join(", "),
        model.name()
    );
    let mut json = serde_json::json!({
        "version": version, "threads": n_threads, "images": formats, "jpeg_decoder": JPEG_DECODER, "jpeg_encoder": JPEG_ENCODER,
        "recipes": recipes, "model": model.name(),
        "detectors": ["mtcnn"], "onnx_runtime": runtime,
        "ffmpeg": ffmpeg.ok().map(|ffmpeg| ffmpeg.version().to_owned()),
        "project": null,
    });
    match context.open().await {
        Ok(project) => {
            let counts = project.catalog.project_counts().await?;
            let audit = project.catalog.verify_audit().await?;
            let audit = match audit {
                Ok(n) => format!("{n} entries, chain whole"),
                Err(id) => format!("BROKEN at entry {id}"),
            };
            // Somebody waits for the answer: the bucket is asked with less patience than a stage has.
            let hurried = secrets().s3.with_patience(Patience::SHORT);
            let objects = match project.check_store(&hurried, &worker_id()).await {
                Ok(()) => "can be written, read and removed".to_owned(),
                Err(error) => format!("FAILS: {}", printable(&format!("{:#}", anyhow::Error::new(error)))),
            };
            text += &format!("project    {}\ncatalogue  {}\n", shown(&project.root), project.config.catalog);
            text += &format!("objects    {}, {objects}\n", project.config.objects);
            text += &format!(
                "rows       {} images, {} faces, {} annotations by {} annotators, {} releases\naudit      {audit}\n",
                counts.images, counts.faces, counts.annotations, counts.annotators, counts.releases
            );
            json["project"] = serde_json::json!({
                "root": project.root, "catalog": project.config.catalog, "objects": project.config.objects, "store": objects, "counts": counts, "audit": audit,
            });
        }
        Err(error) => text += &format!("project    none: {error:#}\n"),
    }
    context.print(&text, &json)
}

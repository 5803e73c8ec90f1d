//! `affectory predict`: reads expression, valence and arousal from pictures, videos and cameras.

mod inputs;
mod pictures;
mod report;
mod tables;
mod videos;

use anyhow::{Context as _, bail};

pub use self::pictures::{ReadFace, Reader, Table, overlay};
use self::tables::VideoTables;
use super::{Context, evaluate, faces, shown};
use crate::cli::Predict;

/// Side of the smallest face in a picture, pixels.
const SMALLEST_IN_PICTURES: u32 = 20;

pub fn run(context: &Context, args: &Predict) -> anyhow::Result<()> {
    let inputs = inputs::sort(&args.paths)?;
    let (has_pictures, has_videos) = (!inputs.pictures.is_empty(), !inputs.videos.is_empty());
    if args.csv.is_some() && has_pictures && has_videos {
        bail!(
            "pictures and videos have different tables: name them in two commands, or leave --csv out ({} is a picture, \
             {} a video)",
            shown(&inputs.pictures[0]),
            shown(&inputs.videos[0])
        );
    }
    if args.parquet.is_some() && !has_videos {
        bail!("--parquet is for videos, and {} is none", shown(&args.paths[0]));
    }
    let ffmpeg = if has_videos { Some(affectory_video::Ffmpeg::find(&super::ffmpeg())?) } else { None };
    let predictor = super::model(args.model.as_deref())?;
    if let Some(folder) = &args.overlay {
        std::fs::create_dir_all(folder).with_context(|| format!("failed to create {}", shown(folder)))?;
    }
    let min_face = args.min_face.unwrap_or(SMALLEST_IN_PICTURES);
    let finder = if args.crop || !has_pictures { None } else { Some(faces::finder(&args.detector, min_face)?) };
    let reader = Reader::new(finder, predictor);

    let mut tables = match has_videos {
        true => Some(VideoTables::create(args, reader.predictor())?),
        false => None,
    };
    let n_pictures = inputs.pictures.len();
    let pictures = pictures::read_pictures(context, &reader, inputs.pictures, args.overlay.as_deref())?;
    if let (Some(path), true) = (&args.csv, has_pictures) {
        let mut table = Table::new(reader.predictor().labels())?;
        for picture in &pictures {
            for face in &picture.faces {
                table.add(&picture.path.to_string_lossy(), &face.prediction)?;
            }
        }
        let table = table.finish()?;
        if path.as_os_str() == "-" {
            context.print_text(&table)?
        } else {
            evaluate::write_file(path, table.as_bytes())?
        }
    }
    let mut videos = Vec::new();
    if let (Some(ffmpeg), Some(tables)) = (&ffmpeg, &mut tables) {
        let job = videos::Job { context, args, ffmpeg, predictor: reader.predictor() };
        videos = job.read_all(&inputs.videos, n_pictures, tables)?;
    }
    if let Some(tables) = tables {
        tables.finish()?;
    }

    let name = reader.predictor().name();
    let text = format!("model {name}\n{}{}", pictures::text(&pictures), report::text(&videos));
    let json = serde_json::json!({
        "model": name, "images": pictures::json(&pictures), "videos": report::json(&videos),
    });
    if args.csv.as_ref().is_some_and(|path| path.as_os_str() == "-") {
        // Standard output has the table.
        eprintln!("{}", if context.is_json { format!("{json:#}") } else { text.trim_end().to_owned() });
    } else {
        context.print(&text, &json)?;
    }
    if context.stop.is_requested() {
        bail!("stopped; what was read until then is kept");
    }
    let n_unread = pictures.iter().filter(|picture| picture.error.is_some()).count()
        + videos.iter().filter(|video| video.error.is_some() && video.summary.n_frames == 0).count();
    if n_unread == pictures.len() + videos.len() {
        bail!("none of the {n_unread} files could be read as a picture or video");
    }
    Ok(())
}

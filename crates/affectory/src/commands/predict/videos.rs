//! What do videos show? Frame after frame is read, put into tables, drawn, and forgotten.

use std::path::{Path, PathBuf};

use affectory_core::Progress as _;
use affectory_learn::Predictor;
use affectory_video::{
    Encoder, FaceNow, Ffmpeg, Frame, FrameSettings, Frames, Source, Summary, Timeline, VideoError, VideoInfo, Watch,
    WatchSettings, draw_faces, smallest_face,
};
use anyhow::Context as _;

use super::inputs::overlay_name;
use super::tables::VideoTables;
use crate::cli::Predict;
use crate::commands::{Context, evaluate, faces, shown};

/// One video's answer.
pub struct Video {
    /// Where it came from.
    pub path: PathBuf,
    /// Width and height in pixels, upright.
    pub size: Option<(u32, u32)>,
    /// Frames and people.
    pub summary: Summary,
    /// Why not all of it could be read or drawn.
    pub error: Option<String>,
}

/// What is the same for all videos of a command.
pub struct Job<'a> {
    pub context: &'a Context,
    pub args: &'a Predict,
    pub ffmpeg: &'a Ffmpeg,
    pub predictor: &'a Predictor,
}

impl Job<'_> {
    /// Reads videos one after the other; one that cannot be read does not stop the rest. `n_before` files have overlays
    /// already.
    pub fn read_all(&self, paths: &[PathBuf], n_before: usize, tables: &mut VideoTables) -> anyhow::Result<Vec<Video>> {
        let mut videos = Vec::new();
        for (number, path) in paths.iter().enumerate() {
            if self.context.stop.is_requested() || tables.is_left() {
                break;
            }
            let source = Source::of(path);
            let info = VideoInfo::probe(self.ffmpeg, &source);
            self.context.bars.begin(&format!("video {}/{}", number + 1, paths.len()), info.n_frames);
            let overlay = self.args.overlay.as_ref().map(|folder| Overlay {
                place: folder.join(overlay_name(n_before + number, path)),
                encoder: None,
                timeline: Timeline::default(),
            });
            videos.push(self.read(path, &source, &info, overlay, tables)?);
            self.context.bars.end();
        }
        Ok(videos)
    }

    fn read(
        &self,
        path: &Path,
        source: &Source,
        info: &VideoInfo,
        mut overlay: Option<Overlay>,
        tables: &mut VideoTables,
    ) -> anyhow::Result<Video> {
        let name = path.to_string_lossy();
        let mut video = Video { path: path.to_owned(), size: None, summary: Summary::default(), error: None };
        let mut errors: Vec<String> = Vec::new();
        let mut frames = Frames::open(self.ffmpeg, source, &FrameSettings::default())?;
        let mut watch = None;
        while let Some(frame) = frames.next(&self.context.stop) {
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => {
                    errors.push(error.to_string());
                    break;
                }
            };
            let watch = match &mut watch {
                Some(watch) => watch,
                None => {
                    video.size = Some((frame.image.width, frame.image.height));
                    watch.insert(self.watch(&frame)?)
                }
            };
            let faces = watch.look(&frame)?;
            video.summary.add(frame.time, &faces);
            tables.add(&name, frame.number, frame.time, &faces)?;
            let mut frame = frame;
            if let Some(drawn) = &mut overlay
                && let Err(error) = drawn.add(&mut frame, &faces, (self.ffmpeg, source, info))
            {
                // The answers go on: a full disk costs the film only.
                errors.push(error.to_string());
                overlay = None;
            }
            self.context.bars.advance(1);
            frames.give_back(frame.image);
            if tables.is_left() {
                break;
            }
        }
        if let Some(overlay) = overlay
            && let Err(error) = overlay.finish()
        {
            errors.push(format!("{error:#}"));
        }
        video.error = (!errors.is_empty()).then(|| errors.join("; "));
        Ok(video)
    }

    fn watch(&self, first: &Frame) -> anyhow::Result<Watch<'_>> {
        let smallest = smallest_face(first.image.width, first.image.height);
        let detector = match self.args.crop {
            true => None,
            false => Some(faces::detector(&self.args.detector, self.args.min_face.unwrap_or(smallest))?),
        };
        let settings = WatchSettings { detect_every_s: self.args.detect_every, smooth_s: self.args.smooth };
        Ok(Watch::new(detector, self.predictor, settings))
    }
}

/// What is drawn of one video: a film and a plot.
struct Overlay {
    /// Both files' path without an ending.
    place: PathBuf,
    encoder: Option<Encoder>,
    timeline: Timeline,
}

impl Overlay {
    fn add(
        &mut self,
        frame: &mut Frame,
        faces: &[FaceNow],
        (ffmpeg, source, info): (&Ffmpeg, &Source, &VideoInfo),
    ) -> Result<(), VideoError> {
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            None => self.encoder.insert(Encoder::create(ffmpeg, &self.partial(), frame, source, info)?),
        };
        draw_faces(&mut frame.image, faces);
        encoder.add(frame.time, &frame.image)?;
        self.timeline.add(frame.time, faces);
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<()> {
        if let Some(encoder) = self.encoder.take() {
            let place = self.named(".mp4");
            encoder.finish()?;
            std::fs::rename(self.partial(), &place).with_context(|| format!("failed to write {}", shown(&place)))?;
        }
        if let Some(svg) = self.timeline.svg() {
            evaluate::write_file(&self.named(".svg"), svg.as_bytes())?;
        }
        Ok(())
    }

    fn partial(&self) -> PathBuf {
        self.named(".mp4.part")
    }

    fn named(&self, ending: &str) -> PathBuf {
        let mut name = self.place.clone().into_os_string();
        name.push(ending);
        name.into()
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        // The encoder first, which would go on writing. Gone already if the film has its name.
        self.encoder = None;
        let _ = std::fs::remove_file(self.partial());
    }
}

//! How do frames with answers on them become a video that any player shows?
//!
//! A second ffmpeg takes them at one constant rate, the average of the original: frames are repeated or left out so that
//! each is shown when its time stamp says.

use std::io::Write as _;
use std::path::Path;
use std::process::{ChildStdin, Stdio};
use std::thread::JoinHandle;

use affectory_imaging::RgbImage;

use crate::ffmpeg::{Complaints, Running, file_argument, for_lines, guard};
use crate::{Ffmpeg, Frame, Source, VideoError, VideoInfo};

/// Rates that players take; what says otherwise is not believed.
const RATES: std::ops::RangeInclusive<f64> = 1.0..=120.0;

/// The rate where none is known.
const USUAL_RATE: f64 = 30.0;

/// A frame is not shown longer, however far the next one's time stamp lies away, seconds.
const MAX_SECONDS: f64 = 60.0;

/// A video that is being written.
pub struct Encoder {
    running: Running,
    /// `None` once it is closed.
    frames: Option<ChildStdin>,
    listener: Option<JoinHandle<()>>,
    complaints: Complaints,
    rate: f64,
    /// Width and height of all frames.
    size: (u32, u32),
    /// Time of the first frame, and what is left out of long gaps, seconds.
    start: f64,
    n_written: u64,
}

impl Encoder {
    /// Starts a video at `path` (MP4, H.264) for frames of the size of `first`, with the sound of a file that has some.
    ///
    /// # Errors
    /// [`VideoError::Missing`] if ffmpeg cannot be started; what it finds wrong comes with a later frame.
    pub fn create(
        ffmpeg: &Ffmpeg,
        path: &Path,
        first: &Frame,
        source: &Source,
        info: &VideoInfo,
    ) -> Result<Self, VideoError> {
        let rate = info.rate.filter(|rate| RATES.contains(rate)).unwrap_or(USUAL_RATE);
        let (width, height) = (first.image.width, first.image.height);
        let mut command = ffmpeg.command();
        command.args(["-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", &format!("{width}x{height}")]);
        command.args(["-framerate", &format!("{rate:.6}"), "-i", "pipe:0"]);
        if let (Source::File(original), true) = (source, info.has_audio) {
            guard(&mut command);
            command.arg("-i").arg(file_argument(original));
            // The sound ends with the picture, which may have been stopped early.
            command.args(["-map", "0:v:0", "-map", "1:a:0", "-af", "apad", "-c:a", "aac", "-shortest"]);
        }
        // H.264 with its usual colours takes even sides only.
        command.args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-c:v", "libx264", "-preset", "veryfast"]);
        command.args(["-crf", "21", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4"]);
        command.arg(file_argument(path));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut running = Running(command.spawn().map_err(|source| ffmpeg.missing(source))?);
        let frames = running.0.stdin.take();
        let complaints = Complaints::default();
        let heard = complaints.clone();
        let listen = |stderr| std::thread::spawn(move || for_lines(stderr, |line| heard.add(line)));
        let listener = running.0.stderr.take().map(listen);
        let size = (width, height);
        Ok(Self { running, frames, listener, complaints, rate, size, start: first.time, n_written: 0 })
    }

    /// Shows a picture from `time` (seconds) on, until the next one.
    ///
    /// # Errors
    /// [`VideoError::Encoder`] if ffmpeg has ended (a full disk).
    pub fn add(&mut self, time: f64, image: &RgbImage) -> Result<(), VideoError> {
        if (image.width, image.height) != self.size {
            return Err(VideoError::Encoder("the frames change their size".into()));
        }
        // Until the end of its first interval: the next frame decides whether it is shown longer.
        let wanted = ((time - self.start) * self.rate).round().max(0.0);
        let behind = wanted - self.n_written as f64;
        let most = (MAX_SECONDS * self.rate).round();
        if behind > most {
            self.start += (behind - most) / self.rate;
        }
        // The picture fills what lies between the one before and its own time.
        let n = if behind < 0.0 { 0 } else { behind.min(most) as u64 + 1 };
        for _ in 0..n {
            let written = self.frames.as_mut().map(|frames| frames.write_all(&image.pixels));
            if !matches!(written, Some(Ok(()))) {
                return Err(self.failed());
            }
            self.n_written += 1;
        }
        Ok(())
    }

    /// Ends the video.
    ///
    /// # Errors
    /// [`VideoError::Encoder`] if ffmpeg could not write it.
    pub fn finish(mut self) -> Result<(), VideoError> {
        self.frames = None;
        let is_written = self.running.0.wait().is_ok_and(|status| status.success());
        if is_written { Ok(()) } else { Err(self.failed()) }
    }

    fn failed(&mut self) -> VideoError {
        self.frames = None;
        // It ends by itself now, and with it what it has to say.
        let _ = self.running.0.wait();
        self.listener.take().map(JoinHandle::join);
        VideoError::Encoder(self.complaints.text("it ended early"))
    }
}

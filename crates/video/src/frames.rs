//! Which frames does a video have, and when is each shown? Decoding runs beside the reader, a few frames ahead of it.
//!
//! ffmpeg writes each frame as a PPM picture, which says its own size (upright: a phone's rotation is applied), to its
//! standard output, and its true time stamp as a line to its standard error.

use std::collections::VecDeque;
use std::io::BufReader;
use std::process::{ChildStderr, ChildStdout, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::{Duration, Instant};

use affectory_core::Stop;
use affectory_imaging::{Limits, RgbImage};

use crate::ffmpeg::{Complaints, Running, for_lines};
use crate::ppm::{Next, read_picture};
use crate::{Ffmpeg, Source, VideoError};

/// Prints `frame:N pts:P pts_time:T` for each frame to standard error, as it leaves the decoder. A filter's argument is
/// unescaped twice.
const STAMPS: &str = r"metadata=mode=add:key=affectory:value=1,metadata=mode=print:file=pipe\\:2:direct=1";

/// Frames that wait between the decoder and whoever reads them.
const AHEAD: usize = 2;

/// A stamp comes before its frame; this is for a machine that is very busy.
const STAMP_SECONDS: u64 = 2;

/// One picture of a video.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Counted from 0.
    pub number: u64,
    /// When it is shown: seconds by the video's own clock.
    pub time: f64,
    /// Its pixels, upright.
    pub image: RgbImage,
}

/// What reading may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrameSettings {
    /// Pixels of a frame.
    pub limits: Limits,
    /// Without a frame for so long, seconds, it is given up.
    pub patience_s: u64,
}

impl Default for FrameSettings {
    fn default() -> Self {
        Self { limits: Limits::default(), patience_s: 60 }
    }
}

/// The frames of a video, one after the other.
pub struct Frames {
    running: Running,
    frames: Receiver<Result<Frame, VideoError>>,
    /// Buffers on their way back to the reading thread.
    used: Sender<RgbImage>,
    complaints: Complaints,
    patience: Duration,
    n_read: u64,
    is_over: bool,
}

impl Frames {
    /// Starts decoding.
    ///
    /// # Errors
    /// [`VideoError::Missing`] if ffmpeg cannot be started; everything else comes with the frames.
    pub fn open(ffmpeg: &Ffmpeg, source: &Source, settings: &FrameSettings) -> Result<Self, VideoError> {
        let mut command = ffmpeg.command();
        command.args(["-max_pixels", &settings.limits.max_pixels.to_string()]);
        source.put_into(&mut command);
        command.args(["-map", "0:v:0"]).args(ffmpeg.passthrough()).args(["-vf", STAMPS]);
        command.args(["-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe", "pipe:1"]);
        command.stdin(if *source == Source::Stdin { Stdio::inherit() } else { Stdio::null() });
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut running = Running(spawned.map_err(|source| ffmpeg.missing(source))?);
        let (Some(stdout), Some(stderr)) = (running.0.stdout.take(), running.0.stderr.take()) else {
            return Err(VideoError::NotAVideo("it could not be listened to".into()));
        };
        let complaints = Complaints::default();
        let (frame, frames) = mpsc::sync_channel(AHEAD);
        let (used, free) = mpsc::channel();
        let stamps = listen(stderr, complaints.clone());
        let limits = settings.limits;
        std::thread::spawn(move || read(stdout, &limits, Stamps::new(stamps), &free, &frame));
        let patience = Duration::from_secs(settings.patience_s);
        Ok(Self { running, frames, used, complaints, patience, n_read: 0, is_over: false })
    }

    /// The next frame; `None` at the end, or once a stop is asked for. After an error there are no more.
    pub fn next(&mut self, stop: &Stop) -> Option<Result<Frame, VideoError>> {
        let began = Instant::now();
        while !self.is_over && !stop.is_requested() {
            match self.frames.recv_timeout(Duration::from_millis(100)) {
                Ok(Ok(frame)) => {
                    self.n_read += 1;
                    return Some(Ok(frame));
                }
                Ok(Err(error)) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
                Err(RecvTimeoutError::Timeout) if began.elapsed() < self.patience => {}
                Err(RecvTimeoutError::Timeout) => {
                    self.is_over = true;
                    return Some(Err(VideoError::Stalled(self.patience.as_secs())));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.is_over = true;
                    return self.verdict().map(Err);
                }
            }
        }
        None
    }

    /// Hands a frame's memory back for another one.
    pub fn give_back(&self, image: RgbImage) {
        // At the end nobody needs it any more.
        let _ = self.used.send(image);
    }

    /// Whether ffmpeg ended well.
    fn verdict(&mut self) -> Option<VideoError> {
        // The reading thread has met the end of its output, so it ends as well; one that does not is ended by `drop`.
        let began = Instant::now();
        let mut status = None;
        while status.is_none() && began.elapsed() < Duration::from_secs(5) {
            status = self.running.0.try_wait().ok().flatten();
            std::thread::sleep(Duration::from_millis(5));
        }
        let how = status.map_or("ffmpeg does not end".to_owned(), |status| format!("ffmpeg ended with {status}"));
        let is_well = status.is_some_and(|status| status.success()) && self.complaints.is_empty();
        match (is_well, self.n_read) {
            (true, 1..) => None,
            (_, 0) => Some(VideoError::NotAVideo(self.complaints.text("it has no frame"))),
            (false, n) => Some(VideoError::Damaged(format!("{} (after {n} frames)", self.complaints.text(&how)))),
        }
    }
}

/// Reads pictures until the stream ends or nobody wants them.
fn read(
    stdout: ChildStdout,
    limits: &Limits,
    mut stamps: Stamps,
    free: &Receiver<RgbImage>,
    frames: &SyncSender<Result<Frame, VideoError>>,
) {
    let mut stdout = BufReader::with_capacity(1 << 16, stdout);
    for number in 0.. {
        let mut image = free.try_recv().unwrap_or(RgbImage { width: 0, height: 0, pixels: Vec::new() });
        let read = match read_picture(&mut stdout, limits, &mut image) {
            Ok(Next::Picture) => Ok(Frame { number, time: stamps.of(number), image }),
            Ok(Next::End | Next::Cut) => return,
            Err(error) => Err(error),
        };
        let is_last = read.is_err();
        if frames.send(read).is_err() || is_last {
            return;
        }
    }
}

/// A thread that tells time stamps from complaints.
fn listen(stderr: ChildStderr, complaints: Complaints) -> Receiver<(u64, f64)> {
    let (stamp, stamps) = mpsc::channel();
    std::thread::spawn(move || {
        for_lines(stderr, |line| match stamp_of(line) {
            // Nobody listens after the end.
            Some(found) => drop(stamp.send(found)),
            None if line.trim_end() == "affectory=1" => {}
            None => complaints.add(line),
        });
    });
    stamps
}

/// Number and time of `frame:12   pts:400     pts_time:0.4`; a frame without a time has none.
fn stamp_of(line: &str) -> Option<(u64, f64)> {
    let mut words = line.strip_prefix("frame:")?.split_whitespace();
    let number = words.next()?.parse().ok()?;
    let time = words.find_map(|word| word.strip_prefix("pts_time:"));
    Some((number, time.and_then(|time| time.parse().ok()).filter(|time: &f64| time.is_finite()).unwrap_or(f64::NAN)))
}

/// The time of each frame. One that was not told, because a complaint came in between or the container has none, follows
/// from the two before.
struct Stamps {
    told: Receiver<(u64, f64)>,
    waiting: VecDeque<(u64, f64)>,
    last: Option<f64>,
    step: f64,
}

impl Stamps {
    fn new(told: Receiver<(u64, f64)>) -> Self {
        // Until two times are known: the rate of most cameras.
        Self { told, waiting: VecDeque::new(), last: None, step: 1.0 / 30.0 }
    }

    fn of(&mut self, number: u64) -> f64 {
        while self.waiting.back().is_none_or(|(told, _)| *told < number) {
            match self.told.recv_timeout(Duration::from_secs(STAMP_SECONDS)) {
                Ok(stamp) => self.waiting.push_back(stamp),
                Err(_) => break,
            }
        }
        while self.waiting.front().is_some_and(|(told, _)| *told < number) {
            self.waiting.pop_front();
        }
        let told = self.waiting.front().filter(|(told, time)| *told == number && !time.is_nan()).map(|(_, time)| *time);
        let time = told.unwrap_or_else(|| self.last.map_or(0.0, |last| last + self.step));
        if let Some(last) = self.last
            && time > last
        {
            self.step = time - last;
        }
        self.last = Some(time);
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_stamp_follows_from_its_neighbours() {
        let (tell, told) = mpsc::channel();
        let lines = ["frame:0    pts:0  pts_time:5", "frame:1 pts:1 pts_time:5.25", "frame:3 pts:3 pts_time:5.75"];
        for line in lines {
            tell.send(stamp_of(line).expect("a stamp")).expect("a listener");
        }
        drop(tell);
        let mut stamps = Stamps::new(told);
        assert_eq!([0, 1, 2, 3, 4].map(|number| stamps.of(number)), [5.0, 5.25, 5.5, 5.75, 6.0]);
        assert_eq!(stamp_of("[h264 @ 0x1] frame:1"), None);
        assert!(stamp_of("frame:0 pts:NOPTS pts_time:NOPTS").is_some_and(|(_, time)| time.is_nan()));
    }
}

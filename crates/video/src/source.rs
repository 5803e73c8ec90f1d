//! Where do frames come from, and what does the container say of them beforehand?

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::Ffmpeg;
use crate::ffmpeg::{Running, file_argument, guard};

/// Reading a header takes no longer.
const PROBE_SECONDS: u64 = 20;

/// A moving picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// What can be read once only: a named pipe.
    Pipe(PathBuf),
    /// Any container on standard input.
    Stdin,
    /// A camera as Linux shows it (`/dev/video0`).
    Camera(PathBuf),
}

impl Source {
    /// `-` is standard input, a character device a camera.
    pub fn of(path: &Path) -> Self {
        if path.as_os_str() == "-" {
            return Source::Stdin;
        }
        #[cfg(unix)]
        if let Ok(metadata) = std::fs::metadata(path) {
            use std::os::unix::fs::FileTypeExt as _;
            if metadata.file_type().is_char_device() {
                return Source::Camera(path.to_owned());
            }
            if !metadata.is_file() {
                return Source::Pipe(path.to_owned());
            }
        }
        Source::File(path.to_owned())
    }

    /// Puts the input's arguments into a command of ffmpeg's.
    pub(crate) fn put_into(&self, command: &mut Command) {
        guard(command);
        if !matches!(self, Source::File(_)) {
            // Of a stream that is still going on nobody waits for more than a second before the first frame.
            command.args(["-analyzeduration", "1000000"]);
        }
        match self {
            Source::File(path) | Source::Pipe(path) => command.arg("-i").arg(file_argument(path)),
            Source::Stdin => command.args(["-i", "pipe:0"]),
            Source::Camera(path) => command.args(["-f", "v4l2", "-i"]).arg(path),
        };
    }
}

/// What a container announces; it may be wrong, so it serves a progress bar and the overlay's rate only.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct VideoInfo {
    /// Average frames per second.
    pub rate: Option<f64>,
    /// Frames, counted or by length and rate.
    pub n_frames: Option<u64>,
    /// Whether there is sound.
    pub has_audio: bool,
}

impl VideoInfo {
    /// Asks ffprobe. What cannot be known (a stream, a damaged header, no ffprobe) stays unknown.
    pub fn probe(ffmpeg: &Ffmpeg, source: &Source) -> Self {
        let Source::File(path) = source else { return Self::default() };
        let mut command = Command::new(ffmpeg.probe_program());
        command.args(["-hide_banner", "-loglevel", "quiet", "-of", "json", "-show_entries"]);
        command.arg("stream=codec_type,avg_frame_rate,nb_frames:format=duration");
        guard(&mut command);
        command.arg(file_argument(path)).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else { return Self::default() };
        let mut running = Running(child);
        let Some(stdout) = running.0.stdout.take() else { return Self::default() };
        let (answer, answered) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            // A listener that has gone home needs no answer.
            let _ = stdout.take(1 << 18).read_to_string(&mut text).map(|_| answer.send(text));
        });
        let text = answered.recv_timeout(Duration::from_secs(PROBE_SECONDS)).unwrap_or_default();
        Self::parse(&text)
    }

    fn parse(json: &str) -> Self {
        let json: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
        let streams = || json["streams"].as_array().into_iter().flatten();
        let of_kind = |kind: &str| streams().find(|stream| stream["codec_type"] == kind);
        let number = |value: &serde_json::Value| value.as_str().and_then(|text| text.parse::<f64>().ok());
        let positive = |value: f64| (value.is_finite() && value > 0.0).then_some(value);
        let video = of_kind("video");
        let rate = video.and_then(|video| {
            let (frames, seconds) = video["avg_frame_rate"].as_str()?.split_once('/')?;
            positive(frames.parse::<f64>().ok()? / seconds.parse::<f64>().ok()?)
        });
        let counted = video.and_then(|video| number(&video["nb_frames"])).and_then(positive);
        let by_length = || Some(number(&json["format"]["duration"])? * rate?).and_then(positive);
        let n_frames = counted.or_else(by_length).map(|n| n.round() as u64);
        Self { rate, n_frames, has_audio: of_kind("audio").is_some() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_or_follow_from_length_and_rate() {
        let info = VideoInfo::parse(
            r#"{"streams":[{"codec_type":"audio","avg_frame_rate":"0/0","nb_frames":"9"},
                {"codec_type":"video","avg_frame_rate":"24000/1001"}],"format":{"duration":"10.01"}}"#,
        );
        assert_eq!(info.n_frames, Some(240));
        assert!(info.has_audio && info.rate.is_some_and(|rate| (rate - 23.976).abs() < 1e-3));
        assert_eq!(VideoInfo::parse("no JSON"), VideoInfo::default());
        let odd = r#"{"streams":[{"codec_type":"video","avg_frame_rate":"0/0","nb_frames":"nan"}]}"#;
        assert_eq!(VideoInfo::parse(odd), VideoInfo::default());
    }

    #[test]
    fn dash_is_standard_input_and_a_device_a_camera() {
        assert_eq!(Source::of(Path::new("-")), Source::Stdin);
        assert_eq!(Source::of(Path::new("/dev/null")), Source::Camera("/dev/null".into()));
        assert_eq!(Source::of(Path::new("-x.mp4")), Source::File("-x.mp4".into()));
    }
}

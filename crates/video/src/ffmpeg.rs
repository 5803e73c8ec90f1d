//! How is ffmpeg called, listened to and never left behind?

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use crate::VideoError;

/// Containers that hold their pictures themselves. Playlists (hls, dash, concat, sdp, ...) are not among them: a file that
/// somebody sent could make ffmpeg open others. Names of ffmpeg's demuxers.
const CONTAINERS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,asf,flv,ogg,h264,hevc,m4v,mjpeg,\
                          mxf,ivf,dv,nut,rm,wtv,yuv4mpegpipe,obu,av1,vc1,h263,h261,apng,gif,video4linux2,v4l2";

/// Lines of complaint that are kept; the first ones say most.
const MAX_LINES: usize = 8;

/// Characters of a line that are kept.
const MAX_LINE_CHARS: usize = 200;

/// An ffmpeg that answers.
#[derive(Debug, Clone)]
pub struct Ffmpeg {
    program: PathBuf,
    version: String,
}

impl Ffmpeg {
    /// Asks the program for its version.
    ///
    /// # Errors
    /// [`VideoError::Missing`] if it cannot be started.
    pub fn find(program: &Path) -> Result<Self, VideoError> {
        let missing = |source| VideoError::Missing { program: program.to_owned(), source };
        let output = Command::new(program).arg("-version").stdin(Stdio::null()).output().map_err(missing)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.lines().next().and_then(|line| line.strip_prefix("ffmpeg version "));
        let Some(version) = version.and_then(|rest| rest.split_whitespace().next()) else {
            return Err(missing(std::io::Error::other("it does not answer as ffmpeg does")));
        };
        Ok(Self { program: program.to_owned(), version: version.chars().take(60).collect() })
    }

    /// What it calls itself, e.g. `5.1.9-0+deb12u1`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// It answered before, and does not start now.
    pub(crate) fn missing(&self, source: std::io::Error) -> VideoError {
        VideoError::Missing { program: self.program.clone(), source }
    }

    /// The program that reads headers; it comes with ffmpeg and lies beside it.
    pub(crate) fn probe_program(&self) -> PathBuf {
        let beside = self.program.with_file_name("ffprobe");
        if self.program.components().count() > 1 && beside.is_file() { beside } else { "ffprobe".into() }
    }

    /// A quiet ffmpeg without a terminal. Its process group is its own: Ctrl-C is for us, who let it finish.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.args(["-hide_banner", "-nostdin", "-loglevel", "error"]);
        command
    }

    /// Frames as they are, neither repeated nor dropped.
    pub(crate) fn passthrough(&self) -> [&'static str; 2] {
        let mut numbers = self.version.trim_start_matches('n').split(|c: char| !c.is_ascii_digit());
        let mut number = || numbers.next().and_then(|digits| digits.parse::<u32>().ok());
        let is_old = matches!((number(), number()), (Some(major), minor) if (major, minor.unwrap_or(0)) < (5, 1));
        [if is_old { "-vsync" } else { "-fps_mode" }, "passthrough"]
    }
}

/// What every input needs: nothing but files, and no containers that point elsewhere.
pub(crate) fn guard(command: &mut Command) {
    command.args(["-protocol_whitelist", "file,pipe", "-format_whitelist", CONTAINERS]);
}

/// A path as an argument that is never taken for an option or another protocol.
pub(crate) fn file_argument(path: &Path) -> OsString {
    let mut argument = OsString::from("file:");
    argument.push(path);
    argument
}

/// A child process that does not outlive us.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first lines of complaint, shared with the thread that listens.
#[derive(Debug, Clone, Default)]
pub(crate) struct Complaints(Arc<Mutex<Vec<String>>>);

impl Complaints {
    pub(crate) fn add(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // ffmpeg names itself and an address in memory before some lines: `[mov @ 0x55b5005bfe80] `.
        let mut line = line.trim();
        while let Some((_, text)) = line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
            line = text;
        }
        if line.starts_with("Format not on whitelist") {
            line = "a playlist, or another format that is not opened because it can point to other files";
        }
        let is_idle = line.is_empty() || line.starts_with("Last message repeated") || line.contains("non monoton");
        if lines.len() < MAX_LINES && !is_idle && !lines.iter().any(|known| known == line) {
            lines.push(line.to_owned());
        }
    }

    /// The lines as one, or `otherwise`.
    pub(crate) fn text(&self, otherwise: &str) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.is_empty() { otherwise.to_owned() } else { lines.join("; ") }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// Calls `act` for each line, of which at most the first characters are kept, until the end.
pub(crate) fn for_lines(from: impl Read, mut act: impl FnMut(&str)) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line without an end must not fill the memory: the rest of it becomes lines of its own.
        match from.by_ref().take(4096).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => act(&String::from_utf8_lossy(&line).chars().take(MAX_LINE_CHARS).collect::<String>()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_new_versions_are_told_apart() {
        let of = |version: &str| Ffmpeg { program: "ffmpeg".into(), version: version.into() }.passthrough()[0];
        assert_eq!(["4.4.2-0ubuntu1", "5.0", "n4.4"].map(of), ["-vsync"; 3]);
        assert_eq!(["5.1.9-0+deb12u1", "7.1", "n6.0", "N-109-g1"].map(of), ["-fps_mode"; 4]);
    }

    #[test]
    fn complaints_are_bounded_and_lose_addresses() {
        let complaints = Complaints::default();
        complaints.add("[mov @ 0x55b5005bfe80] moov atom not found\n");
        complaints.add("[mov @ 0x1] [x @ 0x2] moov atom not found\n");
        assert_eq!(complaints.text(""), "moov atom not found");
        for number in 0..100 {
            complaints.add(&number.to_string());
        }
        assert_eq!(complaints.text("").split("; ").count(), MAX_LINES);
        let mut n = 0;
        for_lines(&[b'a'; 10_000][..], |line| n += line.len());
        assert_eq!(n, 3 * MAX_LINE_CHARS);
    }
}

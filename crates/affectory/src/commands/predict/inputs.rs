//! Which arguments are pictures, and which are videos?

use std::io::Read as _;
use std::path::{Path, PathBuf};

use affectory_imaging::{ImageFormat, ImagingError};
use affectory_video::Source;
use anyhow::{Context as _, bail};

use crate::commands::shown;

/// Folders inside folders are followed this deep.
const MAX_DEPTH: u32 = 8;

const PICTURES: [&str; 6] = ["jpg", "jpeg", "png", "webp", "gif", "bmp"];
const VIDEOS: [&str; 14] =
    ["mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "wmv", "ts", "mts", "3gp", "flv", "ogv"];

/// What there is to read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Files that the decoders of this program read, or say why not.
    pub pictures: Vec<PathBuf>,
    /// Files, pipes and cameras that ffmpeg reads, or says why not.
    pub videos: Vec<PathBuf>,
}

/// Sorts what the user named. Content decides before endings, endings decide where the content says nothing.
pub fn sort(paths: &[PathBuf]) -> anyhow::Result<Inputs> {
    let mut inputs = Inputs::default();
    for path in paths {
        if path.as_os_str() == "-" {
            inputs.videos.push(path.clone());
        } else {
            collect(path, MAX_DEPTH, true, &mut inputs)?;
        }
    }
    if inputs.videos.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
        bail!("standard input is named twice");
    }
    if inputs == Inputs::default() {
        bail!("no picture or video in {} ({}; {})", shown(&paths[0]), PICTURES.join(", "), VIDEOS.join(", "));
    }
    Ok(inputs)
}

/// The beginning of the names of what is drawn over the `number`th file.
pub fn overlay_name(number: usize, path: &Path) -> String {
    let stem = if path.as_os_str() == "-" { Some("stdin".as_ref()) } else { path.file_stem() };
    let stem = stem.map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let usable = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    format!("{:04}-{}", number + 1, stem.chars().map(usable).take(80).collect::<String>())
}

/// A file named by the user counts whatever its name; in folders, names of pictures and videos count.
fn collect(path: &Path, depth: u32, is_named: bool, inputs: &mut Inputs) -> anyhow::Result<()> {
    let reading = || format!("failed to read {}", shown(path));
    if !std::fs::metadata(path).with_context(reading)?.is_dir() {
        match kind(path, is_named) {
            Some(Kind::Picture) => inputs.pictures.push(path.to_owned()),
            Some(Kind::Video) => inputs.videos.push(path.to_owned()),
            None => {}
        }
        return Ok(());
    }
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(path).with_context(reading)? {
        entries.push(entry.with_context(reading)?.path());
    }
    entries.sort();
    for entry in entries {
        if !entry.is_dir() {
            // A link to nothing, or a file that just went away.
            if entry.exists() {
                collect(&entry, 0, false, inputs)?;
            }
        } else if depth > 0 && !entry.is_symlink() {
            collect(&entry, depth - 1, false, inputs)?;
        }
    }
    Ok(())
}

enum Kind {
    Picture,
    Video,
}

fn kind(path: &Path, is_named: bool) -> Option<Kind> {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let (is_picture, is_video) = (PICTURES.contains(&ending.as_str()), VIDEOS.contains(&ending.as_str()));
    if !is_named && !is_picture && !is_video {
        return None;
    }
    match Source::of(path) {
        // What is read here is gone for whoever reads it next.
        Source::Pipe(_) | Source::Camera(_) | Source::Stdin => return is_named.then_some(Kind::Video),
        Source::File(_) => {}
    }
    Some(match sniff(path) {
        Ok(_) => Kind::Picture,
        Err(_) if is_picture => Kind::Picture,
        Err(ImagingError::Empty) if !is_video => Kind::Picture,
        Err(_) => Kind::Video,
    })
}

/// The picture format that the first bytes belong to.
fn sniff(path: &Path) -> Result<ImageFormat, ImagingError> {
    let mut head = Vec::new();
    // What cannot be opened fails again, with its reason, where it is read.
    if let Ok(file) = std::fs::File::open(path) {
        let _ = file.take(64).read_to_end(&mut head);
    }
    ImageFormat::sniff(&head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_before_endings() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let png = b"\x89PNG\r\n\x1a\n....";
        for (name, bytes) in
            [("a.mp4", &png[..]), ("b.mp4", b"....ftypisom"), ("c.png", b"<html>"), ("d.txt", b"text"), ("e.mkv", b"")]
        {
            std::fs::write(folder.path().join(name), bytes)?;
        }
        let names = |paths: &[PathBuf]| -> Vec<String> {
            paths.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect()
        };
        let found = sort(&[folder.path().to_owned(), folder.path().join("d.txt")])?;
        assert_eq!(names(&found.pictures), ["a.mp4", "c.png"]);
        assert_eq!(names(&found.videos), ["b.mp4", "e.mkv", "d.txt"]);
        Ok(())
    }

    #[test]
    fn names_of_overlays_stay_in_their_folder() {
        assert_eq!(overlay_name(0, Path::new("../a b/../../x\u{1b}[y.mp4")), "0001-x__y");
        assert_eq!(overlay_name(9, Path::new("-")), "0010-stdin");
    }
}

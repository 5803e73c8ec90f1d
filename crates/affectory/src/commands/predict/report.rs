//! What is said of videos when they are over? Frames, people, and what each expressed for how long.

use std::fmt::Write as _;

use affectory_video::FaceSummary;

use super::videos::Video;
use crate::commands::shown;
use crate::failure::printable;

/// People of a video that the text names; JSON has all.
const N_NAMED: usize = 10;

/// A line a video and one a person, the longest seen first.
pub fn text(videos: &[Video]) -> String {
    let mut text = String::new();
    for video in videos {
        let path = shown(&video.path);
        let summary = &video.summary;
        if let Some((width, height)) = video.size {
            let (frames, seconds) = (summary.n_frames, summary.seconds());
            let faces = match summary.faces.len() {
                0 => "no face found".to_owned(),
                1 => "1 face".to_owned(),
                n => format!("{n} faces"),
            };
            let _ = writeln!(text, "{path}: {frames} frames, {seconds:.1} s, {width}x{height}, {faces}");
        }
        let mut faces: Vec<(&u32, &FaceSummary)> = summary.faces.iter().collect();
        faces.sort_by_key(|(face, summary)| (std::cmp::Reverse(summary.n_frames), **face));
        for (face, summary) in faces.iter().take(N_NAMED) {
            let (first, last) = (summary.first_s, summary.last_s);
            let _ = write!(text, "  face {face}, {first:.1}-{last:.1} s, {} frames:", summary.n_frames);
            for (place, (label, share)) in summary.shares().into_iter().take(2).enumerate() {
                let comma = if place == 0 { "" } else { "," };
                let _ = write!(text, "{comma} {label} {:.0} %", share * 100.0);
            }
            if let Some([valence, arousal]) = summary.affect() {
                let proxy = if summary.is_proxy { " (proxy)" } else { "" };
                let _ = write!(text, ", mean valence {valence:+.2}, arousal {arousal:+.2}{proxy}");
            }
            text.push('\n');
        }
        if faces.len() > N_NAMED {
            let _ = writeln!(text, "  and {} more", faces.len() - N_NAMED);
        }
        if let Some(error) = &video.error {
            let _ = writeln!(text, "{path}: {}", printable(error.trim()));
        }
    }
    text
}

/// The contract's `videos`; answers of single frames are in the tables only.
pub fn json(videos: &[Video]) -> Vec<serde_json::Value> {
    let face = |(number, face): (&u32, &FaceSummary)| {
        let expressions: serde_json::Map<String, serde_json::Value> =
            face.shares().into_iter().map(|(label, share)| (label.to_string(), share.into())).collect();
        let affect = face.affect();
        serde_json::json!({
            "face": number,
            "first": face.first_s,
            "last": face.last_s,
            "frames": face.n_frames,
            "expressions": expressions,
            "valence": affect.map(|affect| affect[0]),
            "arousal": affect.map(|affect| affect[1]),
            "is_proxy": face.is_proxy,
        })
    };
    videos
        .iter()
        .map(|video| {
            serde_json::json!({
                "path": video.path.to_string_lossy(),
                "width": video.size.map(|size| size.0),
                "height": video.size.map(|size| size.1),
                "frames": video.summary.n_frames,
                "seconds": video.summary.seconds(),
                "rate": video.summary.rate(),
                "error": video.error,
                "faces": video.summary.faces.iter().map(face).collect::<Vec<_>>(),
            })
        })
        .collect()
}

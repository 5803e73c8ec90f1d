//! What does `affectory predict` take?

use std::path::PathBuf;

use clap::Args;

use super::Detector;

#[derive(Debug, Args)]
pub struct Predict {
    /// Pictures, videos, folders of both, a camera (/dev/video0), or `-` for a video on standard input
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Model to use: a run's folder, a model.safetensors, `face-api`, or the .toml of an ONNX model [default: affectory-s]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Each picture or frame is one face already cut out: do not look for faces
    #[arg(long)]
    pub crop: bool,
    /// `mtcnn`, which is inside the program, or `yunet=FILE.onnx` [default: mtcnn]
    #[arg(long, default_value = "mtcnn", hide_default_value = true, value_name = "DETECTOR")]
    pub detector: Detector,
    /// mtcnn: smallest face to look for, pixels [default: 20; of a video a fifteenth of the frame's shorter side]
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(12..=4096))]
    pub min_face: Option<u32>,
    /// Videos: search the whole frame at least so often; in between faces are followed
    #[arg(long, default_value_t = 0.5, value_name = "SECONDS", value_parser = seconds)]
    pub detect_every: f64,
    /// Videos: time constant of smoothing, 0 for none
    #[arg(long, default_value_t = 0.3, value_name = "SECONDS", value_parser = seconds)]
    pub smooth: f64,
    /// Write one CSV row a face, of videos a face and frame; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Videos: write the same table as Parquet
    #[arg(long, value_name = "FILE")]
    pub parquet: Option<PathBuf>,
    /// Write pictures and videos with box, expression and circumplex, and plots over time, to this folder
    #[arg(long, value_name = "DIR")]
    pub overlay: Option<PathBuf>,
}

/// A length of time, 0 to a day.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    if (0.0..=86_400.0).contains(&seconds) { Ok(seconds) } else { Err("0 to 86400 seconds".into()) }
}

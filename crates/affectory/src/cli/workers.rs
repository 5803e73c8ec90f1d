//! What do the commands take that share a project's work among machines?

use std::net::SocketAddr;

use clap::{Args, ValueEnum};

use super::Detector;

/// A stage whose work is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SharedStage {
    /// Addresses become images
    Fetch,
    /// Images become faces
    Faces,
    /// A model looks at the faces of a pool (as `pools suggest` does)
    Predict,
    /// Images of a release are put together in large files (as `release pack` does)
    Pack,
}

#[derive(Debug, Args)]
pub struct DispatchArgs {
    /// Offer the work of these stages [default: predict with --pool, pack with --release, else fetch and faces]
    #[arg(long = "stage", value_name = "STAGE", value_delimiter = ',')]
    pub stages: Vec<SharedStage>,
    /// Offer it before everything that is not urgent, however long that has waited
    #[arg(long)]
    pub urgent: bool,
    /// The pool at whose faces a model is to look
    #[arg(long, value_name = "NAME")]
    pub pool: Option<String>,
    /// The model of the workers: as `worker --model` has it [default: affectory-s]
    #[arg(long, value_name = "MODEL", requires = "pool")]
    pub model: Option<String>,
    /// The release that is to be packed
    #[arg(long, value_name = "NAME")]
    pub release: Option<String>,
    /// Images of a pack, about [default: 1000, or as it was begun]
    #[arg(long, requires = "release", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub images_per_pack: Option<u32>,
    /// The detector that the workers use: `mtcnn`, or `yunet=FILE.onnx` [default: mtcnn]
    #[arg(long, default_value = "mtcnn", hide_default_value = true, value_name = "DETECTOR")]
    pub detector: Detector,
    /// Shards of a stage that wait for a worker, at most; two for each worker keep all of them busy
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=5_000))]
    pub ahead: u64,
    /// End once nothing is due within --patience and nobody works; else go on until stopped
    #[arg(long)]
    pub until_done: bool,
    /// With --until-done: longest wait for something that is due later, seconds
    #[arg(long, default_value_t = 120)]
    pub patience: u32,
    /// Answer /healthz, /readyz and /metrics (Prometheus) on this address: for a network of your own
    #[arg(long, value_name = "ADDR")]
    pub operations: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Work at these stages [default: all]
    #[arg(long = "stage", value_name = "STAGE", value_delimiter = ',')]
    pub stages: Vec<SharedStage>,
    /// `mtcnn`, which is inside the program, or `yunet=FILE.onnx` [default: mtcnn]
    #[arg(long, default_value = "mtcnn", hide_default_value = true, value_name = "DETECTOR")]
    pub detector: Detector,
    /// Model that looks at the faces of pools: a run's folder, a model.safetensors, `face-api`, or the .toml of an ONNX model
    /// [default: affectory-s]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// End after so many seconds without work [default: go on until stopped]
    #[arg(long, value_name = "SECONDS")]
    pub exit_when_idle: Option<u32>,
    /// Fixes the jitter of waits before another attempt
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Answer /healthz, /readyz and /metrics (Prometheus) on this address: for a network of your own
    #[arg(long, value_name = "ADDR")]
    pub operations: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub struct QueueArgs {
    /// Show the last so many shards that were given up, and why
    #[arg(long, default_value_t = 10)]
    pub dead: u64,
}

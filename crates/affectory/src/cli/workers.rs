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
}

#[derive(Debug, Args)]
pub struct DispatchArgs {
    /// Offer the work of these stages [default: all]
    #[arg(long = "stage", value_name = "STAGE", value_delimiter = ',')]
    pub stages: Vec<SharedStage>,
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

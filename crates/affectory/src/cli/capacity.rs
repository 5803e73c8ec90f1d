//! What does `capacity` take?

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub struct Capacity {
    /// Addresses on the list, 1 to 10,000,000,000; several with commas
    #[arg(long, value_delimiter = ',', default_value = "1000000", value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    pub candidates: Vec<u64>,
    /// Hosts that they lead to, 1 to 100,000,000 [default: as many as the rates say]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub hosts: Option<u64>,
    /// Workers, each on a machine of its own, 1 to 10,000; several with commas
    #[arg(long, value_delimiter = ',', default_value = "1", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub workers: Vec<u32>,
    /// Cores of each machine, 1 to 1,024
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub cores: u32,
    /// Also say how many workers have it done within so many days
    #[arg(long)]
    pub days: Option<f64>,
    /// What each thing costs, as `--show-rates` prints it [default: measured and assumed as in docs/capacity.md]
    #[arg(long, value_name = "FILE")]
    pub rates: Option<PathBuf>,
    /// Print the built-in rates, with where each number comes from
    #[arg(long)]
    pub show_rates: bool,
    /// Everything random follows from it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

//! `petty status` and `petty down`, as they are typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

/// `petty status`.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// The data directory of `petty up`.
    #[arg(long, value_name = "DIR", default_value = ".petty")]
    pub data_dir: PathBuf,
    /// Its ready file; DIR/ready.json by default.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// As JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

impl StatusArgs {
    /// Where the ready file is.
    #[must_use]
    pub fn ready_file(&self) -> PathBuf {
        self.ready_file.clone().unwrap_or_else(|| self.data_dir.join("ready.json"))
    }
}

/// `petty down`.
#[derive(Debug, Clone, Args)]
pub struct DownArgs {
    /// The data directory of `petty up`.
    #[arg(long, value_name = "DIR", default_value = ".petty")]
    pub data_dir: PathBuf,
    /// Give up waiting after so many seconds.
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
}

impl DownArgs {
    /// How long to wait.
    #[must_use]
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

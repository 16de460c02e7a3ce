//! `petty replay`, as it is typed.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::GatewayArgs;

/// `petty replay`.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("recordings").required(true))]
pub struct ReplayArgs {
    /// Dogs' heart beats (CSV: duration, pet_id, breeds, …, ecg_pulses). Sends heart rates only.
    #[arg(long, value_name = "FILE", group = "recordings")]
    pub heartbeats: Option<PathBuf>,
    /// Cats' positions (Movebank CSV: tag_id, timestamp, location_long, location_lat, …). Sends positions only.
    #[arg(long, value_name = "FILE", group = "recordings")]
    pub positions: Option<PathBuf>,
    /// Send at this many times real time; without it, as fast as readings are acknowledged.
    #[arg(long, value_name = "X", value_parser = speed)]
    pub speed: Option<f64>,
    /// Only the first N animals of the file.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub pets: Option<u32>,
    /// Which gateway.
    #[command(flatten)]
    pub gateway: GatewayArgs,
    /// The account the animals go to; opened if it is not there.
    #[arg(long, value_name = "ADDRESS", default_value = "replay@example.com")]
    pub email: String,
    /// Its password, 15 characters or more.
    #[arg(
        long,
        value_name = "TEXT",
        env = "PETTY_REPLAY_PASSWORD",
        hide_env_values = true,
        default_value = "recordings of real animals"
    )]
    pub password: String,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if speed.is_finite() && speed > 0.0 { Ok(speed) } else { Err("must be more than 0".to_owned()) }
}

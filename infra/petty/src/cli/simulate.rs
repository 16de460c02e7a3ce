//! `petty simulate`, as it is typed.

use clap::Args;
use jiff::tz::TimeZone;

use super::GatewayArgs;

/// `petty simulate`.
#[derive(Debug, Clone, Args)]
pub struct SimulateArgs {
    /// How many pets; three of five are dogs.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub pets: u32,
    /// A collar reads every so many seconds, 5 to 60: what the rules that find behaviours are made for.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u16).range(5..=60))]
    pub interval: u16,
    /// Send the past D days of each pet's own time zone, and today so far; 1 to 29.
    #[arg(long, value_name = "D", value_parser = days)]
    pub days: Option<u8>,
    /// Go on live until Ctrl-C; without --days that is what happens anyway.
    #[arg(long)]
    pub live: bool,
    /// All pets live in this IANA time zone, such as Europe/Berlin; without it, they are spread over ten.
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    pub time_zone: Option<TimeZone>,
    /// Another seed makes other pets with other days; the same one always the same.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Which gateway.
    #[command(flatten)]
    pub gateway: GatewayArgs,
    /// The account the pets belong to; opened if it is not there.
    #[arg(long, value_name = "ADDRESS", default_value = "simulate@example.com")]
    pub email: String,
    /// Its password, 15 characters or more.
    #[arg(
        long,
        value_name = "TEXT",
        env = "PETTY_SIMULATE_PASSWORD",
        hide_env_values = true,
        default_value = "simulated dogs and cats"
    )]
    pub password: String,
}

impl SimulateArgs {
    /// Whether it goes on live.
    #[must_use]
    pub fn goes_live(&self) -> bool {
        self.live || self.days.is_none()
    }
}

fn days(text: &str) -> Result<u8, String> {
    let days = text.parse().ok().filter(|days| (1..=29).contains(days));
    days.ok_or_else(|| {
        "must be 1 to 29: Petty takes readings at most 30 days back, and today counts".to_owned()
    })
}

fn zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text)
        .map_err(|_| "not an IANA time zone, such as Europe/Berlin or America/New_York".to_owned())
}

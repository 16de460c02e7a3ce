//! What the nutrition service reads besides what every service does.

use std::time::Duration;

use petty_chassis::FoundationConfig;
use petty_chassis::config::{Reader, Section};

/// The nutrition service's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Database, Redis, events, tokens.
    pub foundation: FoundationConfig,
    /// How often plans that are due are looked for: `PETTY_PLAN_INTERVAL`, default 1 min.
    pub plan_interval: Duration,
}

impl Section for Config {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let plan_interval = reader.duration("PETTY_PLAN_INTERVAL", Duration::from_secs(60));
        Some(Self { foundation: FoundationConfig::read(reader)?, plan_interval })
    }
}

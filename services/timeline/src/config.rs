//! What the timeline service reads besides what every service does.

use petty_chassis::FoundationConfig;
use petty_chassis::config::{Reader, Section};

/// The timeline service's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Database, Redis, events, tokens.
    pub foundation: FoundationConfig,
}

impl Section for Config {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { foundation: FoundationConfig::read(reader)? })
    }
}

//! What ingest reads from its environment.

use std::time::Duration;

use jiff::SignedDuration;
use petty_chassis::FoundationConfig;
use petty_chassis::config::{Reader, Section};

use crate::domain::reading::Window;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What ingest reads.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    /// Database, events, tokens.
    pub foundation: FoundationConfig,
    /// Which times are taken: `PETTY_INGEST_MAX_AHEAD`, default 1h, at most 24h; `PETTY_INGEST_MAX_AGE`, default 720h, 1h to
    /// 8760h.
    pub window: Window,
}

impl Section for IngestConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let foundation = FoundationConfig::read(reader);
        let max_ahead = within(reader, "PETTY_INGEST_MAX_AHEAD", HOUR, Duration::ZERO, DAY, "0s to 24h");
        let max_age = within(reader, "PETTY_INGEST_MAX_AGE", 30 * DAY, HOUR, 365 * DAY, "1h to 8760h");
        Some(Self { foundation: foundation?, window: Window { max_ahead, max_age } })
    }
}

fn within(
    reader: &mut Reader<'_>,
    name: &str,
    default: Duration,
    least: Duration,
    most: Duration,
    bounds: &str,
) -> SignedDuration {
    let value = reader.duration(name, default);
    if !(least..=most).contains(&value) {
        reader.fault(name, format!("must be {bounds}"));
    }
    // Out of range only where a fault was just recorded.
    SignedDuration::try_from(value).unwrap_or(SignedDuration::MAX)
}

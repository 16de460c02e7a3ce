//! What ingest reads from its environment.

use std::time::Duration;

use jiff::SignedDuration;
use petty_chassis::FoundationConfig;
use petty_chassis::config::{Reader, Section};

use crate::domain::reading::Window;
use crate::store::Retention;

const HOUR: Duration = Duration::from_secs(3_600);
/// A century.
const LONGEST: SignedDuration = SignedDuration::from_hours(100 * 8_760);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A fraction of a second's work, and some twenty megabytes.
const ROOM: usize = 65_536;

/// What ingest reads.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    /// Database, events, tokens.
    pub foundation: FoundationConfig,
    /// Which times are taken: `PETTY_INGEST_MAX_AHEAD`, default 1h, at most 24h; `PETTY_INGEST_MAX_AGE`, default 720h, 1h to
    /// 8760h.
    pub window: Window,
    /// How long readings, minutes' and hours' means are kept: `PETTY_INGEST_KEEP_RAW`, default two days longer than readings are
    /// taken back, and that at least; `PETTY_INGEST_KEEP_MINUTES`, default 8760h, at least as long; `PETTY_INGEST_KEEP_HOURS`,
    /// default 43800h, at least as long again.
    pub retention: Retention,
    /// How many readings may wait for the disk at once: `PETTY_INGEST_QUEUE`, default 65,536, 1,000 to 1,000,000. The rest is
    /// refused for now.
    pub room: usize,
}

impl Section for IngestConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let foundation = FoundationConfig::read(reader);
        let max_ahead = within(reader, "PETTY_INGEST_MAX_AHEAD", HOUR, Duration::ZERO, DAY, "0s to 24h");
        let max_age = within(reader, "PETTY_INGEST_MAX_AGE", 30 * DAY, HOUR, 365 * DAY, "1h to 8760h");
        let mut kept = |name, default: SignedDuration, least: SignedDuration, than| {
            let default = default.max(least).unsigned_abs();
            let kept =
                SignedDuration::try_from(reader.duration(name, default)).unwrap_or(SignedDuration::MAX);
            if kept < least || kept > LONGEST {
                reader.fault(name, format!("must be {least:#} ({than}) to {LONGEST:#}"));
            }
            kept
        };
        let least = max_age.saturating_add(SignedDuration::from_hours(48));
        let raw = kept("PETTY_INGEST_KEEP_RAW", least, least, "two days more than PETTY_INGEST_MAX_AGE");
        let year = SignedDuration::from_hours(8_760);
        let minutes = kept("PETTY_INGEST_KEEP_MINUTES", year, raw, "PETTY_INGEST_KEEP_RAW");
        let hours = kept("PETTY_INGEST_KEEP_HOURS", year * 5, minutes, "PETTY_INGEST_KEEP_MINUTES");
        let retention = Retention { raw, minutes, hours };
        let room = reader.in_range("PETTY_INGEST_QUEUE", ROOM, 1_000..=1_000_000);
        Some(Self { foundation: foundation?, window: Window { max_ahead, max_age }, retention, room })
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

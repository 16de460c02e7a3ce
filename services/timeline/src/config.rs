//! What the timeline service reads besides what every service does.

use std::time::Duration;

use petty_chassis::FoundationConfig;
use petty_chassis::config::{Reader, Section};

const HOUR: Duration = Duration::from_secs(3_600);

/// The timeline service's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Database, Redis, events, tokens.
    pub foundation: FoundationConfig,
    /// Streams of changes.
    pub streams: StreamConfig,
}

impl Section for Config {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (foundation, streams) = (FoundationConfig::read(reader), StreamConfig::read(reader));
        Some(Self { foundation: foundation?, streams: streams? })
    }
}

/// How many streams of changes may be open, and how far back they reach.
#[derive(Clone, Copy, Debug)]
pub struct StreamConfig {
    /// The most streams open in this process: `PETTY_STREAMS_MAX`, 1 to 1,000,000, default 20,000. The rest is refused.
    pub most: usize,
    /// The most streams of one account open in this process: `PETTY_STREAMS_PER_CALLER`, 1 to 10,000, default 200: two sockets
    /// of the gateway with as many pets as one may have.
    pub most_per_caller: usize,
    /// How long changes are kept, at least: `PETTY_STREAM_RETENTION`, 1h to 720h, default 72h. A stream cannot be taken up
    /// from further back.
    pub retention: Duration,
}

impl Section for StreamConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let most = reader.in_range("PETTY_STREAMS_MAX", 20_000, 1..=1_000_000);
        let most_per_caller = reader.in_range("PETTY_STREAMS_PER_CALLER", 200, 1..=10_000);
        let retention = reader.duration("PETTY_STREAM_RETENTION", 72 * HOUR);
        if !(HOUR..=720 * HOUR).contains(&retention) {
            reader.fault("PETTY_STREAM_RETENTION", "must be 1h to 720h");
        }
        Some(Self { most, most_per_caller, retention })
    }
}

#[cfg(test)]
mod tests {
    use petty_chassis::config::{Environment, load};

    use super::*;

    #[test]
    fn streams_have_limits_of_their_own() {
        let read = |name: &'static str, value: &'static str| {
            load::<StreamConfig>(&[(name, value)].into_iter().collect::<Environment>())
        };
        let config = read("PETTY_STREAM_RETENTION", "1h").unwrap();
        assert_eq!((config.most, config.most_per_caller, config.retention), (20_000, 200, HOUR));
        for (name, value) in [
            ("PETTY_STREAMS_MAX", "0"),
            ("PETTY_STREAMS_PER_CALLER", "10001"),
            ("PETTY_STREAM_RETENTION", "59m"),
            ("PETTY_STREAM_RETENTION", "721h"),
        ] {
            let faults = read(name, value).unwrap_err().to_string();
            assert!(faults.starts_with(name), "{faults}");
        }
    }
}

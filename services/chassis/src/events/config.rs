//! How events are set up.

use std::time::Duration;

use crate::config::{Reader, Section};

/// How events are set up.
#[derive(Clone, Debug)]
pub struct EventsConfig {
    /// Shards by pet: `PETTY_SHARDS`, 1 to 1,024, default 16. Fixed at install.
    pub shards: i16,
    /// The handling deadline of an entry: `PETTY_EVENTS_HANDLING_DEADLINE`, default 5 s. After twice that it is handled again, and a replica
    /// that says nothing for as long reads its shards no more.
    pub handling_deadline: Duration,
    /// How often gaps are looked for: `PETTY_EVENTS_GAP_INTERVAL`, default 2 s.
    pub gap_interval: Duration,
    /// How long a frontier may stand still before what is missing is fetched, all of it: `PETTY_EVENTS_GAP_GRACE`, default 5 s. A replica
    /// that does not read the shard waits six times as long.
    pub gap_grace: Duration,
}

impl Section for EventsConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            shards: reader.in_range("PETTY_SHARDS", 16, 1..=1_024),
            handling_deadline: reader.duration("PETTY_EVENTS_HANDLING_DEADLINE", Duration::from_secs(5)),
            gap_interval: reader.duration("PETTY_EVENTS_GAP_INTERVAL", Duration::from_secs(2)),
            gap_grace: reader.duration("PETTY_EVENTS_GAP_GRACE", Duration::from_secs(5)),
        })
    }
}

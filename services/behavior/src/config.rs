//! What the behavior service reads besides what every service does.

use jiff::SignedDuration;
use petty_chassis::FoundationConfig;
use petty_chassis::config::{Reader, Section};
use std::time::Duration;

/// The behavior service's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Database, Redis, events, tokens.
    pub foundation: FoundationConfig,
    /// When days are closed.
    pub days: DayConfig,
    /// When pets are looked at though nothing arrives.
    pub alerts: AlertConfig,
}

impl Section for Config {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let foundation = FoundationConfig::read(reader);
        let days = DayConfig::read(reader);
        let alerts = AlertConfig::read(reader);
        Some(Self { foundation: foundation?, days: days?, alerts: alerts? })
    }
}

/// When pets are looked at though nothing arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertConfig {
    /// How often what is due is looked for: `PETTY_ALERT_CHECK`, default 5 s.
    pub check: Duration,
}

impl Section for AlertConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { check: reader.duration("PETTY_ALERT_CHECK", Duration::from_secs(5)) })
    }
}

/// When days are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayConfig {
    /// How long after its end a day's totals are told: `PETTY_DAY_GRACE`, default 6 h (domain.md, Behaviours).
    pub grace: SignedDuration,
    /// How long after a change that came later still they are told anew: `PETTY_DAY_SETTLE`, default 15 min. Collars that were
    /// away send days at once; one telling is enough.
    pub settle: SignedDuration,
    /// How often due days are looked for: `PETTY_DAY_CHECK`, default 30 s.
    pub check: Duration,
}

impl Default for DayConfig {
    fn default() -> Self {
        Self {
            grace: SignedDuration::from_hours(6),
            settle: SignedDuration::from_mins(15),
            check: Duration::from_secs(30),
        }
    }
}

impl Section for DayConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let default = Self::default();
        let mut read = |name, default: SignedDuration| {
            let duration = reader.duration(name, default.unsigned_abs());
            // A duration that is read is less than a year.
            SignedDuration::try_from(duration).unwrap_or(default)
        };
        let (grace, settle) =
            (read("PETTY_DAY_GRACE", default.grace), read("PETTY_DAY_SETTLE", default.settle));
        Some(Self { grace, settle, check: reader.duration("PETTY_DAY_CHECK", default.check) })
    }
}

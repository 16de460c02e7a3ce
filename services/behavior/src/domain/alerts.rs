//! Alerts: what is watched for, with every number's source, and what the watching says.
//!
//! Invariant: nothing here knows the clock or a database: a [`Watch`] says what readings mean, [`machine`] what that does
//! to the one alert of a kind that may be open. "domain.md" is the design's page of the field's numbers; (~) marks textbook values.

pub mod due;
mod fence;
pub mod machine;
mod nights;
mod sustained;
mod watch;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Position, Species};

pub use watch::{Context, OWN_DAYS, Watch};

/// Name and version of these rules, kept with each alert.
pub const RULE_VERSION: &str = "alerts/1";

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// At rest, the heart beats far above the pet's own resting rate.
    RestingHeartRateHigh,
    /// Its daily mean at rest has been rising for weeks.
    HeartRateTrend,
    /// At rest, it breathes fast.
    RespiratoryRateHigh,
    /// It has been lying for most of the day.
    Inactivity,
    /// It was up at night, more than it is wont to be.
    NightRestlessness,
    /// It left its safe zones.
    SafeZoneLeft,
    /// The collar says nothing.
    SilentCollar,
    /// The collar's battery is low.
    BatteryLow,
    /// Its temperature is out of bounds.
    Temperature,
}

/// How bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// To be known.
    Info,
    /// To be looked at.
    Warning,
    /// To be looked at now, at night too.
    Critical,
}

const MINUTE: i64 = 60 * 1_000_000;
const HOUR: i64 = 60 * MINUTE;

impl Kind {
    /// All.
    pub const ALL: [Self; 9] = [
        Self::RestingHeartRateHigh,
        Self::HeartRateTrend,
        Self::RespiratoryRateHigh,
        Self::Inactivity,
        Self::NightRestlessness,
        Self::SafeZoneLeft,
        Self::SilentCollar,
        Self::BatteryLow,
        Self::Temperature,
    ];

    /// The name rows carry. It never changes.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::RestingHeartRateHigh => "resting_heart_rate_high",
            Self::HeartRateTrend => "heart_rate_trend",
            Self::RespiratoryRateHigh => "respiratory_rate_high",
            Self::Inactivity => "inactivity",
            Self::NightRestlessness => "night_restlessness",
            Self::SafeZoneLeft => "safe_zone_left",
            Self::SilentCollar => "silent_collar",
            Self::BatteryLow => "battery_low",
            Self::Temperature => "temperature",
        }
    }

    /// The kind of a slug.
    #[must_use]
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.slug() == slug)
    }

    /// How bad it is where nothing says otherwise.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::HeartRateTrend | Self::NightRestlessness | Self::BatteryLow => Severity::Info,
            Self::RestingHeartRateHigh
            | Self::RespiratoryRateHigh
            | Self::Inactivity
            | Self::SilentCollar
            | Self::Temperature => Severity::Warning,
            Self::SafeZoneLeft => Severity::Critical,
        }
    }

    /// How long after one was cleared no other is raised, microseconds: as long as what it is about takes to change (~).
    #[must_use]
    pub const fn cool_down(self) -> i64 {
        match self {
            Self::SafeZoneLeft => 5 * MINUTE,
            Self::SilentCollar => 30 * MINUTE,
            Self::BatteryLow => HOUR,
            Self::Temperature => 2 * HOUR,
            Self::RestingHeartRateHigh | Self::RespiratoryRateHigh => 6 * HOUR,
            Self::Inactivity => 12 * HOUR,
            Self::NightRestlessness => 20 * HOUR,
            Self::HeartRateTrend => 7 * 24 * HOUR,
        }
    }
}

impl Severity {
    /// The name rows carry. It never changes.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity of a slug.
    #[must_use]
    pub fn from_slug(slug: &str) -> Option<Self> {
        [Self::Info, Self::Warning, Self::Critical].into_iter().find(|severity| severity.slug() == slug)
    }
}

/// A reading, as far as alerts go. An absent value is unknown, never zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// When it was taken.
    pub at: Timestamp,
    /// Tells the pet's collars apart.
    pub collar: u64,
    /// Beats per minute.
    pub heart_rate: Option<f64>,
    /// 0 rest, 1 moderate, 2 high.
    pub activity_level: Option<u8>,
    /// Where the pet was.
    pub position: Option<Position>,
    /// Breaths per minute.
    pub respiratory_rate: Option<f64>,
    /// Core body temperature, °C.
    pub temperature: Option<f64>,
    /// Percent.
    pub battery: Option<f64>,
}

/// What the watching says of a kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// Of what.
    pub kind: Kind,
    /// True: it is so (said again and again while it is); false: it is over.
    pub on: bool,
    /// Since this reading.
    pub at: Timestamp,
    /// How bad.
    pub severity: Severity,
    /// The zone it is about, where it is about one.
    pub zone: Option<Uuid>,
    /// What it rests on: names with their units, and figures.
    pub evidence: Vec<(&'static str, f64)>,
}

/// The temperature's table, °C (domain.md): within; and from where it is critical: fever, and two degrees below (~).
#[must_use]
pub const fn temperatures(species: Species) -> (std::ops::RangeInclusive<f64>, f64, f64) {
    match species {
        Species::Dog => (37.5..=39.2, 40.0, 35.5),
        Species::Cat => (37.8..=39.2, 40.0, 35.8),
    }
}

/// Battery, percent: raised at or below, cleared at or above (domain.md).
pub const BATTERY: (f64, f64) = (20.0, 30.0);
/// Heart rate at rest over the pet's own: raised above, cleared below (domain.md).
pub const HEART_RATE: (f64, f64) = (1.5, 1.3);
/// Breaths a minute asleep: raised above (domain.md), cleared at or below: a tenth less (~).
pub const BREATHS: (f64, f64) = (30.0, 27.0);
/// Faster is panting, or no measurement (~).
pub const PANTING: f64 = 90.0;
/// So many fixes outside, one after the other (domain.md).
pub const FIXES_OUTSIDE: u8 = 2;
/// And so many where they contradict each other: of two that are wrong by chance neither is where the other is.
pub const FIXES_AT_ODDS: u8 = 3;
/// A collar is silent after so many of its own intervals (domain.md), but not sooner than the longest that readings of one
/// run may be apart: phones hand on what collars said in batches.
pub const SILENT_INTERVALS: i64 = 3;
/// See [`SILENT_INTERVALS`], microseconds.
pub const SILENT_LEAST: i64 = 10 * MINUTE;
/// Nor later than this: it was not known to be as rare.
pub const SILENT_MOST: i64 = 6 * HOUR;

//! What is remembered of a pet between readings so that alerts can be told: under 1 kB.
//!
//! Invariant: readings count in the order of their times; what is not newer than what was looked at changes nothing, so that
//! repeated and late ones raise nothing and clear nothing.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::Species;
use super::super::zone::Zone;
use super::sustained::{Says, Sustained, While};
use super::{
    BATTERY, BREATHS, FIXES_OUTSIDE, HEART_RATE, HOUR, Kind, MINUTE, PANTING, Report, SILENT_INTERVALS,
    SILENT_LEAST, SILENT_MOST, Severity, Signal, temperatures,
};

/// The pet's own days that a heart rate is held against: fewer, and its species' rate still counts for too much (~).
const OWN_DAYS: u8 = 3;
/// Over an hour (domain.md: sustained), five readings at least.
const BREATHING: While = While { raise: HOUR, clear: 30 * MINUTE, least: 5, gap: 40 * MINUTE };
/// As long, and an hour of a collar that misses half of its heart rates at 60 s.
const HEART: While = While { raise: HOUR, clear: 30 * MINUTE, least: 12, gap: 40 * MINUTE };
/// Sustained (domain.md); a run warms a dog for less than an hour (~).
const WARMTH: While = While { raise: HOUR, clear: 30 * MINUTE, least: 4, gap: 2 * HOUR };
/// Of so many gaps the middle one is a collar's interval.
const GAPS: usize = 8;
/// So many collars are told apart.
const COLLARS: usize = 4;

/// What is known besides the readings.
#[derive(Debug)]
pub struct Context<'a> {
    /// Chooses the tables.
    pub species: Species,
    /// Schedules are in it.
    pub zone: &'a TimeZone,
    /// The safe zones.
    pub zones: &'a [Zone],
    /// The pet's own heart rate at rest, bpm, and how many days it stands on.
    pub resting: Option<(f64, u8)>,
}

/// A pet's; the default is that of one never heard of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Watch {
    at: Option<i64>,
    heart: Sustained,
    breathing: Sustained,
    warmth: Sustained,
    /// The collar whose battery is low.
    battery: Option<u64>,
    fence: Fence,
    /// Between readings, and between their arrivals, milliseconds; the newest last.
    gaps: Vec<u32>,
    arrivals: Vec<u32>,
    arrived: Option<i64>,
    /// That a collar was taken for silent.
    silent: bool,
    /// That it is noted when to look at the pet though nothing arrives.
    pub armed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Fence {
    /// Changes with the zones.
    tag: u64,
    /// It was seen in one of them.
    was_inside: bool,
    left: bool,
    /// By collar: fixes outside, one after the other.
    outside: Vec<(u64, u8)>,
}

impl Watch {
    /// As bytes to keep.
    ///
    /// # Errors
    /// Never, for plain data into a growing buffer.
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_extend(self, vec![FORMAT])
    }

    /// From bytes that [`Watch::encode`] made; of others one that remembers nothing: alerts are told from now on.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => postcard::from_bytes(rest).unwrap_or_default(),
            _ => Self::default(),
        }
    }

    /// The newest reading that was looked at, microseconds since 1970.
    #[must_use]
    pub const fn at(&self) -> Option<i64> {
        self.at
    }

    /// Takes readings that arrived now, microseconds since 1970; what they say.
    pub fn take(&mut self, context: &Context<'_>, reports: &[Report], now: i64) -> Vec<Signal> {
        let mut newer: Vec<&Report> = reports.iter().filter(|report| self.is_new(report)).collect();
        newer.sort_by_key(|report| report.at);
        let mut signals = Vec::new();
        let Some(last) = newer.last() else { return signals };
        if self.silent {
            self.silent = false;
            signals.push(signal(Kind::SilentCollar, false, last, Kind::SilentCollar.severity()));
        }
        if let Some(arrived) = self.arrived.replace(now) {
            push(&mut self.arrivals, now - arrived);
        }
        for report in newer {
            let at = report.at.as_microsecond();
            if let Some(before) = self.at.replace(at)
                && at > before
            {
                push(&mut self.gaps, at - before);
            }
            signals.extend(self.battery(report));
            signals.extend(self.warmth(context, report));
            signals.extend(self.breathing(report));
            signals.extend(self.heart(context, report));
            signals.extend(self.fence(context, report));
        }
        signals
    }

    /// When the collar is silent unless it says something before, microseconds since 1970.
    #[must_use]
    pub fn silent_from(&self) -> Option<i64> {
        let middle = |gaps: &[u32]| {
            let mut gaps = gaps.to_vec();
            gaps.sort_unstable();
            gaps.get(gaps.len().saturating_sub(1) / 2).map_or(0, |gap| i64::from(*gap) * 1_000)
        };
        let wait = (SILENT_INTERVALS * middle(&self.gaps).max(middle(&self.arrivals)))
            .clamp(SILENT_LEAST, SILENT_MOST);
        // What arrives days late says nothing of now.
        self.arrived
            .zip(self.at)
            .filter(|(arrived, at)| arrived - at < HOUR)
            .map(|(arrived, _)| arrived + wait)
    }

    /// Says that it is silent, if it is, at an instant, microseconds since 1970.
    pub fn silence(&mut self, now: i64) -> Option<Signal> {
        let from = self.silent_from().filter(|from| *from <= now && !self.silent)?;
        self.silent = true;
        let at = jiff::Timestamp::from_microsecond(from).ok()?;
        let quiet = (now - self.arrived.unwrap_or(from)) as f64 / 60e6;
        Some(Signal {
            kind: Kind::SilentCollar,
            on: true,
            at,
            severity: Kind::SilentCollar.severity(),
            zone: None,
            evidence: vec![("silent_minutes", quiet)],
        })
    }

    fn is_new(&self, report: &Report) -> bool {
        // Two collars may report at the same instant; only what is older was looked at, or the same.
        self.at.is_none_or(|at| report.at.as_microsecond() > at)
    }

    fn battery(&mut self, report: &Report) -> Option<Signal> {
        let charge = report.battery?;
        let on = match self.battery {
            Some(collar) if collar == report.collar && charge >= BATTERY.1 => false,
            _ if charge <= BATTERY.0 => true,
            _ => return None,
        };
        self.battery = on.then_some(report.collar);
        let signal = signal(Kind::BatteryLow, on, report, Kind::BatteryLow.severity());
        Some(signal.with("battery_percent", charge))
    }

    fn warmth(&mut self, context: &Context<'_>, report: &Report) -> Option<Signal> {
        let degrees = report.temperature?;
        let (table, fever, cold) = temperatures(context.species);
        let says = if table.contains(&degrees) { Says::Not } else { Says::Holds };
        let on = self.warmth.take(report.at.as_microsecond(), says, WARMTH)?;
        let critical = degrees >= fever || degrees <= cold;
        let severity = if critical { Severity::Critical } else { Severity::Warning };
        Some(signal(Kind::Temperature, on, report, severity).with("temperature_celsius", degrees))
    }

    fn breathing(&mut self, report: &Report) -> Option<Signal> {
        let breaths = report.respiratory_rate.filter(|breaths| *breaths < PANTING)?;
        let still = report.activity_level.is_none_or(|level| level == 0);
        let says = match breaths {
            _ if !still => Says::Between,
            high if high > BREATHS.0 => Says::Holds,
            low if low <= BREATHS.1 => Says::Not,
            _ => Says::Between,
        };
        let on = self.breathing.take(report.at.as_microsecond(), says, BREATHING)?;
        let signal = signal(Kind::RespiratoryRateHigh, on, report, Kind::RespiratoryRateHigh.severity());
        Some(signal.with("respiratory_rate", breaths))
    }

    fn heart(&mut self, context: &Context<'_>, report: &Report) -> Option<Signal> {
        let (own, days) = context.resting?;
        // A pet that moves is not at rest, whether or not its heart rate is known.
        let still = report.activity_level.is_none_or(|level| level == 0);
        let says = match report.heart_rate {
            _ if !still => Says::Between,
            None => return None,
            Some(bpm) if bpm > HEART_RATE.0 * own => Says::Holds,
            Some(bpm) if bpm < HEART_RATE.1 * own => Says::Not,
            Some(_) => Says::Between,
        };
        if days < OWN_DAYS {
            return None;
        }
        let on = self.heart.take(report.at.as_microsecond(), says, HEART)?;
        let kind = Kind::RestingHeartRateHigh;
        let signal = signal(kind, on, report, kind.severity()).with("resting_heart_rate", own);
        Some(report.heart_rate.map_or(signal.clone(), |bpm| signal.with("heart_rate", bpm)))
    }

    fn fence(&mut self, context: &Context<'_>, report: &Report) -> Option<Signal> {
        let fix = report.position?;
        let tag = tag(context.zones);
        if self.fence.tag != tag {
            // Of other zones it is not known yet that it was ever in one; one that it left is there no more.
            let left = self.fence.left;
            self.fence = Fence { tag, ..Fence::default() };
            if left {
                return Some(signal(Kind::SafeZoneLeft, false, report, Severity::Info));
            }
        }
        let local = report.at.to_zoned(context.zone.clone());
        let applying = context.zones.iter().filter(|zone| zone.applies(&local));
        let beyond = applying.map(|zone| (zone, zone.beyond_m(&fix)));
        let Some((nearest, beyond)) = beyond.min_by(|a, b| a.1.total_cmp(&b.1)) else {
            // None applies now: it cannot be left.
            let left = std::mem::take(&mut self.fence.left);
            self.fence.outside.clear();
            return left.then(|| signal(Kind::SafeZoneLeft, false, report, Severity::Info));
        };
        let accuracy = fix.accuracy_m.unwrap_or(0.0);
        let place = self.fence.outside.iter().position(|(collar, _)| *collar == report.collar);
        let place = place.unwrap_or_else(|| {
            if self.fence.outside.len() >= COLLARS {
                self.fence.outside.remove(0);
            }
            self.fence.outside.push((report.collar, 0));
            self.fence.outside.len() - 1
        });
        let count = &mut self.fence.outside[place].1;
        let is = |on: bool, zone: Option<Uuid>| Signal {
            zone,
            ..signal(Kind::SafeZoneLeft, on, report, Kind::SafeZoneLeft.severity())
                .with("distance_m", beyond.max(0.0))
                .with("accuracy_m", accuracy)
        };
        if beyond <= 0.0 {
            *count = 0;
            self.fence.was_inside = true;
            return std::mem::take(&mut self.fence.left).then(|| is(false, Some(nearest.id)));
        }
        if beyond - accuracy <= nearest.buffer_m {
            *count = 0;
            return None;
        }
        *count = count.saturating_add(1);
        if *count >= FIXES_OUTSIDE && self.fence.was_inside {
            self.fence.left = true;
            return Some(is(true, Some(nearest.id)));
        }
        None
    }
}

/// The first byte of an encoded watch. Raised when the encoding changes.
const FORMAT: u8 = 1;

fn signal(kind: Kind, on: bool, report: &Report, severity: Severity) -> Signal {
    Signal { kind, on, at: report.at, severity, zone: None, evidence: Vec::new() }
}

impl Signal {
    fn with(mut self, name: &'static str, figure: f64) -> Self {
        self.evidence.push((name, figure));
        self
    }
}

fn push(gaps: &mut Vec<u32>, gap: i64) {
    if gaps.len() >= GAPS {
        gaps.remove(0);
    }
    gaps.push(u32::try_from(gap / 1_000).unwrap_or(u32::MAX));
}

/// Of which zones, in which versions.
fn tag(zones: &[Zone]) -> u64 {
    let parts =
        zones.iter().flat_map(|zone| [zone.id.as_u64_pair().0, zone.id.as_u64_pair().1, zone.version]);
    parts.fold(0xcbf2_9ce4_8422_2325, |hash, part| (hash ^ part).wrapping_mul(0x0000_0100_0000_01b3))
}

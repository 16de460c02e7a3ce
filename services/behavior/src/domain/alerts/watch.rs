//! What is remembered of a pet between readings so that alerts can be told: under 1 kB.
//!
//! Invariant: readings count in the order of their times; what is not newer than what was looked at of its collar changes nothing, so
//! that repeated and late ones raise nothing and clear nothing.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::geo::distance_m;
use super::super::v1::Own;
use super::super::zone::Zone;
use super::super::{Position, Species};
use super::fence::{Fence, Stray};
use super::nights::Nights;
use super::sustained::{Says, Sustained, While};
use super::{
    BATTERY, BREATHS, HEART_RATE, HOUR, Kind, MINUTE, PANTING, Report, SILENT_INTERVALS, SILENT_LEAST,
    SILENT_MOST, Severity, Signal, temperatures,
};

/// The pet's own days that a heart rate is held against: fewer, and its species' rate still counts for too much (~).
pub const OWN_DAYS: u8 = 3;
/// Over an hour (domain.md: sustained), five readings at least.
const BREATHING: While = While { raise: HOUR, clear: 30 * MINUTE, least: 5, of_ten: 8, gap: 40 * MINUTE };
/// As long, and an hour of a collar that misses half of its heart rates at 60 s. What is held against a median is one itself: half of
/// the readings lie above.
const HEART: While = While { raise: HOUR, clear: 30 * MINUTE, least: 12, of_ten: 5, gap: 40 * MINUTE };
/// Sustained (domain.md); a run warms a dog for less than an hour (~).
const WARMTH: While = While { raise: HOUR, clear: 30 * MINUTE, least: 4, of_ten: 8, gap: 2 * HOUR };
/// Asleep, the heart beats no faster than this times the sleeping rate: lying awake it is a quarter more (domain.md's rates by each
/// other), and half of that lies between.
const ASLEEP: f64 = 1.12;
/// What a heart rate says of sleep holds for the breaths of so long after it (~).
const RATED: i64 = 2 * MINUTE;
/// A collar that told no heart rate for this long tells sleep by stillness alone.
const UNRATED: i64 = HOUR;
/// A pet that stayed within so many metres for so long lies still, by fixes that are no farther apart: fixes are off by as much (~).
const NEAR_M: f64 = 30.0;
const STAYED: i64 = 2 * MINUTE;
const FIXES: i64 = 10 * MINUTE;
/// Of so many gaps the middle one is a collar's interval.
const GAPS: usize = 8;
/// So many collars are told apart.
pub(super) const COLLARS: usize = 4;
/// What a collar says that was not heard of before counts if it is not later than this.
const LATE: i64 = HOUR;
/// A collar that was not heard of for this long is worn no more: its battery is nobody's concern (~).
const PUT_AWAY: i64 = 24 * HOUR;

/// What is known besides the readings.
#[derive(Debug)]
pub struct Context<'a> {
    /// Chooses the tables.
    pub species: Species,
    /// Schedules are in it.
    pub zone: &'a TimeZone,
    /// The safe zones.
    pub zones: &'a [Zone],
    /// The pet's own heart rates, as far as they are known.
    pub own: Own,
}

/// A pet's; the default is that of one never heard of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Watch {
    at: Option<i64>,
    heart: Sustained,
    breathing: Sustained,
    warmth: Sustained,
    /// As it was kept when one collar's low battery was remembered; see `low`.
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
    /// When the last heart rate was told, and whether it was a sleeper's.
    rated: Option<(i64, bool)>,
    /// By collar: the last fix, while that is outside.
    strays: Vec<Stray>,
    nights: Nights,
    /// By collar: the newest reading that was looked at, microseconds since 1970.
    collars: Vec<(u64, i64)>,
    /// Those of them whose batteries are low.
    low: Vec<u64>,
    /// The zone that the pet was last seen in.
    home: Option<Uuid>,
    /// Of a collar that tells no levels: where the pet has been since when, as far as fixes tell.
    rests: Option<Rests>,
    /// When the pet's last collar was taken off it, microseconds since 1970, until another one is heard.
    bare: Option<i64>,
}

/// A place that the pet has not left: since when, until which fix, latitude and longitude.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Rests(i64, i64, f64, f64);

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
            // What was added since stands at the end: of an older watch it reads as nothing.
            Some((&FORMAT, rest)) => {
                let mut watch: Self = postcard::from_bytes(&[rest, &[0; ADDED]].concat()).unwrap_or_default();
                if let (Some(collar), Some(at)) = (watch.battery.take(), watch.at) {
                    watch.collars.push((collar, at));
                    watch.low.push(collar);
                }
                watch
            }
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
        let Some(last) = newer.last() else {
            // After a reading from ahead of the clock nothing is newer for up to an hour, and yet the collar is heard.
            if !reports.is_empty() && self.is_ahead(now) {
                self.arrived = Some(now);
            }
            return signals;
        };
        // What was measured before its collar was taken off may come after that.
        self.bare = self.bare.filter(|bare| last.at.as_microsecond() < *bare);
        if self.silent {
            self.silent = false;
            signals.push(signal(Kind::SilentCollar, false, last, Kind::SilentCollar.severity()));
        }
        if let Some(arrived) = self.arrived.replace(now) {
            push(&mut self.arrivals, now - arrived);
        }
        for report in newer {
            let at = report.at.as_microsecond();
            self.hear(report.collar, at);
            signals.extend(self.battery(report));
            signals.extend(self.fence.take(&mut self.strays, &mut self.home, context, report));
            // What another collar said meanwhile is newer: of what must last, the later one's is not looked at.
            if self.at.is_some_and(|before| at < before) {
                continue;
            }
            if let Some(before) = self.at.replace(at)
                && at > before
            {
                push(&mut self.gaps, at - before);
            }
            signals.extend(self.warmth(context, report));
            let still = self.still(report);
            signals.extend(self.breathing(context, report, still).into_iter().flatten().flatten());
            signals.extend(self.heart(context, report, still));
        }
        signals
    }

    /// Whether these, arriving now, microseconds since 1970, say anything.
    #[must_use]
    pub fn is_news(&self, reports: &[Report], now: i64) -> bool {
        reports.iter().any(|report| self.is_new(report)) || !reports.is_empty() && self.is_ahead(now)
    }

    fn is_ahead(&self, now: i64) -> bool {
        self.at.is_some_and(|at| at > now)
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
        // What arrives days late says nothing of now. Of a pet without a collar nothing is to be heard.
        self.arrived
            .zip(self.at)
            .filter(|(arrived, at)| arrived - at < HOUR && self.bare.is_none())
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

    /// Takes the pet's last collar off it, at an instant, unless something was heard of it since: what is over by that.
    pub fn take_off(&mut self, at: jiff::Timestamp) -> Vec<Signal> {
        let bare = at.as_microsecond();
        if self.at.is_some_and(|heard| heard >= bare) {
            return Vec::new();
        }
        (self.bare, self.silent, self.armed) = (Some(bare), false, false);
        self.low.clear();
        let over = |kind: Kind| Signal {
            kind,
            on: false,
            at,
            severity: kind.severity(),
            zone: None,
            evidence: Vec::new(),
        };
        vec![over(Kind::SilentCollar), over(Kind::BatteryLow)]
    }

    /// Whether the collar was taken for silent, and nothing newer came since.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.silent
    }

    /// Whether the pet wears no collar, and all that came was measured before.
    #[must_use]
    pub const fn is_bare(&self) -> bool {
        self.bare.is_some()
    }

    /// Breaths a minute asleep, of the nights that are over, the newest last.
    #[must_use]
    pub fn nights(&self) -> Vec<f64> {
        self.nights.past().collect()
    }

    /// The night before the one of the newest breath asleep: when it began, days since 1970 by the pet's clock, and its breaths a minute.
    #[must_use]
    pub fn last_night(&self) -> Option<(i64, f64)> {
        self.nights.last()
    }

    fn is_new(&self, report: &Report) -> bool {
        let known = self.collars.iter().find(|(collar, _)| *collar == report.collar);
        let newest = known.map(|(_, at)| *at).or_else(|| self.at.map(|at| at - LATE));
        newest.is_none_or(|newest| report.at.as_microsecond() > newest)
    }

    fn hear(&mut self, collar: u64, at: i64) {
        self.collars.retain(|(known, _)| *known != collar);
        if self.collars.len() >= COLLARS {
            self.collars.remove(0);
        }
        self.collars.push((collar, at));
    }

    fn battery(&mut self, report: &Report) -> Option<Signal> {
        let was_low = !self.low.is_empty();
        let worn = report.at.as_microsecond() - PUT_AWAY;
        let heard = |collar: &u64| self.collars.iter().any(|(known, at)| known == collar && *at > worn);
        self.low.retain(heard);
        let charge = report.battery;
        if charge.is_some_and(|charge| charge >= BATTERY.1) {
            self.low.retain(|collar| *collar != report.collar);
        }
        let is_low = charge.is_some_and(|charge| charge <= BATTERY.0);
        if is_low && !self.low.contains(&report.collar) {
            self.low.push(report.collar);
        }
        let on = is_low || was_low && self.low.is_empty();
        let signal = signal(Kind::BatteryLow, is_low, report, Kind::BatteryLow.severity());
        on.then(|| charge.iter().fold(signal, |signal, charge| signal.with("battery_percent", *charge)))
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

    /// Whether the pet lies still: by its level, or where there is none by whether it stays in one place. `None`: nothing tells, and an absent
    /// level is not 0 (domain.md).
    fn still(&mut self, report: &Report) -> Option<bool> {
        if let Some(level) = report.activity_level {
            self.rests = None;
            return Some(level == 0);
        }
        let at = report.at.as_microsecond();
        let here =
            report.position.as_ref().filter(|fix| fix.accuracy_m.is_none_or(|within| within <= NEAR_M));
        let known = self.rests.filter(|Rests(_, last, ..)| at - last <= FIXES);
        let Some(fix) = here else { return known.and_then(|rests| rests.still(at)) };
        let near = |Rests(_, _, latitude, longitude): &Rests| {
            distance_m(&Position { latitude: *latitude, longitude: *longitude, accuracy_m: None }, fix)
                <= NEAR_M
        };
        let left = known.is_some_and(|rests| !near(&rests));
        let rests = known
            .filter(near)
            .map(|Rests(since, _, latitude, longitude)| Rests(since, at, latitude, longitude));
        let rests = rests.unwrap_or(Rests(at, at, fix.latitude, fix.longitude));
        self.rests = Some(rests);
        if left { Some(false) } else { rests.still(at) }
    }

    fn breathing(
        &mut self,
        context: &Context<'_>,
        report: &Report,
        still: Option<bool>,
    ) -> Option<[Option<Signal>; 2]> {
        let at = report.at.as_microsecond();
        if let Some(bpm) = report.heart_rate {
            // A heart that beats as slowly says by itself that the pet sleeps.
            self.rated = Some((at, still != Some(false) && bpm <= ASLEEP * context.own.sleeping_bpm));
        }
        let asleep = match self.rated {
            Some((then, asleep)) if at - then <= RATED => asleep && still != Some(false),
            Some((then, _)) if at - then <= UNRATED => return None,
            _ => still == Some(true),
        };
        let breaths = report.respiratory_rate.filter(|breaths| *breaths < PANTING)?;
        // Awake it breathes half as fast again, and that says nothing of its sleep.
        if !asleep {
            return None;
        }
        let says = match breaths {
            high if high > BREATHS.0 => Says::Holds,
            low if low <= BREATHS.1 => Says::Not,
            _ => Says::Between,
        };
        let is =
            |on: bool| signal(Kind::RespiratoryRateHigh, on, report, Kind::RespiratoryRateHigh.severity());
        let nights = self.nights.take(report, breaths, context.zone).map(|(on, compared)| {
            is(on).with("respiratory_rate", compared.night).with("usual_respiratory_rate", compared.usual)
        });
        let hour =
            self.breathing.take(at, says, BREATHING).map(|on| is(on).with("respiratory_rate", breaths));
        Some([nights, hour])
    }

    fn heart(&mut self, context: &Context<'_>, report: &Report, still: Option<bool>) -> Option<Signal> {
        let Own { resting_bpm, days, .. } = context.own;
        let says = match report.heart_rate {
            // A pet that moves is not at rest, whether or not its heart rate is known.
            _ if still == Some(false) => Says::Between,
            // A slow heart is at rest whatever tells so; of a fast one it must be known.
            Some(bpm) if still.is_none() && bpm >= HEART_RATE.1 * resting_bpm => Says::Between,
            None => return None,
            Some(bpm) if bpm > HEART_RATE.0 * resting_bpm => Says::Holds,
            Some(bpm) if bpm < HEART_RATE.1 * resting_bpm => Says::Not,
            Some(_) => Says::Between,
        };
        if days < OWN_DAYS {
            return None;
        }
        let on = self.heart.take(report.at.as_microsecond(), says, HEART)?;
        let kind = Kind::RestingHeartRateHigh;
        let signal = signal(kind, on, report, kind.severity()).with("resting_heart_rate", resting_bpm);
        Some(report.heart_rate.map_or(signal.clone(), |bpm| signal.with("heart_rate", bpm)))
    }
}

impl Rests {
    fn still(self, at: i64) -> Option<bool> {
        (at - self.0 >= STAYED).then_some(true)
    }
}

/// The first byte of an encoded watch. Raised when the encoding changes otherwise than by fields at its end.
const FORMAT: u8 = 1;
/// As many zeros as fields were added at the end.
const ADDED: usize = 11;

pub(super) fn signal(kind: Kind, on: bool, report: &Report, severity: Severity) -> Signal {
    Signal { kind, on, at: report.at, severity, zone: None, evidence: Vec::new() }
}

impl Signal {
    pub(super) fn with(mut self, name: &'static str, figure: f64) -> Self {
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

#[cfg(test)]
mod tests;

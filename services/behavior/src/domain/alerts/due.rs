//! What is told of a pet though nothing arrives: that its collar is silent, that it has been lying for long, and what its days say together.
//!
//! Invariants: a function of what is remembered and of an instant that the caller names; silence is said once. What nobody saw is no lying.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use petty_chassis::calendar::{self, Bounds};

use super::super::history::{self, Day, Trend};
use super::machine::{Alert, rests_until};
use super::{Kind, Signal, Watch};

/// Silence is told as of when it was due, but for what was looked at so much later.
const LOOKED_LATE: SignedDuration = SignedDuration::from_mins(30);
/// How often a pet is looked at for having lain too long.
pub const LOOK: SignedDuration = SignedDuration::from_mins(30);
/// What it is wont to: the longest it lay by day within this time.
pub const HABIT: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Lying this long by day is told (domain.md),
const LYING: SignedDuration = SignedDuration::from_hours(8);
/// where it is so many times the longest that it is wont to (~).
const BEYOND_HABIT: f64 = 1.25;
/// Of a pet with fewer days on which it moved nobody knows what it is wont to (~).
const HABIT_DAYS: u32 = 7;
/// The day's hours that count: between what most call night (~).
const DAYTIME: (i8, i8) = (7, 22);

/// What is said of a collar that was due to say something before now.
///
/// # Errors
/// Until when it may not be said, since the pet's last alert of the kind was cleared so short a time ago.
pub fn silence(watch: &mut Watch, last: Option<&Alert>, now: Timestamp) -> Result<Option<Signal>, Timestamp> {
    // It is said once, and not again and again as what readings say: where none may be raised yet, it is looked at again once one may.
    let rests = rests_until(last);
    if let Some(until) = rests.filter(|until| *until > now) {
        return Err(until);
    }
    let signal = watch.silence(now.as_microsecond());
    watch.armed = false;
    Ok(signal.map(|signal| {
        let at = rests.map_or(signal.at, |until| signal.at.max(until));
        // However late it is looked at, it is of now: it goes on.
        Signal { at: if now.duration_since(at) > LOOKED_LATE { now } else { at }, ..signal }
    }))
}

/// When a pet did something: from and to, by start.
pub type Times = [(Timestamp, Timestamp)];

/// Whether a pet has been lying, as far as its moves say.
#[derive(Debug, Clone, PartialEq)]
pub enum Lying {
    /// Not for so long that it is told; where it was up today, what was told of it is over.
    No(Option<Signal>),
    /// It did not move meanwhile: [`Lay::told`] says the rest.
    Since(Lay),
}

/// A time of today's daylight in which it did not move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lay {
    now: Timestamp,
    today: Bounds,
    /// From the last move on.
    pub bounds: Bounds,
}

/// By the pet's clock, from when it moved since [`HABIT`].
#[must_use]
pub fn lying(zone: &TimeZone, now: Timestamp, moves: &Times) -> Lying {
    let Some(today) = daytime(calendar::date(now, zone), zone) else { return Lying::No(None) };
    let since = now.saturating_sub(HABIT).unwrap_or(now);
    let up = moves.last().map_or(since, |(_, end)| *end);
    let bounds = Bounds { start: up.max(today.start), end: now.min(today.end) };
    if bounds.end.duration_since(bounds.start) >= LYING {
        return Lying::Since(Lay { now, today, bounds });
    }
    let over = Signal { on: false, ..signal(Kind::Inactivity, up.min(now), Vec::new()) };
    Lying::No((up > today.start).then_some(over))
}

impl Lay {
    /// What is said of it, from when the pet rested since then, and moved since [`HABIT`].
    #[must_use]
    pub fn told(&self, zone: &TimeZone, rests: &Times, moves: &Times) -> Option<Signal> {
        // What nobody saw is no lying: the collar may have been off, or away.
        let seen = rests
            .iter()
            .map(|(start, end)| end.min(&self.bounds.end).duration_since(*start.max(&self.bounds.start)));
        let lying: SignedDuration = seen.filter(SignedDuration::is_positive).sum();
        let longest = habit(zone, self.now, moves)?;
        let (lying, longest) = (hours(lying), hours(longest));
        if lying < hours(LYING) || lying < BEYOND_HABIT * longest {
            return None;
        }
        let evidence = vec![("lying_hours", lying), ("longest_before_hours", longest)];
        Some(signal(Kind::Inactivity, self.now, evidence))
    }
}

/// The longest that a pet lay by day before today, between two moves, seen or not; `None` where too few days are known.
#[must_use]
pub fn habit(zone: &TimeZone, now: Timestamp, moves: &Times) -> Option<SignedDuration> {
    let today = daytime(calendar::date(now, zone), zone)?;
    let since = now.saturating_sub(HABIT).unwrap_or(now);
    let (mut longest, mut days) = (SignedDuration::ZERO, 0_u32);
    let mut date = calendar::date(since, zone);
    while let (Some(day), Ok(next)) = (daytime(date, zone), date.tomorrow())
        && day.end < today.start
    {
        date = next;
        let mut at = day.start;
        let within = moves.iter().filter(|(start, end)| *end > day.start && *start < day.end);
        let mut moved = false;
        for (start, end) in within {
            moved = true;
            longest = longest.max(start.duration_since(at));
            at = *end;
        }
        // A day without a move may be one that the collar was not worn.
        if moved {
            days += 1;
            longest = longest.max(day.end.duration_since(at));
        }
    }
    (days >= HABIT_DAYS).then_some(longest)
}

/// What a pet's days say together, by date, once the newest of them has ended. Of what too few are known nothing is said, so that what was told
/// stands.
#[must_use]
pub fn look_back(known: &[Day], end: Timestamp) -> Vec<Signal> {
    let trend = history::trend(known).and_then(|trend| match trend {
        Trend::Rises(rise, percent) => {
            let evidence = vec![("rise_bpm", rise), ("rise_percent", percent)];
            Some(signal(Kind::HeartRateTrend, end, evidence))
        }
        Trend::Unsure => None,
        Trend::Even => Some(Signal { on: false, ..signal(Kind::HeartRateTrend, end, Vec::new()) }),
    });
    let night = history::restless(known).map(|restless| match restless {
        Ok((awake, usual)) => {
            let evidence = vec![("awake_minutes", awake), ("usual_minutes", usual)];
            signal(Kind::NightRestlessness, end, evidence)
        }
        Err(()) => Signal { on: false, ..signal(Kind::NightRestlessness, end, Vec::new()) },
    });
    trend.into_iter().chain(night).collect()
}

fn daytime(date: Date, zone: &TimeZone) -> Option<Bounds> {
    let at = |hour| date.at(hour, 0, 0, 0).to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp());
    Some(Bounds { start: at(DAYTIME.0)?, end: at(DAYTIME.1)? })
}

fn signal(kind: Kind, at: Timestamp, evidence: Vec<(&'static str, f64)>) -> Signal {
    Signal { kind, on: true, at, severity: kind.severity(), zone: None, evidence }
}

fn hours(duration: SignedDuration) -> f64 {
    duration.as_secs_f64() / 3_600.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-01-{text}:00Z").parse().unwrap()
    }

    /// A walk at eight in the morning of each day before the tenth but some, and one in the evening.
    fn walks(days: std::ops::Range<u32>) -> Vec<(Timestamp, Timestamp)> {
        let walk = |day: u32, hour: u32| {
            (at(&format!("{day:02}T{hour:02}:00")), at(&format!("{day:02}T{hour:02}:30")))
        };
        days.flat_map(|day| [walk(day, 8), walk(day, 14), walk(day, 19)]).chain([walk(10, 8)]).collect()
    }

    fn said(moves: &Times, now: &str, seen_until: &str) -> Option<bool> {
        let signal = match lying(&TimeZone::UTC, at(now), moves) {
            Lying::No(over) => over,
            Lying::Since(lay) => {
                assert_eq!(lay.bounds.start, at("10T08:30"));
                lay.told(&TimeZone::UTC, &[(at("09T20:00"), at(seen_until))], moves)
            }
        };
        signal.map(|signal| signal.on)
    }

    #[test]
    fn lying_is_told_beyond_eight_hours_and_beyond_habit_where_it_was_seen() {
        let week = walks(1..10);
        assert_eq!(said(&week, "10T16:00", "10T16:00"), Some(false), "up today, and not long ago");
        assert_eq!(said(&week, "10T17:00", "10T17:00"), Some(true));
        assert_eq!(said(&week, "10T23:00", "10T23:00"), Some(true), "the night adds nothing");
        assert_eq!(said(&week, "10T17:00", "10T15:00"), None, "what nobody saw is no lying");
        assert_eq!(said(&walks(4..10), "10T17:00", "10T17:00"), None, "six days are too few");
        let wont: Vec<_> = walks(1..10)
            .into_iter()
            .filter(|(start, _)| start.to_zoned(TimeZone::UTC).hour() != 14)
            .collect();
        assert_eq!(said(&wont, "10T17:00", "10T17:00"), None, "it is wont to lie for ten hours and a half");
        assert_eq!(said(&wont, "10T22:00", "10T22:00"), Some(true));
    }

    #[test]
    fn silence_is_said_once_and_not_while_the_kind_rests() {
        let mut watch = Watch::default();
        assert_eq!(silence(&mut watch, None, at("10T12:00")), Ok(None), "of a collar never heard of");
        let raised = signal(Kind::SilentCollar, at("10T11:00"), Vec::new());
        let settings = super::super::machine::Settings::default();
        let now = (at("10T11:00"), &TimeZone::UTC);
        let step = |last: Option<&Alert>, signal: &Signal| {
            super::super::machine::on_signal(last, &settings, signal, now, uuid::Uuid::nil())
        };
        let open = step(None, &raised).unwrap();
        let cleared = step(Some(&open), &Signal { on: false, at: at("10T11:50"), ..raised }).unwrap();
        watch.armed = true;
        assert_eq!(silence(&mut watch, Some(&cleared), at("10T12:00")), Err(at("10T12:20")));
        assert!(watch.armed);
        assert_eq!(silence(&mut watch, Some(&cleared), at("10T12:20")), Ok(None));
        assert!(!watch.armed, "its next reading notes again when to look");
    }
}

//! What a pet did on one day of its own time zone.
//!
//! Invariants: a day lasts from one midnight of the pet's zone to the next, 23 to 25 hours; every minute counts for one day
//! only. A day is closed while what was told at its end is what the entries say now: whatever changes them opens it again.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use petty_chassis::calendar::{Bounds, utc_date};

use super::Behavior;

/// Minutes as near as this are the same: less than a second.
const SAME: f64 = 1.0 / 60.0;
/// The zone where days begin first is so far ahead of UTC.
const EASTERNMOST: SignedDuration = SignedDuration::from_hours(14);

/// Why a text names no day that could be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadDate {
    /// It is not YYYY-MM-DD.
    Malformed,
    /// It has begun nowhere on Earth, or is before the year 1.
    OutOfRange,
}

/// Reads a day, YYYY-MM-DD.
pub(crate) fn parse(text: &str, now: Timestamp) -> Result<Date, BadDate> {
    let date: Date = text.parse().map_err(|_| BadDate::Malformed)?;
    // Other notations than ours are read as well.
    if date.to_string() != text {
        return Err(BadDate::Malformed);
    }
    let newest = utc_date(now.checked_add(EASTERNMOST).unwrap_or(now));
    // Days of the year 1 may begin in the year 0.
    if date.year() < 2 || date > newest { Err(BadDate::OutOfRange) } else { Ok(date) }
}

/// What an episode has to do with a day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) behavior: Behavior,
    pub(crate) bounds: Bounds,
    /// The length of its path, metres.
    pub(crate) distance_m: Option<f64>,
    /// Beats per minute.
    pub(crate) mean_heart_rate: Option<f64>,
}

/// What was told of a day that was over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) bounds: Bounds,
    /// How often it was told.
    pub(crate) version: i32,
    /// With readings, known behaviour or not.
    pub(crate) covered_minutes: f64,
    /// Of each known behaviour.
    pub(crate) minutes: BTreeMap<Behavior, f64>,
    pub(crate) distance_m: Option<f64>,
    pub(crate) resting_heart_rate: Option<f64>,
}

/// A behaviour's share of a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share {
    pub(crate) behavior: Behavior,
    pub(crate) minutes: f64,
    pub(crate) episodes: i32,
    /// When the first began, or the day did.
    pub(crate) first_start: Timestamp,
    /// When the last ended, or the day did.
    pub(crate) last_end: Timestamp,
}

/// A day.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) bounds: Bounds,
    /// It is over, and what was told of it still holds.
    pub(crate) closed: bool,
    /// How often it was told.
    pub(crate) version: i32,
    /// Known once it is closed.
    pub(crate) covered_minutes: Option<f64>,
    pub(crate) distance_m: Option<f64>,
    /// Of sleep and rest, by length.
    pub(crate) resting_heart_rate: Option<f64>,
    /// The longest first.
    pub(crate) shares: Vec<Share>,
}

impl Summary {
    /// Of the episodes that reach into a day. Distance and heart rate are those told, once it is closed; before, they are
    /// added up here: an episode that crosses midnight counts by its share of time.
    pub(crate) fn of(bounds: Bounds, stretches: &[Stretch], told: Option<&Told>) -> Self {
        let mut shares: BTreeMap<Behavior, Share> = BTreeMap::new();
        let mut distance_m: Option<f64> = None;
        let (mut at_rest, mut beats) = (0.0, 0.0);
        for stretch in stretches {
            let within = stretch.bounds.cut(bounds);
            let minutes = within.minutes();
            if minutes <= 0.0 {
                continue;
            }
            let Stretch { behavior, .. } = *stretch;
            let share = shares.entry(behavior).or_insert(Share {
                behavior,
                minutes: 0.0,
                episodes: 0,
                first_start: within.start,
                last_end: within.end,
            });
            share.minutes += minutes;
            share.episodes = share.episodes.saturating_add(1);
            share.first_start = share.first_start.min(within.start);
            share.last_end = share.last_end.max(within.end);
            if let (true, Some(path)) = (behavior.moves(), stretch.distance_m) {
                *distance_m.get_or_insert(0.0) += path * minutes / stretch.bounds.minutes();
            }
            if let (true, Some(mean)) = (behavior.is_rest(), stretch.mean_heart_rate) {
                at_rest += minutes;
                beats += minutes * mean;
            }
        }
        let closed = told.filter(|told| told.bounds == bounds && holds(&told.minutes, &shares));
        let mut shares: Vec<Share> = shares.into_values().collect();
        shares.sort_by(|one, other| {
            other.minutes.total_cmp(&one.minutes).then(one.behavior.cmp(&other.behavior))
        });
        Self {
            bounds,
            closed: closed.is_some(),
            version: told.map_or(0, |told| told.version),
            covered_minutes: closed.map(|told| told.covered_minutes),
            distance_m: closed.map_or(distance_m, |told| told.distance_m),
            resting_heart_rate: match closed {
                Some(told) => told.resting_heart_rate,
                None => (at_rest > 0.0).then(|| beats / at_rest),
            },
            shares,
        }
    }

    /// Minutes of the behaviours of which that is true.
    pub(crate) fn minutes(&self, of: impl Fn(Behavior) -> bool) -> f64 {
        self.shares.iter().filter(|share| of(share.behavior)).map(|share| share.minutes).sum()
    }
}

/// Whether what was told of a day is what is known of it.
fn holds(told: &BTreeMap<Behavior, f64>, shares: &BTreeMap<Behavior, Share>) -> bool {
    Behavior::ALL.iter().all(|behavior| {
        let told = told.get(behavior).copied().unwrap_or_default();
        let known = shares.get(behavior).map_or(0.0, |share| share.minutes);
        (told - known).abs() < SAME
    })
}

#[cfg(test)]
mod tests;

//! A pet's days: which of them a span touches, when they begin and end, and what was done in them.
//!
//! Invariant: days are the pet's own. Between a midnight and the next there may be 23 or 25 hours; every moment belongs to
//! one day.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Behavior;

/// The zone of a name. What auth once took for a zone is one; a name that this machine's tables do not know is UTC.
#[must_use]
pub fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

/// The days that a span touches, the first to the last. One that ends with midnight does not touch the next day.
pub fn touched(start: Timestamp, end: Timestamp, zone: &TimeZone) -> impl Iterator<Item = Date> {
    let last = end.max(start + SignedDuration::from_micros(1)) - SignedDuration::from_micros(1);
    let last = last.to_zoned(zone.clone()).date();
    let first = start.to_zoned(zone.clone()).date();
    std::iter::successors(Some(first), |date| date.tomorrow().ok()).take_while(move |date| *date <= last)
}

/// A day's first moment, and the next day's.
#[must_use]
pub fn bounds(date: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
    let start = date.to_zoned(zone.clone()).ok()?.start_of_day().ok()?;
    let end = date.tomorrow().ok()?.to_zoned(zone.clone()).ok()?.start_of_day().ok()?;
    Some((start.timestamp(), end.timestamp()))
}

/// What an episode has to do with a day.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// What the pet did.
    pub behavior: Behavior,
    /// The episode's start.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
    /// The length of its path, metres.
    pub path_m: Option<f64>,
    /// Its mean heart rate, beats per minute.
    pub mean_heart_rate: Option<f64>,
}

/// A day's totals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Minutes with readings.
    pub covered_minutes: f64,
    /// By behaviour: minutes, and in how many episodes.
    pub behaviors: BTreeMap<Behavior, (f64, u32)>,
    /// Length of the paths while moving, metres; an episode that crosses midnight counts by its share of time.
    pub distance_m: Option<f64>,
    /// Mean heart rate at rest, weighted by time, beats per minute.
    pub resting_heart_rate: Option<f64>,
}

impl Totals {
    /// Of the episodes that reach into a day.
    #[must_use]
    pub fn of(stretches: &[Stretch], day: (Timestamp, Timestamp)) -> Self {
        let mut totals = Self::default();
        let (mut at_rest, mut beats) = (0.0, 0.0);
        for stretch in stretches {
            let (start, end) = (stretch.start.max(day.0), stretch.end.min(day.1));
            let minutes = minutes(start, end);
            if minutes <= 0.0 {
                continue;
            }
            totals.covered_minutes += minutes;
            let share = totals.behaviors.entry(stretch.behavior).or_default();
            *share = (share.0 + minutes, share.1 + 1);
            if let (true, Some(path_m)) = (moves(stretch.behavior), stretch.path_m) {
                let part = minutes / self::minutes(stretch.start, stretch.end);
                totals.distance_m = Some(totals.distance_m.unwrap_or_default() + path_m * part);
            }
            if let (Behavior::DeepSleep | Behavior::Resting, Some(mean)) =
                (stretch.behavior, stretch.mean_heart_rate)
            {
                at_rest += minutes;
                beats += minutes * mean;
            }
        }
        totals.resting_heart_rate = (at_rest > 0.0).then(|| beats / at_rest);
        totals
    }
}

/// Whether the pet gets about: a path at rest is the noise of its fixes.
fn moves(behavior: Behavior) -> bool {
    match behavior {
        Behavior::Walking | Behavior::Running | Behavior::PlayingFetch | Behavior::AnxiousPacing => true,
        Behavior::DeepSleep | Behavior::Resting | Behavior::Unknown => false,
    }
}

fn minutes(start: Timestamp, end: Timestamp) -> f64 {
    end.duration_since(start).as_secs_f64() / 60.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn stretch(behavior: Behavior, start: &str, end: &str) -> Stretch {
        Stretch { behavior, start: at(start), end: at(end), path_m: None, mean_heart_rate: None }
    }

    #[test]
    fn days_are_as_long_as_the_zone_says() {
        for (zone_name, date, start, hours) in [
            ("Europe/Berlin", "2026-03-28", "2026-03-27T23:00:00Z", 24),
            ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z", 23),
            ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00:00Z", 25),
            ("America/New_York", "2026-03-08", "2026-03-08T05:00:00Z", 23),
            // Clocks go forward at midnight: the day begins at one.
            ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00Z", 23),
            ("Asia/Kolkata", "2026-06-01", "2026-05-31T18:30:00Z", 24),
            ("Not/AZone", "2026-06-01", "2026-06-01T00:00:00Z", 24),
        ] {
            let (begins, ends) = bounds(date.parse().unwrap(), &zone(zone_name)).unwrap();
            assert_eq!(begins, at(start), "{zone_name} {date}");
            assert_eq!(ends.duration_since(begins), SignedDuration::from_hours(hours), "{zone_name} {date}");
        }
    }

    #[test]
    fn a_span_touches_the_days_it_has_a_moment_in() {
        let berlin = zone("Europe/Berlin");
        for (start, end, days) in [
            ("2026-01-10T10:00:00Z", "2026-01-10T11:00:00Z", vec!["2026-01-10"]),
            ("2026-01-10T22:30:00Z", "2026-01-10T23:00:00Z", vec!["2026-01-10"]),
            ("2026-01-10T22:30:00Z", "2026-01-10T23:00:00.000001Z", vec!["2026-01-10", "2026-01-11"]),
            ("2026-01-10T23:00:00Z", "2026-01-10T23:00:00Z", vec!["2026-01-11"]),
            ("2026-01-09T12:00:00Z", "2026-01-11T12:00:00Z", vec!["2026-01-09", "2026-01-10", "2026-01-11"]),
        ] {
            let found: Vec<String> =
                touched(at(start), at(end), &berlin).map(|date| date.to_string()).collect();
            assert_eq!(found, days, "{start} to {end}");
        }
    }

    #[test]
    fn what_crosses_midnight_counts_for_each_day_by_its_share() {
        let day = (at("2026-01-10T00:00:00Z"), at("2026-01-11T00:00:00Z"));
        let stretches = [
            Stretch {
                path_m: Some(400.0),
                ..stretch(Behavior::Walking, "2026-01-09T23:45:00Z", "2026-01-10T00:15:00Z")
            },
            Stretch {
                mean_heart_rate: Some(50.0),
                path_m: Some(90.0),
                ..stretch(Behavior::DeepSleep, "2026-01-10T01:00:00Z", "2026-01-10T04:00:00Z")
            },
            Stretch {
                mean_heart_rate: Some(70.0),
                ..stretch(Behavior::Resting, "2026-01-10T04:00:00Z", "2026-01-10T05:00:00Z")
            },
            Stretch {
                mean_heart_rate: Some(160.0),
                ..stretch(Behavior::Running, "2026-01-10T05:00:00Z", "2026-01-10T05:10:00Z")
            },
            stretch(Behavior::Unknown, "2026-01-10T06:00:00Z", "2026-01-10T06:30:00Z"),
            stretch(Behavior::Walking, "2026-01-10T23:30:00Z", "2026-01-11T02:00:00Z"),
            stretch(Behavior::Walking, "2026-01-11T00:00:00Z", "2026-01-11T02:00:00Z"),
        ];
        let totals = Totals::of(&stretches, day);
        let expected = [
            (Behavior::DeepSleep, (180.0, 1)),
            (Behavior::Resting, (60.0, 1)),
            (Behavior::Walking, (45.0, 2)),
            (Behavior::Running, (10.0, 1)),
            (Behavior::Unknown, (30.0, 1)),
        ];
        assert_eq!(totals.behaviors, BTreeMap::from(expected));
        assert!((totals.covered_minutes - 325.0).abs() < 1e-9);
        assert!((totals.distance_m.unwrap() - 200.0).abs() < 1e-9);
        assert!((totals.resting_heart_rate.unwrap() - 55.0).abs() < 1e-9);
    }

    #[test]
    fn a_day_of_nothing_has_no_means() {
        let day = (at("2026-01-10T00:00:00Z"), at("2026-01-11T00:00:00Z"));
        assert_eq!(Totals::of(&[], day), Totals::default());
    }

    #[test]
    fn totals_are_kept_as_they_are() {
        let day = (at("2026-01-10T00:00:00Z"), at("2026-01-11T00:00:00Z"));
        let totals = Totals::of(
            &[Stretch {
                path_m: Some(0.1),
                mean_heart_rate: Some(61.3),
                ..stretch(Behavior::Resting, "2026-01-10T04:00:00Z", "2026-01-10T05:07:13.333Z")
            }],
            day,
        );
        let kept = serde_json::to_value(&totals).unwrap();
        assert_eq!(serde_json::from_value::<Totals>(kept).unwrap(), totals);
    }
}

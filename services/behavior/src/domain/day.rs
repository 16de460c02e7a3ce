//! What was done in a pet's days.
//!
//! Invariant: of an episode a day gets what lies between its own bounds, and no more.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use petty_chassis::calendar::Bounds;
use serde::{Deserialize, Serialize};

use super::Behavior;

/// What an episode has to do with a day.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// What the pet did.
    pub behavior: Behavior,
    /// The episode's start and end.
    pub bounds: Bounds,
    /// The length of its path, metres.
    pub path_m: Option<f64>,
    /// Its mean heart rate, beats per minute.
    pub mean_heart_rate: Option<f64>,
    /// Whether levels or fixes told if the pet moved.
    pub motion: bool,
}

/// A day's totals.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Minutes with readings.
    pub covered_minutes: f64,
    /// By behaviour: minutes, and in how many episodes.
    pub behaviors: BTreeMap<Behavior, (f64, u32)>,
    /// Length of the paths while moving, metres; an episode that crosses midnight counts by its share of time.
    pub distance_m: Option<f64>,
    /// Mean heart rate at rest, weighted by time, beats per minute.
    pub resting_heart_rate: Option<f64>,
    /// Minutes of known behaviours that are no rest, at night; absent where the night was not seen.
    #[serde(default)]
    pub night_awake_minutes: Option<f64>,
    /// Mean heart rate at rest by night, weighted by time, beats per minute; absent where the night was not seen.
    #[serde(default)]
    pub night_resting_heart_rate: Option<f64>,
    /// Minutes of known behaviours of which neither levels nor fixes told whether the pet moved: what moved is not counted then, and is not 0.
    #[serde(default)]
    pub motionless_minutes: f64,
    /// The zone whose day it is; empty of days that were told before it was kept.
    #[serde(default)]
    pub time_zone: String,
    /// By hours from its begin on; absent of days that were told before they were counted.
    #[serde(default)]
    pub hours: Vec<Hour>,
}

/// Nobody is told of hours and of hearts by night: totals that differ in these alone tell nothing new. Another zone does: the day has other
/// bounds.
impl PartialEq for Totals {
    fn eq(&self, other: &Self) -> bool {
        let told = |totals: &Self| {
            let vitals = (totals.resting_heart_rate, totals.night_awake_minutes);
            (totals.covered_minutes, totals.motionless_minutes, totals.distance_m, vitals)
        };
        let moved = [&self.time_zone, &other.time_zone].iter().all(|zone| !zone.is_empty())
            && self.time_zone != other.time_zone;
        told(self) == told(other) && self.behaviors == other.behaviors && !moved
    }
}

/// An hour's totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hour {
    /// Minutes of known behaviours: of a collar on its charger nothing is known.
    pub covered_minutes: f64,
    /// Minutes on the move.
    pub active_minutes: f64,
    /// Minutes at rest with a heart rate.
    pub rest_minutes: f64,
    /// Mean heart rate at rest, weighted by time, beats per minute.
    pub resting_heart_rate: Option<f64>,
}

impl Hour {
    fn of(stretches: &[Stretch], hour: Bounds) -> Self {
        let (mut totals, mut beats) = (Self::default(), 0.0);
        for stretch in stretches {
            let minutes = stretch.bounds.cut(hour).minutes().max(0.0);
            // Where nothing tells whether it moves, it is not known to lie.
            if stretch.behavior.is_known() && stretch.motion {
                totals.covered_minutes += minutes;
            }
            if stretch.behavior.moves() {
                totals.active_minutes += minutes;
            }
            if let (true, Some(mean)) = (stretch.behavior.is_rest(), stretch.mean_heart_rate) {
                totals.rest_minutes += minutes;
                beats += minutes * mean;
            }
        }
        totals.resting_heart_rate = (totals.rest_minutes > 0.0).then(|| beats / totals.rest_minutes);
        totals
    }
}

/// A day's hours: 24, or one more or less where clocks are set.
fn hours(day: Bounds) -> impl Iterator<Item = Bounds> {
    let next = |at: &Timestamp| at.checked_add(SignedDuration::from_hours(1)).ok();
    let starts = std::iter::successors(Some(day.start), next).take_while(move |start| *start < day.end);
    starts.map(move |start| Bounds { start, end: next(&start).map_or(day.end, |end| end.min(day.end)) })
}

/// Night, by the pet's clock: until the first hour, and from the second on.
const NIGHT: (i8, i8) = (6, 22);
/// A night counts of which half is known: what a collar on its charger says is no calm night.
const NIGHT_SEEN_MINUTES: f64 = 240.0;

/// The parts of a day that are night.
#[must_use]
pub fn nights(date: Date, day: Bounds, zone: &TimeZone) -> Vec<Bounds> {
    let clock = |hour| date.at(hour, 0, 0, 0).to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp());
    let parts = clock(NIGHT.0)
        .zip(clock(NIGHT.1))
        .map(|(end, start)| [Bounds { start: day.start, end }, Bounds { start, end: day.end }]);
    parts.into_iter().flatten().collect()
}

impl Totals {
    /// Minutes of known behaviours in which levels or fixes told whether the pet moved.
    #[must_use]
    pub fn motion_minutes(&self) -> f64 {
        (self.known_minutes() - self.motionless_minutes).max(0.0)
    }

    /// Minutes of known behaviours.
    #[must_use]
    pub fn known_minutes(&self) -> f64 {
        let known = self.behaviors.iter().filter(|(behavior, _)| behavior.is_known());
        known.map(|(_, (minutes, _))| minutes).sum()
    }

    /// Of the episodes that reach into a day, with the parts of it that are night.
    #[must_use]
    pub fn of(stretches: &[Stretch], day: Bounds, nights: &[Bounds]) -> Self {
        let mut totals = Self::default();
        let (mut seen, mut awake) = (0.0, 0.0);
        let (mut at_rest, mut beats) = (0.0, 0.0);
        let (mut night_rest, mut night_beats) = (0.0, 0.0);
        for stretch in stretches {
            let minutes = stretch.bounds.cut(day).minutes();
            if minutes <= 0.0 {
                continue;
            }
            totals.covered_minutes += minutes;
            let dark: f64 = nights.iter().map(|night| stretch.bounds.cut(*night).minutes().max(0.0)).sum();
            if stretch.behavior.is_known() {
                seen += dark;
                awake += if stretch.behavior.is_rest() { 0.0 } else { dark };
                totals.motionless_minutes += if stretch.motion { 0.0 } else { minutes };
            }
            let share = totals.behaviors.entry(stretch.behavior).or_default();
            *share = (share.0 + minutes, share.1 + 1);
            if let (true, Some(path_m)) = (stretch.behavior.moves(), stretch.path_m) {
                let part = minutes / stretch.bounds.minutes();
                totals.distance_m = Some(totals.distance_m.unwrap_or_default() + path_m * part);
            }
            if let (true, Some(mean)) = (stretch.behavior.is_rest(), stretch.mean_heart_rate) {
                at_rest += minutes;
                beats += minutes * mean;
                night_rest += dark;
                night_beats += dark * mean;
            }
        }
        let night_seen = seen >= NIGHT_SEEN_MINUTES;
        totals.night_resting_heart_rate = (night_seen && night_rest > 0.0).then(|| night_beats / night_rest);
        totals.night_awake_minutes = night_seen.then_some(awake);
        if totals.covered_minutes > 0.0 {
            totals.hours = hours(day).map(|hour| Hour::of(stretches, hour)).collect();
        }
        totals.resting_heart_rate = (at_rest > 0.0).then(|| beats / at_rest);
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(start: &str, end: &str) -> Bounds {
        Bounds { start: start.parse().unwrap(), end: end.parse().unwrap() }
    }

    fn day() -> Bounds {
        bounds("2026-01-10T00:00:00Z", "2026-01-11T00:00:00Z")
    }

    fn stretch(behavior: Behavior, start: &str, end: &str) -> Stretch {
        Stretch { behavior, bounds: bounds(start, end), path_m: None, mean_heart_rate: None, motion: true }
    }

    #[test]
    fn what_crosses_midnight_counts_for_each_day_by_its_share() {
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
        let night = bounds("2026-01-10T00:00:00Z", "2026-01-10T06:00:00Z");
        let totals = Totals::of(&stretches, day(), &[night]);
        // A quarter of an hour of the walk before, ten minutes of a run.
        assert!((totals.night_awake_minutes.unwrap() - 25.0).abs() < 1e-9);
        // Three hours of sleep and one of rest.
        assert!((totals.night_resting_heart_rate.unwrap() - 55.0).abs() < 1e-9);
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
    fn what_is_not_known_is_neither_calm_nor_lying() {
        let (start, end) = ("2026-01-10T00:00:00Z", "2026-01-10T06:00:00Z");
        let night = [bounds(start, end)];
        let of = |behavior, motion| {
            Totals::of(&[Stretch { motion, ..stretch(behavior, start, end) }], day(), &night)
        };
        // A collar on its charger.
        let unknown = of(Behavior::Unknown, true);
        assert_eq!((unknown.night_awake_minutes, unknown.covered_minutes), (None, 360.0));
        assert_eq!(unknown.hours[3], Hour::default());
        // One that tells heart rates alone.
        let rates = of(Behavior::DeepSleep, false);
        assert_eq!((rates.night_awake_minutes, rates.motionless_minutes), (Some(0.0), 360.0));
        assert_eq!(rates.hours[3].covered_minutes, 0.0);
        assert_eq!(of(Behavior::DeepSleep, true).motionless_minutes, 0.0);
    }

    #[test]
    fn a_day_of_nothing_has_no_means() {
        assert_eq!(Totals::of(&[], day(), &[]), Totals::default());
    }

    #[test]
    fn totals_are_kept_as_they_are() {
        let totals = Totals::of(
            &[Stretch {
                path_m: Some(0.1),
                mean_heart_rate: Some(61.3),
                ..stretch(Behavior::Resting, "2026-01-10T04:00:00Z", "2026-01-10T05:07:13.333Z")
            }],
            day(),
            &[],
        );
        let kept = serde_json::to_value(&totals).unwrap();
        assert_eq!(serde_json::from_value::<Totals>(kept).unwrap(), totals);
    }
}

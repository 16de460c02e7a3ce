//! Alerts over real animals: dogs at rest raise none, and each that a cat raises is looked at.
//!
//! Invariant: an exit is held against the cat's own later fixes: one that stays out for three fixes or more was out by its own
//! account; of any other it is said how far, and for how long.

use jiff::tz::TimeZone;
use petty_behavior::domain::alerts::{Context, Kind, Report, Watch};
use petty_behavior::domain::geo::distance_m;
use petty_behavior::domain::history::median;
use petty_behavior::domain::v1::{Own, owns};
use petty_behavior::domain::zone::{Place, Shape, Zone};
use petty_behavior::domain::{Position, Species};
use uuid::Uuid;

use crate::alarms::{BUFFER_M, RADIUS_M};
use crate::recorded::Animal;

/// An exit of a real animal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outing {
    /// The animal's place in its recordings.
    pub animal: usize,
    /// Fixes outside in a row, from the one before the alert on.
    pub fixes: usize,
    /// From the first of these to the last, minutes.
    pub minutes: f64,
    /// The furthest, metres from the middle of its fixes.
    pub furthest_m: f64,
}

/// What alerts did over the recorded animals.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outings {
    /// Animals, and hours from their first to their last readings, gaps of more than an hour left out: dogs.
    pub dogs: (usize, f64),
    /// Alerts of dogs, of any kind.
    pub dogs_alerts: usize,
    /// Cats, likewise.
    pub cats: (usize, f64),
    /// Exits of cats.
    pub outings: Vec<Outing>,
    /// Alerts of cats of any other kind.
    pub others: usize,
}

/// Over recorded animals, a safe zone about the middle of each one's fixes.
#[must_use]
pub fn outings(animals: &[Animal]) -> Outings {
    let mut all = Outings::default();
    for (nth, animal) in animals.iter().enumerate() {
        let gaps = animal.readings.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at).as_secs_f64());
        let hours = gaps.filter(|seconds| *seconds <= 3_600.0).sum::<f64>() / 3_600.0;
        let sum = if animal.species == Species::Dog { &mut all.dogs } else { &mut all.cats };
        *sum = (sum.0 + 1, sum.1 + hours);
        let home = home(animal);
        for (kind, at) in raised(animal, home.as_ref()) {
            match (animal.species, kind, home) {
                (Species::Cat, Kind::SafeZoneLeft, Some(home)) => {
                    all.outings.push(outing(nth, animal, &home, at));
                }
                (Species::Cat, ..) => all.others += 1,
                (Species::Dog, ..) => all.dogs_alerts += 1,
            }
        }
    }
    all
}

/// The middle of its fixes; `None` of none.
fn home(animal: &Animal) -> Option<Position> {
    let fixes: Vec<Position> = animal.readings.iter().filter_map(|reading| reading.position).collect();
    let middle = |of: fn(&Position) -> f64| median(&fixes.iter().map(of).collect::<Vec<f64>>());
    let (latitude, longitude) = (middle(|fix| fix.latitude)?, middle(|fix| fix.longitude)?);
    Some(Position { latitude, longitude, accuracy_m: None })
}

/// Kinds that were raised, and at which reading.
fn raised(animal: &Animal, home: Option<&Position>) -> Vec<(Kind, usize)> {
    let zones: Vec<Zone> = home
        .map(|home| Zone {
            id: Uuid::nil(),
            version: 1,
            shape: Shape::Circle {
                center: Place { latitude: home.latitude, longitude: home.longitude },
                radius_m: RADIUS_M,
            },
            buffer_m: BUFFER_M,
            hours: Vec::new(),
        })
        .into_iter()
        .collect();
    let owns = owns(animal.species, &animal.readings);
    let mut watch = Watch::default();
    let mut open: Vec<Kind> = Vec::new();
    let mut raised = Vec::new();
    for (nth, reading) in animal.readings.iter().enumerate() {
        let at = reading.at.as_microsecond();
        let own = owns.range(..=at).next_back().map_or(Own::prior(animal.species), |(_, own)| *own);
        let context = Context { species: animal.species, zone: &TimeZone::UTC, zones: &zones, own };
        let report = Report {
            at: reading.at,
            collar: 1,
            heart_rate: reading.heart_rate,
            activity_level: reading.activity_level,
            position: reading.position,
            respiratory_rate: None,
            temperature: None,
            battery: None,
        };
        for signal in watch.take(&context, std::slice::from_ref(&report), at) {
            if !signal.on {
                open.retain(|kind| *kind != signal.kind);
            } else if !open.contains(&signal.kind) {
                open.push(signal.kind);
                raised.push((signal.kind, nth));
            }
        }
    }
    raised
}

fn outing(nth: usize, animal: &Animal, home: &Position, at: usize) -> Outing {
    let beyond =
        |index: &usize| animal.readings[*index].position.is_some_and(|fix| distance_m(&fix, home) > RADIUS_M);
    let first = (0..=at).rev().take_while(beyond).last().unwrap_or(at);
    let out: Vec<usize> = (first..animal.readings.len()).take_while(beyond).collect();
    let last = out.last().copied().unwrap_or(at);
    let away = out.iter().filter_map(|index| animal.readings[*index].position);
    Outing {
        animal: nth,
        fixes: out.len(),
        minutes: animal.readings[last].at.duration_since(animal.readings[first].at).as_secs_f64() / 60.0,
        furthest_m: away.map(|fix| distance_m(&fix, home)).fold(0.0, f64::max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_is_an_outing_and_one_bad_fix_is_none() {
        let mut cat = Animal::new(Species::Cat);
        for minute in 0..120_i64 {
            let metres = match minute {
                30 => 400.0,
                60..70 => 150.0,
                _ => minute as f64 % 5.0,
            };
            cat.position(minute * 60_000_000, 50.0 + metres / 111_195.0, -5.0);
        }
        let mut dog = Animal::new(Species::Dog);
        (0..60).for_each(|minute| dog.heart_rate(minute * 60_000_000, 62.0));
        let found = outings(&[dog, cat]);
        assert_eq!((found.dogs.0, found.dogs_alerts, found.cats.0, found.others), (1, 0, 1, 0));
        let [one] = found.outings.try_into().unwrap();
        assert_eq!((one.animal, one.fixes), (1, 10));
        assert!((one.furthest_m - 148.0).abs() < 5.0 && (one.minutes - 9.0).abs() < 0.1, "{one:?}");
    }
}

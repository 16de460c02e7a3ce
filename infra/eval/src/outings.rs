//! Alerts over real animals: dogs at rest raise none, and each that a cat raises is looked at.
//!
//! Invariant: each exit has one reason, which follows from the cat's fixes and its figures alone: for how long and how far it was
//! outside, by how many fixes, and how fast it must have gone from fix to fix, from the last one inside to the first one inside again.

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

/// Faster from fix to fix no cat goes for minutes, metres a second (a trot, ~): there a fix is wrong.
pub const TROT_MPS: f64 = 3.0;
/// What fixes that state no error may be off by, metres (a receiver's among houses, ~).
pub const ERROR_M: f64 = 25.0;
/// Fixes outside in a row from which on a cat stayed outside by its own account.
pub const STAYED: usize = 3;
/// Two fixes outside are of one time outside where no other was due between: these collars tell one every three minutes.
pub const BETWEEN_MINUTES: f64 = 10.0;

/// Why an exit was raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It went there or back faster than [`TROT_MPS`]: a wrong fix, and a false alarm.
    TooFast,
    /// It was never more than [`ERROR_M`] beyond what the zone allows: outside, or the fixes' own error.
    Edge,
    /// [`STAYED`] fixes in a row or more.
    Stayed,
    /// Two fixes, one soon after the other.
    Twice,
    /// Two fixes, between which the collar told none for longer than [`BETWEEN_MINUTES`].
    BothEnds,
}

impl Reason {
    /// All, in the order in which they are asked.
    pub const ALL: [Self; 5] = [Self::TooFast, Self::Edge, Self::Stayed, Self::Twice, Self::BothEnds];

    /// In words.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Self::TooFast => format!("false: faster than {TROT_MPS} m/s from fix to fix"),
            Self::Edge => {
                format!(
                    "at the edge: within {ERROR_M} m of what the zone allows, so that the fixes' own error may do"
                )
            }
            Self::Stayed => format!("stayed out: {STAYED} fixes in a row or more"),
            Self::Twice => format!("out and back: two fixes within {BETWEEN_MINUTES} min"),
            Self::BothEnds => format!("out at both ends of {BETWEEN_MINUTES} min and more without a fix"),
        }
    }

    /// Whether the cat's own fixes bear the exit out.
    #[must_use]
    pub const fn is_so(self) -> Option<bool> {
        match self {
            Self::TooFast => Some(false),
            Self::Edge => None,
            Self::Stayed | Self::Twice | Self::BothEnds => Some(true),
        }
    }
}

/// An exit of a real animal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outing {
    /// The animal's place in its recordings.
    pub animal: usize,
    /// Fixes outside in a row, the one that raised it among them.
    pub fixes: usize,
    /// From the first of these to the last, minutes.
    pub minutes: f64,
    /// From the last fix inside to the first one inside again; `None` where the recording begins or ends outside.
    pub at_most_minutes: Option<f64>,
    /// The furthest, metres from the middle of its fixes.
    pub furthest_m: f64,
    /// The fastest from fix to fix, the way out and back among them, metres a second.
    pub fastest_mps: f64,
    /// The longest without a fix meanwhile, minutes, the way out and back left out.
    pub longest_gap_minutes: f64,
}

impl Outing {
    /// Why it was raised.
    #[must_use]
    pub fn reason(&self) -> Reason {
        if self.fastest_mps > TROT_MPS {
            Reason::TooFast
        } else if self.furthest_m <= RADIUS_M + BUFFER_M + ERROR_M {
            Reason::Edge
        } else if self.fixes >= STAYED {
            Reason::Stayed
        } else if self.longest_gap_minutes <= BETWEEN_MINUTES {
            Reason::Twice
        } else {
            Reason::BothEnds
        }
    }
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

impl Outings {
    /// Alerts of cats that nothing of their fixes explains.
    #[must_use]
    pub fn unexplained(&self) -> usize {
        self.others + self.outings.iter().filter(|one| one.reason().is_so() == Some(false)).count()
    }
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
    let readings = &animal.readings;
    let beyond =
        |index: &usize| readings[*index].position.is_some_and(|fix| distance_m(&fix, home) > RADIUS_M);
    let first = (0..=at).rev().take_while(beyond).last().unwrap_or(at);
    let last = (at..readings.len()).take_while(beyond).last().unwrap_or(at);
    let minutes =
        |from: usize, to: usize| readings[to].at.duration_since(readings[from].at).as_secs_f64() / 60.0;
    let (before, after) = (first.checked_sub(1), Some(last + 1).filter(|after| *after < readings.len()));
    let pace = |from: usize| {
        let (here, there) = (readings[from].position?, readings[from + 1].position?);
        Some(distance_m(&here, &there) / (60.0 * minutes(from, from + 1)).max(1.0))
    };
    let most = |figures: &mut dyn Iterator<Item = f64>| figures.fold(0.0, f64::max);
    Outing {
        animal: nth,
        fixes: last - first + 1,
        minutes: minutes(first, last),
        at_most_minutes: before.zip(after).map(|(before, after)| minutes(before, after)),
        furthest_m: most(
            &mut readings[first..=last]
                .iter()
                .filter_map(|reading| reading.position.map(|fix| distance_m(&fix, home))),
        ),
        fastest_mps: most(&mut (before.unwrap_or(first)..after.unwrap_or(last)).filter_map(pace)),
        longest_gap_minutes: most(&mut (first..last).map(|from| minutes(from, from + 1))),
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
        assert_eq!((one.animal, one.fixes, one.reason()), (1, 10, Reason::Stayed));
        assert!((one.furthest_m - 148.0).abs() < 5.0 && (one.minutes - 9.0).abs() < 0.1, "{one:?}");
        assert!((one.at_most_minutes.unwrap() - 11.0).abs() < 0.1 && (one.fastest_mps - 2.5).abs() < 0.1);
    }

    #[test]
    fn each_exit_has_the_reason_that_its_figures_say() {
        let two = Outing {
            animal: 0,
            fixes: 2,
            minutes: 3.0,
            at_most_minutes: Some(9.0),
            furthest_m: 130.0,
            fastest_mps: 0.6,
            longest_gap_minutes: 3.0,
        };
        assert_eq!(two.reason(), Reason::Twice);
        assert_eq!(Outing { longest_gap_minutes: 40.0, ..two }.reason(), Reason::BothEnds);
        assert_eq!(Outing { fixes: 3, ..two }.reason(), Reason::Stayed);
        assert_eq!(Outing { furthest_m: 99.0, fixes: 9, ..two }.reason(), Reason::Edge);
        assert_eq!(Outing { fastest_mps: 3.5, ..two }.reason(), Reason::TooFast);
        assert_eq!(Reason::ALL.map(Reason::is_so), [Some(false), None, Some(true), Some(true), Some(true)]);
    }
}

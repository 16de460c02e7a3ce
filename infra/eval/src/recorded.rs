//! Real animals: no truth labels, so what can be said is how their time was shared out, and what of it cannot be so.
//!
//! Invariant: only what the recording's own circumstances rule out counts as a fault: a dog on its bed with an owner beside it does
//! not walk; of fixes alone nobody can tell sleep, rest, or what a heart does.

use jiff::Timestamp;
use petty_behavior::domain::{Behavior, Params, Position, Reading, Species};

use crate::classifier::{Classifier, Input};
use crate::score::{BEHAVIORS, index};

/// A recorded animal.
#[derive(Debug, Clone, PartialEq)]
pub struct Animal {
    /// What it is.
    pub species: Species,
    /// By time; a heart rate or a position each.
    pub readings: Vec<Reading>,
}

impl Animal {
    /// One with nothing recorded yet.
    #[must_use]
    pub const fn new(species: Species) -> Self {
        Self { species, readings: Vec::new() }
    }

    /// Notes a heart rate.
    pub fn heart_rate(&mut self, at_us: i64, bpm: f64) {
        self.push(at_us, Some(bpm), None);
    }

    /// Notes a position.
    pub fn position(&mut self, at_us: i64, latitude: f64, longitude: f64) {
        self.push(at_us, None, Some(Position { latitude, longitude, accuracy_m: None }));
    }

    fn push(&mut self, at_us: i64, heart_rate: Option<f64>, position: Option<Position>) {
        if let Ok(at) = Timestamp::from_microsecond(at_us) {
            self.readings.push(Reading {
                at,
                heart_rate,
                activity_level: None,
                respiratory_rate: None,
                position,
            });
        }
    }
}

/// What a classifier said of all recorded animals of a species.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Which classifier.
    pub classifier: Classifier,
    /// Whom of.
    pub what: &'static str,
    /// How many.
    pub animals: usize,
    /// How many readings.
    pub readings: usize,
    /// Minutes by behaviour.
    pub minutes: [f64; BEHAVIORS],
    /// What cannot be so.
    pub fault: &'static str,
    /// Minutes of it.
    pub fault_minutes: f64,
}

/// Lets a classifier loose on them.
#[must_use]
pub fn findings(classifier: Classifier, animals: &[Animal]) -> Vec<Finding> {
    let of = |species: Species| {
        let (what, fault) = match species {
            Species::Dog => ("real dogs at rest", "minutes said to move"),
            Species::Cat => ("real cats' fixes", "minutes of what fixes cannot tell"),
        };
        let mut finding = Finding {
            classifier,
            what,
            animals: 0,
            readings: 0,
            minutes: [0.0; BEHAVIORS],
            fault,
            fault_minutes: 0.0,
        };
        for animal in animals.iter().filter(|animal| animal.species == species) {
            finding.animals += 1;
            finding.readings += animal.readings.len();
            let params = Params::of(species);
            for claim in classifier.claims(&Input { params, readings: animal.readings.clone() }) {
                let minutes = (claim.end_us - claim.start_us) as f64 / 60e6;
                finding.minutes[index(claim.behavior)] += minutes;
                if cannot_be(species, claim.behavior) {
                    finding.fault_minutes += minutes;
                }
            }
        }
        finding
    };
    [Species::Dog, Species::Cat].map(of).into_iter().filter(|finding| finding.animals > 0).collect()
}

const fn cannot_be(species: Species, behavior: Behavior) -> bool {
    match species {
        Species::Dog => behavior.moves(),
        Species::Cat => {
            behavior.is_rest() || matches!(behavior, Behavior::PlayingFetch | Behavior::AnxiousPacing)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dog_that_rests_is_not_said_to_move_and_fixes_tell_no_sleep() {
        let mut dog = Animal::new(Species::Dog);
        let mut cat = Animal::new(Species::Cat);
        for minute in 0..60 {
            dog.heart_rate(minute * 60_000_000, 52.0);
            cat.position(minute * 60_000_000, 50.0 + minute as f64 * 0.0005, -5.0);
        }
        let found = findings(Classifier::Today, &[dog, cat]);
        assert_eq!((found.len(), found[0].animals, found[1].readings), (2, 1, 60));
        assert!(found[0].minutes[index(Behavior::DeepSleep)] > 50.0);
        assert!(found[1].minutes[index(Behavior::Walking)] > 50.0);
        assert!(found.iter().all(|finding| finding.fault_minutes.abs() < 1e-9));
    }
}

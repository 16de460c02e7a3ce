//! A pet's recording: what the collar sent, and what was so.
//!
//! Invariant: the truth covers the whole time without gap or overlap, whether or not there are readings.

use crate::chance::Chance;
use crate::collar::{Collar, Reading};
use crate::doing::Doing;
use crate::life::Life;
use crate::physiology::Pet;
use crate::plan::{Event, Injection, Plan, Stretch};
use crate::{DAY_S, EPOCH_S};

/// Sampling intervals of collars, seconds: 5 to 60 (domain.md).
const INTERVALS_S: [u32; 5] = [5, 10, 15, 30, 60];

/// What is to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// Another seed, other pets.
    pub seed: u64,
    /// How many days of each.
    pub days: u32,
    /// Seconds from reading to reading, 1 to 600; without it each pet has its own of 5, 10, 15, 30 and 60.
    pub interval_s: Option<u32>,
    /// The share of readings without a heart rate, about; 0.43 in the field (domain.md).
    pub missing: f64,
    /// What is injected into each pet's health.
    pub injections: Vec<Injection>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { seed: 1, days: 7, interval_s: None, missing: 0.43, injections: Vec::new() }
    }
}

/// A pet's recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Whose.
    pub pet: Pet,
    /// Seconds from reading to reading.
    pub interval_s: u32,
    /// What the collar sent, by time.
    pub readings: Vec<Reading>,
    /// At each reading, how far from home the pet really was, metres.
    pub away_m: Vec<f64>,
    /// What the pet really did, by time.
    pub truth: Vec<Stretch>,
    /// What was injected.
    pub events: Vec<Event>,
}

/// Records the pet of that number.
#[must_use]
pub fn record(setup: &Setup, number: u32) -> Recording {
    let pet = Pet::of(setup.seed, number);
    let plan = Plan::of(&pet, setup.seed, setup.days, &setup.injections);
    let own = Chance::of(&[setup.seed, u64::from(number), 7]).pick(&INTERVALS_S, 30);
    let interval_s = setup.interval_s.unwrap_or(own).clamp(1, 600);
    let mut collar = Collar::new(&pet, setup.seed, setup.days, interval_s, setup.missing);
    let capacity = usize::try_from(i64::from(setup.days) * DAY_S / i64::from(interval_s)).unwrap_or_default();
    let (mut readings, mut away_m) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
    for (at_s, moment) in (EPOCH_S..).zip(Life::new(&pet, &plan, setup.seed)) {
        if let Some(reading) = collar.see(&pet, at_s, &moment) {
            readings.push(reading);
            away_m.push(moment.away_m);
        }
    }
    let mut truth = plan.stretches;
    for off in collar.away().iter().filter(|away| away.off) {
        truth = without(truth, off.start_s, off.end_s);
    }
    Recording { pet, interval_s, readings, away_m, truth, events: plan.events }
}

/// The truth, with the collar off the pet meanwhile.
fn without(truth: Vec<Stretch>, start_s: i64, end_s: i64) -> Vec<Stretch> {
    // A span that reaches past the end ends with it.
    let end_s = truth.last().map_or(end_s, |last| last.end_s.min(end_s));
    let mut after = Vec::with_capacity(truth.len() + 2);
    let mut placed = false;
    for stretch in truth {
        if stretch.end_s <= start_s || stretch.start_s >= end_s {
            after.push(stretch);
            continue;
        }
        if stretch.start_s < start_s {
            after.push(Stretch { end_s: start_s, ..stretch });
        }
        if !placed {
            after.push(Stretch { start_s, end_s, doing: Doing::OffCollar, home_s: None });
            placed = true;
        }
        if stretch.end_s > end_s {
            after.push(Stretch { start_s: end_s, ..stretch });
        }
    }
    after
}

#[cfg(test)]
mod tests;

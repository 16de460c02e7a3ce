//! What a pet does in its days, before anything is measured.
//!
//! Invariant: stretches follow one another without a gap or an overlap over the whole recording.

mod cat;
mod dog;
mod inject;

use crate::chance::Chance;
use crate::doing::Doing;
use crate::physiology::{Pet, Species};
use crate::{DAY_S, EPOCH_S};

/// Some of a recording, seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// When it begins.
    pub start_s: i64,
    /// When it is over.
    pub end_s: i64,
    /// What is going on.
    pub doing: Doing,
    /// When the outing it belongs to must be back home, where it is one.
    pub(crate) home_s: Option<i64>,
}

/// What may be injected into an otherwise healthy pet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Injection {
    /// Its resting heart rate is raised by 60 % for 6 h.
    HeartRate,
    /// It breathes 40 times a minute through 2 h of sleep.
    Breathing,
    /// It goes 150 m from home and comes back, on a day it would not leave it.
    Exit,
}

/// What was injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What it is.
    pub injection: Injection,
    /// When it begins, seconds since 1970.
    pub start_s: i64,
    /// When it is over.
    pub end_s: i64,
}

/// A pet's days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What it does.
    pub stretches: Vec<Stretch>,
    /// What was injected.
    pub events: Vec<Event>,
}

impl Plan {
    /// Of a pet over so many days.
    #[must_use]
    pub fn of(pet: &Pet, seed: u64, days: u32, injections: &[Injection]) -> Self {
        let mut fixed = Vec::new();
        for day in 0..i64::from(days) {
            let mut planner = Planner { pet, day, chance: chance(pet, seed, day, 2), fixed: &mut fixed };
            match pet.species {
                Species::Dog => dog::plan(&mut planner),
                Species::Cat => cat::plan(&mut planner),
            }
        }
        let end = EPOCH_S + i64::from(days) * DAY_S;
        let mut plan = Self { stretches: fill(pet, seed, sorted(fixed), end), events: Vec::new() };
        inject::inject(&mut plan, seed, pet, days, injections);
        plan
    }
}

fn chance(pet: &Pet, seed: u64, day: i64, what: u64) -> Chance {
    Chance::of(&[seed, u64::from(pet.number), day.unsigned_abs(), what])
}

/// The appointments of one day.
struct Planner<'a> {
    pet: &'a Pet,
    day: i64,
    chance: Chance,
    fixed: &'a mut Vec<Stretch>,
}

impl Planner<'_> {
    /// At about that hour of the day; seconds since 1970.
    fn about(&mut self, hour: f64, sd_minutes: f64) -> i64 {
        EPOCH_S + self.day * DAY_S + whole(hour * 3_600.0 + self.chance.normal(0.0, sd_minutes * 60.0))
    }

    /// So many minutes, about.
    fn minutes(&mut self, median: f64, sd: f64) -> i64 {
        whole(self.chance.spread(median, sd) * 60.0).max(30)
    }

    /// One thing after the other, from then on; together an outing where they are outdoors.
    fn then(&mut self, start_s: i64, doings: &[(Doing, i64)]) {
        let end = start_s + doings.iter().map(|(_, long)| long).sum::<i64>();
        let mut at = start_s;
        for (doing, long) in doings {
            let home_s = doing.outdoors().then_some(end);
            self.fixed.push(Stretch { start_s: at, end_s: at + long, doing: *doing, home_s });
            at += long;
        }
    }
}

/// By time; what would begin before the end of what is there is left out, with the rest of its outing.
fn sorted(mut fixed: Vec<Stretch>) -> Vec<Stretch> {
    fixed.sort_by_key(|stretch| stretch.start_s);
    let mut kept: Vec<Stretch> = Vec::with_capacity(fixed.len());
    let mut dropped: Vec<i64> = Vec::new();
    for stretch in fixed {
        let late = kept.last().is_some_and(|last| stretch.start_s < last.end_s);
        let orphan = stretch.home_s.is_some_and(|home| dropped.contains(&home));
        if late || orphan {
            dropped.extend(stretch.home_s);
        } else {
            kept.push(stretch);
        }
    }
    kept
}

/// Rest between the appointments: sleep in bouts, lying awake, getting up for a moment, listening.
fn fill(pet: &Pet, seed: u64, fixed: Vec<Stretch>, end: i64) -> Vec<Stretch> {
    let mut chance = chance(pet, seed, 0, 3);
    let mut all = Vec::with_capacity(fixed.len() * 8);
    let mut at = EPOCH_S;
    for stretch in fixed.into_iter().filter(|stretch| stretch.start_s >= EPOCH_S && stretch.end_s <= end) {
        rest(pet, &mut chance, &mut all, at, stretch.start_s);
        at = stretch.end_s;
        all.push(stretch);
    }
    rest(pet, &mut chance, &mut all, at, end);
    all
}

fn rest(pet: &Pet, chance: &mut Chance, all: &mut Vec<Stretch>, start: i64, end: i64) {
    let mut at = start;
    let mut push = |at: &mut i64, doing, seconds: f64| {
        let stop = (*at + whole(seconds).max(20)).min(end);
        if *at < stop {
            all.push(Stretch { start_s: *at, end_s: stop, doing, home_s: None });
            *at = stop;
        }
    };
    // Nobody falls asleep at once.
    push(&mut at, Doing::Lying, chance.spread(240.0, 0.5));
    while at < end {
        let hour = (at - EPOCH_S) % DAY_S / 3_600;
        let night = !(6..22).contains(&hour);
        // Dogs by night: 16 min asleep, 5 awake, over and over (Adams & Johnson 1993 ~). Cats: longer bouts by day and night (~).
        let bout_s: f64 = match pet.species {
            Species::Dog if night => 960.0,
            Species::Dog => 780.0,
            Species::Cat => 1_500.0,
        };
        let asleep = chance.spread(bout_s, 0.45);
        let share = (pet.sleepiness + if night { 0.12 } else { -0.02 }).min(0.93);
        let awake = asleep * (1.0 - share) / share;
        push(&mut at, Doing::Asleep, asleep);
        push(&mut at, Doing::Lying, chance.spread(awake * 0.75, 0.5));
        match chance.unit() {
            // About three times an hour of the day's rest, and seldom by night (~).
            up if up < if night { 0.06 } else { 0.3 } => {
                push(&mut at, Doing::About, chance.spread(110.0, 0.7))
            }
            heard if heard < if night { 0.09 } else { 0.42 } => {
                push(&mut at, Doing::Watching, chance.spread(100.0, 0.6));
            }
            _ => {}
        }
        push(&mut at, Doing::Lying, chance.spread(awake * 0.25, 0.5));
    }
}

/// A number's whole part.
#[expect(clippy::cast_possible_truncation, reason = "seconds of some days: far within an i64")]
pub(crate) fn whole(number: f64) -> i64 {
    number as i64
}

#[cfg(test)]
mod tests;

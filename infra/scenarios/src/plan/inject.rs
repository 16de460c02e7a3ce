//! Effects of a fixed size, put into a healthy pet's days for alerts to find.
//!
//! Invariant: each is put in once, on a day of the last part of the recording, so that a baseline can be there first
//! where the recording is long enough for one.

use super::{Event, Injection, Plan, Stretch, chance, whole};
use crate::doing::Doing;
use crate::physiology::Pet;
use crate::{DAY_S, EPOCH_S};

/// An exit's way out and back, at a walk of about 1 m/s, with a pause at the far end.
const EXIT_S: i64 = 1_200;
const HEART_S: i64 = 6 * 3_600;
const BREATHING_S: i64 = 2 * 3_600;

pub(super) fn inject(plan: &mut Plan, seed: u64, pet: &Pet, days: u32, injections: &[Injection]) {
    for (nth, injection) in (0_i64..).zip(injections) {
        let mut chance = chance(pet, seed, nth, 4);
        // The last quarter, at least a day; a baseline of seven days comes first where there are eight.
        let days = i64::from(days);
        let first = (days * 3 / 4).max(if days > 8 { 8 } else { 0 }).min(days - 1);
        let day = first + whole(chance.unit() * (days - first) as f64);
        let midnight = EPOCH_S + day * DAY_S;
        let (start_s, end_s) = match injection {
            Injection::HeartRate => {
                let start = midnight + whole(chance.between(0.0, 17.5) * 3_600.0);
                (start, start + HEART_S)
            }
            Injection::Breathing => {
                let start = midnight + whole(chance.between(0.2, 3.0) * 3_600.0);
                overlay(plan, start, start + BREATHING_S, Doing::Asleep, None);
                (start, start + BREATHING_S)
            }
            Injection::Exit => {
                let start = midnight + whole(chance.between(9.0, 16.0) * 3_600.0);
                overlay(plan, start, start + EXIT_S, Doing::Walking, Some(start + EXIT_S));
                (start, start + EXIT_S)
            }
        };
        plan.events.push(Event { injection: *injection, start_s, end_s });
    }
}

/// Puts a stretch over whatever was there; an outing that it cuts is called off.
fn overlay(plan: &mut Plan, start_s: i64, end_s: i64, doing: Doing, home_s: Option<i64>) {
    let mut after = Vec::with_capacity(plan.stretches.len() + 2);
    let cut: Vec<i64> = plan
        .stretches
        .iter()
        .filter(|old| old.start_s < end_s && old.end_s > start_s)
        .filter_map(|old| old.home_s)
        .collect();
    let mut placed = false;
    for mut old in plan.stretches.drain(..) {
        if old.home_s.is_some_and(|home| cut.contains(&home)) {
            old.doing = Doing::Lying;
            old.home_s = None;
        }
        if old.end_s <= start_s || old.start_s >= end_s {
            after.push(old);
            continue;
        }
        if old.start_s < start_s {
            after.push(Stretch { end_s: start_s, ..old });
        }
        if !placed {
            after.push(Stretch { start_s, end_s, doing, home_s });
            placed = true;
        }
        if old.end_s > end_s {
            after.push(Stretch { start_s: end_s, ..old });
        }
    }
    plan.stretches = after;
}

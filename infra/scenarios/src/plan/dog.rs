//! A dog's appointments: three walks, two meals, and what comes between. Times and chances are plain guesses of a family's
//! day (~); durations are medians.

use super::Planner;
use crate::doing::Doing;

pub(super) fn plan(day: &mut Planner<'_>) {
    let old = day.pet.age_years > 10.0;
    let pace = if old { 0.7 } else { 1.0 };

    let at = day.about(7.2, 15.0);
    let morning = outing(day, 25.0 * pace, 0.25);
    day.then(at, &morning);
    let at = day.about(8.3, 10.0);
    let meal = day.minutes(4.0, 0.4);
    day.then(at, &[(Doing::Eating, meal)]);

    if day.chance.happens(0.6) {
        let at = day.about(12.8, 25.0);
        let noon = outing(day, 20.0 * pace, 0.15);
        day.then(at, &noon);
    }
    let at = day.about(17.4, 20.0);
    let evening = outing(day, 35.0 * pace, 0.7);
    day.then(at, &evening);
    let at = day.about(18.9, 10.0);
    let meal = day.minutes(4.0, 0.4);
    day.then(at, &[(Doing::Eating, meal)]);
    let at = day.about(22.2, 15.0);
    let last = day.minutes(9.0, 0.3);
    day.then(at, &[(Doing::Strolling, last)]);

    // A jogger's dog now and then.
    if !old && day.chance.happens(0.15) {
        let at = day.about(10.2, 30.0);
        let (there, run, back) = (day.minutes(3.0, 0.3), day.minutes(18.0, 0.3), day.minutes(4.0, 0.3));
        day.then(at, &[(Doing::Walking, there), (Doing::Running, run), (Doing::Walking, back)]);
    }
    // Somebody at the door.
    if day.chance.happens(0.6) {
        let hour = day.chance.between(9.0, 21.0);
        let at = day.about(hour, 0.0);
        let visit = day.minutes(5.0, 0.5);
        day.then(at, &[(Doing::Excited, visit)]);
    }
    // Left alone, or a storm: one day in two for a dog that is so, seldom for others.
    let uneasy = if day.pet.anxious { 0.55 } else { 0.04 };
    for (from, to) in [(9.0, 12.0), (13.5, 16.5), (19.5, 23.5)] {
        if day.chance.happens(uneasy / 1.5) {
            let hour = day.chance.between(from, to);
            let at = day.about(hour, 0.0);
            let spell = day.minutes(14.0, 0.5);
            day.then(at, &[(Doing::Pacing, spell)]);
        }
    }
}

/// A walk, brisk or slow, perhaps with a game in the middle.
fn outing(day: &mut Planner<'_>, minutes: f64, game: f64) -> Vec<(Doing, i64)> {
    let gait = if day.chance.happens(0.3) { Doing::Strolling } else { Doing::Walking };
    let walk = day.minutes(minutes, 0.25);
    if !day.chance.happens(game) {
        return vec![(gait, walk)];
    }
    let (doing, long) = match day.chance.unit() {
        which if which < 0.65 && day.pet.fetches => (Doing::Fetching, day.minutes(13.0, 0.4)),
        which if which < 0.85 => (Doing::Romping, day.minutes(8.0, 0.4)),
        _ => return vec![(gait, walk)],
    };
    vec![(gait, walk / 2), (doing, long), (gait, walk / 2)]
}

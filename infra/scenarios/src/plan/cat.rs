//! A cat's appointments: many small meals, play in bursts, rounds at dusk and dawn for those that go out. Times and chances
//! are plain guesses (~); durations are medians.

use super::Planner;
use crate::doing::Doing;

pub(super) fn plan(day: &mut Planner<'_>) {
    for hour in [6.6, 9.5, 12.5, 15.5, 18.0, 20.5, 23.2, 3.0] {
        if day.chance.happens(0.85) {
            let at = day.about(hour, 35.0);
            let (way, meal) = (day.minutes(1.0, 0.5), day.minutes(3.0, 0.4));
            day.then(at, &[(Doing::About, way), (Doing::Eating, meal)]);
        }
    }
    for hour in [7.6, 17.0, 21.6] {
        if day.chance.happens(0.6) {
            let at = day.about(hour, 20.0);
            let play = day.minutes(4.0, 0.5);
            day.then(at, &[(Doing::Romping, play)]);
        }
    }
    if day.pet.roams {
        for hour in [5.2, 19.2] {
            if day.chance.happens(0.75) {
                let at = day.about(hour, 25.0);
                let round = [
                    (Doing::Walking, day.minutes(9.0, 0.4)),
                    (Doing::Strolling, day.minutes(18.0, 0.5)),
                    (Doing::Walking, day.minutes(9.0, 0.4)),
                ];
                day.then(at, &round);
            }
        }
    }
    if day.chance.happens(0.3) {
        let hour = day.chance.between(9.0, 21.0);
        let at = day.about(hour, 0.0);
        let visit = day.minutes(4.0, 0.5);
        day.then(at, &[(Doing::Excited, visit)]);
    }
    let uneasy = if day.pet.anxious { 0.4 } else { 0.03 };
    for (from, to) in [(0.5, 2.5), (10.5, 12.0), (22.2, 23.0)] {
        if day.chance.happens(uneasy / 1.5) {
            let hour = day.chance.between(from, to);
            let at = day.about(hour, 0.0);
            let spell = day.minutes(10.0, 0.5);
            day.then(at, &[(Doing::Pacing, spell)]);
        }
    }
}

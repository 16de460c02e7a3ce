//! A cat's day: most of it asleep, up at dawn and dusk, three meals, two games, and for some a round outside.

use super::{Doing, Planner};
use crate::simulate::path::{Path, Route};

/// A cat on its rounds, m/s (as in the rules' priors).
const AMBLE_MPS: f64 = 0.9;

pub(super) fn plan(day: &mut Planner<'_>) {
    let (wake, bed) = (day.about(5.3, 20.0), day.about(22.0, 20.0));
    day.night(wake, bed);
    if day.chance.happens(0.5) {
        let hour = day.about(2.9, 25.0);
        day.potter(hour);
    }
    for hour in [5.9, 6.35] {
        let hour = day.about(hour, 8.0);
        day.potter(hour);
    }
    let hour = day.about(7.0, 12.0);
    day.meal(hour);
    let hour = day.about(8.3, 15.0);
    play(day, hour);

    let (from, to) = (day.about(9.1, 6.0), day.about(12.2, 8.0));
    day.asleep(from, to);
    let hour = day.about(10.0, 20.0);
    day.out_of_reach(hour);
    let hour = day.about(12.5, 8.0);
    day.meal(hour);
    let (from, to) = (day.about(12.9, 6.0), day.about(16.2, 10.0));
    day.asleep(from, to);

    let hour = day.about(16.7, 12.0);
    play(day, hour);
    let hour = day.about(17.6, 10.0);
    if day.pet.roams {
        rounds(day, hour);
    } else {
        day.potter(hour);
        day.potter(hour + 20.0);
    }
    let hour = day.about(19.1, 10.0);
    day.meal(hour);
    let hour = day.about(20.1, 10.0);
    day.spell(hour);
    let hour = day.about(21.0, 10.0);
    day.potter(hour);
}

fn play(day: &mut Planner<'_>, hour: f64) {
    let (start, long) = (day.free(hour), day.minutes(9.0, 14.0));
    day.add(start, long, Doing::Playing);
}

/// Around its territory: some minutes on, a few of watching, and on.
fn rounds(day: &mut Planner<'_>, hour: f64) {
    let mut at = day.free(hour);
    let legs: Vec<(i64, i64)> = (0..4).map(|_| (day.minutes(4.0, 6.0), day.minutes(1.0, 3.0))).collect();
    // Minutes in seconds: exact.
    let whole: f64 = legs.iter().map(|(walk, _)| AMBLE_MPS * *walk as f64).sum();
    let route = Route::round(day.chance.between(0.0, std::f64::consts::TAU), whole);
    let mut from_m = 0.0;
    for (walk, watch) in legs {
        let path = |from_m| Path { route, from_m, mps: AMBLE_MPS };
        at = day.add(at, walk, Doing::Walking(path(from_m)));
        from_m += AMBLE_MPS * walk as f64;
        at = day.add(at, watch, Doing::Watching(path(from_m)));
    }
}

//! A dog's day: three walks, one of them to the park to play fetch, two meals, naps, and the night.

use super::{Doing, Planner};
use crate::simulate::path::{Field, Path, Route};
use crate::simulate::pet::Size;

pub(super) fn plan(day: &mut Planner<'_>) {
    let late = if day.weekend { 40.0 } else { 0.0 };
    let wake = day.about(6.5, 20.0) + late;
    let bed = day.about(22.5, 20.0);
    day.night(wake, bed);

    let pause = day.chance.between(12.0, 22.0);
    let (start, long) = (day.clock(wake + pause), day.minutes(24.0, 38.0));
    walk(day, start, long, None);
    let hour = day.about(7.7, 10.0) + late;
    day.meal(hour);
    let hour = day.about(9.1, 12.0) + late / 2.0;
    day.potter(hour);

    let (from, to) = (day.about(9.6, 8.0) + late / 2.0, day.about(11.8, 8.0));
    day.asleep(from, to);
    let hour = day.about(10.2, 12.0) + late / 2.0;
    day.out_of_reach(hour);
    let hour = day.about(12.25, 12.0);
    let (start, long) = (day.free(hour), day.minutes(16.0, 26.0));
    walk(day, start, long, None);

    let (from, to) = (day.about(13.1, 6.0), day.about(14.9, 8.0));
    day.asleep(from, to);
    let hour = day.about(15.5, 22.0);
    park(day, hour);
    let hour = day.about(17.2, 10.0);
    day.potter(hour);

    let hour = day.about(18.2, 12.0);
    let (start, long) = (day.free(hour), day.minutes(28.0, 42.0));
    let run = day.chance.happens(0.6).then(|| day.minutes(4.0, 7.0));
    walk(day, start, long, run);
    let hour = day.about(19.5, 8.0);
    day.meal(hour);
    let hour = day.about(20.3, 10.0);
    day.spell(hour);
}

/// How fast it walks and runs, m/s: small dogs have short legs.
fn paces(day: &mut Planner<'_>) -> (f64, f64) {
    let (walk, run) = match day.pet.size {
        Size::Toy => (1.0, 2.8),
        Size::Small => (1.1, 3.0),
        Size::Medium => (1.2, 3.4),
        Size::Large => (1.3, 3.6),
        Size::Giant => (1.3, 3.4),
    };
    let mood = day.chance.between(0.93, 1.07);
    (walk * mood, run * mood)
}

/// A round from home to home; with a run in its middle, if there is one.
fn walk(day: &mut Planner<'_>, start: i64, long: i64, run: Option<i64>) {
    let (walking, running) = paces(day);
    let run = run.unwrap_or(0);
    let first = (long - run) / 2;
    let second = long - run - first;
    // Minutes in seconds: exact.
    let (first_m, run_m) = (walking * first as f64, running * run as f64);
    let whole = first_m + run_m + walking * second as f64;
    let bearing = day.chance.between(0.0, std::f64::consts::TAU);
    let path = |from_m, mps| Path { route: Route::round(bearing, whole), from_m, mps };
    let mut at = day.add(start, first, Doing::Walking(path(0.0, walking)));
    if run > 0 {
        at = day.add(at, run, Doing::Running(path(first_m, running)));
    }
    day.add(at, second, Doing::Walking(path(first_m + run_m, walking)));
}

/// To the park, fetch, and back the same way.
fn park(day: &mut Planner<'_>, hour: f64) {
    let start = day.free(hour);
    let (walking, _) = paces(day);
    let (way, game) = (day.minutes(6.0, 9.0), day.minutes(17.0, 25.0));
    let metres = walking * way as f64;
    let bearing = day.chance.between(0.0, std::f64::consts::TAU);
    let out = Route::line(bearing);
    let there = day.add(start, way, Doing::Walking(Path { route: out, from_m: 0.0, mps: walking }));
    let field = Field {
        place: out.place(metres),
        bearing: bearing + std::f64::consts::FRAC_PI_2,
        throw_m: day.chance.between(135.0, 150.0),
        mps: match day.pet.size {
            Size::Toy | Size::Small => 5.6,
            Size::Medium | Size::Giant => 6.6,
            Size::Large => 7.2,
        },
        busy_s: day.chance.between(98.0, 112.0),
        rest_s: day.chance.between(66.0, 78.0),
    };
    let back = day.add(there, game, Doing::Fetching(field));
    day.add(back, way, Doing::Walking(Path { route: out, from_m: metres, mps: -walking }));
}

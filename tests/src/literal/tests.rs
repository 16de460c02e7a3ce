//! Cases small enough to work out by hand. A thousandth of a degree of latitude is 111.195 m.

use super::*;

/// A recording: second, heart rate.
fn hearts(beats: &[(i64, Option<f64>)]) -> Vec<Measured> {
    beats
        .iter()
        .map(|&(s, heart_rate)| Measured {
            at_us: s * SECOND,
            heart_rate,
            position: None,
            activity_level: None,
        })
        .collect()
}

/// Heart rates, one each minute.
fn minutely(bpm: &[f64]) -> Vec<Measured> {
    let times = (0..).step_by(60);
    hearts(&times.zip(bpm).map(|(s, &bpm)| (s, Some(bpm))).collect::<Vec<_>>())
}

fn fix(second: i64, lat: f64, lon: f64, accuracy: Option<f64>) -> Measured {
    Measured {
        at_us: second * SECOND,
        heart_rate: None,
        position: Some((lat, lon, accuracy)),
        activity_level: None,
    }
}

/// A way north from 50° N: second, thousandths of a degree.
fn north(way: &[(i64, f64)]) -> Vec<Measured> {
    way.iter().map(|&(second, milli)| fix(second, 50.0 + milli / 1000.0, 5.0, None)).collect()
}

fn empty(second: i64) -> Measured {
    Measured { at_us: second * SECOND, heart_rate: None, position: None, activity_level: None }
}

/// Expects exactly these episodes, in seconds.
#[track_caller]
fn check(species: Species, readings: &[Measured], expected: &[(&'static str, i64, i64)]) {
    let span = |&(behavior, start, end): &(&'static str, i64, i64)| Span {
        behavior,
        start_us: start * SECOND,
        end_us: end * SECOND,
    };
    assert_eq!(episodes(species, readings), expected.iter().map(span).collect::<Vec<_>>());
}

use Species::{Cat, Dog};

#[test]
fn no_reading_or_a_lone_one_makes_no_episode() {
    check(Dog, &[], &[]);
    check(Dog, &minutely(&[60.0]), &[]);
}

#[test]
fn order_of_arrival_does_not_matter() {
    let mut readings = minutely(&[60.0, 60.0, 60.0, 60.0, 120.0]);
    readings.reverse();
    check(Dog, &readings, &[("Deep Sleep", 0, 180), ("Unknown", 180, 240)]);
}

#[test]
fn one_second_counts_as_one_reading() {
    let at = |at_us, heart_rate, position| Measured { at_us, heart_rate, position, activity_level: None };
    let readings = [
        at(999_999, Some(70.0), Some((1.0, 2.0, None))),
        at(100_000, Some(50.0), Some((3.0, 4.0, Some(9.0)))),
        at(200_000, None, Some((5.0, 6.0, Some(10.0)))),
        at(1_000_000, None, None),
        at(-1, Some(40.0), None),
    ];
    let expected = [
        at(-1, Some(40.0), None),
        at(100_000, Some(70.0), Some((3.0, 4.0, Some(9.0)))),
        at(1_000_000, None, None),
    ];
    assert_eq!(canonical(&readings), expected);
}

#[test]
fn of_equally_accurate_fixes_the_northern_then_the_eastern_counts() {
    for accuracy in [None, Some(5.0)] {
        assert!(better((2.0, 1.0, accuracy), (1.0, 9.0, accuracy)));
        assert!(better((1.0, 2.0, accuracy), (1.0, 1.0, accuracy)));
        assert!(!better((1.0, 1.0, accuracy), (1.0, 1.0, accuracy)));
    }
    assert!(better((1.0, 1.0, Some(5.0)), (2.0, 2.0, None)));
}

#[test]
fn adjacency_follows_the_typical_interval() {
    #[track_caller]
    fn check(intervals: &[i64], i: usize, expected: bool) {
        let intervals: Vec<i64> = intervals.iter().map(|s| s * SECOND).collect();
        assert_eq!(adjacent(&intervals, i), expected);
    }
    // Three times the typical minute.
    check(&[60, 60, 180], 2, true);
    check(&[60, 60, 181], 2, false);
    // Held between a minute and ten.
    check(&[5, 5, 60], 2, true);
    check(&[5, 5, 61], 2, false);
    check(&[600], 0, true);
    check(&[601], 0, false);
    // The lower median of two is the smaller.
    check(&[10, 100], 1, false);
    // A gap hides what lies behind it.
    check(&[100, 601, 10, 10], 0, true);
    check(&[10, 10, 601, 100], 3, true);
    check(&[100, 600, 10, 10, 10], 0, false);
    // Only four on each side count, and up to four do.
    check(&[10, 100, 100, 10, 10, 200], 5, true);
    check(&[10, 10, 10, 200], 3, false);
    check(&[200, 10, 10, 100, 100, 10], 0, true);
    check(&[200, 10, 10, 10], 0, false);
}

#[test]
fn an_episode_ends_with_its_run() {
    let readings = hearts(&[0, 60, 120, 180, 361, 421, 481, 541].map(|s| (s, Some(60.0))));
    check(Dog, &readings, &[("Deep Sleep", 0, 180), ("Deep Sleep", 361, 541)]);
    // No window reaches across, and nor does a heart rate.
    let readings =
        hearts(&[(0, Some(60.0)), (5, Some(60.0)), (10, None), (71, Some(60.0)), (76, Some(60.0))]);
    check(Dog, &readings, &[("Resting", 0, 5), ("Unknown", 5, 10), ("Resting", 71, 76)]);
}

#[test]
fn four_calm_heart_rates_are_deep_sleep_and_three_are_not() {
    check(Dog, &minutely(&[60.0; 4]), &[("Deep Sleep", 0, 180)]);
    check(Dog, &minutely(&[60.0; 3]), &[("Resting", 0, 120)]);
    check(Cat, &minutely(&[120.0; 4]), &[("Deep Sleep", 0, 180)]);
}

#[test]
fn deep_sleep_includes_the_ends_of_its_band() {
    for (species, bpm) in [(Dog, 40.0), (Dog, 65.0), (Cat, 94.0), (Cat, 132.0)] {
        check(species, &minutely(&[bpm; 4]), &[("Deep Sleep", 0, 180)]);
    }
    for (species, bpm) in [(Dog, 65.25), (Dog, 100.0), (Cat, 132.25), (Cat, 170.0)] {
        check(species, &minutely(&[bpm; 4]), &[("Resting", 0, 180)]);
    }
    for (species, bpm) in [(Dog, 39.75), (Dog, 100.25), (Cat, 93.75), (Cat, 170.25)] {
        check(species, &minutely(&[bpm; 4]), &[("Unknown", 0, 180)]);
    }
}

#[test]
fn deep_sleep_excludes_a_deviation_of_three() {
    // Mean 60, every one 3 away.
    check(Dog, &minutely(&[57.0, 63.0, 57.0, 63.0]), &[("Resting", 0, 180)]);
    check(Dog, &minutely(&[57.25, 62.75, 57.25, 62.75]), &[("Deep Sleep", 0, 180)]);
    // Squares 25 + 1 + 1 + 9 = 36: the population's deviation is 3, the sample's would be 3.46.
    check(Dog, &minutely(&[65.0, 59.0, 59.0, 57.0]), &[("Resting", 0, 180)]);
    // Squares 28: 2.65, but 3.06 for the sample's.
    check(Dog, &minutely(&[65.0, 59.0, 59.0, 58.0]), &[("Deep Sleep", 0, 180)]);
}

#[test]
fn overlapping_windows_of_sleep_merge_and_the_rest_is_labelled_by_its_own() {
    let readings = minutely(&[60.0, 60.0, 60.0, 60.0, 61.0, 90.0, 90.0, 120.0, 90.0]);
    let expected =
        [("Deep Sleep", 0, 240), ("Resting", 240, 360), ("Unknown", 360, 420), ("Resting", 420, 480)];
    check(Dog, &readings, &expected);
}

#[test]
fn sleep_bears_missing_heart_rates_up_to_ten_minutes() {
    let beats = |fourth| {
        let all = (0..=5).map(|i| (i * 300, (i <= 2 || i * 300 == fourth).then_some(60.0)));
        hearts(&all.collect::<Vec<_>>())
    };
    check(Dog, &beats(1200), &[("Deep Sleep", 0, 1200), ("Unknown", 1200, 1500)]);
    check(Dog, &beats(1500), &[("Resting", 0, 600), ("Unknown", 600, 1200), ("Resting", 1200, 1500)]);
}

#[test]
fn a_heart_rate_speaks_for_intervals_that_end_three_minutes_before() {
    let readings = hearts(&[0, 60, 120, 180, 240, 300, 360].map(|s| (s, (s == 300).then_some(80.0))));
    check(Dog, &readings, &[("Unknown", 0, 60), ("Resting", 60, 300), ("Unknown", 300, 360)]);
    let readings = hearts(&[0, 60, 120, 180, 240, 301].map(|s| (s, (s == 301).then_some(80.0))));
    check(Dog, &readings, &[("Unknown", 0, 120), ("Resting", 120, 301)]);
    // The first one found speaks, not the calmest.
    let readings = hearts(&[(0, None), (60, None), (120, Some(120.0)), (180, Some(80.0))]);
    check(Dog, &readings, &[("Unknown", 0, 120), ("Resting", 120, 180)]);
}

#[test]
fn speed_tells_walking_from_running_by_species() {
    // 1.67 m/s, then 0.37 m/s, then 0.19 m/s.
    let way = north(&[(0, 0.0), (200, 3.0), (400, 6.0), (700, 7.0), (1300, 8.0)]);
    check(Cat, &way, &[("Running", 0, 400), ("Walking", 400, 700), ("Unknown", 700, 1300)]);
    check(Dog, &way, &[("Walking", 0, 700), ("Unknown", 700, 1300)]);
    // 2.04 m/s.
    check(Dog, &north(&[(0, 0.0), (60, 1.1)]), &[("Running", 0, 60)]);
}

#[test]
fn distance_within_the_noise_is_no_movement() {
    // 14.5 m and 15.6 m in 40 s, 0.36 and 0.39 m/s.
    check(Cat, &north(&[(0, 0.0), (40, 0.13)]), &[("Unknown", 0, 40)]);
    check(Cat, &north(&[(0, 0.0), (40, 0.14)]), &[("Walking", 0, 40)]);
    // 111.2 m against stated accuracies: 79² + 79² is 111.7², 78² + 78² is 110.3².
    let pair = |a, b| [fix(0, 50.0, 5.0, a), fix(300, 50.001, 5.0, b)];
    check(Cat, &pair(Some(79.0), Some(79.0)), &[("Unknown", 0, 300)]);
    check(Cat, &pair(Some(78.0), Some(78.0)), &[("Walking", 0, 300)]);
    check(Cat, &pair(None, Some(112.0)), &[("Unknown", 0, 300)]);
    check(Cat, &pair(Some(110.0), None), &[("Walking", 0, 300)]);
}

#[test]
fn longitude_shrinks_with_the_cosine_of_latitude() {
    // At 60° N half of 111.195 m, in 180 s: 0.309 m/s; at 62° N 52.2 m, 0.290 m/s.
    check(Cat, &[fix(0, 60.0, 5.0, None), fix(180, 60.0, 5.001, None)], &[("Walking", 0, 180)]);
    check(Cat, &[fix(0, 62.0, 5.0, None), fix(180, 62.0, 5.001, None)], &[("Unknown", 0, 180)]);
}

#[test]
fn a_spike_is_left_out_and_the_leg_spans_it() {
    // Without the second fix, 55.6 m in 120 s.
    check(Cat, &north(&[(0, 0.0), (60, 1000.0), (120, 0.5)]), &[("Walking", 0, 120)]);
    // Two in a row, impossible with each other as well: 55.6 m in 180 s are 0.309 m/s.
    check(Cat, &north(&[(0, 0.0), (60, 1000.0), (120, -1000.0), (180, 0.5)]), &[("Walking", 0, 180)]);
    // Two that agree with each other are not spikes, and only impossible legs lead there and back.
    check(Cat, &north(&[(0, 0.0), (60, 1000.0), (120, 1000.0), (180, 0.5)]), &[("Unknown", 0, 180)]);
    // The first and the last of a run have nothing on their other side, so they stay: no leg to them.
    let ends = north(&[(0, 1000.0), (60, 0.0), (120, 0.5), (180, 1000.0)]);
    check(Cat, &ends, &[("Unknown", 0, 60), ("Walking", 60, 120), ("Unknown", 120, 180)]);
}

#[test]
fn impossible_begins_beyond_top_speed_and_noise() {
    // A cat's 13.4 m/s and 15 m: 819 m in a minute; 817.3 and 820.6 m.
    check(Cat, &north(&[(0, 0.0), (60, 7.35)]), &[("Running", 0, 60)]);
    check(Cat, &north(&[(0, 0.0), (60, 7.38)]), &[("Unknown", 0, 60)]);
    // A dog's 20 m/s: 1215 m; 1212.0 and 1217.6 m.
    check(Dog, &north(&[(0, 0.0), (60, 10.9)]), &[("Running", 0, 60)]);
    check(Dog, &north(&[(0, 0.0), (60, 10.95)]), &[("Unknown", 0, 60)]);
}

#[test]
fn a_leg_lasts_at_least_half_a_minute() {
    // 11.1 m each ten seconds is noise, 33.4 m each thirty is not; nothing covers the first ones but the first leg.
    let way: Vec<_> = (0..=5).map(|i| (i * 10, 0.1 * i as f64)).collect();
    check(Cat, &north(&way), &[("Walking", 0, 50)]);
    check(Cat, &north(&way[..3]), &[("Unknown", 0, 20)]);
    // 111 m in 29 s, but no leg.
    check(Cat, &north(&[(0, 0.0), (29, 1.0)]), &[("Unknown", 0, 29)]);
    check(Cat, &north(&[(0, 0.0), (30, 1.0)]), &[("Running", 0, 30)]);
}

#[test]
fn the_fastest_leg_over_an_interval_decides() {
    // Leg 0 to 30 at rest, then leg 20 to 50 at 1.85 m/s.
    check(
        Cat,
        &north(&[(0, 0.0), (20, 0.0), (30, 0.0), (50, 0.5)]),
        &[("Unknown", 0, 20), ("Running", 20, 50)],
    );
    // The other way round.
    check(
        Cat,
        &north(&[(0, 0.0), (20, 0.5), (30, 0.5), (50, 0.5)]),
        &[("Running", 0, 30), ("Unknown", 30, 50)],
    );
}

#[test]
fn a_leg_covers_readings_without_a_fix_but_not_more_than_ten_minutes() {
    // 222 m in 600 s, then as much in 601 s.
    let mut way = north(&[(0, 0.0), (600, 2.0), (1201, 4.0)]);
    way.extend([300, 900].map(empty));
    check(Cat, &way, &[("Walking", 0, 600), ("Unknown", 600, 1201)]);
}

/// A far fix `apart` seconds after the one before it; 300 m from it a next one, impossible after 20 s but not after 40 s.
fn far_from_before(apart: i64) -> Vec<Measured> {
    let mut way = north(&[(0, 0.0), (apart, 200.0), (apart + 20, 202.7), (apart + 40, 202.7)]);
    way.extend([100, 200, 300, 400, 500].map(empty));
    way
}

/// The same, with the fix after it `apart` seconds away.
fn far_from_after(apart: i64) -> Vec<Measured> {
    let mut way = north(&[(0, 0.0), (20, 0.0), (40, 2.7), (40 + apart, 200.0)]);
    way.extend([140, 240, 340, 440, 540].map(empty));
    way
}

#[test]
fn a_fix_is_no_spike_for_one_more_than_ten_minutes_away() {
    // As a spike it is left out, and there is no leg at all; else the one of 40 s shows that it stayed.
    check(Cat, &far_from_before(600), &[("Unknown", 0, 640)]);
    check(Cat, &far_from_before(601), &[("Unknown", 0, 601), ("Running", 601, 641)]);
    check(Cat, &far_from_after(600), &[("Unknown", 0, 640)]);
    check(Cat, &far_from_after(601), &[("Running", 0, 40), ("Unknown", 40, 641)]);
}

#[test]
fn a_moving_pet_is_not_asleep() {
    // 33.4 m a minute, 0.56 m/s, in the last of three minutes only.
    let mut readings = minutely(&[60.0; 4]);
    for (reading, milli) in readings.iter_mut().zip([0.0, 0.0, 0.0, 0.3]) {
        reading.position = Some((50.0 + milli / 1000.0, 5.0, None));
    }
    check(Dog, &readings, &[("Resting", 0, 120), ("Walking", 120, 180)]);
}

//! Each rule, just inside and just outside.

use jiff::SignedDuration;

use super::build::{CAT, DOG, any, at, check, place, read, short};
use crate::domain::Behavior::{AnxiousPacing, DeepSleep, PlayingFetch, Resting, Running, Unknown, Walking};
use crate::domain::geo::distance_m;
use crate::domain::{Behavior, Params, Position, Reading, interpret};

/// Heart rates a minute apart, from second 0, at one level.
fn rates(bpm: &[f64], level: Option<u8>) -> Vec<Reading> {
    let times = (0..).map(|nth| f64::from(nth) * 60.0);
    let readings = times.zip(bpm).map(|(seconds, bpm)| read(seconds).bpm(*bpm));
    readings.map(|reading| Reading { activity_level: level, ..reading }).collect()
}

/// Fixes that many seconds apart, at those metres north.
fn fixes(interval: f64, north: &[f64]) -> Vec<Reading> {
    let times = (0..).map(|nth| f64::from(nth) * interval);
    times.zip(north).map(|(seconds, metres)| read(seconds).north(*metres)).collect()
}

#[test]
fn nothing_and_a_lone_reading_make_no_episode() {
    check(&DOG, &[], &[]);
    check(&DOG, &[read(0.0).bpm(55.0).level(0).north(0.0)], &[]);
}

#[test]
fn three_full_readings_a_minute_apart_make_a_first_behaviour() {
    let day = |levels: [u8; 3], bpm: f64, step: f64| {
        let full = |nth: u8| {
            read(f64::from(nth) * 60.0).bpm(bpm).level(levels[usize::from(nth)]).north(f64::from(nth) * step)
        };
        [full(0), full(1), full(2)]
    };
    check(&DOG, &day([0, 0, 0], 60.0, 0.0), &[(Resting, 0.0, 120.0, 0.8)]);
    check(&DOG, &day([1, 1, 1], 95.0, 70.0), &[(Walking, 0.0, 120.0, 0.8)]);
    check(&DOG, &day([2, 2, 2], 140.0, 300.0), &[(Running, 0.0, 120.0, 0.8)]);
    check(&DOG, &day([2, 0, 1], 90.0, 0.0), &[(Resting, 0.0, 60.0, 0.8), (Walking, 60.0, 120.0, 0.8)]);
}

#[test]
fn deep_sleep_needs_four_steady_heart_rates_in_the_band_at_level_0() {
    let asleep = |bpm: &[f64]| any(&DOG, &rates(bpm, Some(0)), DeepSleep);
    let table: [(&str, &[f64], bool); 9] = [
        ("three are not four", &[55.0, 55.0, 55.0], false),
        ("four are", &[55.0, 55.0, 55.0, 55.0], true),
        ("lower end", &[40.0, 40.0, 40.0, 40.0], true),
        ("below it", &[39.9, 39.9, 39.9, 39.9], false),
        ("upper end", &[65.0, 65.0, 65.0, 65.0], true),
        ("above it", &[65.1, 65.1, 65.1, 65.1], false),
        ("SD just under 3", &[52.01, 57.99, 52.01, 57.99], true),
        ("SD of 3", &[52.0, 58.0, 52.0, 58.0], false),
        ("unsteady", &[45.0, 65.0, 45.0, 65.0], false),
    ];
    for (what, bpm, expected) in table {
        assert_eq!(asleep(bpm), expected, "{what}");
    }
    check(&DOG, &rates(&[55.0; 4], Some(0)), &[(DeepSleep, 0.0, 180.0, 0.9)]);
    for level in [1, 2] {
        assert!(!any(&DOG, &rates(&[55.0; 4], Some(level)), DeepSleep));
    }
}

#[test]
fn deep_sleep_is_the_union_of_its_windows() {
    // 55 ×5, then 90 ×2, then 55 ×4: windows that hold a 90 are unsteady.
    let bpm = [55.0, 55.0, 55.0, 55.0, 55.0, 90.0, 90.0, 55.0, 55.0, 55.0, 55.0];
    let expected =
        [(DeepSleep, 0.0, 240.0, 0.9), (Resting, 240.0, 420.0, 0.8), (DeepSleep, 420.0, 600.0, 0.9)];
    check(&DOG, &rates(&bpm, Some(0)), &expected);
}

#[test]
fn heart_rate_alone_is_deep_sleep_at_most_at_six_tenths_resting_or_unknown() {
    check(&DOG, &rates(&[55.0; 4], None), &[(DeepSleep, 0.0, 180.0, 0.6)]);
    check(&DOG, &rates(&[80.0; 4], None), &[(Resting, 0.0, 180.0, 0.6)]);
    check(&DOG, &rates(&[100.0; 4], None), &[(Resting, 0.0, 180.0, 0.6)]);
    check(&DOG, &rates(&[100.1; 4], None), &[(Unknown, 0.0, 180.0, 0.2)]);
    let mut half = rates(&[55.0; 4], Some(0));
    half[1].activity_level = None;
    half[2].activity_level = None;
    check(&DOG, &half, &[(DeepSleep, 0.0, 180.0, 0.75)]);
}

#[test]
fn the_bands_are_the_species_own() {
    check(&CAT, &rates(&[55.0; 4], None), &[(Unknown, 0.0, 180.0, 0.2)]);
    check(&CAT, &rates(&[94.0; 4], None), &[(DeepSleep, 0.0, 180.0, 0.6)]);
    check(&CAT, &rates(&[132.0; 4], Some(0)), &[(DeepSleep, 0.0, 180.0, 0.9)]);
    check(&CAT, &rates(&[132.1; 4], Some(0)), &[(Resting, 0.0, 180.0, 0.8)]);
    check(&CAT, &rates(&[170.0; 4], None), &[(Resting, 0.0, 180.0, 0.6)]);
}

#[test]
fn sleep_bears_missing_heart_rates_but_no_movement() {
    let mut readings = rates(&[55.0; 6], Some(0));
    readings[2].heart_rate = None;
    check(&DOG, &readings, &[(DeepSleep, 0.0, 300.0, 0.9)]);
    readings[2].activity_level = Some(1);
    assert!(!any(&DOG, &readings, DeepSleep));
    // Without a level the fixes speak: 1 m/s is no sleep, whatever the heart says.
    let walking: Vec<Reading> =
        (0..4).map(|nth| read(f64::from(nth) * 60.0).bpm(55.0).north(f64::from(nth) * 60.0)).collect();
    check(&DOG, &walking, &[(Walking, 0.0, 180.0, 0.6)]);
    // With level 0 they do not: a pet asleep in a car.
    let driven: Vec<Reading> = walking.into_iter().map(|reading| reading.level(0)).collect();
    check(&DOG, &driven, &[(DeepSleep, 0.0, 180.0, 0.9)]);
}

#[test]
fn absent_level_is_not_level_0() {
    check(&DOG, &[read(0.0).bpm(150.0), read(60.0).bpm(150.0)], &[(Unknown, 0.0, 60.0, 0.2)]);
    check(&DOG, &[read(0.0).level(0), read(60.0).level(0)], &[(Resting, 0.0, 60.0, 0.6)]);
}

#[test]
fn position_alone_is_walking_running_or_unknown() {
    // Metres in 100 s, so 100 × m/s.
    let table: [(&Params, f64, Behavior); 12] = [
        (&DOG, 0.0, Unknown),
        (&DOG, 29.9, Unknown),
        (&DOG, 30.1, Walking),
        (&DOG, 199.0, Walking),
        (&DOG, 201.0, Running),
        (&DOG, 2_000.0, Running),
        (&DOG, 2_020.0, Unknown),
        (&CAT, 29.9, Unknown),
        (&CAT, 30.1, Walking),
        (&CAT, 149.0, Walking),
        (&CAT, 151.0, Running),
        (&CAT, 1_360.0, Unknown),
    ];
    for (params, metres, behavior) in table {
        let confidence = if behavior == Unknown { 0.2 } else { 0.6 };
        check(params, &fixes(100.0, &[0.0, metres]), &[(behavior, 0.0, 100.0, confidence)]);
    }
}

#[test]
fn displacement_within_the_noise_is_no_movement() {
    let moved = |metres: f64, accuracy_m: Option<f64>| {
        let mut pair = fixes(40.0, &[0.0, metres]);
        for reading in &mut pair {
            reading.position.as_mut().unwrap().accuracy_m = accuracy_m;
        }
        any(&DOG, &pair, Walking)
    };
    assert!(!moved(14.9, None));
    assert!(moved(15.1, None));
    assert!(moved(15.1, Some(5.0)), "a small stated error does not lower the floor nor raise it");
    assert!(!moved(28.0, Some(20.0)), "20 m and 20 m make 28.28 m");
    assert!(moved(28.6, Some(20.0)));
}

#[test]
fn fast_sampling_is_judged_over_half_a_minute() {
    // 1 m/s at 5 s: no pair of neighbours leaves the noise, a leg of 30 s does.
    let walk: Vec<f64> = (0..20).map(|nth| f64::from(nth) * 5.0).collect();
    check(&DOG, &fixes(5.0, &walk), &[(Walking, 0.0, 95.0, 0.6)]);
    // Two fixes closer than that say nothing yet.
    check(&DOG, &fixes(29.0, &[0.0, 29.0]), &[(Unknown, 0.0, 29.0, 0.2)]);
    check(&DOG, &fixes(30.0, &[0.0, 30.0]), &[(Walking, 0.0, 30.0, 0.6)]);
}

#[test]
fn one_impossible_fix_is_left_out() {
    check(&CAT, &fixes(240.0, &[0.0, 90_000.0, 10.0]), &[(Unknown, 0.0, 480.0, 0.2)]);
    check(&CAT, &fixes(240.0, &[0.0, 90_000.0, 200.0]), &[(Walking, 0.0, 480.0, 0.533)]);
    // A move for good is no spike, and no running either.
    let moved = [0.0, 100.0, 90_000.0, 90_100.0];
    let expected = [(Walking, 0.0, 240.0, 0.6), (Unknown, 240.0, 480.0, 0.2), (Walking, 480.0, 720.0, 0.6)];
    check(&CAT, &fixes(240.0, &moved), &expected);
}

#[test]
fn level_without_position_is_a_gait_at_lower_confidence() {
    check(&DOG, &[read(0.0).level(1), read(60.0).level(1)], &[(Walking, 0.0, 60.0, 0.6)]);
    check(&DOG, &[read(0.0).level(2), read(60.0).level(2)], &[(Running, 0.0, 60.0, 0.6)]);
}

#[test]
fn a_level_describes_the_time_before_it_and_holds_three_minutes_back() {
    let late = |seconds: f64| {
        let mut readings: Vec<Reading> = (0..=4).map(|nth| read(f64::from(nth) * 60.0)).collect();
        readings.push(read(seconds).level(2));
        readings
    };
    let gaits = |seconds: f64| {
        let found: Vec<_> = interpret(&DOG, &late(seconds)).iter().map(short).collect();
        found.into_iter().map(|(behavior, start, end, _)| (behavior, start, end)).collect::<Vec<_>>()
    };
    // The reading at 120 s is 180 s before the one, 181 s before the other.
    assert_eq!(gaits(300.0), [(Unknown, 0.0, 60.0), (Running, 60.0, 300.0)]);
    assert_eq!(gaits(301.0), [(Unknown, 0.0, 120.0), (Running, 120.0, 301.0)]);
}

/// Six readings a minute apart at level 1, 90 bpm, alternating between two places.
fn paces(apart_m: f64) -> Vec<Reading> {
    (0..6)
        .map(|nth| read(f64::from(nth) * 60.0).bpm(90.0).level(1).north(f64::from(nth % 2) * apart_m))
        .collect()
}

#[test]
fn anxious_pacing_needs_six_at_level_1_in_a_small_place_with_a_raised_heart_rate() {
    check(&DOG, &paces(40.0), &[(AnxiousPacing, 0.0, 300.0, 0.75)]);
    assert!(any(&DOG, &paces(69.5), AnxiousPacing));
    assert!(!any(&DOG, &paces(70.5), AnxiousPacing));
    assert!(!any(&DOG, &paces(40.0)[..5], AnxiousPacing));
    for (bpm, expected) in [(69.9, false), (70.0, true), (110.0, true), (110.1, false)] {
        let readings: Vec<Reading> = paces(40.0).into_iter().map(|reading| reading.bpm(bpm)).collect();
        assert_eq!(any(&DOG, &readings, AnxiousPacing), expected, "{bpm} bpm");
    }
    let mut broken = paces(40.0);
    broken[3].activity_level = Some(2);
    assert!(!any(&DOG, &broken, AnxiousPacing));
}

#[test]
fn a_straight_walk_is_no_pacing_however_often_it_is_sampled() {
    for seconds in [5, 10, 20] {
        let walk = |speed: f64| -> Vec<Reading> {
            let nth = |nth: i32| f64::from(nth * seconds);
            (0..60).map(|n| read(nth(n)).bpm(95.0).level(1).north(nth(n) * speed)).collect()
        };
        assert!(!any(&DOG, &walk(1.2), AnxiousPacing), "every {seconds} s");
        assert!(any(&DOG, &walk(1.2), Walking), "every {seconds} s");
    }
    // To and fro over 20 m, sampled as often: pacing, from the first reading to the last.
    let paced: Vec<Reading> = (0..60)
        .map(|nth| read(f64::from(nth * 10)).bpm(95.0).level(1).north(f64::from(nth % 3) * 10.0))
        .collect();
    check(&DOG, &paced, &[(AnxiousPacing, 0.0, 590.0, 0.75)]);
    // Six readings within 170 s are too short a spell, 180 s are not.
    for (apart, expected) in [(34.0, false), (36.0, true)] {
        let six: Vec<Reading> = (0..6)
            .map(|nth| read(f64::from(nth) * apart).bpm(95.0).level(1).north(f64::from(nth % 2) * 10.0))
            .collect();
        assert_eq!(any(&DOG, &six, AnxiousPacing), expected, "{apart} s apart");
    }
}

#[test]
fn anxious_pacing_bears_half_the_signals_missing() {
    let mut readings = paces(40.0);
    for reading in &mut readings[..3] {
        reading.heart_rate = None;
        reading.position = None;
    }
    check(&DOG, &readings, &[(AnxiousPacing, 0.0, 300.0, 0.6)]);
    readings[3].heart_rate = None;
    assert!(!any(&DOG, &readings, AnxiousPacing));
    readings[3].heart_rate = Some(90.0);
    readings[3].position = None;
    assert!(!any(&DOG, &readings, AnxiousPacing));
}

/// Level 2 out there, level 0 here, and again, a minute each.
fn throws(reach_m: f64, levels: &[u8]) -> Vec<Reading> {
    let times = (0..).map(|nth| f64::from(nth) * 60.0);
    let step = |(seconds, level): (f64, &u8)| {
        read(seconds).level(*level).north(if *level == 2 { reach_m } else { 0.0 })
    };
    times.zip(levels).map(step).collect()
}

#[test]
fn playing_fetch_needs_two_cycles_over_some_distance() {
    check(&DOG, &throws(120.0, &[2, 0, 2, 0]), &[(PlayingFetch, 0.0, 180.0, 0.8)]);
    let table: [(f64, &[u8], bool); 8] = [
        (99.5, &[2, 0, 2, 0], false),
        (100.5, &[2, 0, 2, 0], true),
        (120.0, &[2, 0], false),
        (120.0, &[2, 0, 0, 2], false),
        (120.0, &[2, 1, 0, 2, 1, 0], true),
        (120.0, &[1, 0, 1, 0], false),
        (120.0, &[2, 1, 1, 1, 1, 0, 2, 0], true),
        (120.0, &[2, 1, 1, 1, 1, 1, 0, 2, 0], false),
    ];
    for (reach, levels, expected) in table {
        assert_eq!(any(&DOG, &throws(reach, levels), PlayingFetch), expected, "{reach} m, {levels:?}");
    }
    let nowhere: Vec<Reading> = throws(120.0, &[2, 0, 2, 0])
        .into_iter()
        .map(|reading| Reading { position: None, ..reading })
        .collect();
    assert!(!any(&DOG, &nowhere, PlayingFetch));
    // A rest of ten minutes ends no game, a longer one does.
    let paused = |rests: usize| {
        let mut levels = vec![2];
        levels.extend(vec![0; rests]);
        levels.extend([2, 0]);
        any(&DOG, &throws(120.0, &levels), PlayingFetch)
    };
    assert!(paused(9));
    assert!(!paused(10));
}

#[test]
fn cycles_in_two_distant_places_are_fetch_too() {
    let spot = |seconds: f64, level: u8, metres: f64| read(seconds).level(level).north(metres);
    let apart = [spot(0.0, 2, 0.0), spot(60.0, 0, 0.0), spot(120.0, 2, 110.0), spot(180.0, 0, 110.0)];
    assert!(any(&DOG, &apart, PlayingFetch));
}

/// Level 0 readings with the given seconds between them.
fn spaced(gaps: &[f64]) -> Vec<Reading> {
    let mut seconds = 0.0;
    let mut readings = vec![read(0.0).level(0)];
    for gap in gaps {
        seconds += gap;
        readings.push(read(seconds).level(0));
    }
    readings
}

#[test]
fn a_gap_longer_than_the_sampling_interval_allows_ends_an_episode() {
    let table: [(&str, &[f64], usize); 10] = [
        ("5 s: a minute is borne", &[5.0, 5.0, 60.0, 5.0, 5.0], 1),
        ("5 s: more is not", &[5.0, 5.0, 61.0, 5.0, 5.0], 2),
        ("60 s: three are borne", &[60.0, 60.0, 180.0, 60.0, 60.0], 1),
        ("60 s: more is not", &[60.0, 60.0, 181.0, 60.0, 60.0], 2),
        ("248 s: ten minutes are", &[248.0, 248.0, 600.0, 248.0, 248.0], 1),
        ("248 s: more is not", &[248.0, 248.0, 601.0, 248.0, 248.0], 2),
        ("one interval is its own measure", &[600.0], 1),
        ("up to ten minutes", &[601.0], 0),
        (
            "a change of pace splits nothing",
            &[60.0, 60.0, 60.0, 60.0, 60.0, 170.0, 170.0, 170.0, 170.0, 170.0],
            1,
        ),
        ("beyond the limit nothing is learned", &[5.0, 5.0, 5.0, 5.0, 700.0, 200.0], 2),
    ];
    for (what, gaps, expected) in table {
        assert_eq!(interpret(&DOG, &spaced(gaps)).len(), expected, "{what}");
    }
}

#[test]
fn a_declared_interval_is_taken_for_the_learned_one() {
    let declared =
        |seconds: i64| Params { sampling_interval: Some(SignedDuration::from_secs(seconds)), ..DOG };
    for (seconds, expected) in [(5, 2), (39, 2), (40, 1), (300, 1), (i64::MAX, 1), (-7, 2), (0, 2)] {
        let found = interpret(&declared(seconds), &spaced(&[5.0, 5.0, 120.0, 5.0, 5.0])).len();
        assert_eq!(found, expected, "{seconds} s declared");
    }
}

#[test]
fn an_episode_is_open_while_it_ends_at_the_newest_reading() {
    let open = |readings: &[Reading]| {
        interpret(&DOG, readings).iter().map(|episode| episode.open).collect::<Vec<_>>()
    };
    assert_eq!(open(&spaced(&[60.0, 60.0])), [true]);
    assert_eq!(open(&spaced(&[60.0, 60.0, 900.0])), [false]);
    assert_eq!(open(&spaced(&[60.0, 60.0, 900.0, 60.0])), [false, true]);
}

#[test]
fn readings_of_one_second_count_as_one() {
    let mut flood: Vec<Reading> =
        (0..10_000).map(|nth| read(f64::from(nth) * 0.000_1).bpm(150.0).north(f64::from(nth % 7))).collect();
    check(&DOG, &flood, &[]);
    flood.push(read(60.0).level(0));
    check(&DOG, &flood, &[(Resting, 0.0, 60.0, 0.6)]);
    // Two collars at one instant: the better fix, the greater level and heart rate.
    let coarse = Position { accuracy_m: Some(50.0), ..place(500.0, 0.0) };
    let fine = Position { accuracy_m: Some(5.0), ..place(0.0, 0.0) };
    let one = Reading { position: Some(coarse), ..read(60.0).bpm(80.0).level(0) };
    let two = Reading { position: Some(fine), ..read(60.0).bpm(90.0).level(1) };
    let both = interpret(&DOG, &[read(0.0).north(0.0), one.clone(), two.clone()]);
    assert_eq!(both, interpret(&DOG, &[two, one, read(0.0).north(0.0)]));
    assert_eq!(both[0].behavior, Walking);
    assert_eq!(both[0].evidence.mean_heart_rate, Some(90.0));
    assert_eq!(both[0].evidence.net_distance_m, Some(0.0));
}

#[test]
fn places_at_the_edges_of_the_map_are_as_near_as_they_are() {
    let spot = |latitude, longitude| Position { latitude, longitude, accuracy_m: None };
    let table = [
        (spot(0.0, 0.0), spot(0.0, 0.0), 0.0),
        (spot(0.0, 179.999), spot(0.0, -179.999), 222.39),
        (spot(90.0, 0.0), spot(90.0, 180.0), 0.0),
        (spot(89.999, 0.0), spot(89.999, 180.0), 222.39),
        (spot(0.0, 0.0), spot(0.0, 180.0), 20_015_114.0),
        (spot(50.0, 5.0), spot(50.001, 5.0), 111.195),
    ];
    for (a, b, expected) in table {
        let found = distance_m(&a, &b);
        assert!((found - expected).abs() <= 0.01 + expected * 1e-6, "{a:?} {b:?}: {found} m");
    }
    let across: Vec<Reading> = [179.999_9, -179.999_8]
        .into_iter()
        .zip([0.0, 60.0])
        .map(|(longitude, seconds)| Reading { position: Some(spot(0.0, longitude)), ..read(seconds) })
        .collect();
    check(&DOG, &across, &[(Walking, 0.0, 60.0, 0.6)]);
}

#[test]
fn evidence_says_what_an_episode_rests_on() {
    let readings: Vec<Reading> = (0..4)
        .map(|nth| {
            read(f64::from(nth) * 60.0)
                .bpm(90.0 + f64::from(nth) * 2.0)
                .level(1)
                .north(f64::from(nth % 3) * 50.0)
        })
        .collect();
    let [episode] = interpret(&DOG, &readings).try_into().unwrap();
    let evidence = &episode.evidence;
    assert_eq!((evidence.readings, evidence.with_heart_rate, evidence.with_position), (4, 4, 4));
    assert_eq!((evidence.rule, evidence.rule_version), ("walking", "spine/1"));
    let near = |found: Option<f64>, expected: f64| {
        assert!((found.unwrap() - expected).abs() < 0.01, "{found:?} {expected}")
    };
    near(evidence.mean_heart_rate, 93.0);
    near(evidence.sd_heart_rate, 5.0_f64.sqrt());
    near(evidence.path_m, 200.0);
    near(evidence.net_distance_m, 0.0);
    near(evidence.radius_m, 100.0);
    near(evidence.max_speed_mps, 100.0 / 60.0);
    assert_eq!(episode.start, at(0.0));
}

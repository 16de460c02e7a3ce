mod streaming;

use jiff::Timestamp;

use super::super::{Position, Species};
use super::*;

fn rules() -> Rules {
    Rules::built_in().unwrap()
}

fn dog() -> Params {
    Params::of(Species::Dog)
}

/// A dog's hours, one thing after the other, from a few numbers: what arithmetic can do without a generator.
fn hours(from_s: i64, hours: i64, every_s: i64, salt: u64) -> Vec<Reading> {
    let noise = |at: i64, what: u64| {
        let mixed =
            (at.unsigned_abs() ^ salt.rotate_left(17) ^ what << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 40) as f64 / f64::from(1 << 24) - 0.5
    };
    (0..hours * 3_600 / every_s)
        .filter(|nth| noise(*nth, 1) < 0.47)
        .map(|nth| {
            let at = from_s + nth * every_s;
            let part = (at.div_euclid(1_200)).rem_euclid(5);
            let (bpm, level, mps) =
                [(54.0, 0, 0.0), (70.0, 0, 0.0), (112.0, 1, 1.2), (54.0, 0, 0.0), (170.0, 2, 3.5)]
                    [usize::try_from(part).unwrap()];
            let gone = mps * (at.rem_euclid(1_200)) as f64;
            Reading {
                at: Timestamp::from_second(at).unwrap(),
                heart_rate: (noise(nth, 2) < 0.07).then_some(bpm + 8.0 * noise(nth, 3)),
                activity_level: (noise(nth, 4) < 0.45).then_some(level),
                respiratory_rate: (level == 0 && noise(nth, 8) < 0.0)
                    .then_some(if part == 1 { 23.0 } else { 14.0 } + 3.0 * noise(nth, 9)),
                position: (noise(nth, 5) < 0.3).then(|| Position {
                    latitude: 52.0 + (gone + 8.0 * noise(nth, 6)) / 111_195.0,
                    longitude: 13.0 + 8.0 * noise(nth, 7) / 68_000.0,
                    accuracy_m: Some(6.0),
                }),
            }
        })
        .collect()
}

fn behaviors(episodes: &[Episode]) -> Vec<Behavior> {
    episodes.iter().map(|episode| episode.behavior).collect()
}

#[test]
fn the_built_in_rules_hold_together_and_broken_ones_are_refused_with_every_fault() {
    let text = include_str!("../../../rules/v1.toml");
    let good: rules::File = toml::from_str(text).unwrap();
    assert!(Rules::of(&good).is_ok());
    let mut bad = good.clone();
    bad.version = "v0".into();
    bad.weights[0][0] = 9.0;
    bad.leans.pop();
    bad.doings[2].looks[0][1][0] = 0.9;
    bad.doings.swap(0, 1);
    bad.confidence[3] = 0.99;
    bad.source.clear();
    let message = Rules::of(&bad).unwrap_err().to_string();
    for fault in [
        "version",
        "leans are for 3 spacings",
        "a weight",
        "levels_1m: sums to",
        "not all in order",
        "do not rise",
        "source names none",
    ] {
        assert!(message.contains(fault), "{fault}: {message}");
    }
    assert!(matches!(Rules::read("version = 1"), Err(RulesError::Text(_))));
    assert!(
        matches!(Rules::read(&format!("extra = 1\n{text}")), Err(RulesError::Text(_))),
        "nothing unknown is passed over"
    );
}

#[test]
fn sleep_walks_and_runs_are_told_with_evidence() {
    let episodes = interpret(&rules(), &dog(), &hours(0, 5, 10, 1));
    for (behavior, at_s) in [
        (Behavior::DeepSleep, 600),
        (Behavior::Walking, 3_000),
        (Behavior::Running, 5_400),
        (Behavior::Resting, 1_900),
    ] {
        let at = Timestamp::from_second(at_s).unwrap();
        let found = episodes.iter().find(|episode| episode.start <= at && at < episode.end).unwrap();
        assert_eq!(found.behavior, behavior, "at {at_s} s of {:?}", behaviors(&episodes));
        assert!(found.confidence > 0.5 && found.confidence <= 1.0, "{found:?}");
        assert!(found.evidence.calibrating() && found.evidence.baseline_days == 0);
        assert!(
            found.evidence.readings >= found.evidence.with_heart_rate && found.evidence.with_heart_rate > 0
        );
        assert_eq!(found.evidence.rule_version, rules::VERSION);
        let weights = found.evidence.weights;
        assert!(weights.iter().sum::<f32>() > 0.0, "what speaks for it outweighs what does not: {weights:?}");
    }
    assert!(
        episodes.windows(2).all(|pair| pair[0].end <= pair[1].start && pair[0].behavior != pair[1].behavior)
    );
}

#[test]
fn one_odd_reading_does_not_cut_an_episode_in_two() {
    let calm = |odd: bool| -> Vec<Reading> {
        (0..240)
            .map(|nth| Reading {
                at: Timestamp::from_second(nth * 15).unwrap(),
                heart_rate: Some(if odd && nth == 120 { 160.0 } else { 54.0 + (nth % 3) as f64 }),
                activity_level: Some(u8::from(odd && nth == 121)),
                respiratory_rate: None,
                position: None,
            })
            .collect()
    };
    for odd in [false, true] {
        assert_eq!(behaviors(&interpret(&rules(), &dog(), &calm(odd))), [Behavior::DeepSleep], "odd: {odd}");
    }
}

#[test]
fn an_episode_never_spans_a_gap_and_seven_days_make_a_baseline() {
    let mut readings = hours(0, 2, 10, 1);
    readings.extend(hours(4 * 3_600, 2, 10, 2));
    let episodes = interpret(&rules(), &dog(), &readings);
    let gap = Timestamp::from_second(3 * 3_600).unwrap();
    assert!(episodes.iter().all(|episode| !(episode.start < gap && gap < episode.end)));
    let days: Vec<Reading> = (0..9).flat_map(|day| hours(day * 86_400, 3, 30, 3)).collect();
    let episodes = interpret(&rules(), &dog(), &days);
    let last = episodes.last().unwrap().evidence;
    assert!(!last.calibrating() && (50.0..58.0).contains(&last.baseline_bpm), "{last:?}");
    assert!(episodes[0].evidence.calibrating());
    assert!((episodes[0].evidence.baseline_bpm - 56.0).abs() < 1e-9);
}

#[test]
fn missing_signals_lower_confidence() {
    // Sleep with every signal, without a heart rate, and with nothing but a fix.
    let sleep = |heart_rate: bool, level: bool| {
        let readings: Vec<Reading> = (0..240)
            .map(|nth| Reading {
                at: Timestamp::from_second(nth * 15).unwrap(),
                heart_rate: heart_rate.then_some(54.0 + (nth % 3) as f64),
                activity_level: level.then_some(0),
                respiratory_rate: None,
                position: Some(Position { latitude: 52.0, longitude: 13.0, accuracy_m: Some(9.0) }),
            })
            .collect();
        let judged = judge(&rules(), &dog(), &readings);
        let asleep = judged.iter().filter(|judged| judged.behavior == Behavior::DeepSleep);
        asleep.map(|judged| f64::from(judged.confidence)).sum::<f64>() / judged.len() as f64
    };
    assert!(sleep(true, true) > 0.85, "{}", sleep(true, true));
    assert!(sleep(false, true) < sleep(true, true) - 0.1, "{}", sleep(false, true));
    assert!(sleep(false, false) <= sleep(false, true), "{}", sleep(false, false));
}

#[test]
fn heart_rates_alone_tell_rest_and_no_more() {
    let alone = |bpm: f64| -> Vec<Reading> {
        let at = |nth: i64| Timestamp::from_second(nth * 15).unwrap();
        (0..240)
            .map(|nth| Reading {
                at: at(nth),
                heart_rate: Some(bpm),
                activity_level: None,
                respiratory_rate: None,
                position: None,
            })
            .collect()
    };
    let asleep = judge(&rules(), &dog(), &alone(54.0));
    assert!(asleep.iter().all(|judged| judged.behavior == Behavior::DeepSleep && judged.confidence <= 0.6));
    for bpm in [70.0, 120.0, 200.0] {
        assert!(judge(&rules(), &dog(), &alone(bpm)).iter().all(|judged| !judged.behavior.moves()), "{bpm}");
    }
}

#[test]
fn breaths_tell_sleep_from_lying_awake_by_what_the_pet_itself_breathes() {
    let lying = |from_s: i64, hours: i64, breaths: f64, bpm: Option<f64>| {
        (0..240 * hours).map(move |nth| Reading {
            at: Timestamp::from_second(from_s + nth * 15).unwrap(),
            heart_rate: bpm.filter(|_| nth % 3 == 0),
            activity_level: Some(0),
            respiratory_rate: (nth % 4 == 0).then_some(breaths),
            position: None,
        })
    };
    let said = |readings: Vec<Reading>| judge(&rules(), &dog(), &readings).last().unwrap().behavior;
    // A heart rate between those of sleep and of lying awake.
    assert_eq!(said(lying(0, 1, 13.0, Some(61.0)).collect()), Behavior::DeepSleep);
    assert_eq!(said(lying(0, 1, 24.0, Some(61.0)).collect()), Behavior::Resting);
    // One that breathes 20 times asleep and 33 awake, of which it has seven days of its own, without a heart rate.
    let day =
        |day: i64| lying(day * 86_400, 8, 20.0, None).chain(lying(day * 86_400 + 28_800, 4, 33.0, None));
    for (breaths, behavior) in [(20.0, Behavior::DeepSleep), (33.0, Behavior::Resting)] {
        let today = lying(7 * 86_400, 1, breaths, None);
        assert_eq!(said((0..7).flat_map(day).chain(today).collect()), behavior, "{breaths}");
    }
    let (stranger, resting) = (lying(0, 1, 20.0, None).collect(), Behavior::Resting);
    assert_eq!(said(stranger), resting, "of a dog of which nothing is known that is no sleep");
}

#[test]
fn a_head_from_before_breaths_were_kept_is_read() {
    let bytes = Head::default().encode().unwrap();
    assert_eq!(Head::decode(&bytes[..bytes.len() - 1]).unwrap(), Head::default());
}

#[test]
fn odd_places_and_single_readings_are_borne() {
    let at = |latitude: f64, longitude: f64, nth: i64| Reading {
        at: Timestamp::from_second(nth * 15).unwrap(),
        heart_rate: None,
        activity_level: None,
        respiratory_rate: None,
        position: Some(Position { latitude, longitude, accuracy_m: None }),
    };
    assert!(interpret(&rules(), &dog(), &[]).is_empty());
    assert!(interpret(&rules(), &dog(), &[at(0.0, 0.0, 0)]).is_empty());
    // A walk across the antimeridian is the walk it is elsewhere.
    let walk = |longitude: f64| -> Vec<Reading> {
        (0..120)
            .map(|nth| {
                let east = longitude + nth as f64 * 18.0 / 111_195.0;
                at(0.0, if east > 180.0 { east - 360.0 } else { east }, nth)
            })
            .collect()
    };
    let (here, there) = (judge(&rules(), &dog(), &walk(10.0)), judge(&rules(), &dog(), &walk(179.99)));
    assert_eq!(here, there);
    let walking = here.iter().filter(|judged| judged.behavior == Behavior::Walking).count();
    assert!(walking > 100, "{walking} of {}", here.len());
    assert!(here.iter().all(|judged| !judged.behavior.is_rest()), "fixes tell no rest");
    let poles: Vec<Reading> = (0..60).map(|nth| at(90.0, (nth * 37 % 360 - 180) as f64, nth)).collect();
    assert!(
        judge(&rules(), &dog(), &poles).iter().all(|judged| !judged.behavior.moves()),
        "turning at the pole is no way"
    );
}

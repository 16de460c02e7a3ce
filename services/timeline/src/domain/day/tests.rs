use petty_chassis::calendar::zone;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn bounds(start: &str, end: &str) -> Bounds {
    Bounds { start: at(start), end: at(end) }
}

fn stretch(behavior: Behavior, start: &str, end: &str) -> Stretch {
    Stretch { behavior, bounds: bounds(start, end), distance_m: None, mean_heart_rate: None }
}

fn day() -> Bounds {
    Bounds::of("2026-01-10".parse().unwrap(), &zone("Europe/Berlin")).unwrap()
}

fn told(minutes: &[(Behavior, f64)]) -> Told {
    Told {
        bounds: day(),
        version: 3,
        covered_minutes: 700.0,
        minutes: minutes.iter().copied().collect(),
        distance_m: Some(1_234.0),
        resting_heart_rate: Some(61.0),
    }
}

#[test]
fn a_date_is_one_way_to_write_a_day_that_has_begun_somewhere() {
    let now = at("2026-01-10T09:59:59Z");
    for (text, expected) in [
        ("2026-01-10", None),
        ("1969-12-31", None),
        ("0002-01-01", None),
        ("2026-01-11", Some(BadDate::OutOfRange)),
        ("9999-12-31", Some(BadDate::OutOfRange)),
        ("0001-12-31", Some(BadDate::OutOfRange)),
        ("20260110", Some(BadDate::Malformed)),
        ("2026-01-10T00:00:00", Some(BadDate::Malformed)),
        ("2026-1-10", Some(BadDate::Malformed)),
        ("2026-02-30", Some(BadDate::Malformed)),
        (" 2026-01-10", Some(BadDate::Malformed)),
        ("yesterday", Some(BadDate::Malformed)),
        ("", Some(BadDate::Malformed)),
    ] {
        assert_eq!(parse(text, now).err(), expected, "{text}");
    }
    // On the Line Islands it is tomorrow already.
    assert_eq!(parse("2026-01-11", at("2026-01-10T10:00:00Z")), Ok("2026-01-11".parse().unwrap()));
}

#[test]
fn episodes_are_cut_at_midnight() {
    let stretches = [
        // 23:00Z is midnight in Berlin.
        stretch(Behavior::DeepSleep, "2026-01-09T21:00:00Z", "2026-01-09T23:30:00Z"),
        stretch(Behavior::Resting, "2026-01-10T08:00:00Z", "2026-01-10T08:20:00Z"),
        stretch(Behavior::Walking, "2026-01-10T09:00:00Z", "2026-01-10T09:45:00Z"),
        stretch(Behavior::Resting, "2026-01-10T10:00:00Z", "2026-01-10T10:05:00Z"),
        stretch(Behavior::DeepSleep, "2026-01-10T22:00:00Z", "2026-01-11T05:00:00Z"),
        // Only touch the day.
        stretch(Behavior::Running, "2026-01-09T22:00:00Z", "2026-01-09T23:00:00Z"),
        stretch(Behavior::Running, "2026-01-10T23:00:00Z", "2026-01-10T23:10:00Z"),
        stretch(Behavior::Running, "2026-01-10T12:00:00Z", "2026-01-10T12:00:00Z"),
    ];
    let summary = Summary::of(day(), &stretches, None);
    let found: Vec<_> =
        summary.shares.iter().map(|share| (share.behavior, share.minutes, share.episodes)).collect();
    assert_eq!(
        found,
        [(Behavior::DeepSleep, 90.0, 2), (Behavior::Walking, 45.0, 1), (Behavior::Resting, 25.0, 2)]
    );
    let sleep = summary.shares[0];
    assert_eq!((sleep.first_start, sleep.last_end), (at("2026-01-09T23:00:00Z"), at("2026-01-10T23:00:00Z")));
    assert_eq!((summary.minutes(|_| true), summary.minutes(Behavior::is_rest)), (160.0, 115.0));
    assert_eq!((summary.closed, summary.version, summary.covered_minutes), (false, 0, None));
    assert_eq!((summary.distance_m, summary.resting_heart_rate), (None, None));
}

#[test]
fn a_night_when_clocks_go_back_has_an_hour_more() {
    let zone = zone("Europe/Berlin");
    for (date, minutes) in [("2026-03-29", 23.0 * 60.0), ("2026-10-25", 25.0 * 60.0)] {
        let bounds = Bounds::of(date.parse().unwrap(), &zone).unwrap();
        let whole =
            Stretch { bounds, ..stretch(Behavior::Resting, "2026-01-10T22:00:00Z", "2026-01-10T22:00:00Z") };
        assert_eq!(Summary::of(bounds, &[whole], None).minutes(|_| true), minutes, "{date}");
    }
}

#[test]
fn distance_and_heart_rate_are_by_share_of_time_until_the_day_is_closed() {
    let stretches = [
        Stretch {
            distance_m: Some(400.0),
            ..stretch(Behavior::Walking, "2026-01-09T22:30:00Z", "2026-01-09T23:30:00Z")
        },
        Stretch {
            mean_heart_rate: Some(50.0),
            // The noise of its fixes.
            distance_m: Some(90.0),
            ..stretch(Behavior::DeepSleep, "2026-01-10T00:00:00Z", "2026-01-10T03:00:00Z")
        },
        Stretch {
            mean_heart_rate: Some(70.0),
            ..stretch(Behavior::Resting, "2026-01-10T03:00:00Z", "2026-01-10T04:00:00Z")
        },
        // Neither known nor at rest.
        stretch(Behavior::Resting, "2026-01-10T04:00:00Z", "2026-01-10T05:00:00Z"),
        Stretch {
            mean_heart_rate: Some(160.0),
            ..stretch(Behavior::Running, "2026-01-10T05:00:00Z", "2026-01-10T06:00:00Z")
        },
    ];
    let summary = Summary::of(day(), &stretches, None);
    assert_eq!((summary.distance_m, summary.resting_heart_rate), (Some(200.0), Some(55.0)));
    let minutes = [
        (Behavior::Walking, 30.0),
        (Behavior::DeepSleep, 180.0),
        (Behavior::Resting, 120.0),
        (Behavior::Running, 60.0),
    ];
    let closed = Summary::of(day(), &stretches, Some(&told(&minutes)));
    assert!(closed.closed);
    assert_eq!((closed.version, closed.covered_minutes), (3, Some(700.0)));
    assert_eq!((closed.distance_m, closed.resting_heart_rate), (Some(1_234.0), Some(61.0)));
}

#[test]
fn a_day_is_open_again_once_its_entries_say_otherwise() {
    let walk = stretch(Behavior::Walking, "2026-01-10T09:00:00Z", "2026-01-10T09:30:00Z");
    let as_told = told(&[(Behavior::Walking, 30.0)]);
    let other_zone =
        Told { bounds: bounds("2026-01-10T00:00:00Z", "2026-01-11T00:00:00Z"), ..as_told.clone() };
    let longer = stretch(Behavior::Walking, "2026-01-10T09:00:00Z", "2026-01-10T09:30:02Z");
    let rest = stretch(Behavior::Resting, "2026-01-10T10:00:00Z", "2026-01-10T10:30:00Z");
    for (stretches, told, closed) in [
        (vec![walk], &as_told, true),
        (vec![longer], &as_told, false),
        (vec![walk, rest], &as_told, false),
        (vec![], &as_told, false),
        (vec![walk], &other_zone, false),
        (vec![], &told(&[]), true),
    ] {
        let summary = Summary::of(day(), &stretches, Some(told));
        assert_eq!((summary.closed, summary.version), (closed, 3), "{stretches:?}");
        assert_eq!(summary.covered_minutes.is_some(), closed);
    }
}

//! Each bound, just inside and just outside.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

const WINDOW: Window =
    Window { max_ahead: SignedDuration::from_hours(1), max_age: SignedDuration::from_hours(30 * 24) };

fn now() -> Timestamp {
    "2026-06-15T12:00:00Z".parse().unwrap()
}

fn good() -> Draft {
    Draft {
        collar_id: "collar-1".to_owned(),
        measured_at: Moment::At(now()),
        heart_rate: Some(80.0),
        ..Draft::default()
    }
}

fn at(longitude: f64, latitude: f64) -> Option<DraftLocation> {
    Some(DraftLocation { kind: "Point".to_owned(), coordinates: vec![longitude, latitude], accuracy: None })
}

/// The fields at fault, with their kinds.
fn faults(draft: Draft) -> Vec<(&'static str, FaultKind)> {
    match draft.check(now(), WINDOW) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.into_iter().map(|fault| (fault.field, fault.kind)).collect(),
    }
}

#[test]
fn numbers_are_taken_up_to_their_bounds_and_no_further() {
    type Set = fn(&mut Draft, f64);
    let fields: [(&str, Set, f64, f64); 8] = [
        ("heart_rate", |draft, value| draft.heart_rate = Some(value), 30.0, 300.0),
        ("temperature", |draft, value| draft.temperature = Some(value), 30.0, 45.0),
        ("skin_temperature", |draft, value| draft.skin_temperature = Some(value), -20.0, 50.0),
        ("respiratory_rate", |draft, value| draft.respiratory_rate = Some(value), 1.0, 200.0),
        ("battery_level", |draft, value| draft.battery_level = Some(value), 0.0, 100.0),
        ("location.coordinates", |draft, value| draft.location = at(value, 0.0), -180.0, 180.0),
        ("location.coordinates", |draft, value| draft.location = at(0.0, value), -90.0, 90.0),
        (
            "location.accuracy",
            |draft, value| {
                draft.location = at(0.0, 0.0).map(|place| DraftLocation { accuracy: Some(value), ..place })
            },
            0.0,
            100_000.0,
        ),
    ];
    for (field, set, least, most) in fields {
        for value in [least, least.next_up(), most.next_down(), most] {
            let mut draft = good();
            set(&mut draft, value);
            assert_eq!(faults(draft), [], "{field} {value}");
        }
        for value in [least.next_down(), most.next_up(), f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX]
        {
            let mut draft = good();
            set(&mut draft, value);
            assert_eq!(faults(draft), [(field, FaultKind::OutOfRange)], "{field} {value}");
        }
    }
    for (level, taken) in
        [(i32::MIN, false), (-1, false), (0, true), (2, true), (3, false), (i32::MAX, false)]
    {
        assert_eq!(
            faults(Draft { activity_level: Some(level), ..good() }).is_empty(),
            taken,
            "activity_level {level}"
        );
    }
    for (sequence, taken) in [(i32::MIN, false), (-1, false), (0, true), (i32::MAX, true)] {
        assert_eq!(
            faults(Draft { sequence_id: Some(sequence), ..good() }).is_empty(),
            taken,
            "sequence_id {sequence}"
        );
    }
}

#[test]
fn times_are_taken_from_thirty_days_back_to_an_hour_ahead_and_cut_to_the_microsecond() {
    let tick = SignedDuration::from_nanos(1);
    for (time, taken) in [
        (now() + WINDOW.max_ahead, true),
        (now() + WINDOW.max_ahead + tick, false),
        (now() - WINDOW.max_age, true),
        (now() - WINDOW.max_age - tick, false),
        (Timestamp::MIN, false),
        (Timestamp::MAX, false),
    ] {
        let expected: &[_] = if taken { &[] } else { &[("timestamp", FaultKind::OutOfRange)] };
        assert_eq!(faults(Draft { measured_at: Moment::At(time), ..good() }), expected, "{time}");
    }
    // Whoever's clock is wrong is told what ours says.
    for time in [now() + WINDOW.max_ahead + tick, now() - WINDOW.max_age - tick] {
        let faults = Draft { measured_at: Moment::At(time), ..good() }.check(now(), WINDOW).unwrap_err();
        assert!(faults[0].reason.contains(&format!("{:.0}", now())), "{}", faults[0].reason);
    }
    assert_eq!(faults(Draft { measured_at: Moment::Absent, ..good() }), [("timestamp", FaultKind::Required)]);
    assert_eq!(
        faults(Draft { measured_at: Moment::Unreadable, ..good() }),
        [("timestamp", FaultKind::Malformed)]
    );
    let fine: Timestamp = "2026-06-15T11:59:59.123456789Z".parse().unwrap();
    let reading = Draft { measured_at: Moment::At(fine), ..good() }.check(now(), WINDOW).unwrap();
    assert_eq!(reading.measured_at.to_string(), "2026-06-15T11:59:59.123456Z");
}

#[test]
fn shapes_are_checked_and_every_fault_is_named() {
    let place = |kind: &str, coordinates: &[f64]| {
        Some(DraftLocation { kind: kind.to_owned(), coordinates: coordinates.to_vec(), accuracy: None })
    };
    for (location, expected) in [
        (place("", &[1.0, 2.0]), None),
        (place("Point", &[1.0, 2.0]), None),
        (place("point", &[1.0, 2.0]), Some(("location.type", FaultKind::Malformed))),
        (place("Polygon", &[1.0, 2.0]), Some(("location.type", FaultKind::Malformed))),
        (place("Point", &[]), Some(("location.coordinates", FaultKind::Required))),
        (place("Point", &[1.0]), Some(("location.coordinates", FaultKind::Malformed))),
        (place("Point", &[1.0, 2.0, 3.0]), Some(("location.coordinates", FaultKind::Malformed))),
    ] {
        let draft = Draft { location: location.clone(), ..good() };
        assert_eq!(faults(draft), expected.into_iter().collect::<Vec<_>>());
    }
    let everything = Draft {
        collar_id: "a b".to_owned(),
        heart_rate: Some(0.0),
        location: place("Line", &[200.0, 100.0]),
        ..Draft::default()
    };
    let fields: Vec<_> = faults(everything).into_iter().map(|(field, _)| field).collect();
    let expected = [
        "collar_id",
        "timestamp",
        "heart_rate",
        "location.type",
        "location.coordinates",
        "location.coordinates",
    ];
    assert_eq!(fields, expected);
    assert_eq!(faults(Draft { collar_id: String::new(), ..good() }), [("collar_id", FaultKind::Required)]);
}

#[test]
fn battery_and_sequence_alone_are_no_reading() {
    let empty = Draft { heart_rate: None, battery_level: Some(50.0), sequence_id: Some(1), ..good() };
    assert_eq!(faults(empty.clone()), [("signals", FaultKind::Required)]);
    let signals: [fn(&mut Draft); 6] = [
        |draft| draft.heart_rate = Some(80.0),
        |draft| draft.activity_level = Some(0),
        |draft| draft.location = at(0.0, 0.0),
        |draft| draft.temperature = Some(38.5),
        |draft| draft.skin_temperature = Some(30.0),
        |draft| draft.respiratory_rate = Some(20.0),
    ];
    for set in signals {
        let mut draft = empty.clone();
        set(&mut draft);
        assert_eq!(faults(draft), []);
    }
}

#[test]
fn no_debug_output_shows_a_position() {
    let draft = Draft { location: at(13.376543, 52.512345), ..good() };
    let shown = format!("{draft:?} {:?}", draft.clone().check(now(), WINDOW).unwrap());
    assert!(!shown.contains("376") && !shown.contains("512"), "{shown}");
}

proptest! {
    #[test]
    fn six_decimals_of_a_position_are_kept(longitude in -180.0..=180.0_f64, latitude in -90.0..=90.0_f64) {
        let reading = Draft { location: at(longitude, latitude), ..good() }.check(now(), WINDOW).unwrap();
        let position = reading.signals.position.unwrap();
        let off = |e6: i32, degrees: f64| (f64::from(e6) / 1e6 - degrees).abs();
        prop_assert!(off(position.longitude_e6, longitude) <= 0.500_001e-6);
        prop_assert!(off(position.latitude_e6, latitude) <= 0.500_001e-6);
    }
}

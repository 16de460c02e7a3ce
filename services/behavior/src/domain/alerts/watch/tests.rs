use jiff::Timestamp;

use super::*;
use crate::domain::Position;
use crate::domain::zone::{Place, Shape};

fn report(second: i64, heart_rate: Option<f64>, breaths: Option<f64>) -> Report {
    Report {
        at: Timestamp::from_second(second).unwrap(),
        collar: 1,
        heart_rate,
        activity_level: Some(0),
        position: None,
        respiratory_rate: breaths,
        temperature: None,
        battery: None,
    }
}

/// What is raised of a dog that sleeps at 56 and rests at 60, in minutes.
fn raised(reports: impl IntoIterator<Item = Report>) -> Vec<(Kind, i64)> {
    let own = Own { sleeping_bpm: 56.0, resting_bpm: 60.0, days: 7 };
    let context = Context { species: Species::Dog, zone: &TimeZone::UTC, zones: &[], own };
    let mut watch = Watch::default();
    let mut raised: Vec<(Kind, i64)> = Vec::new();
    for report in reports {
        for signal in watch.take(&context, std::slice::from_ref(&report), report.at.as_microsecond()) {
            if signal.on && raised.iter().all(|(kind, _)| *kind != signal.kind) {
                raised.push((signal.kind, report.at.as_second() / 60));
            }
        }
    }
    raised
}

#[test]
fn a_heart_rate_is_held_against_the_resting_one_and_not_the_sleeping_one() {
    // Awake all the time at 1.55 times the sleeping rate: less than 1.5 times the resting one.
    assert_eq!(raised((0..180).map(|minute| report(60 * minute, Some(87.0), None))), []);
    let high = raised((0..180).map(|minute| report(60 * minute, Some(93.0), None)));
    assert_eq!(high, [(Kind::RestingHeartRateHigh, 60)]);
    // Asleep and awake by turns, ill: 0.93 and 1.17 times 96; the middle one counts, not each.
    let ill =
        (0..360).map(|minute| report(60 * minute, Some(if minute % 21 < 13 { 89.0 } else { 112.0 }), None));
    assert_eq!(raised(ill), []);
    let ill =
        (0..360).map(|minute| report(60 * minute, Some(if minute % 21 < 13 { 91.0 } else { 112.0 }), None));
    assert_eq!(raised(ill), [(Kind::RestingHeartRateHigh, 60)]);
}

#[test]
fn breaths_count_asleep_and_not_awake() {
    let breaths = |bpm: fn(i64) -> Option<f64>, rate: f64| {
        raised((0..240).map(|minute| report(60 * minute, bpm(minute), Some(rate))))
    };
    assert_eq!(breaths(|_| Some(57.0), 36.0), [(Kind::RespiratoryRateHigh, 60)]);
    assert_eq!(breaths(|_| Some(57.0), 29.0), []);
    assert_eq!(breaths(|_| Some(72.0), 36.0), [], "it lies awake");
    // Every other heart rate is missing: the one before says so.
    assert_eq!(breaths(|minute| (minute % 2 == 0).then_some(57.0), 36.0), [(Kind::RespiratoryRateHigh, 60)]);
    assert_eq!(breaths(|minute| (minute % 2 == 0).then_some(72.0), 36.0), []);
    // A collar that has none tells by stillness.
    assert_eq!(breaths(|_| None, 36.0), [(Kind::RespiratoryRateHigh, 60)]);
}

#[test]
fn a_temperature_counts_once_it_is_sustained_and_worse_than_a_fever_is_critical() {
    let warm = |from: i64, minutes: i64, degrees: f64| {
        (from..from + minutes)
            .map(move |minute| Report { temperature: Some(degrees), ..report(60 * minute, None, None) })
    };
    let temperature = |minute| vec![(Kind::Temperature, minute)];
    assert_eq!(raised(warm(0, 120, 39.2)), []);
    assert_eq!(raised(warm(0, 120, 39.4)), temperature(60));
    assert_eq!(raised(warm(0, 120, 37.3)), temperature(60));
    // A run warms a dog, and not for an hour; and one odd reading cools none.
    assert_eq!(raised(warm(0, 40, 39.9).chain(warm(40, 60, 38.5))), []);
    assert_eq!(raised(warm(0, 30, 39.9).chain(warm(30, 1, 38.0)).chain(warm(31, 60, 39.9))), temperature(60));
    let own = Own::prior(Species::Cat);
    let context = Context { species: Species::Cat, zone: &TimeZone::UTC, zones: &[], own };
    let severities = |degrees: f64| {
        let mut watch = Watch::default();
        let reports: Vec<Report> = warm(0, 90, degrees).collect();
        let signals = watch.take(&context, &reports, 0);
        signals.iter().filter(|signal| signal.on).map(|signal| signal.severity).max()
    };
    assert_eq!(
        [37.7, 39.3, 40.0, 35.8].map(severities),
        [
            Some(Severity::Warning),
            Some(Severity::Warning),
            Some(Severity::Critical),
            Some(Severity::Critical)
        ]
    );
}

#[test]
fn what_is_kept_is_small_and_reads_back_and_so_does_what_an_older_version_kept() {
    let own = Own::prior(Species::Cat);
    let context = Context { species: Species::Cat, zone: &TimeZone::UTC, zones: &[], own };
    let mut watch = Watch::default();
    for minute in 0..3_000 {
        let report = report(60 * minute, Some(100.0), Some(20.0));
        watch.take(&context, &[report], 60_000_000 * minute);
    }
    let bytes = watch.encode().unwrap();
    assert!(bytes.len() < 1_000, "{} bytes", bytes.len());
    assert_eq!(Watch::decode(&bytes), watch);
    let nothing = (None, Vec::new(), Nights::default(), Vec::new());
    let (rated, strays, nights, collars) = nothing;
    let older = Watch { rated, strays, nights, collars, ..watch };
    let bytes = older.encode().unwrap();
    assert_eq!(Watch::decode(&bytes[..bytes.len() - ADDED]), older);
}

/// What is said of a kind, each reading arriving as it is taken: whether it is so, and at which second.
fn said(
    watch: &mut Watch,
    kind: Kind,
    zones: &[Zone],
    reports: impl Iterator<Item = Report>,
) -> Vec<(bool, i64)> {
    let own = Own::prior(Species::Dog);
    let context = Context { species: Species::Dog, zone: &TimeZone::UTC, zones, own };
    let signals = reports
        .flat_map(|report| watch.take(&context, std::slice::from_ref(&report), report.at.as_microsecond()));
    let of_kind = signals.filter(|signal| signal.kind == kind);
    of_kind.map(|signal| (signal.on, signal.at.as_second())).collect()
}

/// What is said of batteries: collar, second, percent.
fn charges(watch: &mut Watch, reports: &[(u64, i64, Option<f64>)]) -> Vec<(bool, i64)> {
    let reports = reports.iter().map(|(collar, second, battery)| Report {
        collar: *collar,
        battery: *battery,
        ..report(*second, None, None)
    });
    said(watch, Kind::BatteryLow, &[], reports)
}

#[test]
fn a_collar_that_was_put_away_keeps_no_other_ones_battery_from_being_told() {
    let day = 86_400;
    let mut watch = Watch::default();
    assert_eq!(charges(&mut watch, &[(1, 0, Some(15.0))]), [(true, 0)]);
    // The other one is full, and the first may come back.
    assert_eq!(charges(&mut watch, &[(2, 60, Some(100.0)), (2, 120, None)]), []);
    assert_eq!(charges(&mut watch, &[(2, day + 1, None)]), [(false, day + 1)]);
    assert_eq!(charges(&mut watch, &[(2, day + 60, Some(18.0))]), [(true, day + 60)]);
    // Both low: over once neither is.
    let both = [(1, day + 120, Some(10.0)), (2, day + 180, Some(35.0)), (1, day + 240, Some(31.0))];
    assert_eq!(charges(&mut watch, &both), [(true, day + 120), (false, day + 240)]);
}

#[test]
fn a_watch_from_before_collars_were_remembered_knows_which_one_was_low() {
    let mut watch = Watch::default();
    charges(&mut watch, &[(1, 0, Some(15.0))]);
    let mut before =
        Watch { battery: Some(1), collars: Vec::new(), low: Vec::new(), ..watch }.encode().unwrap();
    before.truncate(before.len() - 4);
    let mut watch = Watch::decode(&before);
    assert_eq!(charges(&mut watch, &[(1, 60, Some(29.0)), (1, 120, Some(30.0))]), [(false, 120)]);
}

#[test]
fn a_walk_of_a_collar_without_levels_is_no_heart_that_beats_fast_at_rest() {
    let at = |minute: i64, north_m: f64, bpm: f64| Report {
        activity_level: None,
        position: Some(Position { latitude: north_m / 111_195.0, longitude: 0.0, accuracy_m: Some(8.0) }),
        ..report(60 * minute, Some(bpm), None)
    };
    let walking = |minute: i64| at(minute, 70.0 * minute as f64, 110.0);
    assert_eq!(raised((0..180).map(walking)), []);
    // Slower than what lies still is off by: never in one place for long.
    let ambling = |minute: i64| at(minute, 20.0 * minute as f64, 110.0);
    assert_eq!(raised((0..180).map(ambling)), []);
    let lying = |minute: i64| at(minute, 12.0 * (minute % 3) as f64, 110.0);
    let found = raised((0..180).map(lying));
    assert!(matches!(found[..], [(Kind::RestingHeartRateHigh, 60..=64)]), "{found:?}");
    // Where neither levels nor fixes tell, nothing is said, of breaths neither: but a slow heart says that it sleeps.
    let blind = |bpm: Option<f64>| {
        (0..180).map(move |minute| Report { activity_level: None, ..report(60 * minute, bpm, Some(36.0)) })
    };
    assert_eq!(raised(blind(Some(110.0))), []);
    assert_eq!(raised(blind(None)), []);
    assert_eq!(raised(blind(Some(57.0))), [(Kind::RespiratoryRateHigh, 60)]);
}

/// A circle about the origin, so many metres north of it.
fn zone(id: u128, version: u64, north_m: f64, radius_m: f64, buffer_m: f64) -> Zone {
    let center = Place { latitude: north_m / 111_195.0, longitude: 0.0 };
    let shape = Shape::Circle { center, radius_m };
    Zone { id: Uuid::from_u128(id), version, shape, buffer_m, hours: Vec::new() }
}

/// What is said of zones: collar, second, metres north.
fn walked(watch: &mut Watch, zones: &[Zone], fixes: &[(u64, i64, f64)]) -> Vec<(bool, i64)> {
    let reports = fixes.iter().map(|(collar, second, north_m)| {
        let position = Position { latitude: north_m / 111_195.0, longitude: 0.0, accuracy_m: Some(5.0) };
        Report { collar: *collar, position: Some(position), ..report(*second, None, None) }
    });
    said(watch, Kind::SafeZoneLeft, zones, reports)
}

#[test]
fn a_zone_that_is_drawn_anew_or_gets_company_does_not_bring_a_pet_home() {
    let home = |version| zone(1, version, 0.0, 50.0, 15.0);
    let mut watch = Watch::default();
    let out = [(1, 0, 0.0), (1, 60, 200.0), (1, 120, 210.0)];
    assert_eq!(walked(&mut watch, &[home(1)], &out), [(true, 120)]);
    assert_eq!(walked(&mut watch, &[home(2)], &[(1, 180, 210.0)]), [(true, 180)], "out still");
    let park = zone(2, 1, 5_000.0, 50.0, 15.0);
    assert_eq!(walked(&mut watch, &[home(2), park.clone()], &[(1, 240, 210.0)]), [(true, 240)]);
    assert_eq!(walked(&mut watch, &[home(3)], &[(1, 300, 10.0)]), [(false, 300)], "home");
    // At home while it is drawn anew, and gone before anybody saw it there again.
    assert_eq!(walked(&mut watch, &[home(4)], &[(1, 360, 200.0), (1, 420, 210.0)]), [(true, 420)]);
    // The zone that it left is there no more; in the other one it never was.
    assert_eq!(
        walked(&mut watch, &[park], &[(1, 480, 210.0), (1, 540, 220.0), (1, 600, 230.0)]),
        [(false, 480)]
    );
}

#[test]
fn each_zone_has_its_own_buffer() {
    let zones = [zone(1, 1, 0.0, 30.0, 0.0), zone(2, 1, 600.0, 500.0, 200.0)];
    let mut watch = Watch::default();
    // Fifteen metres beyond the one, and within the other's buffer.
    assert_eq!(walked(&mut watch, &zones, &[(1, 0, 0.0), (1, 60, 45.0), (1, 120, 45.0), (1, 180, 45.0)]), []);
    assert_eq!(walked(&mut watch, &zones, &[(1, 240, -200.0), (1, 300, -210.0)]), [(true, 300)]);
}

#[test]
fn a_collar_that_reports_late_is_heard_beside_one_that_does_not() {
    let zones = [zone(1, 1, 0.0, 50.0, 15.0)];
    let mut watch = Watch::default();
    let tag = |second: i64| report(second, Some(60.0), None);
    let own = Own::prior(Species::Dog);
    let context = Context { species: Species::Dog, zone: &TimeZone::UTC, zones: &[], own };
    let mut said = Vec::new();
    for nth in 0..6 {
        // One says it at once, the other half a minute later.
        let now = 60 * nth + 30;
        watch.take(&context, &[Report { collar: 2, ..tag(now) }], now * 1_000_000);
        said.extend(walked(&mut watch, &zones, &[(1, 60 * nth, if nth < 2 { 0.0 } else { 200.0 })]));
    }
    assert_eq!(said.first(), Some(&(true, 180)));
    // The same again says nothing.
    assert_eq!(walked(&mut watch, &zones, &[(1, 300, 0.0), (1, 240, 0.0)]), []);
}

#[test]
fn a_reading_from_ahead_of_the_clock_silences_no_collar_that_reports() {
    let own = Own::prior(Species::Dog);
    let context = Context { species: Species::Dog, zone: &TimeZone::UTC, zones: &[], own };
    let mut watch = Watch::default();
    let minute = 60_000_000;
    watch.take(&context, &[report(59 * 60, Some(60.0), None)], 0);
    for nth in 1..30 {
        watch.take(&context, &[report(60 * nth, Some(60.0), None)], nth * minute);
        assert_eq!(watch.silence(nth * minute), None);
    }
    assert!(watch.silence(29 * minute + SILENT_LEAST).is_some());
}

use jiff::Timestamp;

use super::*;

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
    let older = Watch { rated: None, strays: Vec::new(), nights: Nights::default(), ..watch };
    let bytes = older.encode().unwrap();
    assert_eq!(Watch::decode(&bytes[..bytes.len() - ADDED]), older);
}

use proptest::prelude::*;

use super::*;

fn start() -> Timestamp {
    "2026-06-15T12:00:00Z".parse().unwrap()
}

fn at(seconds: f64) -> Timestamp {
    start() + SignedDuration::from_secs_f64(seconds)
}

/// A collar's readings: when each was measured and when it came, in seconds, by the time it came.
type Readings = Vec<(f64, f64)>;

/// Looks whenever a look is due, or `slack` later; when it fell silent.
fn noticed(readings: &Readings, until: f64, slack: f64) -> Vec<f64> {
    let mut told = Vec::new();
    let (mut watch, mut now) = (Watch::default(), readings.first().map_or(0.0, |first| first.1));
    while now <= until {
        let came: Vec<(f64, f64)> = readings.iter().copied().filter(|(_, came)| *came <= now).collect();
        let newest = came.into_iter().fold(None, |newest, (measured, came)| match newest {
            // Heard, where the newest is from ahead; else it is late and says nothing.
            Some((newest, _)) if measured <= newest && newest > came && measured > came - 3_600.0 => {
                Some((newest, came))
            }
            Some((newest, heard)) if measured <= newest => Some((newest, heard)),
            _ => Some((measured, came)),
        });
        let newest =
            newest.map(|(measured, came)| Newest { received_at: at(came), measured_at: at(measured) });
        let came = readings.iter().filter(|(_, came)| *came <= now);
        let mut times: Vec<Timestamp> = came.map(|(measured, _)| at(*measured)).collect();
        times.sort_by(|a, b| b.cmp(a));
        let seen = watch.seen.map(|seen| seen.measured_at);
        let next_after = times.iter().rev().copied().find(|time| seen.is_some_and(|seen| *time > seen));
        times.truncate(GAPS + 1);
        let learned = if watch.is_to_learn(newest, at(now)) { times.as_slice() } else { &[] };
        let look = watch.look(newest, learned, next_after.filter(|_| watch.is_back(newest)), at(now));
        watch = look.watch;
        if look.fell_silent {
            told.push(now);
        }
        let next = look.look_at.duration_since(start()).as_secs_f64();
        assert!(next > now, "looks go on");
        now = next + slack;
    }
    told
}

fn steady(interval: f64, from: f64, count: u32) -> Readings {
    (0..count).map(|index| from + interval * f64::from(index)).map(|time| (time, time)).collect()
}

#[test]
fn a_collar_that_stops_is_noticed_within_three_of_its_own_intervals_once() {
    for interval in [5.0, 10.0, 30.0, 60.0, 300.0] {
        let readings = steady(interval, 0.0, 40);
        let last = readings.last().unwrap().0;
        let told = noticed(&readings, last + 100_000.0, 1.0);
        assert_eq!(told.len(), 1, "every {interval} s: {told:?}");
        assert!(
            (last..=last + 3.0 * interval).contains(&told[0]),
            "every {interval} s: {told:?}, last {last}"
        );
    }
}

#[test]
fn a_collar_that_goes_on_is_never_silent_and_a_lost_reading_is_no_silence() {
    let mut readings = steady(10.0, 0.0, 500);
    assert!(noticed(&readings, 4_990.0, 1.0).is_empty());
    let mut index = 0;
    readings.retain(|_| {
        index += 1;
        index % 7 != 0
    });
    assert!(noticed(&readings, 4_980.0, 1.0).is_empty());
}

#[test]
fn each_silence_is_told_once_also_after_another() {
    let mut readings = steady(10.0, 0.0, 30);
    readings.extend(steady(10.0, 1_000.0, 30));
    let told = noticed(&readings, 20_000.0, 1.0);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0] < 330.0 && (1_290.0..1_330.0).contains(&told[1]), "{told:?}");
}

#[test]
fn a_clock_that_is_off_makes_no_difference() {
    for off in [-1_800.0, 1_800.0] {
        let readings: Readings =
            steady(10.0, 0.0, 30).into_iter().map(|(time, came)| (time + off, came)).collect();
        let told = noticed(&readings, 10_000.0, 1.0);
        assert_eq!(told.len(), 1, "{off}: {told:?}");
        assert!((290.0..=320.0).contains(&told[0]), "{off}: {told:?}");
    }
}

#[test]
fn a_clock_that_is_put_right_is_no_silence() {
    for (interval, ahead, count) in [(5.0, 300.0, 200), (10.0, 3_500.0, 500), (60.0, 1_790.0, 150)] {
        // All its readings at first, or a single one.
        for wrong in [50..80, 50..51] {
            let clock = |(index, (time, came))| {
                if wrong.contains(&index) { (time + ahead, came) } else { (time, came) }
            };
            let readings: Readings =
                steady(interval, 0.0, count).into_iter().enumerate().map(clock).collect();
            let last = readings.last().unwrap().1;
            let told = noticed(&readings, last + 10_000.0, 1.0);
            assert_eq!(told.len(), 1, "{interval} {ahead} {wrong:?}: {told:?}");
            assert!(told[0] > last, "{interval} {ahead} {wrong:?}: {told:?}");
        }
    }
}

#[test]
fn days_that_are_filled_in_are_no_silence() {
    let readings: Readings = (0..100).map(|index| (f64::from(index) * 10.0 - 90_000.0, 5.0)).collect();
    assert!(noticed(&readings, 10_000.0, 1.0).is_empty());
}

#[test]
fn a_hub_that_sends_every_five_minutes_is_taken_for_silent_once_and_then_waited_for() {
    let readings: Readings =
        steady(10.0, 0.0, 2_000).into_iter().map(|(time, _)| (time, (time / 300.0).ceil() * 300.0)).collect();
    let told = noticed(&readings, 20_000.0, 1.0);
    assert_eq!(told.len(), 1, "{told:?}");
    let told = noticed(&readings, 22_000.0, 1.0);
    assert_eq!(told.len(), 2, "and it is noticed when it stops: {told:?}");
    assert!(told[1] <= 20_100.0 + 400.0, "{told:?}");
}

#[test]
fn what_came_and_went_while_nobody_looked_is_told_while_it_is_news() {
    let newest = Newest { received_at: at(100.0), measured_at: at(100.0) };
    let look = |watch: Watch, seconds| watch.look(Some(newest), &[], None, at(seconds)).fell_silent;
    assert!(!look(Watch::default(), 500.0), "nobody knows how often it measures");
    assert!(look(Watch::default(), 1_100.0));
    assert!(!look(Watch::default(), 5_000.0));
    let older = Newest { received_at: at(0.0), measured_at: at(0.0) };
    let live = Watch { seen: Some(older), ..Watch::default() };
    assert!(look(live, 50_000.0), "it was there when somebody looked last");
    assert!(!look(Watch { silent: true, ..live }, 50_000.0));
    let nothing = Watch::default().look(None, &[], None, at(0.0));
    assert_eq!((nothing.fell_silent, nothing.look_at), (false, at(5.0)));
}

proptest! {
    /// Whatever comes when: silences are told in turn with returns, never twice of one newest reading.
    #[test]
    fn no_silence_is_told_twice(gaps in prop::collection::vec(1.0..2_000.0_f64, 1..60), slack in 0.0..30.0_f64) {
        let mut time = 0.0;
        let readings: Readings = gaps.iter().map(|gap| { time += gap; (time, time) }).collect();
        let told = noticed(&readings, time + 20_000.0, slack);
        let newest = |moment: &f64| readings.iter().filter(|(_, came)| came <= moment).count();
        let mut of: Vec<usize> = told.iter().map(newest).collect();
        let count = of.len();
        of.dedup();
        prop_assert_eq!(of.len(), count);
        prop_assert!(told.last().is_some_and(|last| *last > time), "the last silence is noticed: {:?}", told);
    }
}

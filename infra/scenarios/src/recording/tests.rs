use std::collections::BTreeMap;

use super::*;
use crate::doing::Label;
use crate::physiology::Species;
use crate::plan::whole;

fn some(setup: &Setup) -> Vec<Recording> {
    (0..12).map(|number| record(setup, number)).collect()
}

/// The readings with what was going on at each.
fn seen(recording: &Recording) -> Vec<(Doing, &Reading)> {
    let mut index = 0;
    let at = |reading: &Reading| reading.at_us.div_euclid(1_000_000);
    let mut all = Vec::with_capacity(recording.readings.len());
    for reading in &recording.readings {
        while recording.truth[index].end_s <= at(reading) {
            index += 1;
        }
        all.push((recording.truth[index].doing, reading));
    }
    all
}

fn share(flags: impl Iterator<Item = bool>) -> f64 {
    let (mut yes, mut all) = (0.0, 0.0);
    for flag in flags {
        yes += f64::from(u8::from(flag));
        all += 1.0;
    }
    yes / all
}

fn mean_and_sd(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (mean, (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt())
}

#[test]
fn the_same_setup_gives_the_same_recording_and_another_seed_another() {
    let setup = Setup { days: 2, ..Setup::default() };
    assert_eq!(record(&setup, 3), record(&setup, 3));
    assert_ne!(record(&Setup { seed: 2, ..setup.clone() }, 3).readings, record(&setup, 3).readings);
    assert_ne!(record(&setup, 4).readings, record(&setup, 3).readings);
}

#[test]
fn readings_and_truth_are_in_order_and_whole() {
    for recording in some(&Setup { days: 4, injections: vec![Injection::Breathing], ..Setup::default() }) {
        assert!(recording.readings.windows(2).all(|pair| pair[0].at_us < pair[1].at_us));
        assert_eq!(recording.readings.len(), recording.away_m.len());
        assert!(recording.truth.windows(2).all(|pair| pair[0].end_s == pair[1].start_s));
        assert_eq!(recording.truth[0].start_s, EPOCH_S);
        assert_eq!(recording.truth.last().unwrap().end_s, EPOCH_S + 4 * DAY_S);
        let expected = 4.0 * DAY_S as f64 / f64::from(recording.interval_s);
        assert!(recording.readings.len() as f64 > 0.8 * expected);
    }
}

#[test]
fn heart_rate_is_missing_as_often_as_it_is_set_up_to() {
    for (missing, range) in [(0.43, 0.40..0.46), (0.40, 0.37..0.43)] {
        let recordings = some(&Setup { days: 4, interval_s: Some(15), missing, ..Setup::default() });
        let worn = recordings.iter().flat_map(seen).filter(|(doing, _)| *doing != Doing::OffCollar);
        let found = share(worn.map(|(_, reading)| reading.heart_rate.is_none()));
        assert!(range.contains(&found), "{missing}: {found}");
    }
}

#[test]
fn resting_heart_rates_vary_as_the_recorded_dogs_did() {
    let recordings = some(&Setup { days: 4, interval_s: Some(30), missing: 0.2, ..Setup::default() });
    let mut sds: BTreeMap<Doing, Vec<f64>> = BTreeMap::new();
    for recording in recordings.iter().filter(|recording| recording.pet.species == Species::Dog) {
        let all = seen(recording);
        // Ten readings of 30 s, as a recording of five minutes was cut.
        for window in all.chunks(10) {
            let doing = window[0].0;
            let rates: Vec<f64> = window.iter().filter_map(|(_, reading)| reading.heart_rate).collect();
            if window.iter().all(|(other, _)| *other == doing) && rates.len() >= 7 {
                sds.entry(doing).or_default().push(mean_and_sd(&rates).1);
            }
        }
    }
    let median = |doing: Doing| {
        let mut values = sds[&doing].clone();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let (asleep, lying) = (median(Doing::Asleep), median(Doing::Lying));
    assert!((2.5..4.5).contains(&asleep) && (3.5..8.0).contains(&lying), "{asleep} {lying}");
}

#[test]
fn levels_say_roughly_what_is_done() {
    let recordings = some(&Setup { days: 4, interval_s: Some(10), ..Setup::default() });
    let mut levels: BTreeMap<Doing, Vec<u8>> = BTreeMap::new();
    for (doing, reading) in recordings.iter().flat_map(seen) {
        levels.entry(doing).or_default().extend(reading.level);
    }
    let of = |doing: Doing, level: u8| share(levels[&doing].iter().map(|found| *found == level));
    assert!(of(Doing::Asleep, 0) > 0.97, "{}", of(Doing::Asleep, 0));
    assert!((0.85..0.99).contains(&of(Doing::Lying, 0)), "{}", of(Doing::Lying, 0));
    assert!(of(Doing::Walking, 1) > 0.85 && of(Doing::Pacing, 1) > 0.85);
    assert!((0.5..0.95).contains(&of(Doing::About, 1)), "{}", of(Doing::About, 1));
    assert!(of(Doing::Running, 2) > 0.85);
    assert!(of(Doing::Fetching, 2) > 0.35 && of(Doing::Fetching, 0) > 0.02, "{}", of(Doing::Fetching, 0));
    assert!((of(Doing::OffCollar, 0) - 1.0).abs() < 1e-9);
}

#[test]
fn fixes_err_as_much_as_they_say_with_outliers_that_do_not_know_it() {
    let recordings = some(&Setup { days: 4, interval_s: Some(15), ..Setup::default() });
    let (mut within, mut far, mut outdoors, mut sure) = (0.0, 0.0, 0.0, 0.0);
    for recording in &recordings {
        let pet = &recording.pet;
        for ((doing, reading), away_m) in seen(recording).iter().zip(&recording.away_m) {
            let outside = *away_m > 30.0 && *doing != Doing::OffCollar;
            let Some(fix) = reading.fix.filter(|_| outside) else { continue };
            let north = (fix.latitude - pet.latitude) * 111_195.08;
            let east = (fix.longitude - pet.longitude) * 111_195.08 * pet.latitude.to_radians().cos();
            // Only the distance from home is known, so this is the error along it.
            let error = (north.hypot(east) - away_m).abs();
            outdoors += 1.0;
            within += f64::from(u8::from(error <= fix.accuracy_m));
            far += f64::from(u8::from(error > 35.0));
            sure += f64::from(u8::from(error > 35.0 && fix.accuracy_m < 15.0));
        }
    }
    assert!(outdoors > 1_000.0);
    assert!((0.75..0.95).contains(&(within / outdoors)), "{}", within / outdoors);
    assert!((0.002..0.012).contains(&(far / outdoors)), "{}", far / outdoors);
    assert!(sure > 0.0 && sure < far);
}

#[test]
fn pets_go_out_and_come_home_without_leaping() {
    for recording in some(&Setup { days: 4, interval_s: Some(5), ..Setup::default() }) {
        let mut last: Option<(i64, f64)> = None;
        for (reading, away_m) in recording.readings.iter().zip(&recording.away_m) {
            if let Some((at, before)) = last {
                let seconds = ((reading.at_us - at) as f64 / 1e6 + 1.0).ceil();
                assert!((away_m - before).abs() <= seconds * 7.0, "{before} to {away_m} in {seconds} s");
            }
            last = Some((reading.at_us, *away_m));
        }
        let farthest = recording.away_m.iter().copied().fold(0.0, f64::max);
        assert!(farthest < 5_000.0, "{farthest}");
        if recording.pet.species == Species::Dog {
            assert!(farthest > 150.0, "{farthest}");
        }
        let asleep_out = seen(&recording)
            .iter()
            .zip(&recording.away_m)
            .filter(|((doing, _), away_m)| *doing == Doing::Asleep && **away_m > 20.0)
            .count();
        assert!(asleep_out < recording.readings.len() / 1_000, "{asleep_out}");
    }
}

#[test]
fn what_is_injected_shows_in_the_readings_and_nowhere_else() {
    let injections = vec![Injection::HeartRate, Injection::Breathing, Injection::Exit];
    let setup = Setup { days: 10, interval_s: Some(15), injections, ..Setup::default() };
    for recording in (0..4).map(|number| record(&setup, number)) {
        let all = seen(&recording);
        for event in &recording.events {
            let during =
                |reading: &Reading| (event.start_s..event.end_s).contains(&(reading.at_us / 1_000_000));
            match event.injection {
                Injection::HeartRate => {
                    let rates = |inside: bool| {
                        let lying = all
                            .iter()
                            .filter(|(doing, reading)| *doing == Doing::Lying && during(reading) == inside);
                        mean_and_sd(&lying.filter_map(|(_, reading)| reading.heart_rate).collect::<Vec<_>>())
                            .0
                    };
                    let ratio = rates(true) / rates(false);
                    assert!((1.4..1.75).contains(&ratio), "{ratio}");
                }
                Injection::Breathing => {
                    let breaths: Vec<f64> = all
                        .iter()
                        .filter(|(_, reading)| during(reading))
                        .filter_map(|(_, reading)| reading.respiratory_rate)
                        .collect();
                    let (mean, _) = mean_and_sd(&breaths);
                    assert!(breaths.len() > 15 && (mean - 40.0).abs() < 2.0, "{mean} of {}", breaths.len());
                }
                Injection::Exit => {
                    let inside = recording
                        .readings
                        .iter()
                        .zip(&recording.away_m)
                        .filter(|(reading, _)| during(reading));
                    let farthest = inside.map(|(_, away_m)| *away_m).fold(0.0, f64::max);
                    assert_eq!(whole(farthest.round()), 150);
                }
            }
        }
        let healthy = record(&Setup { injections: Vec::new(), ..setup.clone() }, recording.pet.number);
        assert!(healthy.events.is_empty());
        let asleep = seen(&healthy).into_iter().filter(|(doing, _)| *doing == Doing::Asleep);
        let fast = share(asleep.filter_map(|(_, reading)| reading.respiratory_rate).map(|rate| rate > 30.0));
        assert!(fast < 0.05, "{fast}");
    }
}

#[test]
fn sleeping_dogs_breathe_13_times_a_minute_and_every_label_occurs() {
    let recordings = some(&Setup { days: 7, interval_s: Some(15), ..Setup::default() });
    let breaths: Vec<f64> = recordings
        .iter()
        .filter(|recording| recording.pet.species == Species::Dog)
        .flat_map(seen)
        .filter(|(doing, _)| *doing == Doing::Asleep)
        .filter_map(|(_, reading)| reading.respiratory_rate)
        .collect();
    let (mean, _) = mean_and_sd(&breaths);
    assert!((mean - 13.0).abs() < 2.0, "{mean}");
    let labels: std::collections::BTreeSet<Label> =
        recordings.iter().flat_map(seen).map(|(doing, _)| doing.label()).collect();
    assert_eq!(labels.len(), Label::ALL.len());
}

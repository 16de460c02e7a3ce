//! How often alerts are raised for nothing, and how soon for something: the service's own watch and machine, over made-up pets.
//!
//! Invariant: what is raised is what the service would raise of readings that arrive when they are taken; a true exit of a healthy
//! pet, as every walk is, is no false alarm, and neither is silence where there was nothing to hear.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use petty_behavior::domain::alerts::machine::{Alert, Settings, Status, on_signal};
use petty_behavior::domain::alerts::{Context, Kind, Report, Watch};
use petty_behavior::domain::v1::{Own, owns};
use petty_behavior::domain::zone::{Place, Shape, Zone};
use petty_scenarios::{Doing, Event, Injection, Recording, Setup, record};
use uuid::Uuid;

use crate::classifier::{Input, position};
use crate::rate_bound;

/// The safe zone about each home, metres, and what it allows beyond.
pub(crate) const RADIUS_M: f64 = 60.0;
pub(crate) const BUFFER_M: f64 = 15.0;
/// What is found is found by then after its end, seconds.
const LATE_S: i64 = 1_800;
/// An average month, days.
const MONTH_DAYS: f64 = 365.25 / 12.0;

/// What was found of one kind of effect.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Which.
    pub injection: Injection,
    /// In how many pets it was put whose collar was on them, and said something, for half of it at least.
    pub pets: usize,
    /// In how many others.
    pub unseen: usize,
    /// From its begin to the alert, minutes, of those in which it was found.
    pub delays: Vec<f64>,
}

impl Found {
    /// The median delay, minutes; `None` where it was never found.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        petty_behavior::domain::history::median(&self.delays)
    }
}

/// What alerts did.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarms {
    /// How long healthy pets were watched, in months of one.
    pub pet_months: f64,
    /// By kind: raised for nothing.
    pub false_alarms: BTreeMap<Kind, u32>,
    /// The same by the collar's interval, seconds, with its pet-months.
    pub by_interval: BTreeMap<u32, (u32, f64)>,
    /// By animal, of those that had any.
    pub by_animal: BTreeMap<u32, u32>,
    /// By kind of effect.
    pub found: Vec<Found>,
    /// Each false alarm and each effect that was not found, in words: for whoever looks for the cause.
    pub notes: Vec<String>,
}

impl Alarms {
    /// False alarms per pet-month, and the upper bound of 95 %.
    #[must_use]
    pub fn rate(&self) -> (f64, f64) {
        let count: u32 = self.false_alarms.values().sum();
        (f64::from(count) / self.pet_months, rate_bound(count, self.pet_months))
    }

    /// The share of effects that were found.
    #[must_use]
    pub fn share_found(&self) -> f64 {
        let (found, all) =
            self.found.iter().fold((0, 0), |(found, all), one| (found + one.delays.len(), all + one.pets));
        found as f64 / all.max(1) as f64
    }
}

/// Over so many healthy pets, and as many with each effect.
pub fn alarms(setup: &Setup, pets: u32, interval: impl Fn(u32) -> u32, mut after: impl FnMut()) -> Alarms {
    let (false_alarms, found, notes) = (BTreeMap::new(), Vec::new(), Vec::new());
    let (by_interval, by_animal) = (BTreeMap::new(), BTreeMap::new());
    let mut alarms = Alarms { pet_months: 0.0, false_alarms, by_interval, by_animal, found, notes };
    let of = |injections: Vec<Injection>, number: u32| {
        record(&Setup { interval_s: Some(interval(number)), injections, ..setup.clone() }, number)
    };
    for number in 0..pets {
        let recording = of(Vec::new(), number);
        let months = f64::from(setup.days) / MONTH_DAYS;
        alarms.pet_months += months;
        alarms.by_interval.entry(recording.interval_s).or_default().1 += months;
        for alert in raised(&recording) {
            if is_false(&recording, &alert) {
                *alarms.false_alarms.entry(alert.kind).or_default() += 1;
                alarms.by_interval.entry(recording.interval_s).or_default().0 += 1;
                *alarms.by_animal.entry(number).or_default() += 1;
                alarms.notes.push(note(&recording, alert.kind, alert.raised_at.as_second(), &alert.evidence));
            }
        }
        after();
    }
    for injection in [Injection::HeartRate, Injection::Breathing, Injection::Exit] {
        let mut found = Found { injection, pets: 0, unseen: 0, delays: Vec::new() };
        for number in 0..pets {
            let recording = of(vec![injection], number);
            let kind = match injection {
                Injection::HeartRate => Kind::RestingHeartRateHigh,
                Injection::Breathing => Kind::RespiratoryRateHigh,
                Injection::Exit => Kind::SafeZoneLeft,
            };
            let alerts = raised(&recording);
            for event in &recording.events {
                if !is_seen(&recording, event) {
                    found.unseen += 1;
                    continue;
                }
                found.pets += 1;
                let within = |alert: &&Alert| {
                    let at = alert.raised_at.as_second();
                    alert.kind == kind && (event.start_s..event.end_s + LATE_S).contains(&at)
                };
                let delay =
                    alerts.iter().find(within).map(|alert| alert.raised_at.as_second() - event.start_s);
                found.delays.extend(delay.map(|seconds| seconds as f64 / 60.0));
                if delay.is_none() {
                    alarms.notes.push(note(&recording, kind, event.start_s, &[]));
                }
            }
            after();
        }
        alarms.found.push(found);
    }
    alarms
}

/// Every alert of a recording, as it was raised.
fn raised(recording: &Recording) -> Vec<Alert> {
    let input = Input::of(recording);
    let species = input.params.species;
    let owns = owns(species, &input.readings);
    let place = Place { latitude: recording.pet.latitude, longitude: recording.pet.longitude };
    let home = Zone {
        id: Uuid::nil(),
        version: 1,
        shape: Shape::Circle { center: place, radius_m: RADIUS_M },
        buffer_m: BUFFER_M,
        hours: Vec::new(),
    };
    let (mut watch, settings) = (Watch::default(), Settings::default());
    let mut last: BTreeMap<Kind, Alert> = BTreeMap::new();
    let mut raised = Vec::new();
    for reading in &recording.readings {
        let Ok(at) = Timestamp::from_microsecond(reading.at_us) else { continue };
        let own = owns.range(..=reading.at_us).next_back().map_or(Own::prior(species), |(_, own)| *own);
        let report = Report {
            at,
            collar: 1,
            heart_rate: reading.heart_rate,
            activity_level: reading.level,
            position: reading.fix.map(position),
            respiratory_rate: reading.respiratory_rate,
            temperature: None,
            battery: None,
        };
        let context = Context { species, zone: &TimeZone::UTC, zones: std::slice::from_ref(&home), own };
        for signal in watch.take(&context, &[report], reading.at_us) {
            let before = last.get(&signal.kind);
            let next = on_signal(before, &settings, &signal, (at, &TimeZone::UTC), Uuid::nil());
            if let Some(alert) = next {
                if alert.status == Status::Raised && alert.version == 1 {
                    raised.push(alert.clone());
                }
                last.insert(signal.kind, alert);
            }
        }
    }
    raised
}

/// An alert, or its absence where there is no evidence, with what the pet was and did.
fn note(recording: &Recording, kind: Kind, at_s: i64, evidence: &[(String, f64)]) -> String {
    let pet = &recording.pet;
    let doing = recording.truth.iter().find(|stretch| stretch.end_s > at_s).map(|stretch| stretch.doing);
    let nth = recording.readings.partition_point(|reading| reading.at_us.div_euclid(1_000_000) < at_s);
    let away = recording.away_m.get(nth).copied().unwrap_or_default();
    format!(
        "{} {} pet {} ({:?}, {} s): hour {:.1}, {doing:?}, {away:.0} m from home, asleep {:.0} bpm {:.0} breaths: {evidence:?}",
        if evidence.is_empty() { "not found" } else { "false" },
        kind.slug(),
        pet.number,
        pet.species,
        recording.interval_s,
        (at_s - petty_scenarios::EPOCH_S) as f64 / 3_600.0,
        pet.asleep_bpm,
        pet.asleep_breaths,
    )
}

/// Whether readings of the pet itself cover half of an effect at least: a collar on a table, or out of reach, can find nothing.
fn is_seen(recording: &Recording, event: &Event) -> bool {
    let on = |at_s: i64| {
        let stretch = recording.truth.iter().find(|stretch| stretch.start_s <= at_s && at_s < stretch.end_s);
        stretch.is_some_and(|stretch| stretch.doing != Doing::OffCollar)
    };
    let within = recording.readings.iter().map(|reading| reading.at_us.div_euclid(1_000_000));
    let within = within.filter(|at_s| (event.start_s..event.end_s).contains(at_s));
    let seen = i64::try_from(within.filter(|at_s| on(*at_s)).count()).unwrap_or(i64::MAX);
    2 * seen * i64::from(recording.interval_s) >= event.end_s - event.start_s
}

/// Raised of a healthy pet: all but a true exit.
fn is_false(recording: &Recording, alert: &Alert) -> bool {
    let at = alert.raised_at.as_microsecond();
    let away = recording.readings.iter().zip(&recording.away_m).find(|(reading, _)| reading.at_us == at);
    alert.kind != Kind::SafeZoneLeft || away.is_none_or(|(_, away)| *away <= RADIUS_M)
}

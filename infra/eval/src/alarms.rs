//! How often alerts are raised for nothing, and how soon for something: all that the service raises them by, over made-up pets.
//!
//! Invariant: what is raised is what the service would raise of readings that arrive when they are taken (`watched.rs`); what an
//! alert says and is so is no false alarm, though the pet be healthy: a walk is an exit, and a collar that was out of reach or on its charger
//! was silent. Everything else that is raised of a healthy pet is one.

use std::collections::BTreeMap;

use petty_behavior::domain::alerts::machine::Alert;
use petty_behavior::domain::alerts::{Kind, SILENT_LEAST};
use petty_scenarios::collar::{Away, Collar};
use petty_scenarios::{Doing, EPOCH_S, Event, Injection, Recording, Setup, record};

use crate::rate_bound;
use crate::watched::{Watched, watched};

/// The safe zone about each home, metres, and what it allows beyond.
pub(crate) const RADIUS_M: f64 = 60.0;
pub(crate) const BUFFER_M: f64 = 15.0;
/// What is found is found by then after its end, seconds.
const LATE_S: i64 = 1_800;
/// An average month, days.
pub(crate) const MONTH_DAYS: f64 = 365.25 / 12.0;
/// Healthy pets are watched for eight weeks: the heart rate's trend can be raised from the 30th day on, and looks back 40.
pub const WATCHED_DAYS: u32 = 56;
/// From then on every kind can be raised.
pub const ALL_DAYS: u32 = 40;
/// What collars of made-up pets do not report: these kinds cannot be raised.
pub const UNMEASURED: [Kind; 2] = [Kind::BatteryLow, Kind::Temperature];

/// A kind's name in tables.
#[must_use]
pub const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::RestingHeartRateHigh => "resting heart rate high",
        Kind::HeartRateTrend => "heart rate trend",
        Kind::RespiratoryRateHigh => "respiratory rate high",
        Kind::Inactivity => "inactivity",
        Kind::NightRestlessness => "night restlessness",
        Kind::SafeZoneLeft => "safe zone left",
        Kind::SilentCollar => "silent collar",
        Kind::BatteryLow => "battery low",
        Kind::Temperature => "temperature",
    }
}

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

/// Alerts of healthy pets over some time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rate {
    /// How many were raised.
    pub raised: u32,
    /// Of these, for nothing.
    pub wrong: u32,
    /// Months of one pet in which they could be.
    pub months: f64,
}

impl Rate {
    /// False alarms per pet-month, and the upper bound of 95 %.
    #[must_use]
    pub fn wrong_a_month(&self) -> (f64, f64) {
        (f64::from(self.wrong) / self.months, rate_bound(self.wrong, self.months))
    }

    fn add(&mut self, wrong: bool) {
        self.raised += 1;
        self.wrong += u32::from(wrong);
    }
}

/// What alerts did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Alarms {
    /// Of healthy pets, all kinds together.
    pub all: Rate,
    /// The same from the day on from which every kind can be raised.
    pub late: Rate,
    /// By kind, each from when on enough was known of a pet for it.
    pub by_kind: BTreeMap<Kind, Rate>,
    /// All kinds together by the collar's interval, seconds.
    pub by_interval: BTreeMap<u32, Rate>,
    /// False alarms by animal, of those that had any.
    pub by_animal: BTreeMap<u32, u32>,
    /// By kind of effect.
    pub found: Vec<Found>,
    /// Each false alarm and each effect that was not found, in words: for whoever looks for the cause.
    pub notes: Vec<String>,
}

impl Alarms {
    /// False alarms per pet-month, upper 95 %: of all the time, or of that in which every kind could be raised, whichever is more.
    #[must_use]
    pub fn bound(&self) -> f64 {
        self.all.wrong_a_month().1.max(self.late.wrong_a_month().1)
    }

    /// The share of effects that were found.
    #[must_use]
    pub fn share_found(&self) -> f64 {
        let (found, all) =
            self.found.iter().fold((0, 0), |(found, all), one| (found + one.delays.len(), all + one.pets));
        found as f64 / all.max(1) as f64
    }

    fn add(&mut self, recording: &Recording, watched: &Watched, away: &[Away]) {
        let begin_s = |day: u32| EPOCH_S + i64::from(day) * 86_400;
        let (end_s, late_s) = (begin_s(WATCHED_DAYS), begin_s(ALL_DAYS));
        let months = |from_s: i64| (end_s - from_s).max(0) as f64 / 86_400.0 / MONTH_DAYS;
        self.all.months += months(EPOCH_S);
        self.late.months += months(late_s);
        let interval = self.by_interval.entry(recording.interval_s).or_default();
        interval.months += months(EPOCH_S);
        for (kind, since) in &watched.since {
            self.by_kind.entry(*kind).or_default().months += months(since.as_second());
        }
        for alert in &watched.alerts {
            let wrong = !is_so(recording, away, alert);
            self.all.add(wrong);
            interval.add(wrong);
            self.by_kind.entry(alert.kind).or_default().add(wrong);
            if alert.raised_at.as_second() >= late_s {
                self.late.add(wrong);
            }
            if wrong {
                *self.by_animal.entry(recording.pet.number).or_default() += 1;
                let at_s = alert.raised_at.as_second();
                self.notes.push(note(recording, alert.kind, at_s, &alert.evidence));
            }
        }
    }
}

/// Over so many healthy pets, for [`WATCHED_DAYS`], and as many with each effect, for the setup's days.
pub fn alarms(setup: &Setup, pets: u32, interval: impl Fn(u32) -> u32 + Sync) -> Alarms {
    let mut alarms = Alarms::default();
    let of = |days: u32, injections: Vec<Injection>, number: u32| {
        let setup = Setup { days, interval_s: Some(interval(number)), injections, ..setup.clone() };
        let recording = record(&setup, number);
        // What was encoded a moment before decodes.
        let watched = watched(&recording, days).expect("what is kept in memory stays as it is");
        let collar = Collar::new(&recording.pet, setup.seed, days, recording.interval_s, setup.missing);
        // Readings are many: what is to be known of them is taken out where they are.
        (recording, watched, collar.away().to_vec())
    };
    let healthy = across(pets, |number| {
        let mut one = Alarms::default();
        let (recording, watched, away) = of(WATCHED_DAYS, Vec::new(), number);
        one.add(&recording, &watched, &away);
        one
    });
    healthy.into_iter().for_each(|one| alarms.merge(one));
    for injection in [Injection::HeartRate, Injection::Breathing, Injection::Exit] {
        let each = across(pets, |number| {
            let (recording, watched, _) = of(setup.days, vec![injection], number);
            found(&recording, &watched, injection)
        });
        let mut all = Found { injection, pets: 0, unseen: 0, delays: Vec::new() };
        for (found, notes) in each {
            all.pets += found.pets;
            all.unseen += found.unseen;
            all.delays.extend(found.delays);
            alarms.notes.extend(notes);
        }
        alarms.found.push(all);
    }
    alarms
}

impl Alarms {
    fn merge(&mut self, one: Self) {
        let sum = |all: &mut Rate, one: Rate| {
            all.raised += one.raised;
            all.wrong += one.wrong;
            all.months += one.months;
        };
        sum(&mut self.all, one.all);
        sum(&mut self.late, one.late);
        one.by_kind.into_iter().for_each(|(kind, rate)| sum(self.by_kind.entry(kind).or_default(), rate));
        for (interval_s, rate) in one.by_interval {
            sum(self.by_interval.entry(interval_s).or_default(), rate);
        }
        self.by_animal.extend(one.by_animal);
        self.notes.extend(one.notes);
    }
}

/// Of each number, in order, on two threads: each pet is a world of its own.
fn across<T: Send>(numbers: u32, of: impl Fn(u32) -> T + Sync) -> Vec<T> {
    let (odd, even): (Vec<T>, Vec<T>) = std::thread::scope(|scope| {
        let odd = scope.spawn(|| (1..numbers).step_by(2).map(&of).collect());
        let even = (0..numbers).step_by(2).map(&of).collect();
        (odd.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), even)
    });
    let mut odd = odd.into_iter();
    even.into_iter().flat_map(|even| std::iter::once(even).chain(odd.next())).collect()
}

fn found(recording: &Recording, watched: &Watched, injection: Injection) -> (Found, Vec<String>) {
    let kind = match injection {
        Injection::HeartRate => Kind::RestingHeartRateHigh,
        Injection::Breathing => Kind::RespiratoryRateHigh,
        Injection::Exit => Kind::SafeZoneLeft,
    };
    let mut found = Found { injection, pets: 0, unseen: 0, delays: Vec::new() };
    let mut notes = Vec::new();
    for event in &recording.events {
        if !is_seen(recording, event) {
            found.unseen += 1;
            continue;
        }
        found.pets += 1;
        let within = |alert: &&Alert| {
            let at = alert.raised_at.as_second();
            alert.kind == kind && (event.start_s..event.end_s + LATE_S).contains(&at)
        };
        let delay = watched.alerts.iter().find(within);
        let delay = delay.map(|alert| alert.raised_at.as_second() - event.start_s);
        found.delays.extend(delay.map(|seconds| seconds as f64 / 60.0));
        if delay.is_none() {
            notes.push(note(recording, kind, event.start_s, &[]));
        }
    }
    (found, notes)
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

/// Whether what an alert says is so, of a healthy pet: it was out of its zone; its collar was where it could say nothing.
fn is_so(recording: &Recording, away: &[Away], alert: &Alert) -> bool {
    let at = alert.raised_at.as_microsecond();
    match alert.kind {
        Kind::SafeZoneLeft => {
            let nth = recording.readings.partition_point(|reading| reading.at_us < at);
            recording.away_m.get(nth).is_some_and(|away| *away > RADIUS_M)
        }
        Kind::SilentCollar => {
            // Until its next reading, which is as far from what came before as the next may be, and one is lost now and then.
            let slack_s = 3 * i64::from(recording.interval_s);
            let long = |away: &Away| (away.end_s - away.start_s + slack_s) * 1_000_000 >= SILENT_LEAST;
            let silent = away.iter().filter(|away| !away.reports && long(away));
            let at_s = alert.raised_at.as_second();
            silent.into_iter().any(|away| away.start_s <= at_s && at_s < away.end_s + slack_s)
        }
        Kind::RestingHeartRateHigh
        | Kind::HeartRateTrend
        | Kind::RespiratoryRateHigh
        | Kind::Inactivity
        | Kind::NightRestlessness
        | Kind::BatteryLow
        | Kind::Temperature => false,
    }
}

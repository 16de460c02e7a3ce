//! What a collar sees of a life: a reading now and then, with holes and errors.
//!
//! Invariant: a value that was not measured is absent, never zero; nothing is measured while the collar is away or silent.

use crate::chance::{Chance, Wander};
use crate::life::Moment;
use crate::path::HOUSE_M;
use crate::physiology::Pet;
use crate::plan::whole;
use crate::{DAY_S, EPOCH_S};

/// A reading, as the collar sends it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Microseconds since 1970.
    pub at_us: i64,
    /// Beats a minute.
    pub heart_rate: Option<f64>,
    /// 0 rest, 1 moderate, 2 high: since the reading before.
    pub level: Option<u8>,
    /// Breaths a minute; only of a pet at rest.
    pub respiratory_rate: Option<f64>,
    /// Where it was.
    pub fix: Option<Fix>,
}

/// A fix, WGS 84.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fix {
    /// Degrees.
    pub latitude: f64,
    /// Degrees.
    pub longitude: f64,
    /// What the receiver says its radius of error is, metres.
    pub accuracy_m: f64,
}

/// A span without readings, or with the collar on a table; seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Away {
    /// From.
    pub start_s: i64,
    /// To.
    pub end_s: i64,
    /// Whether it goes on reporting.
    pub reports: bool,
    /// Whether it is off the pet; else only out of reach.
    pub off: bool,
}

/// Metres in a degree of latitude, on the mean sphere.
const DEGREE_M: f64 = 111_195.08;
/// Where the collar's levels part, of the effort's mean since the reading before: between lying and a walk, between a walk and a trot.
const MODERATE: f64 = 0.12;
const HIGH: f64 = 0.50;
/// An activity level is missing this often (~).
const LEVEL_MISSING: f64 = 0.03;
/// Measured heart rates that are wrong: 2.75 % of beat intervals are implausible (Jarkoff 2023), some of which an average hides.
const WRONG: f64 = 0.02;
/// Fixes that are wrong, by far: multipath, a cold start (~).
const OUTLIER: f64 = 0.01;
/// A reading that is lost on its way (~).
const LOST: f64 = 0.01;

/// A collar at work.
#[derive(Debug)]
pub struct Collar {
    chance: Chance,
    interval_s: f64,
    gain: f64,
    /// Good or poor contact of the heart sensor, and for how long yet.
    contact: bool,
    contact_left: f64,
    poor_share: f64,
    drift: (Wander, Wander),
    effort: f64,
    seconds: f64,
    next_s: f64,
    away: Vec<Away>,
}

impl Collar {
    /// Of a pet; heart rate is missing from that share of the readings.
    #[must_use]
    pub fn new(pet: &Pet, seed: u64, days: u32, interval_s: u32, missing: f64) -> Self {
        let mut chance = Chance::of(&[seed, u64::from(pet.number), 6]);
        let away = away(&mut chance, days);
        // A receiver's error wanders over a minute (~).
        let drift = (Wander::new(60.0, &mut chance), Wander::new(60.0, &mut chance));
        let gain = chance.spread(1.0, 0.08);
        let phase = chance.unit() * f64::from(interval_s);
        Self {
            chance,
            interval_s: f64::from(interval_s),
            gain,
            contact: true,
            contact_left: 0.0,
            // Still, 12 % is missing with good contact and 88 % with poor; moving more of it: 3 % over a usual day.
            poor_share: ((missing - 0.15) / 0.73).clamp(0.0, 0.95),
            drift,
            effort: 0.0,
            seconds: 0.0,
            next_s: phase,
            away,
        }
    }

    /// The spans without the pet or without readings.
    #[must_use]
    pub fn away(&self) -> &[Away] {
        &self.away
    }

    /// The moment of that second (since 1970), and the reading that falls into it, if one does.
    pub fn see(&mut self, pet: &Pet, at_s: i64, moment: &Moment) -> Option<Reading> {
        let drift = (self.drift.0.step(&mut self.chance), self.drift.1.step(&mut self.chance));
        self.feel(moment.effort);
        let since = (at_s - EPOCH_S) as f64;
        if since < self.next_s {
            return None;
        }
        // Clocks of collars are not quite even.
        self.next_s += self.interval_s * (1.0 + 0.01 * self.chance.bell());
        let effort = self.effort / self.seconds.max(1.0) * self.gain;
        (self.effort, self.seconds) = (0.0, 0.0);
        let at_us = at_s * 1_000_000 + whole(self.chance.unit() * 1e6);
        let (lost, level_there) = (self.chance.happens(LOST), !self.chance.happens(LEVEL_MISSING));
        let away = self.away.iter().find(|away| away.start_s <= at_s && at_s < away.end_s).copied();
        match away {
            Some(Away { reports: false, .. }) => None,
            _ if lost => None,
            Some(_) => Some(Reading {
                at_us,
                heart_rate: None,
                level: level_there.then_some(0),
                respiratory_rate: None,
                fix: self.fix(pet, (0.0, 0.0), drift),
            }),
            None => {
                let heart_rate = self.heart_rate(moment);
                let still = effort < 0.06;
                let breathes = still && self.contact && self.chance.happens(0.5);
                Some(Reading {
                    at_us,
                    heart_rate,
                    level: level_there.then_some(self.level(effort)),
                    respiratory_rate: breathes.then(|| tenth(moment.breaths + self.chance.bell())),
                    fix: self.fix(pet, (moment.east_m, moment.north_m), drift),
                })
            }
        }
    }

    fn feel(&mut self, effort: f64) {
        self.effort += effort;
        self.seconds += 1.0;
        self.contact_left -= 1.0;
        if self.contact_left <= 0.0 {
            // Poor spells of two minutes: collars' heart rates are poor over two minutes (domain.md).
            self.contact = !self.contact;
            let (poor, share) = (120.0, self.poor_share.max(0.01));
            self.contact_left =
                self.chance.wait(if self.contact { poor * (1.0 - share) / share } else { poor });
        }
    }

    fn level(&mut self, effort: f64) -> u8 {
        match effort + 0.015 * self.chance.bell() {
            high if high >= HIGH => 2,
            moderate if moderate >= MODERATE => 1,
            _ => 0,
        }
    }

    fn heart_rate(&mut self, moment: &Moment) -> Option<f64> {
        let missing = if self.contact { 0.12 + 0.5 * moment.effort } else { 0.88 };
        if self.chance.happens(missing) {
            return None;
        }
        let bpm = match self.chance.unit() {
            wrong if wrong < WRONG / 3.0 => moment.bpm * 2.0,
            wrong if wrong < WRONG * 2.0 / 3.0 => moment.bpm / 2.0,
            wrong if wrong < WRONG => self.chance.between(35.0, 240.0),
            _ => moment.bpm + self.chance.normal(0.0, 1.0),
        };
        Some(tenth(bpm.clamp(30.0, 300.0)))
    }

    /// Under the open sky 4.9 m (GPS.gov, radius of 68 % ~), within the house several times that, and often none.
    fn fix(&mut self, pet: &Pet, at: (f64, f64), drift: (f64, f64)) -> Option<Fix> {
        let indoors = at.0.hypot(at.1) < 2.0 * HOUSE_M;
        if !self.chance.happens(if indoors { 0.45 } else { 0.93 }) {
            return None;
        }
        let radius = if indoors { self.chance.spread(12.0, 0.35) } else { self.chance.spread(4.9, 0.25) };
        // 68 % within the radius: an SD of two thirds of it on each axis. Most of the error wanders, a third of it is white.
        let sd = radius / 1.51;
        let mut east = at.0 + sd * (0.94 * drift.0 + 0.33 * self.chance.bell());
        let mut north = at.1 + sd * (0.94 * drift.1 + 0.33 * self.chance.bell());
        let mut accuracy_m = self.chance.spread(radius, 0.2);
        if self.chance.happens(OUTLIER) {
            let (far, angle) =
                (40.0 + self.chance.wait(90.0), self.chance.between(0.0, std::f64::consts::TAU));
            east += far * angle.cos();
            north += far * angle.sin();
            // Half of them do not know it.
            if self.chance.happens(0.5) {
                accuracy_m = far * self.chance.between(0.5, 1.2);
            }
        }
        Some(Fix {
            latitude: pet.latitude + north / DEGREE_M,
            longitude: pet.longitude + east / (DEGREE_M * pet.latitude.to_radians().cos()),
            accuracy_m: tenth(accuracy_m),
        })
    }
}

/// Charging every two to four days, an hour or two; out of reach now and then. Plain guesses (~).
fn away(chance: &mut Chance, days: u32) -> Vec<Away> {
    let mut away = Vec::new();
    let end = i64::from(days) * DAY_S;
    let mut charge = whole(chance.between(0.5, 3.0) * DAY_S as f64);
    while charge < end {
        let long = whole(chance.between(1.0, 2.2) * 3_600.0);
        let start_s = EPOCH_S + charge;
        away.push(Away { start_s, end_s: start_s + long, reports: chance.happens(0.5), off: true });
        charge += long + whole(chance.between(2.0, 4.0) * DAY_S as f64);
    }
    // 1.2 times a day, for minutes, sometimes for hours.
    let mut lost = whole(chance.wait(0.8) * DAY_S as f64);
    while lost < end {
        let long = whole(chance.spread(300.0, 1.1)).min(4 * 3_600);
        let start_s = EPOCH_S + lost;
        if !away.iter().any(|other| other.start_s < start_s + long && start_s < other.end_s) {
            away.push(Away { start_s, end_s: start_s + long, reports: false, off: false });
        }
        lost += long + whole(chance.wait(0.8) * DAY_S as f64);
    }
    away.sort_by_key(|away| away.start_s);
    away
}

fn tenth(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

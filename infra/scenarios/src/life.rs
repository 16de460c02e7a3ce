//! A pet's days second by second: how hard it moves, how its heart beats, how it breathes, where it is.
//!
//! Invariant: moments come in order, one for each second of the plan; each depends on the ones before it, as in a body: the
//! heart follows the effort up within seconds and down within a minute, moods drift over a quarter of an hour.

use crate::chance::{Chance, Wander};
use crate::doing::Doing;
use crate::path::{Path, Step};
use crate::physiology::{Pet, Species};
use crate::plan::{Injection, Plan};

/// A second of a life.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// What is going on.
    pub doing: Doing,
    /// How hard it moves: 0 still, 1 the gallop.
    pub effort: f64,
    /// Mean heart rate of about the last 30 s, bpm: what a collar can know.
    pub bpm: f64,
    /// Breaths a minute.
    pub breaths: f64,
    /// Metres east of home.
    pub east_m: f64,
    /// Metres north of home.
    pub north_m: f64,
    /// Metres from home.
    pub away_m: f64,
}

/// The heart rate's rise and fall after a change of effort, seconds (~): dogs at the trot are steady within half a minute and
/// rested within a few.
const RISE_S: f64 = 12.0;
const FALL_S: f64 = 50.0;
/// Falling asleep, it sinks over minutes (~).
const SINK_S: f64 = 150.0;
/// Breath comes and settles, seconds (~).
const BREATH_S: f64 = 30.0;
/// A mood's memory and what it does, bpm at 60: with the doings' own differences it makes up the SD of 6.4 between
/// recordings of one dog (Jarkoff 2023).
const MOOD_S: f64 = 900.0;
const MOOD_BPM: f64 = 2.5;

/// A life being lived.
#[derive(Debug)]
pub struct Life<'a> {
    pet: &'a Pet,
    plan: &'a Plan,
    chance: Chance,
    at_s: i64,
    index: usize,
    path: Path,
    moving: bool,
    /// Seconds until a pause begins or ends.
    toggle_in: f64,
    level_bpm: f64,
    level_breaths: f64,
    mood: Wander,
    /// Overlapping means of 30 s forget within half of that.
    beat: Wander,
    vigour: Wander,
    breath: Wander,
}

impl<'a> Life<'a> {
    /// From the first second of a plan on.
    #[must_use]
    pub fn new(pet: &'a Pet, plan: &'a Plan, seed: u64) -> Self {
        let mut chance = Chance::of(&[seed, u64::from(pet.number), 5]);
        let [mood, beat, vigour, breath] =
            [MOOD_S, 15.0, 6.0, 60.0].map(|memory| Wander::new(memory, &mut chance));
        let at_s = plan.stretches.first().map_or(0, |stretch| stretch.start_s);
        let (path, level_bpm) = (Path::new(), pet.resting_bpm);
        Self {
            pet,
            plan,
            chance,
            at_s,
            index: 0,
            path,
            moving: false,
            toggle_in: 0.0,
            level_bpm,
            level_breaths: pet.asleep_breaths,
            mood,
            beat,
            vigour,
            breath,
        }
    }

    fn injected(&self, injection: Injection) -> bool {
        self.plan.events.iter().any(|event| {
            event.injection == injection && event.start_s <= self.at_s && self.at_s < event.end_s
        })
    }
}

impl Iterator for Life<'_> {
    type Item = Moment;

    fn next(&mut self) -> Option<Moment> {
        let mut stretch = self.plan.stretches.get(self.index)?;
        let mut begins = self.at_s == stretch.start_s;
        if self.at_s >= stretch.end_s {
            self.index += 1;
            stretch = self.plan.stretches.get(self.index)?;
            begins = true;
        }
        let (doing, kinetics) = (stretch.doing, stretch.doing.kinetics());
        if begins {
            self.path.begin(doing, &mut self.chance);
            self.moving = kinetics.pause_s <= 0.0 || kinetics.moving_s > kinetics.pause_s;
            self.toggle_in = self.chance.wait(if self.moving { kinetics.moving_s } else { kinetics.pause_s });
        }
        if self.toggle_in <= 0.0 && kinetics.pause_s > 0.0 {
            self.moving = !self.moving;
            self.toggle_in = self.chance.wait(if self.moving { kinetics.moving_s } else { kinetics.pause_s });
        }
        self.toggle_in -= 1.0;

        let vigour = 1.0 + 0.18 * self.vigour.step(&mut self.chance);
        let step = Step {
            doing,
            moving: self.moving,
            speed: self.pet.walk_mps * kinetics.pace * vigour.max(0.3),
            home_in: stretch.home_s.map(|home| (home - self.at_s) as f64),
            exit: self.injected(Injection::Exit),
        };
        let thrown = self.path.step(step, &mut self.chance);
        let effort = thrown.unwrap_or(if self.moving { kinetics.effort } else { kinetics.pause_effort });
        let effort = (effort * vigour).clamp(0.0, 1.0);

        let bpm = self.heart(doing, effort, kinetics.arousal, kinetics.sd_bpm);
        let breaths = self.breathe(doing, effort);
        let (east_m, north_m) = self.path.at();
        self.at_s += 1;
        Some(Moment { doing, effort, bpm, breaths, east_m, north_m, away_m: self.path.away_m() })
    }
}

impl Life<'_> {
    fn heart(&mut self, doing: Doing, effort: f64, arousal: f64, sd_bpm: f64) -> f64 {
        let asleep = doing == Doing::Asleep;
        let ill = if self.injected(Injection::HeartRate) { 1.6 } else { 1.0 };
        let rest = ill * if asleep { self.pet.asleep_bpm } else { self.pet.awake_bpm };
        let reserve = (self.pet.most_bpm - rest).max(0.0);
        let target = rest + reserve * effort.powf(1.3) + self.pet.resting_bpm * arousal;
        let within = match (target > self.level_bpm, asleep) {
            (true, _) => RISE_S,
            (false, true) => SINK_S,
            (false, false) => FALL_S,
        };
        self.level_bpm += (target - self.level_bpm) / within;
        // A cat's heart varies less than a dog's, whose breath speeds and slows it (~).
        let species = match self.pet.species {
            Species::Dog => 1.0,
            Species::Cat => 0.8,
        };
        let mood = self.mood.step(&mut self.chance) * MOOD_BPM * self.pet.resting_bpm / 60.0;
        let beat = self.beat.step(&mut self.chance) * sd_bpm * species * self.pet.variability;
        (self.level_bpm + mood + beat).clamp(30.0, 300.0)
    }

    fn breathe(&mut self, doing: Doing, effort: f64) -> f64 {
        let asleep = doing == Doing::Asleep;
        let (rate, spread) = match asleep {
            true if self.injected(Injection::Breathing) => (40.0, 1.2),
            true => (self.pet.asleep_breaths, 1.2),
            // Awake half as much again, panting at work (~).
            false => (self.pet.asleep_breaths * 1.5 + 120.0 * effort, 3.0),
        };
        self.level_breaths += (rate - self.level_breaths) / BREATH_S;
        (self.level_breaths + spread * self.breath.step(&mut self.chance)).max(5.0)
    }
}

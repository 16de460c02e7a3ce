//! Where the pet is, in metres east and north of home.
//!
//! Invariant: nobody is anywhere without having gone there: no step is longer than the pet can run.

use crate::chance::Chance;
use crate::doing::Doing;

/// The house: nobody is further from its middle inside.
pub(crate) const HOUSE_M: f64 = 7.0;
/// How far an injected exit goes.
pub(crate) const EXIT_M: f64 = 150.0;
/// How fast a pet comes home that is late, m/s: a trot.
const LATE_MPS: f64 = 2.5;

type Point = (f64, f64);

/// A game of fetch, phase by phase; throws of 12 to 45 m (~).
#[derive(Debug, Clone, Copy, PartialEq)]
enum Throw {
    Waiting(f64),
    Out,
    Picking(f64),
    Back,
}

/// A way being gone.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    at: Point,
    target: Point,
    /// Where the present stretch began.
    anchor: Point,
    heading: f64,
    /// A stroll that stays this near home.
    leash: Option<f64>,
    throw: Throw,
    homing: bool,
    /// The other end of a pacing track.
    turn: Point,
}

/// What a step needs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) doing: Doing,
    /// False during a pause.
    pub(crate) moving: bool,
    /// Metres a second, while it moves.
    pub(crate) speed: f64,
    /// Seconds until it must be home.
    pub(crate) home_in: Option<f64>,
    /// Out on its own, as injected.
    pub(crate) exit: bool,
}

impl Path {
    pub(crate) fn new() -> Self {
        Self {
            at: (0.0, 0.0),
            target: (0.0, 0.0),
            anchor: (0.0, 0.0),
            heading: 0.0,
            leash: None,
            throw: Throw::Waiting(0.0),
            homing: false,
            turn: (0.0, 0.0),
        }
    }

    pub(crate) fn at(&self) -> Point {
        self.at
    }

    pub(crate) fn away_m(&self) -> f64 {
        self.at.0.hypot(self.at.1)
    }

    /// Something new begins.
    pub(crate) fn begin(&mut self, doing: Doing, chance: &mut Chance) {
        self.anchor = self.at;
        self.target = self.at;
        self.homing = false;
        self.leash = (doing == Doing::Strolling && chance.happens(0.4)).then_some(40.0);
        self.throw = Throw::Waiting(chance.between(4.0, 12.0));
        if self.away_m() < 2.0 * HOUSE_M && doing.outdoors() {
            self.heading = chance.between(0.0, std::f64::consts::TAU);
        }
        // A track of some metres: a fence, a corridor, a room (~).
        let (angle, long) = (chance.between(0.0, std::f64::consts::TAU), chance.between(3.0, 9.0));
        self.turn = (self.at.0 + long * angle.cos(), self.at.1 + long * angle.sin());
    }

    /// A second later. Where the path itself says how hard that was (fetch), so it answers.
    pub(crate) fn step(&mut self, step: Step, chance: &mut Chance) -> Option<f64> {
        if !step.doing.outdoors() && self.away_m() > 2.0 * HOUSE_M {
            self.go((0.0, 0.0), LATE_MPS);
            return None;
        }
        if let Some(home_in) = step.home_in {
            let away = self.away_m();
            self.homing |=
                away >= home_in * step.speed * 0.8 && !matches!(step.doing, Doing::Fetching | Doing::Romping);
            if self.homing {
                let needed = away / home_in.max(1.0);
                if step.moving || needed > step.speed * 0.9 {
                    self.go((0.0, 0.0), step.speed.max(needed).min(LATE_MPS.max(step.speed)));
                }
                return None;
            }
        }
        if step.doing == Doing::Fetching {
            return Some(self.fetch(chance));
        }
        if !step.moving || step.speed <= 0.0 {
            return None;
        }
        if step.exit {
            self.go((EXIT_M * self.heading.cos(), EXIT_M * self.heading.sin()), step.speed);
            return None;
        }
        if self.is_at(self.target) {
            self.target = self.next(step.doing, chance);
        }
        self.go(self.target, step.speed);
        None
    }

    fn next(&mut self, doing: Doing, chance: &mut Chance) -> Point {
        let around = |centre: Point, radius: f64, chance: &mut Chance| {
            let angle = chance.between(0.0, std::f64::consts::TAU);
            let far = radius * chance.unit().sqrt();
            (centre.0 + far * angle.cos(), centre.1 + far * angle.sin())
        };
        match doing {
            Doing::Pacing => {
                if self.is_at(self.turn) {
                    self.anchor
                } else {
                    self.turn
                }
            }
            Doing::About | Doing::Excited => around((0.0, 0.0), HOUSE_M, chance),
            Doing::Romping if self.anchor.0.hypot(self.anchor.1) < 2.0 * HOUSE_M => {
                around((0.0, 0.0), HOUSE_M, chance)
            }
            Doing::Romping => around(self.anchor, 18.0, chance),
            Doing::Strolling if self.leash.is_some() => {
                around((0.0, 0.0), self.leash.unwrap_or(40.0), chance)
            }
            Doing::Strolling => self.onward(chance.between(8.0, 30.0), 1.2, chance),
            Doing::Running => self.onward(chance.between(100.0, 400.0), 0.5, chance),
            Doing::Walking => self.onward(chance.between(40.0, 150.0), 0.7, chance),
            Doing::Asleep
            | Doing::Lying
            | Doing::Watching
            | Doing::Eating
            | Doing::Fetching
            | Doing::OffCollar => self.at,
        }
    }

    /// Further on, with a turn of that SD, radians.
    fn onward(&mut self, metres: f64, turn: f64, chance: &mut Chance) -> Point {
        self.heading += chance.normal(0.0, turn);
        (self.at.0 + metres * self.heading.cos(), self.at.1 + metres * self.heading.sin())
    }

    fn fetch(&mut self, chance: &mut Chance) -> f64 {
        match self.throw {
            Throw::Waiting(left) if left > 0.0 => {
                self.throw = Throw::Waiting(left - 1.0);
                0.12
            }
            Throw::Waiting(_) => {
                let far = chance.between(12.0, 45.0);
                self.target = self.onward(far, 0.25, chance);
                self.throw = Throw::Out;
                0.5
            }
            Throw::Out => {
                self.go(self.target, 6.5);
                if self.is_at(self.target) {
                    self.throw = Throw::Picking(chance.between(1.0, 5.0));
                }
                0.85
            }
            Throw::Picking(left) if left > 0.0 => {
                self.throw = Throw::Picking(left - 1.0);
                0.4
            }
            Throw::Picking(_) => {
                self.throw = Throw::Back;
                0.4
            }
            Throw::Back => {
                self.go(self.anchor, 3.3);
                if self.is_at(self.anchor) {
                    // Now and then a rest.
                    let wait = if chance.happens(0.15) {
                        chance.between(20.0, 60.0)
                    } else {
                        chance.between(3.0, 14.0)
                    };
                    self.throw = Throw::Waiting(wait);
                }
                0.58
            }
        }
    }

    fn is_at(&self, point: Point) -> bool {
        (point.0 - self.at.0).hypot(point.1 - self.at.1) < 0.5
    }

    fn go(&mut self, to: Point, metres: f64) {
        let (east, north) = (to.0 - self.at.0, to.1 - self.at.1);
        let far = east.hypot(north);
        if far <= metres {
            self.at = to;
        } else {
            self.at.0 += east / far * metres;
            self.at.1 += north / far * metres;
        }
    }
}

//! The rule set, word for word, and every number in it with its source. Invariant: the code does what this text says,
//! and nothing here looks further than two hours, so that a stream can be cut.
//!
//! "domain.md" is the design's page of the field's numbers; (~) marks textbook values whose primary page was not re-read.
//!
//! # Readings and intervals
//!
//! 1. *Canonical readings.* Readings are ordered by time, truncated to the microsecond. Those within one whole second
//!    (UTC) count as one: the earliest instant; the greatest heart rate; the greatest level; the fix with the smallest stated
//!    accuracy (an unstated one is the worst; ties go to the greater latitude, then longitude).
//! 2. *Adjacent.* An interval is the time between one reading and the next. Its typical interval is the declared one, or else the
//!    lower median of the interval itself and up to four before and four after it, where on each side the counting stops at the first
//!    one longer than 10 min. Two readings are adjacent if their interval is at most 3 × typical, held between 60 s and 10 min.
//!    A maximal chain of adjacent readings is a run. Nothing below looks across the end of a run.
//! 3. Every interval of a run gets exactly one behaviour, the first that claims it in this order: Playing Fetch, Anxious
//!    Pacing, Deep Sleep, Running or Walking, Resting, Unknown. A maximal chain of intervals of one run with the same behaviour is
//!    an episode, from the first one's first reading to the last one's last reading. A lone reading makes none. An episode is open while its end is the
//!    pet's newest reading.
//!
//! # What an interval's end says
//!
//! 4. *Level.* A level describes the time since the reading before it. An interval's level is that of its second reading, or
//!    where that states none, of the first reading after it that does, in the same run and within 3 min of that second reading. Else the level is
//!    absent, which is not 0. An interval's heart rate (rule 11 only) is found the same way.
//! 5. *Fixes.* The noise of a pair of fixes is the greater of 15 m and the root of the sum of their squared stated
//!    accuracies. A pair is impossible if its distance (haversine on a sphere of 6,371,008.8 m; an accuracy that is not stated adds no noise) exceeds noise + top speed × time. A fix is a spike, and is left out, if
//!    the fix before it and the fix after it in the run, spikes or not, are each at most 10 min away, and it is impossible with both.
//! 6. *Legs.* Each remaining fix q has a leg from the latest remaining fix p at least 30 s and at most 10 min before it in the same run. The
//!    leg's speed is distance / time, or 0 if the distance is at most the noise; an impossible leg is none. It covers all
//!    intervals from p to q. An interval's speed is the greatest of the legs that cover it.
//! 7. *Gait.* An interval at level 0 is still, whatever the fixes say (a pet in a car rests). Otherwise the faster of: its
//!    speed (from `running`: Running, from `walking`: Walking), its level (2: Running, 1: Walking).
//!
//! # The behaviours
//!
//! 8. *Playing Fetch.* Among a run's readings that state a level: a cycle is a chain of consecutive level 2 readings, then any number at
//!    level 1, then one at level 0, its rest; of the chain only readings within 5 min before the rest count, and there must be one. Two
//!    consecutive cycles whose rests are at most 10 min apart claim all intervals from the first counted reading of the first to
//!    the rest of the second, if some fix of a counted level 2 reading and some fix of a rest are more than 100 m apart.
//! 9. *Anxious Pacing.* Consecutive level-stating readings of a run, each at most 10 min after the one before, from any one on to
//!    the first with which they are six or more and last 3 min or longer, all at level 1, claim the intervals between them
//!    if at least half carry a heart rate, of mean in the pacing band; and at least half carry a fix, no two more than 70 m
//!    apart. Without the 3 min, six readings 10 s apart of a straight walk would be pacing: it covers 60 m in that time.
//! 10. *Deep Sleep.* Four consecutive heart-rate readings of a run, each at most 10 min after the one before, claim the intervals between
//!     them if no reading from the first to the last states level 1 or 2, no interval between them has a gait, the four heart
//!     rates' mean lies in the sleeping band (ends included), and their population SD is under 3.
//! 11. *Running, Walking*: the gait. *Resting*: level 0, or level absent and the heart rate in the resting band. *Unknown*: the rest.
//!
//! # Confidence
//!
//! 12. Of the behaviour's signals and all the episode's readings, first and last included, s is the share present. Confidence = poor + (full − poor) × s,
//!     rounded to three decimals; the table is [`confidence`]. So Deep Sleep is 0.9 with a level on each reading and 0.6 with none.
//!
//! # Limits, stated
//!
//! The bands are priors; no personal baseline yet. A union of sleeping windows can drift by more than its windows' SD; the
//! evidence holds the episode's own. Speed between sparse fixes is a lower bound of the pet's real one.

use super::{Behavior, Species};
use crate::domain::canon::SECOND;

/// Name and version of this rule set, kept with each episode. Any change of a rule or number raises it.
pub const RULE_SET: &str = "spine/1";

/// No two readings further apart are adjacent. Of the intervals in the cats' recordings half are at most 352 s and 60 % at most
/// this (counted in McDonald & Cole 2020); beyond, the straight line says little of the way.
pub const MAX_GAP_US: i64 = 600 * SECOND;
/// Readings this close are adjacent whatever the interval: domain.md, "at 5 to 60 s".
pub const MIN_GAP_US: i64 = 60 * SECOND;
/// Two missed readings in a row are borne: heart rate is missing 43 % of the time in the field (domain.md).
pub const GAP_INTERVALS: i64 = 3;
/// Intervals on each side of one that its typical interval is learned from.
pub const NEIGHBOURS: usize = 4;
/// How far after an interval a level or heart rate still describes it: three readings at 60 s.
pub const HOLD_US: i64 = 180 * SECOND;
/// No interval's behaviour depends on a reading further away: six readings 10 min apart (rule 9), the leg and spike
/// beside them, and the four intervals that decide on adjacency.
pub const HORIZON_US: i64 = 7_200 * SECOND;

/// Displacement below this is noise: two fixes of 4.9 m error (GPS.gov, open sky), root of squares, doubled (95 %) (~).
pub const NOISE_M: f64 = 15.0;
/// A leg's least duration: over less, noise exceeds the way a walking pet makes (0.5 m/s × 30 s = 15 m).
pub const LEG_MIN_US: i64 = 30 * SECOND;

/// Deep Sleep's window (first system, domain.md "Behaviours").
pub const SLEEP_WINDOW: usize = 4;
/// Deep Sleep's population SD, bpm, exclusive (first system).
pub const SLEEP_SD_BPM: f64 = 3.0;
/// Anxious Pacing's window (first system).
pub const PACING_WINDOW: usize = 6;
/// Anxious Pacing's greatest distance between two fixes (first system, "about 70 m").
pub const PACING_DIAMETER_M: f64 = 70.0;
/// The shortest Anxious Pacing, µs: a walk at 1 m/s leaves the 70 m in half that time, whatever the sampling interval (~).
pub const PACING_SPAN_US: i64 = 180 * 1_000_000;
/// Playing Fetch's distance, exclusive (first system, "more than about 100 m apart").
pub const FETCH_REACH_M: f64 = 100.0;
/// How long before its rest a high reading belongs to a cycle: a bout of fetch lasts minutes (~).
pub const FETCH_CYCLE_US: i64 = 300 * SECOND;
/// The most between the rests of two cycles of one game (~).
pub const FETCH_PAUSE_US: i64 = 600 * SECOND;

/// A closed band of heart rates in bpm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// Lowest, included.
    pub low: f64,
    /// Highest, included.
    pub high: f64,
}

impl Band {
    /// True for a heart rate within, ends included.
    pub fn contains(&self, bpm: f64) -> bool {
        self.low <= bpm && bpm <= self.high
    }
}

/// What a species' rules start from, until the pet has a baseline of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Priors {
    /// Mean of a Deep Sleep window.
    pub sleeping: Band,
    /// Heart rate alone that says Resting.
    pub resting: Band,
    /// Mean of an Anxious Pacing window.
    pub pacing: Band,
    /// Breaths per minute, asleep.
    pub asleep_breaths: f64,
    /// Walking from here, m/s between fixes.
    pub walking_mps: f64,
    /// Running from here, m/s between fixes.
    pub running_mps: f64,
    /// Faster is not a pet but a bad fix, m/s.
    pub top_mps: f64,
}

/// The dog's.
pub const DOG: Priors = Priors {
    // First system (domain.md, "Behaviours").
    sleeping: Band { low: 40.0, high: 65.0 },
    // From the sleeping band's foot to the 95th percentile of 896 recordings at rest at home (Jarkoff 2023: 44/71/100).
    resting: Band { low: 40.0, high: 100.0 },
    // First system.
    pacing: Band { low: 70.0, high: 110.0 },
    // domain.md, "Physiology".
    asleep_breaths: 13.0,
    // A third of a walk of about 1.2 m/s (~): the straight line between fixes is shorter than the way.
    walking_mps: 0.3,
    // Walk turns to trot at Froude number 0.5 (Alexander & Jayes 1983 ~): 1.6 m/s at a hip height of 0.5 m, 2.0 at 0.8 m.
    running_mps: 2.0,
    // A racing greyhound, about 72 km/h (~).
    top_mps: 20.0,
};

/// The cat's.
pub const CAT: Priors = Priors {
    // domain.md: at home 132 ± 19, awake. Asleep lies below that mean, and hardly below mean − 2 SD (~).
    sleeping: Band { low: 94.0, high: 132.0 },
    // Mean ± 2 SD of the same.
    resting: Band { low: 94.0, high: 170.0 },
    // From the mean at home to "stressed to 190".
    pacing: Band { low: 132.0, high: 190.0 },
    // Mean under 30 (domain.md); half as much again as a dog's (~).
    asleep_breaths: 20.0,
    // As the dog's, of a walk of about 0.9 m/s (~).
    walking_mps: 0.3,
    // As the dog's: 1.1 m/s at a hip height of 0.25 m, and some margin for hurried walks (~).
    running_mps: 1.5,
    // A house cat's sprint, about 48 km/h (~).
    top_mps: 13.4,
};

/// The priors of a species.
pub const fn priors(species: Species) -> &'static Priors {
    match species {
        Species::Dog => &DOG,
        Species::Cat => &CAT,
    }
}

/// What may be missing from a behaviour's readings, and what that costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Confidence {
    /// With every signal on every reading.
    pub full: f64,
    /// What it would fall to with none.
    pub poor: f64,
    /// Counts heart rate.
    pub heart_rate: bool,
    /// Counts the level.
    pub level: bool,
    /// Counts the fix.
    pub position: bool,
}

/// The confidence table. Deep Sleep, Pacing and Fetch: the first system's figures, and 0.6 for heart rate alone (domain.md);
/// the others are set below them until feedback calibrates them.
pub const fn confidence(behavior: Behavior) -> Confidence {
    let none = Confidence { full: 0.2, poor: 0.2, heart_rate: false, level: false, position: false };
    match behavior {
        Behavior::DeepSleep => Confidence { full: 0.9, poor: 0.6, level: true, ..none },
        Behavior::Resting => Confidence { full: 0.8, poor: 0.4, heart_rate: true, level: true, ..none },
        Behavior::Walking | Behavior::Running => {
            Confidence { full: 0.8, poor: 0.4, level: true, position: true, ..none }
        }
        Behavior::PlayingFetch => Confidence { full: 0.8, poor: 0.5, position: true, ..none },
        Behavior::AnxiousPacing => {
            Confidence { full: 0.75, poor: 0.45, heart_rate: true, position: true, ..none }
        }
        Behavior::Unknown => none,
    }
}

//! Epochs of one behaviour into episodes, with what they rest on.
//!
//! Invariant: a [`Chain`] takes epochs one by one in order, so that one resumed from a stored state ends in the same bits as
//! one that saw everything.

use serde::{Deserialize, Serialize};

use super::super::Behavior;
use super::super::canon::SECOND;
use super::super::episode::timestamp;
use super::super::rules::NOISE_M;
use super::epochs::{Epoch, long};
use super::features::COUNT;
use super::smooth::Said;
use super::{Baseline, Episode, Evidence, rules, seconds};

/// A leg's least duration, as `spine/1`'s: over less, noise exceeds the way a walking pet makes.
const LEG_MIN_US: i64 = 30 * SECOND;

/// An episode as far as it has been read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Chain {
    pub(super) behavior: Behavior,
    pub(super) start: i64,
    pub(super) end: i64,
    readings: u32,
    rates: u32,
    levels: u32,
    fixes: u32,
    beats: f64,
    squares: f64,
    /// Confidence by seconds, and seconds.
    sure: f64,
    long: f64,
    baseline: Baseline,
    weights: [f32; COUNT],
    /// Where the last leg ended, ten-millionths of a degree east and north, and when.
    mark: Option<(i64, i64, i64)>,
    path_m: f64,
    max_speed_mps: f64,
}

impl Chain {
    /// Of its first epoch.
    pub(super) fn begin(epoch: &Epoch, said: &Said, baseline: Baseline) -> Self {
        let mut chain = Self {
            behavior: said.behavior,
            start: epoch.from,
            end: epoch.to,
            readings: 0,
            rates: 0,
            levels: 0,
            fixes: 0,
            beats: 0.0,
            squares: 0.0,
            sure: 0.0,
            long: 0.0,
            baseline,
            weights: [0.0; COUNT],
            mark: None,
            path_m: 0.0,
            max_speed_mps: 0.0,
        };
        chain.push(epoch, said);
        chain
    }

    /// Whether an epoch goes on with it: the next of the same run, of the same behaviour.
    pub(super) fn continues(&self, epoch: &Epoch, said: &Said) -> bool {
        self.end == epoch.from && self.behavior == said.behavior
    }

    pub(super) fn push(&mut self, epoch: &Epoch, said: &Said) {
        self.end = epoch.to;
        self.readings = self.readings.saturating_add(epoch.readings);
        self.rates = self.rates.saturating_add(epoch.beats_count);
        self.levels = self.levels.saturating_add(epoch.levels.iter().sum());
        self.fixes = self.fixes.saturating_add(epoch.fixes);
        self.beats += epoch.beats;
        self.squares += epoch.squares;
        let long = seconds(epoch.to - epoch.from);
        self.sure += f64::from(said.confidence) * long;
        self.long += long;
        self.weights.iter_mut().zip(said.weights).for_each(|(sum, weight)| *sum += weight);
        if epoch.fixes > 0 {
            self.step(epoch);
        }
    }

    /// A leg ends once it is longer than noise: standing about makes no way.
    fn step(&mut self, epoch: &Epoch) {
        let (east, north) = (epoch.origin.0 + epoch.east, epoch.origin.1 + epoch.north);
        let Some((east_before, north_before, at)) = self.mark else {
            self.mark = Some((east, north, epoch.to));
            return;
        };
        const TURN: i64 = 3_600_000_000;
        let east_way = (east - east_before + TURN / 2).rem_euclid(TURN) - TURN / 2;
        let way = long(east_way as f64 * epoch.narrow, (north - north_before) as f64);
        let span = epoch.to - at;
        if span < LEG_MIN_US {
            return;
        }
        if way > NOISE_M {
            self.path_m += way;
            self.max_speed_mps = self.max_speed_mps.max(way / seconds(span));
        } else if span < 4 * LEG_MIN_US {
            return;
        }
        // Where it stood, the next leg begins now, or its speed would be too low.
        self.mark = Some((east, north, epoch.to));
    }

    /// The episode it stands for, given the pet's newest reading; none of a single instant.
    pub(super) fn episode(&self, newest: i64) -> Option<Episode> {
        if self.end <= self.start {
            return None;
        }
        let count = f64::from(self.rates.max(1));
        let mean = self.beats / count;
        let some_rate = self.rates > 0;
        // What fixes of a pet at rest differ by is their error, and no way.
        let path_m = if self.behavior.is_rest() { 0.0 } else { self.path_m };
        Some(Episode {
            behavior: self.behavior,
            start: timestamp(self.start),
            end: timestamp(self.end),
            open: self.end == newest,
            confidence: (self.sure / self.long * 1_000.0).round() / 1_000.0,
            evidence: Evidence {
                readings: self.readings,
                with_heart_rate: self.rates,
                with_activity_level: self.levels,
                with_position: self.fixes,
                mean_heart_rate: some_rate.then_some(mean),
                sd_heart_rate: some_rate.then(|| (self.squares / count - mean * mean).max(0.0).sqrt()),
                path_m: (self.fixes > 0).then_some(path_m),
                max_speed_mps: (path_m > 0.0).then_some(self.max_speed_mps),
                baseline_bpm: self.baseline.sleeping_bpm,
                baseline_days: self.baseline.days,
                weights: self.weights,
                rule: self.behavior.slug(),
                rule_version: rules::VERSION,
            },
        })
    }
}

/// Takes an epoch into the chains that were begun.
pub(super) fn extend(chains: &mut Vec<Chain>, epoch: &Epoch, said: &Said, baseline: Baseline) {
    match chains.last_mut() {
        Some(chain) if chain.continues(epoch, said) => chain.push(epoch, said),
        _ => chains.push(Chain::begin(epoch, said, baseline)),
    }
}

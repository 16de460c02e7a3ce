//! Labelled intervals into episodes, with their evidence.
//!
//! Invariant: a [`Fold`] takes readings one by one in order, so that one resumed from a stored state ends in the same bits
//! as one that saw everything.

use std::ops::Range;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::canon::Sample;
use super::geo::distance_m;
use super::label::Labels;
use super::rules::{self, RULE_SET};
use super::{Behavior, Position};

/// A stretch of one behaviour.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Episode {
    /// What the pet did.
    pub behavior: Behavior,
    /// The first reading.
    pub start: Timestamp,
    /// The last reading, always later than the first.
    pub end: Timestamp,
    /// True while the last reading is the pet's newest: it may still grow.
    pub open: bool,
    /// 0 to 1; lowered by missing signals.
    pub confidence: f64,
    /// What it rests on.
    pub evidence: Evidence,
}

/// What an episode rests on. No coordinates: it may leave the service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evidence {
    /// Readings from start to end, both included.
    pub readings: u32,
    /// Of these, with a heart rate.
    pub with_heart_rate: u32,
    /// Of these, with an activity level.
    pub with_activity_level: u32,
    /// Of these, with a usable fix.
    pub with_position: u32,
    /// Beats per minute.
    pub mean_heart_rate: Option<f64>,
    /// Population standard deviation, beats per minute.
    pub sd_heart_rate: Option<f64>,
    /// Metres along the usable fixes, GPS noise included.
    pub path_m: Option<f64>,
    /// Metres from the first usable fix to the last.
    pub net_distance_m: Option<f64>,
    /// Greatest distance of a usable fix from the first, in metres.
    pub radius_m: Option<f64>,
    /// Greatest speed of an interval's legs, m/s.
    pub max_speed_mps: Option<f64>,
    /// The rule's name: the behaviour's slug.
    pub rule: &'static str,
    /// [`RULE_SET`].
    pub rule_version: &'static str,
}

/// An episode as far as it has been read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Fold {
    pub(super) behavior: Behavior,
    pub(super) start: i64,
    pub(super) end: i64,
    readings: u32,
    heart_rates: u32,
    levels: u32,
    fixes: u32,
    /// Welford's running mean and sum of squared deviations.
    mean: f64,
    squares: f64,
    first_fix: Option<Position>,
    last_fix: Option<Position>,
    path_m: f64,
    radius_m: f64,
    max_speed_mps: Option<f64>,
}

impl Fold {
    fn begin(behavior: Behavior, sample: &Sample, usable: bool) -> Self {
        let mut fold = Self {
            behavior,
            start: sample.at,
            end: sample.at,
            readings: 0,
            heart_rates: 0,
            levels: 0,
            fixes: 0,
            mean: 0.0,
            squares: 0.0,
            first_fix: None,
            last_fix: None,
            path_m: 0.0,
            radius_m: 0.0,
            max_speed_mps: None,
        };
        fold.push(sample, usable, None);
        fold
    }

    fn push(&mut self, sample: &Sample, usable: bool, speed_mps: Option<f64>) {
        self.end = sample.at;
        self.readings = self.readings.saturating_add(1);
        if let Some(bpm) = sample.heart_rate {
            self.heart_rates = self.heart_rates.saturating_add(1);
            let delta = bpm - self.mean;
            self.mean += delta / f64::from(self.heart_rates);
            self.squares += delta * (bpm - self.mean);
        }
        if sample.level.is_some() {
            self.levels = self.levels.saturating_add(1);
        }
        if let Some(fix) = sample.position.filter(|_| usable) {
            self.fixes = self.fixes.saturating_add(1);
            let first = *self.first_fix.get_or_insert(fix);
            self.radius_m = self.radius_m.max(distance_m(&first, &fix));
            if let Some(last) = self.last_fix.replace(fix) {
                self.path_m += distance_m(&last, &fix);
            }
        }
        if let Some(speed) = speed_mps {
            self.max_speed_mps = Some(self.max_speed_mps.map_or(speed, |known| known.max(speed)));
        }
    }

    /// The episode it stands for, given the pet's newest reading.
    pub(super) fn episode(&self, newest: i64) -> Episode {
        let some_rate = self.heart_rates > 0;
        let variance = self.squares / f64::from(self.heart_rates.max(1));
        Episode {
            behavior: self.behavior,
            start: timestamp(self.start),
            end: timestamp(self.end),
            open: self.end == newest,
            confidence: self.confidence(),
            evidence: Evidence {
                readings: self.readings,
                with_heart_rate: self.heart_rates,
                with_activity_level: self.levels,
                with_position: self.fixes,
                mean_heart_rate: some_rate.then_some(self.mean),
                sd_heart_rate: some_rate.then(|| variance.max(0.0).sqrt()),
                path_m: self.first_fix.map(|_| self.path_m),
                net_distance_m: self
                    .first_fix
                    .zip(self.last_fix)
                    .map(|(first, last)| distance_m(&first, &last)),
                radius_m: self.first_fix.map(|_| self.radius_m),
                max_speed_mps: self.max_speed_mps,
                rule: self.behavior.slug(),
                rule_version: RULE_SET,
            },
        }
    }

    /// Rule 12.
    fn confidence(&self) -> f64 {
        let table = rules::confidence(self.behavior);
        let signals =
            [(table.heart_rate, self.heart_rates), (table.level, self.levels), (table.position, self.fixes)];
        let (mut present, mut wanted) = (0.0, 0.0);
        for (_, count) in signals.into_iter().filter(|(counts, _)| *counts) {
            present += f64::from(count);
            wanted += f64::from(self.readings);
        }
        let share = if wanted > 0.0 { present / wanted } else { 1.0 };
        ((table.poor + (table.full - table.poor) * share) * 1_000.0).round() / 1_000.0
    }
}

/// The episodes of the given intervals, going on from one begun earlier. The last may go on.
pub(super) fn fold(
    samples: &[Sample],
    labels: &Labels,
    range: Range<usize>,
    begun: Option<Fold>,
) -> Vec<Fold> {
    let mut folds: Vec<Fold> = begun.into_iter().collect();
    for index in range {
        let interval = labels.intervals[index];
        let Some(behavior) = interval.behavior else { continue };
        let (from, to) = (&samples[index], &samples[index + 1]);
        match folds.last_mut() {
            Some(fold) if fold.behavior == behavior && fold.end == from.at => {
                fold.push(to, labels.usable[index + 1], interval.speed_mps);
            }
            _ => {
                let mut fold = Fold::begin(behavior, from, labels.usable[index]);
                fold.push(to, labels.usable[index + 1], interval.speed_mps);
                folds.push(fold);
            }
        }
    }
    folds
}

/// The instant of a sample.
pub(super) fn timestamp(us: i64) -> Timestamp {
    // Every sample's time came out of a Timestamp (or a state that one was written to), so it is within its range.
    Timestamp::from_microsecond(us).unwrap_or(Timestamp::MAX)
}

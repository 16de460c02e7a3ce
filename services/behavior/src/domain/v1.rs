//! The second interpreter, `v1`: readings into epochs, epochs into what they look like, and from there to what the pet most
//! likely did, given what came before and after.
//!
//! In four steps: `epochs` normalises (runs without gaps, wrong heart rates and leaping fixes left out), `features`
//! looks at sliding windows and names what it sees by symbols, [`rules`] says how often each doing looks so, and `smooth` weighs
//! that over time (a hidden Markov model, forward and backward), so that one odd reading does not cut an episode in two.
//!
//! Invariants: the episodes are a function of the set of readings; what an epoch is said to be depends on those of its run up to an
//! hour and a half after it, and through the pet's own sleeping heart rate on whole quarters of days before it, and on nothing else. An absent value
//! is absent: it lowers confidence and is never zero. Confidence is the chance, counted on pets that the rules were not
//! fitted on, that what is said is so.

mod baseline;
mod chain;
mod epochs;
mod features;
mod revision;
pub mod rules;
mod slices;
mod smooth;
#[cfg(test)]
mod tests;
mod window;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::canon::{self, Sample};
use super::rules as spine;
use super::{Behavior, Params, Reading};
use baseline::Rest;
use smooth::Smoother;

pub use baseline::{Baseline, Baselines, Own};
pub use features::{CHANNELS, SPACINGS, Seen};
pub use revision::{Known, revise};
pub use rules::{Doing, Rules, RulesError};
pub use slices::{Slice, SliceError, slice_of};
pub use window::{Came, Done, Head, KEPT, Kept, Quarter, Resume, Touched};

/// A stretch of one behaviour.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Episode {
    /// What the pet did.
    pub behavior: Behavior,
    /// The first reading.
    pub start: Timestamp,
    /// The last one.
    pub end: Timestamp,
    /// True while the last reading is the pet's newest.
    pub open: bool,
    /// The chance that it is so: 0 to 1.
    pub confidence: f64,
    /// What it rests on.
    pub evidence: Evidence,
}

/// What an episode rests on. No coordinates: it may leave the service.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Evidence {
    /// Readings from start to end.
    pub readings: u32,
    /// Of these, with a heart rate that counts.
    pub with_heart_rate: u32,
    /// Of these, with a level.
    pub with_activity_level: u32,
    /// Of these, with a fix that counts.
    pub with_position: u32,
    /// Mean heart rate, beats per minute.
    pub mean_heart_rate: Option<f64>,
    /// Its population standard deviation, beats per minute.
    pub sd_heart_rate: Option<f64>,
    /// Metres along the fixes that count, legs within their noise left out; 0 at rest, where what they differ by is their error.
    pub path_m: Option<f64>,
    /// Greatest speed of a leg of at least 30 s, m/s.
    pub max_speed_mps: Option<f64>,
    /// The pet's own sleeping heart rate that it was held against, or its species'.
    pub baseline_bpm: f64,
    /// Days of its own in that; under seven the pet is still calibrating.
    pub baseline_days: u8,
    /// By channel ([`CHANNELS`]): how much it speaks for this behaviour rather than the rest, summed, in nats.
    pub weights: [f32; features::COUNT],
    /// The rule's name: the behaviour's slug.
    pub rule: &'static str,
    /// The rules' version.
    pub rule_version: &'static str,
}

impl Evidence {
    /// True while the pet's own days are too few to be its baseline (domain.md: 7 days).
    #[must_use]
    pub const fn calibrating(&self) -> bool {
        self.baseline_days < baseline::DAYS_WANTED
    }
}

/// The episodes of a set of readings, by start. Order and repeats do not matter.
#[must_use]
pub fn interpret(rules: &Rules, params: &Params, readings: &[Reading]) -> Vec<Episode> {
    let samples = canon::canonical(readings);
    let baselines = Baselines::of(params.kin(), Rest::default(), &samples);
    let epochs = epochs::epochs(&samples, params);
    let newest = samples.last().map_or(i64::MIN, |sample| sample.at);
    let mut chains = Vec::new();
    let mut steady = baselines.steady();
    let mut smoother = Smoother::from(rules, params.species, None);
    for run in epochs.runs() {
        let seen = features::see(run, &baselines, spine::priors(params.species));
        smoother.smooth(run, &seen, 0, |epoch, said, _| {
            chain::extend(&mut chains, epoch, said, steady.at(epoch.from));
        });
    }
    chains.iter().filter_map(|chain| chain.episode(newest)).collect()
}

/// What each epoch looks like, for rules to be fitted on: its first and last instant, microseconds since 1970, and its symbols.
#[must_use]
pub fn observe(params: &Params, readings: &[Reading]) -> Vec<Vec<(i64, i64, Seen)>> {
    let samples = canon::canonical(readings);
    let baselines = Baselines::of(params.kin(), Rest::default(), &samples);
    let epochs = epochs::epochs(&samples, params);
    let look = |run: &[epochs::Epoch]| {
        let seen = features::see(run, &baselines, spine::priors(params.species));
        run.iter().zip(seen).map(|(epoch, seen)| (epoch.from, epoch.to, seen)).collect()
    };
    epochs.runs().map(look).collect()
}

/// The heart rates that alerts hold readings against, by the begin of each quarter of a day that has any, microseconds since 1970.
#[must_use]
pub fn owns(species: super::Species, readings: &[Reading]) -> BTreeMap<i64, Own> {
    let samples = canon::canonical(readings);
    let mut rest = Rest::default();
    rest.add(&samples);
    let quarters = samples.iter().map(|sample| baseline::quarter(sample.at));
    let quarters: std::collections::BTreeSet<i64> = quarters.collect();
    quarters.into_iter().map(|at| (at * baseline::QUARTER_US, rest.own(species, at))).collect()
}

/// What is said of an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// The reading before it, microseconds since 1970.
    pub from: i64,
    /// Its last reading.
    pub to: i64,
    /// What the pet did.
    pub behavior: Behavior,
    /// The raw chance of that.
    pub chance: f32,
    /// What such a chance is worth.
    pub confidence: f32,
}

/// What the rules say of each epoch.
#[must_use]
pub fn judge(rules: &Rules, params: &Params, readings: &[Reading]) -> Vec<Judged> {
    let samples = canon::canonical(readings);
    let baselines = Baselines::of(params.kin(), Rest::default(), &samples);
    judged(rules, params, &samples, &baselines)
}

fn judged(rules: &Rules, params: &Params, samples: &[Sample], baselines: &Baselines) -> Vec<Judged> {
    let epochs = epochs::epochs(samples, params);
    let mut all = Vec::new();
    let mut smoother = Smoother::from(rules, params.species, None);
    for run in epochs.runs() {
        let seen = features::see(run, baselines, spine::priors(params.species));
        smoother.smooth(run, &seen, 0, |epoch, said, _| {
            all.push(Judged {
                from: epoch.from,
                to: epoch.to,
                behavior: said.behavior,
                chance: said.chance,
                confidence: said.confidence,
            });
        });
    }
    all
}

/// Microseconds as seconds.
fn seconds(us: i64) -> f64 {
    // Spans of at most weeks: far below 2^53.
    us as f64 / canon::SECOND as f64
}

/// Hundredths of a breath per minute, where a sample has a respiratory rate that ingest takes; otherwise 0.
fn breaths(sample: &Sample) -> i64 {
    let (rate, known) = within::<1, 200>(sample.breaths);
    let hundredths = epochs::rounded_up(rate * 100.0);
    if known { hundredths } else { 0 }
}

/// The heart rate of a sample, and whether it has one that a pet can have.
fn beats(sample: &Sample) -> (f64, bool) {
    within::<30, 300>(sample.heart_rate)
}

/// A figure, and whether it is one from `LOWEST`, which is above 0, to `HIGHEST`; if not, it is any. Figures come and go at random, so
/// nothing here is to be guessed at: above 0 they are ordered as their bits are, and those are chosen without a branch.
fn within<const LOWEST: u32, const HIGHEST: u32>(figure: Option<f64>) -> (f64, bool) {
    let (lowest, highest) = (f64::from(LOWEST).to_bits(), f64::from(HIGHEST).to_bits());
    let above = figure.map_or(u64::MAX, |figure| figure.to_bits().wrapping_sub(lowest));
    (f64::from_bits(above.wrapping_add(lowest)), above <= highest - lowest)
}

//! The second interpreter, `v1`: readings into epochs, epochs into what they look like, and from there to what the pet most
//! likely did, given what came before and after.
//!
//! In four steps: `epochs` normalises (runs without gaps, wrong heart rates and leaping fixes left out), `features`
//! looks at sliding windows and names what it sees by symbols, [`rules`] says how often each doing looks so, and `smooth` weighs
//! that over time (a hidden Markov model, forward and backward), so that one odd reading does not cut an episode in two.
//!
//! Invariants: the episodes are a function of the set of readings; what an epoch is said to be depends on readings within
//! two hours of it, and through the pet's own sleeping heart rate on whole quarters of days before it, and on nothing else. An absent value
//! is absent: it lowers confidence and is never zero. Confidence is the chance, counted on pets that the rules were not
//! fitted on, that what is said is so.

mod baseline;
mod epochs;
mod features;
pub mod rules;
mod smooth;
mod stream;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

use super::canon::{self, Sample};
use super::episode::timestamp;
use super::{Behavior, Params, Reading};
use baseline::Rest;

pub use baseline::{Baseline, Baselines};
pub use features::{CHANNELS, Seen};
pub use rules::{Doing, Rules, RulesError};
pub use stream::{LATENESS, Stream};

/// A stretch of one behaviour.
#[derive(Debug, Clone, PartialEq)]
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
#[derive(Debug, Clone, Copy, PartialEq)]
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
    /// The pet's own sleeping heart rate that it was held against, or its species'.
    pub baseline_bpm: f64,
    /// Days of its own in that; under seven the pet is still calibrating.
    pub baseline_days: u8,
    /// By channel ([`CHANNELS`]): how much it speaks for this behaviour rather than the rest, summed, in nats.
    pub weights: [f32; features::COUNT],
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
    let baselines = Baselines::of(params.species, Rest::default(), &samples);
    let epochs = epochs::epochs(&samples, params);
    let newest = samples.last().map_or(i64::MIN, |sample| sample.at);
    let mut episodes = Vec::new();
    for run in epochs.runs() {
        let seen = features::see(run, &baselines);
        let said = smooth::smooth(rules, run, &seen);
        fold(run, &seen, &said, &baselines, newest, &mut episodes);
    }
    episodes
}

/// What each epoch looks like, for rules to be fitted on: its first and last instant, microseconds since 1970, and its symbols.
#[must_use]
pub fn observe(params: &Params, readings: &[Reading]) -> Vec<Vec<(i64, i64, Seen)>> {
    let samples = canon::canonical(readings);
    let baselines = Baselines::of(params.species, Rest::default(), &samples);
    let epochs = epochs::epochs(&samples, params);
    let look = |run: &[epochs::Epoch]| {
        let seen = features::see(run, &baselines);
        run.iter().zip(seen).map(|(epoch, seen)| (epoch.from, epoch.to, seen)).collect()
    };
    epochs.runs().map(look).collect()
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
    let baselines = Baselines::of(params.species, Rest::default(), &samples);
    judged(rules, params, &samples, &baselines)
}

fn judged(rules: &Rules, params: &Params, samples: &[Sample], baselines: &Baselines) -> Vec<Judged> {
    let epochs = epochs::epochs(samples, params);
    let mut all = Vec::new();
    for run in epochs.runs() {
        let said = smooth::smooth(rules, run, &features::see(run, baselines));
        all.extend(run.iter().zip(said).map(|(epoch, said)| Judged {
            from: epoch.from,
            to: epoch.to,
            behavior: said.behavior,
            chance: said.chance,
            confidence: said.confidence,
        }));
    }
    all
}

/// Epochs of one behaviour into episodes.
fn fold(
    run: &[epochs::Epoch],
    seen: &[Seen],
    said: &[smooth::Said],
    baselines: &Baselines,
    newest: i64,
    episodes: &mut Vec<Episode>,
) {
    let mut at = 0;
    for same in said.chunk_by(|a, b| a.behavior == b.behavior) {
        let range = at..at + same.len();
        at = range.end;
        let (epochs, seen) = (&run[range.clone()], &seen[range]);
        let (Some(first), Some(last)) = (epochs.first(), epochs.last()) else { continue };
        // An epoch reaches back to the reading before it; the first of a run has none.
        if last.to <= first.from {
            continue;
        }
        let mut evidence = Evidence {
            readings: 0,
            with_heart_rate: 0,
            with_activity_level: 0,
            with_position: 0,
            mean_heart_rate: None,
            baseline_bpm: baselines.at(first.from).sleeping_bpm,
            baseline_days: baselines.at(first.from).days,
            weights: [0.0; features::COUNT],
            rule_version: rules::VERSION,
        };
        let (mut beats, mut sure, mut long) = (0.0, 0.0, 0.0);
        for ((epoch, _), said) in epochs.iter().zip(seen).zip(same) {
            evidence.readings += epoch.readings;
            evidence.with_heart_rate += epoch.beats_count;
            evidence.with_activity_level += epoch.levels.iter().sum::<u32>();
            evidence.with_position += epoch.fixes;
            beats += epoch.beats;
            let seconds = (epoch.to - epoch.from) as f64;
            sure += f64::from(said.confidence) * seconds;
            long += seconds;
            for (sum, weight) in evidence.weights.iter_mut().zip(said.weights) {
                *sum += weight;
            }
        }
        if evidence.with_heart_rate > 0 {
            evidence.mean_heart_rate = Some(beats / f64::from(evidence.with_heart_rate));
        }
        episodes.push(Episode {
            behavior: same[0].behavior,
            start: timestamp(first.from),
            end: timestamp(last.to),
            open: last.to == newest,
            confidence: (sure / long * 1_000.0).round() / 1_000.0,
            evidence,
        });
    }
}

/// Microseconds as seconds.
fn seconds(us: i64) -> f64 {
    // Spans of at most weeks: far below 2^53.
    us as f64 / canon::SECOND as f64
}

/// Whether a sample has a heart rate that a pet can have.
fn beats(sample: &Sample) -> Option<f64> {
    sample.heart_rate.filter(|bpm| (30.0..=300.0).contains(bpm))
}

//! One behaviour for each interval between adjacent readings: rules 3, 4 and 7 to 11.
//!
//! Invariant: an interval's label depends on readings within [`rules::HORIZON_US`] of it alone; what is cut from a stream
//! beyond that cannot be missed.

use super::canon::Sample;
use super::geo::distance_m;
use super::movement::{self, Track};
use super::rules::{self, Priors};
use super::{Behavior, Params};

/// The time between one reading and the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    /// None where the readings are not adjacent.
    pub(super) behavior: Option<Behavior>,
    /// Metres per second, where legs cover it.
    pub(super) speed_mps: Option<f64>,
}

/// What a list of readings says.
#[derive(Debug)]
pub(super) struct Labels {
    /// One less than there are readings.
    pub(super) intervals: Vec<Interval>,
    /// Per reading: it carries a fix, and the fix is no spike.
    pub(super) usable: Vec<bool>,
}

/// Labels a canonical list.
pub(super) fn label(samples: &[Sample], params: &Params) -> Labels {
    let priors = rules::priors(params.species);
    let runs = movement::runs(samples, params);
    let track = movement::track(samples, &runs, priors);
    let levels = held(samples, &runs, |sample| sample.level);
    let rates = held(samples, &runs, |sample| sample.heart_rate);
    let scene = Scene { samples, runs: &runs, track: &track, levels: &levels, priors };

    let mut claims = vec![None; levels.len()];
    // Later claims overwrite earlier ones: lowest priority first.
    scene.deep_sleep(&mut claims);
    scene.anxious_pacing(&mut claims);
    scene.playing_fetch(&mut claims);

    let intervals = claims
        .iter()
        .enumerate()
        .map(|(index, claim)| Interval {
            behavior: (runs[index] == runs[index + 1])
                .then(|| claim.unwrap_or_else(|| scene.otherwise(index, rates[index]))),
            speed_mps: track.speeds[index],
        })
        .collect();
    Labels { intervals, usable: track.usable }
}

/// For each interval, the signal of its second reading or of the first after that within the hold (rule 4).
fn held<T: Copy>(
    samples: &[Sample],
    runs: &[usize],
    signal: impl Fn(&Sample) -> Option<T>,
) -> Vec<Option<T>> {
    let mut found = vec![None; samples.len().saturating_sub(1)];
    let mut next: Option<(usize, T)> = None;
    for end in (1..samples.len()).rev() {
        if let Some(value) = signal(&samples[end]) {
            next = Some((end, value));
        }
        found[end - 1] = next
            .filter(|(index, _)| {
                runs[*index] == runs[end] && samples[*index].at - samples[end].at <= rules::HOLD_US
            })
            .map(|(_, value)| value);
    }
    found
}

struct Scene<'a> {
    samples: &'a [Sample],
    runs: &'a [usize],
    track: &'a Track,
    levels: &'a [Option<u8>],
    priors: &'a Priors,
}

impl Scene<'_> {
    /// Rule 7.
    fn gait(&self, interval: usize) -> Option<Behavior> {
        let level = self.levels[interval];
        let speed = self.track.speeds[interval].unwrap_or(0.0);
        match level {
            Some(0) => None,
            _ if speed >= self.priors.running_mps || level >= Some(2) => Some(Behavior::Running),
            _ if speed >= self.priors.walking_mps || level == Some(1) => Some(Behavior::Walking),
            _ => None,
        }
    }

    /// Rule 11.
    fn otherwise(&self, interval: usize, heart_rate: Option<f64>) -> Behavior {
        let resting = match self.levels[interval] {
            Some(level) => level == 0,
            None => heart_rate.is_some_and(|bpm| self.priors.resting.contains(bpm)),
        };
        self.gait(interval).unwrap_or(if resting { Behavior::Resting } else { Behavior::Unknown })
    }

    /// True if each reading follows the one before in one run, within the greatest gap.
    fn chained(&self, window: &[usize]) -> bool {
        let (first, last) = (window[0], window[window.len() - 1]);
        self.runs[first] == self.runs[last]
            && window
                .windows(2)
                .all(|pair| self.samples[pair[1]].at - self.samples[pair[0]].at <= rules::MAX_GAP_US)
    }

    /// Rule 10.
    fn deep_sleep(&self, claims: &mut [Option<Behavior>]) {
        let rates: Vec<usize> = self.having(|sample| sample.heart_rate.is_some());
        // How many readings before each index forbid sleep, and how many intervals: a window holds none if the counts at its ends agree.
        let awake =
            running_count(self.samples.iter().map(|sample| sample.level.is_some_and(|level| level > 0)));
        let moving = running_count((0..claims.len()).map(|interval| self.gait(interval).is_some()));
        for window in rates.windows(rules::SLEEP_WINDOW) {
            let (first, last) = (window[0], window[window.len() - 1]);
            if !self.chained(window) || awake[first] != awake[last + 1] || moving[first] != moving[last] {
                continue;
            }
            let (mean, sd) = mean_and_sd(window.iter().filter_map(|index| self.samples[*index].heart_rate));
            if self.priors.sleeping.contains(mean) && sd < rules::SLEEP_SD_BPM {
                claims[first..last].fill(Some(Behavior::DeepSleep));
            }
        }
    }

    /// Rule 9.
    fn anxious_pacing(&self, claims: &mut [Option<Behavior>]) {
        let levelled = self.having(|sample| sample.level.is_some());
        for begin in 0..levelled.len() {
            let Some(window) = self.pacing_window(&levelled[begin..]) else { continue };
            if !self.chained(window) || window.iter().any(|index| self.samples[*index].level != Some(1)) {
                continue;
            }
            let rates = window.iter().filter_map(|index| self.samples[*index].heart_rate);
            let fixes: Vec<usize> =
                window.iter().copied().filter(|index| self.track.usable[*index]).collect();
            let enough = rates.clone().count() * 2 >= window.len() && fixes.len() * 2 >= window.len();
            if enough && self.priors.pacing.contains(mean_and_sd(rates).0) && self.in_a_small_place(&fixes) {
                claims[window[0]..window[window.len() - 1]].fill(Some(Behavior::AnxiousPacing));
            }
        }
    }

    /// The shortest window from the first reading on that has enough readings and lasts long enough.
    fn pacing_window<'w>(&self, levelled: &'w [usize]) -> Option<&'w [usize]> {
        let first = self.samples[*levelled.first()?].at;
        let long =
            levelled.iter().position(|index| self.samples[*index].at - first >= rules::PACING_SPAN_US)?;
        levelled.get(..(long + 1).max(rules::PACING_WINDOW))
    }

    /// Whether no two fixes are more than the pacing diameter apart. What the first fix's distances tell is not computed
    /// for every pair.
    fn in_a_small_place(&self, fixes: &[usize]) -> bool {
        let reach = self.greatest_distance(&fixes[..fixes.len().min(1)], fixes);
        reach <= rules::PACING_DIAMETER_M / 2.0
            || reach <= rules::PACING_DIAMETER_M
                && self.greatest_distance(fixes, fixes) <= rules::PACING_DIAMETER_M
    }

    /// Rule 8.
    fn playing_fetch(&self, claims: &mut [Option<Behavior>]) {
        let cycles = self.cycles();
        for pair in cycles.windows(2) {
            let (first, second) = (&pair[0], &pair[1]);
            let apart = self.samples[second.rest].at - self.samples[first.rest].at;
            if self.runs[first.rest] != self.runs[second.rest] || apart > rules::FETCH_PAUSE_US {
                continue;
            }
            let high: Vec<usize> = first.high.iter().chain(&second.high).copied().collect();
            if self.greatest_distance(&high, &[first.rest, second.rest]) > rules::FETCH_REACH_M {
                claims[first.high[0]..second.rest].fill(Some(Behavior::PlayingFetch));
            }
        }
    }

    /// High-then-rest cycles, by time.
    fn cycles(&self) -> Vec<Cycle> {
        let mut cycles = Vec::new();
        let mut high: Vec<usize> = Vec::new();
        let mut chain_ended = false;
        for index in self.having(|sample| sample.level.is_some()) {
            let apart = high.last().is_some_and(|last| self.runs[*last] != self.runs[index]);
            match self.samples[index].level {
                Some(1) => chain_ended = true,
                Some(2..) => {
                    if apart || chain_ended {
                        high.clear();
                    }
                    chain_ended = false;
                    high.push(index);
                }
                _ => {
                    let mut counted = std::mem::take(&mut high);
                    chain_ended = false;
                    counted.retain(|high| {
                        self.samples[index].at - self.samples[*high].at <= rules::FETCH_CYCLE_US
                    });
                    if !apart && !counted.is_empty() {
                        cycles.push(Cycle { high: counted, rest: index });
                    }
                }
            }
        }
        cycles
    }

    /// Between any fix of the one and any fix of the other; 0 without fixes.
    fn greatest_distance(&self, these: &[usize], those: &[usize]) -> f64 {
        let fix = |index: &usize| self.samples[*index].position.filter(|_| self.track.usable[*index]);
        let mut greatest = 0.0_f64;
        for a in these.iter().filter_map(fix) {
            for b in those.iter().filter_map(fix) {
                greatest = greatest.max(distance_m(&a, &b));
            }
        }
        greatest
    }

    fn having(&self, condition: impl Fn(&Sample) -> bool) -> Vec<usize> {
        (0..self.samples.len()).filter(|index| condition(&self.samples[*index])).collect()
    }
}

struct Cycle {
    /// Never empty.
    high: Vec<usize>,
    rest: usize,
}

/// How many were true before each index.
fn running_count(flags: impl Iterator<Item = bool>) -> Vec<usize> {
    let mut count = 0;
    let mut counts = vec![0];
    counts.extend(flags.map(|flag| {
        count += usize::from(flag);
        count
    }));
    counts
}

/// Mean and population SD.
fn mean_and_sd(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

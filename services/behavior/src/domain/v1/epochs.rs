//! Readings into epochs: what is normalised before anything is looked at.
//!
//! Invariant: an epoch is a slot of the clock (15 s), whatever the order of arrival; it reaches from the reading before it to its
//! own last one, and a run of them never spans a gap.

use super::super::canon::{SECOND, Sample};
use super::super::movement;
use super::super::rules::{self as spine, Priors};
use super::super::{Params, Position};
use super::{beats, breaths};

/// A slot: the shortest that holds a change of level at the 5 s that collars sample at most often (domain.md: 5 to 60 s).
pub(super) const SLOT_US: i64 = 15 * SECOND;
/// A heart rate further than that from the median of those around it is wrong: doubled, halved, or noise. A rested
/// dog's rises by half within half a minute at a run, and the median follows (~).
const WRONG: f64 = 0.35;
/// Heart rates around one, on each side, and no further away.
const AROUND: usize = 3;
const NEAR_US: i64 = 300 * SECOND;
/// Fixes that say they are worse than this say nothing of a walk about the house.
const WORST_M: f64 = 60.0;
/// A fix that leaps away and back again by more than this, and more than its noise, is left out, whatever it says of itself.
const LEAP_M: f64 = 25.0;

/// One slot of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Epoch {
    /// The instant of the reading before it; its own first one's where it begins a run.
    pub(super) from: i64,
    /// Its last reading's.
    pub(super) to: i64,
    pub(super) readings: u32,
    /// By level.
    pub(super) levels: [u32; 3],
    /// Heart rates that count: their sum, bpm, and number.
    pub(super) beats: f64,
    pub(super) beats_count: u32,
    /// Their squares' sum.
    pub(super) squares: f64,
    /// Respiratory rates: their sum in hundredths of a breath per minute, and number.
    pub(super) breaths: i64,
    pub(super) breaths_count: u32,
    /// Readings with either: the collar is on a pet.
    pub(super) worn: u32,
    /// Fixes that count: their mean in ten-millionths of a degree east and north of the run's first, and their number. Whole
    /// numbers, so that sums over windows are the same wherever a run was begun to be read.
    pub(super) east: i64,
    pub(super) north: i64,
    pub(super) fixes: u32,
    /// Ten-millionths of a degree of longitude are this much shorter than those of latitude here.
    pub(super) narrow: f64,
    /// The run's first fix, in ten-millionths of a degree, east and north; where there are fixes.
    pub(super) origin: (i64, i64),
}

/// All epochs, cut into runs.
#[derive(Debug)]
pub(super) struct Epochs {
    epochs: Vec<Epoch>,
    starts: Vec<usize>,
}

impl Epochs {
    pub(super) fn runs(&self) -> impl Iterator<Item = &[Epoch]> {
        let ends = self.starts.iter().skip(1).copied().chain([self.epochs.len()]);
        self.starts.iter().zip(ends).map(|(start, end)| &self.epochs[*start..end])
    }
}

/// The epochs of canonical readings.
pub(super) fn epochs(samples: &[Sample], params: &Params) -> Epochs {
    let runs = movement::runs(samples, params);
    let mut all = Epochs { epochs: Vec::with_capacity(samples.len()), starts: Vec::new() };
    let mut at = 0;
    for run in runs.chunk_by(|a, b| a == b) {
        let range = at..at + run.len();
        at = range.end;
        all.starts.push(all.epochs.len());
        let samples = &samples[range];
        run_epochs(samples, spine::priors(params.species), &mut all.epochs);
    }
    all
}

fn run_epochs(samples: &[Sample], priors: &Priors, epochs: &mut Vec<Epoch>) {
    let rates = right_rates(samples);
    let fixes = right_fixes(samples, priors);
    let origin = samples.iter().zip(&fixes).find_map(|(sample, right)| sample.position.filter(|_| *right));
    let slot = |at: i64| at.div_euclid(SLOT_US);
    let mut before = samples[0].at;
    let mut slots = 0..0;
    let mut narrow = Narrow::default();
    while slots.end < samples.len() {
        let start = slots.end;
        let this = slot(samples[start].at);
        let end = samples[start..].iter().position(|sample| slot(sample.at) != this);
        slots = start..end.map_or(samples.len(), |long| start + long);
        let mut epoch = Epoch {
            from: before,
            to: samples[slots.end - 1].at,
            readings: 0,
            levels: [0; 3],
            beats: 0.0,
            beats_count: 0,
            squares: 0.0,
            breaths: 0,
            breaths_count: 0,
            worn: 0,
            east: 0,
            north: 0,
            fixes: 0,
            narrow: 1.0,
            origin: origin.map_or((0, 0), |fix| (units(fix.longitude), units(fix.latitude))),
        };
        for index in slots.clone() {
            let sample = &samples[index];
            epoch.readings += 1;
            if let Some(level) = sample.level {
                epoch.levels[usize::from(level.min(2))] += 1;
            }
            let beats = beats(sample).filter(|_| rates[index]);
            let breaths = breaths(sample);
            epoch.worn += u32::from(beats.is_some() || breaths.is_some());
            if let Some(bpm) = beats {
                epoch.beats += bpm;
                epoch.squares += bpm * bpm;
                epoch.beats_count += 1;
            }
            if let Some(breaths) = breaths {
                epoch.breaths += breaths;
                epoch.breaths_count += 1;
            }
            if let (Some(fix), Some(origin), true) = (&sample.position, &origin, fixes[index]) {
                let (east, north) = away(origin, fix);
                epoch.east += east;
                epoch.north += north;
                epoch.fixes += 1;
                epoch.narrow = narrow.of(fix.latitude);
            }
        }
        if epoch.fixes > 0 {
            epoch.east = epoch.east.div_euclid(i64::from(epoch.fixes));
            epoch.north = epoch.north.div_euclid(i64::from(epoch.fixes));
        }
        before = epoch.to;
        epochs.push(epoch);
    }
}

/// A ten-millionth of a degree of latitude, metres.
pub(super) const UNIT_M: f64 = 0.011_119_508;
/// The length of a way in ten-millionths of a degree, metres. Not `hypot`, which is there for numbers that overflow when squared.
pub(super) fn long(east: f64, north: f64) -> f64 {
    (east * east + north * north).sqrt() * UNIT_M
}

/// Nothing is further from a run's first fix than this counts for: 745 km, so that squares can be summed.
const FARTHEST: i64 = 1 << 26;

/// How far east and north, in ten-millionths of a degree: the shorter way round across the antimeridian.
fn away(origin: &Position, fix: &Position) -> (i64, i64) {
    const TURN: i64 = 3_600_000_000;
    let mut east = units(fix.longitude) - units(origin.longitude);
    if east > TURN / 2 {
        east -= TURN;
    } else if east < -TURN / 2 {
        east += TURN;
    }
    let north = units(fix.latitude) - units(origin.latitude);
    (east.clamp(-FARTHEST, FARTHEST), north.clamp(-FARTHEST, FARTHEST))
}

fn units(degrees: f64) -> i64 {
    rounded(degrees * 1e7)
}

/// The nearest whole number, halves away from zero: as `round`, which is a call where the processor has no such instruction.
#[expect(clippy::cast_possible_truncation, reason = "figures here are far below 2^52")]
pub(super) fn rounded(figure: f64) -> i64 {
    let whole = figure as i64;
    let part = figure - whole as f64;
    whole + i64::from(part >= 0.5) - i64::from(part <= -0.5)
}

/// Which heart rates count: those near the median of those around them.
fn right_rates(samples: &[Sample]) -> Vec<bool> {
    let mut right = vec![false; samples.len()];
    let known: Vec<(usize, f64)> =
        samples.iter().enumerate().filter_map(|(index, sample)| Some((index, beats(sample)?))).collect();
    for nth in 0..known.len() {
        let (index, bpm) = known[nth];
        let near = |other: usize| (samples[other].at - samples[index].at).abs() <= NEAR_US;
        let mut values = [0.0_f64; 2 * AROUND + 1];
        let mut count = 0;
        for (other, bpm) in &known[nth.saturating_sub(AROUND)..(nth + AROUND + 1).min(known.len())] {
            if near(*other) {
                values[count] = *bpm;
                count += 1;
            }
        }
        let values = &mut values[..count];
        let (least, most) = values.iter().fold((f64::MAX, 0.0_f64), |(a, b), bpm| (a.min(*bpm), b.max(*bpm)));
        // All are near each other, so they are near the median: nothing to look for.
        if most - least <= WRONG * least {
            right[index] = true;
            continue;
        }
        values.sort_unstable_by(f64::total_cmp);
        let median = values[count / 2];
        right[index] = count < 3 || (bpm - median).abs() <= WRONG * median;
    }
    right
}

/// A fix on the plane of its run.
#[derive(Debug, Clone, Copy)]
struct Placed {
    index: usize,
    at: i64,
    east: i64,
    north: i64,
    noise_m: f64,
}

impl Placed {
    fn distance_m(&self, other: &Self, narrow: f64) -> f64 {
        long((self.east - other.east) as f64 * narrow, (self.north - other.north) as f64)
    }
}

/// Which fixes count: good enough, and not leaping away and back.
fn right_fixes(samples: &[Sample], priors: &Priors) -> Vec<bool> {
    let mut right = vec![false; samples.len()];
    let Some(origin) = samples.iter().find_map(|sample| sample.position) else { return right };
    let mut narrow = Narrow::default();
    let mut window: [Option<(Placed, f64)>; 3] = [None; 3];
    let known = samples.iter().enumerate().filter_map(|(index, sample)| {
        let fix = sample.position.filter(|fix| fix.accuracy_m.is_none_or(|accuracy| accuracy <= WORST_M))?;
        let (east, north) = away(&origin, &fix);
        let noise_m = fix.accuracy_m.unwrap_or(0.0);
        Some((Placed { index, at: sample.at, east, north, noise_m }, narrow.of(fix.latitude)))
    });
    // Each is looked at once the next is known; the last has none after it.
    for next in known.map(Some).chain([None]) {
        window = [window[1], window[2], next];
        if let Some((fix, narrow)) = window[1] {
            right[fix.index] =
                !leaps(window[0].map(|(fix, _)| fix), &fix, next.map(|(fix, _)| fix), narrow, priors);
        }
    }
    right
}

/// Whether a fix is far from both of its neighbours, and they are near each other.
fn leaps(before: Option<Placed>, fix: &Placed, after: Option<Placed>, narrow: f64, priors: &Priors) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return false };
    let far = |other: &Placed| {
        let span = (other.at - fix.at).abs();
        // What a pet does within seconds it does at a run; over a minute it may be back again.
        let noise = 2.0 * (fix.noise_m * fix.noise_m + other.noise_m * other.noise_m).sqrt();
        let most = LEAP_M.max(noise) + priors.running_mps * super::seconds(span).min(20.0);
        span <= NEAR_US && fix.distance_m(other, narrow) > most
    };
    far(&before) && far(&after) && before.distance_m(&after, narrow) < before.distance_m(fix, narrow) / 2.0
}

/// How much shorter degrees of longitude are than those of latitude: the same for all within a tenth of a degree.
#[derive(Debug)]
struct Narrow {
    belt: f64,
    narrow: f64,
}

impl Default for Narrow {
    fn default() -> Self {
        Self { belt: f64::NAN, narrow: 1.0 }
    }
}

impl Narrow {
    fn of(&mut self, latitude: f64) -> f64 {
        let belt = (latitude * 10.0).floor();
        if belt.total_cmp(&self.belt).is_ne() {
            (self.belt, self.narrow) = (belt, (belt / 10.0 + 0.05).to_radians().cos().max(0.0));
        }
        self.narrow
    }
}

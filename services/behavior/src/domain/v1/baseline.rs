//! The pet's own heart rates, asleep and at rest, and its breaths asleep, anew each quarter of a day.
//!
//! Invariant: the baseline of a quarter comes from the whole quarters of the seven days before it alone, so that a late reading
//! changes nothing of its own; it begins at what such a pet's is (domain.md; [`Kin`]) and weighs that less with each quarter.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::super::Species;
use super::super::canon::SECOND;
use super::super::canon::Sample;
use super::super::kin::Kin;
use super::super::rules::priors;
use super::epochs::rounded_up;
use super::{beats, breaths};

/// A pet is calibrating until it has this many days (domain.md).
pub(super) const DAYS_WANTED: u8 = 7;
/// Quarters of the days that a baseline stands on.
pub(super) const QUARTERS: i64 = 4 * DAYS_WANTED as i64;
/// A quarter of a day, microseconds.
pub(super) const QUARTER_US: i64 = 21_600 * SECOND;
/// What such a pet's is counts like this many quarters of its own.
const PRIOR: f64 = 0.1;
/// A quarter counts with so many heart rates at rest: an hour's worth at 60 s, half of them missing.
const LEAST: u32 = 30;
/// Of the heart rates at level 0 this quantile is the sleeping one: two thirds of a pet's rest is sleep (12 to 14 h of about 20,
/// domain.md), so the middle of its lower two thirds.
const QUANTILE: f64 = 0.35;
/// The middle of all rest, awake or not.
const MIDDLE: f64 = 0.5;
/// One bin is one bpm.
const BINS: usize = 301;
/// After those, one is half a breath per minute: up to 60, beyond which no pet at rest breathes (~).
const BREATHS: usize = 121;

/// Where what does not count is counted.
const ASIDE: usize = BINS + BREATHS;

/// A pet's own, or its species'.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Beats per minute, asleep.
    pub sleeping_bpm: f64,
    /// How many days before it stands on, a part of one counting, up to seven.
    pub days: u8,
}

impl Baseline {
    /// Before anything of its own is known.
    #[must_use]
    pub const fn prior(species: Species) -> Self {
        Self {
            sleeping_bpm: match species {
                // 7 % below the resting median of 703 dogs' collars, 60.5 (domain.md; asleep against resting ~).
                Species::Dog => 56.0,
                // 132 at home awake (domain.md), asleep a fifth less (~).
                Species::Cat => 105.0,
            },
            days: 0,
        }
    }

    /// The same, of such a pet in a quarter of a day.
    pub(super) fn expected(kin: Kin, quarter: i64) -> Self {
        let Self { sleeping_bpm, days } = Self::prior(kin.species);
        Self { sleeping_bpm: sleeping_bpm * kin.pace(quarter.saturating_mul(QUARTER_US)), days }
    }
}

/// A pet's heart rates, or its species', as alerts hold readings against them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Own {
    /// Beats per minute, asleep.
    pub sleeping_bpm: f64,
    /// The median of all rest at this quarter of the day: by night a pet sleeps through more of it.
    pub resting_bpm: f64,
    /// How many days before it stands on.
    pub days: u8,
}

impl Own {
    /// Before anything of its own is known.
    #[must_use]
    pub const fn prior(species: Species) -> Self {
        let Baseline { sleeping_bpm, days } = Baseline::prior(species);
        let resting_bpm = match species {
            // Of 703 dogs' collars (domain.md).
            Species::Dog => 60.5,
            // As much above the sleeping one as a dog's (~).
            Species::Cat => 113.0,
        };
        Self { sleeping_bpm, resting_bpm, days }
    }

    /// The same, of such a pet at an instant, microseconds since 1970.
    #[must_use]
    pub fn expected(kin: Kin, at: i64) -> Self {
        let Self { sleeping_bpm, resting_bpm, days } = Self::prior(kin.species);
        let pace = kin.pace(quarter(at) * QUARTER_US);
        Self { sleeping_bpm: sleeping_bpm * pace, resting_bpm: resting_bpm * pace, days }
    }

    /// Asleep alone.
    #[must_use]
    pub const fn asleep(&self) -> Baseline {
        Baseline { sleeping_bpm: self.sleeping_bpm, days: self.days }
    }

    /// Which part of these heart rates is such a pet's, and not its own, at most: 0 to 1.
    #[must_use]
    pub fn expected_share(&self) -> f64 {
        // A day of its own has one quarter that counts, or more.
        PRIOR / (PRIOR + f64::from(self.days))
    }
}

/// How often each heart rate, and each respiratory rate, was seen at rest, by quarters of days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rest {
    quarters: BTreeMap<i64, Box<Bins>>,
}

type Bins = [u32; ASIDE];

impl Rest {
    /// Counts canonical readings in.
    pub(super) fn add(&mut self, samples: &[Sample]) {
        for (this, same) in by_quarter(samples) {
            // What is not to be counted is counted aside: that costs less than to guess which readings those are.
            let mut bins = [0_u32; ASIDE + 1];
            for sample in same {
                // A level that is absent says nothing against rest.
                let moves = sample.level.map_or(0, |level| level) > 0;
                let (beat, breath) = (beat_bin(beats(sample)), breath_bin(breaths(sample)));
                for bin in [beat, breath].map(|bin| if moves { ASIDE } else { bin }) {
                    bins[bin] += 1;
                }
            }
            if bins[..ASIDE].iter().any(|bin| *bin > 0) {
                let all = self.quarters.entry(this).or_insert_with(none);
                all.iter_mut().zip(bins).for_each(|(all, bin)| *all += bin);
            }
        }
    }

    /// A quarter as it is kept: each rate that was seen, and how often.
    pub(super) fn kept(&self, quarter: i64) -> Vec<(u16, u32)> {
        let bins = self.quarters.get(&quarter).into_iter().flat_map(|bins| bins.iter());
        (0_u16..).zip(bins).filter(|(_, count)| **count > 0).map(|(at, count)| (at, *count)).collect()
    }

    /// Takes a kept quarter back.
    pub(super) fn restore(&mut self, quarter: i64, kept: &[(u16, u32)]) {
        let bins = self.quarters.entry(quarter).or_insert_with(none);
        for (at, count) in kept {
            if let Some(bin) = bins.get_mut(usize::from(*at)) {
                *bin = *count;
            }
        }
    }

    /// Of a quarter: from those of the week before, each time of day by itself as far as it is known.
    pub(super) fn own(&self, kin: impl Into<Kin>, today: i64) -> Own {
        let kin = kin.into();
        let prior = Own::expected(kin, today.saturating_mul(QUARTER_US));
        let Baseline { sleeping_bpm, days } = self.baseline(kin, today);
        let all = Shares::of(self.before(today));
        let usual = all.towards(MIDDLE, prior.resting_bpm, PRIOR);
        let then = Shares::of(self.before(today).filter(|(at, _)| (today - at) % 4 == 0));
        Own { sleeping_bpm, resting_bpm: then.towards(MIDDLE, usual, 1.0), days }
    }

    fn baseline(&self, kin: Kin, today: i64) -> Baseline {
        let (prior, shares) = (Baseline::expected(kin, today), Shares::of(self.before(today)));
        let sleeping_bpm = shares.towards(QUANTILE, prior.sleeping_bpm, PRIOR).max(30.0);
        Baseline { sleeping_bpm, days: shares.days.min(DAYS_WANTED) }
    }

    /// Breaths per minute, asleep: found as the sleeping heart rate is.
    fn breaths(&self, kin: Kin, today: i64) -> f64 {
        let halves = Shares::of(self.counted(today, BINS..ASIDE));
        halves.towards(QUANTILE, 2.0 * priors(kin.species).asleep_breaths, PRIOR).max(2.0) / 2.0
    }

    fn before(&self, today: i64) -> impl Iterator<Item = (i64, &[u32])> {
        self.counted(today, 0..BINS)
    }

    fn counted(&self, today: i64, kind: Range<usize>) -> impl Iterator<Item = (i64, &[u32])> {
        let before = self.quarters.range(today - QUARTERS..today);
        let of = before.map(move |(at, bins)| (*at, &bins[kind.clone()]));
        of.filter(|(_, bins)| bins.iter().sum::<u32>() >= LEAST)
    }
}

/// The baselines of a pet, by quarters of days.
#[derive(Debug, Clone)]
pub struct Baselines {
    kin: Kin,
    /// And breaths per minute, asleep.
    quarters: BTreeMap<i64, (Baseline, f64)>,
}

/// Those of some quarters, as they are kept.
pub(super) type KeptBaselines = (Vec<(i64, Baseline)>, Vec<(i64, f64)>);

impl Baselines {
    /// Of the quarters that canonical readings are of, from what was counted before and the readings themselves.
    pub(super) fn of(kin: Kin, mut rest: Rest, samples: &[Sample]) -> Self {
        rest.add(samples);
        Self::over(kin, &rest, samples)
    }

    /// Of the quarters that readings are of, from what was counted.
    pub(super) fn over(kin: Kin, rest: &Rest, samples: &[Sample]) -> Self {
        let own = |this| (rest.baseline(kin, this), rest.breaths(kin, this));
        Self { kin, quarters: by_quarter(samples).map(|(this, _)| (this, own(this))).collect() }
    }

    /// Those that were kept.
    pub(super) fn known(kin: Kin, baselines: &[(i64, Baseline)], breaths: &[(i64, f64)]) -> Self {
        let breaths: BTreeMap<i64, f64> = breaths.iter().copied().collect();
        let expected = priors(kin.species).asleep_breaths;
        let of = |(quarter, baseline): &(i64, Baseline)| {
            (*quarter, (*baseline, breaths.get(quarter).copied().unwrap_or(expected)))
        };
        Self { kin, quarters: baselines.iter().map(of).collect() }
    }

    /// Those from a quarter on, to be kept.
    pub(super) fn since(&self, quarter: i64) -> KeptBaselines {
        let since = || self.quarters.range(quarter..);
        let baselines = since().map(|(quarter, (baseline, _))| (*quarter, *baseline));
        (baselines.collect(), since().map(|(quarter, (_, breaths))| (*quarter, *breaths)).collect())
    }

    /// That of an instant, microseconds since 1970.
    #[must_use]
    pub fn at(&self, at: i64) -> Baseline {
        self.both_at(at).0
    }

    fn both_at(&self, at: i64) -> (Baseline, f64) {
        let known = self.quarters.get(&quarter(at)).copied();
        known.unwrap_or_else(|| {
            (Baseline::expected(self.kin, quarter(at)), priors(self.kin.species).asleep_breaths)
        })
    }
}

impl Baselines {
    /// For instants that mostly follow one another.
    pub(super) fn steady(&self) -> Steady<'_> {
        let baseline = Baseline::prior(self.kin.species);
        Steady {
            baselines: self,
            quarter: i64::MIN,
            baseline,
            breaths: priors(self.kin.species).asleep_breaths,
        }
    }
}

/// Remembers the quarter it was last asked for.
#[derive(Debug)]
pub(super) struct Steady<'a> {
    baselines: &'a Baselines,
    quarter: i64,
    baseline: Baseline,
    breaths: f64,
}

impl Steady<'_> {
    pub(super) fn at(&mut self, at: i64) -> Baseline {
        self.both_at(at).0
    }

    /// And breaths per minute, asleep.
    pub(super) fn both_at(&mut self, at: i64) -> (Baseline, f64) {
        if quarter(at) != self.quarter {
            (self.quarter, (self.baseline, self.breaths)) = (quarter(at), self.baselines.both_at(at));
        }
        (self.baseline, self.breaths)
    }
}

fn none() -> Box<Bins> {
    Box::new([0; ASIDE])
}

/// Where a respiratory rate in hundredths is counted.
fn breath_bin(hundredths: i64) -> usize {
    let half = usize::try_from((hundredths + 25) / 50).unwrap_or(BREATHS);
    if hundredths > 0 && half < BREATHS { BINS + half } else { ASIDE }
}

/// Where a heart rate is, if it counts.
fn beat_bin((bpm, counts): (f64, bool)) -> usize {
    let bin = usize::try_from(rounded_up(bpm)).unwrap_or(BINS);
    if counts && bin < BINS { bin } else { ASIDE }
}

/// The quarter of a day (UTC) of an instant.
pub(super) fn quarter(at: i64) -> i64 {
    at.div_euclid(QUARTER_US)
}

/// Canonical readings by their quarters.
fn by_quarter(mut samples: &[Sample]) -> impl Iterator<Item = (i64, &[Sample])> {
    std::iter::from_fn(move || {
        let this = quarter(samples.first()?.at);
        let same = samples.partition_point(|sample| sample.at < (this + 1) * QUARTER_US);
        let (same, rest) = samples.split_at(same);
        samples = rest;
        Some((this, same))
    })
}

/// Of some quarters, each alike, however many readings it has.
#[derive(Debug)]
struct Shares {
    bins: [f64; BINS],
    quarters: u8,
    days: u8,
}

impl Shares {
    fn of<'a>(quarters: impl Iterator<Item = (i64, &'a [u32])>) -> Self {
        let mut shares = Self { bins: [0.0; BINS], quarters: 0, days: 0 };
        let mut last = i64::MIN;
        for (at, bins) in quarters {
            shares.quarters += 1;
            shares.days += u8::from(at.div_euclid(4) != last);
            last = at.div_euclid(4);
            let all = f64::from(bins.iter().sum::<u32>());
            for (share, bin) in shares.bins.iter_mut().zip(bins.iter()) {
                *share += f64::from(*bin) / all;
            }
        }
        shares
    }

    fn quantile(&self, quantile: f64) -> Option<f64> {
        let wanted = quantile * f64::from(self.quarters);
        let mut sum = 0.0;
        for (share, at) in self.bins.iter().zip(0_u32..) {
            if self.quarters > 0 && sum + share >= wanted {
                return Some(f64::from(at) - 0.5 + (wanted - sum) / share);
            }
            sum += share;
        }
        None
    }

    /// Its own quantile, and as if some quarters had said `prior`.
    fn towards(&self, quantile: f64, prior: f64, quarters: f64) -> f64 {
        let weight = f64::from(self.quarters);
        (self.quantile(quantile).unwrap_or(prior) * weight + prior * quarters) / (weight + quarters)
    }
}

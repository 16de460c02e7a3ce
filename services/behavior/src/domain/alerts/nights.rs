//! Breaths asleep by night, held against the pet's own nights.
//!
//! Invariant: a night is its median, so that some odd readings do not move it; three in a row, each a quarter above the nights
//! before them, say something, and one as usual ends it. One of which nothing is known is in no row.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::super::history::median;
use super::Report;

/// A night counts with so many breaths (~).
const LEAST: u32 = 20;
/// So many nights are remembered, the newest last.
const KEPT: usize = 28;
/// At least so many are what the last ones are held against (domain.md: 7 days of baseline).
const BASELINE: usize = 7;
/// So many in a row (domain.md: 3 days running),
const RUNNING: usize = 3;
/// each so much above (domain.md: 25 %).
const ABOVE: f64 = 1.25;
/// After so many nights of which nothing is known those before are not what is usual now (~).
const FORGOTTEN: i64 = 14;
/// Stands for nights of which too little is known.
const UNKNOWN: u16 = 0;
/// From noon to noon, so that a night is one.
const HALF_DAY_S: i64 = 43_200;

/// What is remembered of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Nights {
    /// Days since 1970, by the pet's clock, of the noon before the one that goes on.
    night: i64,
    /// How often each whole number of breaths a minute was told.
    counts: Vec<u32>,
    /// Medians of those before, tenths; [`UNKNOWN`].
    past: Vec<u16>,
    on: bool,
}

/// A night's breaths a minute, and what they are held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Compared {
    pub(super) night: f64,
    pub(super) usual: f64,
}

impl Nights {
    /// Takes breaths asleep; once a night is over, whether the last ones are high, where that is to be said.
    pub(super) fn take(
        &mut self,
        report: &Report,
        breaths: f64,
        zone: &TimeZone,
    ) -> Option<(bool, Compared)> {
        let local_s = report.at.as_second() + i64::from(zone.to_offset(report.at).seconds());
        let night = (local_s - HALF_DAY_S).div_euclid(86_400);
        let over = (night > self.night).then(|| self.close(night)).flatten();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to panting")]
        let bin = breaths.round().clamp(0.0, super::PANTING) as usize;
        if self.counts.len() <= bin {
            self.counts.resize(bin + 1, 0);
        }
        self.counts[bin] += 1;
        over
    }

    /// The medians of those that are over, the newest last.
    pub(super) fn past(&self) -> impl Iterator<Item = f64> {
        known(&self.past)
    }

    /// The night before the one that goes on: when it began, days since 1970 by the pet's clock, and its median.
    pub(super) fn last(&self) -> Option<(i64, f64)> {
        let last = self.past.last().filter(|tenths| **tenths != UNKNOWN)?;
        Some((self.night - 1, f64::from(*last) / 10.0))
    }

    fn close(&mut self, next: i64) -> Option<(bool, Compared)> {
        let unknown = next - std::mem::replace(&mut self.night, next) - 1;
        let counts = std::mem::take(&mut self.counts);
        let night = middle(&counts);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most ten times panting"
        )]
        self.remember(night.map_or(UNKNOWN, |night| (night * 10.0).round().max(1.0) as u16));
        let said = night.and_then(|night| self.compare(night));
        if unknown > FORGOTTEN {
            self.past.clear();
        } else if unknown > 0 {
            self.remember(UNKNOWN);
        }
        said
    }

    fn remember(&mut self, tenths: u16) {
        if self.past.len() >= KEPT {
            self.past.remove(0);
        }
        self.past.push(tenths);
    }

    fn compare(&mut self, night: f64) -> Option<(bool, Compared)> {
        let (before, last) = self.past.split_at(self.past.len().saturating_sub(RUNNING));
        let before: Vec<f64> = known(before).collect();
        if before.len() < BASELINE {
            return None;
        }
        let usual = median(&before)?;
        let high = |tenths: &u16| f64::from(*tenths) / 10.0 > ABOVE * usual;
        let was = self.on;
        // While it lasts the high nights do not become what is usual: it ends with one as usual.
        self.on = last.iter().all(high) || was && last.last().is_some_and(high);
        (self.on || was).then_some((self.on, Compared { night, usual }))
    }
}

fn known(nights: &[u16]) -> impl Iterator<Item = f64> {
    nights.iter().filter(|tenths| **tenths != UNKNOWN).map(|tenths| f64::from(*tenths) / 10.0)
}

/// A night's median, of how often each whole number was told; `None` of too few.
fn middle(counts: &[u32]) -> Option<f64> {
    let all: u32 = counts.iter().sum();
    if all < LEAST {
        return None;
    }
    let mut sum = 0;
    let middle = counts.iter().position(|count| {
        sum += count;
        2 * sum >= all
    })?;
    // Within the bin, by how much of it lies below the middle.
    let below = f64::from(all) / 2.0 - f64::from(sum - counts[middle]);
    Some(middle as f64 - 0.5 + below / f64::from(counts[middle]))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    /// What is said at the end of each night, of nights of such breaths; 0: nothing is known of it.
    fn said(nights: &[f64]) -> Vec<Option<bool>> {
        let mut kept = Nights::default();
        let mut said = Vec::new();
        for (night, breaths) in nights.iter().enumerate().filter(|(_, breaths)| **breaths > 0.0) {
            for minute in 0..120 {
                // From eleven in the evening on.
                let second = 82_800 + 86_400 * i64::try_from(night).unwrap() + 60 * minute;
                let report = Report {
                    at: Timestamp::from_second(second).unwrap(),
                    collar: 1,
                    heart_rate: None,
                    activity_level: Some(0),
                    position: None,
                    respiratory_rate: Some(*breaths),
                    temperature: None,
                    battery: None,
                };
                let odd = if minute % 7 == 0 { 45.0 } else { *breaths };
                let now = kept.take(&report, odd, &TimeZone::UTC);
                if minute == 0 && night > 0 {
                    said.push(now.map(|(on, _)| on));
                }
            }
        }
        said
    }

    #[test]
    fn three_nights_a_quarter_above_seven_say_it_and_one_as_usual_ends_it() {
        let mut nights = vec![14.0; 7];
        nights.extend([18.5, 18.5, 18.5, 18.5, 14.0, 14.0]);
        let said = said(&nights);
        assert_eq!(said.iter().position(|said| *said == Some(true)), Some(9), "{said:?}");
        assert_eq!(said[11 - 1..], [Some(true), Some(false)], "{said:?}");
    }

    #[test]
    fn nights_that_lie_apart_are_no_three_running_and_what_is_long_past_is_not_usual() {
        let high = |apart: usize| [&[18.5][..], &vec![0.0; apart]].concat();
        let of = |nights: &[Vec<f64>]| said(&nights.concat());
        let usual = vec![14.0; 8];
        let apart = of(&[usual.clone(), high(1), high(1), high(1), vec![14.0]]);
        assert!(!apart.contains(&Some(true)), "{apart:?}");
        let running = of(&[usual.clone(), high(1), vec![18.5, 18.5, 18.5, 14.0]]);
        assert!(running.contains(&Some(true)), "{running:?}");
        let long_past = of(&[usual, vec![0.0; 20], vec![18.5; 5], vec![14.0]]);
        assert!(!long_past.contains(&Some(true)), "{long_past:?}");
    }

    #[test]
    fn two_nights_less_than_a_quarter_and_six_nights_of_baseline_are_too_little() {
        let of = |usual: usize, high: &[f64]| said(&[&vec![14.0; usual][..], high, &[14.0]].concat());
        for said in [of(9, &[18.5, 18.5]), of(9, &[17.0; 5]), of(6, &[18.5; 3])] {
            assert!(!said.contains(&Some(true)), "{said:?}");
        }
    }
}

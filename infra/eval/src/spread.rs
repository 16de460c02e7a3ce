//! Figures with their spread: animals are drawn, with replacement, and counted anew.
//!
//! Invariant: what belongs to one animal is drawn together; readings are never drawn alone (random rows flatter: 0.95 against
//! 0.86 measured, domain.md).

use petty_behavior::domain::Behavior;
use petty_scenarios::chance::Chance;

use crate::score::{Tally, index};

/// How often animals are drawn.
const DRAWS: usize = 1_000;

/// A figure, and between which two it lies in 95 % of the draws.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// Over all animals.
    pub at: f64,
    /// 2.5th percentile.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

/// A behaviour's figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    /// Of the time claimed, the share that was so; 0 where nothing was claimed.
    pub precision: Figure,
    /// Of the time that was so, the share that was claimed.
    pub recall: Figure,
    /// Their harmonic mean.
    pub f1: Figure,
    /// How many animals.
    pub animals: usize,
    /// Hours that it was so.
    pub true_hours: f64,
}

/// Of some animals.
#[must_use]
pub fn measure(tallies: &[&Tally], behavior: Behavior) -> Measure {
    let nth = index(behavior);
    let parts: Vec<[f64; 3]> =
        tallies.iter().map(|tally| [tally.right_s[nth], tally.claimed_s[nth], tally.true_s[nth]]).collect();
    let all = figures(parts.iter());
    let mut chance = Chance::of(&[nth as u64, parts.len() as u64]);
    let mut draws: [Vec<f64>; 3] = Default::default();
    for _ in 0..DRAWS {
        let drawn: Vec<&[f64; 3]> = parts.iter().filter_map(|_| draw(&parts, &mut chance)).collect();
        for (list, figure) in draws.iter_mut().zip(figures(drawn)) {
            list.push(figure);
        }
    }
    let [precision, recall, f1] = [0, 1, 2].map(|which: usize| {
        draws[which].sort_by(f64::total_cmp);
        let quantile =
            |permille: usize| draws[which].get(DRAWS * permille / 1_000).copied().unwrap_or_default();
        Figure { at: all[which], low: quantile(25), high: quantile(974) }
    });
    let true_hours = parts.iter().map(|part| part[2]).sum::<f64>() / 3_600.0;
    Measure { precision, recall, f1, animals: parts.len(), true_hours }
}

fn draw<'a>(parts: &'a [[f64; 3]], chance: &mut Chance) -> Option<&'a [f64; 3]> {
    let index = chance.number().checked_rem(parts.len() as u64)?;
    parts.get(usize::try_from(index).ok()?)
}

fn figures<'a>(parts: impl IntoIterator<Item = &'a [f64; 3]>) -> [f64; 3] {
    let mut sum = [0.0; 3];
    for part in parts {
        sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    let share = |of: f64| if of > 0.0 { sum[0] / of } else { 0.0 };
    [share(sum[1]), share(sum[2]), share((sum[1] + sum[2]) / 2.0)]
}

/// The upper 95 % bound of a rate of events of which so many were seen over an exposure (Poisson, one-sided, exact).
#[must_use]
pub fn rate_bound(events: u32, exposure: f64) -> f64 {
    // P(at most `events`) sinks as the mean rises: halve the interval where it crosses 0.05.
    let (mut low, mut high) = (f64::from(events), f64::from(events) * 3.0 + 10.0);
    for _ in 0..60 {
        let mean = f64::midpoint(low, high);
        let mut term = (-mean).exp();
        let mut sum = term;
        for nth in 1..=events {
            term *= mean / f64::from(nth);
            sum += term;
        }
        if sum > 0.05 { low = mean } else { high = mean }
    }
    high / exposure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(right: f64, claimed: f64, so: f64) -> Tally {
        let mut tally = Tally::default();
        (tally.right_s[0], tally.claimed_s[0], tally.true_s[0]) = (right, claimed, so);
        tally
    }

    #[test]
    fn figures_are_of_time_and_spread_by_animal() {
        let (good, bad) = (tally(90.0, 100.0, 100.0), tally(10.0, 100.0, 100.0));
        let both = measure(&[&good, &bad], Behavior::DeepSleep);
        assert!((both.precision.at - 0.5).abs() < 1e-9 && (both.f1.at - 0.5).abs() < 1e-9);
        assert!((both.precision.low - 0.1).abs() < 1e-9 && (both.precision.high - 0.9).abs() < 1e-9);
        let alike = measure(&[&good; 30], Behavior::DeepSleep);
        assert!((alike.recall.low - alike.recall.high).abs() < 1e-9);
        let none = measure(&[], Behavior::DeepSleep);
        assert_eq!((none.precision.at, none.f1.at, none.animals), (0.0, 0.0, 0));
    }

    #[test]
    fn rates_are_bounded_as_the_tables_say() {
        assert!((rate_bound(0, 1.0) - 2.996).abs() < 1e-3, "the rule of three");
        assert!((rate_bound(3, 2.0) - 7.754 / 2.0).abs() < 1e-3);
        assert!((rate_bound(10, 1.0) - 16.962).abs() < 1e-3);
    }
}

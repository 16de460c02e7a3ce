//! Quantiles of what was measured, and their spread over rounds.

use std::time::Duration;

/// A figure over several rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The rounds' median.
    pub median: f64,
    /// The best round.
    pub least: f64,
    /// The worst one.
    pub most: f64,
}

impl Spread {
    /// Of one figure a round; `None` without rounds.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        Some(Self { median: at(&figures, 0.5), least, most })
    }
}

/// A quantile of durations in milliseconds, by the nearest rank; 0 of none.
pub(super) fn quantile_ms(durations: &[Duration], quantile: f64) -> f64 {
    let mut figures: Vec<f64> = durations.iter().map(|duration| duration.as_secs_f64() * 1e3).collect();
    figures.sort_by(f64::total_cmp);
    at(&figures, quantile)
}

/// The nearest rank of a quantile in sorted figures.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rank among measurements that fit into memory"
)]
fn at(sorted: &[f64], quantile: f64) -> f64 {
    let rank = (quantile.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_figures() {
        let figures: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        for (quantile, expected) in [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            assert!((quantile_ms(&figures, quantile) - expected).abs() < 1e-9, "{quantile}");
        }
        assert!(quantile_ms(&[], 0.5).abs() < f64::EPSILON);
    }

    #[test]
    fn a_spread_is_the_median_between_best_and_worst() {
        let spread = Spread::of([3.0, 9.0, 1.0]).unwrap();
        assert_eq!(spread, Spread { median: 3.0, least: 1.0, most: 9.0 });
        assert_eq!(Spread::of([]), None);
    }
}

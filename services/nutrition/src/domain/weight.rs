//! A pet's weights: the last one, the trend, the ideal, and how to get there.
//!
//! Invariant: a trend is told only of weights that are enough, and far enough apart; one bad weight among them does not turn it.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::activity::median;
use super::animal::{LifeStage, Profile, Species, WeightPoint};
use super::{fine, rounded};

/// WSAVA's nine points: five is ideal.
pub const IDEAL_SCORE: u8 = 5;
/// At and under that a pet is thin: WSAVA's "under ideal" is 1 to 3.
pub const THIN_SCORE: u8 = 3;
/// A point is a tenth of the ideal weight (domain.md, "Energy": kg / (1 + 0.1 × (BCS − 5))).
const PER_POINT: f64 = 0.1;
/// The weights a trend is of; ours.
const TREND_WINDOW: SignedDuration = SignedDuration::from_hours(8 * 7 * 24);
/// Ours: with two weights the line is whatever they are.
const TREND_WEIGHTS: usize = 3;
/// Ours: within two weeks a full bowl outweighs the trend.
const TREND_SPAN: SignedDuration = SignedDuration::from_hours(14 * 24);
const WEEK_SECONDS: f64 = 7.0 * 86_400.0;

/// Where a body condition asks the weight to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// Thin: up.
    Gain,
    /// Ideal, or a little under: nowhere.
    Stay,
    /// Above ideal: down.
    Lose,
}

pub(crate) fn aim(score: u8) -> Aim {
    if score <= THIN_SCORE {
        Aim::Gain
    } else if score <= IDEAL_SCORE {
        Aim::Stay
    } else {
        Aim::Lose
    }
}

/// What a pet's weights show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Trend {
    pub(crate) kg_per_week: f64,
    /// Of the window's median weight.
    pub(crate) percent_per_week: f64,
    pub(crate) weights: usize,
}

/// A weight to reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WeightGoal {
    /// The ideal weight, kg.
    pub target_weight_kg: f64,
    /// Slowest useful loss a week, kg.
    pub min_kg_per_week: f64,
    /// Fastest safe loss a week, kg.
    pub max_kg_per_week: f64,
    /// What the weights show, kg a week, negative for a loss.
    pub observed_kg_per_week: Option<f64>,
    /// About how many weeks at the fastest safe pace.
    pub weeks_min: u32,
    /// And at the slowest.
    pub weeks_max: u32,
}

/// Percent of the body weight a week: slowest useful, fastest safe (domain.md, "Energy": dog 1 to 2, cat 0.5 to 2 (~)).
pub(crate) fn loss_percent(species: Species) -> (f64, f64) {
    match species {
        Species::Dog => (1.0, 2.0),
        Species::Cat => (0.5, 2.0),
    }
}

/// The last weight that is not in the future; of those of one time the first, as they are read the one that was noted last.
#[must_use]
pub fn latest(weights: &[WeightPoint], now: Timestamp) -> Option<WeightPoint> {
    let usable = weights.iter().filter(|point| point.at <= now && point.kg.is_finite() && point.kg > 0.0);
    usable.reduce(|newest, point| if point.at > newest.at { point } else { newest }).copied()
}

/// kg / (1 + 0.1 × (BCS − 5)).
pub(crate) fn ideal_kg(kg: f64, score: u8) -> f64 {
    kg / (1.0 + PER_POINT * (f64::from(score) - f64::from(IDEAL_SCORE)))
}

/// Only for the grown up: a growing or carrying pet's ideal is another one tomorrow.
pub(crate) fn ideal(profile: &Profile, stage: LifeStage, kg: Option<f64>) -> Option<f64> {
    let score = profile.body_condition_score?;
    stage.is_maintenance().then_some(ideal_kg(kg?, score))
}

/// Theil-Sen: the median of the slopes of all pairs. What was weighed before the end of the litter's day, which is a day of the pet's
/// zone, may not have been the mother alone.
pub(crate) fn trend(
    weights: &[WeightPoint],
    litter_date: Option<Date>,
    zone: &TimeZone,
    now: Timestamp,
) -> Option<Trend> {
    let born = litter_date
        .and_then(|day| day.tomorrow().ok())
        .and_then(|day| day.to_zoned(zone.clone()).ok())
        .map(|day| day.timestamp());
    let recent: Vec<WeightPoint> = weights
        .iter()
        .filter(|point| point.at <= now && now.duration_since(point.at) <= TREND_WINDOW)
        .filter(|point| born.is_none_or(|born| point.at >= born))
        .filter(|point| point.kg.is_finite() && point.kg > 0.0)
        .copied()
        .collect();
    let (first, last) = (recent.iter().map(|p| p.at).min()?, recent.iter().map(|p| p.at).max()?);
    if recent.len() < TREND_WEIGHTS || last.duration_since(first) < TREND_SPAN {
        return None;
    }
    let mut slopes = Vec::new();
    for (index, a) in recent.iter().enumerate() {
        for b in recent.iter().skip(index + 1) {
            let weeks = b.at.duration_since(a.at).as_secs_f64() / WEEK_SECONDS;
            // Two weights of one hour say nothing of a week.
            if weeks.abs() * WEEK_SECONDS >= 3_600.0 {
                slopes.push((b.kg - a.kg) / weeks);
            }
        }
    }
    let kg_per_week = median(&slopes)?;
    let middle = median(&recent.iter().map(|point| point.kg).collect::<Vec<_>>())?;
    Some(Trend { kg_per_week, percent_per_week: 100.0 * kg_per_week / middle, weights: recent.len() })
}

/// How to come down to the ideal weight; `None` for a pet that is not above it.
pub(crate) fn goal(species: Species, kg: f64, ideal: f64, trend: Option<&Trend>) -> Option<WeightGoal> {
    if kg <= ideal {
        return None;
    }
    let (slowest, fastest) = loss_percent(species);
    Some(WeightGoal {
        target_weight_kg: rounded(ideal),
        min_kg_per_week: fine(kg * slowest / 100.0),
        max_kg_per_week: fine(kg * fastest / 100.0),
        observed_kg_per_week: trend.map(|trend| fine(trend.kg_per_week)),
        weeks_min: weeks(kg, ideal, fastest),
        weeks_max: weeks(kg, ideal, slowest),
    })
}

/// A percentage of what it weighs then, each week: kg × (1 − p)^n = ideal.
fn weeks(kg: f64, ideal: f64, percent: f64) -> u32 {
    let weeks = ((ideal / kg).ln() / (1.0 - percent / 100.0).ln()).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held within 0 and 1,000")]
    let weeks = weeks.clamp(0.0, 1_000.0) as u32;
    weeks
}

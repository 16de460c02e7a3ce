//! What is unusual about a pet's last day, and whether that came at once or over weeks.
//!
//! Invariant: a figure is held against the days before it, the newer ones counting for more; what made the score is said with it.

use jiff::civil::Date;

use super::{DAYS_WANTED, Day, Usual, mann_kendall, median, ordinal, points, theil_sen};

/// So many days back a change is looked for.
const LOOK_DAYS: i64 = 28;
/// A level counts with so many days on each side of a leap.
const LEVEL_DAYS: usize = 4;
/// Beyond so many spreads a figure made the score.
const UNUSUAL: f64 = 2.0;

/// A figure of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Minutes on the move.
    Active,
    /// Minutes asleep.
    Sleep,
    /// Heart rate at rest.
    RestingHeartRate,
    /// Minutes awake at night.
    NightAwake,
}

impl Figure {
    /// All.
    pub const ALL: [Self; 4] = [Self::Active, Self::Sleep, Self::RestingHeartRate, Self::NightAwake];

    /// Its name, as clients know it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active_minutes",
            Self::Sleep => "sleep_minutes",
            Self::RestingHeartRate => "resting_heart_rate",
            Self::NightAwake => "night_awake_minutes",
        }
    }

    /// What its spread counts as at least (~): minutes and beats that days differ by though nothing is different.
    #[must_use]
    pub const fn least(self) -> f64 {
        match self {
            Self::Active | Self::NightAwake => 5.0,
            Self::Sleep => 15.0,
            Self::RestingHeartRate => 2.0,
        }
    }

    /// Of a day.
    #[must_use]
    pub const fn of(self, day: &Day) -> Option<f64> {
        match self {
            Self::Active => day.active_minutes,
            Self::Sleep => Some(day.sleep_minutes),
            Self::RestingHeartRate => day.resting_heart_rate,
            Self::NightAwake => day.night_awake_minutes,
        }
    }
}

/// How a figure changed within the last weeks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// From one day to the next, and it stayed there; the first day of the new level.
    Sudden(Date),
    /// Little by little; so much a day.
    Drift(f64),
}

/// A figure that is unusual, or has changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Feature {
    /// Which.
    pub figure: Figure,
    /// The last day's.
    pub value: f64,
    /// What is usual of the days before.
    pub usual: Usual,
    /// How far from it, in spreads.
    pub away: f64,
    /// How it changed, where it did.
    pub change: Option<Change>,
}

/// How unusual a pet's last day was.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    /// 0 within one spread of all that is usual, to 100: of the figure that is furthest from it.
    pub score: f64,
    /// The day.
    pub date: Date,
    /// What made it, and what has changed; the furthest first.
    pub features: Vec<Feature>,
}

/// Of the last of some days; `None` where too few come before it.
#[must_use]
pub fn anomaly(days: &[Day]) -> Option<Anomaly> {
    let (last, before) = days.split_last()?;
    let features = Figure::ALL.into_iter().filter_map(|figure| {
        let value = figure.of(last)?;
        let known: Vec<(Date, f64)> =
            before.iter().filter_map(|day| Some((day.date, figure.of(day)?))).collect();
        let usual = Usual::decaying(&known, last.date).filter(|usual| usual.days >= DAYS_WANTED)?;
        let all: Vec<(Date, f64)> = known.into_iter().chain([(last.date, value)]).collect();
        Some(Feature { figure, value, usual, away: usual.away(value, figure.least()), change: change(&all) })
    });
    let mut features: Vec<Feature> = features.collect();
    features.sort_by(|a, b| b.away.abs().total_cmp(&a.away.abs()));
    let score = 100.0 - points(features.first()?.away.abs());
    features.retain(|feature| feature.away.abs() > UNUSUAL || feature.change.is_some());
    Some(Anomaly { score, date: last.date, features })
}

/// A drift or a leap of the last weeks. Both are trends; what is told is the one that leaves less unexplained.
fn change(known: &[(Date, f64)]) -> Option<Change> {
    let (last, _) = known.last()?;
    let recent: Vec<(f64, f64)> = known
        .iter()
        .filter(|(date, _)| ordinal(*last) - ordinal(*date) < LOOK_DAYS as f64)
        .map(|(date, figure)| (ordinal(*date), *figure))
        .collect();
    // 2.576: 1 %, both sides of the normal distribution.
    if recent.len() < 2 * LEVEL_DAYS || mann_kendall(&recent).abs() < 2.576 {
        return None;
    }
    let slope = theil_sen(&recent);
    let flat: Vec<f64> = recent.iter().map(|(day, figure)| figure - slope * day).collect();
    let drifting = unexplained(&flat)?;
    let figures: Vec<f64> = recent.iter().map(|(_, figure)| *figure).collect();
    let leaps = (LEVEL_DAYS..=recent.len() - LEVEL_DAYS).filter_map(|at| {
        let (before, after) = figures.split_at(at);
        Some((at, unexplained(before)? + unexplained(after)?, median(after)? - median(before)?))
    });
    let (at, leaping, height) = leaps.min_by(|a, b| a.1.total_cmp(&b.1))?;
    let noise = drifting.min(leaping) / recent.len() as f64;
    // Within what days differ by anyway (~), and a twentieth of the figure itself, nothing has changed.
    let least = (2.0 * noise).max(0.05 * median(&figures)?.abs());
    let span = recent.last()?.0 - recent.first()?.0;
    if leaping < drifting {
        let date = known.get(known.len() - recent.len() + at)?.0;
        (height.abs() >= least).then_some(Change::Sudden(date))
    } else {
        ((slope * span).abs() >= least).then_some(Change::Drift(slope))
    }
}

/// The distances from the middle, summed.
fn unexplained(figures: &[f64]) -> Option<f64> {
    let middle = median(figures)?;
    Some(figures.iter().map(|figure| (figure - middle).abs()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thirty days of a dog whose heart rate at rest is as said.
    fn days(bpm: impl Fn(i32) -> f64) -> Vec<Day> {
        let first = Date::constant(2026, 3, 2);
        let wobble = |nth: i32, by: i32| f64::from((nth * 7 + by) % 5 - 2);
        (0..30)
            .map(|nth| Day {
                date: first.checked_add(jiff::Span::new().days(nth)).unwrap(),
                active_minutes: Some(120.0 + 4.0 * wobble(nth, 0)),
                sleep_minutes: 700.0 + 9.0 * wobble(nth, 1),
                resting_heart_rate: Some(bpm(nth) + wobble(nth, 2) / 2.0),
                night_awake_minutes: Some(30.0 + wobble(nth, 3)),
                night_resting_heart_rate: None,
            })
            .collect()
    }

    #[test]
    fn a_usual_day_has_no_score_and_an_odd_one_says_what_made_it() {
        let usual = anomaly(&days(|_| 60.0)).unwrap();
        assert!(usual.score < 5.0 && usual.features.is_empty(), "{usual:?}");
        let odd = anomaly(&days(|nth| if nth == 29 { 90.0 } else { 60.0 })).unwrap();
        let [feature] = odd.features.try_into().unwrap();
        assert!(odd.score > 90.0 && feature.figure == Figure::RestingHeartRate, "{feature:?}");
        assert_eq!(feature.change, None, "one day is no change yet");
        assert!(feature.away > 4.0 && (feature.usual.median - 60.0).abs() < 1.0);
    }

    #[test]
    fn a_drift_is_told_apart_from_a_leap() {
        let found = |bpm: fn(i32) -> f64| {
            let features = anomaly(&days(bpm)).unwrap().features;
            features.into_iter().find(|feature| feature.figure == Figure::RestingHeartRate).unwrap().change
        };
        let Some(Change::Drift(slope)) = found(|nth| 55.0 + 0.5 * f64::from(nth)) else { panic!("no drift") };
        assert!((slope - 0.5).abs() < 0.05, "{slope}");
        let leap = found(|nth| if nth < 20 { 58.0 } else { 68.0 });
        assert_eq!(leap, Some(Change::Sudden(Date::constant(2026, 3, 22))));
    }

    #[test]
    fn nights_of_no_minute_awake_do_not_make_three_minutes_an_alarm() {
        let mut nights = days(|_| 60.0);
        nights.iter_mut().for_each(|day| day.night_awake_minutes = Some(0.0));
        nights[29].night_awake_minutes = Some(3.0);
        let found = anomaly(&nights).unwrap();
        assert!(found.score < 5.0 && found.features.is_empty(), "{found:?}");
    }

    #[test]
    fn of_a_week_nothing_is_said() {
        assert_eq!(anomaly(&days(|_| 60.0)[..7]), None);
        assert!(anomaly(&days(|_| 60.0)[..8]).is_some());
    }
}

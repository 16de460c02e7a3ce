//! What a pet's days say together: what is usual, how it fares, what is to be expected.
//!
//! Invariant: everything is a function of the days' totals; robust, so that one odd day moves nothing; and absent where the
//! days do not suffice, with the reason.

mod change;
mod hours;

use jiff::civil::{Date, Weekday};

use super::{Behavior, Kin, Species, Totals};

pub use change::{Anomaly, Change, Feature, Figure, anomaly};
pub use hours::{HourUsual, hours};

/// A day counts of which half is known.
const KNOWN_MINUTES: f64 = 720.0;
/// Days until there is anything to compare with (domain.md: 7 days).
pub const DAYS_WANTED: usize = 7;
/// Days that a forecast needs: four weeks, of which the last two are forecast again to see whether that is worth anything.
pub const FORECAST_DAYS: usize = 28;
const BACKTEST_DAYS: usize = 14;
/// What is said of now is of a day not longer ago than this (~): of May nobody wants to hear in November.
pub const RECENT_DAYS: i64 = 7;
/// The days of a trend (domain.md),
pub const TREND_DAYS: i64 = 40;
/// and how many of them must be there.
pub const TREND_WANTED: usize = 30;
/// What is to be expected of such a pet counts like so many of its own (~): after 7 it is an eighth.
const PRIOR_DAYS: f64 = 1.0;
/// After so many days a day counts for half.
const HALF_LIFE_DAYS: f64 = 14.0;

/// A day's figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Day {
    /// Which.
    pub date: Date,
    /// Minutes on the move; absent where levels and fixes do not tell for half of the day.
    pub active_minutes: Option<f64>,
    /// Minutes asleep.
    pub sleep_minutes: f64,
    /// Mean at rest, beats per minute.
    pub resting_heart_rate: Option<f64>,
    /// Awake at night, minutes.
    pub night_awake_minutes: Option<f64>,
    /// Mean at rest by night, beats per minute.
    pub night_resting_heart_rate: Option<f64>,
}

impl Day {
    /// Of a day's totals; `None` where too little of it is known.
    #[must_use]
    pub fn of(date: Date, totals: &Totals) -> Option<Self> {
        let minutes = |of: &dyn Fn(Behavior) -> bool| -> f64 {
            totals
                .behaviors
                .iter()
                .filter(|(behavior, _)| of(**behavior))
                .map(|(_, (minutes, _))| minutes)
                .sum()
        };
        if totals.known_minutes() < KNOWN_MINUTES {
            return None;
        }
        let moved = totals.motion_minutes() >= KNOWN_MINUTES;
        Some(Self {
            date,
            active_minutes: moved.then(|| minutes(&Behavior::moves)),
            sleep_minutes: minutes(&|behavior| behavior == Behavior::DeepSleep),
            resting_heart_rate: totals.resting_heart_rate,
            night_awake_minutes: totals.night_awake_minutes,
            night_resting_heart_rate: totals.night_resting_heart_rate,
        })
    }

    fn is_weekend(&self) -> bool {
        is_weekend(self.date)
    }

    /// Whether it is of now.
    fn is_recent(&self, today: Date) -> bool {
        is_recent(self.date, today)
    }
}

/// Whether a day is of now, by the date.
#[must_use]
pub fn is_recent(date: Date, today: Date) -> bool {
    ordinal(today) - ordinal(date) <= RECENT_DAYS as f64
}

/// The date of so many days since 1970.
#[must_use]
pub fn day(since: i64) -> Date {
    let first = Date::constant(1970, 1, 1);
    first.saturating_add(jiff::Span::new().days(since.clamp(-4_000_000, 4_000_000)))
}

fn is_weekend(date: Date) -> bool {
    matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// What is usual of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usual {
    /// The middle one.
    pub median: f64,
    /// The median of the distances from it, times 1.4826: of a normal spread, its standard deviation.
    pub spread: f64,
    /// Of so many days.
    pub days: usize,
}

impl Usual {
    /// Of some figures; `None` of none.
    #[must_use]
    pub fn of(figures: &[f64]) -> Option<Self> {
        let middle = median(figures)?;
        let away: Vec<f64> = figures.iter().map(|figure| (figure - middle).abs()).collect();
        Some(Self { median: middle, spread: 1.4826 * median(&away)?, days: figures.len() })
    }

    /// The same of dated figures, as of a date: one of a fortnight before counts for half (~). `None` of none.
    #[must_use]
    pub fn decaying(figures: &[(Date, f64)], now: Date) -> Option<Self> {
        let weigh = |of: &dyn Fn(f64) -> f64| -> Vec<(f64, f64)> {
            let weight = |date: Date| 0.5_f64.powf((ordinal(now) - ordinal(date)).max(0.0) / HALF_LIFE_DAYS);
            figures.iter().map(|(date, figure)| (of(*figure), weight(*date))).collect()
        };
        let middle = weighted_median(weigh(&|figure| figure))?;
        let spread = 1.4826 * weighted_median(weigh(&|figure| (figure - middle).abs()))?;
        Some(Self { median: middle, spread, days: figures.len() })
    }

    /// Its median, and what is to be expected of such a pet as if that were a day more; with that one's share.
    #[must_use]
    pub fn towards(own: Option<&Self>, expected: f64) -> (f64, f64) {
        let (median, days) = own.map_or((expected, 0.0), |own| (own.median, own.days as f64));
        let share = PRIOR_DAYS / (PRIOR_DAYS + days);
        (median + (expected - median) * share, share)
    }

    /// How unusual a figure is, in spreads; a spread counts as a tenth of the median at least, and as `least`, so that the most regular pet
    /// is not alarming at once (~).
    #[must_use]
    pub fn away(&self, figure: f64, least: f64) -> f64 {
        (figure - self.median) / self.spread.max(0.1 * self.median.abs()).max(least)
    }
}

/// The figure below and above which the weights are the same; between two, their mean.
fn weighted_median(mut figures: Vec<(f64, f64)>) -> Option<f64> {
    figures.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let half = figures.iter().map(|(_, weight)| weight).sum::<f64>() / 2.0;
    let mut sum = 0.0;
    for (nth, (figure, weight)) in figures.iter().enumerate() {
        sum += weight;
        if sum > half * (1.0 + 1e-12) {
            return Some(*figure);
        }
        if sum >= half * (1.0 - 1e-12) {
            return Some(figures.get(nth + 1).map_or(*figure, |(next, _)| f64::midpoint(*figure, *next)));
        }
    }
    None
}

/// The middle one; of an even number the mean of two.
#[must_use]
pub fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[half]),
        _ => Some(f64::midpoint(sorted[half - 1], sorted[half])),
    }
}

/// The median slope between any two points (Theil 1950, Sen 1968); 0 of fewer than two.
#[must_use]
pub fn theil_sen(points: &[(f64, f64)]) -> f64 {
    let slopes: Vec<f64> = points
        .iter()
        .enumerate()
        .flat_map(|(nth, a)| points[nth + 1..].iter().map(move |b| (b.1 - a.1) / (b.0 - a.0)))
        .filter(|slope| slope.is_finite())
        .collect();
    median(&slopes).unwrap_or(0.0)
}

/// A rise of the resting heart rate, where enough days are known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trend {
    /// Beats per minute over the days of a trend, and in percent: one for sure (Mann-Kendall, one-sided, 1 %) and a tenth at least; less is
    /// within what weather and season do (~).
    Rises(f64, f64),
    /// It may be one, and may be none: what was told of it stands.
    Unsure,
    /// Under half of that, or no rise at all (5 %) (~).
    Even,
}

/// Whether the resting heart rate rises; `None` where too few days are known.
#[must_use]
pub fn trend(days: &[Day]) -> Option<Trend> {
    let points: Vec<(f64, f64)> =
        days.iter().filter_map(|day| Some((ordinal(day.date), day.resting_heart_rate?))).collect();
    if points.len() < TREND_WANTED {
        return None;
    }
    let rise = theil_sen(&points) * TREND_DAYS as f64;
    let rates: Vec<f64> = points.iter().map(|(_, rate)| *rate).collect();
    let percent = 100.0 * rise / median(&rates)?;
    let sure = mann_kendall(&points);
    // 2.326 and 1.645: the normal distribution's 99th and 95th percentile.
    Some(if sure > 2.326 && percent >= 10.0 {
        Trend::Rises(rise, percent)
    } else if sure < 1.645 || percent < 5.0 {
        Trend::Even
    } else {
        Trend::Unsure
    })
}

/// How surely figures rise or fall, as a normal deviate (Mann 1945, Kendall 1975, with the correction for continuity).
fn mann_kendall(points: &[(f64, f64)]) -> f64 {
    let mut score = 0.0_f64;
    for (nth, a) in points.iter().enumerate() {
        for b in &points[nth + 1..] {
            score += if b.1 > a.1 {
                1.0
            } else if b.1 < a.1 {
                -1.0
            } else {
                0.0
            };
        }
    }
    let n = points.len() as f64;
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    (score.abs() - 1.0).max(0.0).copysign(score) / deviation.max(1e-9)
}

/// Minutes that the last night was more awake than is usual, where it was: beyond three spreads and three quarters of an hour.
/// `Some(Err)`: it was not.
#[must_use]
pub fn restless(days: &[Day]) -> Option<Result<(f64, f64), ()>> {
    let (last, before) = days.split_last()?;
    let awake = last.night_awake_minutes?;
    let nights: Vec<f64> = before.iter().filter_map(|day| day.night_awake_minutes).collect();
    let usual = Usual::of(&nights).filter(|usual| usual.days >= DAYS_WANTED)?;
    let beyond = usual.away(awake, Figure::NightAwake.least()) > 3.0 && awake > usual.median + 45.0;
    Some(if beyond { Ok((awake, usual.median)) } else { Err(()) })
}

/// How a pet fares: each 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// All together: a quarter each, of those there are.
    pub score: f64,
    /// Sleep, against its own and its species'.
    pub sleep: f64,
    /// Activity, against its own; less is worse than more; absent where it was not measured.
    pub activity: Option<f64>,
    /// Heart rate at rest, against its own and its peers'; absent where none was measured.
    pub vitals: Option<f64>,
    /// How alike its days are, against how alike they were.
    pub regularity: f64,
    /// Days it stands on.
    pub days: usize,
    /// The last of them.
    pub date: Date,
}

/// Days that a score is of; those before are what it is held against.
pub const SCORED_DAYS: usize = 3;

/// How many days a score lacks: of now, and before.
#[must_use]
pub fn missing_days(days: &[Day], today: Date) -> usize {
    let recent = days.iter().rev().take(SCORED_DAYS).filter(|day| day.is_recent(today)).count();
    (DAYS_WANTED + SCORED_DAYS).saturating_sub(days.len()).max(SCORED_DAYS - recent)
}

/// The score of the last three days against those before; `None`: there are too few, or they are not of now.
#[must_use]
pub fn score(kin: Kin, days: &[Day], today: Date) -> Option<Score> {
    if missing_days(days, today) > 0 {
        return None;
    }
    let (before, now) = days.split_at(days.len() - SCORED_DAYS);
    let of = |days: &[Day], figure: &dyn Fn(&Day) -> Option<f64>| {
        days.iter().filter_map(figure).collect::<Vec<f64>>()
    };
    let away = |figure: Figure| {
        let usual =
            Usual::of(&of(before, &|day| figure.of(day))).filter(|usual| usual.days >= DAYS_WANTED)?;
        Some(usual.away(median(&of(now, &|day| figure.of(day)))?, figure.least()))
    };
    let sleep_away = away(Figure::Sleep)?;
    let hours = median(&of(now, &|day| Some(day.sleep_minutes)))? / 60.0;
    // domain.md: 12 to 14 h and to 18, cats 12 to 16 and to 20; bouts of it seen by a collar are fewer (~).
    let (least, most) = match kin.species {
        Species::Dog => (8.0, 18.0),
        Species::Cat => (8.0, 20.0),
    };
    let beyond = (least - hours).max(hours - most).max(0.0);
    let sleep = 0.7 * points(sleep_away.abs()) + 0.3 * points(beyond + 1.0);
    let activity = away(Figure::Active).map(|away| points(if away < 0.0 { -away } else { away / 2.0 }));
    // A heart that beats slowly is no worse than one that beats as ever.
    let vitals = away(Figure::RestingHeartRate).and_then(|away| {
        let then = ordinal_us(now.last()?.date);
        let peers = kin.away(median(&of(now, &|day| day.resting_heart_rate))?, then);
        Some(0.7 * points(away.max(0.0)) + 0.3 * points(peers.max(0.0)))
    });
    // Where it is not known of each day how active the pet was, sleep alone tells how alike they are.
    let of_all = days.iter().all(|day| day.active_minutes.is_some());
    let spread = |days: &[Day]| {
        Usual::of(&of(days, &|day| {
            Some(day.sleep_minutes + day.active_minutes.filter(|_| of_all).unwrap_or_default())
        }))
    };
    let (usual, recent) = (spread(before)?, spread(&days[days.len() - DAYS_WANTED..])?);
    let regularity = points(recent.spread / usual.spread.max(0.05 * usual.median).max(1.0));
    let parts: Vec<f64> = [Some(sleep), activity, vitals, Some(regularity)].into_iter().flatten().collect();
    let score = parts.iter().sum::<f64>() / parts.len() as f64;
    let date = now.last()?.date;
    Some(Score { score, sleep, activity, vitals, regularity, days: days.len(), date })
}

/// 100 within one spread, 61 two and a half away, 1 five away (a bell beyond the first spread, ~).
fn points(away: f64) -> f64 {
    100.0 * (-(away - 1.0).max(0.0).powi(2) / 4.5).exp()
}

/// What is to be expected of the next day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Most likely.
    pub expected: f64,
    /// Four days in five lie between this
    pub low: f64,
    /// and this.
    pub high: f64,
    /// How much smaller its mean error was on the last days than that of "as the day before": 0 to 1.
    pub skill: f64,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoForecast {
    /// Too few days.
    TooFewDays,
    /// "As the day before" was as good on the last days.
    NoBetterThanNaive,
}

/// A day's figure, soon after these: what is usual on that kind of day, and the trend. It need not be the day after the last one with such a
/// figure: of a day that was hardly seen there is none.
///
/// # Errors
/// Where there is nothing worth telling.
pub fn forecast(
    days: &[Day],
    date: Date,
    figure: impl Fn(&Day) -> Option<f64>,
) -> Result<Forecast, NoForecast> {
    let known: Vec<(Day, f64)> = days.iter().filter_map(|day| Some((*day, figure(day)?))).collect();
    // A trend is not drawn out over a time of which nothing is known.
    let is_recent = known.last().is_some_and(|(last, _)| last.is_recent(date));
    if known.len() < FORECAST_DAYS || !is_recent {
        return Err(NoForecast::TooFewDays);
    }
    // Rolling origin: each of the last days from those before it alone.
    let (mut errors, mut naive) = (Vec::new(), Vec::new());
    for nth in known.len() - BACKTEST_DAYS..known.len() {
        let (day, truth) = known[nth];
        errors.push((expect(&known[..nth], &day) - truth).abs());
        naive.push((known[nth - 1].1 - truth).abs());
    }
    let mean = |errors: &[f64]| errors.iter().sum::<f64>() / errors.len() as f64;
    // What is the same each day is told as well by the day before.
    if mean(&errors) >= mean(&naive) {
        return Err(NoForecast::NoBetterThanNaive);
    }
    let skill = 1.0 - mean(&errors) / mean(&naive);
    errors.sort_unstable_by(f64::total_cmp);
    let reach = errors[(errors.len() * 4).div_ceil(5).min(errors.len()) - 1];
    let next = Day { date, ..known[known.len() - 1].0 };
    let expected = expect(&known, &next);
    Ok(Forecast { expected, low: (expected - reach).max(0.0), high: expected + reach, skill })
}

fn expect(known: &[(Day, f64)], day: &Day) -> f64 {
    let known = &known[known.len().saturating_sub(FORECAST_DAYS)..];
    let points: Vec<(f64, f64)> = known.iter().map(|(day, figure)| (ordinal(day.date), *figure)).collect();
    let slope = theil_sen(&points);
    let at = ordinal(day.date);
    // Without its trend, of the same kind of day where there are enough of them.
    let level = |same: bool| -> Vec<f64> {
        let alike = known
            .iter()
            .zip(&points)
            .filter(|((other, _), _)| !same || other.is_weekend() == day.is_weekend());
        alike.map(|(_, (on, figure))| figure + slope * (at - on)).collect()
    };
    let alike = level(true);
    let figures = if alike.len() >= 4 { alike } else { level(false) };
    median(&figures).unwrap_or(0.0)
}

/// Microseconds since 1970 at a day's begin, by any clock.
fn ordinal_us(date: Date) -> i64 {
    i64::from((date - Date::constant(1970, 1, 1)).get_days()) * 86_400_000_000
}

fn ordinal(date: Date) -> f64 {
    let first = Date::constant(2020, 1, 1);
    f64::from((date - first).get_days())
}

#[cfg(test)]
mod tests;

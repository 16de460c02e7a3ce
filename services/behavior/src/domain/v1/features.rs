//! What an epoch looks like, over sliding windows: a symbol on each channel.
//!
//! Invariant: no window reaches further than six minutes, and a window's symbol follows from sums over it, so that it
//! costs the same however long it is.

use super::super::Behavior;
use super::super::canon::SECOND;
use super::super::rules::{LEG_MIN_US, MAX_GAP_US, NOISE_M, Priors};
use super::baseline::{Baseline, Baselines};
use super::epochs::{Epoch, UNIT_M, long};

/// How many channels there are.
pub(super) const COUNT: usize = 9;

/// The channels: their names, how many symbols each has (the first is "nothing seen"), and what they look at.
pub const CHANNELS: [(&str, usize, &str); COUNT] = [
    ("levels", 8, "which levels the epoch itself has, and how many"),
    ("levels_1m", 17, "shares of levels 0 and 2 within 75 s on each side"),
    ("levels_5m", 17, "shares of levels 0 and 2 within 5 min on each side"),
    ("breaths", 17, "mean respiratory rate within 60 s on each side, over the sleeping one"),
    ("heart_rate_now", 25, "mean heart rate of the epoch itself, over the sleeping one"),
    (
        "spread",
        57,
        "how far fixes within 3 min on each side scatter, and how fast the pet goes from one to the next",
    ),
    ("speed", 8, "from the mean fix of the minute before to that of the minute after"),
    ("trend", 10, "heart rate of the 100 s after less that of the 100 s before, over the sleeping one"),
    ("contact", 5, "share of readings with a heart rate or a respiratory rate within 6 min on each side"),
];

/// Where speed stands among them.
pub(super) const SPEED: usize = 6;

/// An epoch's symbols, and how far its readings are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// By channel.
    pub symbols: [u8; COUNT],
    /// How far its readings are apart: which of [`SPACINGS`].
    pub spacing: u8,
    /// Whether there is any within 6 min on each side: heart rate.
    pub rates: bool,
    /// The same of levels.
    pub levels: bool,
    /// What the way since the fix before says, as `spine/1` takes it: for where nothing else is known.
    pub gait: Option<Behavior>,
}

/// How far readings are apart: collars measure each 5, 10, 15, 30 or 60 s (domain.md), and what an epoch looks like depends on that.
pub const SPACINGS: [&str; 4] = ["to 8 s", "to 22 s", "to 45 s", "further"];
const SPACED_US: [i64; 3] = [8 * SECOND, 22 * SECOND, 45 * SECOND];
/// Edges of heart rate over the sleeping one: asleep about 1, lying awake 1.25, walking 1.8 (domain.md's rates by each other).
const RATIOS: [f64; 23] = [
    0.80, 0.88, 0.93, 0.97, 1.01, 1.05, 1.09, 1.13, 1.17, 1.21, 1.26, 1.31, 1.37, 1.44, 1.52, 1.62, 1.75,
    1.9, 2.1, 2.3, 2.6, 2.9, 3.2,
];
/// Edges of the fixes' scatter, metres: a receiver's noise is 5 to 12.
const SPREADS: [f64; 7] = [4.0, 7.0, 11.0, 16.0, 25.0, 45.0, 90.0];
/// Edges of the speed from fix to fix, m/s: a ball is brought faster than puppies chase each other in a heap (~).
const LEGS: [f64; 5] = [0.3, 0.6, 0.9, 1.2, 1.7];
/// Fixes further apart than this are no two ends of one leg.
const LEG_US: i64 = 70 * SECOND;
/// Edges of speed, m/s: noise, a stroll, a walk, a trot.
const SPEEDS: [f64; 6] = [0.1, 0.25, 0.5, 0.9, 1.5, 2.4];
/// Edges of the heart rate's change: it sinks over minutes as a pet falls asleep, and leaps as it wakes (~).
const TRENDS: [f64; 8] = [-0.3, -0.15, -0.08, -0.03, 0.03, 0.08, 0.15, 0.3];

/// Edges of the respiratory rate over the sleeping one: awake half as much again and more (~).
const BREATHS: [f64; 15] = [0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.75, 1.9, 2.1, 2.4, 3.0];

/// The symbol of each hundredth, up to the last edge.
const RATIO_SYMBOLS: [u8; 321] = {
    let mut symbols = [1_u8; 321];
    let mut at = 0;
    while at < symbols.len() {
        let mut edge = 0;
        while edge < RATIOS.len() {
            // Edges are hundredths; half of one keeps rounding out of it.
            if at as f64 + 0.5 >= RATIOS[edge] * 100.0 {
                symbols[at] += 1;
            }
            edge += 1;
        }
        at += 1;
    }
    symbols
};

/// Sums up to an epoch, not included: whole numbers, so that differences are exact.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    readings: i64,
    with_rate: i64,
    worn: i64,
    low: i64,
    levels: i64,
    high: i64,
    /// Epochs with a heart rate, and their means over the sleeping one, in ten-thousandths.
    rated: i64,
    ratios: i64,
    /// Epochs with a respiratory rate, and their means over the sleeping one, in ten-thousandths.
    breathed: i64,
    breaths: i64,
    fixed: i64,
    east: i64,
    north: i64,
    east_squares: i64,
    north_squares: i64,
    /// From one epoch with fixes to the next: metres in ten-millionths of a degree, and microseconds.
    legs: i64,
    legs_us: i64,
}

impl Sums {
    fn plus(
        mut self,
        epoch: &Epoch,
        before: Option<&Epoch>,
        (asleep, asleep_breaths): (Baseline, f64),
    ) -> Self {
        self.readings += i64::from(epoch.readings);
        self.with_rate += i64::from(epoch.beats_count);
        self.worn += i64::from(epoch.worn);
        self.low += i64::from(epoch.levels[0]);
        self.high += i64::from(epoch.levels[2]);
        self.levels += i64::from(epoch.levels[0] + epoch.levels[1] + epoch.levels[2]);
        if epoch.beats_count > 0 {
            // Each epoch's mean counts once, however dense its readings.
            self.ratios += ten_thousandths(epoch.beats / f64::from(epoch.beats_count) / asleep.sleeping_bpm);
            self.rated += 1;
        }
        if epoch.breaths_count > 0 {
            self.breathed += 1;
            let mean = epoch.breaths as f64 / 100.0 / f64::from(epoch.breaths_count);
            self.breaths += ten_thousandths(mean / asleep_breaths);
        }
        if epoch.fixes > 0 {
            self.fixed += 1;
            self.east += epoch.east;
            self.north += epoch.north;
            self.east_squares = self.east_squares.wrapping_add(epoch.east * epoch.east);
            self.north_squares = self.north_squares.wrapping_add(epoch.north * epoch.north);
            if let Some(before) = before.filter(|before| epoch.to - before.to <= LEG_US) {
                self.legs += leg(before, epoch);
                self.legs_us += epoch.to - before.to;
            }
        }
        self
    }
}

/// Sums over the epochs between two places. What is asked for is subtracted, and no more.
#[derive(Debug, Clone, Copy)]
struct Span<'a> {
    upto: &'a Sums,
    from: &'a Sums,
}

impl Span<'_> {
    /// Wraps as squares' sums do: the difference is right.
    fn of(&self, one: impl Fn(&Sums) -> i64) -> i64 {
        one(self.upto).wrapping_sub(one(self.from))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a ratio of heart rates, at most 10")]
fn ten_thousandths(ratio: f64) -> i64 {
    (ratio * 1e4).round() as i64
}

/// A window that moves forward with the epochs.
#[derive(Debug)]
struct Window {
    before: i64,
    after: i64,
    from: usize,
    to: usize,
}

impl Window {
    const fn around(seconds: i64) -> Self {
        Self { before: seconds * SECOND, after: seconds * SECOND, from: 0, to: 0 }
    }

    /// Up to the instant, included.
    const fn before(seconds: i64) -> Self {
        Self { before: seconds * SECOND, after: 0, from: 0, to: 0 }
    }

    /// From the instant on, not included.
    const fn after(seconds: i64) -> Self {
        Self { before: -1, after: seconds * SECOND, from: 0, to: 0 }
    }

    /// The sums over the epochs that end within it, about an instant.
    fn span<'a>(&mut self, run: &[Epoch], sums: &'a [Sums], at: i64) -> Span<'a> {
        while run[self.from].to < at - self.before {
            self.from += 1;
        }
        while self.to < run.len() && run[self.to].to <= at + self.after {
            self.to += 1;
        }
        Span { upto: &sums[self.to], from: &sums[self.from] }
    }
}

/// What the epochs of a run look like.
pub(super) fn see(run: &[Epoch], baselines: &Baselines, priors: &Priors) -> Vec<Seen> {
    let mut sums = Vec::with_capacity(run.len() + 1);
    let mut sum = Sums::default();
    sums.push(sum);
    let mut steady = baselines.steady();
    let mut before = None;
    for epoch in run {
        sum = sum.plus(epoch, before, steady.both_at(epoch.to));
        sums.push(sum);
        if epoch.fixes > 0 {
            before = Some(epoch);
        }
    }
    let [mut near, mut wide, mut breath, mut place, mut contact] =
        [75, 300, 60, 180, 360].map(Window::around);
    let [mut past, mut rate_past] = [60, 100].map(Window::before);
    let [mut next, mut rate_next] = [60, 100].map(Window::after);
    let mut all = Vec::with_capacity(run.len());
    let mut last: Option<&Epoch> = None;
    for (nth, epoch) in run.iter().enumerate() {
        let at = epoch.to;
        let gait = gait(&mut last, epoch, priors);
        let near = near.span(run, &sums, at);
        let around = contact.span(run, &sums, at);
        all.push(Seen {
            symbols: [
                levels(epoch),
                shares(&near),
                shares(&wide.span(run, &sums, at)),
                breaths(&breath.span(run, &sums, at)),
                ratio(&Span { upto: &sums[nth + 1], from: &sums[nth] }),
                spread(&place.span(run, &sums, at), epoch.narrow),
                speed(&past.span(run, &sums, at), &next_span(&mut next, run, &sums, at), epoch.narrow),
                trend(&rate_past.span(run, &sums, at), &next_span(&mut rate_next, run, &sums, at)),
                worn(&around),
            ],
            spacing: spacing(epoch),
            rates: around.of(|sums| sums.with_rate) > 0,
            levels: around.of(|sums| sums.levels) > 0,
            gait,
        });
    }
    all
}

fn next_span<'a>(window: &mut Window, run: &[Epoch], sums: &'a [Sums], at: i64) -> Span<'a> {
    // Of the last epoch of a run nothing comes after.
    if run.last().is_some_and(|last| last.to <= at) {
        return Span { upto: &sums[0], from: &sums[0] };
    }
    window.span(run, sums, at)
}

/// The gait of the straight way since the fix before, where that is long enough ago.
fn gait<'a>(last: &mut Option<&'a Epoch>, epoch: &'a Epoch, priors: &Priors) -> Option<Behavior> {
    if epoch.fixes == 0 {
        return None;
    }
    // Always the one before, so that it is the same wherever the run was begun to be read.
    let before = last.replace(epoch)?;
    let span = epoch.to - before.to;
    let way = long((epoch.east - before.east) as f64 * epoch.narrow, (epoch.north - before.north) as f64);
    let speed = way / super::seconds(span);
    if !(LEG_MIN_US..=MAX_GAP_US).contains(&span) || way <= NOISE_M || speed > priors.top_mps {
        None
    } else if speed >= priors.running_mps {
        Some(Behavior::Running)
    } else {
        (speed >= priors.walking_mps).then_some(Behavior::Walking)
    }
}

/// By the mean time between its readings.
fn spacing(epoch: &Epoch) -> u8 {
    let apart = (epoch.to - epoch.from) / i64::from(epoch.readings.max(1));
    SPACED_US.iter().map(|edge| u8::from(apart > *edge)).sum()
}

fn levels(epoch: &Epoch) -> u8 {
    // Which of the three levels are there: a bit each; nothing is 0.
    epoch.levels.iter().zip(0_u8..).map(|(count, level)| u8::from(*count > 0) << level).sum()
}

/// How many edges lie at or below it, after `first`.
fn share_symbol(value: f64, edges: &[f64], first: u8) -> u8 {
    first + edges.iter().map(|edge| u8::from(value >= *edge)).sum::<u8>()
}

/// A part of a whole, as whole numbers; a ratio of sums is the same wherever they were begun.
fn share(part: i64, whole: i64) -> f64 {
    part as f64 / whole as f64
}

fn shares(span: &Span<'_>) -> u8 {
    let levels = span.of(|sums| sums.levels);
    if levels <= 0 {
        return 0;
    }
    let quarter = |part: i64| share_symbol(share(part, levels), &[0.06, 0.3, 0.75], 0);
    1 + 4 * quarter(span.of(|sums| sums.low)) + quarter(span.of(|sums| sums.high))
}

fn ratio(span: &Span<'_>) -> u8 {
    // In hundredths, rounded down: every edge is one.
    let hundredths = span.of(|sums| sums.ratios).checked_div(span.of(|sums| sums.rated) * 100);
    hundredths
        .map_or(0, |nth| RATIO_SYMBOLS[usize::try_from(nth).unwrap_or_default().min(RATIO_SYMBOLS.len() - 1)])
}

fn breaths(span: &Span<'_>) -> u8 {
    let breathed = span.of(|sums| sums.breathed);
    if breathed <= 0 {
        return 0;
    }
    share_symbol(share(span.of(|sums| sums.breaths), breathed) / 1e4, &BREATHS, 1)
}

/// A collar that reports levels and neither heart rates nor breaths may lie on a table; one that reports no levels says nothing of it.
fn worn(span: &Span<'_>) -> u8 {
    if span.of(|sums| sums.levels) <= 0 {
        return 0;
    }
    share_symbol(share(span.of(|sums| sums.worn), span.of(|sums| sums.readings)), &[0.02, 0.25, 0.6], 1)
}

fn trend(past: &Span<'_>, next: &Span<'_>) -> u8 {
    let [before, after] = [past, next].map(|span| span.of(|sums| sums.rated));
    if before <= 0 || after <= 0 {
        return 0;
    }
    let mean = |span: &Span<'_>, rated: i64| share(span.of(|sums| sums.ratios), rated);
    share_symbol((mean(next, after) - mean(past, before)) / 1e4, &TRENDS, 1)
}

fn spread(span: &Span<'_>, narrow: f64) -> u8 {
    let count = span.of(|sums| sums.fixed);
    if count < 2 {
        return 0;
    }
    // count × sum of squares − square of the sum is the same wherever zero lies. Six minutes have 25 slots, and no fix is further
    // than 2^26: 64 bits hold any of it.
    let around = |sum: i64, squares: i64| {
        count.wrapping_mul(squares).wrapping_sub(sum.wrapping_mul(sum)) as f64 / (count * count) as f64
    };
    let east = around(span.of(|sums| sums.east), span.of(|sums| sums.east_squares));
    let north = around(span.of(|sums| sums.north), span.of(|sums| sums.north_squares));
    let variance = east * narrow * narrow + north;
    let far = share_symbol(variance.max(0.0).sqrt() * UNIT_M, &SPREADS, 0);
    let fast = match span.of(|sums| sums.legs_us) {
        ..=0 => 0,
        us => share_symbol(span.of(|sums| sums.legs) as f64 * UNIT_M / super::seconds(us), &LEGS, 1),
    };
    1 + SPREADS_COUNT * fast + far
}

/// Symbols of the scatter alone.
const SPREADS_COUNT: u8 = 8;
const _: () = assert!(SPREADS_COUNT as usize == SPREADS.len() + 1);

/// The way from one epoch's fixes to the next one's, ten-millionths of a degree.
#[expect(clippy::cast_possible_truncation, reason = "at most 2^28")]
fn leg(before: &Epoch, epoch: &Epoch) -> i64 {
    let (east, north) = (epoch.east - before.east, epoch.north - before.north);
    (long(east as f64 * epoch.narrow, north as f64) / UNIT_M).round() as i64
}

fn speed(past: &Span<'_>, next: &Span<'_>, narrow: f64) -> u8 {
    let [before, after] = [past, next].map(|span| span.of(|sums| sums.fixed));
    if before <= 0 || after <= 0 {
        return 0;
    }
    // Of whole numbers too: the difference of two means, over both counts.
    let between = |past_sum: i64, next_sum: i64| {
        (next_sum * before - past_sum * after) as f64 / (before * after) as f64
    };
    let east = between(past.of(|sums| sums.east), next.of(|sums| sums.east)) * narrow;
    let north = between(past.of(|sums| sums.north), next.of(|sums| sums.north));
    // From the middle of the one minute to that of the other.
    share_symbol(long(east, north) / 60.0, &SPEEDS, 1)
}

//! What an epoch looks like, over sliding windows: a symbol on each channel.
//!
//! Invariant: no window reaches further than six minutes, and a window's symbol follows from sums over it, so that it
//! costs the same however long it is. Sums are kept by slot of the clock, of which a run has at most one epoch: where a window begins and
//! ends is reckoned, not looked for.

use super::super::Behavior;
use super::super::canon::SECOND;
use super::super::rules::{LEG_MIN_US, MAX_GAP_US, NOISE_M, Priors};
use super::baseline::{Baseline, Baselines, Steady};
use super::epochs::{Epoch, SLOT_US, UNIT_M, long, rounded};

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
    /// What the way since the fix before says, as `spine/1` takes it; asked for where there are neither heart rates nor levels alone.
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

/// The symbol of each hundredth of a heart rate, up to the last edge.
const RATIO_SYMBOLS: [u8; 321] = symbols(&RATIOS);
/// The same of a respiratory rate.
const BREATH_SYMBOLS: [u8; 301] = symbols(&BREATHS);

const fn symbols<const HUNDREDTHS: usize>(edges: &[f64]) -> [u8; HUNDREDTHS] {
    let mut symbols = [1_u8; HUNDREDTHS];
    let mut at = 0;
    while at < symbols.len() {
        let mut edge = 0;
        while edge < edges.len() {
            // Edges are hundredths; half of one keeps rounding out of it.
            if at as f64 + 0.5 >= edges[edge] * 100.0 {
                symbols[at] += 1;
            }
            edge += 1;
        }
        at += 1;
    }
    symbols
}

/// Sums up to a slot, not included: whole numbers, so that differences are exact, also of those that wrapped.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
struct Sums {
    readings: i32,
    worn: i32,
    low: i32,
    levels: i32,
    high: i32,
    /// Epochs with a heart rate, and their means over the sleeping one, in ten-thousandths.
    rated: i32,
    ratios: i32,
    /// Epochs with a respiratory rate, and their means over the sleeping one, in ten-thousandths.
    breathed: i32,
    breaths: i32,
    fixed: i32,
    east: i64,
    north: i64,
    east_squares: i64,
    north_squares: i64,
    /// From one epoch with fixes to the next: metres in ten-millionths of a degree, and microseconds.
    legs: i64,
    legs_us: i64,
}

impl Sums {
    fn add(&mut self, epoch: &Epoch, before: Option<&Epoch>, scales: Scales) {
        let of = |count: u32| count.cast_signed();
        self.readings = self.readings.wrapping_add(of(epoch.readings));
        self.worn = self.worn.wrapping_add(of(epoch.worn));
        self.low = self.low.wrapping_add(of(epoch.levels[0]));
        self.high = self.high.wrapping_add(of(epoch.levels[2]));
        let levels = epoch.levels[0].wrapping_add(epoch.levels[1]).wrapping_add(epoch.levels[2]);
        self.levels = self.levels.wrapping_add(of(levels));
        // Each epoch's mean counts once, however dense its readings. Of none it is 0: nobody knows beforehand which have any.
        let bpm = epoch.beats * part_of(epoch.beats_count);
        self.ratios = self.ratios.wrapping_add(rounded_ratio(bpm * scales.beats));
        self.rated = self.rated.wrapping_add(i32::from(epoch.beats_count > 0));
        let hundredths = epoch.breaths as f64 * part_of(epoch.breaths_count);
        self.breaths = self.breaths.wrapping_add(rounded_ratio(hundredths * scales.breaths));
        self.breathed = self.breathed.wrapping_add(i32::from(epoch.breaths_count > 0));
        if epoch.fixes > 0 {
            self.fixed = self.fixed.wrapping_add(1);
            self.east += epoch.east;
            self.north += epoch.north;
            self.east_squares = self.east_squares.wrapping_add(epoch.east * epoch.east);
            self.north_squares = self.north_squares.wrapping_add(epoch.north * epoch.north);
            if let Some(before) = before.filter(|before| epoch.to - before.to <= LEG_US) {
                self.legs += leg(before, epoch);
                self.legs_us += epoch.to - before.to;
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "ten-thousandths of a ratio of rates, at most 200")]
fn rounded_ratio(ten_thousandths: f64) -> i32 {
    rounded(ten_thousandths) as i32
}

/// What turns beats per minute, and hundredths of a breath, into ten-thousandths of the sleeping ones.
#[derive(Debug, Clone, Copy)]
struct Scales {
    of: (Baseline, f64),
    beats: f64,
    breaths: f64,
}

impl Scales {
    fn new((asleep, breaths): (Baseline, f64)) -> Self {
        Self { of: (asleep, breaths), beats: 1e4 / asleep.sleeping_bpm, breaths: 100.0 / breaths }
    }
}

/// One of so many parts, and 0 of none: divisions are what takes longest here.
fn part_of(count: u32) -> f64 {
    const PARTS: [f64; 16] = {
        let (mut parts, mut count) = ([0.0; 16], 1);
        while count < parts.len() {
            parts[count] = 1.0 / count as f64;
            count += 1;
        }
        parts
    };
    PARTS.get(count as usize).copied().unwrap_or_else(|| 1.0 / f64::from(count))
}

/// Sums over the epochs between two places. What is asked for is subtracted, and no more.
#[derive(Debug, Clone, Copy)]
struct Span<'a> {
    upto: &'a Sums,
    from: &'a Sums,
}

impl Span<'_> {
    fn of(&self, one: impl Fn(&Sums) -> i32) -> i32 {
        one(self.upto).wrapping_sub(one(self.from))
    }

    /// Wraps as squares' sums do: the difference is right.
    fn long(&self, one: impl Fn(&Sums) -> i64) -> i64 {
        one(self.upto).wrapping_sub(one(self.from))
    }
}

/// The furthest that a window reaches, slots.
const REACH: i64 = 360 * SECOND / SLOT_US;
/// More slots than any epoch's windows and what lies between them.
const KEPT: usize = 64;
const _: () = assert!(2 * REACH + 3 < KEPT as i64);

/// What lies around an epoch, by slot: the last ones that were summed up.
struct Around<'a> {
    sums: [Sums; KEPT],
    /// How far into its slot its epoch ends, microseconds.
    into: [i32; KEPT],
    /// The slot up to which sums are known, and those sums.
    end: i64,
    sum: Sums,
    rest: &'a [Epoch],
    /// The last that has fixes.
    fixed: Option<&'a Epoch>,
    steady: Steady<'a>,
    scales: Scales,
}

/// The slot of an instant, and how far into it that is, microseconds.
#[expect(clippy::cast_possible_truncation, reason = "15 s")]
fn placed(at: i64) -> (i64, i32) {
    (at.div_euclid(SLOT_US), at.rem_euclid(SLOT_US) as i32)
}

/// Where a slot is kept.
#[expect(clippy::cast_possible_truncation, reason = "below 64")]
const fn kept(slot: i64) -> usize {
    slot.rem_euclid(KEPT as i64).unsigned_abs() as usize
}

impl<'a> Around<'a> {
    fn new(run: &'a [Epoch], mut steady: Steady<'a>) -> Self {
        let scales = Scales::new(steady.both_at(run.first().map_or(0, |first| first.to)));
        let end = run.first().map_or(0, |first| placed(first.to).0);
        let sum = Sums::default();
        Self { sums: [sum; KEPT], into: [0; KEPT], end, sum, rest: run, fixed: None, steady, scales }
    }

    /// Sums everything up that a window about this slot reaches.
    fn sum_about(&mut self, slot: i64) {
        while self.end <= slot + REACH + 1 {
            self.sums[kept(self.end)] = self.sum;
            if let [epoch, rest @ ..] = self.rest
                && let (at, into) = placed(epoch.to)
                && at == self.end
            {
                self.into[kept(at)] = into;
                let of = self.steady.both_at(epoch.to);
                if of != self.scales.of {
                    self.scales = Scales::new(of);
                }
                self.sum.add(epoch, self.fixed, self.scales);
                if epoch.fixes > 0 {
                    self.fixed = Some(epoch);
                }
                self.rest = rest;
            }
            self.end += 1;
        }
    }

    /// Sums up to the first epoch that ends there or later.
    fn before(&self, (slot, into): (i64, i32)) -> &Sums {
        &self.sums[kept(slot + i64::from(self.into[kept(slot)] < into))]
    }

    /// Sums up to the last epoch that ends there or earlier, and with it.
    fn with(&self, (slot, into): (i64, i32)) -> &Sums {
        &self.sums[kept(slot + i64::from(self.into[kept(slot)] <= into))]
    }

    /// So many whole slots on each side.
    fn within(&self, (slot, into): (i64, i32), slots: i64) -> Span<'_> {
        Span { from: self.before((slot - slots, into)), upto: self.with((slot + slots, into)) }
    }
}

/// So many seconds on each side, as slots.
const fn slots(seconds: i64) -> i64 {
    assert!(seconds * SECOND % SLOT_US == 0);
    seconds * SECOND / SLOT_US
}

/// So much later, or earlier.
#[expect(clippy::cast_possible_truncation, reason = "15 s")]
fn later((slot, into): (i64, i32), us: i32) -> (i64, i32) {
    const SLOT: i32 = SLOT_US as i32;
    let into = into + us.rem_euclid(SLOT);
    let over = i32::from(into >= SLOT);
    (slot + i64::from(us.div_euclid(SLOT) + over), into - over * SLOT)
}

/// Heart rates so long before and after are compared, microseconds.
const TREND_US: i32 = 100_000_000;

/// What the epochs of a run look like.
pub(super) fn see(run: &[Epoch], baselines: &Baselines, priors: &Priors) -> Vec<Seen> {
    let mut around = Around::new(run, baselines.steady());
    let mut all = Vec::with_capacity(run.len());
    let mut last: Option<&Epoch> = None;
    for epoch in run {
        let at = placed(epoch.to);
        around.sum_about(at.0);
        let own = Span { from: &around.sums[kept(at.0)], upto: &around.sums[kept(at.0 + 1)] };
        let contact = around.within(at, const { slots(360) });
        // The minute before with the epoch, the minute after without it.
        let minute = around.within(at, const { slots(60) });
        let (past, next) = (Span { upto: own.upto, ..minute }, Span { from: own.upto, ..minute });
        let rate_past = Span { from: around.before(later(at, -TREND_US)), upto: own.upto };
        let rate_next = Span { from: own.upto, upto: around.with(later(at, TREND_US)) };
        let (rates, levelled) = (contact.of(|sums| sums.rated) > 0, contact.of(|sums| sums.levels) > 0);
        let before = if epoch.fixes > 0 { last.replace(epoch) } else { None };
        all.push(Seen {
            symbols: [
                levels(epoch),
                shares(&around.within(at, const { slots(75) })),
                shares(&around.within(at, const { slots(300) })),
                breaths(&minute),
                ratio(&own),
                spread(&around.within(at, const { slots(180) }), epoch.narrow),
                speed(&past, &next, epoch.narrow),
                trend(&rate_past, &rate_next),
                worn(&contact),
            ],
            spacing: spacing(epoch),
            rates,
            levels: levelled,
            gait: before.filter(|_| !rates && !levelled).and_then(|before| gait(before, epoch, priors)),
        });
    }
    all
}

/// The gait of the straight way since the fix before, where that is long enough ago.
fn gait(before: &Epoch, epoch: &Epoch, priors: &Priors) -> Option<Behavior> {
    // Always the one before, so that it is the same wherever the run was begun to be read.
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

/// By the mean time between its readings, a part of a microsecond left out.
fn spacing(epoch: &Epoch) -> u8 {
    let (span, readings) = (epoch.to - epoch.from, i64::from(epoch.readings.max(1)));
    SPACED_US.iter().map(|edge| u8::from(span >= (edge + 1) * readings)).sum()
}

fn levels(epoch: &Epoch) -> u8 {
    // Which of the three levels are there: a bit each; nothing is 0.
    epoch.levels.iter().zip(0_u8..).map(|(count, level)| u8::from(*count > 0) << level).sum()
}

/// How many edges, each so many units, lie at or below it, after `first`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "so many edges")]
fn symbol<const EDGES: usize>(value: f64, unit: f64, edges: &[f64; EDGES], first: u8) -> u8 {
    // As wide as the figures, so that several are compared at once.
    let mut below = 0_i64;
    for edge in edges {
        below += i64::from(value >= *edge * unit);
    }
    first + below as u8
}

/// Edges as other figures: so many of which make one, and squared where squares are compared.
const fn edges<const EDGES: usize>(mut edges: [f64; EDGES], units: f64, squared: bool) -> [f64; EDGES] {
    let mut nth = 0;
    while nth < EDGES {
        edges[nth] *= units;
        if squared {
            edges[nth] *= edges[nth];
        }
        nth += 1;
    }
    edges
}

fn shares(span: &Span<'_>) -> u8 {
    let levels = span.of(|sums| sums.levels);
    // From 6 %, 30 % and 75 %: whole numbers, so that no edge is rounded away.
    let quarter = |part: i32| {
        u8::from(50 * part >= 3 * levels)
            + u8::from(10 * part >= 3 * levels)
            + u8::from(4 * part >= 3 * levels)
    };
    let symbol = 1 + 4 * quarter(span.of(|sums| sums.low)) + quarter(span.of(|sums| sums.high));
    if levels <= 0 { 0 } else { symbol }
}

fn ratio(span: &Span<'_>) -> u8 {
    // In hundredths, rounded down: every edge is one.
    let hundredths = span.of(|sums| sums.ratios) / 100;
    let symbol = RATIO_SYMBOLS[usize::try_from(hundredths).unwrap_or_default().min(RATIO_SYMBOLS.len() - 1)];
    if span.of(|sums| sums.rated) <= 0 { 0 } else { symbol }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "hundredths, at most 20,000")]
fn breaths(span: &Span<'_>) -> u8 {
    let breathed = span.of(|sums| sums.breathed);
    // As of heart rates. Half of one more keeps rounding out of it here too.
    let sum = f64::from(span.of(|sums| sums.breaths)) + 0.5;
    let hundredths = (sum * 0.01 * part_of(breathed.cast_unsigned())) as u32;
    let symbol = BREATH_SYMBOLS[(hundredths as usize).min(BREATH_SYMBOLS.len() - 1)];
    if breathed <= 0 { 0 } else { symbol }
}

/// A collar that reports levels and neither heart rates nor breaths may lie on a table; one that reports no levels says nothing of it.
fn worn(span: &Span<'_>) -> u8 {
    let (worn, readings) = (span.of(|sums| sums.worn), span.of(|sums| sums.readings));
    // From 2 %, 25 % and 60 %.
    let symbol = 1
        + u8::from(50 * worn >= readings)
        + u8::from(4 * worn >= readings)
        + u8::from(5 * worn >= 3 * readings);
    if span.of(|sums| sums.levels) <= 0 { 0 } else { symbol }
}

fn trend(past: &Span<'_>, next: &Span<'_>) -> u8 {
    let [before, after] = [past, next].map(|span| span.of(|sums| sums.rated));
    if before <= 0 || after <= 0 {
        return 0;
    }
    // The difference of two means, over both counts: whole numbers, in ten-thousandths.
    const EDGES: [f64; 8] = edges(TRENDS, 1e4, false);
    let ratios = [past, next].map(|span| i64::from(span.of(|sums| sums.ratios)));
    let [before, after] = [before, after].map(i64::from);
    symbol((ratios[1] * before - ratios[0] * after) as f64, (before * after) as f64, &EDGES, 1)
}

fn spread(span: &Span<'_>, narrow: f64) -> u8 {
    let count = i64::from(span.of(|sums| sums.fixed));
    if count < 2 {
        return 0;
    }
    // count × sum of squares − square of the sum is the same wherever zero lies. Six minutes have 25 slots, and no fix is further
    // than 2^26: 64 bits hold any of it.
    let around =
        |sum: i64, squares: i64| count.wrapping_mul(squares).wrapping_sub(sum.wrapping_mul(sum)) as f64;
    let east = around(span.long(|sums| sums.east), span.long(|sums| sums.east_squares));
    let north = around(span.long(|sums| sums.north), span.long(|sums| sums.north_squares));
    const SQUARES: [f64; 7] = edges(SPREADS, 1.0 / UNIT_M, true);
    let far = symbol(east * narrow * narrow + north, (count * count) as f64, &SQUARES, 0);
    const PER_US: [f64; 5] = edges(LEGS, 1e-6 / UNIT_M, false);
    let fast = match span.long(|sums| sums.legs_us) {
        ..=0 => 0,
        us => symbol(span.long(|sums| sums.legs) as f64, us as f64, &PER_US, 1),
    };
    1 + SPREADS_COUNT * fast + far
}

/// Symbols of the scatter alone.
const SPREADS_COUNT: u8 = 8;
const _: () = assert!(SPREADS_COUNT as usize == SPREADS.len() + 1);

/// The way from one epoch's fixes to the next one's, ten-millionths of a degree.
fn leg(before: &Epoch, epoch: &Epoch) -> i64 {
    let (east, north) = (epoch.east - before.east, epoch.north - before.north);
    let east = east as f64 * epoch.narrow;
    rounded((east * east + (north * north) as f64).sqrt())
}

fn speed(past: &Span<'_>, next: &Span<'_>, narrow: f64) -> u8 {
    let [before, after] = [past, next].map(|span| i64::from(span.of(|sums| sums.fixed)));
    if before <= 0 || after <= 0 {
        return 0;
    }
    // Of whole numbers too: the difference of two means, over both counts.
    let between = |of: fn(&Sums) -> i64| (next.long(of) * before - past.long(of) * after) as f64;
    let (east, north) = (between(|sums| sums.east) * narrow, between(|sums| sums.north));
    // From the middle of the one minute to that of the other, squared.
    const SQUARES: [f64; 6] = edges(SPEEDS, 60.0 / UNIT_M, true);
    let counts = (before * after) as f64;
    symbol(east * east + north * north, counts * counts, &SQUARES, 1)
}

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
    let mut all = Epochs { epochs: Vec::with_capacity(samples.len()), starts: Vec::new() };
    let mut notes = Notes::default();
    for run in movement::cut(samples, params) {
        all.starts.push(all.epochs.len());
        notes.take(run, spine::priors(params.species));
        notes.epochs(&mut all.epochs);
    }
    all
}

impl Notes {
    /// Sums the notes of a run up by slot. Most signals come and go at random: what is absent is added as nothing, since that costs less than to
    /// ask for each whether it is there.
    fn epochs(&self, epochs: &mut Vec<Epoch>) {
        let Some(mut before) = self.noted.first().map(|first| first.at) else { return };
        let mut narrow = Narrow::default();
        let mut rest = self.noted.as_slice();
        while let Some(first) = rest.first() {
            let ends = (first.at.div_euclid(SLOT_US) + 1) * SLOT_US;
            let (mut readings, mut levels, mut worn, mut fixes) = (0, 0_u64, 0, 0);
            let (mut beats, mut squares, mut beats_count) = (0.0, 0.0, 0);
            let (mut breaths, mut breaths_count, mut east, mut north) = (0, 0, 0, 0);
            let (mut to, mut belt) = (first.at, 0);
            while let Some(noted) = rest.get(readings)
                && noted.at < ends
            {
                to = noted.at;
                readings += 1;
                // A slot has a reading a second at most: none of them overflows into the next.
                levels += LEVELS[usize::from(noted.level)];
                let bpm = f64::from_bits(noted.beats);
                beats += bpm;
                squares += bpm * bpm;
                beats_count += u32::from(noted.beats > 0);
                breaths += i64::from(noted.breaths);
                breaths_count += u32::from(noted.breaths > 0);
                worn += u32::from((noted.beats > 0) | (noted.breaths > 0));
                east += i64::from(noted.east);
                north += i64::from(noted.north);
                fixes += u32::from(noted.fix);
                // That of the last fix: without one the belt is 0.
                belt = noted.belt | belt & (i16::from(noted.fix) - 1);
            }
            rest = &rest[readings..];
            let [low, middle, high] = [0, 1, 2].map(|level| (levels >> (16 * level) & 0xFFFF) as u32);
            epochs.push(Epoch {
                from: before,
                to,
                readings: u32::try_from(readings).unwrap_or(u32::MAX),
                levels: [low, middle, high],
                beats,
                beats_count,
                squares,
                breaths,
                breaths_count,
                worn,
                east: part(east, fixes),
                north: part(north, fixes),
                fixes,
                narrow: if fixes > 0 { narrow.of(f64::from(belt)) } else { 1.0 },
                origin: self.origin,
            });
            before = to;
        }
    }
}

/// A reading of each level in its own sixteen bits, and of none.
const LEVELS: [u64; 4] = [1, 1 << 16, 1 << 32, 0];

/// The mean of so many fixes, rounded down; of none nothing. Numbers are too small for a division to round one up to the next.
#[expect(clippy::cast_possible_truncation, reason = "far below 2^53")]
fn part(sum: i64, fixes: u32) -> i64 {
    if fixes <= 1 {
        return sum;
    }
    let mean = sum as f64 / f64::from(fixes);
    let whole = mean as i64;
    whole - i64::from((whole as f64) > mean)
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
#[expect(clippy::cast_possible_truncation, reason = "at most 2^26")]
fn away(origin: (i64, i64), fix: (i64, i64)) -> (i32, i32) {
    const TURN: i64 = 3_600_000_000;
    let mut east = fix.0 - origin.0;
    if east > TURN / 2 {
        east -= TURN;
    } else if east < -TURN / 2 {
        east += TURN;
    }
    let north = fix.1 - origin.1;
    (east.clamp(-FARTHEST, FARTHEST) as i32, north.clamp(-FARTHEST, FARTHEST) as i32)
}

fn units(degrees: f64) -> i64 {
    rounded(degrees * 1e7)
}

/// The nearest whole number, of halves the even one. Not `round`, which is a call where the processor has no such instruction: this many
/// more are whole numbers alone, so that adding them rounds, and what was added is the last bits.
pub(super) fn rounded(figure: f64) -> i64 {
    const MANY: f64 = 3.0 * (1_u64 << 51) as f64;
    (figure + MANY).to_bits().wrapping_sub(MANY.to_bits()).cast_signed()
}

/// The nearest whole number of a figure that is not below 0, halves upwards.
#[expect(clippy::cast_possible_truncation, reason = "figures here are far below 2^52")]
pub(super) fn rounded_up(figure: f64) -> i64 {
    (figure + 0.5) as i64
}

/// What counts of a reading; a figure of nothing is 0.
#[derive(Debug, Clone, Copy, Default)]
struct Noted {
    at: i64,
    /// A heart rate's bits: what is chosen is a whole number, for which there is an instruction.
    beats: u64,
    /// Hundredths.
    breaths: i32,
    /// As in [`Epoch`].
    east: i32,
    north: i32,
    /// The tenth of a degree of latitude it is in.
    belt: i16,
    /// 0 to 2; 3 is none.
    level: u8,
    fix: bool,
}

/// What counts of a run's readings.
#[derive(Debug, Default)]
struct Notes {
    noted: Vec<Noted>,
    /// As [`Epoch::origin`].
    origin: (i64, i64),
    /// Heart rates that a pet can have, with the first and the last of them thrice again at the ends, and whose they are.
    rates: Vec<f64>,
    rated: Vec<u32>,
    /// How much further those around each are apart than they may.
    apart: Vec<f64>,
    /// Fixes that are good enough.
    fixed: Vec<u32>,
    leaping: Vec<u32>,
}

impl Notes {
    fn take(&mut self, samples: &[Sample], priors: &Priors) {
        let first = samples.iter().find_map(|sample| sample.position);
        let origin = first.unwrap_or(Position { latitude: 0.0, longitude: 0.0, accuracy_m: None });
        let origin = (units(origin.longitude), units(origin.latitude));
        self.noted.clear();
        self.noted.reserve(samples.len());
        self.rates.resize(samples.len() + 2 * AROUND, 0.0);
        self.rated.resize(samples.len(), 0);
        self.fixed.resize(samples.len(), 0);
        let (mut rates, mut fixes) = (0, 0);
        for (sample, index) in samples.iter().zip(0_u32..) {
            let noted = noted(sample, origin);
            self.noted.push(noted);
            // Written always, kept where there is one.
            self.rates[AROUND + rates] = f64::from_bits(noted.beats);
            self.rated[rates] = index;
            rates += usize::from(noted.beats > 0);
            self.fixed[fixes] = index;
            fixes += usize::from(noted.fix);
        }
        self.rates.truncate(AROUND + rates);
        self.rated.truncate(rates);
        self.fixed.truncate(fixes);
        self.leave_wrong_rates_out();
        self.leave_leaps_out(samples, priors, origin);
    }

    /// Heart rates count that are near the median of those around them.
    fn leave_wrong_rates_out(&mut self) {
        let Some((first, last)) = self.rates.get(AROUND).copied().zip(self.rates.last().copied()) else {
            return;
        };
        self.rates[..AROUND].fill(first);
        self.rates.extend([last; AROUND]);
        self.apart.resize(self.rated.len(), 0.0);
        for (around, apart) in self.rates.windows(2 * AROUND + 1).zip(&mut self.apart) {
            let (mut least, mut most) = (around[0], around[0]);
            for bpm in &around[1..] {
                least = if *bpm < least { *bpm } else { least };
                most = if *bpm > most { *bpm } else { most };
            }
            *apart = (most - least) - WRONG * least;
        }
        for nth in 0..self.rated.len() {
            // All are near each other, so they are near the median: nothing to look for.
            if self.apart[nth] > 0.0 && !self.is_right(nth) {
                self.noted[self.rated[nth] as usize].beats = 0;
            }
        }
    }

    fn is_right(&self, nth: usize) -> bool {
        let at = |nth: usize| self.noted[self.rated[nth] as usize].at;
        let mut values = [f64::INFINITY; 2 * AROUND + 1];
        let mut count = 0;
        for other in nth.saturating_sub(AROUND)..(nth + AROUND + 1).min(self.rated.len()) {
            if (at(other) - at(nth)).abs() <= NEAR_US {
                values[count] = self.rates[AROUND + other];
                count += 1;
            }
        }
        let values = sorted(values);
        let (least, most, median) = (values[0], values[count - 1], values[count / 2]);
        let bpm = self.rates[AROUND + nth];
        most - least <= WRONG * least || count < 3 || (bpm - median).abs() <= WRONG * median
    }

    /// Fixes count that do not leap away and back.
    fn leave_leaps_out(&mut self, samples: &[Sample], priors: &Priors, origin: (i64, i64)) {
        self.leaping.clear();
        for around in self.fixed.windows(3) {
            let [before, fix, after] = [around[0], around[1], around[2]].map(|index| index as usize);
            let (east, north) = self.way(before, fix);
            // Nearer than any leap, however narrow degrees of longitude are: nothing to look for.
            if east * east + north * north > NO_LEAP && self.leaps(samples, [before, fix, after], priors) {
                self.leaping.push(around[1]);
            }
        }
        let mut leaping = self.leaping.iter().peekable();
        self.fixed.retain(|index| leaping.next_if(|leaping| *leaping == index).is_none());
        for index in &self.leaping {
            let noted = &mut self.noted[*index as usize];
            (noted.east, noted.north, noted.fix) = (0, 0, false);
        }
        let first = self.fixed.first().and_then(|index| samples[*index as usize].position);
        self.origin = first.map_or((0, 0), |fix| (units(fix.longitude), units(fix.latitude)));
        if self.origin == origin {
            return;
        }
        for index in &self.fixed {
            if let Some(fix) = &samples[*index as usize].position {
                let noted = &mut self.noted[*index as usize];
                (noted.east, noted.north) = away(self.origin, (units(fix.longitude), units(fix.latitude)));
            }
        }
    }

    fn way(&self, one: usize, other: usize) -> (i64, i64) {
        let [one, other] = [one, other].map(|index| &self.noted[index]);
        (i64::from(one.east) - i64::from(other.east), i64::from(one.north) - i64::from(other.north))
    }

    /// Whether a fix is far from both of its neighbours, and they are near each other.
    fn leaps(&self, samples: &[Sample], [before, fix, after]: [usize; 3], priors: &Priors) -> bool {
        let noise = |index: usize| samples[index].position.and_then(|fix| fix.accuracy_m).unwrap_or(0.0);
        let narrow = Narrow::default().of(f64::from(self.noted[fix].belt));
        let distance_m = |one: usize, other: usize| {
            let (east, north) = self.way(one, other);
            long(east as f64 * narrow, north as f64)
        };
        let far = |other: usize| {
            let span = (samples[other].at - samples[fix].at).abs();
            // What a pet does within seconds it does at a run; over a minute it may be back again.
            let noise = 2.0 * (noise(fix) * noise(fix) + noise(other) * noise(other)).sqrt();
            let most = LEAP_M.max(noise) + priors.running_mps * super::seconds(span).min(20.0);
            span <= NEAR_US && distance_m(fix, other) > most
        };
        far(before) && far(after) && distance_m(before, after) < distance_m(before, fix) / 2.0
    }
}

/// By a network of exchanges (Knuth, The Art of Computer Programming 3, 5.3.4): what is to be exchanged cannot be guessed.
fn sorted(mut values: [f64; 7]) -> [f64; 7] {
    const EXCHANGES: [(usize, usize); 16] = [
        (0, 6),
        (2, 3),
        (4, 5),
        (0, 2),
        (1, 4),
        (3, 6),
        (0, 1),
        (2, 5),
        (3, 4),
        (1, 2),
        (4, 6),
        (2, 3),
        (4, 5),
        (1, 2),
        (3, 4),
        (5, 6),
    ];
    for (low, high) in EXCHANGES {
        let (one, other) = (values[low], values[high]);
        values[low] = if one < other { one } else { other };
        values[high] = if one < other { other } else { one };
    }
    values
}

/// The square of a way that is no leap, ten-millionths of a degree: of 24.99 m.
const NO_LEAP: i64 = 5_050_000;

/// What a reading says.
#[expect(clippy::cast_possible_truncation, reason = "at most 20,000 hundredths, and 900 belts")]
fn noted(sample: &Sample, origin: (i64, i64)) -> Noted {
    let (bpm, rated) = beats(sample);
    // Figures are ordered as their bits are; nothing is to be guessed at here, as in `within`.
    let error = sample.position.as_ref().and_then(|fix| fix.accuracy_m);
    let error = error.map_or(0, |accuracy| accuracy.to_bits().cast_signed());
    let fix = sample.position.is_some() & (error <= WORST_M.to_bits().cast_signed());
    let mask = -i32::from(fix);
    let degrees = |of: fn(&Position) -> f64| {
        // Turned, since what is only loaded would be guessed at.
        let bits = sample.position.as_ref().map_or(0, |fix| of(fix).to_bits().rotate_left(1));
        f64::from_bits(bits.rotate_right(1))
    };
    let (latitude, longitude) = (degrees(|fix| fix.latitude), degrees(|fix| fix.longitude));
    let (east, north) = away(origin, (units(longitude), units(latitude)));
    Noted {
        at: sample.at,
        beats: if rated { bpm.to_bits() } else { 0 },
        breaths: breaths(sample) as i32,
        east: east & mask,
        north: north & mask,
        belt: belt(latitude) & mask as i16,
        level: sample.level.map_or(3, |level| level.min(2)),
        fix,
    }
}

/// The tenth of a degree that a latitude is in.
#[expect(clippy::cast_possible_truncation, reason = "at most 900")]
fn belt(latitude: f64) -> i16 {
    let tenths = latitude * 10.0;
    let near = rounded(tenths);
    (near - i64::from(near as f64 > tenths)) as i16
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
    /// In a tenth of a degree of latitude.
    fn of(&mut self, belt: f64) -> f64 {
        if belt.total_cmp(&self.belt).is_ne() {
            (self.belt, self.narrow) = (belt, (belt / 10.0 + 0.05).to_radians().cos().max(0.0));
        }
        self.narrow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heart_rates_in_any_order_are_sorted() {
        // A network that sorts every row of zeros and ones sorts everything (Knuth).
        for bits in 0_u32..1 << 7 {
            let values: [f64; 7] = std::array::from_fn(|nth| f64::from(bits >> nth & 1));
            assert!(sorted(values).is_sorted(), "{values:?}");
            assert_eq!(sorted(values).iter().sum::<f64>(), values.iter().sum::<f64>());
        }
    }

    #[test]
    fn figures_are_rounded_to_the_nearest_whole_number() {
        for (figure, whole) in
            [(0.0, 0), (-0.4, 0), (1.6, 2), (-1.6, -2), (1.8e9 + 0.3, 1_800_000_000), (-9e8, -900_000_000)]
        {
            assert_eq!(rounded(figure), whole, "{figure}");
        }
        for (figure, whole) in [(0.0, 0), (84.5, 85), (84.49, 84), (20_000.0, 20_000)] {
            assert_eq!(rounded_up(figure), whole, "{figure}");
        }
        for (latitude, tenth) in
            [(52.0, 520), (52.05, 520), (52.09, 520), (-0.01, -1), (-90.0, -900), (90.0, 900)]
        {
            assert_eq!(belt(latitude), tenth, "{latitude}");
        }
    }
}

//! The behaviour rule read literally, a second time: what the streamed result is held against. Invariant: it shares nothing
//! with the service's interpreter, neither code nor constants, or both could be wrong alike.
//!
//! The text is the one that opens `rules.rs` of the behaviour service; "rule 5" below means its fifth. Where the service is
//! incremental, cut to a horizon and revised, this looks at a whole recording at once, step by step in the text's order.
//! It is meant to be obviously right, and only quick enough for a recording of a few thousand readings.
//!
//! It covers what recordings without an activity level and without a declared interval can show: Deep Sleep, Resting,
//! Walking, Running, Unknown. Playing Fetch and Anxious Pacing need levels, and a [`Measured`] cannot carry one, so
//! whoever converts a reading that has one must refuse it rather than drop it.

use std::collections::BTreeMap;

/// A reading as the collar sent it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// When, in microseconds since 1970, UTC.
    pub at_us: i64,
    /// In bpm.
    pub heart_rate: Option<f64>,
    /// Latitude and longitude in degrees, and the stated accuracy in metres.
    pub position: Option<(f64, f64, Option<f64>)>,
    /// 0 rest, 1 moderate, 2 high. Nothing here reads it; what is compared elsewhere does.
    pub activity_level: Option<u8>,
}

/// Whose numbers apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Species {
    /// The dog's.
    Dog,
    /// The cat's.
    Cat,
}

/// An episode: what, from when, until when.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The behaviour as people write it, say "Deep Sleep".
    pub behavior: &'static str,
    /// Its first reading, in microseconds since 1970, UTC.
    pub start_us: i64,
    /// Its last reading, likewise.
    pub end_us: i64,
}

/// All episodes of a recording, Unknown ones included, in order of time. The readings may come in any order.
pub fn episodes(species: Species, readings: &[Measured]) -> Vec<Span> {
    let mut spans = Vec::new();
    for run in runs(&canonical(readings)) {
        spans.extend(merged(&run, &behaviors(&numbers(species), &run)));
    }
    spans
}

const SECOND: i64 = 1_000_000;
const TEN_MINUTES: i64 = 600 * SECOND;

/// The numbers that differ by species; bands are lowest and highest, both included.
struct Numbers {
    sleeping_bpm: (f64, f64),
    resting_bpm: (f64, f64),
    walking_mps: f64,
    running_mps: f64,
    top_mps: f64,
}

fn numbers(species: Species) -> Numbers {
    match species {
        Species::Dog => Numbers {
            sleeping_bpm: (40.0, 65.0),
            resting_bpm: (40.0, 100.0),
            walking_mps: 0.3,
            running_mps: 2.0,
            top_mps: 20.0,
        },
        Species::Cat => Numbers {
            sleeping_bpm: (94.0, 132.0),
            resting_bpm: (94.0, 170.0),
            walking_mps: 0.3,
            running_mps: 1.5,
            top_mps: 13.4,
        },
    }
}

fn within(band: (f64, f64), bpm: f64) -> bool {
    band.0 <= bpm && bpm <= band.1
}

/// Rule 1: ordered by time, one reading for each whole second.
fn canonical(readings: &[Measured]) -> Vec<Measured> {
    let mut seconds: BTreeMap<i64, Vec<Measured>> = BTreeMap::new();
    for reading in readings {
        // Rounded down before 1970 as well: `/` would put both sides of 1970 into one second.
        seconds.entry(reading.at_us.div_euclid(SECOND)).or_default().push(*reading);
    }
    let mut result = Vec::new();
    for same in seconds.values() {
        let mut one = same[0];
        for other in &same[1..] {
            one.at_us = one.at_us.min(other.at_us);
            one.heart_rate = match (one.heart_rate, other.heart_rate) {
                (Some(a), Some(b)) => Some(a.max(b)),
                (a, b) => a.or(b),
            };
            one.position = match (one.position, other.position) {
                (Some(a), Some(b)) => Some(if better(b, a) { b } else { a }),
                (a, b) => a.or(b),
            };
        }
        result.push(one);
    }
    result
}

type Position = (f64, f64, Option<f64>);

/// Rule 1: the smaller stated accuracy, then the greater latitude, then the greater longitude.
fn better(a: Position, b: Position) -> bool {
    let (accuracy_a, accuracy_b) = (a.2.unwrap_or(f64::INFINITY), b.2.unwrap_or(f64::INFINITY));
    if accuracy_a != accuracy_b {
        accuracy_a < accuracy_b
    } else if a.0 != b.0 {
        a.0 > b.0
    } else {
        a.1 > b.1
    }
}

/// Rule 2: the maximal chains of adjacent readings. What follows is given one run at a time, so it cannot look across its end.
fn runs(readings: &[Measured]) -> Vec<Vec<Measured>> {
    let intervals: Vec<i64> = readings.windows(2).map(|pair| pair[1].at_us - pair[0].at_us).collect();
    let mut runs: Vec<Vec<Measured>> = Vec::new();
    for (i, reading) in readings.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if adjacent(&intervals, i - 1) => run.push(*reading),
            _ => runs.push(vec![*reading]),
        }
    }
    runs
}

/// Rule 2: whether the two readings around interval `i` are adjacent.
fn adjacent(intervals: &[i64], i: usize) -> bool {
    let short = |interval: &&i64| **interval <= TEN_MINUTES;
    let mut near = vec![intervals[i]];
    near.extend(intervals[..i].iter().rev().take(4).take_while(short));
    near.extend(intervals[i + 1..].iter().take(4).take_while(short));
    near.sort_unstable();
    let typical = near[(near.len() - 1) / 2];
    intervals[i] <= (3 * typical).clamp(60 * SECOND, TEN_MINUTES)
}

/// Rule 3: the behaviour of each interval of a run; interval `i` lies between readings `i` and `i + 1`.
fn behaviors(numbers: &Numbers, run: &[Measured]) -> Vec<&'static str> {
    let gaits = gaits(numbers, run);
    let asleep = asleep(numbers, run, &gaits);
    let mut result = Vec::new();
    for i in 0..run.len() - 1 {
        // Rule 11: the level is absent throughout, so the heart rate decides on Resting.
        let resting = heart_rate(run, i).is_some_and(|bpm| within(numbers.resting_bpm, bpm));
        result.push(match gaits[i] {
            _ if asleep[i] => "Deep Sleep",
            Some(gait) => gait,
            None if resting => "Resting",
            None => "Unknown",
        });
    }
    result
}

/// Rule 3: chains of the same behaviour become one episode.
fn merged(run: &[Measured], behaviors: &[&'static str]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (i, &behavior) in behaviors.iter().enumerate() {
        let (start_us, end_us) = (run[i].at_us, run[i + 1].at_us);
        match spans.last_mut() {
            Some(last) if last.behavior == behavior => last.end_us = end_us,
            _ => spans.push(Span { behavior, start_us, end_us }),
        }
    }
    spans
}

/// Rule 4: an interval's heart rate.
fn heart_rate(run: &[Measured], interval: usize) -> Option<f64> {
    let second = run[interval + 1].at_us;
    let held = run[interval + 1..].iter().take_while(|reading| reading.at_us - second <= 180 * SECOND);
    held.filter_map(|reading| reading.heart_rate).next()
}

/// A reading that has a position, and where in its run it stands.
#[derive(Clone, Copy)]
struct Fix {
    reading: usize,
    at_us: i64,
    position: Position,
}

/// Rules 5 to 7: each interval's gait, if it has one.
fn gaits(numbers: &Numbers, run: &[Measured]) -> Vec<Option<&'static str>> {
    let mut fixes = Vec::new();
    for (reading, measured) in run.iter().enumerate() {
        if let Some(position) = measured.position {
            fixes.push(Fix { reading, at_us: measured.at_us, position });
        }
    }
    let mut remaining = Vec::new();
    for (i, fix) in fixes.iter().enumerate() {
        let spike = i > 0 && i + 1 < fixes.len() && is_spike(numbers, fixes[i - 1], *fix, fixes[i + 1]);
        if !spike {
            remaining.push(*fix);
        }
    }
    // Rule 6: without a leg an interval has no speed, which no rule tells from a speed of 0.
    let mut speeds = vec![0.0_f64; run.len() - 1];
    for q in &remaining {
        let early_enough = |p: &&Fix| q.at_us - p.at_us >= 30 * SECOND;
        let Some(p) = remaining.iter().rfind(early_enough) else { continue };
        if q.at_us - p.at_us > TEN_MINUTES || impossible(numbers, *p, *q) {
            continue;
        }
        let distance = metres(p.position, q.position);
        let speed = if distance <= noise(*p, *q) { 0.0 } else { distance / seconds(*p, *q) };
        for covered in &mut speeds[p.reading..q.reading] {
            *covered = covered.max(speed);
        }
    }
    let gait = |speed: f64| match speed {
        s if s >= numbers.running_mps => Some("Running"),
        s if s >= numbers.walking_mps => Some("Walking"),
        _ => None,
    };
    speeds.into_iter().map(gait).collect()
}

/// Rule 5: whether a fix between two others is to be left out.
fn is_spike(numbers: &Numbers, before: Fix, fix: Fix, after: Fix) -> bool {
    fix.at_us - before.at_us <= TEN_MINUTES
        && after.at_us - fix.at_us <= TEN_MINUTES
        && impossible(numbers, before, fix)
        && impossible(numbers, fix, after)
}

/// Rule 5: whether no pet gets from `p` to `q` in the time.
fn impossible(numbers: &Numbers, p: Fix, q: Fix) -> bool {
    metres(p.position, q.position) > noise(p, q) + numbers.top_mps * seconds(p, q)
}

/// Rule 5: the noise of a pair in metres; an accuracy that is not stated adds nothing.
fn noise(p: Fix, q: Fix) -> f64 {
    let stated = [p.position.2, q.position.2];
    let squares: f64 = stated.into_iter().flatten().map(|accuracy| accuracy * accuracy).sum();
    squares.sqrt().max(15.0)
}

fn seconds(p: Fix, q: Fix) -> f64 {
    (q.at_us - p.at_us) as f64 / SECOND as f64
}

/// Haversine on a sphere of the Earth's mean radius (IUGG: 6,371,008.8 m).
fn metres(a: Position, b: Position) -> f64 {
    let (lat_a, lat_b) = (a.0.to_radians(), b.0.to_radians());
    let half_lat = (lat_b - lat_a) / 2.0;
    let half_lon = (b.1.to_radians() - a.1.to_radians()) / 2.0;
    let h = half_lat.sin().powi(2) + lat_a.cos() * lat_b.cos() * half_lon.sin().powi(2);
    2.0 * 6_371_008.8 * h.sqrt().min(1.0).asin()
}

/// Rule 10: which intervals Deep Sleep claims.
fn asleep(numbers: &Numbers, run: &[Measured], gaits: &[Option<&'static str>]) -> Vec<bool> {
    let mut beats = Vec::new();
    for (reading, measured) in run.iter().enumerate() {
        if let Some(bpm) = measured.heart_rate {
            beats.push((reading, bpm));
        }
    }
    let mut asleep = vec![false; run.len() - 1];
    for four in beats.windows(4) {
        let close = four.windows(2).all(|two| run[two[1].0].at_us - run[two[0].0].at_us <= TEN_MINUTES);
        let between = four[0].0..four[3].0;
        let still = gaits[between.clone()].iter().all(Option::is_none);
        let mean = four.iter().map(|(_, bpm)| bpm).sum::<f64>() / 4.0;
        let variance = four.iter().map(|(_, bpm)| (bpm - mean).powi(2)).sum::<f64>() / 4.0;
        if close && still && within(numbers.sleeping_bpm, mean) && variance.sqrt() < 3.0 {
            asleep[between].fill(true);
        }
    }
    asleep
}

#[cfg(test)]
mod tests;

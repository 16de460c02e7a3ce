//! Runs, fixes and legs: rules 2, 5 and 6. Invariant: every answer depends on readings near it alone.

use super::canon::{SECOND, Sample};
use super::geo::distance_m;
use super::rules::{GAP_INTERVALS, LEG_MIN_US, MAX_GAP_US, MIN_GAP_US, NEIGHBOURS, NOISE_M, Priors};
use super::{Params, Position};

/// For each reading, the index of its run's first reading.
pub(super) fn runs(samples: &[Sample], params: &Params) -> Vec<usize> {
    let declared = params.sampling_interval.map(declared_us);
    let mut runs = Vec::with_capacity(samples.len());
    for index in 0..samples.len() {
        let joined = index > 0 && adjacent(samples, index - 1, declared);
        runs.push(if joined { runs[index - 1] } else { index });
    }
    runs
}

/// The readings of each run.
pub(super) fn cut<'a>(samples: &'a [Sample], params: &Params) -> impl Iterator<Item = &'a [Sample]> {
    let declared = params.sampling_interval.map(declared_us);
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = samples.get(start..).filter(|rest| !rest.is_empty())?;
        let mut pairs = rest.windows(2).zip(start..);
        // Most are so near that nothing else is asked.
        let far = |(pair, index): (&[Sample], usize)| {
            pair[1].at - pair[0].at > MIN_GAP_US && !adjacent(samples, index, declared)
        };
        let last = pairs.position(far).map_or(rest.len(), |last| last + 1);
        start += last;
        Some(&rest[..last])
    })
}

/// Saturating: a declared interval beyond the limits means the limits.
fn declared_us(interval: jiff::SignedDuration) -> i64 {
    i64::try_from(interval.as_micros()).unwrap_or(MAX_GAP_US).clamp(0, MAX_GAP_US)
}

/// Whether a reading and the next are of one run.
fn adjacent(samples: &[Sample], index: usize, declared: Option<i64>) -> bool {
    let gap = samples[index + 1].at - samples[index].at;
    // Most are so near that nothing else is asked.
    gap <= MIN_GAP_US || gap <= MAX_GAP_US && is_usual(samples, index, gap, declared)
}

/// Whether a gap is usual among those around it.
fn is_usual(samples: &[Sample], index: usize, gap: i64, declared: Option<i64>) -> bool {
    let typical = declared.unwrap_or_else(|| {
        let near = |gap: &i64| *gap <= MAX_GAP_US;
        let gap_of = |pair: &[Sample]| pair[1].at - pair[0].at;
        let mut around = [gap; 2 * NEIGHBOURS + 1];
        let mut count = 1;
        let before = samples[..=index].windows(2).rev().take(NEIGHBOURS).map(gap_of).take_while(near);
        let after = samples[index + 1..].windows(2).take(NEIGHBOURS).map(gap_of).take_while(near);
        for neighbour in before.chain(after) {
            around[count] = neighbour;
            count += 1;
        }
        let around = &mut around[..count];
        around.sort_unstable();
        around[(count - 1) / 2]
    });
    gap <= (GAP_INTERVALS * typical).clamp(MIN_GAP_US, MAX_GAP_US)
}

/// Microseconds as seconds.
fn seconds(us: i64) -> f64 {
    // Spans of at most weeks: far below 2^53.
    us as f64 / SECOND as f64
}

fn noise_m(a: &Position, b: &Position) -> f64 {
    let stated = a.accuracy_m.unwrap_or(0.0).hypot(b.accuracy_m.unwrap_or(0.0));
    stated.max(NOISE_M)
}

/// A fix, and the index of its reading.
#[derive(Debug, Clone, Copy)]
struct Fix {
    index: usize,
    at: i64,
    position: Position,
}

fn impossible(a: &Fix, b: &Fix, priors: &Priors) -> bool {
    let reach = noise_m(&a.position, &b.position) + priors.top_mps * seconds(b.at - a.at);
    distance_m(&a.position, &b.position) > reach
}

/// Which readings carry a fix that counts, and each interval's speed in m/s where legs cover it.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) usable: Vec<bool>,
    pub(super) speeds: Vec<Option<f64>>,
}

/// Spikes left out, then legs over what remains.
pub(super) fn track(samples: &[Sample], runs: &[usize], priors: &Priors) -> Track {
    let fixes: Vec<Fix> = samples
        .iter()
        .enumerate()
        .filter_map(|(index, sample)| sample.position.map(|position| Fix { index, at: sample.at, position }))
        .collect();
    let jump = |a: &Fix, b: &Fix| {
        runs[a.index] == runs[b.index] && b.at - a.at <= MAX_GAP_US && impossible(a, b, priors)
    };
    let jumps: Vec<bool> = fixes.windows(2).map(|pair| jump(&pair[0], &pair[1])).collect();
    let spike = |nth: usize| nth > 0 && jumps[nth - 1] && jumps.get(nth).copied().unwrap_or(false);
    let fixes: Vec<Fix> =
        fixes.iter().enumerate().filter(|(nth, _)| !spike(*nth)).map(|(_, fix)| *fix).collect();

    let mut usable = vec![false; samples.len()];
    for fix in &fixes {
        usable[fix.index] = true;
    }
    let mut speeds = vec![None; samples.len().saturating_sub(1)];
    let mut from = 0;
    for (nth, fix) in fixes.iter().enumerate() {
        // The latest fix at least a leg's least duration earlier; it only ever moves forward.
        while from + 1 < nth && fixes[from + 1].at <= fix.at - LEG_MIN_US {
            from += 1;
        }
        let start = fixes[from];
        let span = fix.at - start.at;
        if !(LEG_MIN_US..=MAX_GAP_US).contains(&span) || runs[start.index] != runs[fix.index] {
            continue;
        }
        if impossible(&start, fix, priors) {
            continue;
        }
        let distance = distance_m(&start.position, &fix.position);
        let moved = distance > noise_m(&start.position, &fix.position);
        let speed = if moved { distance / seconds(span) } else { 0.0 };
        for covered in &mut speeds[start.index..fix.index] {
            *covered = Some(covered.map_or(speed, |known: f64| known.max(speed)));
        }
    }
    Track { usable, speeds }
}

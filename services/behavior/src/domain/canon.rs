//! The canonical form of a set of readings: by time, at most one to a second.
//!
//! Invariant: [`merge`] is commutative, associative and idempotent, so the form depends on the set alone.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::{Position, Reading};

/// Microseconds in a second.
pub(super) const SECOND: i64 = 1_000_000;

/// A reading as it is computed with and kept: time in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Sample {
    pub(super) at: i64,
    pub(super) heart_rate: Option<f64>,
    pub(super) level: Option<u8>,
    pub(super) breaths: Option<f64>,
    pub(super) position: Option<Position>,
}

impl Sample {
    fn second(&self) -> i64 {
        self.at.div_euclid(SECOND)
    }
}

impl From<&Reading> for Sample {
    fn from(reading: &Reading) -> Self {
        Self {
            at: reading.at.as_microsecond(),
            heart_rate: reading.heart_rate,
            level: reading.activity_level,
            breaths: reading.respiratory_rate,
            position: reading.position,
        }
    }
}

/// What a merge into a canonical list did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Merged {
    /// The earliest instant whose sample is new or differs; none where nothing changed.
    pub(super) earliest_change: Option<i64>,
    /// Samples that added nothing.
    pub(super) duplicates: u64,
}

/// The canonical form of any readings.
pub(super) fn canonical(readings: &[Reading]) -> Vec<Sample> {
    let mut samples = Vec::new();
    merge_into(&mut samples, readings.iter().map(Sample::from).collect());
    samples
}

/// Merges any samples into a canonical list.
pub(super) fn merge_into(list: &mut Vec<Sample>, mut new: Vec<Sample>) -> Merged {
    let mut merged = Merged::default();
    // Whoever is a second later is of a later one.
    let sorted = new.is_sorted_by(|a, b| b.at - a.at >= SECOND || a.second() < b.second());
    if !sorted {
        new.sort_by_key(|sample| sample.at);
    }
    let Some(first) = new.first().map(Sample::second) else { return merged };
    if sorted && list.last().is_none_or(|last| last.second() < first) {
        // All are of seconds of their own, and later: what mostly comes.
        merged.earliest_change = new.first().map(|sample| sample.at);
        if list.is_empty() {
            *list = new;
        } else {
            list.append(&mut new);
        }
        return merged;
    }
    // Everything before the first new second stands; only the tail is woven anew.
    let mut old =
        list.split_off(list.partition_point(|sample| sample.second() < first)).into_iter().peekable();
    for sample in new {
        while let Some(earlier) = old.next_if(|known| known.second() <= sample.second()) {
            list.push(earlier);
        }
        let instant = match list.last_mut() {
            Some(known) if known.second() == sample.second() => {
                let joined = merge(known, &sample);
                if joined == *known {
                    merged.duplicates += 1;
                    continue;
                }
                *known = joined;
                joined.at
            }
            _ => {
                list.push(sample);
                sample.at
            }
        };
        merged.earliest_change = Some(merged.earliest_change.map_or(instant, |known| known.min(instant)));
    }
    list.extend(old);
    merged
}

/// Two samples of one second as one: the earlier instant, and of each signal the stated over the absent, the greater
/// heart rate, level and respiratory rate, the fix with the better accuracy.
fn merge(a: &Sample, b: &Sample) -> Sample {
    Sample {
        at: a.at.min(b.at),
        heart_rate: pick(a.heart_rate, b.heart_rate, f64::total_cmp),
        level: a.level.max(b.level),
        breaths: pick(a.breaths, b.breaths, f64::total_cmp),
        position: pick(a.position, b.position, better_fix),
    }
}

fn pick<T>(a: Option<T>, b: Option<T>, compare: fn(&T, &T) -> Ordering) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if compare(&a, &b).is_lt() { b } else { a }),
        (known, None) | (None, known) => known,
    }
}

/// A total order of fixes, the better one greater; where accuracy says nothing, the coordinates break the tie.
fn better_fix(a: &Position, b: &Position) -> Ordering {
    let error = |fix: &Position| fix.accuracy_m.unwrap_or(f64::INFINITY);
    error(b)
        .total_cmp(&error(a))
        .then(a.latitude.total_cmp(&b.latitude))
        .then(a.longitude.total_cmp(&b.longitude))
}

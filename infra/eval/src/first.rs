//! The first system's three rules as they were, faults and all (domain.md, "Behaviours").
//!
//! Invariant: nothing here is mended. Readings need not be adjacent in time, any gap is ignored, distances are in degrees, and
//! a query yields at most one event of each kind, however long it is, from the first matching reading to the last.

use petty_behavior::domain::{Behavior, Position, Reading};

use crate::classifier::Claim;

/// About 70 m and about 100 m, as degrees of latitude.
const NEAR_DEGREES: f64 = 0.000_63;
const FAR_DEGREES: f64 = 0.000_9;

/// The events of all readings, asked for so many minutes at a time.
#[must_use]
pub fn claims(readings: &[Reading], minutes: u32) -> Vec<Claim> {
    let span_us = i64::from(minutes) * 60_000_000;
    let query = |reading: &Reading| reading.at.as_microsecond().div_euclid(span_us);
    readings.chunk_by(|a, b| query(a) == query(b)).flat_map(events).collect()
}

fn events(readings: &[Reading]) -> impl Iterator<Item = Claim> + use<> {
    [deep_sleep(readings), anxious_pacing(readings), playing_fetch(readings)].into_iter().flatten()
}

/// Four or more readings at level 0, heart rate mean 40 to 65, population SD under 3.
fn deep_sleep(readings: &[Reading]) -> Option<Claim> {
    let still: Vec<&Reading> = readings.iter().filter(|reading| reading.activity_level == Some(0)).collect();
    let (mean, sd) = mean_and_sd(&still)?;
    let is = still.len() >= 4 && (40.0..=65.0).contains(&mean) && sd < 3.0;
    is.then(|| claim(Behavior::DeepSleep, &still, 0.9)).flatten()
}

/// Six or more at level 1 within about 70 m, heart rate mean 70 to 110.
fn anxious_pacing(readings: &[Reading]) -> Option<Claim> {
    let moving: Vec<&Reading> = readings.iter().filter(|reading| reading.activity_level == Some(1)).collect();
    let (mean, _) = mean_and_sd(&moving)?;
    let fixes: Vec<Position> = moving.iter().filter_map(|reading| reading.position).collect();
    let first = fixes.first()?;
    let near = fixes.iter().all(|fix| degrees(first, fix) <= NEAR_DEGREES);
    let is = moving.len() >= 6 && near && (70.0..=110.0).contains(&mean);
    is.then(|| claim(Behavior::AnxiousPacing, &moving, 0.75)).flatten()
}

/// Two or more cycles of a high reading and then one at rest, more than about 100 m apart.
fn playing_fetch(readings: &[Reading]) -> Option<Claim> {
    let mut high: Option<&Reading> = None;
    let mut cycles: Vec<&Reading> = Vec::new();
    for reading in readings {
        match (reading.activity_level, high) {
            (Some(2), _) => high = Some(reading),
            (Some(0), Some(start)) => {
                high = None;
                let ends = start.position.as_ref().zip(reading.position.as_ref());
                if ends.is_some_and(|(a, b)| degrees(a, b) > FAR_DEGREES) {
                    cycles.extend([start, reading]);
                }
            }
            _ => {}
        }
    }
    (cycles.len() >= 4).then(|| claim(Behavior::PlayingFetch, &cycles, 0.8)).flatten()
}

fn degrees(a: &Position, b: &Position) -> f64 {
    (a.latitude - b.latitude).hypot(a.longitude - b.longitude)
}

fn mean_and_sd(readings: &[&Reading]) -> Option<(f64, f64)> {
    let rates: Vec<f64> = readings.iter().filter_map(|reading| reading.heart_rate).collect();
    if rates.is_empty() {
        return None;
    }
    let count = rates.len() as f64;
    let mean = rates.iter().sum::<f64>() / count;
    let variance = rates.iter().map(|bpm| (bpm - mean).powi(2)).sum::<f64>() / count;
    Some((mean, variance.sqrt()))
}

fn claim(behavior: Behavior, readings: &[&Reading], confidence: f64) -> Option<Claim> {
    let (start_us, end_us) = (readings.first()?.at.as_microsecond(), readings.last()?.at.as_microsecond());
    Some(Claim { behavior, start_us, end_us, confidence })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn reading(second: i64, bpm: f64, level: u8, north_m: f64) -> Reading {
        Reading {
            at: Timestamp::from_second(second).unwrap(),
            heart_rate: Some(bpm),
            activity_level: Some(level),
            respiratory_rate: None,
            position: Some(Position {
                latitude: 50.0 + north_m / 111_195.0,
                longitude: 0.0,
                accuracy_m: None,
            }),
        }
    }

    #[test]
    fn a_query_has_one_event_of_a_kind_over_any_gap() {
        let day: Vec<Reading> = [0, 10, 40_000, 86_000].map(|at| reading(at, 50.0, 0, 0.0)).to_vec();
        let claims = claims(&day, 1_440);
        assert_eq!(claims.len(), 1);
        assert_eq!(
            (claims[0].behavior, claims[0].start_us, claims[0].end_us),
            (Behavior::DeepSleep, 0, 86_000_000_000)
        );
        assert!(super::claims(&day, 60).is_empty(), "too few in each hour");
    }

    #[test]
    fn pacing_and_fetch_are_found_as_they_were() {
        let walk: Vec<Reading> = (0..6).map(|nth| reading(nth * 10, 90.0, 1, nth as f64 * 10.0)).collect();
        assert_eq!(
            claims(&walk, 60)[0].behavior,
            Behavior::AnxiousPacing,
            "also where it is a walk of a minute"
        );
        let far: Vec<Reading> = (0..6).map(|nth| reading(nth * 10, 90.0, 1, nth as f64 * 30.0)).collect();
        assert!(claims(&far, 60).is_empty());
        let game: Vec<Reading> = (0..4)
            .map(|nth| reading(nth * 20, 140.0, if nth % 2 == 0 { 2 } else { 0 }, (nth % 2) as f64 * 120.0))
            .collect();
        assert_eq!(claims(&game, 60)[0].behavior, Behavior::PlayingFetch);
        assert!(claims(&game[..2], 60).is_empty());
    }
}

//! What will be sent: which animals, with which times.
//!
//! Each animal is moved as a whole, so that its last reading ends now: spacing is kept. What then lies further back
//! than the API takes is left out, and counted.

use csv::StringRecord;
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, ser::SerializeMap};

use super::{ReadError, Recorded, Signal};
use crate::client::REACH;

/// Everything that will be sent.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Tells this replay's collars from another's.
    pub run: String,
    /// In the order of the file.
    pub animals: Vec<Planned>,
}

/// One animal of the plan.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Who it is; its samples are in `readings`.
    pub animal: Recorded,
    /// The collar it will wear.
    pub collar_id: String,
    /// In order of time, never empty.
    pub readings: Vec<Reading>,
}

/// A reading as it is posted.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The collar's id.
    pub collar_id: String,
    /// When it was measured, moved.
    pub timestamp: Timestamp,
    /// What was measured.
    pub signal: Signal,
}

impl Plan {
    /// How many readings there are to send.
    #[must_use]
    pub fn readings(&self) -> usize {
        self.animals.iter().map(|animal| animal.readings.len()).sum()
    }
}

impl Planned {
    /// When it began to wear the collar: at its first reading.
    #[must_use]
    pub fn start_time(&self) -> Timestamp {
        self.readings.first().map_or(Timestamp::UNIX_EPOCH, |reading| reading.timestamp)
    }
}

impl Serialize for Reading {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("collar_id", &self.collar_id)?;
        map.serialize_entry("timestamp", &self.timestamp)?;
        match self.signal {
            Signal::HeartRate(rate) => map.serialize_entry("heart_rate", &rate)?,
            Signal::Position { lon, lat } => map.serialize_entry(
                "location",
                &serde_json::json!({"type": "Point", "coordinates": [lon, lat]}),
            )?,
        }
        map.end()
    }
}

/// Plans the first `pets` animals that have anything to send, all without it.
#[must_use]
pub fn plan(recorded: Vec<Recorded>, now: Timestamp, pets: Option<usize>) -> Plan {
    // Readings are kept to the microsecond.
    let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
    // Replays of different moments use different collars, so that a later one starts with pets of its own.
    let run = format!("{:x}", now.as_millisecond());
    let animals = recorded
        .into_iter()
        .enumerate()
        .filter_map(|(number, animal)| {
            let collar_id = collar_id(&animal.key, number, &run);
            place(animal, now, collar_id)
        })
        .take(pets.unwrap_or(usize::MAX))
        .collect();
    Plan { run, animals }
}

fn place(mut animal: Recorded, now: Timestamp, collar_id: String) -> Option<Planned> {
    let samples = std::mem::take(&mut animal.samples);
    let last = samples.last()?.at_us;
    let mut readings = Vec::with_capacity(samples.len());
    for sample in samples {
        let before = SignedDuration::from_micros(last - sample.at_us);
        if before > REACH {
            *animal.left_out.entry("readings too far back for the API").or_default() += 1;
            continue;
        }
        // Within 30 days of now, so it is a timestamp.
        let Ok(timestamp) = now.checked_sub(before) else { continue };
        readings.push(Reading { collar_id: collar_id.clone(), timestamp, signal: sample.signal });
    }
    Some(Planned { animal, collar_id, readings })
}

/// What the API takes for a collar's id: letters, digits, `_` and `-`, at most 64. The number keeps keys apart that
/// differ only in what it does not take.
fn collar_id(key: &str, number: usize, run: &str) -> String {
    let safe: String = key
        .chars()
        .take(40)
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '-' })
        .collect();
    format!("R{run}-{number}-{safe}")
}

pub(super) fn column(headers: &StringRecord, name: &'static str) -> Result<usize, ReadError> {
    headers.iter().position(|header| header.trim() == name).ok_or_else(|| ReadError::Value {
        line: 1,
        column: name,
        value: "no such column".to_owned(),
    })
}

pub(super) fn bad_value(row: &StringRecord, column: &'static str, value: &str) -> ReadError {
    let line = row.position().map_or(0, csv::Position::line);
    ReadError::Value { line, column, value: value.chars().take(40).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::{LeftOut, Sample, Species};

    const DAY_US: i64 = 86_400_000_000;

    fn animal(key: &str, times_us: &[i64]) -> Recorded {
        Recorded {
            key: key.to_owned(),
            name: key.to_owned(),
            species: Species::Cat,
            breed: None,
            samples: times_us
                .iter()
                .map(|at_us| Sample { at_us: *at_us, signal: Signal::HeartRate(60.0) })
                .collect(),
            left_out: LeftOut::new(),
        }
    }

    fn now() -> Timestamp {
        "2026-11-01T12:00:00.123456789Z".parse().unwrap()
    }

    #[test]
    fn each_animals_last_reading_ends_now_and_spacing_is_kept() {
        let plan = plan(vec![animal("a", &[5, 1_000_005]), animal("b", &[DAY_US, 2 * DAY_US])], now(), None);
        assert_eq!(plan.readings(), 4);
        let times = |index: usize| -> Vec<String> {
            plan.animals[index].readings.iter().map(|reading| reading.timestamp.to_string()).collect()
        };
        assert_eq!(times(0), ["2026-11-01T11:59:59.123456Z", "2026-11-01T12:00:00.123456Z"]);
        assert_eq!(times(1), ["2026-10-31T12:00:00.123456Z", "2026-11-01T12:00:00.123456Z"]);
        assert_eq!(plan.animals[1].start_time().to_string(), "2026-10-31T12:00:00.123456Z");
    }

    #[test]
    fn what_the_api_would_refuse_for_its_age_is_left_out_and_counted() {
        let old = 30 * DAY_US - 3_600_000_000;
        let plan = plan(vec![animal("a", &[0, 1, 2, old + 1])], now(), None);
        assert_eq!(plan.animals[0].readings.len(), 3);
        assert_eq!(plan.animals[0].animal.left_out.get("readings too far back for the API"), Some(&1));
    }

    #[test]
    fn animals_without_readings_do_not_count_among_the_first() {
        let plan = plan(vec![animal("a", &[]), animal("b", &[0]), animal("c", &[0])], now(), Some(1));
        let keys: Vec<&str> = plan.animals.iter().map(|planned| planned.animal.key.as_str()).collect();
        assert_eq!(keys, ["b"]);
    }

    #[test]
    fn collar_ids_are_what_the_api_takes() {
        for key in ["14", "Lady T-Tag", "Ärger", &"x".repeat(99)] {
            let id = collar_id(key, 12_345, "19a3c5f0a1b");
            assert!((3..=64).contains(&id.len()), "{id}");
            assert!(id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-'), "{id}");
        }
    }

    #[test]
    fn readings_are_posted_as_the_api_writes_them() {
        let reading = |signal| Reading { collar_id: "c-1".into(), timestamp: now(), signal };
        let json = |signal| serde_json::to_value(reading(signal)).unwrap();
        assert_eq!(
            json(Signal::HeartRate(61.5)),
            serde_json::json!({"collar_id": "c-1", "timestamp": "2026-11-01T12:00:00.123456789Z", "heart_rate": 61.5})
        );
        assert_eq!(
            json(Signal::Position { lon: -5.1, lat: 50.2 })["location"],
            serde_json::json!({"type": "Point", "coordinates": [-5.1, 50.2]})
        );
    }
}

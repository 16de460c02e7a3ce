//! What behavior is told of a flush: one event for each shard, with exactly the readings that were inserted.

use std::collections::BTreeMap;

use petty_chassis::events::{Outgoing, outbox, shard_of, topics};
use petty_chassis::types::{CollarId, PetId};
use petty_proto::events::v1::{AcceptedReading, PetReadings, ReadingsAccepted};
use uuid::Uuid;

use super::Store;
use super::append::Keyed;
use crate::domain::reading::Stamped;

impl Store {
    /// The events of these readings. Each is of the trace of the first of them.
    pub(super) fn announcement(&self, inserted: &[&Keyed<'_>]) -> outbox::Batch {
        let mut shards: BTreeMap<i16, BTreeMap<PetId, Vec<&Stamped>>> = BTreeMap::new();
        let mut traces: BTreeMap<i16, &str> = BTreeMap::new();
        for run in inserted.chunk_by(|a, b| a.stamped.pet == b.stamped.pet) {
            let Some(row) = run.first() else { continue };
            let pet = row.stamped.pet;
            let shard = shard_of(pet, self.shards);
            let readings = shards.entry(shard).or_default().entry(pet).or_default();
            readings.extend(run.iter().map(|row| row.stamped));
            let trace = traces.entry(shard).or_default();
            if trace.is_empty() {
                *trace = row.traceparent;
            }
        }
        let mut batch = outbox::Batch::new(&self.clock);
        for (shard, pets) in shards {
            let pets = pets.into_iter().map(|(pet, readings)| pet_readings(pet, readings)).collect();
            let payload = ReadingsAccepted { pets };
            let event = Outgoing {
                topic: &topics::READINGS_ACCEPTED,
                subject: Uuid::nil(),
                version: 0,
                shard,
                payload: &payload,
            };
            batch.add(&self.clock, &event, traces.get(&shard).copied().unwrap_or_default());
        }
        batch
    }
}

fn pet_readings(pet: PetId, mut readings: Vec<&Stamped>) -> PetReadings {
    readings.sort_by(|a, b| {
        (a.reading.measured_at, &a.reading.collar).cmp(&(b.reading.measured_at, &b.reading.collar))
    });
    // Named once: a pet's readings are of one collar, with few exceptions.
    let worn = readings.first().map(|first| &first.reading.collar);
    PetReadings {
        pet_id: pet.to_string(),
        collar_id: worn.map(ToString::to_string).unwrap_or_default(),
        readings: readings.iter().map(|stamped| accepted(stamped, worn)).collect(),
    }
}

/// A reading as behavior gets it: positions exact, for it alone. Its collar is told where it is another than that.
fn accepted(stamped: &Stamped, worn: Option<&CollarId>) -> AcceptedReading {
    let reading = &stamped.reading;
    let signals = &reading.signals;
    let position = signals.position;
    let other = Some(&reading.collar).filter(|collar| Some(*collar) != worn);
    AcceptedReading {
        collar_id: other.map(ToString::to_string).unwrap_or_default(),
        time_us: reading.measured_at.as_microsecond(),
        heart_rate: signals.heart_rate,
        activity_level: signals.activity_level.map(i32::from),
        longitude: position.map(|position| f64::from(position.longitude_e6) / 1e6),
        latitude: position.map(|position| f64::from(position.latitude_e6) / 1e6),
        accuracy_m: position.and_then(|position| position.accuracy),
        respiratory_rate: signals.respiratory_rate,
        temperature: signals.temperature,
        battery_level: signals.battery_level,
    }
}

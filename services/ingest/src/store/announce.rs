//! What behavior is told of a flush: one event for each shard, with exactly the readings that were inserted.
//!
//! Events are written straight from the rows, as `ReadingsAccepted` of `petty/events/v1/events.proto` is written: a message of
//! each reading, made only to be written, cost more than the writing.

use std::collections::BTreeMap;

use petty_chassis::events::{outbox, shard_of, topics};
use petty_chassis::types::PetId;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use uuid::Uuid;

use super::Store;
use super::append::Keyed;
use crate::domain::reading::Stamped;

/// Numbers of fields, as the proto has them.
mod tag {
    pub(super) const PETS: u32 = 1;
    pub(super) const PET_ID: u32 = 1;
    pub(super) const READINGS: u32 = 2;
    pub(super) const COLLAR_ID: u32 = 1;
    pub(super) const TIME_US: u32 = 2;
    pub(super) const HEART_RATE: u32 = 3;
    pub(super) const ACTIVITY_LEVEL: u32 = 4;
    pub(super) const LONGITUDE: u32 = 5;
    pub(super) const LATITUDE: u32 = 6;
    pub(super) const ACCURACY_M: u32 = 7;
    pub(super) const RESPIRATORY_RATE: u32 = 8;
    pub(super) const TEMPERATURE: u32 = 9;
    pub(super) const BATTERY_LEVEL: u32 = 10;
}
/// The bytes of a key: every number above is below 16.
const KEY: usize = 1;
/// And of eight bytes with their key.
const FIXED: usize = KEY + 8;

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
            let mut payload = Vec::new();
            for (pet, readings) in pets {
                put_pet(&mut payload, pet, readings);
            }
            let trace = traces.get(&shard).copied().unwrap_or_default();
            batch.add_written(&self.clock, &topics::READINGS_ACCEPTED, Uuid::nil(), shard, payload, trace);
        }
        batch
    }
}

/// One pet's readings, by time.
fn put_pet(out: &mut Vec<u8>, pet: PetId, mut readings: Vec<&Stamped>) {
    readings.sort_by(|a, b| {
        (a.reading.measured_at, &a.reading.collar).cmp(&(b.reading.measured_at, &b.reading.collar))
    });
    let pet = pet.to_string();
    let text = KEY + encoded_len_varint(pet.len() as u64) + pet.len();
    let whole = |length: usize| KEY + encoded_len_varint(length as u64) + length;
    let length = text + readings.iter().map(|stamped| whole(length_of(stamped))).sum::<usize>();
    out.reserve(whole(length));
    encode_key(tag::PETS, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
    put_text(out, tag::PET_ID, &pet);
    for stamped in readings {
        encode_key(tag::READINGS, WireType::LengthDelimited, out);
        encode_varint(length_of(stamped) as u64, out);
        put_reading(out, stamped);
    }
}

fn length_of(stamped: &Stamped) -> usize {
    let signals = &stamped.reading.signals;
    let collar = stamped.reading.collar.as_str().len();
    let accuracy = signals.position.and_then(|position| position.accuracy);
    let numbers =
        [signals.heart_rate, accuracy, signals.respiratory_rate, signals.temperature, signals.battery_level];
    let numbers = numbers.iter().flatten().count() + if signals.position.is_some() { 2 } else { 0 };
    // Levels are 0 to 2.
    let level = signals.activity_level.map_or(0, |_| KEY + 1);
    KEY + encoded_len_varint(collar as u64) + collar + FIXED + numbers * FIXED + level
}

/// A reading as behavior gets it: positions exact, for it alone.
fn put_reading(out: &mut Vec<u8>, stamped: &Stamped) {
    let reading = &stamped.reading;
    let signals = &reading.signals;
    let position = signals.position;
    put_text(out, tag::COLLAR_ID, reading.collar.as_str());
    encode_key(tag::TIME_US, WireType::SixtyFourBit, out);
    out.extend_from_slice(&reading.measured_at.as_microsecond().to_le_bytes());
    put_number(out, tag::HEART_RATE, signals.heart_rate);
    if let Some(level) = signals.activity_level {
        encode_key(tag::ACTIVITY_LEVEL, WireType::Varint, out);
        encode_varint(u64::from(level.unsigned_abs()), out);
    }
    let degrees = |e6: i32| f64::from(e6) / 1e6;
    put_number(out, tag::LONGITUDE, position.map(|position| degrees(position.longitude_e6)));
    put_number(out, tag::LATITUDE, position.map(|position| degrees(position.latitude_e6)));
    put_number(out, tag::ACCURACY_M, position.and_then(|position| position.accuracy));
    put_number(out, tag::RESPIRATORY_RATE, signals.respiratory_rate);
    put_number(out, tag::TEMPERATURE, signals.temperature);
    put_number(out, tag::BATTERY_LEVEL, signals.battery_level);
}

fn put_text(out: &mut Vec<u8>, tag: u32, text: &str) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

fn put_number(out: &mut Vec<u8>, tag: u32, value: Option<f64>) {
    if let Some(value) = value {
        encode_key(tag, WireType::SixtyFourBit, out);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use petty_proto::events::v1::{AcceptedReading, PetReadings, ReadingsAccepted};
    use prost::Message as _;

    use super::*;
    use crate::domain::reading::{Position, Reading, Signals};

    fn stamped(collar: &str, second: i64, signals: Signals) -> Stamped {
        let reading = Reading {
            collar: collar.parse().unwrap(),
            measured_at: Timestamp::from_second(second).unwrap(),
            signals,
        };
        Stamped { reading, pet: PetId(Uuid::from_u128(7)) }
    }

    #[test]
    fn what_is_written_is_the_message_by_pet_and_time_and_as_its_own_writer_writes_it() {
        let position = Position { longitude_e6: -13_400_003, latitude_e6: 52_500_001, accuracy: None };
        let all = Signals {
            heart_rate: Some(80.5),
            activity_level: Some(2),
            position: Some(Position { accuracy: Some(4.5), ..position }),
            temperature: Some(38.5),
            skin_temperature: Some(30.0),
            respiratory_rate: Some(20.0),
            battery_level: Some(0.0),
            sequence_id: Some(9),
        };
        let longest = "c".repeat(64);
        let readings = [
            stamped(&longest, 1_700_000_002, all),
            stamped("one", 1_700_000_001, Signals { activity_level: Some(0), ..Signals::default() }),
            stamped("one", -5, Signals { position: Some(position), ..Signals::default() }),
            stamped("one", 3, Signals::default()),
        ];
        let mut written = Vec::new();
        put_pet(&mut written, PetId(Uuid::from_u128(7)), readings.iter().collect());
        put_pet(&mut written, PetId(Uuid::from_u128(8)), Vec::new());

        let of = |stamped: &Stamped| {
            let (reading, signals) = (&stamped.reading, &stamped.reading.signals);
            AcceptedReading {
                collar_id: reading.collar.to_string(),
                time_us: reading.measured_at.as_microsecond(),
                heart_rate: signals.heart_rate,
                activity_level: signals.activity_level.map(i32::from),
                longitude: signals.position.map(|position| f64::from(position.longitude_e6) / 1e6),
                latitude: signals.position.map(|position| f64::from(position.latitude_e6) / 1e6),
                accuracy_m: signals.position.and_then(|position| position.accuracy),
                respiratory_rate: signals.respiratory_rate,
                temperature: signals.temperature,
                battery_level: signals.battery_level,
            }
        };
        let expected = ReadingsAccepted {
            pets: vec![
                PetReadings {
                    pet_id: Uuid::from_u128(7).to_string(),
                    readings: [2, 3, 1, 0].map(|nth: usize| of(&readings[nth])).to_vec(),
                },
                PetReadings { pet_id: Uuid::from_u128(8).to_string(), readings: Vec::new() },
            ],
        };
        assert_eq!(written, expected.encode_to_vec());
    }
}

//! A flush: stamped readings onto disk, each once, with everything that follows from the new ones.
//!
//! One call takes readings of any number of requests: who merges requests (group commit) calls this and deals the
//! outcomes out.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use petty_chassis::events::{Outgoing, outbox, shard_of, topics};
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::PetId;
use petty_proto::events::v1::{AcceptedReading, PetReadings, ReadingsAccepted};
use uuid::Uuid;

use super::Store;
use super::columns::Columns;
use crate::domain::reading::Stamped;

/// The class of the locks that a flush holds on its shards, against the erasure of a pet. Any number, the same everywhere.
pub(super) const SHARD_LOCKS: i32 = 7_239;

/// What became of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is on disk since now.
    New,
    /// It was on disk already, or came twice.
    Duplicate,
    /// Its pet is forgotten for good: it was not stored.
    Erased,
}

/// A reading with its collar's key.
pub(super) struct Keyed<'a> {
    index: usize,
    pub(super) collar_key: i32,
    pub(super) stamped: &'a Stamped,
}

impl Keyed<'_> {
    fn key(&self) -> (i32, Timestamp) {
        (self.collar_key, self.stamped.reading.measured_at)
    }
}

struct Flushed {
    new: HashSet<(i32, Timestamp)>,
    erased: BTreeSet<PetId>,
}

impl Store {
    /// Stores readings that are not there yet, in one transaction with what follows from them. Says of each, in order, what
    /// became of it. A duplicate is answered only after the first of its kind is committed.
    ///
    /// # Errors
    /// Where the database says no; then none of them was stored, or, after a lost connection, it is not known.
    pub async fn append(&self, readings: &[Stamped]) -> Result<Vec<Outcome>, Error> {
        let keys = self.keys_of(readings.iter().map(|stamped| &stamped.reading.collar)).await?;
        let mut rows: Vec<Keyed<'_>> = readings
            .iter()
            .enumerate()
            .filter_map(|(index, stamped)| {
                let collar_key = *keys.get(&stamped.reading.collar)?;
                Some(Keyed { index, collar_key, stamped })
            })
            .collect();
        // Sorted, so that two flushes wait for each other in one order; of equals the first stays.
        rows.sort_by_key(|row| (row.key(), row.index));
        rows.dedup_by_key(|row| row.key());
        let rows = &rows;
        let flushed =
            self.db.transaction("append_readings", |tx| async move { self.flush(&tx, rows).await }).await?;
        let mut outcomes: Vec<Outcome> = readings
            .iter()
            .map(
                |stamped| {
                    if flushed.erased.contains(&stamped.pet) { Outcome::Erased } else { Outcome::Duplicate }
                },
            )
            .collect();
        for row in rows.iter().filter(|row| flushed.new.contains(&row.key())) {
            outcomes[row.index] = Outcome::New;
        }
        Ok(outcomes)
    }

    async fn flush(&self, tx: &Tx, rows: &[Keyed<'_>]) -> Result<Flushed, Error> {
        let erased = self.hold_pets(tx, rows).await?;
        let kept = Columns::of(rows.iter().filter(|row| !erased.contains(&row.stamped.pet)));
        let sql = "-- insert_readings
            INSERT INTO readings (measured_at, pet_id, heart_rate, respiratory_rate, temperature, skin_temperature,
                                  battery_level, accuracy_m, collar_key, longitude_e6, latitude_e6, sequence_id,
                                  activity_level)
            SELECT * FROM unnest($1::timestamptz[], $2::uuid[], $3::float8[], $4::float8[], $5::float8[], $6::float8[],
                                 $7::float8[], $8::float8[], $9::int4[], $10::int4[], $11::int4[], $12::int4[], $13::int2[])
                     AS r (measured_at, pet_id, heart_rate, respiratory_rate, temperature, skin_temperature,
                           battery_level, accuracy_m, collar_key, longitude_e6, latitude_e6, sequence_id, activity_level)
            ORDER BY collar_key, measured_at
            ON CONFLICT (collar_key, measured_at) DO NOTHING RETURNING collar_key, measured_at";
        let new = tx
            .query(sql, &kept.parameters())
            .await?
            .iter()
            .map(|row| Ok((Error::column(row, "readings", 0)?, Error::column(row, "readings", 1)?)))
            .collect::<Result<HashSet<(i32, Timestamp)>, Error>>()?;
        if !new.is_empty() {
            let inserted: Vec<&Keyed<'_>> = rows.iter().filter(|row| new.contains(&row.key())).collect();
            note_pets_collars(tx, &inserted).await?;
            upsert_latest(tx, &inserted).await?;
            self.announce(tx, &inserted).await?;
        }
        Ok(Flushed { new, erased })
    }

    /// Keeps the pets from being erased until the transaction ends, and says which are erased already. The lock is on the
    /// pets' shards: few, however many pets.
    async fn hold_pets(&self, tx: &Tx, rows: &[Keyed<'_>]) -> Result<BTreeSet<PetId>, Error> {
        let pets: BTreeSet<PetId> = rows.iter().map(|row| row.stamped.pet).collect();
        let shards: BTreeSet<i32> = pets.iter().map(|pet| i32::from(shard_of(*pet, self.shards))).collect();
        let shards: Vec<i32> = shards.into_iter().collect();
        let sql =
            "-- hold_shards\nSELECT pg_advisory_xact_lock_shared($1, shard) FROM unnest($2::int4[]) AS shard";
        tx.query(sql, &[&SHARD_LOCKS, &shards]).await?;
        // A statement of its own: it sees what was committed while the locks were waited for.
        let pets: Vec<Uuid> = pets.into_iter().map(|pet| pet.0).collect();
        let sql = "-- erased_pets\nSELECT pet_id FROM event_tombstones WHERE pet_id = ANY($1)";
        let rows = tx.query(sql, &[&pets]).await?;
        rows.iter().map(|row| Ok(PetId(Error::column(row, "event_tombstones", 0)?))).collect()
    }

    /// One event for each shard, with exactly the readings that were inserted.
    async fn announce(&self, tx: &Tx, inserted: &[&Keyed<'_>]) -> Result<(), Error> {
        let mut shards: BTreeMap<i16, BTreeMap<PetId, Vec<&Stamped>>> = BTreeMap::new();
        for row in inserted {
            let pet = row.stamped.pet;
            shards.entry(shard_of(pet, self.shards)).or_default().entry(pet).or_default().push(row.stamped);
        }
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
            outbox::write(tx, &self.clock, &event).await?;
        }
        Ok(())
    }
}

fn pet_readings(pet: PetId, mut readings: Vec<&Stamped>) -> PetReadings {
    readings.sort_by(|a, b| {
        (a.reading.measured_at, &a.reading.collar).cmp(&(b.reading.measured_at, &b.reading.collar))
    });
    PetReadings { pet_id: pet.to_string(), readings: readings.into_iter().map(accepted).collect() }
}

/// A reading as behavior gets it: positions exact, for it alone.
fn accepted(stamped: &Stamped) -> AcceptedReading {
    let reading = &stamped.reading;
    let signals = &reading.signals;
    let position = signals.position;
    AcceptedReading {
        collar_id: reading.collar.to_string(),
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

async fn note_pets_collars(tx: &Tx, inserted: &[&Keyed<'_>]) -> Result<(), Error> {
    let pairs: BTreeSet<(Uuid, i32)> =
        inserted.iter().map(|row| (row.stamped.pet.0, row.collar_key)).collect();
    let (pets, collars): (Vec<Uuid>, Vec<i32>) = pairs.into_iter().unzip();
    let sql = "-- note_pets_collars
        INSERT INTO pet_collars (pet_id, collar_key)
        SELECT pet_id, collar_key FROM unnest($1::uuid[], $2::int4[]) AS p (pet_id, collar_key)
        ORDER BY pet_id, collar_key ON CONFLICT DO NOTHING";
    tx.execute(sql, &[&pets, &collars]).await.map(|_| ())
}

/// Each collar's newest inserted reading becomes its latest state, unless that is newer still.
async fn upsert_latest(tx: &Tx, inserted: &[&Keyed<'_>]) -> Result<(), Error> {
    // Sorted by collar and time: the last one of a collar stays.
    let newest: BTreeMap<i32, &Keyed<'_>> = inserted.iter().map(|row| (row.collar_key, *row)).collect();
    let columns = Columns::of(newest.into_values());
    let sql = "-- upsert_latest
        INSERT INTO latest_states AS s (measured_at, pet_id, heart_rate, respiratory_rate, temperature, skin_temperature,
                                        battery_level, accuracy_m, collar_key, longitude_e6, latitude_e6, sequence_id,
                                        activity_level)
        SELECT * FROM unnest($1::timestamptz[], $2::uuid[], $3::float8[], $4::float8[], $5::float8[], $6::float8[],
                             $7::float8[], $8::float8[], $9::int4[], $10::int4[], $11::int4[], $12::int4[], $13::int2[])
                 AS r (measured_at, pet_id, heart_rate, respiratory_rate, temperature, skin_temperature,
                       battery_level, accuracy_m, collar_key, longitude_e6, latitude_e6, sequence_id, activity_level)
        ORDER BY collar_key
        ON CONFLICT (collar_key) DO UPDATE
        SET measured_at = EXCLUDED.measured_at, pet_id = EXCLUDED.pet_id, heart_rate = EXCLUDED.heart_rate,
            respiratory_rate = EXCLUDED.respiratory_rate, temperature = EXCLUDED.temperature,
            skin_temperature = EXCLUDED.skin_temperature, battery_level = EXCLUDED.battery_level,
            accuracy_m = EXCLUDED.accuracy_m, longitude_e6 = EXCLUDED.longitude_e6,
            latitude_e6 = EXCLUDED.latitude_e6, sequence_id = EXCLUDED.sequence_id,
            activity_level = EXCLUDED.activity_level
        WHERE EXCLUDED.measured_at > s.measured_at";
    tx.execute(sql, &columns.parameters()).await.map(|_| ())
}

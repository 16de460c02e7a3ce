//! Forgetting a pet.
//!
//! Invariant: once this transaction is committed, no reading of the pet is there, nor a sum, and none can come: flushes hold
//! their pets' shards until they are committed, and look for tombstones once they do; whoever sums holds all shards.

use petty_chassis::Service as _;
use petty_chassis::events::{inbox, outbox, shard_of};
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::PetId;

use super::Store;
use super::append::SHARD_LOCKS;
use crate::Ingest;

impl Store {
    /// Forgets a pet for good: tombstone, readings, their sums, latest states. Returns how many readings went.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn erase(&self, tx: &Tx, pet: PetId) -> Result<u64, Error> {
        let shard = i32::from(shard_of(pet, self.shards));
        let sql = "-- hold_shard_alone\nSELECT pg_advisory_xact_lock($1, $2)";
        tx.query(sql, &[&SHARD_LOCKS, &shard]).await?;
        inbox::erase(tx, &self.clock, pet).await?;
        let sql = "-- erase_readings
            DELETE FROM readings r USING pet_collars p
            WHERE p.pet_id = $1 AND r.collar_key = p.collar_key AND r.pet_id = p.pet_id";
        let readings = tx.execute(sql, &[&pet.0]).await?;
        for sql in [
            "-- erase_minutes
                DELETE FROM readings_minute r USING pet_collars p
                WHERE p.pet_id = $1 AND r.collar_key = p.collar_key AND r.pet_id = p.pet_id",
            "-- erase_hours
                DELETE FROM readings_hour r USING pet_collars p
                WHERE p.pet_id = $1 AND r.collar_key = p.collar_key AND r.pet_id = p.pet_id",
        ] {
            tx.execute(sql, &[&pet.0]).await?;
        }
        let sql = "-- hold_latest
            SELECT collar_key FROM latest_states WHERE pet_id = $1 ORDER BY collar_key FOR UPDATE";
        let rows = tx.query(sql, &[&pet.0]).await?;
        let collars =
            rows.iter().map(|row| Error::column(row, "latest_states", 0)).collect::<Result<Vec<i32>, _>>()?;
        let sql = "-- erase_latest\nDELETE FROM latest_states WHERE collar_key = ANY($1)";
        tx.execute(sql, &[&collars]).await?;
        self.forget_watches(tx, &collars).await?;
        restore_latest(tx, &collars).await?;
        let sql = "-- erase_pet_collars
            DELETE FROM pet_collars p USING collars c WHERE p.pet_id = $1 AND c.collar_key = p.collar_key
            RETURNING c.collar_id";
        let rows = tx.query(sql, &[&pet.0]).await?;
        self.forget_newest(tx, pet, &rows)?;
        Ok(readings)
    }

    /// Redis forgets the pet too, once the transaction commits.
    fn forget_newest(&self, tx: &Tx, pet: PetId, collars: &[Row]) -> Result<(), Error> {
        let Some(realtime) = self.realtime.clone() else { return Ok(()) };
        let mut worn = Vec::new();
        for row in collars {
            let id: String = Error::column(row, "collars", 0)?;
            let inconsistent = || Error::Inconsistent { table: "collars", column: "collar_id".to_owned() };
            worn.push(id.parse().map_err(|_| inconsistent())?);
        }
        tx.after_commit(move || realtime.forget(pet, worn));
        Ok(())
    }

    /// Says that everything about the pet is gone, once the transaction commits.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn announce_erased(&self, tx: &Tx, pet: PetId) -> Result<(), Error> {
        outbox::tell_erased(tx, &self.clock, Ingest::NAME, pet, self.shards).await
    }
}

/// What another pet measured with the same collar before becomes the collar's latest state again, so that a late reading
/// cannot take its place.
async fn restore_latest(tx: &Tx, collars: &[i32]) -> Result<(), Error> {
    let sql = "-- restore_latest
        INSERT INTO latest_states (measured_at, pet_id, heart_rate, respiratory_rate, temperature, skin_temperature,
                                   battery_level, accuracy_m, collar_key, longitude_e6, latitude_e6, sequence_id,
                                   activity_level)
        SELECT r.measured_at, r.pet_id, r.heart_rate, r.respiratory_rate, r.temperature, r.skin_temperature,
               r.battery_level, r.accuracy_m, r.collar_key, r.longitude_e6, r.latitude_e6, r.sequence_id,
               r.activity_level
        FROM unnest($1::int4[]) AS c (collar_key)
        CROSS JOIN LATERAL (
            SELECT * FROM readings r WHERE r.collar_key = c.collar_key ORDER BY r.measured_at DESC LIMIT 1
        ) r
        ON CONFLICT (collar_key) DO NOTHING";
    tx.execute(sql, &[&collars]).await.map(|_| ())
}

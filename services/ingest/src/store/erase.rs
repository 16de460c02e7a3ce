//! Forgetting a pet.
//!
//! Invariants: once the transaction that says so is committed, nothing finds a reading of the pet, nor a sum, and none can come: flushes
//! hold their pets' shards until they are committed, and look for tombstones once they do; whoever sums holds all shards, and leaves
//! out pets whose rows are still being deleted. These are deleted a few days at a time, so that nobody waits for years of them;
//! `data.erased` is said in the transaction after which there is none left.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use petty_chassis::Service as _;
use petty_chassis::calendar::utc_date;
use petty_chassis::events::{inbox, outbox, shard_of};
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::PetId;
use uuid::Uuid;

use super::Store;
use super::append::SHARD_LOCKS;
use super::latest::newer_stays;
use crate::Ingest;

/// A transaction goes on with a further day until it has deleted about so many rows: a third of a second.
const ROWS: u64 = 20_000;
/// But so many days at most: most have none where the pet's readings are older than they are kept.
const DAYS: usize = 64;

/// How far a pet's erasure has come.
#[derive(Debug)]
struct Erasure {
    pet: Uuid,
    collars: Vec<i32>,
    /// The days that are left: from the first until before the last. `None`: it was not looked yet.
    days: Option<(Date, Date)>,
    readings: i64,
}

impl Store {
    /// Forgets a pet for good: tombstone, latest states, and which collars it wore, without which its readings are not found; they
    /// themselves are left to [`Self::delete_erased`]. Whether `data.erased` is to be said once they are gone.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn erase(&self, tx: &Tx, pet: PetId, announced: bool) -> Result<(), Error> {
        let shard = i32::from(shard_of(pet, self.shards));
        let sql = "-- hold_shard_alone\nSELECT pg_advisory_xact_lock($1, $2)";
        tx.query(sql, &[&SHARD_LOCKS, &shard]).await?;
        inbox::erase(tx, &self.clock, pet).await?;
        let sql = "-- erase_pet_collars
            DELETE FROM pet_collars p USING collars c WHERE p.pet_id = $1 AND c.collar_key = p.collar_key
            RETURNING c.collar_key, c.collar_id";
        let worn = tx.query(sql, &[&pet.0]).await?;
        let collars =
            worn.iter().map(|row| Error::column(row, "collars", 0)).collect::<Result<Vec<i32>, _>>()?;
        // Again, where it is asked for again.
        let sql = "-- begin_erasure
            INSERT INTO pet_erasures AS e (pet_id, asked_at, collar_keys, announced) VALUES ($1, $2, $3, $4)
            ON CONFLICT (pet_id) DO UPDATE SET announced = e.announced OR EXCLUDED.announced";
        tx.execute(sql, &[&pet.0, &self.clock.now(), &collars, &announced]).await?;
        let sql = "-- hold_latest
            SELECT collar_key FROM latest_states WHERE pet_id = $1 ORDER BY collar_key FOR UPDATE";
        let rows = tx.query(sql, &[&pet.0]).await?;
        let newest =
            rows.iter().map(|row| Error::column(row, "latest_states", 0)).collect::<Result<Vec<i32>, _>>()?;
        let sql = "-- erase_latest\nDELETE FROM latest_states WHERE collar_key = ANY($1)";
        tx.execute(sql, &[&newest]).await?;
        self.forget_watches(tx, &newest).await?;
        self.forget_newest(tx, pet, &worn)
    }

    /// Redis forgets the pet too, once the transaction commits.
    fn forget_newest(&self, tx: &Tx, pet: PetId, collars: &[Row]) -> Result<(), Error> {
        let Some(realtime) = self.realtime.clone() else { return Ok(()) };
        let mut worn = Vec::new();
        for row in collars {
            let id: String = Error::column(row, "collars", 1)?;
            let inconsistent = || Error::Inconsistent { table: "collars", column: "collar_id".to_owned() };
            worn.push(id.parse().map_err(|_| inconsistent())?);
        }
        tx.after_commit(move || realtime.forget(pet, worn));
        Ok(())
    }

    /// Deletes a part of what is left of a pet that is forgotten, the one that has waited the longest and that no other replica is
    /// at. True where there may be more.
    ///
    /// # Errors
    /// Where the database says no: what was deleted before stays so, and the next time goes on from there.
    pub async fn delete_erased(&self) -> Result<bool, Error> {
        let done = self.db.transaction("delete_erased", |tx| async move {
            let Some(erasure) = next(&tx).await? else { return Ok::<_, Error>(None) };
            let (pet, readings) = (PetId(erasure.pet), erasure.readings);
            let ended = self.delete_part(&tx, erasure).await?;
            Ok(Some((pet, readings, ended)))
        });
        let Some((pet, readings, ended)) = done.await? else { return Ok(false) };
        if ended {
            tracing::info!(pet.id = %pet, readings, "forgot a pet");
        }
        Ok(true)
    }

    /// Days of readings and sums, or the end once there are none. True where that was the end.
    async fn delete_part(&self, tx: &Tx, erasure: Erasure) -> Result<bool, Error> {
        // For the partitions of these days, not for whichever there may be: see `Db::read_partitions`.
        tx.execute("SET LOCAL plan_cache_mode = force_custom_plan", &[]).await?;
        let days = match erasure.days {
            Some(days) => Some(days),
            None => span(tx, &erasure).await?,
        };
        let Some((mut day, until)) = days.filter(|(from, until)| from < until) else {
            // A transaction of its own, which deletes no readings: a flush may wait for those with latest states in hand.
            self.end(tx, &erasure).await?;
            return Ok(true);
        };
        let (mut readings, mut rows) = (0, 0);
        for _ in 0..DAYS {
            let (of_day, others) = delete_day(tx, &erasure, day).await?;
            readings += of_day;
            rows += of_day + others;
            day = next_day(day);
            if day >= until || rows >= ROWS {
                break;
            }
        }
        let readings = i64::try_from(readings).unwrap_or(i64::MAX);
        let sql = "-- note_erasure
            UPDATE pet_erasures SET from_day = $2, until_day = $3, readings = readings + $4 WHERE pet_id = $1";
        tx.execute(sql, &[&erasure.pet, &day, &until, &readings]).await?;
        Ok(false)
    }

    /// Nothing is left: says so, and gives the collars back to those that wore them before.
    async fn end(&self, tx: &Tx, erasure: &Erasure) -> Result<(), Error> {
        let sql = "-- end_erasure\nDELETE FROM pet_erasures WHERE pet_id = $1 RETURNING announced";
        let announced: bool = Error::column(&tx.query_one(sql, &[&erasure.pet]).await?, "pet_erasures", 0)?;
        let restored = restore_latest(tx, &erasure.collars).await?;
        self.forget_watches(tx, &restored).await?;
        if announced {
            outbox::tell_erased(tx, &self.clock, Ingest::NAME, PetId(erasure.pet), self.shards).await?;
        }
        Ok(())
    }

    /// How many pets' rows are still being deleted, and for how many seconds at most.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn erasures(&self) -> Result<(i64, f64), Error> {
        let now = self.clock.now();
        self.db
            .read("erasures", |tx| async move {
                let sql = "-- erasures
                    SELECT count(*), coalesce(greatest(extract(epoch FROM $1::timestamptz - min(asked_at)), 0), 0)::float8
                    FROM pet_erasures";
                let row = tx.query_one(sql, &[&now]).await?;
                Ok((Error::column(&row, "pet_erasures", 0)?, Error::column(&row, "pet_erasures", 1)?))
            })
            .await
    }
}

/// The erasure that has waited the longest, held until the transaction ends.
async fn next(tx: &Tx) -> Result<Option<Erasure>, Error> {
    let sql = "-- next_erasure
        SELECT pet_id, collar_keys, from_day, until_day, readings FROM pet_erasures
        ORDER BY asked_at, pet_id LIMIT 1 FOR UPDATE SKIP LOCKED";
    let Some(row) = tx.query_opt(sql, &[]).await? else { return Ok(None) };
    let table = "pet_erasures";
    let days = Option::zip(Error::column(&row, table, 2)?, Error::column(&row, table, 3)?);
    Ok(Some(Erasure {
        pet: Error::column(&row, table, 0)?,
        collars: Error::column(&row, table, 1)?,
        days,
        readings: Error::column(&row, table, 4)?,
    }))
}

/// The first day that anything of the pet is of, and the one after the last. `None` where there is nothing.
async fn span(tx: &Tx, erasure: &Erasure) -> Result<Option<(Date, Date)>, Error> {
    let sql = "-- span_of_erasure
        SELECT min(first), max(last) FROM (
            SELECT min(measured_at) AS first, max(measured_at) AS last FROM readings
            WHERE collar_key = ANY($1) AND pet_id = $2
            UNION ALL
            SELECT min(span_start), max(span_start) FROM readings_minute WHERE collar_key = ANY($1) AND pet_id = $2
            UNION ALL
            SELECT min(span_start), max(span_start) FROM readings_hour WHERE collar_key = ANY($1) AND pet_id = $2
        ) s";
    let row = tx.query_one(sql, &[&erasure.collars, &erasure.pet]).await?;
    let first: Option<Timestamp> = Error::column(&row, "readings", 0)?;
    let last: Option<Timestamp> = Error::column(&row, "readings", 1)?;
    Ok(first.zip(last).map(|(first, last)| (utc_date(first), next_day(utc_date(last)))))
}

/// Deletes what is of a UTC day: how many readings, and how many sums.
async fn delete_day(tx: &Tx, erasure: &Erasure, day: Date) -> Result<(u64, u64), Error> {
    let start = |day: Date| day.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |start| start.timestamp());
    let (start, end) = (start(day), start(next_day(day)));
    let mut deleted = [0; 3];
    for (sql, deleted) in [
        "-- erase_readings
            DELETE FROM readings
            WHERE collar_key = ANY($1) AND pet_id = $2 AND measured_at >= $3 AND measured_at < $4",
        "-- erase_minutes
            DELETE FROM readings_minute
            WHERE collar_key = ANY($1) AND pet_id = $2 AND span_start >= $3 AND span_start < $4",
        "-- erase_hours
            DELETE FROM readings_hour
            WHERE collar_key = ANY($1) AND pet_id = $2 AND span_start >= $3 AND span_start < $4",
    ]
    .into_iter()
    .zip(&mut deleted)
    {
        *deleted = tx.execute(sql, &[&erasure.collars, &erasure.pet, &start, &end]).await?;
    }
    let [readings, minutes, hours] = deleted;
    Ok((readings, minutes + hours))
}

fn next_day(day: Date) -> Date {
    day.saturating_add(1.day())
}

/// What another pet measured with the same collar before becomes the collar's latest state again, unless a late reading of its
/// own did that is newer. That it stopped is no news: when it came is not known, and is taken to be long ago. Says of which collars.
async fn restore_latest(tx: &Tx, collars: &[i32]) -> Result<Vec<i32>, Error> {
    let sql = concat!(
        "-- restore_latest
        INSERT INTO latest_states AS s (measured_at, pet_id, heart_rate, respiratory_rate, temperature, skin_temperature,
                                        battery_level, accuracy_m, collar_key, longitude_e6, latitude_e6, sequence_id,
                                        activity_level, received_at)
        SELECT r.measured_at, r.pet_id, r.heart_rate, r.respiratory_rate, r.temperature, r.skin_temperature,
               r.battery_level, r.accuracy_m, r.collar_key, r.longitude_e6, r.latitude_e6, r.sequence_id,
               r.activity_level, least(now(), r.measured_at) - interval '1 hour'
        FROM unnest($1::int4[]) AS c (collar_key)
        CROSS JOIN LATERAL (
            SELECT * FROM readings r
            WHERE r.collar_key = c.collar_key AND r.pet_id <> ALL (ARRAY(SELECT pet_id FROM pet_erasures))
            ORDER BY r.measured_at DESC LIMIT 1
        ) r
        ORDER BY r.collar_key",
        newer_stays!(),
        " RETURNING s.collar_key"
    );
    let rows = tx.query(sql, &[&collars]).await?;
    rows.iter().map(|row| Error::column(row, "latest_states", 0)).collect()
}

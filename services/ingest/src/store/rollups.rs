//! Sums of each minute and hour, made outside of the flushes.
//!
//! Invariants: a flush notes the minutes that it wrote into, in its own transaction; whoever takes a note away sums that minute
//! anew from all its readings, in one transaction, with statements that see every reading whose note was taken. One does so at a
//! time, and of no pet whose rows are being deleted. So a late reading changes its minute and hour as one in time does.

use std::collections::BTreeSet;

use jiff::Timestamp;
use petty_chassis::postgres::{Error, Step, Tx};

use super::Store;
use super::append::{Keyed, SHARD_LOCKS};

/// Who holds it sums. Any number, the same everywhere.
const ROLLUP_LOCK: i64 = 7_239_403;
/// Notes are taken until they name about so many minutes: a minute that many flushes wrote into is summed once for all of them.
const MINUTES: i64 = 16_384;
/// But so many at most.
const NOTES: i64 = 2_048;
const MINUTE_US: i64 = 60_000_000;

/// The minutes that a flush wrote into.
#[derive(Debug, Default)]
pub(super) struct Note {
    collar_keys: Vec<i32>,
    minutes: Vec<i32>,
}

impl Note {
    /// Of rows that are sorted by collar and time within a day.
    pub(super) fn of(rows: &[&Keyed<'_>]) -> Self {
        let mut note = Self::default();
        for row in rows {
            let minute = row.stamped.reading.measured_at.as_microsecond().div_euclid(MINUTE_US);
            // Readings are of a window around now: it fits until the year 6053.
            let minute = i32::try_from(minute).unwrap_or(i32::MAX);
            if note.collar_keys.last() != Some(&row.collar_key) || note.minutes.last() != Some(&minute) {
                note.collar_keys.push(row.collar_key);
                note.minutes.push(minute);
            }
        }
        note
    }

    pub(super) fn step(&self) -> Step<'_> {
        let sql = "-- note_minutes\nINSERT INTO readings_dirty (collar_keys, minutes) VALUES ($1, $2)";
        Step::Execute { sql, parameters: vec![&self.collar_keys, &self.minutes] }
    }
}

impl Store {
    /// Sums anew what was written into since the last time, and a part of it at a time. True where there may be more.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn roll_up(&self) -> Result<bool, Error> {
        let shards = i32::from(self.shards);
        self.db
            .transaction("roll_up", |tx| async move {
                let sql = "-- hold_rollups\nSELECT pg_try_advisory_xact_lock($1)";
                if !Error::column::<bool>(&tx.query_one(sql, &[&ROLLUP_LOCK]).await?, "locks", 0)? {
                    return Ok(false);
                }
                // For the partitions of these minutes, not for whichever there may be: see `Db::read_partitions`.
                tx.execute("SET LOCAL plan_cache_mode = force_custom_plan", &[]).await?;
                // As a flush holds its pets: what is erased meanwhile must not come back.
                let sql = "-- hold_all_shards
                    SELECT pg_advisory_xact_lock_shared($1, shard) FROM generate_series(0, $2 - 1) AS shard";
                tx.query(sql, &[&SHARD_LOCKS, &shards]).await?;
                let (dirty, more) = take_notes(&tx).await?;
                if !dirty.is_empty() {
                    sum_minutes(&tx, &dirty).await?;
                    sum_hours(&tx, &dirty).await?;
                }
                Ok(more)
            })
            .await
    }
}

/// The collars and minutes that notes name, and whether these were as many as are taken at once.
async fn take_notes(tx: &Tx) -> Result<(BTreeSet<(i32, i32)>, bool), Error> {
    // All but those that begin beyond so many minutes: at least the first.
    let sql = "-- take_notes
        DELETE FROM readings_dirty WHERE id IN (
            SELECT id FROM (
                SELECT id, sum(cardinality(minutes)) OVER (ORDER BY id) - cardinality(minutes) AS before
                FROM (SELECT id, minutes FROM readings_dirty ORDER BY id LIMIT $2) d
            ) d WHERE before < $1
        ) RETURNING collar_keys, minutes";
    let rows = tx.query(sql, &[&MINUTES, &NOTES]).await?;
    let (mut dirty, mut named) = (BTreeSet::new(), 0);
    for row in &rows {
        let collar_keys: Vec<i32> = Error::column(row, "readings_dirty", 0)?;
        let minutes: Vec<i32> = Error::column(row, "readings_dirty", 1)?;
        named += minutes.len();
        dirty.extend(collar_keys.into_iter().zip(minutes));
    }
    let most = |taken: usize, most: i64| i64::try_from(taken).is_ok_and(|taken| taken >= most);
    Ok((dirty, most(named, MINUTES) || most(rows.len(), NOTES)))
}

/// A statement that sums spans anew: into which table, and what of each span.
macro_rules! summing {
    ($into:literal, $span:literal) => {
        concat!(
            $into,
            " (
            collar_key, span_start, pet_id, newest_at, readings, heart_rate_sum, heart_rate_count, respiratory_rate_sum,
            respiratory_rate_count, temperature_sum, temperature_count, skin_temperature_sum, skin_temperature_count,
            battery_level_sum, battery_level_count, activity_level_sum, activity_level_count)
        SELECT d.collar_key, d.span_start, r.*
        FROM unnest($1::int4[], $2::timestamptz[]) AS d (collar_key, span_start)
        CROSS JOIN LATERAL (
            ",
            $span,
            "
            GROUP BY o.pet_id
        ) r
        ORDER BY d.collar_key, d.span_start, r.pet_id
        ON CONFLICT (collar_key, span_start, pet_id) DO UPDATE
        SET newest_at = EXCLUDED.newest_at, readings = EXCLUDED.readings, heart_rate_sum = EXCLUDED.heart_rate_sum,
            heart_rate_count = EXCLUDED.heart_rate_count, respiratory_rate_sum = EXCLUDED.respiratory_rate_sum,
            respiratory_rate_count = EXCLUDED.respiratory_rate_count, temperature_sum = EXCLUDED.temperature_sum,
            temperature_count = EXCLUDED.temperature_count, skin_temperature_sum = EXCLUDED.skin_temperature_sum,
            skin_temperature_count = EXCLUDED.skin_temperature_count, battery_level_sum = EXCLUDED.battery_level_sum,
            battery_level_count = EXCLUDED.battery_level_count, activity_level_sum = EXCLUDED.activity_level_sum,
            activity_level_count = EXCLUDED.activity_level_count"
        )
    };
}

/// Statements of their own, behind the one that took the notes: they see all that was committed with those.
async fn sum_minutes(tx: &Tx, dirty: &BTreeSet<(i32, i32)>) -> Result<(), Error> {
    let sql = summing!(
        "-- sum_minutes\nINSERT INTO readings_minute",
        "SELECT o.pet_id, max(o.measured_at), count(*), sum(o.heart_rate), count(o.heart_rate),
                   sum(o.respiratory_rate), count(o.respiratory_rate), sum(o.temperature), count(o.temperature),
                   sum(o.skin_temperature), count(o.skin_temperature), sum(o.battery_level), count(o.battery_level),
                   sum(o.activity_level), count(o.activity_level)
            FROM (
                SELECT * FROM readings r
                WHERE r.collar_key = d.collar_key AND r.measured_at >= d.span_start
                  AND r.measured_at < d.span_start + interval '1 minute'
                  AND r.measured_at >= $3 AND r.measured_at < $4
                  AND r.pet_id <> ALL (ARRAY(SELECT pet_id FROM pet_erasures))
                ORDER BY r.measured_at
            ) o"
    );
    sum(tx, sql, dirty.iter().copied(), 60).await
}

async fn sum_hours(tx: &Tx, dirty: &BTreeSet<(i32, i32)>) -> Result<(), Error> {
    let hours: BTreeSet<(i32, i32)> =
        dirty.iter().map(|(collar, minute)| (*collar, minute.div_euclid(60))).collect();
    let sql = summing!(
        "-- sum_hours\nINSERT INTO readings_hour",
        "SELECT o.pet_id, max(o.newest_at), sum(o.readings), sum(o.heart_rate_sum), sum(o.heart_rate_count),
                   sum(o.respiratory_rate_sum), sum(o.respiratory_rate_count), sum(o.temperature_sum),
                   sum(o.temperature_count), sum(o.skin_temperature_sum), sum(o.skin_temperature_count),
                   sum(o.battery_level_sum), sum(o.battery_level_count), sum(o.activity_level_sum),
                   sum(o.activity_level_count)
            FROM (
                SELECT * FROM readings_minute r
                WHERE r.collar_key = d.collar_key AND r.span_start >= d.span_start
                  AND r.span_start < d.span_start + interval '1 hour' AND r.span_start >= $3 AND r.span_start < $4
                  AND r.pet_id <> ALL (ARRAY(SELECT pet_id FROM pet_erasures))
                ORDER BY r.span_start
            ) o"
    );
    sum(tx, sql, hours.into_iter(), 3_600).await
}

/// Runs a summing statement over collars and spans of `seconds`. It is told their ends as well, so that it is planned over the
/// partitions in between alone.
async fn sum(tx: &Tx, sql: &str, spans: impl Iterator<Item = (i32, i32)>, seconds: i64) -> Result<(), Error> {
    let start = |span: i64| Timestamp::from_second(span * seconds).unwrap_or(Timestamp::MAX);
    let (mut collar_keys, mut starts) = (Vec::new(), Vec::new());
    for (collar_key, span) in spans {
        collar_keys.push(collar_key);
        starts.push(start(i64::from(span)));
    }
    let Some((first, last)) = starts.iter().min().copied().zip(starts.iter().max().copied()) else {
        return Ok(());
    };
    let end = start(last.as_second() / seconds + 1);
    tx.execute(sql, &[&collar_keys, &starts, &first, &end]).await.map(|_| ())
}

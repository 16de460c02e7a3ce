//! Pets' time zones, and what was told of their days.

use std::collections::BTreeMap;

use jiff::civil::Date;
use petty_chassis::calendar::Bounds;
use petty_chassis::postgres::{Error, Row, ToSql, Tx};
use petty_chassis::types::{Clock, PetId, micros};
use serde_json::Value;

use super::row::{self, inconsistent};
use crate::domain::day::Told;
use crate::domain::{Behavior, Entry};

const DAYS: &str = "days";

/// The name of the zone that a pet's days are in, where it is known.
pub(crate) async fn time_zone(tx: &Tx, pet: PetId) -> Result<Option<String>, Error> {
    let sql = "-- time_zone\nSELECT time_zone FROM pets WHERE pet_id = $1";
    let row = tx.query_opt(sql, &[&pet.0]).await?;
    row.map(|row| Error::column(&row, "pets", 0)).transpose()
}

/// Notes the zone that a pet's days are in, unless that of a higher version is known.
pub(crate) async fn put_pet(
    tx: &Tx,
    clock: &Clock,
    pet: PetId,
    version: i64,
    time_zone: &str,
) -> Result<(), Error> {
    let sql = "-- put_pet\nINSERT INTO pets (pet_id, time_zone, version, updated_at) VALUES ($1, $2, $3, $4)
               ON CONFLICT (pet_id) DO UPDATE
               SET time_zone = EXCLUDED.time_zone, version = EXCLUDED.version, updated_at = EXCLUDED.updated_at
               WHERE pets.version < EXCLUDED.version";
    tx.execute(sql, &[&pet.0, &time_zone, &version, &micros(clock.now())]).await.map(|_| ())
}

/// Notes what was told of a day, unless it was told again since.
pub(crate) async fn put_told(
    tx: &Tx,
    clock: &Clock,
    pet: PetId,
    date: Date,
    told: &Told,
) -> Result<(), Error> {
    let minutes: BTreeMap<&str, f64> =
        told.minutes.iter().map(|(behavior, minutes)| (behavior.slug(), *minutes)).collect();
    let minutes = serde_json::to_value(minutes).map_err(|_| inconsistent(DAYS, "minutes"))?;
    let sql = "-- put_day\nINSERT INTO days
               (pet_id, date, version, start_at, end_at, covered_minutes, minutes, distance_m, resting_heart_rate, updated_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
               ON CONFLICT (pet_id, date) DO UPDATE
               SET version = EXCLUDED.version, start_at = EXCLUDED.start_at, end_at = EXCLUDED.end_at,
                   covered_minutes = EXCLUDED.covered_minutes, minutes = EXCLUDED.minutes, distance_m = EXCLUDED.distance_m,
                   resting_heart_rate = EXCLUDED.resting_heart_rate, updated_at = EXCLUDED.updated_at
               WHERE days.version < EXCLUDED.version";
    let now = micros(clock.now());
    let parameters: [&(dyn ToSql + Sync); 10] = [
        &pet.0,
        &date,
        &told.version,
        &told.bounds.start,
        &told.bounds.end,
        &told.covered_minutes,
        &minutes,
        &told.distance_m,
        &told.resting_heart_rate,
        &now,
    ];
    tx.execute(sql, &parameters).await.map(|_| ())
}

/// A pet's behaviours that have a moment within a day, oldest first, and what was told of the day.
pub(crate) async fn day(
    tx: &Tx,
    pet: PetId,
    date: Date,
    bounds: Bounds,
) -> Result<(Vec<Entry>, Option<Told>), Error> {
    let sql = "-- day_entries\nSELECT event_id, pet_id, kind, behavior, start_at, end_at, open, confidence, metadata, version
               FROM entries WHERE pet_id = $1 AND kind = 'behavior' AND end_at > $2 AND start_at < $3
               ORDER BY start_at, event_id";
    let rows = tx.query(sql, &[&pet.0, &bounds.start, &bounds.end]).await?;
    let entries = rows.iter().map(|row| row::entry(row, "entries", 0)).collect::<Result<_, _>>()?;
    let sql = "-- day_told\nSELECT start_at, end_at, version, covered_minutes, minutes, distance_m, resting_heart_rate
               FROM days WHERE pet_id = $1 AND date = $2";
    let row = tx.query_opt(sql, &[&pet.0, &date]).await?;
    Ok((entries, row.as_ref().map(told).transpose()?))
}

fn told(row: &Row) -> Result<Told, Error> {
    let minutes: Value = Error::column(row, DAYS, 4)?;
    let minutes: BTreeMap<String, f64> =
        serde_json::from_value(minutes).map_err(|_| inconsistent(DAYS, "minutes"))?;
    let minutes = minutes.into_iter().map(|(slug, minutes)| Some((Behavior::from_slug(&slug)?, minutes)));
    Ok(Told {
        bounds: Bounds { start: Error::column(row, DAYS, 0)?, end: Error::column(row, DAYS, 1)? },
        version: Error::column(row, DAYS, 2)?,
        covered_minutes: Error::column(row, DAYS, 3)?,
        minutes: minutes.collect::<Option<_>>().ok_or_else(|| inconsistent(DAYS, "minutes"))?,
        distance_m: Error::column(row, DAYS, 5)?,
        resting_heart_rate: Error::column(row, DAYS, 6)?,
    })
}

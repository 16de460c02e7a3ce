//! Safe zones.
//!
//! Invariant: a zone is found by its pet and id together, so that nobody finds another's.

use std::collections::HashMap;

use jiff::Timestamp;
use petty_chassis::page::{Page, Place};
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::{PetId, micros};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::zone::Zone;

const TABLE: &str = "safe_zones";

/// A zone, as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    pub(crate) zone: Zone,
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// All of some pets'.
pub(crate) async fn all_of(tx: &Tx, pets: &[Uuid]) -> Result<HashMap<PetId, Vec<Zone>>, Error> {
    let mut all: HashMap<PetId, Vec<Zone>> = HashMap::new();
    if pets.is_empty() {
        return Ok(all);
    }
    let sql =
        "-- pets_zones\nSELECT zone_id, name, shape, buffer_m, hours, version, created_at, updated_at, pet_id
               FROM safe_zones WHERE pet_id = ANY($1) ORDER BY pet_id, zone_id";
    for row in tx.query(sql, &[&pets]).await? {
        all.entry(PetId(Error::column(&row, TABLE, 8)?)).or_default().push(kept(&row)?.zone);
    }
    Ok(all)
}

/// How many a pet has.
pub(crate) async fn count(tx: &Tx, pet: PetId) -> Result<i64, Error> {
    let sql = "-- count_zones\nSELECT count(*) FROM safe_zones WHERE pet_id = $1";
    Error::column(&tx.query_one(sql, &[&pet.0]).await?, TABLE, 0)
}

/// A page of a pet's, newest first.
pub(crate) async fn list(tx: &Tx, pet: PetId, page: &Page) -> Result<Vec<Kept>, Error> {
    let (time, id) = page.after.as_ref().map_or((None, None), |Place { time, id }| (Some(*time), Some(*id)));
    let sql = "-- list_zones\nSELECT zone_id, name, shape, buffer_m, hours, version, created_at, updated_at
               FROM safe_zones WHERE pet_id = $1
               AND ($2::timestamptz IS NULL OR (created_at, zone_id) < ($2, $3::uuid))
               ORDER BY created_at DESC, zone_id DESC LIMIT $4";
    tx.query(sql, &[&pet.0, &time, &id, &page.limit()]).await?.iter().map(kept).collect()
}

/// One of a pet's.
pub(crate) async fn find(tx: &Tx, pet: PetId, id: Uuid) -> Result<Option<Kept>, Error> {
    let sql = "-- find_zone\nSELECT zone_id, name, shape, buffer_m, hours, version, created_at, updated_at
               FROM safe_zones WHERE pet_id = $1 AND zone_id = $2";
    tx.query_opt(sql, &[&pet.0, &id]).await?.as_ref().map(kept).transpose()
}

/// Writes a new one.
pub(crate) async fn insert(tx: &Tx, pet: PetId, new: &Kept) -> Result<(), Error> {
    let (shape, hours) = columns(&new.zone)?;
    let sql = "-- insert_zone\nINSERT INTO safe_zones (zone_id, pet_id, name, shape, buffer_m, hours, version, created_at, updated_at)
               VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7)";
    let parameters: [&(dyn petty_chassis::postgres::ToSql + Sync); 7] =
        [&new.zone.id, &pet.0, &new.name, &shape, &new.zone.buffer_m, &hours, &micros(new.created_at)];
    if tx.execute(sql, &parameters).await? == 1 { Ok(()) } else { Err(inconsistent("zone_id")) }
}

/// Replaces what one of a pet's is like; as it is now. `None` where there is none.
pub(crate) async fn update(
    tx: &Tx,
    pet: PetId,
    (zone, name): (&Zone, &str),
    now: Timestamp,
) -> Result<Option<Kept>, Error> {
    let (shape, hours) = columns(zone)?;
    // The same again is no change.
    let sql = "-- update_zone\nUPDATE safe_zones SET
                   version = version + CASE WHEN (name, shape, buffer_m, hours) = ($3, $4, $5, $6) THEN 0 ELSE 1 END,
                   updated_at = CASE WHEN (name, shape, buffer_m, hours) = ($3, $4, $5, $6) THEN updated_at ELSE $7 END,
                   name = $3, shape = $4, buffer_m = $5, hours = $6
               WHERE pet_id = $1 AND zone_id = $2
               RETURNING zone_id, name, shape, buffer_m, hours, version, created_at, updated_at";
    let parameters: [&(dyn petty_chassis::postgres::ToSql + Sync); 7] =
        [&pet.0, &zone.id, &name, &shape, &zone.buffer_m, &hours, &micros(now)];
    tx.query_opt(sql, &parameters).await?.as_ref().map(kept).transpose()
}

/// Removes one of a pet's; false where there was none.
pub(crate) async fn delete(tx: &Tx, pet: PetId, id: Uuid) -> Result<bool, Error> {
    let sql = "-- delete_zone\nDELETE FROM safe_zones WHERE pet_id = $1 AND zone_id = $2";
    Ok(tx.execute(sql, &[&pet.0, &id]).await? == 1)
}

/// Forgets all of a pet's.
pub(crate) async fn delete_all(tx: &Tx, pet: PetId) -> Result<(), Error> {
    tx.execute("-- delete_zones\nDELETE FROM safe_zones WHERE pet_id = $1", &[&pet.0]).await.map(|_| ())
}

fn columns(zone: &Zone) -> Result<(Value, Value), Error> {
    let shape = serde_json::to_value(&zone.shape).map_err(|_| inconsistent("shape"))?;
    let hours = serde_json::to_value(&zone.hours).map_err(|_| inconsistent("hours"))?;
    Ok((shape, hours))
}

fn kept(row: &Row) -> Result<Kept, Error> {
    let (shape, hours): (Value, Value) = (Error::column(row, TABLE, 2)?, Error::column(row, TABLE, 4)?);
    let version: i64 = Error::column(row, TABLE, 5)?;
    Ok(Kept {
        zone: Zone {
            id: Error::column(row, TABLE, 0)?,
            version: u64::try_from(version).map_err(|_| inconsistent("version"))?,
            shape: serde_json::from_value(shape).map_err(|_| inconsistent("shape"))?,
            buffer_m: Error::column(row, TABLE, 3)?,
            hours: serde_json::from_value(hours).map_err(|_| inconsistent("hours"))?,
        },
        name: Error::column(row, TABLE, 1)?,
        created_at: Error::column(row, TABLE, 6)?,
        updated_at: Error::column(row, TABLE, 7)?,
    })
}

fn inconsistent(column: &str) -> Error {
    Error::Inconsistent { table: TABLE, column: column.to_owned() }
}

//! What a pet's head stands on: its readings by slice, its days by quarter.
//!
//! Invariant: both change under the pet's lock, with its head.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::PetId;
use uuid::Uuid;

use crate::domain::v1::{Quarter, Slice};

const SLICES: &str = "reading_slices";
const QUARTERS: &str = "quarters";

/// Some slices.
pub(crate) async fn slices(tx: &Tx, pet: PetId, numbers: &[i64]) -> Result<BTreeMap<i64, Slice>, Error> {
    let sql =
        "-- some_slices\nSELECT slice, readings FROM reading_slices WHERE pet_id = $1 AND slice = ANY($2)";
    tx.query(sql, &[&pet.0, &numbers]).await?.iter().map(slice).collect()
}

/// All slices of some pets, of each from one on.
pub(crate) async fn slices_from(
    tx: &Tx,
    from: &[(PetId, i64)],
) -> Result<HashMap<PetId, BTreeMap<i64, Slice>>, Error> {
    let mut all: HashMap<PetId, BTreeMap<i64, Slice>> = HashMap::new();
    if from.is_empty() {
        return Ok(all);
    }
    let (pets, firsts): (Vec<Uuid>, Vec<i64>) = from.iter().map(|(pet, first)| (pet.0, *first)).unzip();
    // OFFSET 0: each pet's own part of the index. As one join PostgreSQL reads all of a table that it has no statistics of yet.
    let sql = "-- slices_from\nSELECT s.slice, s.readings, wanted.pet_id
               FROM unnest($1::uuid[], $2::int8[]) AS wanted (pet_id, first),
                    LATERAL (SELECT slice, readings FROM reading_slices
                             WHERE pet_id = wanted.pet_id AND slice >= wanted.first OFFSET 0) s";
    for row in tx.query(sql, &[&pets, &firsts]).await? {
        let (number, slice) = slice(&row)?;
        all.entry(PetId(Error::column(&row, SLICES, 2)?)).or_default().insert(number, slice);
    }
    Ok(all)
}

/// Writes slices of some pets.
pub(crate) async fn put_slices(tx: &Tx, slices: &[(PetId, i64, &Slice)]) -> Result<(), Error> {
    if slices.is_empty() {
        return Ok(());
    }
    let pets: Vec<Uuid> = slices.iter().map(|(pet, ..)| pet.0).collect();
    let numbers: Vec<i64> = slices.iter().map(|(_, number, _)| *number).collect();
    let bytes: Result<Vec<Vec<u8>>, _> = slices.iter().map(|(.., slice)| slice.encode()).collect();
    let bytes = bytes.map_err(|_| inconsistent(SLICES, "readings"))?;
    let sql = "-- put_slices\nINSERT INTO reading_slices (pet_id, slice, readings)
               SELECT new.pet_id, new.slice, new.readings
               FROM unnest($1::uuid[], $2::int8[], $3::bytea[]) AS new (pet_id, slice, readings)
               ON CONFLICT (pet_id, slice) DO UPDATE SET readings = EXCLUDED.readings";
    let touched = tx.execute(sql, &[&pets, &numbers, &bytes]).await?;
    if touched == slices.len() as u64 { Ok(()) } else { Err(inconsistent(SLICES, "slice")) }
}

/// The heart rates at rest of quarters that were counted, encoded.
pub(crate) async fn rests(tx: &Tx, pet: PetId, quarters: &Range<i64>) -> Result<Vec<(i64, Vec<u8>)>, Error> {
    if quarters.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "-- rests\nSELECT quarter, rest FROM quarters
               WHERE pet_id = $1 AND quarter >= $2 AND quarter < $3 AND rest IS NOT NULL ORDER BY quarter";
    tx.query(sql, &[&pet.0, &quarters.start, &quarters.end]).await?.iter().map(pair).collect()
}

/// The last quarter of a span whose crossing episode is kept, and that, encoded.
pub(crate) async fn last_carry(
    tx: &Tx,
    pet: PetId,
    quarters: &Range<i64>,
) -> Result<Option<(i64, Vec<u8>)>, Error> {
    let sql = "-- last_carry\nSELECT quarter, carry FROM quarters
               WHERE pet_id = $1 AND quarter >= $2 AND quarter < $3 AND carry IS NOT NULL ORDER BY quarter DESC LIMIT 1";
    tx.query_opt(sql, &[&pet.0, &quarters.start, &quarters.end]).await?.as_ref().map(pair).transpose()
}

/// The first quarter from one on whose crossing episode is kept, and that, encoded.
pub(crate) async fn first_carry(tx: &Tx, pet: PetId, from: i64) -> Result<Option<(i64, Vec<u8>)>, Error> {
    let sql = "-- first_carry\nSELECT quarter, carry FROM quarters
               WHERE pet_id = $1 AND quarter >= $2 AND carry IS NOT NULL ORDER BY quarter LIMIT 1";
    tx.query_opt(sql, &[&pet.0, &from]).await?.as_ref().map(pair).transpose()
}

/// Writes quarters; what is `None` stays as it was.
pub(crate) async fn put_quarters(
    tx: &Tx,
    pet: PetId,
    quarters: &BTreeMap<i64, Quarter>,
) -> Result<(), Error> {
    if quarters.is_empty() {
        return Ok(());
    }
    let numbers: Vec<i64> = quarters.keys().copied().collect();
    let rests: Vec<Option<&[u8]>> = quarters.values().map(|quarter| quarter.rest.as_deref()).collect();
    let carries: Vec<Option<&[u8]>> = quarters.values().map(|quarter| quarter.carry.as_deref()).collect();
    let sql = "-- put_quarters\nINSERT INTO quarters (pet_id, quarter, rest, carry)
               SELECT $1, new.quarter, new.rest, new.carry
               FROM unnest($2::int8[], $3::bytea[], $4::bytea[]) AS new (quarter, rest, carry)
               ON CONFLICT (pet_id, quarter) DO UPDATE
               SET rest = coalesce(EXCLUDED.rest, quarters.rest), carry = coalesce(EXCLUDED.carry, quarters.carry)";
    let touched = tx.execute(sql, &[&pet.0, &numbers, &rests, &carries]).await?;
    if touched == quarters.len() as u64 { Ok(()) } else { Err(inconsistent(QUARTERS, "quarter")) }
}

/// Drops slices before one, and quarters before one.
pub(crate) async fn drop_before(tx: &Tx, pet: PetId, (slice, quarter): (i64, i64)) -> Result<(), Error> {
    let sql = "-- drop_slices\nDELETE FROM reading_slices WHERE pet_id = $1 AND slice < $2";
    tx.execute(sql, &[&pet.0, &slice]).await?;
    let sql = "-- drop_quarters\nDELETE FROM quarters WHERE pet_id = $1 AND quarter < $2";
    tx.execute(sql, &[&pet.0, &quarter]).await.map(|_| ())
}

/// Forgets all of a pet's.
pub(crate) async fn delete_all(tx: &Tx, pet: PetId) -> Result<(), Error> {
    drop_before(tx, pet, (i64::MAX, i64::MAX)).await
}

fn slice(row: &Row) -> Result<(i64, Slice), Error> {
    let number: i64 = Error::column(row, SLICES, 0)?;
    let bytes: &[u8] = Error::column(row, SLICES, 1)?;
    let slice = Slice::decode(number, bytes).map_err(|_| inconsistent(SLICES, "readings"))?;
    Ok((number, slice))
}

fn pair(row: &Row) -> Result<(i64, Vec<u8>), Error> {
    Ok((Error::column(row, QUARTERS, 0)?, Error::column(row, QUARTERS, 1)?))
}

fn inconsistent(table: &'static str, column: &str) -> Error {
    Error::Inconsistent { table, column: column.to_owned() }
}

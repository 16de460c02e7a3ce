//! Events, what was said of them, and the archive's objects. The only place with SQL.
//!
//! Invariants: whoever writes something of a pet's holds the pet's lock, so that nothing is written of a pet that is being
//! forgotten beside it; locks are taken in one order: pets, feedback, objects.

pub(crate) mod episodes;
pub(crate) mod erasures;
pub(crate) mod feedback;
pub(crate) mod objects;
mod table;

use petty_chassis::events::inbox;
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::PetId;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::{Behavior, Evidence, Told};
use table::Table;

/// Waits until nobody else changes what is the pet's, and keeps others waiting until the transaction ends. False where the
/// pet is forgotten: nothing may be written of it.
pub(crate) async fn lock(tx: &Tx, pet: PetId) -> Result<bool, Error> {
    lock_whatever_it_is(tx, pet).await?;
    // What was looked up before the lock may have changed while this waited for it.
    Ok(!inbox::is_erased(tx, pet).await?)
}

/// As [`lock`], for the forgetting itself.
pub(crate) async fn lock_whatever_it_is(tx: &Tx, pet: PetId) -> Result<(), Error> {
    lock_all(tx, &[pet.0]).await
}

/// The same for several pets, in the order in which they are named: by id, everywhere.
pub(crate) async fn lock_all(tx: &Tx, pets: &[Uuid]) -> Result<(), Error> {
    let sql = "-- lock_pets\nSELECT pg_advisory_xact_lock(hashtextextended(pet_id::text, 0)) FROM unnest($1::uuid[]) AS p (pet_id)";
    tx.query(sql, &[&pets]).await.map(|_| ())
}

/// What was told, from the columns version, behavior, rule, rule_version, start_at, end_at, open, evidence.
fn told(row: &Row, table: &'static str, first: usize) -> Result<Told, Error> {
    let evidence: Value = Error::column(row, table, first + 7)?;
    Ok(Told {
        version: Error::column(row, table, first)?,
        behavior: behavior(row, table, first + 1)?,
        rule: Error::column(row, table, first + 2)?,
        rule_version: Error::column(row, table, first + 3)?,
        start_at: Error::column(row, table, first + 4)?,
        end_at: Error::column(row, table, first + 5)?,
        open: Error::column(row, table, first + 6)?,
        evidence: serde_json::from_value(evidence).map_err(|_| inconsistent(table, "evidence"))?,
    })
}

fn behavior(row: &Row, table: &'static str, column: usize) -> Result<Behavior, Error> {
    let slug: &str = Error::column(row, table, column)?;
    Behavior::from_slug(slug).ok_or_else(|| inconsistent(table, "behavior"))
}

fn evidence(evidence: &Evidence, table: &'static str) -> Result<Value, Error> {
    serde_json::to_value(evidence).map_err(|_| inconsistent(table, "evidence"))
}

fn inconsistent(table: &'static str, column: &str) -> Error {
    Error::Inconsistent { table, column: column.to_owned() }
}

/// Of how many rows a statement on one row may say that it touched them.
fn one(touched: u64, table: &'static str, id: Uuid) -> Result<(), Error> {
    if touched == 1 { Ok(()) } else { Err(inconsistent(table, &id.to_string())) }
}

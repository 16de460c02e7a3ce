//! Entries, their changes, and days. The only place with SQL.
//!
//! Invariants: whoever changes or forgets a pet's entries holds the pet's lock until the transaction ends. So nothing is
//! written of a pet that is being forgotten beside it, and a pet's changes have numbers without gaps that become visible
//! in their order.

mod changes;
mod days;
mod entries;
mod row;

use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::PetId;
use uuid::Uuid;

pub(crate) use changes::{Change, Read, heads, keep, note, read};
pub(crate) use days::{day, put_pet, put_told, time_zone};
pub(crate) use entries::{head, list, list_spans, of_ids, put, remove};

/// Waits until nobody else changes the pet's entries, and keeps others waiting until the transaction ends. There is no row
/// of the pet to lock: its first entry may be what is being written.
pub(crate) async fn lock(tx: &Tx, pet: PetId) -> Result<(), Error> {
    lock_all(tx, &[pet.0]).await
}

/// The same for several pets, in the order in which they are named: by id, everywhere.
pub(crate) async fn lock_all(tx: &Tx, pets: &[Uuid]) -> Result<(), Error> {
    let sql = "-- lock_pets\nSELECT pg_advisory_xact_lock(hashtextextended(pet_id::text, 0)) FROM unnest($1::uuid[]) AS p (pet_id)";
    tx.query(sql, &[&pets]).await.map(|_| ())
}

/// Makes all statements of a transaction see the same. To be its first.
pub(crate) async fn one_snapshot(tx: &Tx) -> Result<(), Error> {
    let sql = "-- one_snapshot\nSET TRANSACTION ISOLATION LEVEL REPEATABLE READ";
    tx.execute(sql, &[]).await.map(|_| ())
}

/// Forgets all of a pet's.
pub(crate) async fn delete_all(tx: &Tx, pet: PetId) -> Result<(), Error> {
    for sql in [
        "-- delete_entries\nDELETE FROM entries WHERE pet_id = $1",
        "-- delete_changes\nDELETE FROM changes WHERE pet_id = $1",
        "-- delete_head\nDELETE FROM heads WHERE pet_id = $1",
        "-- delete_days\nDELETE FROM days WHERE pet_id = $1",
        "-- delete_pet\nDELETE FROM pets WHERE pet_id = $1",
    ] {
        tx.execute(sql, &[&pet.0]).await?;
    }
    Ok(())
}

/// An entry that does not stand as what was applied of it says.
pub(crate) fn clash(id: Uuid) -> Error {
    row::inconsistent("entries", &id.to_string())
}

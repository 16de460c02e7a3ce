//! What the nutrition service keeps. The only place with SQL.
//!
//! Invariant: whoever changes or forgets anything of a pet's holds the pet's lock ([`lock`]), so that a plan's version is
//! given once, and nothing is written of a pet that is being forgotten beside it. Locks of several pets are taken in the
//! order of their ids, and before a food's.

pub(crate) mod days;
pub(crate) mod foods;
pub(crate) mod kept;
pub(crate) mod pets;
pub(crate) mod plans;
pub(crate) mod profiles;
mod slugs;
pub(crate) mod weights;

use petty_chassis::events::inbox;
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::PetId;

/// Waits until nobody else changes what is kept of the pet, and keeps others waiting until the transaction ends. False
/// where the pet is forgotten for good: nothing may be written of it. There is no row of the pet to lock: its first one
/// may be what is being written.
pub(crate) async fn lock(tx: &Tx, pet: PetId) -> Result<bool, Error> {
    let sql = "-- lock_pet\nSELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 0))";
    tx.query_one(sql, &[&pet.0]).await?;
    Ok(!inbox::is_erased(tx, pet).await?)
}

/// Lets all that a transaction reads be of one moment. Its first statement.
pub(crate) async fn one_moment(tx: &Tx) -> Result<(), Error> {
    let sql = "-- one_moment\nSET TRANSACTION ISOLATION LEVEL REPEATABLE READ";
    tx.execute(sql, &[]).await.map(|_| ())
}

/// Forgets all of a locked pet's.
pub(crate) async fn delete_all(tx: &Tx, pet: PetId) -> Result<(), Error> {
    for sql in [
        "-- delete_plan\nDELETE FROM plans WHERE pet_id = $1",
        "-- delete_peer\nDELETE FROM peers WHERE pet_id = $1",
        "-- delete_days\nDELETE FROM day_activity WHERE pet_id = $1",
        "-- delete_weights\nDELETE FROM weights WHERE pet_id = $1",
        // And with it the foods it names, and those it keeps.
        "-- delete_profile\nDELETE FROM profiles WHERE pet_id = $1",
        "-- delete_pet\nDELETE FROM pets WHERE pet_id = $1",
    ] {
        tx.execute(sql, &[&pet.0]).await?;
    }
    Ok(())
}

/// A value that a row must not hold.
fn inconsistent(table: &'static str, column: &str) -> Error {
    Error::Inconsistent { table, column: column.to_owned() }
}

/// A statement that must touch one row did.
fn one(touched: u64, table: &'static str) -> Result<(), Error> {
    if touched == 1 { Ok(()) } else { Err(inconsistent(table, "number of rows")) }
}

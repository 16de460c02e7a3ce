//! Erasures that the object store has not followed yet.
//!
//! Invariant: a pet is told as erased only when no object holds anything of it any more; that is told in the transaction
//! that notes the last one as written.

use std::collections::BTreeSet;

use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::PetId;
use uuid::Uuid;

use super::lock_whatever_it_is;

const TABLE: &str = "archive_erasures";

/// Forgets what a pet is called in the archive, and waits for the objects that held something of it.
pub(crate) async fn begin(tx: &Tx, pet: PetId, objects: &[(Uuid, i64)]) -> Result<(), Error> {
    tx.execute("-- forget_pseudonym\nDELETE FROM archive_pets WHERE pet_id = $1", &[&pet.0]).await?;
    let (ids, generations): (Vec<Uuid>, Vec<i64>) = objects.iter().copied().unzip();
    let sql = "-- begin_erasure\nINSERT INTO archive_erasures (pet_id, object_id, generation)
               SELECT $1, object_id, generation FROM unnest($2::uuid[], $3::bigint[]) AS changed (object_id, generation)
               ON CONFLICT (pet_id, object_id) DO UPDATE SET generation = EXCLUDED.generation";
    tx.execute(sql, &[&pet.0, &ids, &generations]).await.map(|_| ())
}

/// Whether the store may still hold something of a pet.
pub(crate) async fn is_waiting(tx: &Tx, pet: PetId) -> Result<bool, Error> {
    let sql = "-- is_waiting\nSELECT FROM archive_erasures WHERE pet_id = $1 LIMIT 1";
    Ok(tx.query_opt(sql, &[&pet.0]).await?.is_some())
}

/// Locks the pets that wait for an object until it is written at this generation, or an older one: before the object is
/// locked, as everywhere. Of two transactions that write a pet's last two objects, one then sees the other's.
pub(crate) async fn lock_waiting(tx: &Tx, object: Uuid, generation: i64) -> Result<(), Error> {
    let sql = "-- waiting_pets\nSELECT DISTINCT pet_id FROM archive_erasures WHERE object_id = $1 AND generation <= $2 ORDER BY pet_id";
    for row in tx.query(sql, &[&object, &generation]).await? {
        lock_whatever_it_is(tx, PetId(Error::column(&row, TABLE, 0)?)).await?;
    }
    Ok(())
}

/// An object is written at a generation: the pets that wait for nothing more.
pub(crate) async fn settle(tx: &Tx, object: Uuid, generation: i64) -> Result<BTreeSet<PetId>, Error> {
    let sql = "-- settle_erasures\nDELETE FROM archive_erasures WHERE object_id = $1 AND generation <= $2 RETURNING pet_id";
    let mut done = BTreeSet::new();
    for row in tx.query(sql, &[&object, &generation]).await? {
        let pet = PetId(Error::column(&row, TABLE, 0)?);
        if !is_waiting(tx, pet).await? {
            done.insert(pet);
        }
    }
    Ok(done)
}

/// Whoever waits for an object waits for a later generation of it.
pub(crate) async fn postpone(tx: &Tx, object: Uuid, generation: i64) -> Result<(), Error> {
    let sql = "-- postpone_erasures\nUPDATE archive_erasures SET generation = $2 WHERE object_id = $1";
    tx.execute(sql, &[&object, &generation]).await.map(|_| ())
}

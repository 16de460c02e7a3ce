//! A pet's state row.
//!
//! Invariant: whoever changes anything about a pet, or forgets it, holds the lock on this row first. So two replicas never
//! compute from the same readings, and nothing is written of a pet that is being forgotten beside it.

use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::{Clock, PetId, micros};

use crate::domain::Species;
use crate::domain::alerts::Watch;
use crate::pets::Pet;

/// A pet's row.
#[derive(Debug)]
pub(crate) struct State {
    /// What was last known of the pet; `None` where nothing is.
    pub(crate) pet: Option<Pet>,
    /// The encoded head; `None` where nothing was taken yet.
    pub(crate) head: Option<Vec<u8>>,
    /// The encoded watch; likewise.
    pub(crate) watch: Option<Vec<u8>>,
}

/// Whether anything is known of the pet. Takes no lock.
pub(crate) async fn is_known(tx: &Tx, pet: PetId) -> Result<bool, Error> {
    let sql = "-- is_pet_known\nSELECT 1 FROM pet_states WHERE pet_id = $1";
    Ok(tx.query_opt(sql, &[&pet.0]).await?.is_some())
}

/// Locks the pet's row until the transaction ends; makes it where there is none. `None` where it was forgotten meanwhile.
pub(crate) async fn lock(tx: &Tx, clock: &Clock, pet: PetId) -> Result<Option<State>, Error> {
    let sql = "-- make_state\nINSERT INTO pet_states (pet_id, updated_at) VALUES ($1, $2) ON CONFLICT (pet_id) DO NOTHING";
    tx.execute(sql, &[&pet.0, &micros(clock.now())]).await?;
    lock_known(tx, pet).await
}

/// Locks the pet's row until the transaction ends; `None` where there is none.
pub(crate) async fn lock_known(tx: &Tx, pet: PetId) -> Result<Option<State>, Error> {
    let sql =
        "-- lock_state\nSELECT species, time_zone, head, watch FROM pet_states WHERE pet_id = $1 FOR UPDATE";
    tx.query_opt(sql, &[&pet.0]).await?.as_ref().map(state).transpose()
}

fn state(row: &Row) -> Result<State, Error> {
    let species: Option<String> = Error::column(row, "pet_states", 0)?;
    let time_zone: Option<String> = Error::column(row, "pet_states", 1)?;
    let known = species.as_deref().map(species_of).transpose()?;
    Ok(State {
        pet: known.zip(time_zone).map(|(species, time_zone)| Pet { species, time_zone }),
        head: Error::column(row, "pet_states", 2)?,
        watch: Error::column(row, "pet_states", 3)?,
    })
}

/// The pet's row as it is now. Takes no lock.
pub(crate) async fn get(tx: &Tx, pet: PetId) -> Result<Option<State>, Error> {
    let sql = "-- get_state\nSELECT species, time_zone, head, watch FROM pet_states WHERE pet_id = $1";
    tx.query_opt(sql, &[&pet.0]).await?.as_ref().map(state).transpose()
}

/// Writes a locked row.
pub(crate) async fn put(
    tx: &Tx,
    clock: &Clock,
    pet: PetId,
    about: &Pet,
    (head, watch): (&[u8], &[u8]),
) -> Result<(), Error> {
    let sql = "-- put_state\nUPDATE pet_states SET species = $2, time_zone = $3, head = $4, watch = $5, updated_at = $6 WHERE pet_id = $1";
    let now = micros(clock.now());
    let touched =
        tx.execute(sql, &[&pet.0, &slug(about.species), &about.time_zone, &head, &watch, &now]).await?;
    // The caller holds the lock, so the row is there.
    if touched == 1 {
        Ok(())
    } else {
        Err(Error::Inconsistent { table: "pet_states", column: "pet_id".to_owned() })
    }
}

/// Writes what is watched of a locked row.
pub(crate) async fn put_watch(tx: &Tx, pet: PetId, watch: &Watch) -> Result<(), Error> {
    let inconsistent = || Error::Inconsistent { table: "pet_states", column: "watch".to_owned() };
    let watch = watch.encode().map_err(|_| inconsistent())?;
    let sql = "-- put_watch\nUPDATE pet_states SET watch = $2 WHERE pet_id = $1";
    if tx.execute(sql, &[&pet.0, &watch]).await? == 1 { Ok(()) } else { Err(inconsistent()) }
}

/// Forgets a locked row.
pub(crate) async fn delete(tx: &Tx, pet: PetId) -> Result<(), Error> {
    tx.execute("-- delete_state\nDELETE FROM pet_states WHERE pet_id = $1", &[&pet.0]).await.map(|_| ())
}

fn slug(species: Species) -> &'static str {
    match species {
        Species::Dog => "dog",
        Species::Cat => "cat",
    }
}

fn species_of(slug: &str) -> Result<Species, Error> {
    match slug {
        "dog" => Ok(Species::Dog),
        "cat" => Ok(Species::Cat),
        _ => Err(Error::Inconsistent { table: "pet_states", column: "species".to_owned() }),
    }
}

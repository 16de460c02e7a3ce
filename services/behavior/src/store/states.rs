//! A pet's state row.
//!
//! Invariant: whoever changes anything about a pet, or forgets it, holds the lock on this row first. So two replicas never
//! compute from the same readings, and nothing is written of a pet that is being forgotten beside it.

use std::collections::{HashMap, HashSet};

use jiff::civil::Date;
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::{Clock, PetId, micros};
use uuid::Uuid;

use crate::domain::alerts::Watch;
use crate::domain::{Build, Size, Species};
use crate::pets::Pet;

const TABLE: &str = "pet_states";

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

/// Of which of some pets it is known what they are; zones and settings may be of others. Takes no lock.
pub(crate) async fn known_of(tx: &Tx, pets: &[Uuid]) -> Result<HashSet<PetId>, Error> {
    let sql = "-- known_pets\nSELECT pet_id FROM pet_states WHERE pet_id = ANY($1) AND species IS NOT NULL";
    tx.query(sql, &[&pets]).await?.iter().map(|row| Ok(PetId(Error::column(row, TABLE, 0)?))).collect()
}

/// Locks the pets' rows until the transaction ends, in order; makes those that are not there. One that was forgotten meanwhile is
/// missing.
pub(crate) async fn lock_all(tx: &Tx, clock: &Clock, pets: &[Uuid]) -> Result<HashMap<PetId, State>, Error> {
    let sql = "-- make_states\nINSERT INTO pet_states (pet_id, updated_at)
               SELECT pet_id, $2 FROM unnest($1::uuid[]) AS new (pet_id) ORDER BY pet_id ON CONFLICT (pet_id) DO NOTHING";
    tx.execute(sql, &[&pets, &micros(clock.now())]).await?;
    let sql = "-- lock_states\nSELECT species, time_zone, head, watch, size, born_on, pet_id FROM pet_states
               WHERE pet_id = ANY($1) ORDER BY pet_id FOR UPDATE";
    let rows = tx.query(sql, &[&pets]).await?;
    rows.iter().map(|row| Ok((PetId(Error::column(row, TABLE, 6)?), state(row)?))).collect()
}

/// Locks the pet's row until the transaction ends; makes it where there is none. `None` where it was forgotten meanwhile.
pub(crate) async fn lock(tx: &Tx, clock: &Clock, pet: PetId) -> Result<Option<State>, Error> {
    Ok(lock_all(tx, clock, &[pet.0]).await?.remove(&pet))
}

/// Locks the pet's row until the transaction ends; `None` where there is none.
pub(crate) async fn lock_known(tx: &Tx, pet: PetId) -> Result<Option<State>, Error> {
    let sql = "-- lock_state\nSELECT species, time_zone, head, watch, size, born_on FROM pet_states WHERE pet_id = $1 FOR UPDATE";
    tx.query_opt(sql, &[&pet.0]).await?.as_ref().map(state).transpose()
}

fn state(row: &Row) -> Result<State, Error> {
    let species: Option<String> = Error::column(row, TABLE, 0)?;
    let time_zone: Option<String> = Error::column(row, TABLE, 1)?;
    let known = species.as_deref().map(species_of).transpose()?;
    let size: Option<&str> = Error::column(row, TABLE, 4)?;
    let size = size.map(|slug| Size::from_slug(slug).ok_or_else(|| inconsistent("size"))).transpose()?;
    let build = Build::new(size, Error::column(row, TABLE, 5)?);
    Ok(State {
        pet: known.zip(time_zone).map(|(species, time_zone)| Pet { species, build, time_zone }),
        head: Error::column(row, TABLE, 2)?,
        watch: Error::column(row, TABLE, 3)?,
    })
}

/// The pet's row as it is now. Takes no lock.
pub(crate) async fn get(tx: &Tx, pet: PetId) -> Result<Option<State>, Error> {
    let sql = "-- get_state\nSELECT species, time_zone, head, watch, size, born_on FROM pet_states WHERE pet_id = $1";
    tx.query_opt(sql, &[&pet.0]).await?.as_ref().map(state).transpose()
}

/// What is written of a pet.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) pet: PetId,
    pub(crate) about: Pet,
    pub(crate) head: Vec<u8>,
    pub(crate) watch: Vec<u8>,
}

/// Writes locked rows.
pub(crate) async fn put(tx: &Tx, clock: &Clock, puts: &[&Put]) -> Result<(), Error> {
    if puts.is_empty() {
        return Ok(());
    }
    let pets: Vec<Uuid> = puts.iter().map(|put| put.pet.0).collect();
    let species: Vec<&str> = puts.iter().map(|put| slug(put.about.species)).collect();
    let zones: Vec<&str> = puts.iter().map(|put| put.about.time_zone.as_str()).collect();
    let heads: Vec<&[u8]> = puts.iter().map(|put| put.head.as_slice()).collect();
    let watches: Vec<&[u8]> = puts.iter().map(|put| put.watch.as_slice()).collect();
    let sql = "-- put_states\nUPDATE pet_states s
               SET species = new.species, time_zone = new.time_zone, head = new.head, watch = new.watch, size = new.size, born_on = new.born_on,
                   updated_at = $8
               FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::text[], $7::date[])
                    AS new (pet_id, species, time_zone, head, watch, size, born_on)
               WHERE s.pet_id = new.pet_id";
    let sizes: Vec<Option<&str>> = puts.iter().map(|put| put.about.build.size.map(Size::slug)).collect();
    let births: Vec<Option<Date>> = puts.iter().map(|put| put.about.build.born()).collect();
    let now = micros(clock.now());
    let touched =
        tx.execute(sql, &[&pets, &species, &zones, &heads, &watches, &sizes, &births, &now]).await?;
    // The caller holds the locks, so the rows are there.
    if touched == puts.len() as u64 { Ok(()) } else { Err(inconsistent("pet_id")) }
}

/// Writes what is watched of a locked row.
pub(crate) async fn put_watch(tx: &Tx, pet: PetId, watch: &Watch) -> Result<(), Error> {
    let watch = watch.encode().map_err(|_| inconsistent("watch"))?;
    let sql = "-- put_watch\nUPDATE pet_states SET watch = $2 WHERE pet_id = $1";
    if tx.execute(sql, &[&pet.0, &watch]).await? == 1 { Ok(()) } else { Err(inconsistent("watch")) }
}

/// Forgets a locked row.
pub(crate) async fn delete(tx: &Tx, pet: PetId) -> Result<(), Error> {
    tx.execute("-- delete_state\nDELETE FROM pet_states WHERE pet_id = $1", &[&pet.0]).await.map(|_| ())
}

fn inconsistent(column: &str) -> Error {
    Error::Inconsistent { table: TABLE, column: column.to_owned() }
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
        _ => Err(inconsistent("species")),
    }
}

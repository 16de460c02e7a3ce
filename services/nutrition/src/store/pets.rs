//! What pets are, as auth says it. Written under the pet's lock.

use jiff::Timestamp;
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::PetId;

use super::slugs::{SEXES, SPECIES, of_slug, slug};
use super::{inconsistent, one};
use crate::domain::Animal;

const TABLE: &str = "pets";

/// A pet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pet {
    pub(crate) animal: Animal,
    /// The IANA zone its days are in.
    pub(crate) time_zone: String,
}

/// Whether anything is known of the pet.
pub(crate) async fn is_known(tx: &Tx, pet: PetId) -> Result<bool, Error> {
    let sql = "-- is_pet_known\nSELECT 1 FROM pets WHERE pet_id = $1";
    Ok(tx.query_opt(sql, &[&pet.0]).await?.is_some())
}

/// What is known of the pet.
pub(crate) async fn get(tx: &Tx, pet: PetId) -> Result<Option<Pet>, Error> {
    let sql =
        "-- get_pet\nSELECT species, breed, sex, neutered, birth_date, time_zone FROM pets WHERE pet_id = $1";
    let Some(row) = tx.query_opt(sql, &[&pet.0]).await? else { return Ok(None) };
    let species = of_slug(SPECIES, &row, TABLE, 0)?.ok_or_else(|| inconsistent(TABLE, "species"))?;
    let animal = Animal {
        species,
        breed: Error::column(&row, TABLE, 1)?,
        sex: of_slug(SEXES, &row, TABLE, 2)?,
        neutered: Error::column(&row, TABLE, 3)?,
        birth_date: Error::column(&row, TABLE, 4)?,
    };
    Ok(Some(Pet { animal, time_zone: Error::column(&row, TABLE, 5)? }))
}

/// Keeps what is known of it now. Which version may be written is decided before (`versions::advance`).
pub(crate) async fn put(tx: &Tx, pet: PetId, about: &Pet, now: Timestamp) -> Result<(), Error> {
    let sql = "-- put_pet\nINSERT INTO pets (pet_id, species, breed, sex, neutered, birth_date, time_zone, updated_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
               ON CONFLICT (pet_id) DO UPDATE
               SET species = EXCLUDED.species, breed = EXCLUDED.breed, sex = EXCLUDED.sex, neutered = EXCLUDED.neutered,
                   birth_date = EXCLUDED.birth_date, time_zone = EXCLUDED.time_zone, updated_at = EXCLUDED.updated_at";
    let Pet { animal, time_zone } = about;
    let Animal { species, breed, sex, neutered, birth_date } = animal;
    let (species, sex) = (slug(SPECIES, *species), sex.map(|sex| slug(SEXES, sex)));
    one(
        tx.execute(sql, &[&pet.0, &species, breed, &sex, neutered, birth_date, time_zone, &now]).await?,
        TABLE,
    )
}

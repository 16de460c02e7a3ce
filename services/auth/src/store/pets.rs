//! Pets. A version is given under the row's lock.

use jiff::Timestamp;
use petty_chassis::access::Role;
use petty_chassis::page::Page;
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::{AccountId, EventId, PetId};

use super::{inconsistent, one};
use crate::domain::pet::{Pet, Profile, Sex, Species};
use crate::domain::text::TimeZoneName;

const TABLE: &str = "pets";

pub(crate) async fn insert(tx: &Tx, pet: &Pet) -> Result<(), Error> {
    let sql = "-- insert_pet\nINSERT INTO pets
               (pet_id, account_id, name, species, breed, sex, neutered, birth_date, time_zone, created_at, updated_at, version)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    let Pet { pet_id, account_id, profile, created_at, updated_at, version } = pet;
    let Profile { name, species, breed, sex, neutered, birth_date, time_zone } = profile;
    let touched = tx
        .execute(
            sql,
            &[
                &pet_id.0,
                &account_id.0,
                name,
                &species.as_str(),
                breed,
                &sex.map(Sex::as_str),
                neutered,
                birth_date,
                &time_zone.as_str(),
                created_at,
                updated_at,
                version,
            ],
        )
        .await?;
    one(touched, TABLE)
}

pub(crate) async fn get(tx: &Tx, pet_id: PetId) -> Result<Option<Pet>, Error> {
    let sql =
        "-- get_pet\nSELECT pet_id, account_id, name, species, breed, sex, neutered, birth_date, time_zone,
                      created_at, updated_at, version
               FROM pets WHERE pet_id = $1";
    tx.query_opt(sql, &[&pet_id.0]).await?.map(|row| read(&row)).transpose()
}

/// Locks an owner's pet, to change it or to delete it.
pub(crate) async fn lock(tx: &Tx, pet_id: PetId, owner: AccountId) -> Result<Option<Pet>, Error> {
    let sql =
        "-- lock_pet\nSELECT pet_id, account_id, name, species, breed, sex, neutered, birth_date, time_zone,
                      created_at, updated_at, version
               FROM pets WHERE pet_id = $1 AND account_id = $2 FOR UPDATE";
    tx.query_opt(sql, &[&pet_id.0, &owner.0]).await?.map(|row| read(&row)).transpose()
}

/// Locks all of an owner's pets, by id.
pub(crate) async fn lock_all_of(tx: &Tx, owner: AccountId) -> Result<Vec<Pet>, Error> {
    let sql =
        "-- lock_pets\nSELECT pet_id, account_id, name, species, breed, sex, neutered, birth_date, time_zone,
                      created_at, updated_at, version
               FROM pets WHERE account_id = $1 ORDER BY pet_id FOR UPDATE";
    tx.query(sql, &[&owner.0]).await?.iter().map(read).collect()
}

/// Keeps an owner's pet from being deleted to the end of the transaction; false where it is gone.
pub(crate) async fn hold(tx: &Tx, pet_id: PetId, owner: AccountId) -> Result<bool, Error> {
    let sql = "-- hold_pet\nSELECT 1 FROM pets WHERE pet_id = $1 AND account_id = $2 FOR KEY SHARE";
    Ok(tx.query_opt(sql, &[&pet_id.0, &owner.0]).await?.is_some())
}

/// Writes a pet that is locked.
pub(crate) async fn update(tx: &Tx, pet: &Pet) -> Result<(), Error> {
    let sql =
        "-- update_pet\nUPDATE pets SET name = $2, breed = $3, sex = $4, neutered = $5, birth_date = $6,
                      time_zone = $7, updated_at = $8, version = $9
               WHERE pet_id = $1";
    let Profile { name, species: _, breed, sex, neutered, birth_date, time_zone } = &pet.profile;
    let touched = tx
        .execute(
            sql,
            &[
                &pet.pet_id.0,
                name,
                breed,
                &sex.map(Sex::as_str),
                neutered,
                birth_date,
                &time_zone.as_str(),
                &pet.updated_at,
                &pet.version,
            ],
        )
        .await?;
    one(touched, TABLE)
}

/// Removes a pet that is locked, with its pairings and shares; what is left is whose it was.
pub(crate) async fn delete(tx: &Tx, pet: &Pet, now: Timestamp, event: EventId) -> Result<(), Error> {
    one(tx.execute("-- delete_pet\nDELETE FROM pets WHERE pet_id = $1", &[&pet.pet_id.0]).await?, TABLE)?;
    let sql =
        "-- remember_deleted_pet\nINSERT INTO deleted_pets (pet_id, account_id, deleted_at, deleted_event)
               VALUES ($1, $2, $3, $4)";
    one(tx.execute(sql, &[&pet.pet_id.0, &pet.account_id.0, &now, &event.0]).await?, "deleted_pets")
}

/// The event that told of the removal of a pet that was this account's.
pub(crate) async fn deletion(tx: &Tx, pet_id: PetId, owner: AccountId) -> Result<Option<EventId>, Error> {
    let sql = "-- deletion\nSELECT deleted_event FROM deleted_pets WHERE pet_id = $1 AND account_id = $2";
    let row = tx.query_opt(sql, &[&pet_id.0, &owner.0]).await?;
    row.map(|row| Error::column(&row, "deleted_pets", 0).map(EventId)).transpose()
}

/// A page of the pets that an account owns or was given a share of, newest first, and one more.
pub(crate) async fn list(
    tx: &Tx,
    account: AccountId,
    now: Timestamp,
    page: &Page,
) -> Result<Vec<(Pet, Role)>, Error> {
    let sql = "-- list_pets\nSELECT p.pet_id, p.account_id, p.name, p.species, p.breed, p.sex, p.neutered, p.birth_date,
                      p.time_zone, p.created_at, p.updated_at, p.version, seen.role
               FROM (SELECT pet_id, 'OWNER' AS role FROM pets WHERE account_id = $1
                     UNION ALL
                     (SELECT DISTINCT ON (pet_id) pet_id, role FROM shares
                      WHERE account_id = $1 AND withdrawn_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
                      ORDER BY pet_id, array_position(ARRAY['CAREGIVER', 'VET', 'VIEWER'], role))) AS seen
               JOIN pets p USING (pet_id)
               WHERE $3::timestamptz IS NULL OR (p.created_at, p.pet_id) < ($3, $4::uuid)
               ORDER BY p.created_at DESC, p.pet_id DESC LIMIT $5";
    let (time, id) = after(page);
    let rows = tx.query(sql, &[&account.0, &now, &time, &id, &page.limit()]).await?;
    rows.iter()
        .map(|row| {
            let role: String = Error::column(row, TABLE, 12)?;
            Ok((read(row)?, Role::parse(&role).ok_or_else(|| inconsistent("shares", "role"))?))
        })
        .collect()
}

/// The two columns of the place that a page begins behind.
pub(super) fn after(page: &Page) -> (Option<Timestamp>, Option<uuid::Uuid>) {
    (page.after.map(|place| place.time), page.after.map(|place| place.id))
}

fn read(row: &Row) -> Result<Pet, Error> {
    let species: String = Error::column(row, TABLE, 3)?;
    let sex: Option<String> = Error::column(row, TABLE, 5)?;
    Ok(Pet {
        pet_id: PetId(Error::column(row, TABLE, 0)?),
        account_id: AccountId(Error::column(row, TABLE, 1)?),
        profile: Profile {
            name: Error::column(row, TABLE, 2)?,
            species: Species::parse(&species).ok_or_else(|| inconsistent(TABLE, "species"))?,
            breed: Error::column(row, TABLE, 4)?,
            sex: match sex {
                None => None,
                Some(sex) => Some(Sex::parse(&sex).ok_or_else(|| inconsistent(TABLE, "sex"))?),
            },
            neutered: Error::column(row, TABLE, 6)?,
            birth_date: Error::column(row, TABLE, 7)?,
            time_zone: TimeZoneName::stored(Error::column(row, TABLE, 8)?),
        },
        created_at: Error::column(row, TABLE, 9)?,
        updated_at: Error::column(row, TABLE, 10)?,
        version: Error::column(row, TABLE, 11)?,
    })
}

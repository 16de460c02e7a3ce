//! Pairings of collars with pets.

use jiff::Timestamp;
use petty_chassis::page::Page;
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::{AccountId, CollarId, EventId, PairingId, PetId, SessionId};

use super::pets::after;
use super::{inconsistent, one};
use crate::domain::pairing::{Pairing, Secret};

const TABLE: &str = "pairings";
/// The constraint that keeps pairings of one collar apart.
pub(crate) const OVERLAP: &str = "pairings_never_overlap";

/// Waits until nobody else is pairing this collar, to the end of the transaction.
pub(crate) async fn lock_collar(tx: &Tx, collar: &CollarId) -> Result<(), Error> {
    let sql = "-- lock_collar\nSELECT pg_advisory_xact_lock(hashtextextended('collar ' || $1::text, 0))";
    tx.query(sql, &[&collar.as_str()]).await.map(|_| ())
}

/// Waits until nobody else is taking a collar off this pet, to the end of the transaction.
pub(crate) async fn lock_worn(tx: &Tx, pet: PetId) -> Result<(), Error> {
    let sql = "-- lock_worn\nSELECT pg_advisory_xact_lock(hashtextextended('worn ' || $1::uuid::text, 0))";
    tx.query(sql, &[&pet.0]).await.map(|_| ())
}

/// The pairings of a collar that end after a time, or not at all.
pub(crate) async fn beyond(tx: &Tx, collar: &CollarId, time: Timestamp) -> Result<Vec<Pairing>, Error> {
    let sql = "-- pairings_beyond\nSELECT pairing_id, collar_id, pet_id, account_id, start_at, end_at, credential_id
               FROM pairings WHERE collar_id = $1 AND (end_at IS NULL OR end_at > $2) ORDER BY start_at";
    tx.query(sql, &[&collar.as_str(), &time]).await?.iter().map(read).collect()
}

/// A conflict with [`OVERLAP`] where the collar was paired in that time.
pub(crate) async fn insert(
    tx: &Tx,
    pairing: &Pairing,
    secret_hash: &[u8; 32],
    now: Timestamp,
) -> Result<(), Error> {
    let sql = "-- insert_pairing\nINSERT INTO pairings
               (pairing_id, collar_id, pet_id, account_id, start_at, end_at, credential_id, secret_hash, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let Pairing { pairing_id, collar_id, pet_id, account_id, start_at, end_at, credential_id } = pairing;
    let touched = tx
        .execute(
            sql,
            &[
                &pairing_id.0,
                &collar_id.as_str(),
                &pet_id.0,
                &account_id.0,
                start_at,
                end_at,
                &credential_id.0,
                &secret_hash.as_slice(),
                &now,
            ],
        )
        .await?;
    one(touched, TABLE)
}

/// The newest pairing of a collar with a pet, locked, and the event that told of its end.
pub(crate) async fn lock_newest(
    tx: &Tx,
    pet: PetId,
    collar: &CollarId,
) -> Result<Option<(Pairing, Option<EventId>)>, Error> {
    let sql = "-- lock_pairing\nSELECT pairing_id, collar_id, pet_id, account_id, start_at, end_at, credential_id, ended_event
               FROM pairings WHERE pet_id = $1 AND collar_id = $2 ORDER BY start_at DESC LIMIT 1 FOR UPDATE";
    let row = tx.query_opt(sql, &[&pet.0, &collar.as_str()]).await?;
    row.map(|row| Ok((read(&row)?, Error::column::<Option<uuid::Uuid>>(&row, TABLE, 7)?.map(EventId))))
        .transpose()
}

/// Ends a pairing that lasts.
pub(crate) async fn end(tx: &Tx, pairing: PairingId, end_at: Timestamp, event: EventId) -> Result<(), Error> {
    let sql = "-- end_pairing\nUPDATE pairings SET end_at = $2, ended_event = $3 WHERE pairing_id = $1 AND end_at IS NULL";
    one(tx.execute(sql, &[&pairing.0, &end_at, &event.0]).await?, TABLE)
}

/// Gives a pairing that lasts another secret, under another credential.
pub(crate) async fn present_secret(
    tx: &Tx,
    pairing: PairingId,
    credential: SessionId,
    secret_hash: &[u8; 32],
) -> Result<(), Error> {
    let sql = "-- present_secret\nUPDATE pairings SET credential_id = $2, secret_hash = $3
               WHERE pairing_id = $1 AND end_at IS NULL";
    one(tx.execute(sql, &[&pairing.0, &credential.0, &secret_hash.as_slice()]).await?, TABLE)
}

/// A collar's pairing that lasts, and its present secret.
pub(crate) async fn live(tx: &Tx, collar: &CollarId) -> Result<Option<(Pairing, Secret)>, Error> {
    let sql = "-- live_pairing\nSELECT pairing_id, collar_id, pet_id, account_id, start_at, end_at, credential_id, secret_hash
               FROM pairings WHERE collar_id = $1 AND end_at IS NULL";
    let row = tx.query_opt(sql, &[&collar.as_str()]).await?;
    row.map(|row| {
        let pairing = read(&row)?;
        let secret = Secret { credential_id: pairing.credential_id, hash: Error::column(&row, TABLE, 7)? };
        Ok((pairing, secret))
    })
    .transpose()
}

/// All pairings of a collar, oldest first.
pub(crate) async fn of_collar(tx: &Tx, collar: &CollarId) -> Result<Vec<Pairing>, Error> {
    let sql = "-- pairings_of_collar\nSELECT pairing_id, collar_id, pet_id, account_id, start_at, end_at, credential_id
               FROM pairings WHERE collar_id = $1 ORDER BY start_at";
    tx.query(sql, &[&collar.as_str()]).await?.iter().map(read).collect()
}

/// A pet's pairings that last.
pub(crate) async fn live_of_pet(tx: &Tx, pet: PetId) -> Result<Vec<Pairing>, Error> {
    let sql =
        "-- live_pairings\nSELECT pairing_id, collar_id, pet_id, account_id, start_at, end_at, credential_id
               FROM pairings WHERE pet_id = $1 AND end_at IS NULL ORDER BY start_at";
    tx.query(sql, &[&pet.0]).await?.iter().map(read).collect()
}

/// A page of a pet's pairings, newest first, and one more.
pub(crate) async fn list(tx: &Tx, pet: PetId, page: &Page) -> Result<Vec<Pairing>, Error> {
    let sql =
        "-- list_pairings\nSELECT pairing_id, collar_id, pet_id, account_id, start_at, end_at, credential_id
               FROM pairings
               WHERE pet_id = $1 AND ($2::timestamptz IS NULL OR (start_at, pairing_id) < ($2, $3::uuid))
               ORDER BY start_at DESC, pairing_id DESC LIMIT $4";
    let (time, id) = after(page);
    tx.query(sql, &[&pet.0, &time, &id, &page.limit()]).await?.iter().map(read).collect()
}

/// Columns: pairing_id, collar_id, pet_id, account_id, start_at, end_at, credential_id.
pub(super) fn read(row: &Row) -> Result<Pairing, Error> {
    let collar: String = Error::column(row, TABLE, 1)?;
    Ok(Pairing {
        pairing_id: PairingId(Error::column(row, TABLE, 0)?),
        collar_id: collar.parse().map_err(|_| inconsistent(TABLE, "collar_id"))?,
        pet_id: PetId(Error::column(row, TABLE, 2)?),
        account_id: AccountId(Error::column(row, TABLE, 3)?),
        start_at: Error::column(row, TABLE, 4)?,
        end_at: Error::column(row, TABLE, 5)?,
        credential_id: SessionId(Error::column(row, TABLE, 6)?),
    })
}

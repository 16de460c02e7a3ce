//! The inbox: what was handled, by event and pet.

use super::Event;
use crate::calendar::utc_date;
use crate::postgres::{Error, Tx};
use crate::types::{Clock, PetId};

/// Events older than this are refused, because their inbox rows may be gone.
pub const KEPT_DAYS: i64 = 22;

/// Takes an event and pet; false where they were taken before.
///
/// # Errors
/// Where the database says no.
pub async fn take(tx: &Tx, event: &Event, pet: PetId) -> Result<bool, Error> {
    let sql = "-- take_event\nINSERT INTO event_inbox (event_id, pet_id, day) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    Ok(tx.execute(sql, &[&event.id.0, &pet.0, &utc_date(event.time)]).await? == 1)
}

/// Whether a pet is forgotten for good.
///
/// # Errors
/// Where the database says no.
pub async fn is_erased(tx: &Tx, pet: PetId) -> Result<bool, Error> {
    let sql = "-- is_erased\nSELECT 1 FROM event_tombstones WHERE pet_id = $1";
    Ok(tx.query_opt(sql, &[&pet.0]).await?.is_some())
}

/// Forgets a pet for good: nothing about it is applied from this transaction on, and what could not be handled goes too.
///
/// # Errors
/// Where the database says no.
pub async fn erase(tx: &Tx, clock: &Clock, pet: PetId) -> Result<(), Error> {
    let sql = "-- erase_pet\nINSERT INTO event_tombstones (pet_id, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    tx.execute(sql, &[&pet.0, &clock.now()]).await?;
    let sql = "-- erase_dead_letters\nDELETE FROM event_dead_letters WHERE pet_id = $1";
    tx.execute(sql, &[&pet.0]).await.map(|_| ())
}

/// Whether an event is older than the inbox remembers.
#[must_use]
pub fn is_too_old(event: &Event, clock: &Clock) -> bool {
    let oldest = clock.now() - jiff::SignedDuration::from_hours(24 * KEPT_DAYS);
    event.time < oldest
}

//! The inbox: what was handled, by event and pet.
//!
//! Invariant: a row is in the partition of its event's own day, so what has no such day is refused: its row may be gone, or has no place.

use std::collections::HashSet;

use jiff::Timestamp;
use uuid::Uuid;

use super::Event;
use crate::calendar::utc_date;
use crate::postgres::{Error, Row, Tx};
use crate::types::{Clock, PetId};

const TABLE: &str = "event_inbox";

/// Events older than this are refused, because their inbox rows may be gone.
pub const KEPT_DAYS: i64 = 22;
/// Events further ahead than this are refused. There are partitions for three days ahead of the last housekeeping.
const AHEAD_DAYS: i64 = 2;

/// Takes an event and pet; false where they were taken before.
///
/// # Errors
/// Where the database says no.
pub async fn take(tx: &Tx, event: &Event, pet: PetId) -> Result<bool, Error> {
    Ok(!take_all(tx, std::iter::once((event, pet))).await?.is_empty())
}

/// Takes events and pets; those that were not taken before. In one order, however they came: two who have the same events wait
/// for each other and not on each other.
///
/// # Errors
/// Where the database says no.
pub(super) async fn take_all(
    tx: &Tx,
    parts: impl Iterator<Item = (&Event, PetId)>,
) -> Result<HashSet<(Uuid, PetId)>, Error> {
    let (mut events, mut pets, mut days) = (Vec::new(), Vec::new(), Vec::new());
    for (event, pet) in parts {
        events.push(event.id.0);
        pets.push(pet.0);
        days.push(utc_date(event.time));
    }
    let sql = "-- take_events
        INSERT INTO event_inbox (event_id, pet_id, day)
        SELECT event_id, pet_id, day FROM unnest($1::uuid[], $2::uuid[], $3::date[]) AS e (event_id, pet_id, day)
        ORDER BY pet_id, event_id ON CONFLICT DO NOTHING RETURNING event_id, pet_id";
    let taken = tx.query(sql, &[&events, &pets, &days]).await?;
    let key = |row: &Row| Ok((Error::column(row, TABLE, 0)?, PetId(Error::column(row, TABLE, 1)?)));
    taken.iter().map(key).collect()
}

/// Which of some pets are forgotten for good.
///
/// # Errors
/// Where the database says no.
pub async fn erased_of(tx: &Tx, pets: impl IntoIterator<Item = PetId>) -> Result<HashSet<PetId>, Error> {
    let pets: Vec<Uuid> = pets.into_iter().map(|pet| pet.0).collect();
    let sql = "-- erased_of\nSELECT pet_id FROM event_tombstones WHERE pet_id = ANY($1)";
    let rows = tx.query(sql, &[&pets]).await?;
    rows.iter().map(|row| Ok(PetId(Error::column(row, "event_tombstones", 0)?))).collect()
}

/// Whether a pet is forgotten for good.
///
/// # Errors
/// Where the database says no.
pub async fn is_erased(tx: &Tx, pet: PetId) -> Result<bool, Error> {
    Ok(!erased_of(tx, [pet]).await?.is_empty())
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

/// Why an event is refused, at some time, that the inbox cannot remember.
pub(super) fn refuses(event: &Event, now: Timestamp) -> Option<String> {
    let days = |days| jiff::SignedDuration::from_hours(24 * days);
    if event.time < now - days(KEPT_DAYS) {
        Some(format!("older than {KEPT_DAYS} days"))
    } else if event.time > now + days(AHEAD_DAYS) {
        Some(format!("more than {AHEAD_DAYS} days ahead"))
    } else {
        None
    }
}

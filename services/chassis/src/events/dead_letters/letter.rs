//! Dead letters as they are kept.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use crate::page::{Page, Place};
use crate::postgres::{Db, Error, Row, Tx};
use crate::types::{Clock, PetId};

const TABLE: &str = "event_dead_letters";

/// Why it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::events) enum Reason {
    /// Its handling fails.
    Poison,
    /// The event could not be split by pet.
    Unreadable,
    /// It is no event.
    BadEnvelope,
}

impl Reason {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Poison => "POISON",
            Self::Unreadable => "UNREADABLE",
            Self::BadEnvelope => "BAD_ENVELOPE",
        }
    }

    fn named(name: &str) -> Result<Self, Error> {
        [Self::Poison, Self::Unreadable, Self::BadEnvelope]
            .into_iter()
            .find(|reason| reason.as_str() == name)
            .ok_or(Error::Inconsistent { table: TABLE, column: "reason".to_owned() })
    }
}

/// A dead letter.
#[derive(Clone, Debug)]
pub(in crate::events) struct Letter {
    pub(in crate::events) event_id: Uuid,
    pub(in crate::events) pet: PetId,
    pub(in crate::events) topic: String,
    pub(in crate::events) source: String,
    pub(in crate::events) shard: i16,
    pub(in crate::events) number: i64,
    pub(in crate::events) reason: Reason,
    pub(in crate::events) error: String,
    pub(in crate::events) envelope: Vec<u8>,
    pub(in crate::events) created_at: Timestamp,
    pub(in crate::events) redrives: i32,
    pub(in crate::events) redriven_at: Option<Timestamp>,
}

fn letter(row: &Row) -> Result<Letter, Error> {
    let reason: String = Error::column(row, TABLE, 6)?;
    Ok(Letter {
        event_id: Error::column(row, TABLE, 0)?,
        pet: PetId(Error::column(row, TABLE, 1)?),
        topic: Error::column(row, TABLE, 2)?,
        source: Error::column(row, TABLE, 3)?,
        shard: Error::column(row, TABLE, 4)?,
        number: Error::column(row, TABLE, 5)?,
        reason: Reason::named(&reason)?,
        error: Error::column(row, TABLE, 7)?,
        envelope: Error::column(row, TABLE, 8)?,
        created_at: Error::column(row, TABLE, 9)?,
        redrives: Error::column(row, TABLE, 10)?,
        redriven_at: Error::column(row, TABLE, 11)?,
    })
}

/// A page of them, the youngest first.
pub(in crate::events) async fn list(
    db: &Db,
    page: &Page<(Uuid, Uuid)>,
    topic: Option<&str>,
    pet: Option<PetId>,
) -> Result<Vec<Letter>, Error> {
    let sql = "-- list_dead_letters\nSELECT event_id, pet_id, topic, source, shard, number, reason, error, envelope, created_at,
               redrives, redriven_at FROM event_dead_letters
               WHERE ($1::text IS NULL OR topic = $1) AND ($2::uuid IS NULL OR pet_id = $2)
               AND (created_at, event_id, pet_id) < ($3, $4, $5)
               ORDER BY created_at DESC, event_id DESC, pet_id DESC LIMIT $6";
    // Above all that can be there: no letter is from after the last day of the calendar.
    let first = Place { time: LAST, id: (Uuid::max(), Uuid::max()) };
    let Place { time, id: (event, of) } = page.after.unwrap_or(first);
    let (pet, limit) = (pet.map(|pet| pet.0), page.limit());
    db.read("list_dead_letters", |tx| async move {
        let rows = tx.query(sql, &[&topic, &pet, &time, &event, &of, &limit]).await?;
        rows.iter().map(letter).collect()
    })
    .await
}

/// 9999-01-01, as far as any clock of ours goes.
const LAST: Timestamp = Timestamp::constant(253_370_764_800, 0);

/// One of them.
pub(in crate::events) async fn find(db: &Db, event: Uuid, pet: PetId) -> Result<Option<Letter>, Error> {
    let sql = "-- find_dead_letter\nSELECT event_id, pet_id, topic, source, shard, number, reason, error, envelope, created_at,
               redrives, redriven_at FROM event_dead_letters WHERE event_id = $1 AND pet_id = $2";
    db.read("find_dead_letter", |tx| async move {
        tx.query_opt(sql, &[&event, &pet.0]).await?.as_ref().map(letter).transpose()
    })
    .await
}

/// Locks one; false where it is not there (any more).
pub(in crate::events) async fn hold(tx: &Tx, event: Uuid, pet: PetId) -> Result<bool, Error> {
    let sql = "-- hold_dead_letter\nSELECT 1 FROM event_dead_letters WHERE event_id = $1 AND pet_id = $2 FOR UPDATE";
    Ok(tx.query_opt(sql, &[&event, &pet.0]).await?.is_some())
}

/// Ends one; false where it is not there (any more).
pub(in crate::events) async fn delete(tx: &Tx, event: Uuid, pet: PetId) -> Result<bool, Error> {
    let sql = "-- delete_dead_letter\nDELETE FROM event_dead_letters WHERE event_id = $1 AND pet_id = $2";
    Ok(tx.execute(sql, &[&event, &pet.0]).await? == 1)
}

/// Notes that it was redriven in vain; false where it is not there (any more).
pub(in crate::events) async fn failed_again(
    tx: &Tx,
    clock: &Clock,
    (event, pet): (Uuid, PetId),
    error: &str,
) -> Result<bool, Error> {
    let sql =
        "-- note_redrive\nUPDATE event_dead_letters SET redrives = redrives + 1, redriven_at = $3, error = $4
               WHERE event_id = $1 AND pet_id = $2";
    Ok(tx.execute(sql, &[&event, &pet.0, &clock.now(), &error]).await? == 1)
}

/// How many there are, and since when, by topic.
pub(in crate::events) async fn waiting(db: &Db) -> Result<BTreeMap<String, (i64, Timestamp)>, Error> {
    let sql = "-- waiting_dead_letters\nSELECT topic, count(*), min(created_at) FROM event_dead_letters GROUP BY topic";
    db.read("waiting_dead_letters", |tx| async move {
        let rows = tx.query(sql, &[]).await?;
        rows.iter()
            .map(|row| {
                let counted = (Error::column(row, TABLE, 1)?, Error::column(row, TABLE, 2)?);
                Ok((Error::column(row, TABLE, 0)?, counted))
            })
            .collect()
    })
    .await
}

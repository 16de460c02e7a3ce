//! Every change of a timeline, by number.

use jiff::{SignedDuration, Timestamp};
use petty_chassis::calendar::utc_date;
use petty_chassis::postgres::{Error, ToSql, Tx};
use petty_chassis::types::{Clock, PetId, micros};
use uuid::Uuid;

use super::row::{self, Columns};
use crate::domain::Entry;

const TABLE: &str = "changes";
/// Days ahead that have a partition, so that a weekend without housekeeping harms nothing.
const AHEAD: SignedDuration = SignedDuration::from_hours(3 * 24);

/// A change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) sequence: i64,
    /// The entry is gone: it is as it was.
    pub(crate) removed: bool,
    pub(crate) written_at: Timestamp,
    pub(crate) entry: Entry,
}

/// What was read of a pet's changes behind a number, in one snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Read {
    /// The number last given; 0: none was.
    pub(crate) head: i64,
    /// By number.
    pub(crate) changes: Vec<Change>,
}

/// Gives an entry's new state the pet's next number.
pub(crate) async fn note_put(tx: &Tx, clock: &Clock, entry: &Entry) -> Result<i64, Error> {
    note(tx, clock, entry, false).await
}

/// Gives an entry's end the pet's next number.
pub(crate) async fn note_removed(tx: &Tx, clock: &Clock, entry: &Entry) -> Result<i64, Error> {
    note(tx, clock, entry, true).await
}

async fn note(tx: &Tx, clock: &Clock, entry: &Entry, removed: bool) -> Result<i64, Error> {
    let Columns { kind, behavior, metadata } = Columns::of(&entry.what, TABLE)?;
    let sql = "-- note_change\nWITH numbered AS (
                   INSERT INTO heads (pet_id, sequence, day) VALUES ($1, 1, $2)
                   ON CONFLICT (pet_id) DO UPDATE
                   SET sequence = heads.sequence + 1, day = greatest(heads.day, EXCLUDED.day)
                   RETURNING sequence, day)
               INSERT INTO changes (pet_id, sequence, day, removed, written_at,
                   event_id, kind, behavior, start_at, end_at, open, confidence, metadata, version)
               SELECT $1, sequence, day, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13 FROM numbered
               RETURNING sequence";
    let now = micros(clock.now());
    let day = utc_date(now);
    let parameters: [&(dyn ToSql + Sync); 13] = [
        &entry.pet.0,
        &day,
        &removed,
        &now,
        &entry.id,
        &kind,
        &behavior,
        &entry.start_at,
        &entry.end_at,
        &entry.open,
        &entry.confidence,
        &metadata,
        &entry.version,
    ];
    Error::column(&tx.query_one(sql, &parameters).await?, TABLE, 0)
}

/// What comes behind each of some pets' numbers, at most so many changes each: in the order in which they are asked.
pub(crate) async fn read(tx: &Tx, asked: &[(PetId, i64)], limit: i64) -> Result<Vec<Read>, Error> {
    let pets: Vec<Uuid> = asked.iter().map(|(pet, _)| pet.0).collect();
    let lasts: Vec<i64> = asked.iter().map(|(_, last)| *last).collect();
    let sql = "-- read_changes\nSELECT asked.nth, coalesce(h.sequence, 0), c.sequence, c.removed, c.written_at,
                   c.event_id, c.pet_id, c.kind, c.behavior, c.start_at, c.end_at, c.open, c.confidence, c.metadata, c.version
               FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS asked (pet_id, last, nth)
               LEFT JOIN heads h ON h.pet_id = asked.pet_id
               LEFT JOIN LATERAL (
                   SELECT changes.sequence, removed, written_at, event_id, changes.pet_id, kind, behavior, start_at, end_at,
                       open, confidence, metadata, version
                   FROM changes WHERE changes.pet_id = asked.pet_id AND changes.sequence > asked.last
                   ORDER BY changes.sequence LIMIT $3) c ON true
               ORDER BY asked.nth, c.sequence";
    let mut reads = vec![Read::default(); asked.len()];
    for row in tx.query(sql, &[&pets, &lasts, &limit]).await? {
        let nth: i64 = Error::column(&row, TABLE, 0)?;
        let read = usize::try_from(nth - 1).ok().and_then(|nth| reads.get_mut(nth));
        let read = read.ok_or_else(|| row::inconsistent(TABLE, "nth"))?;
        read.head = Error::column(&row, TABLE, 1)?;
        if let Some(sequence) = Error::column::<Option<i64>>(&row, TABLE, 2)? {
            read.changes.push(Change {
                sequence,
                removed: Error::column(&row, TABLE, 3)?,
                written_at: Error::column(&row, TABLE, 4)?,
                entry: row::entry(&row, TABLE, 5)?,
            });
        }
    }
    Ok(reads)
}

/// The number last given, of those of some pets that have any.
pub(crate) async fn heads(tx: &Tx, pets: &[Uuid]) -> Result<Vec<(PetId, i64)>, Error> {
    let sql = "-- heads\nSELECT pet_id, sequence FROM heads WHERE pet_id = ANY ($1)";
    let rows = tx.query(sql, &[&pets]).await?;
    let head = |row| Ok((PetId(Error::column(row, "heads", 0)?), Error::column(row, "heads", 1)?));
    rows.iter().map(head).collect()
}

/// Makes the partitions of the days to come, and drops changes of days that were over before `kept_from`.
pub(crate) async fn keep(tx: &Tx, now: Timestamp, kept_from: Timestamp) -> Result<(), Error> {
    let sql = "-- keep_changes\nSELECT timeline_keep_changes($1, $2)";
    let last = now.checked_add(AHEAD).unwrap_or(now);
    tx.query(sql, &[&utc_date(kept_from), &utc_date(last)]).await.map(|_| ())
}

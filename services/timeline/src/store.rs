//! The entries. The only place with SQL.
//!
//! Invariant: whoever changes or forgets a pet's entries holds the pet's lock, so that nothing is written of a pet that is
//! being forgotten beside it.

use jiff::Timestamp;
use petty_chassis::page::{self, Page, Place};
use petty_chassis::postgres::{Error, Row, ToSql, Tx};
use petty_chassis::types::{Clock, PetId, micros};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::{Behavior, Entry, Span};

const TABLE: &str = "entries";
const KIND_BEHAVIOR: &str = "behavior";

/// Waits until nobody else changes the pet's entries, and keeps others waiting until the transaction ends. There is no row
/// of the pet to lock: its first entry may be what is being written.
pub(crate) async fn lock(tx: &Tx, pet: PetId) -> Result<(), Error> {
    let sql = "-- lock_pet\nSELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 0))";
    tx.query_one(sql, &[&pet.0]).await.map(|_| ())
}

/// Writes an entry. Which version may be written is decided before (`versions::advance`).
pub(crate) async fn put(tx: &Tx, clock: &Clock, entry: &Entry) -> Result<(), Error> {
    let metadata = serde_json::to_value(&entry.metadata).map_err(|_| inconsistent("metadata"))?;
    let sql = "-- put_entry\nINSERT INTO entries
               (event_id, pet_id, kind, behavior, start_at, end_at, open, confidence, metadata, version, updated_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
               ON CONFLICT (event_id) DO UPDATE
               SET behavior = EXCLUDED.behavior, start_at = EXCLUDED.start_at, end_at = EXCLUDED.end_at,
                   open = EXCLUDED.open, confidence = EXCLUDED.confidence, metadata = EXCLUDED.metadata,
                   version = EXCLUDED.version, updated_at = EXCLUDED.updated_at
               WHERE entries.pet_id = EXCLUDED.pet_id AND entries.version < EXCLUDED.version";
    let now = micros(clock.now());
    let parameters: [&(dyn ToSql + Sync); 11] = [
        &entry.id,
        &entry.pet.0,
        &KIND_BEHAVIOR,
        &entry.behavior.slug(),
        &entry.start_at,
        &entry.end_at,
        &entry.open,
        &entry.confidence,
        &metadata,
        &entry.version,
        &now,
    ];
    if tx.execute(sql, &parameters).await? == 1 { Ok(()) } else { Err(inconsistent("version")) }
}

/// Takes an entry off the timeline, if it is on it.
pub(crate) async fn remove(tx: &Tx, pet: PetId, id: Uuid) -> Result<(), Error> {
    let sql = "-- remove_entry\nDELETE FROM entries WHERE event_id = $1 AND pet_id = $2";
    tx.execute(sql, &[&id, &pet.0]).await.map(|_| ())
}

/// Forgets all of a pet's.
pub(crate) async fn delete_all(tx: &Tx, pet: PetId) -> Result<u64, Error> {
    tx.execute("-- delete_entries\nDELETE FROM entries WHERE pet_id = $1", &[&pet.0]).await
}

/// A pet's entries that reach into a span, newest first.
pub(crate) async fn list(tx: &Tx, pet: PetId, page: &Page<Uuid, page::Span>) -> Result<Vec<Entry>, Error> {
    let (page::Span { start, end }, limit) = (page.span, page.limit());
    let rows = match page.after {
        None => {
            let sql = "-- list_entries\nSELECT event_id, pet_id, behavior, start_at, end_at, open, confidence, metadata, version
                       FROM entries WHERE pet_id = $1 AND end_at >= $2 AND start_at < $3
                       ORDER BY start_at DESC, event_id DESC LIMIT $4";
            tx.query(sql, &[&pet.0, &start, &end, &limit]).await?
        }
        Some(Place { time, id }) => {
            let sql = "-- list_more_entries\nSELECT event_id, pet_id, behavior, start_at, end_at, open, confidence, metadata, version
                       FROM entries WHERE pet_id = $1 AND end_at >= $2 AND start_at < $3 AND (start_at, event_id) < ($5, $6)
                       ORDER BY start_at DESC, event_id DESC LIMIT $4";
            tx.query(sql, &[&pet.0, &start, &end, &limit, &time, &id]).await?
        }
    };
    rows.iter().map(entry).collect()
}

/// The entries that reach into any of the spans, each once, newest first.
pub(crate) async fn list_spans(tx: &Tx, spans: &[Span], limit: i64) -> Result<Vec<Entry>, Error> {
    let pets: Vec<Uuid> = spans.iter().map(|span| span.pet.0).collect();
    let froms: Vec<Timestamp> = spans.iter().map(|span| span.from).collect();
    let untils: Vec<Timestamp> = spans.iter().map(|span| span.until).collect();
    // Both conditions on the pet: the first finds the index, the second the span.
    let sql = "-- list_span_entries\nSELECT event_id, pet_id, behavior, start_at, end_at, open, confidence, metadata, version
               FROM entries e WHERE e.pet_id = ANY ($1) AND EXISTS (
                   SELECT FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS span (pet_id, from_at, until_at)
                   WHERE span.pet_id = e.pet_id AND e.end_at >= span.from_at AND e.start_at < span.until_at)
               ORDER BY start_at DESC, event_id DESC LIMIT $4";
    tx.query(sql, &[&pets, &froms, &untils, &limit]).await?.iter().map(entry).collect()
}

fn entry(row: &Row) -> Result<Entry, Error> {
    let behavior: &str = Error::column(row, TABLE, 2)?;
    let metadata: Value = Error::column(row, TABLE, 7)?;
    Ok(Entry {
        id: Error::column(row, TABLE, 0)?,
        pet: PetId(Error::column(row, TABLE, 1)?),
        behavior: Behavior::from_slug(behavior).ok_or_else(|| inconsistent("behavior"))?,
        start_at: Error::column(row, TABLE, 3)?,
        end_at: Error::column(row, TABLE, 4)?,
        open: Error::column(row, TABLE, 5)?,
        confidence: Error::column(row, TABLE, 6)?,
        metadata: serde_json::from_value(metadata).map_err(|_| inconsistent("metadata"))?,
        version: Error::column(row, TABLE, 8)?,
    })
}

fn inconsistent(column: &str) -> Error {
    Error::Inconsistent { table: TABLE, column: column.to_owned() }
}

//! The entries.

use jiff::Timestamp;
use petty_chassis::page::{self, Page, Place};
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::{Clock, PetId, micros};
use uuid::Uuid;

use super::row::{self, Table, inconsistent};
use crate::domain::{Entry, Filter, Span};

const TABLE: &str = "entries";

/// The entries of some ids, of those that are on a timeline.
pub(crate) async fn of_ids(tx: &Tx, ids: &[Uuid]) -> Result<Vec<Entry>, Error> {
    let sql = "-- entries_of_ids\nSELECT event_id, pet_id, kind, behavior, start_at, end_at, open, confidence, metadata, version
               FROM entries WHERE event_id = ANY ($1)";
    tx.query(sql, &[&ids]).await?.iter().map(|row| row::entry(row, TABLE, 0)).collect()
}

/// Writes entries, each once. Which versions may be written is decided before.
pub(crate) async fn put(tx: &Tx, clock: &Clock, entries: &[&Entry]) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let table = Table::of(entries, TABLE)?;
    let sql = "-- put_entries\nINSERT INTO entries AS old
               (event_id, pet_id, kind, behavior, start_at, end_at, open, confidence, metadata, version, updated_at)
               SELECT new.*, $11 FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                   $7::bool[], $8::float8[], $9::jsonb[], $10::int8[]) AS new
               ON CONFLICT (event_id) DO UPDATE
               SET kind = EXCLUDED.kind, behavior = EXCLUDED.behavior, start_at = EXCLUDED.start_at, end_at = EXCLUDED.end_at,
                   open = EXCLUDED.open, confidence = EXCLUDED.confidence, metadata = EXCLUDED.metadata,
                   version = EXCLUDED.version, updated_at = EXCLUDED.updated_at
               WHERE old.pet_id = EXCLUDED.pet_id AND old.version < EXCLUDED.version";
    let now = micros(clock.now());
    let mut parameters = table.parameters();
    parameters.push(&now);
    let touched = tx.execute(sql, &parameters).await?;
    if touched == entries.len() as u64 { Ok(()) } else { Err(inconsistent(TABLE, "version")) }
}

/// Takes entries off their timelines.
pub(crate) async fn remove(tx: &Tx, ids: &[Uuid]) -> Result<(), Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let sql = "-- remove_entries\nDELETE FROM entries WHERE event_id = ANY ($1)";
    let touched = tx.execute(sql, &[&ids]).await?;
    if touched == ids.len() as u64 { Ok(()) } else { Err(inconsistent(TABLE, "event_id")) }
}

/// The number last given to a change of a pet's timeline; 0: none was.
pub(crate) async fn head(tx: &Tx, pet: PetId) -> Result<i64, Error> {
    let sql = "-- head\nSELECT sequence FROM heads WHERE pet_id = $1";
    let row = tx.query_opt(sql, &[&pet.0]).await?;
    row.map_or(Ok(0), |row| Error::column(&row, "heads", 0))
}

/// A pet's entries that reach into a span and pass the filter, newest first. An alert that is open reaches into any span that ends after
/// it was raised, however long ago that was: it goes on until it is cleared. A behaviour that is open is known to have gone on until its
/// last reading, and no longer.
pub(crate) async fn list(
    tx: &Tx,
    pet: PetId,
    page: &Page<Uuid, page::Span>,
    filter: &Filter,
) -> Result<Vec<Entry>, Error> {
    let (page::Span { start, end }, limit) = (page.span, page.limit());
    let (kinds, behaviors) = (filter.kind_slugs(), filter.behavior_slugs());
    let rows = match page.after {
        None => {
            let sql = "-- list_entries\nSELECT event_id, pet_id, kind, behavior, start_at, end_at, open, confidence, metadata, version
                       FROM entries WHERE pet_id = $1 AND (end_at >= $2 OR (open AND kind = 'alert')) AND start_at < $3
                       AND ($5::text[] IS NULL OR kind = ANY ($5)) AND ($6::text[] IS NULL OR behavior = ANY ($6))
                       ORDER BY start_at DESC, event_id DESC LIMIT $4";
            tx.query(sql, &[&pet.0, &start, &end, &limit, &kinds, &behaviors]).await?
        }
        Some(Place { time, id }) => {
            let sql = "-- list_more_entries\nSELECT event_id, pet_id, kind, behavior, start_at, end_at, open, confidence, metadata, version
                       FROM entries WHERE pet_id = $1 AND (end_at >= $2 OR (open AND kind = 'alert')) AND start_at < $3
                       AND (start_at, event_id) < ($7, $8)
                       AND ($5::text[] IS NULL OR kind = ANY ($5)) AND ($6::text[] IS NULL OR behavior = ANY ($6))
                       ORDER BY start_at DESC, event_id DESC LIMIT $4";
            tx.query(sql, &[&pet.0, &start, &end, &limit, &kinds, &behaviors, &time, &id]).await?
        }
    };
    rows.iter().map(|row| row::entry(row, TABLE, 0)).collect()
}

/// The behaviours that reach into any of the spans, each once, newest first.
pub(crate) async fn list_spans(tx: &Tx, spans: &[Span], limit: i64) -> Result<Vec<Entry>, Error> {
    let pets: Vec<Uuid> = spans.iter().map(|span| span.pet.0).collect();
    let froms: Vec<Timestamp> = spans.iter().map(|span| span.from).collect();
    let untils: Vec<Timestamp> = spans.iter().map(|span| span.until).collect();
    // Both conditions on the pet: the first finds the index, the second the span.
    let sql = "-- list_span_entries\nSELECT event_id, pet_id, kind, behavior, start_at, end_at, open, confidence, metadata, version
               FROM entries e WHERE e.pet_id = ANY ($1) AND e.kind = 'behavior' AND EXISTS (
                   SELECT FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS span (pet_id, from_at, until_at)
                   WHERE span.pet_id = e.pet_id AND e.end_at >= span.from_at AND e.start_at < span.until_at)
               ORDER BY start_at DESC, event_id DESC LIMIT $4";
    let rows = tx.query(sql, &[&pets, &froms, &untils, &limit]).await?;
    rows.iter().map(|row| row::entry(row, TABLE, 0)).collect()
}

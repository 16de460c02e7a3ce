//! Every change of a timeline, by number.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use petty_chassis::calendar::utc_date;
use petty_chassis::postgres::{Error, ToSql, Tx};
use petty_chassis::types::{Clock, PetId, micros};
use uuid::Uuid;

use super::row::{self, Table};
use crate::domain::{Entry, Noted};

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

/// Gives entries' new states, and the ends of those that are gone, the next numbers of their pets, in order; the number last
/// given to each of these pets.
pub(crate) async fn note(tx: &Tx, clock: &Clock, noted: &[Noted]) -> Result<HashMap<PetId, i64>, Error> {
    if noted.is_empty() {
        return Ok(HashMap::new());
    }
    let entries: Vec<&Entry> = noted.iter().map(|noted| &noted.entry).collect();
    let table = Table::of(&entries, TABLE)?;
    let removed: Vec<bool> = noted.iter().map(|noted| noted.removed).collect();
    let mut counts: BTreeMap<Uuid, i64> = BTreeMap::new();
    let nths: Vec<i64> = entries
        .iter()
        .map(|entry| {
            let count = counts.entry(entry.pet.0).or_default();
            *count += 1;
            *count
        })
        .collect();
    let (pets, counts): (Vec<Uuid>, Vec<i64>) = counts.into_iter().unzip();
    let sql = "-- note_changes\nWITH numbered AS (
                   INSERT INTO heads (pet_id, sequence, day)
                   SELECT pet_id, count, $15 FROM unnest($13::uuid[], $14::int8[]) AS new (pet_id, count)
                   ON CONFLICT (pet_id) DO UPDATE
                   SET sequence = heads.sequence + EXCLUDED.sequence, day = greatest(heads.day, EXCLUDED.day)
                   RETURNING pet_id, sequence, day),
               counted AS (SELECT * FROM unnest($13::uuid[], $14::int8[]) AS new (pet_id, count))
               INSERT INTO changes (pet_id, sequence, day, removed, written_at,
                   event_id, kind, behavior, start_at, end_at, open, confidence, metadata, version)
               SELECT pet_id, numbered.sequence - counted.count + c.nth, numbered.day, c.removed, $16,
                   c.event_id, c.kind, c.behavior, c.start_at, c.end_at, c.open, c.confidence, c.metadata, c.version
               FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bool[],
                           $8::float8[], $9::jsonb[], $10::int8[], $11::bool[], $12::int8[])
                    AS c (event_id, pet_id, kind, behavior, start_at, end_at, open, confidence, metadata, version, removed, nth)
               JOIN numbered USING (pet_id) JOIN counted USING (pet_id)
               RETURNING pet_id, sequence";
    let now = micros(clock.now());
    let day = utc_date(now);
    let mut parameters = table.parameters();
    parameters.extend::<[&(dyn ToSql + Sync); 6]>([&removed, &nths, &pets, &counts, &day, &now]);
    let rows = tx.query(sql, &parameters).await?;
    if rows.len() != noted.len() {
        return Err(row::inconsistent(TABLE, "sequence"));
    }
    let mut heads = HashMap::new();
    for row in &rows {
        let (pet, sequence): (Uuid, i64) = (Error::column(row, TABLE, 0)?, Error::column(row, TABLE, 1)?);
        let head = heads.entry(PetId(pet)).or_insert(sequence);
        *head = sequence.max(*head);
    }
    Ok(heads)
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

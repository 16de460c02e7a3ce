//! The archive's objects: what each must hold, and what of that the store holds already.
//!
//! Invariants: an object's content is made of rows alone, so that whoever writes it writes the same; every change of what it
//! must hold raises its generation in the same transaction; it is written by one at a time (a lease), and whoever finds
//! afterwards that the lease was lost has it written again.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::{Clock, Entropy, EventId, micros};
use serde_json::Value;
use uuid::Uuid;

use super::{inconsistent, one, told};
use crate::domain::{Behavior, Told, Verdict};

const TABLE: &str = "archive_objects";
/// The most lines of an object.
const MOST_LINES: i32 = 1_000;
/// An object that is larger takes no more lines. It is written as a whole each time.
const MOST_BYTES: i64 = 4 * 1024 * 1024;
/// How many words are assigned in one transaction.
const BATCH: i64 = 1_000;
/// What a line has besides its segment, about.
const LINE_BYTES: i64 = 768;
/// How long a writer has an object to itself. Much longer than a writing may take.
const LEASE: SignedDuration = SignedDuration::from_secs(60);

/// An object that is one's own to write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leased {
    pub(crate) id: Uuid,
    pub(crate) day: Date,
    pub(crate) lease: Uuid,
}

/// What an object must hold.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) generation: i64,
    pub(crate) labels: Vec<Label>,
}

/// An event with what was said of it.
#[derive(Debug)]
pub(crate) struct Label {
    pub(crate) feedback: Uuid,
    pub(crate) event: Uuid,
    pub(crate) pseudonym: Uuid,
    pub(crate) told: Told,
    pub(crate) replaced_by: Vec<Uuid>,
    pub(crate) verdict: Verdict,
    pub(crate) actual_behavior: Option<Behavior>,
    pub(crate) segment: Option<Value>,
    pub(crate) said_at: Timestamp,
}

/// How far the archive is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backlog {
    /// Objects that must be written.
    pub(crate) dirty: i64,
    /// Words that are in no object yet.
    pub(crate) unassigned: i64,
}

/// A word that is in no object yet.
struct Unassigned {
    feedback: Uuid,
    bytes: i64,
}

/// What an object has room for.
struct Room {
    object: Option<Uuid>,
    lines: i32,
    bytes: i64,
}

/// Puts words that count into objects of the day they came in; how many. None, where another replica is at it.
///
/// Without the pets' locks: the rows are locked, and those that somebody else has are left for the next time. So an erasure
/// sees each row either assigned or not, and finds the pet's pseudonym.
pub(crate) async fn assign(tx: &Tx, clock: &Clock, entropy: Entropy) -> Result<usize, Error> {
    let sql = "-- assign_alone\nSELECT pg_try_advisory_xact_lock(1885697140, 1)";
    if !Error::column::<bool>(&tx.query_one(sql, &[]).await?, TABLE, 0)? {
        return Ok(0);
    }
    let sql = "-- unassigned_feedback\nSELECT feedback_id, pet_id, (created_at AT TIME ZONE 'UTC')::date,
                      coalesce(octet_length(segment::text), 0)
               FROM feedback WHERE object_id IS NULL AND counts AND NOT secondhand
               ORDER BY created_at, feedback_id LIMIT $1 FOR UPDATE SKIP LOCKED";
    let rows = tx.query(sql, &[&BATCH]).await?;
    let (mut days, mut pets) = (BTreeMap::<Date, Vec<Unassigned>>::new(), BTreeSet::<Uuid>::new());
    for row in &rows {
        let bytes: i32 = Error::column(row, "feedback", 3)?;
        let word =
            Unassigned { feedback: Error::column(row, "feedback", 0)?, bytes: LINE_BYTES + i64::from(bytes) };
        pets.insert(Error::column(row, "feedback", 1)?);
        days.entry(Error::column(row, "feedback", 2)?).or_default().push(word);
    }
    name_pets(tx, entropy, pets).await?;
    for (day, words) in days {
        fill(tx, clock, day, &words).await?;
    }
    Ok(rows.len())
}

/// Draws pseudonyms for those that have none.
async fn name_pets(tx: &Tx, entropy: Entropy, pets: BTreeSet<Uuid>) -> Result<(), Error> {
    let pets: Vec<Uuid> = pets.into_iter().collect();
    let drawn = pets.iter().map(|_| uuid::Builder::from_random_bytes(entropy.bytes()).into_uuid());
    let pseudonyms: Vec<Uuid> = drawn.collect();
    let sql = "-- name_pets\nINSERT INTO archive_pets (pet_id, pseudonym)
               SELECT * FROM unnest($1::uuid[], $2::uuid[]) ON CONFLICT (pet_id) DO NOTHING";
    tx.execute(sql, &[&pets, &pseudonyms]).await.map(|_| ())
}

/// Fills the day's last object, and then new ones.
async fn fill(tx: &Tx, clock: &Clock, day: Date, words: &[Unassigned]) -> Result<(), Error> {
    let sql = "-- object_with_room\nSELECT object_id, lines, bytes FROM archive_objects
               WHERE day = $1 AND lines < $2 AND bytes < $3 ORDER BY object_id DESC LIMIT 1 FOR UPDATE";
    let found = tx.query_opt(sql, &[&day, &MOST_LINES, &MOST_BYTES]).await?;
    let mut room = match &found {
        None => Room { object: None, lines: 0, bytes: 0 },
        Some(row) => Room {
            object: Some(Error::column(row, TABLE, 0)?),
            lines: Error::column(row, TABLE, 1)?,
            bytes: Error::column(row, TABLE, 2)?,
        },
    };
    let mut rest = words;
    while !rest.is_empty() {
        let (taken, left) = rest.split_at(fitting(&room, rest));
        let added: i64 = taken.iter().map(|word| word.bytes).sum();
        let lines = i32::try_from(taken.len()).unwrap_or(MOST_LINES);
        let object = add(tx, clock, day, &room, lines, added).await?;
        let ids: Vec<Uuid> = taken.iter().map(|word| word.feedback).collect();
        let sql = "-- assign_feedback\nUPDATE feedback SET object_id = $1 WHERE feedback_id = ANY ($2) AND object_id IS NULL";
        if tx.execute(sql, &[&object, &ids]).await? != u64::try_from(taken.len()).unwrap_or(u64::MAX) {
            return Err(inconsistent("feedback", "object_id"));
        }
        rest = left;
        room = Room { object: None, lines: 0, bytes: 0 };
    }
    Ok(())
}

/// How many of the words fit; at least one, since there is room.
fn fitting(room: &Room, words: &[Unassigned]) -> usize {
    let (mut lines, mut bytes) = (room.lines, room.bytes);
    let fit = words.iter().take_while(|word| {
        let fits = lines < MOST_LINES && bytes < MOST_BYTES;
        (lines, bytes) = (lines + 1, bytes + word.bytes);
        fits
    });
    fit.count().max(1)
}

/// Notes what is added to an object, or to a new one.
async fn add(tx: &Tx, clock: &Clock, day: Date, room: &Room, lines: i32, bytes: i64) -> Result<Uuid, Error> {
    let now = micros(clock.now());
    if let Some(id) = room.object {
        let sql = "-- add_to_object\nUPDATE archive_objects
                   SET lines = lines + $2, bytes = bytes + $3, generation = generation + 1, changed_at = $4 WHERE object_id = $1";
        one(tx.execute(sql, &[&id, &lines, &bytes, &now]).await?, TABLE, id)?;
        return Ok(id);
    }
    let id = EventId::new(clock).0;
    let sql = "-- new_object\nINSERT INTO archive_objects (object_id, day, lines, bytes, generation, written_generation, changed_at)
               VALUES ($1, $2, $3, $4, 1, 0, $5)";
    tx.execute(sql, &[&id, &day, &lines, &bytes, &now]).await?;
    Ok(id)
}

/// Says that objects must hold something else than before; the generation of each that does.
pub(crate) async fn change(
    tx: &Tx,
    clock: &Clock,
    objects: &BTreeSet<Uuid>,
) -> Result<Vec<(Uuid, i64)>, Error> {
    let ids: Vec<Uuid> = objects.iter().copied().collect();
    let sql = "-- change_objects\nWITH locked AS (
                   SELECT object_id FROM archive_objects WHERE object_id = ANY ($1) ORDER BY object_id FOR UPDATE
               )
               UPDATE archive_objects o SET generation = o.generation + 1, changed_at = $2
               FROM locked WHERE o.object_id = locked.object_id RETURNING o.object_id, o.generation";
    let rows = tx.query(sql, &[&ids, &micros(clock.now())]).await?;
    rows.iter().map(|row| Ok((Error::column(row, TABLE, 0)?, Error::column(row, TABLE, 1)?))).collect()
}

/// Takes an object that must be written and that nobody writes, the one that waits for the longest time.
pub(crate) async fn lease(tx: &Tx, clock: &Clock, but: &[Uuid]) -> Result<Option<Leased>, Error> {
    let lease = EventId::new(clock).0;
    let now = micros(clock.now());
    let sql = "-- lease_object\nUPDATE archive_objects SET lease = $1, leased_until = $3
               WHERE object_id = (
                   SELECT object_id FROM archive_objects
                   WHERE generation > written_generation AND (lease IS NULL OR leased_until < $2) AND NOT object_id = ANY ($4)
                   ORDER BY changed_at, object_id LIMIT 1 FOR UPDATE SKIP LOCKED)
               RETURNING object_id, day";
    let row = tx.query_opt(sql, &[&lease, &now, &(now + LEASE), &but]).await?;
    row.map(|row| {
        Ok(Leased { id: Error::column(&row, TABLE, 0)?, day: Error::column(&row, TABLE, 1)?, lease })
    })
    .transpose()
}

/// Gives an object back unwritten.
pub(crate) async fn release(tx: &Tx, leased: &Leased) -> Result<(), Error> {
    let sql = "-- release_object\nUPDATE archive_objects SET lease = NULL, leased_until = NULL WHERE object_id = $1 AND lease = $2";
    // Where the lease was lost there is nothing to give back.
    tx.execute(sql, &[&leased.id, &leased.lease]).await.map(|_| ())
}

/// What an object must hold, in one statement: content and generation are of one moment.
pub(crate) async fn content(tx: &Tx, id: Uuid) -> Result<Content, Error> {
    let sql = "-- object_content\nSELECT o.generation, f.feedback_id, f.event_id, p.pseudonym, f.replaced_by, f.verdict, f.actual_behavior,
                      f.segment, f.said_at, f.version, f.behavior, f.rule, f.rule_version, f.start_at, f.end_at, f.open, f.evidence
               FROM archive_objects o
               LEFT JOIN (feedback f JOIN archive_pets p ON p.pet_id = f.pet_id) ON f.object_id = o.object_id AND f.counts
               WHERE o.object_id = $1 ORDER BY f.created_at, f.feedback_id";
    let rows = tx.query(sql, &[&id]).await?;
    let first = rows.first().ok_or_else(|| inconsistent(TABLE, "object_id"))?;
    let generation = Error::column(first, TABLE, 0)?;
    let labels = rows.iter().filter_map(|row| label(row).transpose()).collect::<Result<_, _>>()?;
    Ok(Content { generation, labels })
}

fn label(row: &Row) -> Result<Option<Label>, Error> {
    const TABLE: &str = "feedback";
    let Some(feedback) = Error::column::<Option<Uuid>>(row, TABLE, 1)? else { return Ok(None) };
    let verdict: &str = Error::column(row, TABLE, 5)?;
    let actual: Option<&str> = Error::column(row, TABLE, 6)?;
    Ok(Some(Label {
        feedback,
        event: Error::column(row, TABLE, 2)?,
        pseudonym: Error::column(row, TABLE, 3)?,
        replaced_by: Error::column(row, TABLE, 4)?,
        verdict: Verdict::from_slug(verdict).ok_or_else(|| inconsistent(TABLE, "verdict"))?,
        actual_behavior: actual.and_then(Behavior::from_slug),
        segment: Error::column(row, TABLE, 7)?,
        said_at: Error::column(row, TABLE, 8)?,
        told: told(row, TABLE, 9)?,
    }))
}

/// Notes that the store holds a generation. False where the lease was lost: then the store may hold something older than
/// another wrote meanwhile, and the object is to be written again.
pub(crate) async fn written(tx: &Tx, clock: &Clock, leased: &Leased, generation: i64) -> Result<bool, Error> {
    let sql = "-- object_written\nUPDATE archive_objects SET written_generation = $3, lease = NULL, leased_until = NULL
               WHERE object_id = $1 AND lease = $2 AND generation >= $3";
    if tx.execute(sql, &[&leased.id, &leased.lease, &generation]).await? == 1 {
        return Ok(true);
    }
    let changed = change(tx, clock, &BTreeSet::from([leased.id])).await?;
    for (id, generation) in changed {
        super::erasures::postpone(tx, id, generation).await?;
    }
    Ok(false)
}

/// How far the archive is behind.
pub(crate) async fn backlog(tx: &Tx) -> Result<Backlog, Error> {
    let sql = "-- archive_backlog\nSELECT (SELECT count(*) FROM archive_objects WHERE generation > written_generation),
                      (SELECT count(*) FROM feedback WHERE object_id IS NULL AND counts AND NOT secondhand)";
    let row = tx.query_one(sql, &[]).await?;
    Ok(Backlog { dirty: Error::column(&row, TABLE, 0)?, unassigned: Error::column(&row, TABLE, 1)? })
}

//! A flush: stamped readings onto disk, each once, with everything that follows from the new ones.
//!
//! Invariants: a flush is first tried as if all of it were new: COPY straight into the table, one pipeline, and the database
//! refuses it whole where one is there already, or its pet is erased. Then, and while duplicates keep coming, what is there is looked
//! for first, and the rest is new; where that turns out wrong too, it goes the careful way, which finds out about each. A reading
//! that the database refuses takes no other with it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use petty_chassis::events::{inbox, shard_of};
use petty_chassis::postgres::{Class, Error, Step, ToSql, Tx};
use petty_chassis::types::{CollarId, PetId};
use uuid::Uuid;

use super::collars::Key as CollarKey;
use super::columns::{self, Columns};
use super::group::Unwritten;
use super::latest::newer_stays;
use super::rollups::Note;
use super::{Store, Stored, copy};
use crate::domain::reading::{Signals, Stamped};

/// The class of the locks that a flush holds on its shards, against the erasure of a pet. Any number, the same everywhere.
pub(super) const SHARD_LOCKS: i32 = 7_239;
/// After a flush with duplicates so many more are looked for at once.
const DOUBTED: u32 = 16;

const DAY_US: i64 = 86_400_000_000;

/// What became of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is on disk since now.
    New,
    /// It was on disk already, or came twice.
    Duplicate,
    /// As a duplicate, but with other values: the first is kept.
    Conflicting,
    /// Its pet is forgotten for good: it was not stored.
    Erased,
    /// The database refused it, and it alone.
    Refused,
}

/// A reading with its collar's key.
#[derive(Debug)]
pub(super) struct Keyed<'a> {
    index: usize,
    /// Days since 1970: the partition.
    day: i64,
    pub(super) collar_key: i32,
    /// Which part of its day it is in.
    part: i32,
    pub(super) stamped: &'a Stamped,
    /// Of the request that it came with.
    pub(super) traceparent: &'a str,
}

type Key = (i32, Timestamp);

impl Keyed<'_> {
    fn key(&self) -> Key {
        (self.collar_key, self.stamped.reading.measured_at)
    }
}

/// What became of the row that stands for all readings of its key.
#[derive(Clone, Debug)]
enum Verdict {
    New,
    /// These were there.
    There(Signals),
    Erased,
    Refused,
    Lost(Unwritten),
}

/// How many flushes are still to be looked for at once. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubt(Arc<AtomicU32>);

impl Doubt {
    fn raise(&self) {
        self.0.store(DOUBTED, Ordering::Relaxed);
    }

    /// True where it doubts; each time a bit less.
    fn take(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

impl Store {
    /// Stores readings that are not there yet, with what follows from them; each comes with its request's trace. Says of
    /// each, in order, what became of it: after the first of its kind is committed.
    pub(super) async fn append(
        &self,
        readings: &[(&Stamped, &str)],
    ) -> Result<Vec<Result<Outcome, Unwritten>>, Error> {
        let keys = self.keys_of(readings.iter().map(|(stamped, _)| &stamped.reading.collar)).await?;
        let mut rows = Vec::with_capacity(readings.len());
        // Requests are of few collars, most of one.
        let mut last: Option<(&CollarId, CollarKey)> = None;
        for (index, (stamped, traceparent)) in readings.iter().copied().enumerate() {
            let collar = &stamped.reading.collar;
            let key = last.filter(|(last, _)| *last == collar).map(|(_, key)| key);
            let key = key.or_else(|| keys.get(collar).copied());
            let key = key.ok_or(Error::Inconsistent { table: "collars", column: "collar_key".to_owned() })?;
            last = Some((collar, key));
            let CollarKey { collar_key, part } = key;
            let day = stamped.reading.measured_at.as_microsecond().div_euclid(DAY_US);
            rows.push(Keyed { index, day, collar_key, part, stamped, traceparent });
        }
        // As the partitions are, then by key: two flushes wait for each other in one order. Of equals the first stays.
        rows.sort_unstable_by_key(|row| (row.day, row.part, row.key(), row.index));
        let mut unique: Vec<&Keyed<'_>> = Vec::with_capacity(rows.len());
        // The row that stands for each reading.
        let mut stands = vec![0; readings.len()];
        for row in &rows {
            if unique.last().is_none_or(|last| last.key() != row.key()) {
                unique.push(row);
            }
            stands[row.index] = unique.len() - 1;
        }
        let verdicts = self.flush(&unique).await;
        let outcome = |(index, row): (usize, usize)| match &verdicts[row] {
            Verdict::New if unique[row].index == index => Ok(Outcome::New),
            Verdict::New => Ok(again(readings[index].0, &unique[row].stamped.reading.signals)),
            Verdict::There(signals) => Ok(again(readings[index].0, signals)),
            Verdict::Erased => Ok(Outcome::Erased),
            Verdict::Refused => Ok(Outcome::Refused),
            Verdict::Lost(unwritten) => Err(unwritten.clone()),
        };
        Ok(stands.iter().copied().enumerate().map(outcome).collect())
    }

    async fn flush(&self, rows: &[&Keyed<'_>]) -> Vec<Verdict> {
        if !self.doubt.take() {
            match self.at_once(rows).await {
                Ok(()) => return vec![Verdict::New; rows.len()],
                Err(error) if error.class() == Class::Away => {
                    return vec![Verdict::Lost(error.into()); rows.len()];
                }
                Err(_) => {}
            }
        }
        match self.all_but_duplicates(rows).await {
            Ok(Some(verdicts)) => return verdicts,
            Err(error) if error.class() == Class::Away => {
                return vec![Verdict::Lost(error.into()); rows.len()];
            }
            Ok(None) | Err(_) => {}
        }
        let mut verdicts = Vec::with_capacity(rows.len());
        // The halves of a flush that was refused, the next one last.
        let mut parts = vec![rows];
        while let Some(part) = parts.pop() {
            match self.carefully(part).await {
                Ok(found) => verdicts.extend(found),
                Err(error) if error.refuses_a_row() && part.len() > 1 => {
                    let (head, tail) = part.split_at(part.len() / 2);
                    parts.extend([tail, head]);
                }
                Err(error) if error.refuses_a_row() => {
                    tracing::error!(
                        error = petty_chassis::error::chain(&error),
                        "the database refused a reading"
                    );
                    verdicts.push(Verdict::Refused);
                }
                Err(error) => {
                    let unwritten = Unwritten::from(error);
                    verdicts.extend(part.iter().map(|_| Verdict::Lost(unwritten.clone())));
                }
            }
        }
        if verdicts.iter().any(|verdict| matches!(verdict, Verdict::There(_))) {
            self.doubt.raise();
        }
        verdicts
    }

    /// Stores rows all of which are new and of pets that are not erased, or fails.
    async fn at_once(&self, rows: &[&Keyed<'_>]) -> Result<(), Error> {
        let (shards, pets) = self.shards_and_pets(rows);
        let hold = "-- hold_pets\nSELECT ingest_hold_pets($1, $2, $3)";
        let copy = "-- copy_readings
            COPY readings (measured_at, pet_id, heart_rate, respiratory_rate, temperature, skin_temperature, battery_level,
                           accuracy_m, collar_key, longitude_e6, latitude_e6, sequence_id, activity_level)
            FROM STDIN (FORMAT binary)";
        let follow = Following::of(self, rows);
        let mut steps = vec![
            Step::Execute { sql: hold, parameters: vec![&SHARD_LOCKS, &shards, &pets] },
            Step::Copy { sql: copy, rows: copy::rows(rows) },
        ];
        steps.extend(follow.steps());
        steps.push(follow.events.step());
        self.db.pipeline(&steps).await?;
        follow.committed(self);
        Ok(())
    }

    /// Looks which rows are there, and stores all others at once. `None` where a pet is erased.
    async fn all_but_duplicates(&self, rows: &[&Keyed<'_>]) -> Result<Option<Vec<Verdict>>, Error> {
        let pets = &self.shards_and_pets(rows).1;
        let looked = self.db.read_partitions("find_readings", |tx| async move {
            // First: who sees no tombstone sees the readings as they were before it.
            let there = find(&tx, rows).await?;
            let erased = inbox::erased_of(&tx, pets.iter().copied().map(PetId)).await?;
            Ok::<_, Error>((there, !erased.is_empty()))
        });
        let (there, erased) = looked.await?;
        if erased {
            return Ok(None);
        }
        let new: Vec<&Keyed<'_>> =
            rows.iter().copied().filter(|row| !there.contains_key(&row.key())).collect();
        if !new.is_empty() {
            self.at_once(&new).await?;
        }
        if !there.is_empty() {
            self.doubt.raise();
        }
        let verdict =
            |row: &&Keyed<'_>| there.get(&row.key()).map_or(Verdict::New, |signals| Verdict::There(*signals));
        Ok(Some(rows.iter().map(verdict).collect()))
    }

    /// Stores those rows that are not there and whose pets are not erased.
    async fn carefully(&self, rows: &[&Keyed<'_>]) -> Result<Vec<Verdict>, Error> {
        let (verdicts, follow) = self.db.transaction("append_readings", |tx| self.insert(tx, rows)).await?;
        follow.committed(self);
        Ok(verdicts)
    }

    async fn insert(&self, tx: Tx, rows: &[&Keyed<'_>]) -> Result<(Vec<Verdict>, Following), Error> {
        let erased = self.hold_pets(&tx, rows).await?;
        let mut kept: Vec<&Keyed<'_>> =
            rows.iter().copied().filter(|row| !erased.contains(&row.stamped.pet)).collect();
        // Looked for first: to insert in vain costs more than to look.
        let mut there = find(&tx, &kept).await?;
        kept.retain(|row| !there.contains_key(&row.key()));
        let inserted = insert_missing(&tx, &kept).await?;
        if inserted.len() < kept.len() {
            // Another flush was faster.
            let lost: Vec<&Keyed<'_>> =
                kept.iter().copied().filter(|row| !inserted.contains(&row.key())).collect();
            there.extend(find(&tx, &lost).await?);
            kept.retain(|row| inserted.contains(&row.key()));
        }
        let follow = Following::of(self, &kept);
        if !kept.is_empty() {
            for step in follow.steps() {
                tx.run(step).await?;
            }
            follow.events.write(&tx).await?;
        }
        let verdict = |row: &&Keyed<'_>| {
            if erased.contains(&row.stamped.pet) {
                return Verdict::Erased;
            }
            there.get(&row.key()).map_or(Verdict::New, |signals| Verdict::There(*signals))
        };
        Ok((rows.iter().map(verdict).collect(), follow))
    }

    fn shards_and_pets(&self, rows: &[&Keyed<'_>]) -> (Vec<i32>, Vec<Uuid>) {
        let runs = rows.chunk_by(|a, b| a.stamped.pet == b.stamped.pet);
        let pets: BTreeSet<PetId> = runs.filter_map(|run| Some(run.first()?.stamped.pet)).collect();
        let shards: BTreeSet<i32> = pets.iter().map(|pet| i32::from(shard_of(*pet, self.shards))).collect();
        (shards.into_iter().collect(), pets.into_iter().map(|pet| pet.0).collect())
    }

    /// Keeps the pets from being erased until the transaction ends, and says which are erased already. The lock is on the
    /// pets' shards: few, however many pets.
    async fn hold_pets(&self, tx: &Tx, rows: &[&Keyed<'_>]) -> Result<HashSet<PetId>, Error> {
        let (shards, pets) = self.shards_and_pets(rows);
        let sql =
            "-- hold_shards\nSELECT pg_advisory_xact_lock_shared($1, shard) FROM unnest($2::int4[]) AS shard";
        tx.query(sql, &[&SHARD_LOCKS, &shards]).await?;
        // A statement of its own: it sees what was committed while the locks were waited for.
        inbox::erased_of(tx, pets.into_iter().map(PetId)).await
    }
}

/// A reading whose key is taken by these signals.
fn again(reading: &Stamped, kept: &Signals) -> Outcome {
    if reading.reading.signals == *kept { Outcome::Duplicate } else { Outcome::Conflicting }
}

/// Which of the keys are there, and with what.
async fn find(tx: &Tx, rows: &[&Keyed<'_>]) -> Result<HashMap<Key, Signals>, Error> {
    let Some((first, last)) = ends(rows) else { return Ok(HashMap::new()) };
    let (keys, times): (Vec<i32>, Vec<Timestamp>) = rows.iter().map(|row| row.key()).unzip();
    let sql = "-- find_readings
        SELECT r.collar_key, r.measured_at, r.heart_rate, r.respiratory_rate, r.temperature, r.skin_temperature,
               r.battery_level, r.accuracy_m, r.longitude_e6, r.latitude_e6, r.sequence_id, r.activity_level
        FROM unnest($1::int4[], $2::timestamptz[]) AS k (collar_key, measured_at)
        CROSS JOIN LATERAL (
            SELECT * FROM readings r
            WHERE r.collar_key = k.collar_key AND r.measured_at = k.measured_at
              AND r.measured_at >= $3 AND r.measured_at <= $4 OFFSET 0
        ) r";
    let found = tx.query(sql, &[&keys, &times, &first, &last]).await?;
    found
        .iter()
        .map(|row| {
            let key = (Error::column(row, "readings", 0)?, Error::column(row, "readings", 1)?);
            Ok((key, columns::signals(row, "readings", 2)?))
        })
        .collect()
}

fn ends(rows: &[&Keyed<'_>]) -> Option<(Timestamp, Timestamp)> {
    let times = || rows.iter().map(|row| row.stamped.reading.measured_at);
    times().min().zip(times().max())
}

/// The keys that were inserted.
async fn insert_missing(tx: &Tx, rows: &[&Keyed<'_>]) -> Result<HashSet<Key>, Error> {
    if rows.is_empty() {
        return Ok(HashSet::new());
    }
    let columns = Columns::of(rows.iter().copied());
    let sql = "-- insert_readings
        INSERT INTO readings (measured_at, pet_id, heart_rate, respiratory_rate, temperature, skin_temperature,
                              battery_level, accuracy_m, collar_key, longitude_e6, latitude_e6, sequence_id,
                              activity_level)
        SELECT * FROM unnest($1::timestamptz[], $2::uuid[], $3::float8[], $4::float8[], $5::float8[], $6::float8[],
                             $7::float8[], $8::float8[], $9::int4[], $10::int4[], $11::int4[], $12::int4[], $13::int2[])
                 AS r (measured_at, pet_id, heart_rate, respiratory_rate, temperature, skin_temperature,
                       battery_level, accuracy_m, collar_key, longitude_e6, latitude_e6, sequence_id, activity_level)
        ON CONFLICT (collar_key, measured_at) DO NOTHING RETURNING collar_key, measured_at";
    let new = tx.query(sql, &columns.parameters()).await?;
    new.iter()
        .map(|row| Ok((Error::column(row, "readings", 0)?, Error::column(row, "readings", 1)?)))
        .collect()
}

/// What follows from rows that were inserted, in the same transaction.
struct Following {
    /// Of pets with collars that were not known to have worn them.
    pairs: BTreeSet<(Uuid, i32)>,
    pair_pets: Vec<Uuid>,
    pair_collars: Vec<i32>,
    newest: Columns,
    /// The same, for Redis.
    served: Vec<Stored>,
    note: Note,
    events: petty_chassis::events::outbox::Batch,
}

impl Following {
    fn of(store: &Store, inserted: &[&Keyed<'_>]) -> Self {
        let pair = |row: &Keyed<'_>| (row.stamped.pet.0, row.collar_key);
        let runs = || inserted.chunk_by(|a, b| pair(a) == pair(b));
        let mut pairs: BTreeSet<(Uuid, i32)> = runs().filter_map(|run| Some(pair(run.first()?))).collect();
        pairs.retain(|pair| !store.pairs.contains(*pair));
        let (pair_pets, pair_collars) = pairs.iter().copied().unzip();
        // Sorted by day, part, collar and time: the last one of a collar stays.
        let newest: BTreeMap<i32, &Keyed<'_>> =
            runs().filter_map(|run| run.last().map(|row| (row.collar_key, *row))).collect();
        let served = store.to_serve(newest.values().map(|row| row.stamped));
        let newest = Columns::of(newest.into_values());
        let note = Note::of(inserted);
        Self { pairs, pair_pets, pair_collars, newest, note, served, events: store.announcement(inserted) }
    }

    fn steps(&self) -> Vec<Step<'_>> {
        let mut steps = Vec::with_capacity(3);
        if !self.pairs.is_empty() {
            let sql = "-- note_pets_collars
                INSERT INTO pet_collars (pet_id, collar_key)
                SELECT pet_id, collar_key FROM unnest($1::uuid[], $2::int4[]) AS p (pet_id, collar_key)
                ON CONFLICT DO NOTHING";
            steps.push(Step::Execute { sql, parameters: vec![&self.pair_pets, &self.pair_collars] });
        }
        // Each collar's newest inserted reading becomes its latest state, unless that is newer still.
        let sql = concat!(
            "-- upsert_latest
            INSERT INTO latest_states AS s (measured_at, pet_id, heart_rate, respiratory_rate, temperature,
                                            skin_temperature, battery_level, accuracy_m, collar_key, longitude_e6,
                                            latitude_e6, sequence_id, activity_level)
            SELECT * FROM unnest($1::timestamptz[], $2::uuid[], $3::float8[], $4::float8[], $5::float8[], $6::float8[],
                                 $7::float8[], $8::float8[], $9::int4[], $10::int4[], $11::int4[], $12::int4[],
                                 $13::int2[])
                     AS r (measured_at, pet_id, heart_rate, respiratory_rate, temperature, skin_temperature,
                           battery_level, accuracy_m, collar_key, longitude_e6, latitude_e6, sequence_id, activity_level)
            ORDER BY collar_key",
            newer_stays!(or_heard)
        );
        let parameters: [&(dyn ToSql + Sync); 13] = self.newest.parameters();
        steps.push(Step::Execute { sql, parameters: parameters.to_vec() });
        steps.push(self.note.step());
        steps
    }

    /// Remembers what is known now. A pair is gone only once its pet is erased, and then none comes again.
    fn committed(self, store: &Store) {
        for pair in self.pairs {
            store.pairs.insert(pair);
        }
        store.serve(self.served);
    }
}

//! Collars that have stopped, by due times.
//!
//! Invariant: a collar is looked at by who holds its row, and what the look finds is written in the same transaction as the
//! event that tells it; rows that another replica holds are skipped. So each silence is told once, whatever is killed when.
//! Times are the database's own, one clock for all replicas.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use petty_chassis::events::{Outgoing, outbox, topics};
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::PetId;
use petty_proto::events::v1::ReadingsSilent;
use uuid::Uuid;

use super::Store;
use crate::domain::silence::{GAPS, Look, Newest, Watch};

const TABLE: &str = "collar_watches";
/// Gaps further back than this tell nothing about how often a collar measures.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);

/// What the looks that were due came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// So many collars were looked at.
    pub collars: usize,
    /// So many have fallen silent.
    pub fell_silent: usize,
}

/// A collar that is due.
struct Due {
    key: i32,
    collar: String,
    pet: Option<PetId>,
    newest: Option<Newest>,
    watch: Watch,
}

impl Store {
    /// Looks at some collars that are due, at most `limit`.
    ///
    /// # Errors
    /// Where the database says no; then nothing was told.
    pub async fn look_at_collars(&self, limit: i64) -> Result<Looked, Error> {
        self.db
            .transaction("look_at_collars", |tx| async move {
                let (now, due) = due(&tx, limit).await?;
                if due.is_empty() {
                    return Ok(Looked::default());
                }
                let wanted =
                    due.iter().filter(|due| due.watch.is_to_learn(due.newest, now)).map(|due| due.key);
                let times = last_times(&tx, wanted.collect(), now).await?;
                let back = due.iter().filter(|due| due.watch.is_back(due.newest));
                let back = back.filter_map(|due| Some((due.key, due.watch.seen?.measured_at)));
                let next = next_times(&tx, back.collect()).await?;
                let looks: Vec<Look> = due
                    .iter()
                    .map(|due| {
                        let times = times.get(&due.key).map(Vec::as_slice).unwrap_or_default();
                        due.watch.look(due.newest, times, next.get(&due.key).copied(), now)
                    })
                    .collect();
                note(&tx, &due, &looks).await?;
                let mut fell_silent = 0;
                for (due, look) in due.iter().zip(&looks).filter(|(_, look)| look.fell_silent) {
                    fell_silent += usize::from(self.tell_silent(&tx, due, look).await?);
                }
                Ok(Looked { collars: due.len(), fell_silent })
            })
            .await
    }

    /// How many collars are silent, how many are not, and how long the look that has waited the longest has been due.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn silence(&self) -> Result<(i64, i64, f64), Error> {
        let sql = "-- silence
            SELECT (SELECT count(*) FROM collar_watches WHERE silent AND seen_at IS NOT NULL),
                   (SELECT count(*) FROM collar_watches WHERE NOT silent),
                   (SELECT greatest(extract(epoch FROM now() - min(look_at)), 0)::float8 FROM collar_watches)";
        self.db
            .read("silence", |tx| async move {
                let row = tx.query_one(sql, &[]).await?;
                let overdue: Option<f64> = Error::column(&row, TABLE, 2)?;
                let (silent, reporting) = (Error::column(&row, TABLE, 0)?, Error::column(&row, TABLE, 1)?);
                Ok((silent, reporting, overdue.unwrap_or_default()))
            })
            .await
    }

    /// What was seen of collars is forgotten: a pet wore them that is.
    pub(super) async fn forget_watches(&self, tx: &Tx, collars: &[i32]) -> Result<(), Error> {
        let sql = "-- forget_watches
            UPDATE collar_watches SET look_at = now(), seen_at = NULL, measured_at = NULL, interval_ms = NULL, learned_at = NULL,
                                      patience_ms = 0, patient_until = NULL, silent = true
            WHERE collar_key = ANY($1)";
        tx.execute(sql, &[&collars]).await.map(|_| ())
    }

    async fn tell_silent(&self, tx: &Tx, due: &Due, look: &Look) -> Result<bool, Error> {
        let (Some(pet), Some(newest)) = (due.pet, due.newest) else { return Ok(false) };
        let event = ReadingsSilent {
            pet_id: pet.to_string(),
            collar_id: due.collar.clone(),
            last_time: Some(newest.measured_at.into()),
            receive_time: Some(newest.received_at.into()),
            interval_seconds: look.watch.own_interval().as_secs_f64(),
        };
        let outgoing = Outgoing::of_pet(&topics::READINGS_SILENT, pet, 0, self.shards, &event);
        outbox::write(tx, &self.clock, &outgoing).await?;
        Ok(true)
    }
}

/// Who is due, locked, and the database's time.
async fn due(tx: &Tx, limit: i64) -> Result<(Timestamp, Vec<Due>), Error> {
    // A collar of a pet that is forgotten has no latest state of it.
    let sql = "-- due_collars
        SELECT now(), w.collar_key, c.collar_id, s.pet_id, s.received_at, s.measured_at, w.seen_at, w.measured_at,
               w.interval_ms, w.learned_at, w.patience_ms, w.patient_until, w.silent
        FROM collar_watches w
        JOIN collars c ON c.collar_key = w.collar_key
        LEFT JOIN latest_states s ON s.collar_key = w.collar_key
        WHERE w.look_at <= now() ORDER BY w.look_at LIMIT $1
        FOR UPDATE OF w SKIP LOCKED";
    let rows = tx.query(sql, &[&limit]).await?;
    let now = match rows.first() {
        Some(row) => Error::column(row, TABLE, 0)?,
        None => Timestamp::UNIX_EPOCH,
    };
    let due = rows.iter().map(read).collect::<Result<Vec<Due>, Error>>()?;
    Ok((now, due))
}

fn read(row: &Row) -> Result<Due, Error> {
    let newest = |received, measured| -> Result<Option<Newest>, Error> {
        let received: Option<Timestamp> = Error::column(row, TABLE, received)?;
        let measured: Option<Timestamp> = Error::column(row, TABLE, measured)?;
        let both = received.zip(measured);
        Ok(both.map(|(received_at, measured_at)| Newest { received_at, measured_at }))
    };
    let millis = |millis: i32| SignedDuration::from_millis(i64::from(millis));
    let interval: Option<i32> = Error::column(row, TABLE, 8)?;
    let learned_at: Option<Timestamp> = Error::column(row, TABLE, 9)?;
    let patience: i32 = Error::column(row, TABLE, 10)?;
    let patient_until: Option<Timestamp> = Error::column(row, TABLE, 11)?;
    let pet: Option<Uuid> = Error::column(row, TABLE, 3)?;
    Ok(Due {
        key: Error::column(row, TABLE, 1)?,
        collar: Error::column(row, TABLE, 2)?,
        pet: pet.map(PetId),
        newest: newest(4, 5)?,
        watch: Watch {
            seen: newest(6, 7)?,
            interval: interval.map(millis).zip(learned_at),
            patience: patient_until.map(|until| (millis(patience), until)),
            silent: Error::column(row, TABLE, 12)?,
        },
    })
}

/// The times of the last readings of collars, the newest first.
async fn last_times(tx: &Tx, keys: Vec<i32>, now: Timestamp) -> Result<BTreeMap<i32, Vec<Timestamp>>, Error> {
    let mut times: BTreeMap<i32, Vec<Timestamp>> = BTreeMap::new();
    if keys.is_empty() {
        return Ok(times);
    }
    let sql = "-- last_times
        SELECT k.collar_key, r.measured_at FROM unnest($1::int4[]) AS k (collar_key)
        CROSS JOIN LATERAL (
            SELECT r.measured_at FROM readings r WHERE r.collar_key = k.collar_key AND r.measured_at >= $2
            ORDER BY r.measured_at DESC LIMIT $3
        ) r ORDER BY k.collar_key, r.measured_at DESC";
    let since = now.checked_sub(LOOK_BACK).unwrap_or(Timestamp::UNIX_EPOCH);
    let limit = i64::try_from(GAPS + 1).unwrap_or(i64::MAX);
    for row in tx.query(sql, &[&keys, &since, &limit]).await? {
        times
            .entry(Error::column(&row, "readings", 0)?)
            .or_default()
            .push(Error::column(&row, "readings", 1)?);
    }
    Ok(times)
}

/// When the first reading after a time was measured, of each collar that has one.
async fn next_times(tx: &Tx, after: Vec<(i32, Timestamp)>) -> Result<BTreeMap<i32, Timestamp>, Error> {
    if after.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (keys, times): (Vec<i32>, Vec<Timestamp>) = after.into_iter().unzip();
    let sql = "-- next_times
        SELECT k.collar_key, r.measured_at FROM unnest($1::int4[], $2::timestamptz[]) AS k (collar_key, after)
        CROSS JOIN LATERAL (
            SELECT r.measured_at FROM readings r WHERE r.collar_key = k.collar_key AND r.measured_at > k.after
            ORDER BY r.measured_at LIMIT 1
        ) r";
    let rows = tx.query(sql, &[&keys, &times]).await?;
    rows.iter()
        .map(|row| Ok((Error::column(row, "readings", 0)?, Error::column(row, "readings", 1)?)))
        .collect()
}

async fn note(tx: &Tx, due: &[Due], looks: &[Look]) -> Result<(), Error> {
    let millis = |duration: SignedDuration| i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
    let keys: Vec<i32> = due.iter().map(|due| due.key).collect();
    let look_at: Vec<Timestamp> = looks.iter().map(|look| look.look_at).collect();
    let watches = || looks.iter().map(|look| look.watch);
    let seen_at: Vec<Option<Timestamp>> =
        watches().map(|watch| watch.seen.map(|seen| seen.received_at)).collect();
    let measured_at: Vec<Option<Timestamp>> =
        watches().map(|watch| watch.seen.map(|seen| seen.measured_at)).collect();
    let interval: Vec<Option<i32>> =
        watches().map(|watch| watch.interval.map(|(interval, _)| millis(interval))).collect();
    let learned_at: Vec<Option<Timestamp>> =
        watches().map(|watch| watch.interval.map(|(_, at)| at)).collect();
    let patience: Vec<i32> =
        watches().map(|watch| watch.patience.map_or(0, |(late, _)| millis(late))).collect();
    let patient_until: Vec<Option<Timestamp>> =
        watches().map(|watch| watch.patience.map(|(_, until)| until)).collect();
    let silent: Vec<bool> = watches().map(|watch| watch.silent).collect();
    let sql = "-- note_looks
        UPDATE collar_watches w
        SET look_at = l.look_at, seen_at = l.seen_at, measured_at = l.measured_at, interval_ms = l.interval_ms,
            learned_at = l.learned_at, patience_ms = l.patience_ms, patient_until = l.patient_until, silent = l.silent
        FROM unnest($1::int4[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::int4[], $6::timestamptz[],
                    $7::int4[], $8::timestamptz[], $9::bool[])
                 AS l (collar_key, look_at, seen_at, measured_at, interval_ms, learned_at, patience_ms, patient_until, silent)
        WHERE w.collar_key = l.collar_key";
    let noted = tx
        .execute(
            sql,
            &[
                &keys,
                &look_at,
                &seen_at,
                &measured_at,
                &interval,
                &learned_at,
                &patience,
                &patient_until,
                &silent,
            ],
        )
        .await?;
    if usize::try_from(noted) == Ok(keys.len()) {
        Ok(())
    } else {
        Err(Error::Inconsistent { table: TABLE, column: "collar_key".to_owned() })
    }
}

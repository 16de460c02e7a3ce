//! The days of which totals are told.
//!
//! Invariant: a day is due from the first change after its totals were told until they are told again, and told by whoever
//! takes the due time away, under the pet's lock.

use jiff::Timestamp;
use jiff::civil::Date;
use petty_chassis::calendar::Bounds;
use petty_chassis::postgres::{Error, Row, ToSql, Tx};
use petty_chassis::types::{Clock, PetId, micros};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::{Behavior, Stretch, Totals};

const TABLE: &str = "days";

/// A day whose time had come, taken.
#[derive(Debug)]
pub(crate) struct Taken {
    /// How often it was told before.
    pub(crate) version: i32,
    /// What was told the last time.
    pub(crate) totals: Option<Totals>,
}

/// A day that changed, with the time it is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) pet: PetId,
    pub(crate) date: Date,
    pub(crate) at: Timestamp,
}

/// Notes that days changed. One that is due already stays so. The caller holds the locks of all their pets.
pub(crate) async fn touch(tx: &Tx, clock: &Clock, days: &[Due]) -> Result<(), Error> {
    if days.is_empty() {
        return Ok(());
    }
    let pets: Vec<Uuid> = days.iter().map(|due| due.pet.0).collect();
    let dates: Vec<Date> = days.iter().map(|due| due.date).collect();
    let dues: Vec<Timestamp> = days.iter().map(|due| micros(due.at)).collect();
    let sql = "-- touch_days\nINSERT INTO days (pet_id, date, due_at, updated_at)
               SELECT new.pet_id, new.date, new.due_at, $4
               FROM unnest($1::uuid[], $2::date[], $3::timestamptz[]) AS new (pet_id, date, due_at)
               ON CONFLICT (pet_id, date) DO UPDATE SET due_at = EXCLUDED.due_at, updated_at = EXCLUDED.updated_at
               WHERE days.due_at IS NULL";
    tx.execute(sql, &[&pets, &dates, &dues, &micros(clock.now())]).await.map(|_| ())
}

/// Makes all of a pet's days since one due again, and those beside them: by another clock something of them may be of these.
pub(crate) async fn reopen(
    tx: &Tx,
    clock: &Clock,
    pet: PetId,
    since: Date,
    due: Timestamp,
) -> Result<(), Error> {
    let sql = "-- reopen_days\nUPDATE days SET due_at = $3, updated_at = $4 WHERE pet_id = $1 AND date >= $2 AND due_at IS NULL";
    let parameters: [&(dyn ToSql + Sync); 4] = [&pet.0, &since, &micros(due), &micros(clock.now())];
    tx.execute(sql, &parameters).await?;
    let sql = "-- open_days_beside\nINSERT INTO days (pet_id, date, due_at, updated_at)
               SELECT $1, d.date + beside, $3, $4 FROM days d CROSS JOIN unnest(ARRAY[-1, 1]) AS beside
               WHERE d.pet_id = $1 AND d.date >= $2 ON CONFLICT (pet_id, date) DO NOTHING";
    tx.execute(sql, &parameters).await.map(|_| ())
}

/// Some of the days whose time has come, the longest due first. Nothing is taken yet.
pub(crate) async fn due(tx: &Tx, now: Timestamp, limit: i64) -> Result<Vec<(PetId, Date)>, Error> {
    let sql = "-- list_due_days\nSELECT pet_id, date FROM days WHERE due_at <= $1 ORDER BY due_at, pet_id, date LIMIT $2";
    let rows = tx.query(sql, &[&micros(now), &limit]).await?;
    rows.iter().map(|row| Ok((PetId(Error::column(row, TABLE, 0)?), Error::column(row, TABLE, 1)?))).collect()
}

/// Takes a day whose time has come; `None` where somebody else did. The caller holds the pet's lock.
pub(crate) async fn take(tx: &Tx, clock: &Clock, pet: PetId, date: Date) -> Result<Option<Taken>, Error> {
    let sql = "-- take_due_day\nUPDATE days SET due_at = NULL, updated_at = $3
               WHERE pet_id = $1 AND date = $2 AND due_at <= $3 RETURNING version, totals";
    let Some(row) = tx.query_opt(sql, &[&pet.0, &date, &micros(clock.now())]).await? else { return Ok(None) };
    let totals: Option<Value> = Error::column(&row, TABLE, 1)?;
    let totals = totals.map(serde_json::from_value).transpose().map_err(|_| inconsistent("totals"))?;
    Ok(Some(Taken { version: Error::column(&row, TABLE, 0)?, totals }))
}

/// The days of a pet that were told, since a date, by date.
pub(crate) async fn told(tx: &Tx, pet: PetId, since: Date) -> Result<Vec<(Date, Totals)>, Error> {
    let sql = "-- told_days\nSELECT date, totals FROM days WHERE pet_id = $1 AND totals IS NOT NULL AND date >= $2 ORDER BY date";
    let day = |row: &Row| {
        let totals: Value = Error::column(row, TABLE, 1)?;
        let totals = serde_json::from_value(totals).map_err(|_| inconsistent("totals"))?;
        Ok((Error::column(row, TABLE, 0)?, totals))
    };
    tx.query(sql, &[&pet.0, &since]).await?.iter().map(day).collect()
}

/// Notes what is told of a taken day.
pub(crate) async fn tell(
    tx: &Tx,
    pet: PetId,
    date: Date,
    version: i32,
    totals: &Totals,
) -> Result<(), Error> {
    let totals = serde_json::to_value(totals).map_err(|_| inconsistent("totals"))?;
    let sql = "-- tell_day\nUPDATE days SET version = $3, totals = $4 WHERE pet_id = $1 AND date = $2";
    if tx.execute(sql, &[&pet.0, &date, &version, &totals]).await? == 1 {
        Ok(())
    } else {
        Err(inconsistent("date"))
    }
}

/// What a pet's standing episodes have to do with a span.
pub(crate) async fn stretches(tx: &Tx, pet: PetId, span: Bounds) -> Result<Vec<Stretch>, Error> {
    let sql = "-- list_stretches\nSELECT behavior, start_at, end_at, (evidence ->> 'path_m')::float8, (evidence ->> 'mean_heart_rate')::float8,
                      coalesce((evidence ->> 'with_activity_level')::int8 > 0 OR (evidence ->> 'with_position')::int8 > 1, true)
               FROM episodes WHERE pet_id = $1 AND NOT superseded AND end_at > $2 AND start_at < $3
               ORDER BY start_at, episode_id";
    let rows = tx.query(sql, &[&pet.0, &micros(span.start), &micros(span.end)]).await?;
    rows.iter()
        .map(|row| {
            let behavior: &str = Error::column(row, "episodes", 0)?;
            Ok(Stretch {
                behavior: Behavior::from_slug(behavior).ok_or_else(|| inconsistent("behavior"))?,
                bounds: Bounds {
                    start: Error::column(row, "episodes", 1)?,
                    end: Error::column(row, "episodes", 2)?,
                },
                path_m: Error::column(row, "episodes", 3)?,
                mean_heart_rate: Error::column(row, "episodes", 4)?,
                motion: Error::column(row, "episodes", 5)?,
            })
        })
        .collect()
}

/// Forgets all of a pet's.
pub(crate) async fn delete_all(tx: &Tx, pet: PetId) -> Result<u64, Error> {
    tx.execute("-- delete_days\nDELETE FROM days WHERE pet_id = $1", &[&pet.0]).await
}

fn inconsistent(column: &str) -> Error {
    Error::Inconsistent { table: TABLE, column: column.to_owned() }
}

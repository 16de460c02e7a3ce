//! Days as behavior told them, and how active each pet is beside others of its kind. Written under the pet's lock.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::PetId;

use crate::domain::DayActivity;

const TABLE: &str = "day_activity";
/// So many days of a pet are kept.
pub(crate) const KEPT_DAYS: i64 = 60;
/// So many pets say how active their kind is.
const PEERS: i64 = 500;
/// A pet whose collar told nothing for so long says nothing of its kind.
const FRESH: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Keeps a day at a version; false where the same or a higher one is kept.
pub(crate) async fn put(
    tx: &Tx,
    pet: PetId,
    day: &DayActivity,
    version: i32,
    now: Timestamp,
) -> Result<bool, Error> {
    let sql =
        "-- put_day\nINSERT INTO day_activity (pet_id, date, version, covered_minutes, active_minutes, known_minutes, updated_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)
               ON CONFLICT (pet_id, date) DO UPDATE
               SET version = EXCLUDED.version, covered_minutes = EXCLUDED.covered_minutes,
                   active_minutes = EXCLUDED.active_minutes, known_minutes = EXCLUDED.known_minutes,
                   updated_at = EXCLUDED.updated_at
               WHERE day_activity.version < EXCLUDED.version";
    let DayActivity { date, active_minutes, covered_minutes, known_minutes } = day;
    let touched = tx
        .execute(sql, &[&pet.0, date, &version, covered_minutes, active_minutes, known_minutes, &now])
        .await?;
    Ok(touched == 1)
}

/// Forgets a pet's days before one.
pub(crate) async fn forget(tx: &Tx, pet: PetId, before: Date) -> Result<(), Error> {
    let sql = "-- forget_days\nDELETE FROM day_activity WHERE pet_id = $1 AND date < $2";
    tx.execute(sql, &[&pet.0, &before]).await.map(|_| ())
}

/// A pet's days, newest first.
pub(crate) async fn list(tx: &Tx, pet: PetId) -> Result<Vec<DayActivity>, Error> {
    let sql =
        "-- list_days\nSELECT date, active_minutes, covered_minutes, coalesce(known_minutes, covered_minutes)
               FROM day_activity
               WHERE pet_id = $1 ORDER BY date DESC LIMIT $2";
    let rows = tx.query(sql, &[&pet.0, &KEPT_DAYS]).await?;
    let days = rows.iter().map(|row| {
        Ok(DayActivity {
            date: Error::column(row, TABLE, 0)?,
            active_minutes: Error::column(row, TABLE, 1)?,
            covered_minutes: Error::column(row, TABLE, 2)?,
            known_minutes: Error::column(row, TABLE, 3)?,
        })
    });
    days.collect()
}

/// Keeps how active a pet is for others of its kind, or that it does not say: it is of no kind, or was not measured.
pub(crate) async fn put_peer(
    tx: &Tx,
    pet: PetId,
    known: Option<(&str, f64)>,
    now: Timestamp,
) -> Result<(), Error> {
    let Some((kind, active_minutes)) = known else {
        return tx
            .execute("-- forget_peer\nDELETE FROM peers WHERE pet_id = $1", &[&pet.0])
            .await
            .map(|_| ());
    };
    let sql = "-- put_peer\nINSERT INTO peers (pet_id, kind, active_minutes, updated_at) VALUES ($1, $2, $3, $4)
               ON CONFLICT (pet_id) DO UPDATE
               SET kind = EXCLUDED.kind, active_minutes = EXCLUDED.active_minutes, updated_at = EXCLUDED.updated_at";
    tx.execute(sql, &[&pet.0, &kind, &active_minutes, &now]).await.map(|_| ())
}

/// How active others of a kind are, those measured last first.
pub(crate) async fn peers(tx: &Tx, pet: PetId, kind: &str, now: Timestamp) -> Result<Vec<f64>, Error> {
    let sql = "-- list_peers\nSELECT active_minutes FROM peers WHERE kind = $1 AND pet_id <> $2 AND updated_at >= $3
               ORDER BY updated_at DESC LIMIT $4";
    let rows = tx.query(sql, &[&kind, &pet.0, &(now - FRESH), &PEERS]).await?;
    rows.iter().map(|row| Error::column(row, "peers", 0)).collect()
}

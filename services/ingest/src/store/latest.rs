//! A collar's newest reading: from Redis, and from the database where Redis has none or does not answer; that is where it is
//! rebuilt from.

use jiff::Timestamp;
use petty_chassis::access::Pairing;
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::{CollarId, PetId};
use uuid::Uuid;

use super::{Store, Stored, columns};
use crate::domain::reading::Stamped;
use crate::domain::stamp::seen_through;

/// What becomes of a collar's latest state `s` where there is one: it is the newer of the two. With `or_heard` an older one, where
/// the newer is from ahead, says that the collar is there (its clock was put right); one of more than an hour ago is filled in and does not.
macro_rules! newer_stays {
    () => {
        newer_stays!("")
    };
    (or_heard) => {
        newer_stays!(" OR (s.measured_at > now() AND EXCLUDED.measured_at > now() - interval '1 hour')")
    };
    ($or_heard:literal) => {
        newer_stays!($or_heard => measured_at pet_id heart_rate respiratory_rate temperature skin_temperature battery_level
            accuracy_m longitude_e6 latitude_e6 sequence_id activity_level)
    };
    ($or_heard:literal => $($column:ident)+) => {
        concat!(
            " ON CONFLICT (collar_key) DO UPDATE SET received_at = EXCLUDED.received_at",
            $(", ", stringify!($column), " = CASE WHEN EXCLUDED.measured_at > s.measured_at THEN EXCLUDED.",
              stringify!($column), " ELSE s.", stringify!($column), " END",)+
            " WHERE EXCLUDED.measured_at > s.measured_at", $or_heard
        )
    };
}
pub(super) use newer_stays;

impl Store {
    /// The collar's newest reading that may be seen through the pairings, with the pairing it is seen through.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn newest(
        &self,
        collar: &CollarId,
        pairings: &[Pairing],
    ) -> Result<Option<(Stored, Pairing)>, Error> {
        if let Some(latest) = self.latest_of(collar).await?
            && let Some(pairing) = seen_through(pairings, latest.pet, latest.measured_at)
        {
            return Ok(Some((latest, *pairing)));
        }
        // The collar is somebody else's by now, or was one's that is forgotten: theirs is not shown, the caller's own past is.
        self.db
            .read("newest_within", |tx| async move {
                let Some(newest) = newest_within(&tx, collar, pairings).await? else { return Ok(None) };
                let pairing = seen_through(pairings, newest.pet, newest.measured_at).copied();
                Ok(pairing.map(|pairing| (newest, pairing)))
            })
            .await
    }

    /// These readings, as they are served once they are committed; none where Redis serves nothing.
    pub(super) fn to_serve<'a>(&self, newest: impl Iterator<Item = &'a Stamped>) -> Vec<Stored> {
        if self.realtime.is_none() {
            return Vec::new();
        }
        let stored = newest.map(|stamped| Stored {
            collar: stamped.reading.collar.clone(),
            pet: stamped.pet,
            measured_at: stamped.reading.measured_at,
            signals: stamped.reading.signals,
        });
        stored.collect()
    }

    /// These are committed: each may be its collar's newest from now on.
    pub(super) fn serve(&self, newest: Vec<Stored>) {
        if let Some(realtime) = self.realtime.as_ref().filter(|_| !newest.is_empty()) {
            realtime.note(newest);
        }
    }

    async fn latest_of(&self, collar: &CollarId) -> Result<Option<Stored>, Error> {
        if let Some(realtime) = &self.realtime
            && let Some(newest) = realtime.get(collar).await
        {
            return Ok(Some(newest));
        }
        let found = self.db.read("latest_state", |tx| async move { latest(&tx, collar).await }).await?;
        if let (Some(realtime), Some(found)) = (&self.realtime, &found) {
            realtime.note([found.clone()]);
        }
        Ok(found)
    }
}

async fn latest(tx: &Tx, collar: &CollarId) -> Result<Option<Stored>, Error> {
    let sql = "-- latest_state
        SELECT s.measured_at, s.pet_id, s.heart_rate, s.respiratory_rate, s.temperature, s.skin_temperature,
               s.battery_level, s.accuracy_m, s.longitude_e6, s.latitude_e6, s.sequence_id, s.activity_level
        FROM latest_states s JOIN collars c ON c.collar_key = s.collar_key WHERE c.collar_id = $1";
    let row = tx.query_opt(sql, &[&collar.as_str()]).await?;
    row.map(|row| stored(&row, "latest_states", collar)).transpose()
}

async fn newest_within(tx: &Tx, collar: &CollarId, pairings: &[Pairing]) -> Result<Option<Stored>, Error> {
    let pets: Vec<Uuid> = pairings.iter().map(|pairing| pairing.pet_id.0).collect();
    let starts: Vec<Timestamp> = pairings.iter().map(|pairing| pairing.start).collect();
    let ends: Vec<Option<Timestamp>> = pairings.iter().map(|pairing| pairing.end).collect();
    let sql = "-- newest_within
        SELECT r.measured_at, r.pet_id, r.heart_rate, r.respiratory_rate, r.temperature, r.skin_temperature,
               r.battery_level, r.accuracy_m, r.longitude_e6, r.latitude_e6, r.sequence_id, r.activity_level
        FROM collars c
        CROSS JOIN unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[]) AS p (pet_id, start_at, end_at)
        JOIN pet_collars w ON w.pet_id = p.pet_id AND w.collar_key = c.collar_key
        CROSS JOIN LATERAL (
            SELECT * FROM readings r
            WHERE r.collar_key = c.collar_key AND r.pet_id = p.pet_id
              AND r.measured_at >= p.start_at AND r.measured_at < coalesce(p.end_at, 'infinity')
            ORDER BY r.measured_at DESC LIMIT 1
        ) r
        WHERE c.collar_id = $1 ORDER BY r.measured_at DESC LIMIT 1";
    let row = tx.query_opt(sql, &[&collar.as_str(), &pets, &starts, &ends]).await?;
    row.map(|row| stored(&row, "readings", collar)).transpose()
}

fn stored(row: &Row, table: &'static str, collar: &CollarId) -> Result<Stored, Error> {
    Ok(Stored {
        collar: collar.clone(),
        pet: PetId(Error::column(row, table, 1)?),
        measured_at: Error::column(row, table, 0)?,
        signals: columns::signals(row, table, 2)?,
    })
}

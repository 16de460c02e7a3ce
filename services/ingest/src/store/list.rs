//! A pet's readings of a span of time, newest first, page by page.
//!
//! The collars that the pet has worn, one mostly, are looked up first: what is read of each is then in its order already, and from the partitions
//! that it is in alone.
//!
//! Invariant: a page begins strictly below the place where the one before ended, so that readings that come in between
//! neither repeat nor hide one.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;
use petty_chassis::page::{self, Span};
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::{CollarId, PetId};

use super::{Store, Stored, columns};

/// A page of readings.
pub type Page = page::Page<i32, Span>;
/// The time of a reading and its collar's key, or the start of a span and the least key.
pub type Place = page::Place<i32>;

impl Store {
    /// Each reading.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn list(&self, pet: PetId, page: &Page) -> Result<Vec<(Stored, Place)>, Error> {
        let (start, below, limit) = (page.span.start, below(page), page.limit());
        // A collar's readings are its pet's, nearly all: asked for both plainly, PostgreSQL takes it for the few that would be both by
        // chance, and reads and sorts a whole day for its last thousand. Of this it knows no statistics.
        let sql = "-- list_readings
            SELECT measured_at, heart_rate, respiratory_rate, temperature, skin_temperature, battery_level, accuracy_m,
                   longitude_e6, latitude_e6, sequence_id, activity_level
            FROM readings
            WHERE collar_key = $1 AND coalesce(pet_id = $2, false) AND measured_at >= $3 AND measured_at <= $4
            ORDER BY measured_at DESC LIMIT $5";
        self.db
            .read_partitions("list_readings", |tx| async move {
                let collars = worn(&tx, pet).await?;
                let mut found = Vec::new();
                for (key, collar) in &collars {
                    // Of one time, the collar of the larger key comes first.
                    let end = if *key < below.id { below.time } else { before(below.time) };
                    for row in tx.query(sql, &[key, &pet.0, &start, &end, &limit]).await? {
                        found.push(listed(&row, (*key, collar), pet, 1)?);
                    }
                }
                if collars.len() > 1 {
                    found
                        .sort_unstable_by_key(|(_, place): &(Stored, Place)| Reverse((place.time, place.id)));
                    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
                }
                Ok(found)
            })
            .await
    }

    /// The means of each span of `seconds`, whole minutes that divide a day or whole hours: of every span that begins within
    /// the page's, or that its start lies in. The collar is the one of the span's newest reading. Positions and sequence
    /// numbers have no mean.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn list_means(
        &self,
        pet: PetId,
        page: &Page,
        seconds: i32,
    ) -> Result<Vec<(Stored, Place)>, Error> {
        let (start, below, limit) = (floor(page.span.start, seconds), below(page), page.limit());
        let sql = if seconds % 3_600 == 0 { HOURS } else { MINUTES };
        self.db
            .read_partitions("list_means", |tx| async move {
                let collars = worn(&tx, pet).await?;
                let keys: Vec<i32> = collars.keys().copied().collect();
                let rows = tx.query(sql, &[&keys, &pet.0, &start, &below.time, &seconds, &limit]).await?;
                let listed = rows.iter().map(|row| {
                    let key: i32 = Error::column(row, TABLE, 1)?;
                    let collar = collars.get(&key).ok_or_else(|| inconsistent("collar_key"))?;
                    // Spans are below the one before by their start alone.
                    listed(row, (i32::MIN, collar), pet, 2)
                });
                listed.collect()
            })
            .await
    }
}

/// The collars that a pet has worn, by their keys.
pub(super) async fn worn(tx: &Tx, pet: PetId) -> Result<BTreeMap<i32, CollarId>, Error> {
    let sql = "-- worn_collars
        SELECT collar_key, collar_id FROM pet_collars JOIN collars USING (collar_key) WHERE pet_id = $1";
    let collar = |row: &Row| {
        let id: &str = Error::column(row, "collars", 1)?;
        Ok((Error::column(row, "collars", 0)?, id.parse().map_err(|_| inconsistent("collar_id"))?))
    };
    tx.query(sql, &[&pet.0]).await?.iter().map(collar).collect()
}

/// The same statement over two tables: sums are added up before they are divided. The collar of the newest reading is found as the largest pair,
/// without sorting each span's: doubles hold microseconds of these centuries, and every key.
macro_rules! list_means {
    ($name:literal, $table:literal) => {
        concat!(
            "-- ",
            $name,
            "
            SELECT date_bin(make_interval(secs => $5::int4), span_start, 'epoch'::timestamptz),
                   (max(ARRAY[date_part('epoch', newest_at), collar_key::float8]))[2]::int4,
                   sum(heart_rate_sum) / nullif(sum(heart_rate_count), 0),
                   sum(respiratory_rate_sum) / nullif(sum(respiratory_rate_count), 0),
                   sum(temperature_sum) / nullif(sum(temperature_count), 0),
                   sum(skin_temperature_sum) / nullif(sum(skin_temperature_count), 0),
                   sum(battery_level_sum) / nullif(sum(battery_level_count), 0),
                   NULL::float8 AS accuracy_m, NULL::int4 AS longitude_e6, NULL::int4 AS latitude_e6,
                   NULL::int4 AS sequence_id,
                   round(sum(activity_level_sum) / nullif(sum(activity_level_count), 0))::int2
            FROM ",
            $table,
            "
            WHERE collar_key = ANY($1) AND pet_id = $2 AND span_start >= $3 AND span_start < $4
            GROUP BY 1 ORDER BY 1 DESC LIMIT $6"
        )
    };
}
const MINUTES: &str = list_means!("list_minutes", "readings_minute");
const HOURS: &str = list_means!("list_hours", "readings_hour");
const TABLE: &str = "readings";

/// The start of the span that a time is in.
fn floor(time: Timestamp, seconds: i32) -> Timestamp {
    let second = time.as_microsecond().div_euclid(1_000_000);
    Timestamp::from_second(second - second.rem_euclid(i64::from(seconds.max(1)))).unwrap_or(time)
}

/// The microsecond before one.
fn before(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond().saturating_sub(1)).unwrap_or(time)
}

/// Where the page before ended, or the place above all that is before the span's end.
fn below(page: &Page) -> Place {
    page.after.unwrap_or(Place { time: page.span.end, id: i32::MIN })
}

/// A row that begins with a time and has signals from a column on; its place is by this key.
fn listed(
    row: &Row,
    (id, collar): (i32, &CollarId),
    pet: PetId,
    signals: usize,
) -> Result<(Stored, Place), Error> {
    let time: Timestamp = Error::column(row, TABLE, 0)?;
    let signals = columns::signals(row, TABLE, signals)?;
    Ok((Stored { collar: collar.clone(), pet, measured_at: time, signals }, Place { time, id }))
}

fn inconsistent(column: &str) -> Error {
    Error::Inconsistent { table: "collars", column: column.to_owned() }
}

//! A pet's readings of a span of time, newest first, page by page.
//!
//! Invariant: a page begins strictly below the place where the one before ended, so that readings that come in between
//! neither repeat nor hide one.

use jiff::Timestamp;
use petty_chassis::page::{self, Span};
use petty_chassis::postgres::{Error, Row};
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
        let sql = "-- list_readings
            SELECT r.measured_at, r.collar_key, c.collar_id, r.heart_rate, r.respiratory_rate, r.temperature,
                   r.skin_temperature, r.battery_level, r.accuracy_m, r.longitude_e6, r.latitude_e6, r.sequence_id,
                   r.activity_level
            FROM pet_collars p
            JOIN collars c ON c.collar_key = p.collar_key
            CROSS JOIN LATERAL (
                SELECT * FROM readings r
                WHERE r.collar_key = p.collar_key AND r.pet_id = p.pet_id
                  AND r.measured_at >= $2 AND r.measured_at <= $3 AND (r.measured_at, r.collar_key) < ($3, $4)
                ORDER BY r.measured_at DESC LIMIT $5
            ) r
            WHERE p.pet_id = $1 ORDER BY r.measured_at DESC, r.collar_key DESC LIMIT $5";
        self.db
            .read_partitions("list_readings", |tx| async move {
                let rows = tx.query(sql, &[&pet.0, &start, &below.time, &below.id, &limit]).await?;
                rows.iter().map(|row| listed(row, pet)).collect()
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
                let rows = tx.query(sql, &[&pet.0, &start, &below.time, &seconds, &limit]).await?;
                let listed = rows.iter().map(|row| {
                    let (stored, place) = listed(row, pet)?;
                    // Spans are below the one before by their start alone.
                    Ok((stored, Place { id: i32::MIN, ..place }))
                });
                listed.collect()
            })
            .await
    }
}

/// The same statement over two tables: sums are added up before they are divided. The collar of the newest reading is found as the largest pair,
/// without sorting each span's: doubles hold microseconds of these centuries, and every key.
macro_rules! list_means {
    ($name:literal, $table:literal) => {
        concat!(
            "-- ",
            $name,
            "
            SELECT m.span_start, m.collar_key, c.collar_id, m.heart_rate, m.respiratory_rate, m.temperature,
                   m.skin_temperature, m.battery_level, NULL::float8 AS accuracy_m, NULL::int4 AS longitude_e6,
                   NULL::int4 AS latitude_e6, NULL::int4 AS sequence_id, m.activity_level
            FROM (
                SELECT date_bin(make_interval(secs => $4::int4), r.span_start, 'epoch'::timestamptz) AS span_start,
                       (max(ARRAY[date_part('epoch', r.newest_at), r.collar_key::float8]))[2]::int4 AS collar_key,
                       sum(r.heart_rate_sum) / nullif(sum(r.heart_rate_count), 0) AS heart_rate,
                       sum(r.respiratory_rate_sum) / nullif(sum(r.respiratory_rate_count), 0) AS respiratory_rate,
                       sum(r.temperature_sum) / nullif(sum(r.temperature_count), 0) AS temperature,
                       sum(r.skin_temperature_sum) / nullif(sum(r.skin_temperature_count), 0) AS skin_temperature,
                       sum(r.battery_level_sum) / nullif(sum(r.battery_level_count), 0) AS battery_level,
                       round(sum(r.activity_level_sum) / nullif(sum(r.activity_level_count), 0))::int2
                           AS activity_level
                FROM pet_collars p
                JOIN ",
            $table,
            " r ON r.collar_key = p.collar_key AND r.pet_id = p.pet_id
                WHERE p.pet_id = $1 AND r.span_start >= $2 AND r.span_start < $3
                GROUP BY 1 ORDER BY 1 DESC LIMIT $5
            ) m
            JOIN collars c ON c.collar_key = m.collar_key ORDER BY m.span_start DESC"
        )
    };
}
const MINUTES: &str = list_means!("list_minutes", "readings_minute");
const HOURS: &str = list_means!("list_hours", "readings_hour");

/// The start of the span that a time is in.
fn floor(time: Timestamp, seconds: i32) -> Timestamp {
    let second = time.as_microsecond().div_euclid(1_000_000);
    Timestamp::from_second(second - second.rem_euclid(i64::from(seconds.max(1)))).unwrap_or(time)
}

/// Where the page before ended, or the place above all that is before the span's end.
fn below(page: &Page) -> Place {
    page.after.unwrap_or(Place { time: page.span.end, id: i32::MIN })
}

fn listed(row: &Row, pet: PetId) -> Result<(Stored, Place), Error> {
    const TABLE: &str = "readings";
    let time: Timestamp = Error::column(row, TABLE, 0)?;
    let place = Place { time, id: Error::column(row, TABLE, 1)? };
    let collar: &str = Error::column(row, "collars", 2)?;
    let collar: CollarId = collar
        .parse()
        .map_err(|_| Error::Inconsistent { table: "collars", column: "collar_id".to_owned() })?;
    let signals = columns::signals(row, TABLE, 3)?;
    Ok((Stored { collar, pet, measured_at: time, signals }, place))
}

//! A pet's readings of a span of time, newest first, page by page.
//!
//! The collars that the pet has worn, one mostly, are looked up first: what is read of each is then in its order already, and from the partitions
//! that it is in alone.
//!
//! Invariants: a page begins strictly below the place where the one before ended, so that readings that come in between
//! neither repeat nor hide one; however many collars a pet has worn, no more is held than a page and what is read of one more collar.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::LazyLock;

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
                let (mut found, mut start) = (Vec::new(), start);
                for (key, collar) in &collars {
                    // Of one time, the collar of the larger key comes first.
                    let end = if *key < below.id { below.time } else { before(below.time) };
                    for row in tx.query(sql, &[key, &pet.0, &start, &end, &limit]).await? {
                        found.push(listed(&row, (*key, collar), pet, 1)?);
                    }
                    if collars.len() > 1 {
                        start = keep_newest(&mut found, limit).unwrap_or(start);
                    }
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
        let of_hours = seconds % 3_600 == 0;
        // The sums' own spans are not added up.
        let as_summed = seconds == if of_hours { 3_600 } else { 60 };
        self.db
            .read_partitions("list_means", |tx| async move {
                let collars = worn(&tx, pet).await?;
                // One mostly: whose collar a span's newest reading is from need not be found out then.
                let only = collars.iter().next().filter(|_| collars.len() == 1);
                let rows = match only {
                    Some((key, _)) if as_summed => {
                        let sql = EACH.over(of_hours);
                        tx.query(sql, &[key, &pet.0, &start, &below.time, &limit]).await?
                    }
                    Some((key, _)) => {
                        let sql = OF_COLLAR.over(of_hours);
                        tx.query(sql, &[key, &pet.0, &start, &below.time, &limit, &seconds]).await?
                    }
                    None => {
                        let sql = OF_COLLARS.over(of_hours);
                        let keys: Vec<i32> = collars.keys().copied().collect();
                        tx.query(sql, &[&keys, &pet.0, &start, &below.time, &limit, &seconds]).await?
                    }
                };
                let listed = rows.iter().map(|row| {
                    let collar = match only {
                        Some((_, collar)) => Some(collar),
                        None => collars.get(&Error::column(row, TABLE, 1)?),
                    };
                    let collar = collar.ok_or_else(|| inconsistent("collar_key"))?;
                    // Spans are below the one before by their start alone.
                    listed(row, (i32::MIN, collar), pet, if only.is_some() { 1 } else { 2 })
                });
                listed.collect()
            })
            .await
    }
}

/// Keeps as many as a page has of what was found so far, in their order. Once there are so many: the time of the last one, before which nothing of
/// the other collars is on the page. One of that time may be, for their keys are larger.
fn keep_newest(found: &mut Vec<(Stored, Place)>, limit: i64) -> Option<Timestamp> {
    found.sort_unstable_by_key(|(_, place)| Reverse((place.time, place.id)));
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    found.truncate(limit);
    if found.len() < limit { None } else { found.last().map(|(_, place)| place.time) }
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

/// The same statement over sums of minutes and of hours.
struct Means {
    minutes: String,
    hours: String,
}

impl Means {
    /// Of a row's beginning, of how sums of several spans are added up before they are divided, of which rows, and in which order.
    fn new(name: &str, begins: &str, add: &str, of: &str, order: &str) -> Self {
        let mean = |signal| format!("{add}({signal}_sum) / nullif({add}({signal}_count), 0)");
        let [heart, breath, warmth, skin, battery] =
            ["heart_rate", "respiratory_rate", "temperature", "skin_temperature", "battery_level"].map(mean);
        let over = |spans: &str, table: &str| {
            format!(
                "-- {name}_{spans}
                SELECT {begins}, {heart}, {breath}, {warmth}, {skin}, {battery},
                       NULL::float8 AS accuracy_m, NULL::int4 AS longitude_e6, NULL::int4 AS latitude_e6,
                       NULL::int4 AS sequence_id,
                       round({add}(activity_level_sum)::numeric / nullif({add}(activity_level_count), 0))::int2
                FROM {table}
                WHERE {of} AND span_start >= $3 AND span_start < $4
                {order} DESC LIMIT $5"
            )
        };
        Self { minutes: over("minutes", "readings_minute"), hours: over("hours", "readings_hour") }
    }

    fn over(&self, hours: bool) -> &str {
        if hours { &self.hours } else { &self.minutes }
    }
}

const SPAN: &str = "date_bin(make_interval(secs => $6::int4), span_start, 'epoch'::timestamptz)";
/// Of the pet as in `list_readings`.
const OF_ONE: &str = "collar_key = $1 AND coalesce(pet_id = $2, false)";
const BY_SPAN: &str = "GROUP BY 1 ORDER BY 1";
/// One collar's spans as they were summed.
static EACH: LazyLock<Means> =
    LazyLock::new(|| Means::new("list_each", "span_start", "", OF_ONE, "ORDER BY span_start"));
/// One collar's longer spans.
static OF_COLLAR: LazyLock<Means> =
    LazyLock::new(|| Means::new("list_of_collar", SPAN, "sum", OF_ONE, BY_SPAN));
/// Several collars' spans. The collar of the newest reading is found as the largest pair, without sorting each span's: doubles hold microseconds
/// of these centuries, and every key.
static OF_COLLARS: LazyLock<Means> = LazyLock::new(|| {
    let newest = "(max(ARRAY[date_part('epoch', newest_at), collar_key::float8]))[2]::int4";
    let of = "collar_key = ANY($1) AND pet_id = $2";
    Means::new("list_of_collars", &format!("{SPAN}, {newest}"), "sum", of, BY_SPAN)
});
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reading::Signals;

    fn found(places: &[(i64, i32)]) -> Vec<(Stored, Place)> {
        let one = |&(second, id): &(i64, i32)| {
            let time = Timestamp::from_second(second).unwrap();
            let collar = format!("collar-{id}").parse().unwrap();
            let pet = PetId(uuid::Uuid::nil());
            (Stored { collar, pet, measured_at: time, signals: Signals::default() }, Place { time, id })
        };
        places.iter().map(one).collect()
    }

    fn places(found: &[(Stored, Place)]) -> Vec<(i64, i32)> {
        found.iter().map(|(_, place)| (place.time.as_second(), place.id)).collect()
    }

    #[test]
    fn of_several_collars_a_page_is_kept_and_what_is_older_is_not_asked_for() {
        let mut kept = found(&[(9, 1), (5, 1)]);
        assert_eq!(keep_newest(&mut kept, 3), None, "anything may be on a page that is not full");
        kept.extend(found(&[(8, 2), (5, 2), (1, 2)]));
        assert_eq!(keep_newest(&mut kept, 3), Some(Timestamp::from_second(5).unwrap()));
        assert_eq!(places(&kept), [(9, 1), (8, 2), (5, 2)]);
        // One of the last one's time, of a larger key: it comes before it.
        kept.extend(found(&[(5, 3)]));
        assert_eq!(keep_newest(&mut kept, 3), Some(Timestamp::from_second(5).unwrap()));
        assert_eq!(places(&kept), [(9, 1), (8, 2), (5, 3)]);
    }
}

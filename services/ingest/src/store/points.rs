//! How finely a span is answered where nobody said so.

use jiff::{SignedDuration, Timestamp};
use petty_chassis::page::Span;
use petty_chassis::postgres::Error;
use petty_chassis::types::PetId;

use super::list::worn;
use super::{Retention, Store};
use crate::domain::view::Points;

/// So many hours are asked for how many readings they have, before readings are counted.
const HOURS: i64 = 32;

impl Store {
    /// The finest points of a pet's span that are at most about a thousand: each reading where those are so few and all still
    /// kept, else means of spans that are still kept.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn fitting(&self, pet: PetId, span: Span, kept: Retention) -> Result<Points, Error> {
        let most = Points::MOST + 1;
        let (start, end) = (span.start, span.end);
        let last_hour = end.checked_sub(SignedDuration::from_hours(1)).unwrap_or(Timestamp::MIN);
        let now = self.clock.now();
        let kept_from = |kept: SignedDuration| now.checked_sub(kept).unwrap_or(Timestamp::MIN);
        let dropped_before = kept_from(kept.raw);
        // In order, so that it walks an index until it has enough of them, instead of finding all first; of the pet as in `list_readings`.
        let sql = "-- count_readings
            SELECT count(*) FROM (
                SELECT FROM readings
                WHERE collar_key = $1 AND coalesce(pet_id = $2, false) AND measured_at >= $3 AND measured_at < $4
                ORDER BY measured_at DESC LIMIT $5
            ) r";
        // Mostly a few whole hours have more than that. What is summed lags behind, so they are never more than there are.
        let summed = "-- count_hours
            SELECT coalesce(sum(readings), 0)::int8 FROM (
                SELECT readings FROM readings_hour
                WHERE collar_key = $1 AND coalesce(pet_id = $2, false)
                  AND span_start >= $3 AND span_start <= $4
                ORDER BY span_start DESC LIMIT $5
            ) h";
        let older = "-- older_hours
            SELECT EXISTS (
                SELECT FROM readings_hour
                WHERE collar_key = ANY($1) AND pet_id = $2
                  AND span_start >= $3 AND span_start < least($4::timestamptz, $5::timestamptz)
            )";
        let each = self
            .db
            .read_partitions("fitting_points", |tx| async move {
                let keys: Vec<i32> = worn(&tx, pet).await?.into_keys().collect();
                let mut count = 0;
                for key in &keys {
                    let row = tx.query_one(summed, &[key, &pet.0, &start, &last_hour, &HOURS]).await?;
                    if count + Error::column::<i64>(&row, "readings_hour", 0)? > Points::MOST {
                        return Ok(false);
                    }
                    let row = tx.query_one(sql, &[key, &pet.0, &start, &end, &most]).await?;
                    count += Error::column::<i64>(&row, "readings", 0)?;
                    if count > Points::MOST {
                        return Ok(false);
                    }
                }
                if start >= dropped_before {
                    return Ok(true);
                }
                let row = tx.query_one(older, &[&keys, &pet.0, &start, &end, &dropped_before]).await?;
                Error::column::<bool>(&row, "readings_hour", 0).map(|older| !older)
            })
            .await?;
        let least = if start < kept_from(kept.minutes) { Points::HOUR } else { Points::MINUTE };
        Ok(if each { Points::Each } else { Points::spanning(end.duration_since(start), least) })
    }
}

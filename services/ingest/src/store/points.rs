//! How finely a span is answered where nobody said so.

use jiff::{SignedDuration, Timestamp};
use petty_chassis::page::Span;
use petty_chassis::postgres::Error;
use petty_chassis::types::PetId;

use super::Store;
use crate::domain::view::Points;

impl Store {
    /// The finest points of a pet's span that are at most about a thousand: each reading where those are so few and all still
    /// kept, else means.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn fitting(&self, pet: PetId, span: Span, kept: SignedDuration) -> Result<Points, Error> {
        let most = Points::MOST + 1;
        let (start, end) = (span.start, span.end);
        let dropped_before = self.clock.now().checked_sub(kept).unwrap_or(Timestamp::MIN);
        // In order, so that it walks an index until it has enough of them, instead of finding all first.
        let sql = "-- count_readings
            SELECT count(*) FROM (
                SELECT FROM pet_collars p
                CROSS JOIN LATERAL (
                    SELECT FROM readings r
                    WHERE r.collar_key = p.collar_key AND r.pet_id = p.pet_id
                      AND r.measured_at >= $2 AND r.measured_at < $3
                    ORDER BY r.measured_at DESC LIMIT $4
                ) r
                WHERE p.pet_id = $1 LIMIT $4
            ) r";
        let older = "-- older_hours
            SELECT EXISTS (
                SELECT FROM pet_collars p
                JOIN readings_hour r ON r.collar_key = p.collar_key AND r.pet_id = p.pet_id
                WHERE p.pet_id = $1 AND r.span_start >= $2 AND r.span_start < least($3::timestamptz, $4::timestamptz)
            )";
        let each = self
            .db
            .read_partitions("fitting_points", |tx| async move {
                let row = tx.query_one(sql, &[&pet.0, &start, &end, &most]).await?;
                if Error::column::<i64>(&row, "readings", 0)? > Points::MOST {
                    return Ok(false);
                }
                if start >= dropped_before {
                    return Ok(true);
                }
                let row = tx.query_one(older, &[&pet.0, &start, &end, &dropped_before]).await?;
                Error::column::<bool>(&row, "readings_hour", 0).map(|older| !older)
            })
            .await?;
        Ok(if each { Points::Each } else { Points::spanning(end.duration_since(start)) })
    }
}

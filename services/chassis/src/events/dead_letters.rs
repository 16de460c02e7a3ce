//! Failures that would happen again, counted in the consumer's own database, and what is given up on.
//!
//! Invariants: a dead letter's row is there exactly as long as its part was not applied, dropped or forgotten; it holds its own
//! pet's part of the event and nobody else's, but where the event could not be split. It comes with its inbox row, but where the
//! inbox refuses the event: that is refused whenever it comes again. One that was dated ahead is refused no more once its day has
//! come: where it comes again then it is applied, and its dead letter, which stays, is not.

mod letter;
pub(super) mod outline;

use jiff::{SignedDuration, Timestamp};
use opentelemetry::KeyValue;
use petty_proto::events::v1::Envelope;
use prost::Message as _;

pub(super) use letter::{Letter, Reason, delete, failed_again, find, hold, list, waiting};

use super::{Event, inbox};
use crate::postgres::{Error, Tx};
use crate::types::{Clock, PetId, micros};

/// How long they are kept.
pub(super) const KEPT: SignedDuration = SignedDuration::from_hours(14 * 24);

/// So many deterministic failures of one pet's part end in a dead letter.
pub(super) const LIMIT: i32 = 5;

/// Counts a failure; how many there were so far. `None` where the part was handled or given up on meanwhile, by another who had
/// the same event: the row of failures makes them wait for each other, so whoever comes last sees the inbox row, or the dead letter.
pub(super) async fn count(
    tx: &Tx,
    clock: &Clock,
    event: &Event,
    pet: PetId,
    error: &str,
) -> Result<Option<i32>, Error> {
    let sql = "-- count_failure\nINSERT INTO event_failures (event_id, pet_id, failures, last_error, failed_at)
               VALUES ($1, $2, 1, $3, $4) ON CONFLICT (event_id, pet_id) DO UPDATE
               SET failures = event_failures.failures + 1, last_error = EXCLUDED.last_error, failed_at = EXCLUDED.failed_at
               RETURNING failures";
    let row = tx.query_one(sql, &[&event.id.0, &pet.0, &error, &clock.now()]).await?;
    // A statement of its own: it sees what was committed while the row was waited for.
    let sql = "-- forget_handled\nDELETE FROM event_failures WHERE event_id = $1 AND pet_id = $2
               AND (EXISTS (SELECT 1 FROM event_inbox WHERE event_id = $1 AND pet_id = $2)
                    OR EXISTS (SELECT 1 FROM event_dead_letters WHERE event_id = $1 AND pet_id = $2))";
    let handled = tx.execute(sql, &[&event.id.0, &pet.0]).await? == 1;
    if handled { Ok(None) } else { Error::column(&row, "event_failures", 0).map(Some) }
}

/// Gives up on one pet's part: a row beside the inbox row, so that it is neither lost nor handled again. `event` is the event
/// with that part alone. What the inbox refuses has no partition there: its dead letter stands alone.
pub(super) async fn bury(
    tx: &Tx,
    clock: &Clock,
    event: &Event,
    pet: PetId,
    reason: Reason,
    error: &str,
) -> Result<(), Error> {
    let now = micros(clock.now());
    if !is_alone(event, now) {
        inbox::take(tx, event, pet).await?;
    }
    insert(
        tx,
        now,
        &Row {
            event_id: event.id.0,
            pet,
            topic: event.topic.name,
            source: &event.source,
            shard: event.shard,
            number: event.number,
            reason,
            error,
            envelope: &Envelope::from(event).encode_to_vec(),
        },
    )
    .await?;
    let sql = "-- forget_failure\nDELETE FROM event_failures WHERE event_id = $1 AND pet_id = $2";
    tx.execute(sql, &[&event.id.0, &pet.0]).await.map(|_| ())
}

/// Whether the dead letter of an event has no inbox row, by when it was buried.
pub(super) fn is_alone(event: &Event, buried_at: Timestamp) -> bool {
    inbox::refuses(event, buried_at).is_some()
}

/// Gives up on bytes that are no envelope.
pub(super) async fn bury_bytes(
    tx: &Tx,
    clock: &Clock,
    topic: &'static str,
    shard: i16,
    bytes: &[u8],
    error: &str,
) -> Result<(), Error> {
    let event_id = super::id_of_bytes(bytes).0;
    insert(
        tx,
        micros(clock.now()),
        &Row {
            event_id,
            pet: PetId(uuid::Uuid::nil()),
            topic,
            source: "",
            shard,
            number: 0,
            reason: Reason::BadEnvelope,
            error,
            envelope: bytes,
        },
    )
    .await
}

struct Row<'a> {
    event_id: uuid::Uuid,
    pet: PetId,
    topic: &'a str,
    source: &'a str,
    shard: i16,
    number: i64,
    reason: Reason,
    error: &'a str,
    envelope: &'a [u8],
}

async fn insert(tx: &Tx, now: Timestamp, row: &Row<'_>) -> Result<(), Error> {
    let sql = "-- bury\nINSERT INTO event_dead_letters
               (event_id, pet_id, topic, source, shard, number, reason, error, envelope, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING";
    let Row { event_id, pet, topic, source, shard, number, reason, error, envelope } = row;
    let reason = reason.as_str();
    tx.execute(sql, &[event_id, &pet.0, topic, source, shard, number, &reason, error, envelope, &now])
        .await?;
    let labels = [KeyValue::new("topic", (*topic).to_owned()), KeyValue::new("reason", reason)];
    tx.after_commit(move || {
        let meter = crate::telemetry::meter();
        let counter = meter.u64_counter("petty_dead_letters");
        counter.with_description("Parts of events that were given up on").build().add(1, &labels);
    });
    Ok(())
}

//! The outbox: events, written in the transaction that made them true.

use petty_proto::events::v1::DataErased;
use prost::Message;
use uuid::Uuid;

use super::{Topic, shard_of, topics};
use crate::postgres::{Error, Tx};
use crate::types::{Clock, EventId, PetId};

/// An event to be sent.
#[derive(Debug)]
pub struct Outgoing<'a, M> {
    /// Its topic.
    pub topic: &'static Topic,
    /// Whom it is about.
    pub subject: Uuid,
    /// The subject's version, for entity events; 0 for others.
    pub version: i64,
    /// The shard it travels in.
    pub shard: i16,
    /// The payload.
    pub payload: &'a M,
}

impl<'a, M: Message> Outgoing<'a, M> {
    /// An event about one pet.
    #[must_use]
    pub fn of_pet(topic: &'static Topic, pet: PetId, version: i64, shards: i16, payload: &'a M) -> Self {
        Self { topic, subject: pet.0, version, shard: shard_of(pet, shards), payload }
    }
}

/// Writes an event. It leaves when the transaction commits, or never.
///
/// # Errors
/// Where the database says no.
pub async fn write<M: Message>(tx: &Tx, clock: &Clock, event: &Outgoing<'_, M>) -> Result<EventId, Error> {
    let id = EventId::new(clock);
    let now = crate::types::micros(clock.now());
    let sql = "-- write_event\nINSERT INTO event_outbox
               (id, day, topic, shard, subject, version, created_at, schema_version, traceparent, payload)
               VALUES ($1, ($7::timestamptz AT TIME ZONE 'UTC')::date, $2, $3, $4, $5, $7, $6, $8, $9)";
    let Outgoing { topic, subject, version, shard, payload } = event;
    let bytes = payload.encode_to_vec();
    let traceparent = crate::telemetry::traceparent().unwrap_or_default();
    tx.execute(
        sql,
        &[&id.0, &topic.name, shard, subject, version, &topic.schema_version, &now, &traceparent, &bytes],
    )
    .await?;
    tx.mark_events_written();
    Ok(id)
}

/// Tells that a service has forgotten all of a pet's.
///
/// # Errors
/// Where the database says no.
pub async fn tell_erased(
    tx: &Tx,
    clock: &Clock,
    service: &str,
    pet: PetId,
    shards: i16,
) -> Result<(), Error> {
    let erased = DataErased { pet_id: pet.to_string(), service: service.to_owned() };
    write(tx, clock, &Outgoing::of_pet(&topics::DATA_ERASED, pet, 0, shards, &erased)).await.map(|_| ())
}

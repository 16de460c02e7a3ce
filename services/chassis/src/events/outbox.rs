//! The outbox: events, written in the transaction that made them true.

use jiff::Timestamp;
use petty_proto::events::v1::DataErased;
use prost::Message;
use uuid::Uuid;

use super::{Topic, shard_of, topics};
use crate::postgres::{Error, Step, Tx};
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

/// Events that are written by one statement.
#[derive(Debug)]
pub struct Batch {
    created_at: Timestamp,
    ids: Vec<Uuid>,
    topics: Vec<&'static str>,
    shards: Vec<i16>,
    subjects: Vec<Uuid>,
    versions: Vec<i64>,
    schema_versions: Vec<i32>,
    traceparents: Vec<String>,
    payloads: Vec<Vec<u8>>,
}

impl Batch {
    /// None yet, made now.
    #[must_use]
    pub fn new(clock: &Clock) -> Self {
        Self {
            created_at: crate::types::micros(clock.now()),
            ids: Vec::new(),
            topics: Vec::new(),
            shards: Vec::new(),
            subjects: Vec::new(),
            versions: Vec::new(),
            schema_versions: Vec::new(),
            traceparents: Vec::new(),
            payloads: Vec::new(),
        }
    }

    /// One more, of the trace that `traceparent` names; empty: of none.
    pub fn add<M: Message>(&mut self, clock: &Clock, event: &Outgoing<'_, M>, traceparent: &str) {
        self.ids.push(EventId::new(clock).0);
        self.topics.push(event.topic.name);
        self.shards.push(event.shard);
        self.subjects.push(event.subject);
        self.versions.push(event.version);
        self.schema_versions.push(event.topic.schema_version);
        self.traceparents.push(traceparent.to_owned());
        self.payloads.push(event.payload.encode_to_vec());
    }

    /// The statement, for a pipeline.
    #[must_use]
    pub fn step(&self) -> Step<'_> {
        let sql = "-- write_events
            INSERT INTO event_outbox (id, day, topic, shard, subject, version, created_at, schema_version, traceparent, payload)
            SELECT id, ($1::timestamptz AT TIME ZONE 'UTC')::date, topic, shard, subject, version, $1, schema_version,
                   traceparent, payload
            FROM unnest($2::uuid[], $3::text[], $4::int2[], $5::uuid[], $6::int8[], $7::int4[], $8::text[], $9::bytea[])
                     AS e (id, topic, shard, subject, version, schema_version, traceparent, payload)";
        let parameters: Vec<&(dyn crate::postgres::ToSql + Sync)> = vec![
            &self.created_at,
            &self.ids,
            &self.topics,
            &self.shards,
            &self.subjects,
            &self.versions,
            &self.schema_versions,
            &self.traceparents,
            &self.payloads,
        ];
        Step::Execute { sql, parameters }
    }

    /// Writes them. They leave when the transaction commits, or never.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn write(&self, tx: &Tx) -> Result<(), Error> {
        tx.run(self.step()).await?;
        tx.mark_events_written();
        Ok(())
    }
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

//! Events: at least once on the wire, exactly once in effect.
//!
//! A producer writes its rows and its [outbox] rows in one transaction. The [relay] numbers them per topic and shard
//! without gaps and moves them to Redis Streams. Each consuming service is a group ([consumer]): it handles an event in
//! one transaction per pet, whose first statement is the [inbox] row. What a stream lost is fetched again from the
//! producer's outbox ([gaps]), by number. Beside all this, replicas give each other hints ([wake]), which may be lost.
//!
//! Invariants: an event's effects and its inbox row are committed together; an entry is acknowledged only after the last
//! commit; only deterministic failures lead to a dead letter, and only of the pet they concern.

mod config;
pub mod consumer;
mod dead_letters;
pub mod gaps;
pub mod inbox;
mod maintenance;
mod measures;
mod operations;
pub mod outbox;
mod outbox_service;
pub mod payload;
pub mod redis;
pub mod relay;
mod standing;
pub mod topics;
pub mod versions;
pub mod wake;

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use bytes::{Buf, Bytes};
use jiff::Timestamp;
use petty_proto::events::v1::Envelope;
use prost::Message as _;
use uuid::Uuid;

pub use config::EventsConfig;
pub use consumer::{Consumer, Failure, Handler, Part, one_by_one};
pub use operations::OperationsHandler;
pub use outbox::Outgoing;
pub use outbox_service::OutboxHandler;
pub use payload::Unusable;
pub use topics::Topic;
pub use wake::Wake;

use crate::grpc::client::Mesh;
use crate::postgres::{Db, Error};
use crate::service::Context;
use crate::types::{EventId, PetId};

/// A service's part in events. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events {
    context: Context,
    db: Db,
    redis: redis::Connector,
    config: EventsConfig,
    /// Once the service consumes.
    consumer: Arc<OnceLock<Arc<Consumer>>>,
}

impl Events {
    /// Checks the number of shards, makes today's partitions, and starts the relay where the service produces anything.
    ///
    /// # Errors
    /// Where the database is away, or was set up with another number of shards.
    pub async fn start(
        context: &Context,
        db: &Db,
        redis: &redis::Connector,
        config: EventsConfig,
    ) -> anyhow::Result<Self> {
        let fixed = fixed_shards(db, config.shards).await.context("read the number of shards")?;
        if fixed != config.shards {
            anyhow::bail!(
                "PETTY_SHARDS is {}, but this database was set up with {fixed}: shards are fixed at install",
                config.shards
            );
        }
        maintenance::start(context, db).await.context("make the events tables' partitions")?;
        measures::start(context, db);
        redis.watch(context);
        relay::Relay::start(context, db, redis, config.shards);
        let (context, db, redis) = (context.clone(), db.clone(), redis.clone());
        Ok(Self { context, db, redis, config, consumer: Arc::default() })
    }

    /// Starts to consume the service's topics, and to repair gaps.
    pub fn consume(&self, handler: Arc<dyn Handler>, mesh: &Mesh) {
        let consumer = Consumer {
            context: self.context.clone(),
            db: self.db.clone(),
            redis: self.redis.clone(),
            handler,
            config: self.config.clone(),
        };
        let consumer = consumer.start();
        gaps::start(&consumer, mesh);
        if self.consumer.set(consumer).is_err() {
            tracing::error!("the service consumes twice: dead letters are redriven through the first");
        }
    }

    /// What answers other services that missed events of this one.
    #[must_use]
    pub fn outbox_handler(&self) -> Arc<OutboxHandler> {
        Arc::new(OutboxHandler::new(self.context.service, self.db.clone()))
    }

    /// What an operator does with this service's events.
    #[must_use]
    pub fn operations_handler(&self) -> Arc<OperationsHandler> {
        Arc::new(OperationsHandler::new(&self.context, &self.db, self.consumer.clone()))
    }

    /// The number of shards, fixed at install.
    #[must_use]
    pub fn shards(&self) -> i16 {
        self.config.shards
    }
}

/// The number of shards this database was set up with; the first to ask sets it.
async fn fixed_shards(db: &Db, wanted: i16) -> Result<i16, Error> {
    db.transaction("fix_shards", |tx| async move {
        let sql = "-- fix_shards\nINSERT INTO event_settings (name, value) VALUES ('shards', $1) ON CONFLICT DO NOTHING";
        tx.execute(sql, &[&wanted.to_string()]).await?;
        let row = tx.query_one("-- shards\nSELECT value::int2 FROM event_settings WHERE name = 'shards'", &[]).await?;
        Error::column(&row, "event_settings", 0)
    })
    .await
}

/// An event, as a consumer gets it.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Its topic.
    pub topic: &'static Topic,
    /// Whom it is about.
    pub subject: Uuid,
    /// The subject's version, for entity events.
    pub version: i64,
    /// When it was written.
    pub time: Timestamp,
    /// The payload.
    pub payload: Bytes,
    /// The service that produced it.
    pub source: String,
    /// The shard it travels in.
    pub shard: i16,
    /// Its number in topic and shard.
    pub number: i64,
    /// W3C trace context of what caused it; empty where there was none.
    pub traceparent: String,
}

/// An envelope that is none.
#[derive(Debug, thiserror::Error)]
#[error("bad envelope: {0}")]
pub struct BadEnvelope(&'static str);

impl Event {
    /// The payload, read.
    ///
    /// # Errors
    /// Where it is not of that type: a deterministic failure.
    pub fn read<M: prost::Message + Default>(&self) -> Result<M, Failure> {
        M::decode(self.payload.clone())
            .map_err(|error| Failure::Poison(format!("payload of {}: {error}", self.topic.name)))
    }

    /// What is done about it, in the trace of what caused it.
    #[must_use]
    pub fn span(&self) -> tracing::Span {
        let span =
            tracing::info_span!("consume", messaging.destination.name = self.topic.name, event.id = %self.id);
        crate::telemetry::follow(&span, &self.traceparent);
        span
    }
}

impl TryFrom<Envelope> for Event {
    type Error = BadEnvelope;

    fn try_from(envelope: Envelope) -> Result<Self, BadEnvelope> {
        Ok(Self {
            id: envelope.event_id.parse().map_err(|_| BadEnvelope("event_id"))?,
            topic: topics::named(&envelope.topic).ok_or(BadEnvelope("topic"))?,
            subject: Uuid::try_parse(&envelope.subject).map_err(|_| BadEnvelope("subject"))?,
            version: envelope.version,
            time: envelope.time.unwrap_or_default().try_into().map_err(|_| BadEnvelope("time"))?,
            payload: envelope.payload,
            source: envelope.source,
            shard: envelope.shard.try_into().map_err(|_| BadEnvelope("shard"))?,
            number: envelope.number,
            traceparent: envelope.traceparent,
        })
    }
}

impl From<&Event> for Envelope {
    fn from(event: &Event) -> Self {
        Self {
            event_id: event.id.to_string(),
            topic: event.topic.name.to_owned(),
            subject: event.subject.to_string(),
            version: event.version,
            time: Some(event.time.into()),
            schema_version: event.topic.schema_version,
            traceparent: event.traceparent.clone(),
            payload: event.payload.clone(),
            source: event.source.clone(),
            shard: event.shard.into(),
            number: event.number,
        }
    }
}

/// The shard a pet's events travel in: by the random end of its id.
#[must_use]
pub fn shard_of(pet: PetId, shards: i16) -> i16 {
    let bytes = pet.0.as_bytes();
    let tail = u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
    let shards = u32::try_from(shards.max(1)).unwrap_or(1);
    // Smaller than `shards`, which came from an i16.
    i16::try_from(tail % shards).unwrap_or(0)
}

/// The id under which an entry that is no envelope is dead-lettered: of its bytes, so that a repetition meets itself.
fn id_of_bytes(bytes: &[u8]) -> EventId {
    EventId(Uuid::new_v5(&Uuid::NAMESPACE_OID, bytes))
}

/// What an entry or a letter holds. Of `Bytes` the payload stays where it is.
fn decode(bytes: impl Buf) -> Result<Event, String> {
    let envelope = Envelope::decode(bytes).map_err(|error| error.to_string())?;
    Event::try_from(envelope).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_what_its_envelope_says() {
        let envelope = Envelope {
            event_id: "018f3b2e-7c1a-7d60-9c1b-1f4e5a6b7c8d".to_owned(),
            topic: topics::PET_CHANGED.name.to_owned(),
            subject: "018f3b2e-7c1a-7d60-9c1b-1f4e5a6b7c8e".to_owned(),
            version: 3,
            time: Some(Timestamp::from_second(1_767_225_600).unwrap().into()),
            schema_version: topics::PET_CHANGED.schema_version,
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
            payload: Bytes::from_static(b"payload"),
            source: "auth".to_owned(),
            shard: 5,
            number: 42,
        };
        let event = Event::try_from(envelope.clone()).unwrap();
        assert_eq!(Envelope::from(&event), envelope);
    }

    #[test]
    fn shards_are_even_and_within_bounds() {
        let clock = crate::types::Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
        let mut counts = [0_u32; 16];
        for _ in 0..16_000 {
            let shard = shard_of(PetId::new(&clock), 16);
            counts[usize::try_from(shard).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (700..1_300).contains(count)), "{counts:?}");
    }
}

//! Events: made as another service would, applied or consumed, and those the service wrote itself.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use petty_chassis::events::{Event, Failure, Handler, Part, Topic, shard_of, topics};
use petty_chassis::postgres::Error;
use petty_chassis::types::{EventId, PetId};
use petty_proto::auth::v1::Pet;
use petty_proto::events::v1::{Envelope, PetChanged, PetErasing};
use prost::Message;
use uuid::Uuid;

use crate::bench::Bench;
use crate::plan::SHARDS;

/// What the service wrote to its outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Written<M> {
    /// Whom it is about.
    pub subject: Uuid,
    /// The shard it travels in.
    pub shard: i16,
    /// The subject's version.
    pub version: i64,
    /// What it says.
    pub payload: M,
}

impl Bench {
    /// A pet's event, as its first producer would write it now. It is the first of its shard; `number` and `id` may be set
    /// to others.
    #[must_use]
    pub fn event(&self, topic: &'static Topic, pet: PetId, version: i64, payload: &impl Message) -> Event {
        Event {
            id: EventId::new(&self.clock),
            topic,
            subject: pet.0,
            version,
            time: self.clock.now(),
            traceparent: String::new(),
            payload: payload.encode_to_vec().into(),
            source: topic.producers[0].to_owned(),
            shard: shard_of(pet, SHARDS),
            number: 1,
        }
    }

    /// `pet.changed`: the pet is this now.
    ///
    /// # Panics
    /// Where the pet has no id.
    #[must_use]
    pub fn pet_changed(&self, pet: &Pet) -> Event {
        self.pet_is(pet, false)
    }

    /// `pet.changed`: the pet was this, and is deleted now.
    ///
    /// # Panics
    /// Where the pet has no id.
    #[must_use]
    pub fn pet_deleted(&self, pet: &Pet) -> Event {
        self.pet_is(pet, true)
    }

    /// `pet.erasing`.
    #[must_use]
    pub fn erasing(&self, pet: PetId) -> Event {
        let payload = PetErasing { pet_id: pet.to_string(), ..PetErasing::default() };
        self.event(&topics::PET_ERASING, pet, 0, &payload)
    }

    /// Applies an event as the consumer would, but for the inbox: a transaction for each pet.
    ///
    /// # Errors
    /// What the worker makes of it.
    ///
    /// # Panics
    /// Where nobody was [employed](Bench::employ).
    pub fn apply<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let worker: &dyn Handler = self.worker.as_deref().expect("a worker was employed");
            for part in &worker.split(event)? {
                let apply = |tx| async move { worker.apply(&tx, event, part).await };
                self.base.db.transaction("apply", apply).await?;
            }
            Ok(())
        }
        .boxed()
    }

    /// Applies events together as the consumer would, but for the inbox: by pet, in one transaction.
    ///
    /// # Errors
    /// What the worker makes of them.
    ///
    /// # Panics
    /// Where nobody was [employed](Bench::employ).
    pub fn apply_together<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let worker: &dyn Handler = self.worker.as_deref().expect("a worker was employed");
            let mut parts = Vec::new();
            for event in events {
                parts.extend(worker.split(event)?.into_iter().map(|part| (event, part)));
            }
            parts.sort_by_key(|(_, part)| part.pet);
            let parts: Vec<(&Event, &Part)> = parts.iter().map(|(event, part)| (*event, part)).collect();
            let parts = parts.as_slice();
            let apply = |tx| async move { worker.apply_all(&tx, parts).await };
            self.base.db.transaction("apply_together", apply).await
        }
        .boxed()
    }

    /// The same with some after others: so many together, then the next so many, then the rest.
    ///
    /// # Errors
    /// What the worker makes of them.
    ///
    /// # Panics
    /// Where nobody was [employed](Bench::employ).
    pub async fn apply_in_turns(&self, events: &[Event], sizes: &[usize]) -> Result<(), Failure> {
        let mut left = events;
        for size in sizes.iter().copied().chain([usize::MAX]) {
            let some;
            (some, left) = left.split_at(size.min(left.len()));
            if !some.is_empty() {
                self.apply_together(some).await?;
            }
        }
        Ok(())
    }

    /// Puts an event into its stream.
    ///
    /// # Panics
    /// Where Redis is away.
    pub fn publish<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, ()> {
        async move {
            let mut command = redis::cmd("XADD");
            command
                .arg(event.topic.stream(event.shard))
                .arg("*")
                .arg("e")
                .arg(Envelope::from(event).encode_to_vec());
            let added: Result<String, _> = command.query_async(&mut self.base.redis.shared()).await;
            added.expect("the stream takes the event");
        }
        .boxed()
    }

    /// Begins to consume. Only where the [plan](crate::Plan::consuming) says so: else other tests' streams are read.
    ///
    /// # Panics
    /// Where nobody was [employed](Bench::employ).
    pub fn consume(&self) {
        let worker = self.worker.clone().expect("a worker was employed");
        self.base.events.consume(worker, &self.base.mesh);
    }

    /// What the service wrote to its outbox of a topic, in the order it was written.
    ///
    /// # Panics
    /// Where a payload is of another type.
    pub async fn outbox<M: Message + Default>(&self, topic: &Topic) -> Vec<Written<M>> {
        let sql = "-- written\nSELECT subject, shard, version, payload FROM event_outbox WHERE topic = $1 ORDER BY id";
        let rows = self.query(sql, &[&topic.name]).await;
        let written = rows.iter().map(|row| {
            let payload: Vec<u8> = Error::column(row, "event_outbox", 3)?;
            let payload = M::decode(payload.as_slice()).expect("a payload of the topic's type");
            Ok(Written {
                subject: Error::column(row, "event_outbox", 0)?,
                shard: Error::column(row, "event_outbox", 1)?,
                version: Error::column(row, "event_outbox", 2)?,
                payload,
            })
        });
        written.collect::<Result<_, Error>>().expect("the outbox's columns")
    }

    fn pet_is(&self, pet: &Pet, deleted: bool) -> Event {
        let id = pet.pet_id.parse().expect("a pet's id");
        let payload = PetChanged { pet: Some(pet.clone()), deleted, ..PetChanged::default() };
        self.event(&topics::PET_CHANGED, id, pet.version.into(), &payload)
    }
}

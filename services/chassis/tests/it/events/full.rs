//! A Redis that is full, or that refuses some of it: what is handled is trimmed away and what waits is sent, by itself, once and in order.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use petty_chassis::events::{Outgoing, Topic, outbox, shard_of, topics};
use petty_chassis::postgres::Error;
use petty_chassis::types::PetId;
use petty_proto::events::v1::{AcceptedReading, Envelope, PetReadings, ReadingsAccepted};
use prost::Message as _;
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use redis::streams::{StreamInfoGroupsReply, StreamMaxlen, StreamRangeReply};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::sharing::rounds;
use super::{Notebook, Turnstile, World, applied, count, flush, pets, sorted};
use crate::world::{GAP_GRACE, HANDLING_DEADLINE, Node, Setup, eventually};

const UNSENT: &str = "-- unsent\nSELECT count(*) FROM event_outbox WHERE sent_at IS NULL";
const SENT: &str = "-- sent\nSELECT count(*) FROM event_outbox WHERE sent_at IS NOT NULL";
const MEGABYTE: usize = 1 << 20;
/// Nothing is repaired and nothing claimed within a test's patience: what comes, comes by its stream.
const NEVER: &str = "120s";

struct Redis(MultiplexedConnection);

impl Redis {
    async fn of(world: &World) -> Self {
        let client = redis::Client::open(world.stack.redis().url().expose_secret()).unwrap();
        Self(client.get_multiplexed_async_connection().await.unwrap())
    }

    async fn info(&self, section: &str, name: &str) -> Option<String> {
        let mut command = redis::cmd("INFO");
        let info: String = command.arg(section).query_async(&mut self.0.clone()).await.unwrap();
        let value = |line: &str| line.trim().strip_prefix(name)?.strip_prefix(':').map(str::to_owned);
        info.lines().find_map(value)
    }

    /// How often it refused something for it was full.
    async fn refusals(&self) -> u64 {
        let counted = self.info("errorstats", "errorstat_OOM").await;
        counted.and_then(|counted| counted.strip_prefix("count=")?.parse().ok()).unwrap_or(0)
    }

    /// It has room for so many bytes more; for none at all, where it is `None`.
    async fn leave_room_for(&self, bytes: Option<usize>) {
        let used: usize = self.info("memory", "used_memory").await.unwrap().parse().unwrap();
        self.memory(bytes.map_or(1, |bytes| used + bytes)).await;
    }

    /// Zero: as much as there is.
    async fn memory(&self, bytes: usize) {
        let mut command = redis::cmd("CONFIG");
        command.arg("SET").arg("maxmemory").arg(bytes);
        command.query_async::<()>(&mut self.0.clone()).await.unwrap();
    }

    async fn length(&self, topic: &Topic) -> usize {
        let mut total = 0;
        for shard in 0..4 {
            total += self.0.clone().xlen::<_, usize>(topic.stream(shard)).await.unwrap();
        }
        total
    }

    /// The numbers of what stands in a stream.
    async fn numbers(&self, topic: &Topic, shard: i16) -> Vec<i64> {
        let entries: StreamRangeReply = self.0.clone().xrange_all(topic.stream(shard)).await.unwrap();
        let number = |entry: &redis::streams::StreamId| {
            Envelope::decode(entry.get::<Vec<u8>>("e").unwrap().as_slice()).unwrap().number
        };
        entries.ids.iter().map(number).collect()
    }
}

/// One event in each of these shards with so many bytes, all in one transaction.
async fn write(producer: &Node, events: &[(i16, usize)]) {
    let clock = &producer.base.context.clock;
    let written: Result<(), Error> = producer
        .base
        .db
        .transaction("write", |tx| async move {
            for (shard, bytes) in events {
                let reading = AcceptedReading { collar_id: "c".repeat(*bytes), ..Default::default() };
                let readings = PetReadings {
                    pet_id: Uuid::from_u128(1).to_string(),
                    readings: vec![reading],
                    ..Default::default()
                };
                let event = Outgoing {
                    topic: &topics::READINGS_ACCEPTED,
                    subject: Uuid::nil(),
                    version: 0,
                    shard: *shard,
                    payload: &ReadingsAccepted { pets: vec![readings] },
                };
                outbox::write(&tx, clock, &event).await?;
            }
            Ok(())
        })
        .await;
    written.unwrap();
}

/// A pet's reading of a round, with so many bytes.
async fn fat(producer: &Node, pet: PetId, round: u8, bytes: usize) {
    let reading = AcceptedReading {
        collar_id: "c".repeat(bytes),
        time_us: 1,
        heart_rate: Some(f64::from(round)),
        ..Default::default()
    };
    let readings = PetReadings { pet_id: pet.to_string(), readings: vec![reading], ..Default::default() };
    let event = Outgoing {
        topic: &topics::READINGS_ACCEPTED,
        subject: Uuid::nil(),
        version: 0,
        shard: shard_of(pet, producer.base.events.shards()),
        payload: &ReadingsAccepted { pets: vec![readings] },
    };
    let (clock, event) = (&producer.base.context.clock, &event);
    let wrote = |tx| async move { outbox::write(&tx, clock, event).await };
    producer.base.db.transaction("fat", wrote).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_fit_is_delivered_by_itself_once_consumers_catch_up() {
    const ROUNDS: u8 = 4;
    let world = World::new("catching_up").await;
    let (producer, redis) = (world.producer().await, Redis::of(&world).await);
    let pets = pets(4);
    redis.leave_room_for(Some(6 * MEGABYTE)).await;
    for round in 0..ROUNDS {
        for pet in &pets {
            fat(&producer, *pet, round, MEGABYTE).await;
        }
    }
    eventually("Redis is full", || async { redis.refusals().await > 0 }).await;
    assert!(count(&producer.base.db, UNSENT).await > 0);
    let notebook = Arc::new(Notebook::default());
    let consumer = world.consumer_so(&producer, NEVER, NEVER).await;
    consumer.consume(notebook.clone());
    eventually("all are sent", || async { count(&producer.base.db, UNSENT).await == 0 }).await;
    let db = &consumer.base.db;
    let all = pets.len() * usize::from(ROUNDS);
    eventually("all are applied", || async { applied(db).await.len() == all }).await;
    for (pet, rounds) in rounds(db).await {
        assert_eq!(rounds, (0..ROUNDS).collect::<Vec<u8>>(), "{pet}: in order");
    }
    assert_eq!(notebook.splits.load(Ordering::Acquire), all, "each came once");
    eventually("all is trimmed", || async { redis.length(&topics::READINGS_ACCEPTED).await == 0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_handled_is_trimmed_though_nothing_can_be_sent() {
    let world = World::new("no_room").await;
    let (producer, redis) = (world.producer().await, Redis::of(&world).await);
    let turnstile = Arc::new(Turnstile::default());
    let consumer = world.consumer_so(&producer, NEVER, NEVER).await;
    consumer.consume(Arc::new(Notebook { turnstile: Some(turnstile.clone()), ..Notebook::default() }));
    let pet = pets(1);
    let mut expected = flush(&producer, &pet, 0.0).await;
    turnstile.inside.notified().await;
    redis.leave_room_for(None).await;
    expected.extend(flush(&producer, &pet, 1.0).await);
    eventually("it is refused", || async { redis.refusals().await > 0 }).await;
    turnstile.open.store(true, Ordering::Release);
    turnstile.go.notify_one();
    eventually("what is handled is trimmed", || async {
        redis.length(&topics::READINGS_ACCEPTED).await == 0
    })
    .await;
    assert_eq!(count(&producer.base.db, UNSENT).await, 1, "it is full still");
    redis.memory(0).await;
    let expected = sorted(expected);
    eventually("the rest came", || async { applied(&consumer.base.db).await == expected }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_comes_to_a_full_redis_reads_what_it_can_and_the_rest_once_it_can() {
    let world = World::new("late").await;
    let (producer, redis) = (world.producer().await, Redis::of(&world).await);
    let expected = sorted(flush(&producer, &pets(12), 0.0).await);
    eventually("all are sent", || async { count(&producer.base.db, UNSENT).await == 0 }).await;
    redis.leave_room_for(None).await;
    // The relay has made the groups of what it sends; nobody here sends what auth does.
    let consumer = world.consumer_so(&producer, NEVER, NEVER).await;
    consumer.consume(Arc::new(Notebook::default()));
    eventually("what is there is handled", || async { applied(&consumer.base.db).await == expected }).await;
    let is_there = async || {
        let groups: redis::RedisResult<StreamInfoGroupsReply> =
            redis.0.clone().xinfo_groups(topics::PET_CHANGED.stream(0)).await;
        groups.is_ok_and(|groups| groups.groups.iter().any(|group| group.name == "behavior"))
    };
    assert!(!is_there().await);
    redis.memory(0).await;
    eventually("the group that was missing is made", || async { is_there().await }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_is_marked_as_sent_though_what_came_with_it_was_refused() {
    let world = World::new("partly").await;
    let (producer, redis) = (world.producer().await, Redis::of(&world).await);
    let db = &producer.base.db;
    redis.leave_room_for(Some(3 * MEGABYTE)).await;
    write(&producer, &[(0, 8), (1, 8 * MEGABYTE)]).await;
    eventually("one is refused, again", || async { redis.refusals().await > 2 }).await;
    assert_eq!((count(db, SENT).await, count(db, UNSENT).await), (1, 1));
    assert_eq!(redis.numbers(&topics::READINGS_ACCEPTED, 0).await, [1], "it was not sent again");
    redis.memory(0).await;
    eventually("both are sent", || async { count(db, UNSENT).await == 0 }).await;
    assert_eq!(redis.length(&topics::READINGS_ACCEPTED).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stands_in_a_stream_before_what_was_refused() {
    let world = World::new("in_order").await;
    let (producer, redis) = (world.producer().await, Redis::of(&world).await);
    let db = &producer.base.db;
    redis.leave_room_for(Some(3 * MEGABYTE)).await;
    write(&producer, &[(0, 1 << 18), (0, 8 * MEGABYTE), (0, 8)]).await;
    // What fits comes by itself, however much was tried at first.
    eventually("the first is sent", || async { count(db, SENT).await == 1 }).await;
    let refusals = redis.refusals().await;
    eventually("the second is refused", || async { redis.refusals().await > refusals + 2 }).await;
    assert_eq!(redis.numbers(&topics::READINGS_ACCEPTED, 0).await, [1]);
    redis.memory(0).await;
    eventually("all are sent", || async { count(db, UNSENT).await == 0 }).await;
    assert_eq!(redis.numbers(&topics::READINGS_ACCEPTED, 0).await, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_sent_at_once_than_a_pipeline_has_room_for_and_each_stream_gets_its_turn() {
    let world = World::new("at_once").await;
    let producer = world.producer().await;
    let db = &producer.base.db;
    let mut events = vec![(0, MEGABYTE); 40];
    events.push((3, 8));
    write(&producer, &events).await;
    eventually("all are sent", || async { count(db, UNSENT).await == 0 }).await;
    // Whoever sends marks what was sent, in a transaction a round.
    let most = "-- most\nSELECT max(n) FROM (SELECT count(*) AS n FROM event_outbox GROUP BY xmin::text) r";
    let most = count(db, most).await;
    assert!((4..=6).contains(&most), "{most} megabytes at once");
    let before = "-- before\nSELECT count(*) FROM event_outbox WHERE sent_at < (SELECT sent_at FROM event_outbox WHERE shard = 3)";
    assert_eq!(count(db, before).await, 0, "the last that was written is the first of its stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_holds_no_more_than_it_may_and_the_rest_waits_in_the_outbox() {
    const FILL: &str = "for _ = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'e', '') end";
    let world = World::new("crowded").await;
    let (producer, redis) = (world.producer().await, Redis::of(&world).await);
    let (topic, db) = (&topics::READINGS_ACCEPTED, &producer.base.db);
    for _ in 0..20 {
        let mut command = redis::cmd("EVAL");
        command.arg(FILL).arg(1).arg(topic.stream(2)).arg(topic.stream_limit / 20);
        command.query_async::<()>(&mut redis.0.clone()).await.unwrap();
    }
    let () =
        redis.0.clone().xtrim(topic.stream(2), StreamMaxlen::Equals(topic.stream_limit - 10)).await.unwrap();
    write(&producer, &[(2, 8); 25]).await;
    eventually("as many are sent as there is room for", || async { count(db, SENT).await == 10 }).await;
    // Time itself is what is tested: it goes on trying.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((count(db, SENT).await, redis.length(topic).await), (10, topic.stream_limit));
    let () = redis.0.clone().del(topic.stream(2)).await.unwrap();
    eventually("the rest is sent", || async { count(db, UNSENT).await == 0 }).await;
    assert_eq!(redis.numbers(topic, 2).await, (11..=25).collect::<Vec<i64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_takes_nothing_holds_up_neither_others_nor_the_heartbeat() {
    let world = World::new("broken").await;
    let redis = Redis::of(&world).await;
    let auth = Setup {
        stack: &world.stack,
        service: "auth",
        database: "auth_broken",
        redis_url: world.stack.redis().url().expose_secret().to_owned(),
        endpoints: Vec::new(),
        handling_deadline: HANDLING_DEADLINE,
        gap_grace: GAP_GRACE,
    }
    .start()
    .await;
    let (topic, clock) = (&topics::PET_CHANGED, &auth.base.context.clock);
    let () = redis.0.clone().set(topic.stream(1), "no stream").await.unwrap();
    let written: Result<(), Error> = auth
        .base
        .db
        .transaction("write", |tx| async move {
            for shard in 0..4 {
                let payload = &ReadingsAccepted::default();
                let event = Outgoing { topic, subject: Uuid::nil(), version: 0, shard, payload };
                outbox::write(&tx, clock, &event).await?;
            }
            Ok(())
        })
        .await;
    written.unwrap();
    eventually("the others are sent", || async { count(&auth.base.db, SENT).await == 3 }).await;
    let newest = async || {
        let newest: StreamRangeReply =
            redis.0.clone().xrevrange_count(petty_chassis::access::STREAM, "+", "-", 1).await.unwrap();
        newest.ids.first().map(|entry| entry.id.clone())
    };
    let before = newest().await;
    eventually("it beats", || async { newest().await != before }).await;
    let () = redis.0.clone().del(topic.stream(1)).await.unwrap();
    eventually("all are sent", || async { count(&auth.base.db, UNSENT).await == 0 }).await;
}

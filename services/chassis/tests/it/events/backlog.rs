//! A consumer that is behind: what waits for it is late, not lost, and is handled together; what is poisoned alone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use petty_chassis::events::{Outgoing, outbox, shard_of, topics};
use petty_chassis::types::PetId;
use petty_proto::events::v1::{AcceptedReading, PetReadings, ReadingsAccepted};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::{DEAD, Notebook, Turnstile, World, applied, count, flush, pets, sorted};
use crate::world::{Node, eventually};

/// Seconds, as the consumers of this process were told last.
fn oldest_unhandled() -> f64 {
    let text = petty_chassis::telemetry::prometheus_text();
    let line = text.lines().find(|line| {
        line.starts_with("petty_events_oldest_unhandled_seconds{")
            && line.contains("topic=\"readings.accepted\"")
    });
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(-1.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_its_stream_is_not_taken_for_lost() {
    let world = World::new("backlog").await;
    let producer = world.producer().await;
    let pet = pets(1);
    let mut expected = Vec::new();
    for round in 0..20_u8 {
        expected.extend(flush(&producer, &pet, f64::from(round)).await);
    }
    let turnstile = Arc::new(Turnstile::default());
    let notebook = Arc::new(Notebook { turnstile: Some(turnstile.clone()), ..Notebook::default() });
    // Nothing is claimed from the one that works on it.
    let consumer = world.consumer_with(&producer, "60s").await;
    consumer.consume(notebook.clone());
    turnstile.inside.notified().await;
    let begun = notebook.splits.load(Ordering::Acquire);
    // Time itself is what is tested: four times the grace, in which the others wait behind the first.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(notebook.splits.load(Ordering::Acquire), begun, "nothing was fetched");
    eventually("it is told that nothing moves", || async { oldest_unhandled() > 2.0 }).await;
    turnstile.open.store(true, Ordering::Release);
    turnstile.go.notify_one();
    let expected = sorted(expected);
    eventually("everything is applied once", || async { applied(&consumer.base.db).await == expected }).await;
    assert_eq!(notebook.splits.load(Ordering::Acquire), 20, "each was handled once");
    eventually("and that nothing waits", || async { oldest_unhandled() < 0.1 }).await;
    // What was read before the first transaction began is in that, and what waited behind it in the next.
    let transactions = "-- transactions\nSELECT count(DISTINCT xmin::text) FROM applied";
    assert!(count(&consumer.base.db, transactions).await <= 2, "what waited was handled together");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_part_costs_those_it_waits_with_a_few_attempts() {
    let world = World::new("halved").await;
    let producer = world.producer().await;
    let pets = pets(64);
    for round in 0..4_u8 {
        flush(&producer, &pets, f64::from(round)).await;
    }
    let poisoned = pets[21];
    let notebook = Arc::new(Notebook { poisoned: Some(poisoned), ..Notebook::default() });
    let consumer = world.consumer_with(&producer, "60s").await;
    consumer.consume(notebook.clone());
    eventually("the poisoned one is buried", || async { count(&consumer.base.db, DEAD).await == 4 }).await;
    eventually("the others are applied", || async { applied(&consumer.base.db).await.len() == 4 * 63 }).await;
    let mut tries = notebook.tries.lock().unwrap().clone();
    // Five failures that count for each of its parts, and those in company.
    assert!(tries.remove(&poisoned).unwrap() >= 4 * 5);
    // Sixteen or so share its shard, which may have come in four batches: each is halved four times, and not tried with each of the others.
    let most = tries.values().copied().max().unwrap();
    assert!(most <= 4 * 8, "{most} attempts at four parts");
    // Those in its shard came through in halves, quarters, and so on, and not each by itself.
    let transactions = "-- transactions\nSELECT count(DISTINCT xmin::text) FROM applied";
    let transactions = count(&consumer.base.db, transactions).await;
    assert!(transactions <= 3 * 4 + 4 * 5, "{transactions} transactions");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_consumers_of_the_same_events_in_another_order_apply_each_once() {
    let world = World::new("overlapping").await;
    let producer = world.producer().await;
    let pets = pets(48);
    let mut expected = Vec::new();
    for round in 0..24_u8 {
        expected.extend(flush(&producer, &pets, f64::from(round)).await);
    }
    let (one, other) = (world.consumer(&producer).await, world.consumer(&producer).await);
    eventually("all have numbers", || async {
        count(&producer.base.db, "-- numbered\nSELECT count(*) FROM event_outbox WHERE number IS NULL").await
            == 0
    })
    .await;
    // Once more each, as from a reader that was slow and one that claimed from it: the batches of both overlap, in orders of their own.
    for stride in [7, 11] {
        world.send_raw(&producer, stride).await;
    }
    one.consume(Arc::new(Notebook::default()));
    other.consume(Arc::new(Notebook::default()));
    let expected = sorted(expected);
    eventually("everything is applied once", || async { applied(&other.base.db).await == expected }).await;
    assert_eq!(count(&one.base.db, DEAD).await, 0);
    let deadlocks = "-- deadlocks\nSELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(count(&one.base.db, deadlocks).await, 0);
}

/// A flush whose event has so many bytes.
async fn heavy(producer: &Node, pet: PetId, bytes: usize) {
    let reading = AcceptedReading { collar_id: "c".repeat(bytes), time_us: 1, ..Default::default() };
    let pets = vec![PetReadings { pet_id: pet.to_string(), readings: vec![reading], ..Default::default() }];
    let event = Outgoing {
        topic: &topics::READINGS_ACCEPTED,
        subject: Uuid::nil(),
        version: 0,
        shard: shard_of(pet, producer.base.events.shards()),
        payload: &ReadingsAccepted { pets },
    };
    let (clock, event) = (&producer.base.context.clock, &event);
    let wrote = |tx| async move { outbox::write(&tx, clock, event).await };
    producer.base.db.transaction("heavy", wrote).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_large_events_no_more_are_taken_than_there_is_room_for() {
    const COUNT: i64 = 60;
    let world = World::new("room").await;
    let producer = world.producer().await;
    let pet = pets(1)[0];
    for _ in 0..COUNT {
        heavy(&producer, pet, 1 << 20).await;
    }
    let unsent = "-- unsent\nSELECT count(*) FROM event_outbox WHERE sent_at IS NULL";
    eventually("all are in the stream", || async { count(&producer.base.db, unsent).await == 0 }).await;
    let turnstile = Arc::new(Turnstile::default());
    let consumer = world.consumer_with(&producer, "60s").await;
    consumer.consume(Arc::new(Notebook { turnstile: Some(turnstile.clone()), ..Notebook::default() }));
    turnstile.inside.notified().await;
    // Time itself is what is tested: in which it could take all.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let client = redis::Client::open(world.stack.redis().url().expose_secret()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let stream = topics::READINGS_ACCEPTED.stream(shard_of(pet, producer.base.events.shards()));
    let mut pending = redis::cmd("XPENDING");
    pending.arg(stream).arg("behavior");
    let (taken, ..): (i64, redis::Value, redis::Value, redis::Value) =
        pending.query_async(&mut connection).await.unwrap();
    // Four megabytes, and what was read with the last of them.
    assert!(taken <= 4 + 4, "{taken} of {COUNT} are taken");
    turnstile.open.store(true, Ordering::Release);
    turnstile.go.notify_one();
    let applied = "-- applied\nSELECT count(*) FROM applied WHERE octet_length(body) > 1048576";
    eventually("each is applied", || async { count(&consumer.base.db, applied).await == COUNT }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_while_something_is_sent_is_sent_together() {
    const FLUSHES: i64 = 200;
    let world = World::new("gathered").await;
    let producer = world.producer().await;
    let pet = pets(1);
    for _ in 0..FLUSHES {
        flush(&producer, &pet, 1.0).await;
    }
    let unsent = "-- unsent\nSELECT count(*) FROM event_outbox WHERE sent_at IS NULL";
    eventually("all are sent", || async { count(&producer.base.db, unsent).await == 0 }).await;
    // Whoever sends marks what was sent, in a transaction a round.
    let rounds = "-- rounds\nSELECT count(DISTINCT xmin::text) FROM event_outbox";
    let rounds = count(&producer.base.db, rounds).await;
    assert!(rounds * 4 <= FLUSHES, "{rounds} rounds for {FLUSHES} that were written one after the other");
}

//! What streams lost, and how it is repaired: page after page once it was waited for, each page at once, by who reads the shard.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use petty_chassis::events::{Outgoing, outbox, shard_of, topics};
use petty_chassis::postgres::{Db, Error};
use petty_chassis::types::PetId;
use petty_proto::events::v1::{AcceptedReading, PetReadings, ReadingsAccepted};
use tokio::time::Instant;
use uuid::Uuid;

use super::sharing::{rounds, shares};
use super::{Notebook, Turnstile, World, applied, count, pets};
use crate::world::{Node, eventually};

/// Writes flushes of a pet, one a round, each with an id of so many bytes, that have numbers and were sent, and that no stream has.
async fn lose(producer: &Node, pets: &[PetId], rounds: u8, bytes: usize) {
    let (clock, shards) = (&producer.base.context.clock, producer.base.events.shards());
    let mut batch = outbox::Batch::new(clock);
    for round in 0..rounds {
        for pet in pets {
            let reading = AcceptedReading {
                collar_id: "c".repeat(bytes),
                time_us: 1,
                heart_rate: Some(f64::from(round)),
                ..Default::default()
            };
            let readings =
                PetReadings { pet_id: pet.to_string(), readings: vec![reading], ..Default::default() };
            let event = Outgoing {
                topic: &topics::READINGS_ACCEPTED,
                subject: Uuid::nil(),
                version: 0,
                shard: shard_of(*pet, shards),
                payload: &ReadingsAccepted { pets: vec![readings] },
            };
            batch.add(clock, &event, "");
        }
    }
    let batch = &batch;
    let lost: Result<(), Error> = producer
        .base
        .db
        .transaction("lose", |tx| async move {
            batch.write(&tx).await?;
            // By whom they were sent: nobody else sees them before they were.
            let sql = "-- number\nUPDATE event_outbox o SET sent_at = now(), number = n.number
                       FROM (SELECT day, id, row_number() OVER (PARTITION BY shard ORDER BY id) AS number FROM event_outbox) n
                       WHERE o.day = n.day AND o.id = n.id";
            tx.execute(sql, &[]).await?;
            let sql = "-- heads\nINSERT INTO event_relay_numbers (topic, shard, last_number)
                       SELECT topic, shard, max(number) FROM event_outbox GROUP BY topic, shard";
            tx.execute(sql, &[]).await.map(|_| ())
        })
        .await;
    lost.unwrap();
}

const APPLIED: &str = "-- applied\nSELECT count(*) FROM applied";

/// Waits until so many parts are applied; for how long after the first ones were.
async fn repaired(db: &Db, parts: i64) -> Duration {
    eventually("the first are applied", || async { count(db, APPLIED).await > 0 }).await;
    let begun = Instant::now();
    eventually("all are applied", || async { count(db, APPLIED).await == parts }).await;
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pages_are_repaired_after_one_grace_in_order_and_each_at_once() {
    const ROUNDS: u8 = 250;
    let world = World::new("paged").await;
    let producer = world.producer().await;
    let [pet] = pets(1).try_into().unwrap();
    // A thousand events of one shard: five pages.
    lose(&producer, &[pet; 4], ROUNDS, 8).await;
    let notebook = Arc::new(Notebook::default());
    let consumer = world.consumer_waiting(&producer, "4s").await;
    consumer.consume(notebook.clone());
    let db = &consumer.base.db;
    let took = repaired(db, 4 * i64::from(ROUNDS)).await;
    assert!(took.as_secs() < 4, "{took:?}: no page waited for a grace of its own");
    assert_eq!(notebook.splits.load(Ordering::Acquire), 4 * usize::from(ROUNDS), "each was handled once");
    let transactions = "-- transactions\nSELECT count(DISTINCT xmin::text) FROM applied";
    assert_eq!(count(db, transactions).await, 5, "a page is handled at once");
    let expected: Vec<u8> = (0..ROUNDS).flat_map(|round| [round; 4]).collect();
    assert_eq!(rounds(db).await.remove(&pet.0), Some(expected), "in order");
    let frontier = "-- frontier\nSELECT max(frontier) FROM event_progress";
    eventually("the gap is closed", || async { count(db, frontier).await == 4 * i64::from(ROUNDS) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_behind_gaps_were_waited_for_as_long_as_the_first() {
    let world = World::new("holes").await;
    let producer = world.producer().await;
    let [pet] = pets(1).try_into().unwrap();
    lose(&producer, &[pet], 200, 8).await;
    let consumer = world.consumer_waiting(&producer, "3s").await;
    let db = &consumer.base.db;
    // Every twentieth was handled: ten gaps.
    let shard = shard_of(pet, producer.base.events.shards());
    let handled: Result<(), Error> = db
        .transaction("handled", |tx| async move {
            let sql = "-- handled\nSELECT event_mark_handled('readings.accepted', 'ingest', $1, number)
                       FROM generate_series(20::int8, 200, 20) AS n (number)";
            tx.query(sql, &[&shard]).await.map(|_| ())
        })
        .await;
    handled.unwrap();
    consumer.consume(Arc::new(Notebook::default()));
    let took = repaired(db, 190).await;
    assert!(took.as_secs() < 3, "{took:?}: no gap waited for a grace of its own");
    let ahead = "-- ahead\nSELECT count(*) FROM event_progress_ahead";
    eventually("all gaps are closed", || async { count(db, ahead).await == 0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_large_events_is_cut_where_an_answer_has_room_for_no_more() {
    let world = World::new("large").await;
    let producer = world.producer().await;
    let [pet] = pets(1).try_into().unwrap();
    lose(&producer, &[pet], 12, 1 << 20).await;
    let consumer = world.consumer(&producer).await;
    consumer.consume(Arc::new(Notebook::default()));
    let db = &consumer.base.db;
    repaired(db, 12).await;
    let transactions = "-- transactions\nSELECT count(DISTINCT xmin::text) FROM applied";
    assert_eq!(count(db, transactions).await, 6, "two fill a page");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_a_shard_repairs_it_and_others_leave_it_to_that_one() {
    let world = World::new("whose").await;
    let producer = world.producer().await;
    let notebooks = [Arc::new(Notebook::default()), Arc::new(Notebook::default())];
    let one = world.consumer_waiting(&producer, "2s").await;
    let other = world.consumer_waiting(&producer, "2s").await;
    one.consume(notebooks[0].clone());
    other.consume(notebooks[1].clone());
    let db = &one.base.db;
    eventually("two share the shards out", || async { shares(db).await == [2, 2] }).await;
    lose(&producer, &pets(12), 50, 8).await;
    repaired(db, 600).await;
    let handled: Vec<usize> =
        notebooks.iter().map(|notebook| notebook.splits.load(Ordering::Acquire)).collect();
    assert_eq!(handled.iter().sum::<usize>(), 600, "each was handled once: {handled:?}");
    assert_eq!(applied(db).await.len(), 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_gives_way_to_a_shutdown_and_the_next_one_goes_on_where_it_was() {
    let world = World::new("cut_short").await;
    let producer = world.producer().await;
    let [pet] = pets(1).try_into().unwrap();
    lose(&producer, &[pet], 250, 8).await;
    let turnstile = Arc::new(Turnstile::default());
    let notebook = Arc::new(Notebook { turnstile: Some(turnstile.clone()), ..Notebook::default() });
    let first = world.consumer(&producer).await;
    first.consume(notebook.clone());
    // The first page to its end, the second no further than its first part.
    for _ in 0..200 {
        turnstile.inside.notified().await;
        turnstile.go.notify_one();
    }
    turnstile.inside.notified().await;
    first.shutdown.begin();
    assert!(first.tasks.wait(Duration::from_secs(10)).await, "it ends in time");
    let next = world.consumer(&producer).await;
    let db = &next.base.db;
    assert_eq!(count(db, APPLIED).await, 200, "a page is handled, or not");
    let rest = Arc::new(Notebook::default());
    next.consume(rest.clone());
    repaired(db, 250).await;
    assert_eq!(rest.splits.load(Ordering::Acquire), 50, "what was handled is not fetched again");
    assert_eq!(rounds(db).await.remove(&pet.0), Some((0..250).collect()), "in order");
}

//! A consumer that is behind: what waits for it is late, not lost, and is handled together; what is poisoned alone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{DEAD, Notebook, Turnstile, World, applied, count, flush, pets, sorted};
use crate::world::eventually;

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
    turnstile.open.store(true, Ordering::Release);
    turnstile.go.notify_one();
    let expected = sorted(expected);
    eventually("everything is applied once", || async { applied(&consumer.base.db).await == expected }).await;
    assert_eq!(notebook.splits.load(Ordering::Acquire), 20, "each was handled once");
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

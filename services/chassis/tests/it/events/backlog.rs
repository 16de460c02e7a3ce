//! A consumer that is behind: what waits for it is late, not lost, and is handled together.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Notebook, Turnstile, World, applied, count, flush, pets, sorted};
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

//! Streams at one replica, of what another one wrote.

use std::time::{Duration, Instant};

use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::timeline::v1::timeline_update::Type;

use crate::bench::{Bench, Told, plan};
use crate::following::{Updates, expected, open};

/// How long each of some changes takes from the other replica's commit to the stream.
async fn delays(bench: &Bench, count: i64) -> Vec<Duration> {
    let pet = bench.pet_id();
    let mut stream: Updates = open(&bench.replica(), bench, (bench.owner_of(pet), pet), "").await.unwrap();
    assert_eq!(stream.told(1).await, expected(&[(0, Type::Ready)]));
    let mut delays = Vec::new();
    for nth in 1..=count {
        let told = Told::new(pet, nth.unsigned_abs().into(), Behavior::Walking, nth, nth + 1);
        bench.tell(&told).await;
        let since = Instant::now();
        assert_eq!(stream.told(1).await, expected(&[(nth, Type::Entry)]));
        delays.push(since.elapsed());
    }
    delays.sort();
    delays
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_heard_of_at_once() {
    let bench = Bench::new("at_once").await;
    let delays = delays(&bench, 21).await;
    // Without hints it would be a second.
    assert!(delays[10] < Duration::from_millis(200), "{delays:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_a_change_is_found_within_seconds() {
    let away = plan().with("PETTY_EVENTS_REDIS_URL", "redis://127.0.0.1:1/0");
    let bench = Bench::on(away.lay("no_redis").await).await;
    let delays = delays(&bench, 3).await;
    assert!(delays[2] < Duration::from_secs(6), "{delays:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_tell_the_same() {
    let bench = Bench::new("the_same").await;
    let pet = bench.pet_id();
    let caller = (bench.owner_of(pet), pet);
    let (one, other) = (bench.replica(), bench.replica());
    let mut streams = Vec::new();
    for grpc in [&bench.grpc, &one, &other, &one] {
        streams.push(open(grpc, &bench, caller, "0").await.unwrap());
    }
    for nth in 1..=60 {
        bench.tell(&Told::new(pet, nth, Behavior::Walking, 0, 1)).await;
    }
    let first = streams[0].take(60).await;
    for stream in &mut streams[1..] {
        assert_eq!(stream.take(60).await, first);
    }
}

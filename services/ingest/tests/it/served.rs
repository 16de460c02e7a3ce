//! Newest readings from Redis, and from the database where Redis is empty or away.

use petty_chassis::access::{Pairing, Role};
use petty_chassis::events::redis::Connector;
use petty_chassis::types::PairingId;
use petty_ingest::realtime::Realtime;
use petty_ingest::store::Store;
use petty_testbench::{Bench, eventually};
use redis::AsyncCommands as _;

use crate::world::{Person, World, ago, reading};

const COLLAR: &str = "collar-1";
const KEY: &str = "petty:newest:{collar-1}";

/// Redis as the bench has it.
pub(crate) fn own(bench: &Bench) -> Connector {
    bench.base.redis.clone()
}

async fn flush(world: &World) {
    redis::cmd("FLUSHDB").query_async::<()>(&mut world.base.redis.shared()).await.unwrap();
}

async fn is_there(world: &World) -> bool {
    world.base.redis.shared().exists(KEY).await.unwrap()
}

/// The heart rate and the age that are answered.
async fn answered(world: &World, owner: &Person) -> (f64, i64) {
    let newest = world.realtime(owner, COLLAR).await.unwrap();
    assert_eq!(newest.as_of, newest.timestamp);
    let time = jiff::Timestamp::try_from(newest.timestamp.unwrap()).unwrap();
    (newest.heart_rate.unwrap(), ago(0).duration_since(time).as_secs())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_from_redis_and_is_rebuilt_from_the_database_when_that_is_empty() {
    let world = World::served("served", own).await;
    let owner = world.person();
    world.owned(&owner, COLLAR);
    world.ingest(&owner, reading(COLLAR, ago(10))).await.unwrap();
    eventually("it is in Redis", || is_there(&world)).await;
    let life: i64 = world.base.redis.shared().pttl(KEY).await.unwrap();
    assert!((1..=60_000).contains(&life), "{life}");
    // So that where it comes from shows.
    world.execute("-- other\nUPDATE latest_states SET heart_rate = 99", &[]).await;
    let other = Realtime::start(&world.base.context, &world.base.redis);
    let collar = COLLAR.parse().unwrap();
    assert_eq!(other.get(&collar).await.unwrap().signals.heart_rate, Some(80.0));
    assert_eq!(answered(&world, &owner).await, (80.0, 10));
    flush(&world).await;
    assert!(other.get(&collar).await.is_none());
    assert_eq!(answered(&world, &owner).await, (99.0, 10));
    eventually("it is there again", || is_there(&world)).await;
    assert_eq!(other.get(&collar).await.unwrap().signals.heart_rate, Some(99.0));
    // What no version of ours wrote is none.
    let _: usize = world.base.redis.shared().hset(KEY, "reading", "nonsense").await.unwrap();
    assert_eq!(answered(&world, &owner).await, (99.0, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_comes_late_by_whichever_replica_the_newest_stays() {
    let world = World::served("served_late", own).await;
    let owner = world.person();
    world.owned(&owner, COLLAR);
    let collar = COLLAR.parse().unwrap();
    let other = Realtime::start(&world.base.context, &world.base.redis);
    let mut newest = i64::MAX;
    for seconds in [100, 200, 50, 50, 86_400, 60, 7, 8] {
        world.ingest(&owner, reading(COLLAR, ago(seconds))).await.unwrap();
        newest = newest.min(seconds);
        assert_eq!(answered(&world, &owner).await.1, newest, "its own replica sees it at once");
        eventually("the other one does soon", || async {
            other.get(&collar).await.is_some_and(|stored| stored.measured_at == ago(newest))
        })
        .await;
    }
    // As if another replica had read an older one before, and wrote it only now.
    let mut old = other.get(&collar).await.unwrap();
    old.measured_at = ago(500);
    other.note([old]);
    let mut marker = other.get(&collar).await.unwrap();
    marker.collar = "marker-1".parse().unwrap();
    other.note([marker.clone()]);
    let third = Realtime::start(&world.base.context, &world.base.redis);
    eventually("it was written, or refused", || async { third.get(&marker.collar).await.is_some() }).await;
    assert_eq!(third.get(&collar).await.unwrap().measured_at, ago(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_redis_the_database_answers() {
    let nowhere = |_: &Bench| Connector::new(&"redis://127.0.0.1:9".to_owned().into()).unwrap();
    let world = World::served("served_nowhere", nowhere).await;
    let owner = world.person();
    world.owned(&owner, COLLAR);
    for seconds in [30, 20, 40, 10] {
        world.ingest(&owner, reading(COLLAR, ago(seconds))).await.unwrap();
    }
    for _ in 0..3 {
        assert_eq!(answered(&world, &owner).await, (80.0, 10));
    }
    let other = Realtime::start(&world.base.context, &nowhere(&world));
    assert!(other.get(&COLLAR.parse().unwrap()).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_redis_a_replica_sees_what_another_took() {
    let nowhere = |_: &Bench| Connector::new(&"redis://127.0.0.1:9".to_owned().into()).unwrap();
    let world = World::served("served_replicas", nowhere).await;
    let owner = world.person();
    let pet = world.owned(&owner, COLLAR);
    let (context, base) = (&world.base.context, &world.base);
    let other = Store::new(context, &base.db, base.events.shards())
        .serving_from(Realtime::start(context, &nowhere(&world)));
    let pairing = Pairing {
        pairing_id: PairingId::new(&world.clock),
        pet_id: pet,
        start: ago(1_000),
        end: None,
        role: Role::Owner,
    };
    let collar = COLLAR.parse().unwrap();
    // What it answered once waits for Redis there, too, and is not the newest any more.
    for seconds in [30, 20, 10] {
        world.ingest(&owner, reading(COLLAR, ago(seconds))).await.unwrap();
        let (newest, _) = other.newest(&collar, &[pairing]).await.unwrap().unwrap();
        assert_eq!(newest.measured_at, ago(seconds));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_forgotten_pet_stays_in_redis_or_comes_back() {
    let world = World::served("served_erased", own).await;
    let owner = world.person();
    let pet = world.owned(&owner, COLLAR);
    world.ingest(&owner, reading(COLLAR, ago(10))).await.unwrap();
    eventually("it is in Redis", || is_there(&world)).await;
    let other = Realtime::start(&world.base.context, &world.base.redis);
    let (collar, late) = (COLLAR.parse().unwrap(), other.get(&COLLAR.parse().unwrap()).await.unwrap());
    world.erase(pet).await;
    eventually("it is gone", || async { !is_there(&world).await }).await;
    // A replica that was slow writes what it had read before.
    let mut marker = late.clone();
    marker.collar = "marker-1".parse().unwrap();
    other.note([late.clone()]);
    other.note([marker.clone()]);
    let third = Realtime::start(&world.base.context, &world.base.redis);
    eventually("it was written, or refused", || async { third.get(&marker.collar).await.is_some() }).await;
    assert!(third.get(&collar).await.is_none());
    // Another pet's is taken.
    let mut next = late;
    next.pet = world.pet_id();
    other.note([next.clone()]);
    eventually("the next pet's is there", || async {
        third.get(&collar).await.is_some_and(|stored| stored.pet == next.pet)
    })
    .await;
}

//! Collars that have stopped, noticed by due times in the database.

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use petty_chassis::access::Role;
use petty_chassis::events::topics;
use petty_chassis::types::Clock;
use petty_ingest::store::{Looked, Store};
use petty_proto::events::v1::ReadingsSilent;

use crate::world::{Person, World, reading};

const COLLAR: &str = "collar-1";

/// A world whose clock says what the database's does, so that readings come as they are measured.
async fn world(name: &str) -> (World, Person) {
    let world = World::starting(name, Clock::system().now()).await;
    let owner = world.person();
    (world, owner)
}

fn before(world: &World, seconds: i64) -> Timestamp {
    world.clock.now() - SignedDuration::from_secs(seconds)
}

/// So many readings, one every ten seconds, the last one now.
async fn measure(world: &World, owner: &Person, count: i64) {
    let readings = (0..count).rev().map(|index| reading(COLLAR, before(world, 10 * index))).collect();
    world.ingest_batch(owner, readings).await.unwrap();
}

/// As if so many seconds had passed since the last reading came, and since the last look.
async fn pass(world: &World, seconds: f64) {
    let later = "-- later\nUPDATE latest_states SET received_at = received_at - make_interval(secs => $1)";
    world.execute(later, &[&seconds]).await;
    let later = "-- later\nUPDATE collar_watches SET look_at = look_at - make_interval(secs => $1),
                 seen_at = seen_at - make_interval(secs => $1)";
    world.execute(later, &[&seconds]).await;
}

async fn told(world: &World) -> Vec<ReadingsSilent> {
    let written = world.outbox(&topics::READINGS_SILENT).await;
    written.into_iter().map(|written| written.payload).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collar_that_stops_is_told_once_however_many_replicas_look() {
    let (world, owner) = world("silence_once").await;
    let pet = world.owned(&owner, COLLAR);
    measure(&world, &owner, 13).await;
    let looked = |collars, fell_silent| Looked { collars, fell_silent };
    assert_eq!(world.store.look_at_collars(10).await.unwrap(), looked(1, 0));
    assert_eq!(world.store.look_at_collars(10).await.unwrap(), looked(0, 0), "it is not due");
    pass(&world, 15.0).await;
    assert_eq!(world.store.look_at_collars(10).await.unwrap(), looked(0, 0), "not yet");
    pass(&world, 11.0).await;

    let replicas: Vec<Store> =
        (0..6).map(|_| Store::new(&world.base.context, &world.base.db, world.base.events.shards())).collect();
    let looks = join_all(replicas.iter().map(|replica| replica.look_at_collars(10))).await;
    let fell: usize = looks.into_iter().map(|look| look.unwrap().fell_silent).sum();
    assert_eq!(fell, 1);
    let [silent] = told(&world).await.try_into().unwrap();
    assert_eq!((silent.pet_id.as_str(), silent.collar_id.as_str()), (pet.to_string().as_str(), COLLAR));
    assert_eq!(silent.interval_seconds, 10.0);
    let last = Timestamp::try_from(silent.last_time.unwrap()).unwrap();
    assert_eq!(last.as_microsecond(), world.clock.now().as_microsecond());
    let (silent, reporting, _) = world.store.silence().await.unwrap();
    assert_eq!((silent, reporting), (1, 0));

    // It stays silent, and it is told no second time; back and gone again, it is.
    for _ in 0..3 {
        pass(&world, 1_000.0).await;
        assert_eq!(world.store.look_at_collars(10).await.unwrap(), looked(1, 0));
    }
    // Long after what came before, by the collar's clock.
    world.clock.set(Clock::system().now() + SignedDuration::from_secs(600));
    measure(&world, &owner, 4).await;
    pass(&world, 3.0).await;
    pass_looks(&world).await;
    assert_eq!(world.store.look_at_collars(10).await.unwrap(), looked(1, 0));
    let (silent, reporting, _) = world.store.silence().await.unwrap();
    assert_eq!((silent, reporting), (0, 1), "it is back");
    pass(&world, 23.0).await;
    assert_eq!(world.store.look_at_collars(10).await.unwrap(), looked(1, 1));
    assert_eq!(told(&world).await.len(), 2);
}

/// Looks are due now.
async fn pass_looks(world: &World) {
    world.execute("-- due\nUPDATE collar_watches SET look_at = now()", &[]).await;
}

#[tokio::test]
async fn a_late_reading_ends_no_silence_and_a_forgotten_pet_has_none() {
    let (world, owner) = world("silence_late").await;
    let pet = world.owned(&owner, COLLAR);
    measure(&world, &owner, 13).await;
    world.store.look_at_collars(10).await.unwrap();
    pass(&world, 20.0).await;
    // Older than the newest: that it comes now says nothing about now.
    world.ingest(&owner, reading(COLLAR, before(&world, 3_600))).await.unwrap();
    pass(&world, 6.0).await;
    assert_eq!(world.store.look_at_collars(10).await.unwrap().fell_silent, 1);

    // Long after what came before, by the collar's clock.
    world.clock.set(Clock::system().now() + SignedDuration::from_secs(600));
    measure(&world, &owner, 1).await;
    pass_looks(&world).await;
    assert_eq!(world.store.look_at_collars(10).await.unwrap().fell_silent, 0);
    world.erase(pet).await;
    for _ in 0..3 {
        pass(&world, 100.0).await;
        pass_looks(&world).await;
        assert_eq!(world.store.look_at_collars(10).await.unwrap().fell_silent, 0);
    }
    assert_eq!(told(&world).await.len(), 1);
}

#[tokio::test]
async fn days_that_are_filled_in_are_no_collar_that_stopped() {
    let (world, owner) = world("silence_filled").await;
    world.owned(&owner, COLLAR);
    let readings = (0..50).map(|index| reading(COLLAR, before(&world, 90_000 + index * 10))).collect();
    world.ingest_batch(&owner, readings).await.unwrap();
    for seconds in [0.0, 30.0, 300.0, 3_000.0] {
        pass(&world, seconds).await;
        pass_looks(&world).await;
        assert_eq!(world.store.look_at_collars(10).await.unwrap().fell_silent, 0);
    }
    assert!(told(&world).await.is_empty());
}

#[tokio::test]
async fn a_collar_whose_clock_is_put_right_is_heard() {
    let (world, owner) = world("silence_ahead").await;
    world.owned(&owner, COLLAR);
    measure(&world, &owner, 13).await;
    world.store.look_at_collars(10).await.unwrap();
    let ahead = before(&world, -600);
    world.ingest(&owner, reading(COLLAR, ahead)).await.unwrap();
    let fell_silent = async || {
        pass_looks(&world).await;
        world.store.look_at_collars(10).await.unwrap().fell_silent
    };
    assert_eq!(fell_silent().await, 0);
    for _ in 0..3 {
        pass(&world, 20.0).await;
        world.clock.set(world.clock.now() + SignedDuration::from_secs(1));
        world.ingest(&owner, reading(COLLAR, before(&world, 0))).await.unwrap();
        pass(&world, 6.0).await;
        assert_eq!(fell_silent().await, 0);
    }
    let newest = world.latest(COLLAR).await.map(|(time, _)| time);
    assert_eq!(newest, Some(ahead.as_microsecond()), "the newest is by time all the same");
    // What is filled in says nothing about now, and that it stops is noticed.
    world.ingest(&owner, reading(COLLAR, before(&world, 3_700))).await.unwrap();
    pass(&world, 20.0).await;
    assert_eq!(fell_silent().await, 1);
    assert_eq!(told(&world).await.len(), 1);
}

#[tokio::test]
async fn a_pet_that_wore_a_collar_before_one_that_is_forgotten_has_not_fallen_silent() {
    let (world, owner) = world("silence_erased").await;
    let (former, forgotten) = (world.pet_id(), world.pet_id());
    let moved = before(&world, 1_200);
    world.pair(&owner, Role::Owner, COLLAR, former, moved - SignedDuration::from_hours(24), Some(moved));
    let back = before(&world, -60);
    world.pair(&owner, Role::Owner, COLLAR, forgotten, moved, Some(back));
    let of_former = (1..14).map(|index| reading(COLLAR, before(&world, 1_200 + 10 * index))).collect();
    world.ingest_batch(&owner, of_former).await.unwrap();
    measure(&world, &owner, 13).await;
    assert_eq!(world.latest(COLLAR).await.map(|(_, pet)| pet), Some(forgotten));
    world.store.look_at_collars(10).await.unwrap();
    world.erase(forgotten).await;
    assert_eq!(world.latest(COLLAR).await.map(|(_, pet)| pet), Some(former));
    for seconds in [0.0, 30.0, 1_000.0, 10_000.0] {
        pass(&world, seconds).await;
        pass_looks(&world).await;
        assert_eq!(world.store.look_at_collars(10).await.unwrap().fell_silent, 0, "{seconds}");
    }
    // Worn again it is watched as any other.
    world.pair(&owner, Role::Owner, COLLAR, former, back, None);
    world.clock.set(Clock::system().now() + SignedDuration::from_secs(600));
    measure(&world, &owner, 13).await;
    pass_looks(&world).await;
    assert_eq!(world.store.look_at_collars(10).await.unwrap().fell_silent, 0);
    pass(&world, 100.0).await;
    assert_eq!(world.store.look_at_collars(10).await.unwrap().fell_silent, 1);
}

//! What the service's events do to its tables, whatever their order.

use futures::future::join_all;
use petty_chassis::events::{Event, Failure, topics};
use petty_chassis::types::EventId;
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::events::v1::PetErasing;
use petty_testbench::{a_dog, eventually};

use crate::bench::{Bench, Told};

const ENTRIES: &str = "-- entries\nSELECT concat_ws(' ', event_id, pet_id, kind, behavior, start_at, end_at, open, confidence, metadata, version)
                       FROM entries ORDER BY event_id";
const HANDLED: &str = "-- handled\nSELECT count(*) FROM event_inbox";
const DEAD: &str = "-- dead\nSELECT pet_id::text FROM event_dead_letters";

/// Every order of some things.
fn orders<T: Copy>(things: &[T]) -> Vec<Vec<T>> {
    if things.is_empty() {
        return vec![Vec::new()];
    }
    (0..things.len())
        .flat_map(|first| {
            let rest: Vec<T> =
                things.iter().enumerate().filter(|(nth, _)| *nth != first).map(|(_, thing)| *thing).collect();
            orders(&rest).into_iter().map(move |mut order| {
                order.insert(0, things[first]);
                order
            })
        })
        .collect()
}

#[tokio::test]
async fn versions_come_to_the_same_in_every_order() {
    let bench = Bench::new("orders").await;
    let mut nth = 0;
    for (third, expected) in [
        (
            Told { version: 3, ..Told::new(bench.pet_id(), 0, Behavior::DeepSleep, 0, 900) },
            Some("deep_sleep 3"),
        ),
        (Told { version: 3, ..Told::new(bench.pet_id(), 0, Behavior::Unknown, 0, 900) }, None),
        (
            Told { version: 3, superseded: true, ..Told::new(bench.pet_id(), 0, Behavior::Resting, 0, 600) },
            None,
        ),
    ] {
        let pet = third.pet;
        let first = Told { open: true, ..Told::new(pet, 0, Behavior::Resting, 0, 300) };
        let second = Told { version: 2, ..Told::new(pet, 0, Behavior::Resting, 0, 600) };
        for order in orders(&[first, second, third]) {
            nth += 1;
            for told in &order {
                bench.tell(&Told { nth, ..*told }).await;
            }
            // And once more, the oldest last.
            bench.tell(&Told { nth, ..first }).await;
            // Each order has an id of its own, the newest here.
            let newest = "-- newest\nSELECT concat_ws(' ', event_id, behavior, version) FROM entries ORDER BY event_id DESC LIMIT 1";
            let id = uuid::Uuid::from_u128(nth);
            let found = bench.rows(newest).await.into_iter().find(|row| row.starts_with(&id.to_string()));
            assert_eq!(found, expected.map(|expected| format!("{id} {expected}")), "{order:?}");
        }
    }
}

#[tokio::test]
async fn what_was_unknown_may_become_known() {
    let bench = Bench::new("known").await;
    let pet = bench.pet_id();
    let unknown = Told::new(pet, 1, Behavior::Unknown, 0, 300);
    bench.tell(&unknown).await;
    assert!(bench.rows(ENTRIES).await.is_empty());
    bench.tell(&Told { version: 2, behavior: Behavior::Walking, ..unknown }).await;
    assert_eq!(bench.rows(ENTRIES).await.len(), 1);
}

#[tokio::test]
async fn another_pets_episode_cannot_be_told_under_this_ones_name() {
    let bench = Bench::new("names").await;
    let (mine, theirs) = (bench.pet_id(), bench.pet_id());
    let told = Told::new(theirs, 1, Behavior::Resting, 0, 300);
    let event = bench.event(&topics::BEHAVIOR_CHANGED, mine, 1, &told.payload());
    assert!(matches!(bench.apply(&event).await, Err(Failure::Poison(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outlives_an_erasing_beside_it() {
    let bench = Bench::new("racing").await;
    for round in 0..20 {
        let pet = bench.pet_id();
        let told: Vec<Event> = (0..6)
            .map(|nth| bench.told(&Told::new(pet, round * 10 + nth, Behavior::Resting, 0, 300)))
            .collect();
        let erasing = bench.erasing(pet);
        let (erased, applied) =
            tokio::join!(bench.apply(&erasing), join_all(told.iter().map(|event| bench.apply(event))));
        erased.unwrap();
        applied.into_iter().for_each(Result::unwrap);
        // Even where the consumer looked for the tombstone before it was there.
        bench.apply(&bench.told(&Told::new(pet, round * 10 + 9, Behavior::Resting, 0, 300))).await.unwrap();
    }
    assert!(bench.rows(ENTRIES).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_delivered_twice_and_in_disorder_come_to_the_same_tables() {
    let (one, other) = (Bench::consuming("in_order").await, Bench::consuming("disordered").await);
    let pets: Vec<_> = (0..3).map(|_| one.pet_id()).collect();
    let mut events = Vec::new();
    for (index, pet) in pets.iter().enumerate() {
        for nth in 0..10 {
            for version in 1..=3 {
                let from = i64::try_from(nth).unwrap() * 1_000;
                let nth = (index as u128) * 100 + nth;
                let superseded = version == 3 && nth.is_multiple_of(4);
                let told = Told {
                    version,
                    superseded,
                    ..Told::new(*pet, nth, Behavior::Walking, from, from + version * 300)
                };
                events.push(one.told(&told));
            }
        }
    }
    for event in &events {
        one.publish(event).await;
    }
    let disordered = events.iter().rev().chain(events.iter().step_by(3)).chain(&events);
    for event in disordered {
        other.publish(event).await;
    }
    one.consume();
    other.consume();
    for bench in [&one, &other] {
        eventually("all are handled", || async { bench.count(HANDLED).await == 90 }).await;
        assert!(bench.rows(DEAD).await.is_empty());
    }
    let entries = one.rows(ENTRIES).await;
    // Of thirty, nine have a number that is a multiple of four, and are superseded.
    assert_eq!(entries.len(), 21);
    assert_eq!(other.rows(ENTRIES).await, entries);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_event_is_buried_and_the_rest_flows_on() {
    let bench = Bench::consuming("poison").await;
    let (poisoned, pet) = (bench.pet_id(), bench.pet_id());
    let mut bad = Told::new(poisoned, 1, Behavior::Resting, 0, 300).payload();
    bad.episode.as_mut().unwrap().confidence = 7.0;
    bench.publish(&bench.event(&topics::BEHAVIOR_CHANGED, poisoned, 1, &bad)).await;
    bench.publish(&bench.told(&Told::new(poisoned, 2, Behavior::Resting, 0, 300))).await;
    bench.publish(&bench.told(&Told::new(pet, 3, Behavior::Resting, 0, 300))).await;
    bench.consume();
    eventually("all are handled", || async { bench.count(HANDLED).await == 3 }).await;
    assert_eq!(bench.rows(DEAD).await, [poisoned.to_string()]);
    assert_eq!(bench.rows(ENTRIES).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_pet_does_not_come_back() {
    let bench = Bench::consuming("erased").await;
    let (pet, other) = (bench.pet_id(), bench.pet_id());
    let told = bench.told(&Told::new(pet, 1, Behavior::Resting, 0, 300));
    bench.publish(&told).await;
    bench.publish(&bench.told(&Told::new(other, 2, Behavior::Resting, 0, 300))).await;
    bench.consume();
    eventually("both are told", || async { bench.count(HANDLED).await == 2 }).await;
    bench.publish(&bench.erasing(pet)).await;
    eventually("the pet is erased", || async { bench.count(HANDLED).await == 3 }).await;
    bench.publish(&Event { id: EventId::new(&bench.clock), version: 2, ..told }).await;
    bench.publish(&bench.pet_deleted(&a_dog(pet, 4))).await;
    eventually("the late ones are handled", || async { bench.count(HANDLED).await == 5 }).await;
    assert_eq!(bench.rows("-- pets\nSELECT pet_id::text FROM entries").await, [other.to_string()]);
    let erased = "-- erased\nSELECT subject::text FROM event_outbox WHERE topic = 'data.erased'";
    assert_eq!(bench.rows(erased).await, [pet.to_string()]);
    assert!(bench.rows(DEAD).await.is_empty());
}

#[tokio::test]
async fn an_erasing_of_another_pet_is_refused() {
    let bench = Bench::new("mixed_up").await;
    let payload = PetErasing { pet_id: bench.pet_id().to_string(), account_id: String::new() };
    let event = bench.event(&topics::PET_ERASING, bench.pet_id(), 0, &payload);
    assert!(matches!(bench.apply(&event).await, Err(Failure::Poison(_))));
}

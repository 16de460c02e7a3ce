//! The service's events, through Redis and the consumer.

use petty_behavior::domain::Species;
use petty_chassis::events::{Event, topics};
use petty_chassis::types::{EventId, PetId};
use petty_proto::events::v1::{AcceptedReading, Envelope, ReadingsAccepted};
use petty_testbench::{a_cat, a_dog, eventually};
use prost::Message as _;

use crate::bench::{Bench, asleep, flush, reading, walking};

const HANDLED: &str = "-- handled\nSELECT count(*) FROM event_inbox";
const EPISODES: &str =
    "-- episodes\nSELECT concat_ws(' ', pet_id, behavior, start_at, end_at, version) FROM episodes
                        WHERE NOT superseded ORDER BY pet_id, start_at";
const DEAD: &str = "-- dead\nSELECT pet_id::text FROM event_dead_letters";

#[tokio::test(flavor = "multi_thread")]
async fn an_event_delivered_often_counts_once() {
    let bench = Bench::consuming("often").await;
    let dog = bench.pet(Species::Dog);
    let first = bench.event(&topics::READINGS_ACCEPTED, dog, 0, &flush([(dog, asleep(0, 6))]));
    let mut second = bench.event(&topics::READINGS_ACCEPTED, dog, 0, &flush([(dog, asleep(6, 6))]));
    second.number = 2;
    for event in [&second, &first, &second, &first, &first] {
        bench.publish(event).await;
    }
    bench.consume();
    let marked = "-- marked\nSELECT frontier FROM event_progress";
    eventually("both are handled", || async {
        bench.count(HANDLED).await == 2
            && bench.rows("-- any\nSELECT topic FROM event_progress").await.len() == 1
            && bench.count(marked).await == 2
    })
    .await;
    let episodes = bench.rows(EPISODES).await;
    assert_eq!(episodes.len(), 1, "{episodes:?}");
    // Told at most twice: as it was born from the later half, and as it grew; or once, where both were taken together.
    assert!((1..=2).contains(&bench.told().await.len()));
    assert!(bench.rows(DEAD).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_pet_is_buried_alone() {
    let bench = Bench::consuming("poison").await;
    let (before, poisoned, after) =
        (bench.pet(Species::Dog), bench.pet(Species::Dog), bench.pet(Species::Dog));
    let mut bad = asleep(0, 6);
    bad.push(reading(400, f64::NAN, 0));
    let pets = [(before, asleep(0, 6)), (poisoned, bad), (after, asleep(0, 6))];
    bench.publish(&bench.event(&topics::READINGS_ACCEPTED, before, 0, &flush(pets))).await;
    // Nor does it hold up what waits with it.
    let pets = [(before, asleep(6, 6)), (after, asleep(6, 6))];
    let mut second = bench.event(&topics::READINGS_ACCEPTED, before, 0, &flush(pets));
    second.number = 2;
    bench.publish(&second).await;
    bench.consume();
    eventually("all five are handled", || async { bench.count(HANDLED).await == 5 }).await;
    assert_eq!(bench.rows(DEAD).await, [poisoned.to_string()]);
    let owners = "-- owners\nSELECT pet_id::text FROM episodes ORDER BY pet_id";
    assert_eq!(bench.rows(owners).await, [before.to_string(), after.to_string()]);
    let said = "-- said\nSELECT error FROM event_dead_letters";
    assert_eq!(bench.rows(said).await, ["heart_rate cannot be used"]);
    let kept = bench.query("-- kept\nSELECT envelope FROM event_dead_letters", &[]).await;
    let envelope = Envelope::decode(kept[0].get::<_, Vec<u8>>(0).as_slice()).unwrap();
    let kept = ReadingsAccepted::decode(envelope.payload).unwrap();
    let pets: Vec<String> = kept.pets.into_iter().map(|pet| pet.pet_id).collect();
    assert_eq!(pets, [poisoned.to_string()], "no other pet's readings are kept with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_with_the_same_events_in_orders_of_their_own_do_each_thing_once() {
    // One database, and streams of their own: each replica is given everything.
    let (one, other) = (Bench::consuming("overlapping").await, Bench::consuming("overlapping").await);
    let alone = Bench::new("overlapping_alone").await;
    let pets: Vec<PetId> = (0..20).map(|_| one.pet(Species::Dog)).collect();
    for pet in &pets {
        other.pets.say(a_dog(*pet, 1));
        alone.pets.say(a_dog(*pet, 1));
    }
    let events: Vec<Event> = (0..16)
        .map(|nth| {
            let some = if nth % 4 < 2 { asleep(10 * nth, 10) } else { walking(10 * nth, 10) };
            let low = |reading| AcceptedReading {
                battery_level: Some(if nth > 8 { 9.0 } else { 80.0 }),
                ..reading
            };
            let some: Vec<AcceptedReading> = some.into_iter().map(low).collect();
            // Neither all pets nor always the same: batches of both overlap in parts.
            let of = pets.iter().enumerate().filter(|(pet, _)| (pet + usize::try_from(nth).unwrap()) % 5 > 0);
            let pets = of.map(|(_, pet)| (*pet, some.clone()));
            let event =
                one.event(&topics::READINGS_ACCEPTED, pets.clone().next().unwrap().0, 0, &flush(pets));
            Event { number: nth + 1, shard: 0, ..event }
        })
        .collect();
    for event in &events {
        one.publish(event).await;
        alone.apply(event).await.unwrap();
    }
    for event in events.iter().rev() {
        other.publish(event).await;
    }
    one.consume();
    other.consume();
    eventually("everything is handled", || async { one.count(HANDLED).await == 16 * 16 }).await;
    let standing = "-- standing\nSELECT concat_ws(' ', pet_id, behavior, start_at, end_at, open, confidence, evidence) FROM episodes
                    WHERE NOT superseded ORDER BY pet_id, start_at";
    assert_eq!(one.rows(standing).await, alone.rows(standing).await);
    let told = "-- told\nSELECT count(DISTINCT (subject, version, payload)) - count(*) FROM event_outbox WHERE topic = 'behavior.changed'";
    assert_eq!(one.count(told).await, 0, "no version is told twice");
    let alerts =
        "-- alerts\nSELECT concat_ws(' ', pet_id, kind, status, version) FROM alerts ORDER BY pet_id, kind";
    let low: Vec<String> = pets.iter().map(|pet| format!("{pet} battery_low raised 1")).collect();
    assert_eq!(one.rows(alerts).await, low);
    assert!(one.rows(DEAD).await.is_empty());
    let deadlocks = "-- deadlocks\nSELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(one.count(deadlocks).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_wait_for_auth_and_are_never_given_up() {
    let bench = Bench::consuming("patience").await;
    let pet = bench.pet_id();
    bench.publish(&bench.event(&topics::READINGS_ACCEPTED, pet, 0, &flush([(pet, asleep(0, 6))]))).await;
    bench.consume();
    // Longer than five failures that count would take.
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(1);
    eventually("a while has passed", || async { std::time::Instant::now() > patience }).await;
    assert_eq!((bench.count(HANDLED).await, bench.rows(DEAD).await.len()), (0, 0));
    bench.pets.say(a_dog(pet, 1));
    eventually("the readings are handled", || async { bench.count(HANDLED).await == 1 }).await;
    assert_eq!(bench.rows(EPISODES).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_pet_does_not_come_back() {
    let bench = Bench::consuming("erased").await;
    let dog = bench.pet(Species::Dog);
    let readings = bench.event(&topics::READINGS_ACCEPTED, dog, 0, &flush([(dog, asleep(0, 6))]));
    bench.publish(&readings).await;
    bench.consume();
    eventually("the readings are handled", || async { bench.count(HANDLED).await == 1 }).await;
    bench.publish(&bench.erasing(dog)).await;
    eventually("the pet is erased", || async { bench.count(HANDLED).await == 2 }).await;
    // The same readings as another event, and news of the pet.
    let late = petty_chassis::events::Event { id: EventId::new(&bench.clock), number: 2, ..readings };
    bench.publish(&late).await;
    bench.publish(&bench.pet_changed(&a_cat(dog, 7))).await;
    eventually("both are handled", || async { bench.count(HANDLED).await == 4 }).await;
    let left = "-- left\nSELECT (SELECT count(*) FROM episodes) + (SELECT count(*) FROM pet_states)";
    assert_eq!(bench.count(left).await, 0);
}

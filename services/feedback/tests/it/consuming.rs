//! What the service makes of the events it consumes.

use futures::future::join_all;
use petty_chassis::access::Role;
use petty_chassis::events::{Event, Failure, topics};
use petty_chassis::types::{EventId, PetId};
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::events::v1::{AccountErasing, PetErasing};
use petty_proto::feedback::v1::feedback::Verdict;
use petty_testbench::eventually;

use crate::bench::{Bench, Told, submission};

const TOLD: &str =
    "-- told\nSELECT concat_ws(' ', behavior, version, superseded) FROM episodes ORDER BY event_id";
const HANDLED: &str = "-- handled\nSELECT count(*) FROM event_inbox";
const DEAD: &str = "-- dead\nSELECT pet_id::text FROM event_dead_letters";

#[tokio::test]
async fn versions_come_to_the_same_in_every_order() {
    let bench = Bench::new("orders").await;
    let pet = bench.pet_id();
    let orders = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];
    for (nth, order) in orders.iter().enumerate() {
        let first = Told::new(pet, u128::try_from(nth).unwrap());
        for version in order {
            let behavior = if *version == 1 { Behavior::Resting } else { Behavior::Unknown };
            let replaced_by = (*version == 3).then(|| vec![99]);
            bench.tell(&Told { version: *version, behavior, replaced_by, ..first.clone() }).await;
        }
        // What is superseded stays so.
        bench.tell(&Told { version: 4, ..first.clone() }).await;
    }
    assert_eq!(bench.rows(TOLD).await, ["unknown 3 t"; 6]);
}

#[tokio::test]
async fn what_was_said_keeps_what_was_told_then() {
    let bench = Bench::new("then").await;
    let (_, account, told) = bench.told_pet(1).await;
    let said = bench.say(account, &told, Verdict::Wrong).await;
    bench.tell(&Told { version: 2, behavior: Behavior::DeepSleep, rule: "deep_sleep", ..told.clone() }).await;
    bench
        .tell(&Told { version: 3, behavior: Behavior::Walking, replaced_by: Some(vec![9]), ..told.clone() })
        .await;
    let listed = bench.list(account, crate::bench::listing(&told)).await.unwrap().feedback;
    assert_eq!(listed, [said]);
    let kept = "-- kept\nSELECT concat_ws(' ', version, behavior, rule, replaced_by) FROM feedback";
    assert_eq!(bench.rows(kept).await, ["1 resting resting {}"]);
}

#[tokio::test]
async fn what_cannot_be_used_is_poison() {
    let bench = Bench::new("poison").await;
    let pet = bench.pet_id();
    let told = Told::new(pet, 1);
    let event = |payload: &petty_proto::events::v1::BehaviorChanged, version| {
        bench.event(&topics::BEHAVIOR_CHANGED, pet, version, payload)
    };
    let mut bad = Vec::new();
    bad.push(event(&Told::new(bench.pet_id(), 1).payload(), 1));
    bad.push(event(&Told { behavior: Behavior::Unspecified, ..told.clone() }.payload(), 1));
    bad.push(event(&told.payload(), 0));
    let mut payload = told.payload();
    payload.replaced_by.push("rex".to_owned());
    bad.push(event(&payload, 1));
    let mut payload = told.payload();
    payload.episode.as_mut().unwrap().start_time = None;
    bad.push(event(&payload, 1));
    let other = PetErasing { pet_id: bench.pet_id().to_string(), account_id: String::new() };
    bad.push(bench.event(&topics::PET_ERASING, pet, 0, &other));
    bad.push(bench.event(&topics::DATA_ERASED, pet, 0, &other));
    for event in &bad {
        assert!(matches!(bench.apply(event).await, Err(Failure::Poison(_))), "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_closed_account_said_is_gone_from_the_archive_too() {
    let bench = Bench::new("closed").await;
    let (pet, stays, told) = bench.told_pet(1).await;
    let closing = bench.account_id();
    bench.access.share(pet, closing, Role::Caregiver);
    for account in [closing, stays] {
        bench.submit(account, submission(&told, "positive")).await.unwrap();
    }
    bench.archive.round().await.unwrap();
    assert_eq!(bench.lines().len(), 2);
    let id = PetId(closing.0);
    let payload = AccountErasing { account_id: closing.to_string() };
    let erasing = bench.event(&topics::ACCOUNT_ERASING, id, 1, &payload);
    bench.apply(&erasing).await.unwrap();
    let left = bench.rows("-- left\nSELECT account_id::text FROM feedback").await;
    assert_eq!(left, [stays.to_string()]);
    // It is told once the archive has followed.
    assert!(bench.erased().await.is_empty());
    bench.archive.round().await.unwrap();
    assert_eq!(bench.lines().len(), 1);
    assert_eq!(bench.erased().await, [closing.to_string()]);
    // Even where access is remembered, it says nothing more.
    let refused = bench.submit(closing, submission(&told, "positive")).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
    // And of the pet all else stays.
    bench.submit(stays, submission(&told, "positive")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outlives_an_erasing_beside_it() {
    let bench = Bench::new("racing").await;
    for round in 0..12 {
        let (pet, account, told) = bench.told_pet(round * 10).await;
        let more: Vec<Event> = (1..5).map(|nth| bench.told(&Told::new(pet, round * 10 + nth))).collect();
        let erasing = bench.erasing(pet);
        let (erased, applied, said, archived) = tokio::join!(
            bench.apply(&erasing),
            join_all(more.iter().map(|event| bench.apply(event))),
            join_all((0..4).map(|_| bench.submit(account, submission(&told, "positive")))),
            bench.archive.round(),
        );
        erased.unwrap();
        applied.into_iter().for_each(Result::unwrap);
        archived.unwrap();
        for refused in said.into_iter().filter_map(Result::err) {
            assert_eq!(refused.code(), tonic::Code::NotFound, "{refused:?}");
        }
    }
    bench.archive.round().await.unwrap();
    for table in ["episodes", "feedback", "archive_pets", "archive_erasures"] {
        assert_eq!(bench.count(&format!("-- left\nSELECT count(*) FROM {table}")).await, 0, "{table}");
    }
    assert!(bench.objects().is_empty(), "{:?}", bench.objects());
    assert_eq!(bench.erased().await.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_pet_does_not_come_back() {
    let bench = Bench::consuming("erased").await;
    let (pet, other) = (bench.pet_id(), bench.pet_id());
    let (account, told) = (bench.owner_of(pet), Told::new(pet, 1));
    bench.publish(&bench.told(&told)).await;
    bench.publish(&bench.told(&Told::new(other, 2))).await;
    bench.consume();
    eventually("both are told", || async { bench.count(HANDLED).await == 2 }).await;
    bench.publish(&bench.erasing(pet)).await;
    eventually("the pet is erased", || async { bench.count(HANDLED).await == 3 }).await;
    let late = Event { id: EventId::new(&bench.clock), ..bench.told(&Told { version: 2, ..told.clone() }) };
    bench.publish(&late).await;
    eventually("the late one is handled", || async { bench.count(HANDLED).await == 4 }).await;
    assert_eq!(bench.rows(TOLD).await.len(), 1);
    assert_eq!(bench.erased().await, [pet.to_string()]);
    // Behavior may still know it for a while.
    bench.episodes.answer(&told.id(), told.episode());
    let status = bench.submit(account, submission(&told, "positive")).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
    assert!(bench.rows(DEAD).await.is_empty());
}

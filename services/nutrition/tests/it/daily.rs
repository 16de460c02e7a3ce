//! Days that pass: plans are made anew though nobody said anything.

use jiff::Timestamp;
use petty_proto::auth::v1 as auth;
use petty_proto::nutrition::v1 as wire;
use petty_testbench::{at, eventually};

use crate::bench::{Bench, of, rex};

const DUE: &str = "-- due\nSELECT to_char(due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24') FROM plans";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A puppy that is a year old on the 13th of January.
async fn puppy(bench: &Bench) -> (petty_chassis::types::PetId, petty_chassis::types::AccountId) {
    let pet = bench.pet_id();
    bench.pets.say(auth::Pet { birth_date: Some("2025-01-13".to_owned()), ..rex(pet, 1) });
    let owner = bench.owner_of(pet);
    let request = wire::UpdateNutritionProfileRequest {
        weight_kg: Some(10.0),
        expected_adult_weight_kg: Some(11.0),
        ..of(pet)
    };
    bench.put_profile(owner, request).await;
    (pet, owner)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pet_that_grows_up_is_told_of_once_whoever_does_it() {
    let bench = Bench::new("grown_up").await;
    let (pet, owner) = puppy(&bench).await;
    assert_eq!(bench.plan(owner, pet).await.life_stage(), wire::nutrition_profile::LifeStage::Growth);
    // Berlin's midnight, and up to an hour after it.
    assert_eq!(bench.rows(DUE).await, ["2026-01-10 23"]);
    assert_eq!(bench.daily.run_once().await.unwrap(), 0);
    // A day older, but nothing to tell.
    bench.clock.set(time("2026-01-11T00:00:00Z"));
    assert_eq!(bench.daily.run_once().await.unwrap(), 1);
    assert_eq!(bench.rows(DUE).await, ["2026-01-11 23"]);
    assert_eq!(bench.versions(pet).await, [1]);
    // Nobody looked for a while. By Berlin's day it is grown up.
    bench.clock.set(time("2026-01-13T00:30:00+01:00"));
    let plan = bench.plan(owner, pet).await;
    assert_eq!((plan.life_stage(), plan.version), (wire::nutrition_profile::LifeStage::Adult, 1));
    let others: Vec<_> = (0..4).map(|_| bench.daily.clone()).collect();
    let done = futures::future::join_all(others.iter().map(petty_nutrition::daily::Daily::run_once)).await;
    assert_eq!(done.into_iter().map(Result::unwrap).sum::<usize>(), 1);
    assert_eq!(bench.rows(DUE).await, ["2026-01-13 23"]);
    let told = bench.told().await.pop().unwrap();
    assert_eq!((told.version, told.payload.life_stage.as_str()), (2, "ADULT"));
    assert!(told.payload.reason.starts_with("a day has passed: life stage ADULT"), "{}", told.payload.reason);
    assert_eq!((bench.versions(pet).await, bench.plan(owner, pet).await.version), (vec![1, 2], 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_plans_are_shared_among_two_workers() {
    let bench = Bench::new("two_workers").await;
    let mut pets = Vec::new();
    for _ in 0..30 {
        pets.push(puppy(&bench).await.0);
    }
    bench.clock.set(time("2026-01-13T00:00:00Z"));
    let other = bench.daily.clone();
    let (one, two) = tokio::join!(bench.daily.run_once(), other.run_once());
    assert_eq!(one.unwrap() + two.unwrap(), 30);
    for pet in pets {
        assert_eq!(bench.versions(pet).await, [1, 2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_looked_for_again_and_again_until_the_service_drains() {
    let bench = Bench::new("keeps_on").await;
    let (pet, _) = puppy(&bench).await;
    let context = &bench.base.context;
    bench.daily.clone().keep_on(context, std::time::Duration::from_millis(20));
    bench.clock.set(time("2026-01-13T00:00:00Z"));
    let bench = &bench;
    eventually("it is told", || async move { bench.versions(pet).await == [1, 2] }).await;
    bench.drain();
    eventually("it ends", || async move { context.tasks.running("daily-plans") == 0 }).await;
}

#[tokio::test]
async fn a_plan_that_cannot_be_made_does_not_keep_the_others_waiting() {
    let bench = Bench::new("broken_plan").await;
    let (broken, _) = puppy(&bench).await;
    bench.clock.set(at(1));
    let (whole, _) = puppy(&bench).await;
    // A row that no program of ours writes.
    let sql = "-- break\nUPDATE profiles SET litter_size = 1000 WHERE pet_id = $1";
    assert_eq!(bench.execute(sql, &[&broken.0]).await, 1);
    bench
        .execute(
            "-- first\nUPDATE plans SET due_at = due_at - interval '1 day' WHERE pet_id = $1",
            &[&broken.0],
        )
        .await;
    bench.clock.set(time("2026-01-13T00:00:00Z"));
    assert_eq!(bench.daily.run_once().await.unwrap(), 1);
    assert_eq!((bench.versions(whole).await, bench.versions(broken).await), (vec![1, 2], vec![1]));
    bench.execute("-- mend\nUPDATE profiles SET litter_size = NULL WHERE pet_id = $1", &[&broken.0]).await;
    assert_eq!(bench.daily.run_once().await.unwrap(), 0);
    bench.clock.set(time("2026-01-13T01:00:00Z"));
    bench.daily.run_once().await.unwrap();
    assert_eq!(bench.versions(broken).await, [1, 2]);
}

#[tokio::test]
async fn another_zone_has_another_midnight() {
    let bench = Bench::new("zones").await;
    let (pet, _) = puppy(&bench).await;
    let moved = auth::Pet {
        time_zone: "Pacific/Kiritimati".to_owned(),
        birth_date: Some("2025-01-13".to_owned()),
        ..rex(pet, 2)
    };
    bench.apply(&bench.pet_changed(&moved)).await.unwrap();
    // There it is the 11th already.
    assert_eq!(bench.rows(DUE).await, ["2026-01-11 10"]);
}

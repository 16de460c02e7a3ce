//! Profiles: what is known of a pet's body and diet.

use petty_chassis::access::Role;
use petty_proto::auth::v1 as auth;
use petty_proto::nutrition::v1 as wire;
use petty_proto::nutrition::v1::nutrition_service_server::NutritionService as _;
use petty_testbench::{a_cat, at, fields, now, reason};
use tonic::Code;

use crate::bench::{Bench, kibble, of, only, rex};

type Request = wire::UpdateNutritionProfileRequest;

fn get(pet_id: String) -> wire::GetNutritionProfileRequest {
    wire::GetNutritionProfileRequest { pet_id }
}

#[tokio::test]
async fn nobody_filled_it_in_at_first() {
    let bench = Bench::new("profile_empty").await;
    let (pet, owner) = bench.dog();
    let profile = bench.grpc.get_nutrition_profile(bench.request(owner, get(pet.to_string()))).await.unwrap();
    // What auth knows is known.
    let expected =
        wire::NutritionProfile { pet_id: pet.to_string(), neutered: Some(true), ..Default::default() };
    assert_eq!(profile.into_inner(), expected);
}

#[tokio::test]
async fn a_profile_replaces_the_one_before() {
    let bench = Bench::new("profile_replaced").await;
    let (pet, owner) = bench.dog();
    let food = bench.food(owner, kibble()).await;
    let full = Request {
        weight_kg: Some(12.5),
        body_condition_score: Some(5),
        life_stage: wire::nutrition_profile::LifeStage::Lactation.into(),
        neutered: Some(false),
        activity_level: wire::nutrition_profile::ActivityLevel::Working.into(),
        work: wire::nutrition_profile::Work::Moderate.into(),
        expected_adult_weight_kg: Some(13.0),
        mating_date: Some("2025-11-01".to_owned()),
        litter_date: Some("2026-01-02".to_owned()),
        litter_size: Some(4),
        foods: only(&food),
        meals_per_day: Some(5),
        allergies: vec!["Beef".to_owned(), "fish oil".to_owned()],
        ..of(pet)
    };
    let answer = bench.put_profile(owner, full).await;
    let expected = wire::NutritionProfile {
        pet_id: pet.to_string(),
        weight_kg: Some(12.5),
        weight_time: Some(now().into()),
        body_condition_score: Some(5),
        life_stage: wire::nutrition_profile::LifeStage::Lactation.into(),
        neutered: Some(false),
        activity_level: wire::nutrition_profile::ActivityLevel::Working.into(),
        work: wire::nutrition_profile::Work::Moderate.into(),
        expected_adult_weight_kg: Some(13.0),
        mating_date: Some("2025-11-01".to_owned()),
        litter_date: Some("2026-01-02".to_owned()),
        litter_size: Some(4),
        foods: only(&food),
        meals_per_day: Some(5),
        allergies: vec!["beef".to_owned(), "fish oil".to_owned()],
        update_time: Some(now().into()),
    };
    assert_eq!(answer, expected);
    let got = bench.grpc.get_nutrition_profile(bench.request(owner, get(pet.to_string()))).await.unwrap();
    assert_eq!(got.into_inner(), expected);
    bench.clock.set(at(60));
    let answer = bench.put_profile(owner, of(pet)).await;
    // Weights are kept apart.
    let expected = wire::NutritionProfile {
        pet_id: pet.to_string(),
        weight_kg: Some(12.5),
        weight_time: Some(now().into()),
        neutered: Some(true),
        update_time: Some(at(60).into()),
        ..Default::default()
    };
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_by_each_field() {
    let bench = Bench::new("profile_faults").await;
    let (pet, owner) = bench.dog();
    let food = bench.food(owner, kibble()).await;
    let choice = |share| wire::FoodChoice { food_id: food.food_id.clone(), share };
    for (request, expected) in [
        (
            Request { weight_kg: Some(151.0), body_condition_score: Some(10), ..of(pet) },
            vec!["weight_kg", "body_condition_score"],
        ),
        (
            Request { life_stage: 9, activity_level: 9, work: 9, ..of(pet) },
            vec!["life_stage", "activity_level", "work"],
        ),
        (Request { expected_adult_weight_kg: Some(0.1), ..of(pet) }, vec!["expected_adult_weight_kg"]),
        (Request { mating_date: Some("yesterday".to_owned()), ..of(pet) }, vec!["mating_date"]),
        // After access: it is about the pet's own day.
        (Request { litter_date: Some("2026-01-11".to_owned()), ..of(pet) }, vec!["litter_date"]),
        (Request { litter_date: Some("2025-09-01".to_owned()), ..of(pet) }, vec!["litter_date"]),
        (
            Request { litter_size: Some(0), meals_per_day: Some(9), ..of(pet) },
            vec!["litter_size", "meals_per_day"],
        ),
        (
            Request { foods: vec![choice(1.0), choice(-1.0)], ..of(pet) },
            vec!["foods[1].share", "foods[1].food_id"],
        ),
        (Request { foods: vec![choice(0.0); 11], ..of(pet) }, vec!["foods"]),
        (Request { foods: vec![wire::FoodChoice::default()], ..of(pet) }, vec!["foods[0].food_id"]),
        (Request { allergies: vec!["x".repeat(61)], ..of(pet) }, vec!["allergies[0]"]),
        (Request { allergies: vec!["beef".to_owned(), "a\0b".to_owned()], ..of(pet) }, vec!["allergies[1]"]),
    ] {
        let answer = bench.grpc.update_nutrition_profile(bench.request(owner, request.clone())).await;
        assert_eq!(fields(&answer.unwrap_err()), expected, "{request:?}");
    }
    let cat = bench.pet_id();
    bench.pets.say(a_cat(cat, 1));
    let owner = bench.owner_of(cat);
    let working = Request {
        activity_level: wire::nutrition_profile::ActivityLevel::Working.into(),
        work: wire::nutrition_profile::Work::Light.into(),
        ..of(cat)
    };
    let refused = bench.grpc.update_nutrition_profile(bench.request(owner, working)).await.unwrap_err();
    assert_eq!(fields(&refused), ["activity_level", "work"]);
    assert_eq!(bench.count("-- profiles\nSELECT count(*) FROM profiles").await, 0);
}

#[tokio::test]
async fn foods_are_the_callers_own_or_were_chosen_before() {
    let bench = Bench::new("profile_foods").await;
    let (pet, owner) = bench.dog();
    let caregiver = bench.account_id();
    bench.access.share(pet, caregiver, Role::Caregiver);
    let (mine, theirs) = (bench.food(owner, kibble()).await, bench.food(caregiver, kibble()).await);
    let stranger = bench.food(bench.account_id(), kibble()).await;
    let put = |account, foods: Vec<&wire::Food>| {
        let choice = |food: &wire::Food| wire::FoodChoice { food_id: food.food_id.clone(), share: 1.0 };
        let request = Request { foods: foods.into_iter().map(choice).collect(), ..of(pet) };
        let request = bench.request(account, request);
        async { bench.grpc.update_nutrition_profile(request).await }
    };
    for foods in [vec![&stranger], vec![&mine, &theirs]] {
        let refused = put(owner, foods).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused)), (Code::NotFound, "FOOD_NOT_FOUND".to_owned()));
    }
    put(owner, vec![&mine]).await.unwrap();
    // The caregiver may keep the owner's choice, and add their own.
    let chosen = put(caregiver, vec![&theirs, &mine]).await.unwrap().into_inner().foods;
    let ids: Vec<_> = chosen.into_iter().map(|choice| choice.food_id).collect();
    assert_eq!(ids, [theirs.food_id.as_str(), mine.food_id.as_str()]);
    // What is gone may stay chosen, but not be chosen again.
    let delete = wire::DeleteFoodRequest { food_id: mine.food_id.clone() };
    bench.grpc.delete_food(bench.request(owner, delete)).await.unwrap();
    put(owner, vec![&mine]).await.unwrap();
    put(owner, vec![]).await.unwrap();
    assert_eq!(reason(&put(owner, vec![&mine]).await.unwrap_err()), "FOOD_NOT_FOUND");
}

#[tokio::test]
async fn a_weight_is_noted_where_it_is_another_than_the_last_and_put_back_it_is_no_weighing() {
    let bench = Bench::new("profile_weight").await;
    let (pet, owner) = bench.dog();
    const DAY: i64 = 86_400;
    for (seconds, kg, weights) in [
        (0, 10.0, 1),
        (60, 10.0, 1),
        (120, 10.5, 2),
        (180, 10.0, 3),
        // As it was read, with something else that was changed.
        (180 + DAY, 10.0, 3),
        (180 + 31 * DAY, 10.0, 3),
        (180 + 31 * DAY, 10.1, 4),
    ] {
        bench.clock.set(at(seconds));
        let answer = bench.put_profile(owner, Request { weight_kg: Some(kg), ..of(pet) }).await;
        assert_eq!(answer.weight_kg, Some(kg));
        let measured = if kg.total_cmp(&10.0).is_eq() && seconds > DAY { 180 } else { seconds };
        if weights > 1 {
            assert_eq!(answer.weight_time, Some(at(measured).into()), "{kg} at {seconds}");
        }
        assert_eq!(
            bench.count("-- weights\nSELECT count(*) FROM weights").await,
            weights,
            "{kg} at {seconds}"
        );
    }
    // Nothing but the weight was said after the first time.
    let profile = bench.grpc.get_nutrition_profile(bench.request(owner, get(pet.to_string()))).await.unwrap();
    assert_eq!(profile.into_inner().update_time, Some(now().into()));
}

#[tokio::test]
async fn a_pet_that_was_not_heard_of_is_asked_of_auth() {
    let bench = Bench::new("profile_unheard").await;
    let (away, gone, known) = (bench.pet_id(), bench.pet_id(), bench.pet_id());
    bench.pets.gone(gone);
    bench.pets.say(rex(known, 3));
    for (pet, code, expected) in
        [(away, Code::Unavailable, "PET_UNKNOWN"), (gone, Code::NotFound, "PET_NOT_FOUND")]
    {
        let owner = bench.owner_of(pet);
        let read = bench.grpc.get_nutrition_profile(bench.request(owner, get(pet.to_string()))).await;
        let planned =
            bench.grpc.get_plan(bench.request(owner, wire::GetPlanRequest { pet_id: pet.to_string() })).await;
        let written = bench.grpc.update_nutrition_profile(bench.request(owner, of(pet))).await;
        for refused in [read.unwrap_err(), written.unwrap_err(), planned.unwrap_err()] {
            assert_eq!((refused.code(), reason(&refused).as_str()), (code, expected));
        }
    }
    let owner = bench.owner_of(known);
    bench.plan(owner, known).await;
    // Once it is known, auth is not asked again; and what it said at version 3 is newer than what was sent at 2.
    bench.pets.gone(known);
    let old = auth::Pet { neutered: Some(false), ..rex(known, 2) };
    bench.apply(&bench.pet_changed(&old)).await.unwrap();
    let profile =
        bench.grpc.get_nutrition_profile(bench.request(owner, get(known.to_string()))).await.unwrap();
    assert_eq!(profile.into_inner().neutered, Some(true));
    assert_eq!(bench.count("-- pets\nSELECT count(*) FROM pets").await, 1);
}

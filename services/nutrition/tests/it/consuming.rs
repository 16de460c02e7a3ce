//! What the service's events do to its tables, however often they come.

use futures::future::join_all;
use jiff::civil::date;
use petty_chassis::access::Role;
use petty_chassis::events::{Event, Failure, topics};
use petty_proto::auth::v1 as auth;
use petty_proto::events::v1::{AccountErasing, DataErased, DayClosed, PetChanged, PetErasing};
use petty_proto::nutrition::v1 as wire;
use petty_proto::nutrition::v1::nutrition_service_server::NutritionService as _;
use petty_testbench::{eventually, reason};

use crate::bench::{Bench, kibble, of, only, rex, weight};

const HANDLED: &str = "-- handled\nSELECT count(*) FROM event_inbox";
/// Rows of any pet's.
const KEPT: &str = "-- kept\nSELECT (SELECT count(*) FROM pets) + (SELECT count(*) FROM profiles) + (SELECT count(*) FROM weights)
                    + (SELECT count(*) FROM profile_foods) + (SELECT count(*) FROM kept_foods) + (SELECT count(*) FROM day_activity) + (SELECT count(*) FROM peers)
                    + (SELECT count(*) FROM plans)";

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_the_plan_through_their_streams() {
    let bench = Bench::consuming("streams").await;
    let (pet, owner) = bench.weighed_dog().await;
    let mut events = vec![bench.pet_changed(&auth::Pet { neutered: Some(false), ..rex(pet, 2) })];
    events.extend((1..=7).map(|day| bench.day(pet, date(2026, 1, 10 - day), 1, 100.0)));
    for event in events.iter().chain(&events).chain(events.iter().rev()) {
        bench.publish(event).await;
    }
    bench.consume();
    let bench = &bench;
    eventually("all are handled", || async move { bench.count(HANDLED).await == 8 }).await;
    let plan = bench.plan(owner, pet).await;
    assert_eq!(plan.activity.map(|activity| activity.days), Some(7));
    // Without peers the middle of an intact dog's range; measuring it changed nothing worth telling.
    assert_eq!(bench.versions(pet).await, [1, 2]);
    assert_eq!(bench.count("-- dead\nSELECT count(*) FROM event_dead_letters").await, 0);
}

#[tokio::test]
async fn a_day_of_a_pet_not_heard_of_is_kept_once_auth_says_what_it_is() {
    let bench = Bench::new("unheard_day").await;
    let (away, gone, cat) = (bench.pet_id(), bench.pet_id(), bench.pet_id());
    bench.pets.gone(gone);
    bench.pets.say(petty_testbench::a_cat(cat, 1));
    let day = |pet| bench.day(pet, date(2026, 1, 9), 1, 100.0);
    assert!(matches!(bench.apply(&day(away)).await, Err(Failure::Away(_))));
    bench.apply(&day(gone)).await.unwrap();
    bench.apply(&day(cat)).await.unwrap();
    let pets = bench.rows("-- days\nSELECT pet_id::text FROM day_activity").await;
    assert_eq!(pets, [cat.to_string()]);
    // Nobody said anything of it: there is no plan to be told.
    assert_eq!(bench.told().await, []);
}

#[tokio::test]
async fn what_cannot_be_used_is_poison() {
    let bench = Bench::new("poison").await;
    let (pet, other) = (bench.dog().0, bench.dog().0);
    let about = |pet: petty_chassis::types::PetId| rex(pet, 1);
    let changed = |described: Option<auth::Pet>| {
        let payload = PetChanged { pet: described, ..Default::default() };
        bench.event(&topics::PET_CHANGED, pet, 1, &payload)
    };
    let whole = DayClosed {
        pet_id: pet.to_string(),
        date: "2026-01-09".to_owned(),
        version: 1,
        ..Default::default()
    };
    let day = |payload: DayClosed| bench.event(&topics::BEHAVIOR_DAY_CLOSED, pet, 1, &payload);
    let erasing = PetErasing { pet_id: other.to_string(), ..Default::default() };
    for (nth, event) in [
        changed(None),
        changed(Some(about(other))),
        changed(Some(auth::Pet { species: 0, ..about(pet) })),
        changed(Some(auth::Pet { birth_date: Some("soon".to_owned()), ..about(pet) })),
        day(DayClosed { pet_id: other.to_string(), ..whole.clone() }),
        day(DayClosed { date: "2026-02-30".to_owned(), ..whole.clone() }),
        day(DayClosed { version: 0, ..whole.clone() }),
        day(DayClosed { covered_minutes: f64::NAN, ..whole.clone() }),
        day(DayClosed { covered_minutes: 3_000.0, ..whole.clone() }),
        day(DayClosed { motion_minutes: Some(-1.0), ..whole.clone() }),
        bench.event(&topics::PET_ERASING, pet, 0, &erasing),
        bench.event(&topics::READINGS_ACCEPTED, pet, 0, &whole),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(matches!(bench.apply(&event).await, Err(Failure::Poison(_))), "{nth}");
    }
    assert_eq!(bench.count(KEPT).await, 0);
}

#[tokio::test]
async fn an_erased_pet_leaves_nothing_and_that_is_told() {
    let bench = Bench::new("erased").await;
    let ((pet, owner), (kept, _)) = (bench.weighed_dog().await, bench.weighed_dog().await);
    let food = bench.food(owner, kibble()).await;
    bench.put_profile(owner, wire::UpdateNutritionProfileRequest { foods: only(&food), ..of(pet) }).await;
    bench.close_days(pet, 7, 100.0).await;
    bench.apply(&bench.pet_deleted(&rex(pet, 2))).await.unwrap();
    bench.apply(&bench.erasing(pet)).await.unwrap();
    // The other one's pet, profile, weight and plan; and the food, which is its account's.
    assert_eq!(bench.count(KEPT).await, 4);
    let pets = bench.rows("-- pets\nSELECT pet_id::text FROM pets").await;
    assert_eq!(pets, [kept.to_string()]);
    assert_eq!(bench.count("-- foods\nSELECT count(*) FROM foods").await, 1);
    let told = bench.outbox::<DataErased>(&topics::DATA_ERASED).await;
    let expected = DataErased { pet_id: pet.to_string(), service: "nutrition".to_owned() };
    assert_eq!(told.into_iter().map(|told| told.payload).collect::<Vec<_>>(), [expected]);
    // What comes after that finds nobody, even where access is remembered.
    for event in [bench.pet_changed(&rex(pet, 3)), bench.day(pet, date(2026, 1, 9), 9, 10.0)] {
        bench.apply(&event).await.unwrap();
    }
    let plan = wire::GetPlanRequest { pet_id: pet.to_string() };
    let read = bench.grpc.get_plan(bench.request(owner, plan)).await.map(|_| ());
    let noted = bench.grpc.create_weight(bench.request(owner, weight(pet, 5.0))).await.map(|_| ());
    let put = bench.grpc.update_nutrition_profile(bench.request(owner, of(pet))).await.map(|_| ());
    for refused in [read, noted, put] {
        assert_eq!(reason(&refused.unwrap_err()), "PET_NOT_FOUND");
    }
    let request = wire::UpdateFoodRequest {
        food_id: food.food_id,
        label_kcal_per_100g: Some(100.0),
        ..Default::default()
    };
    bench.grpc.update_food(bench.request(owner, request)).await.unwrap();
    assert_eq!(bench.count(KEPT).await, 4);
    assert_eq!(bench.daily.run_once().await.unwrap(), 0);
}

#[tokio::test]
async fn a_closed_account_leaves_no_food_and_others_pets_eat_on_without_its_names() {
    let bench = Bench::new("closed").await;
    let ((pet, owner), (own, closing)) = (bench.weighed_dog().await, bench.weighed_dog().await);
    // The one who closes their account cares for the other's pet, and feeds it their own food.
    bench.access.share(pet, closing, Role::Caregiver);
    let food = bench.food(closing, kibble()).await;
    let removed = bench.food(closing, kibble()).await;
    let request = wire::DeleteFoodRequest { food_id: removed.food_id };
    bench.grpc.delete_food(bench.request(closing, request)).await.unwrap();
    let kept = bench.food(owner, kibble()).await;
    for pet in [pet, own] {
        let profile = wire::UpdateNutritionProfileRequest { foods: only(&food), ..of(pet) };
        bench.put_profile(closing, profile).await;
    }
    // One that was removed is gone from bowls too.
    let (third, _) = bench.weighed_dog().await;
    bench.access.share(third, closing, Role::Caregiver);
    let sold_out = bench.food(closing, kibble()).await;
    let profile = wire::UpdateNutritionProfileRequest { foods: only(&sold_out), ..of(third) };
    bench.put_profile(closing, profile).await;
    let request = wire::DeleteFoodRequest { food_id: sold_out.food_id };
    bench.grpc.delete_food(bench.request(closing, request)).await.unwrap();
    let eaten = bench.plan(owner, pet).await.portions;
    let before = bench.versions(pet).await.len();
    let named = "-- names\nSELECT count(*) FROM plans WHERE snapshot::text LIKE '%Kibble%'";
    assert_eq!(bench.count(named).await, 0, "what eats it no more would not be planned anew");
    let id = petty_chassis::types::PetId(closing.0);
    let erasing =
        bench.event(&topics::ACCOUNT_ERASING, id, 1, &AccountErasing { account_id: closing.to_string() });
    for _ in 0..2 {
        bench.apply(&erasing).await.unwrap();
    }
    let foods = bench.rows("-- foods\nSELECT food_id::text FROM foods").await;
    assert_eq!(foods, [kept.food_id]);
    let chosen = bench.rows("-- chosen\nSELECT pet_id::text FROM profile_foods ORDER BY pet_id").await;
    let mut eaters = [pet.to_string(), own.to_string()];
    eaters.sort();
    assert_eq!(chosen, eaters);
    // As much of the same, by what it is: nothing of what the account called it is kept, nor of what was told of it.
    let [mut was] = <[_; 1]>::try_from(eaten).unwrap();
    assert_eq!(was.name, "Kibble");
    was.name = "Dry food".to_owned();
    assert_eq!(bench.plan(owner, pet).await.portions, [was]);
    assert_eq!(bench.versions(pet).await.len(), before + 1, "a plan without its names is told");
    let told = bench.told().await.pop().unwrap();
    assert_eq!(told.payload.reason, "the account that described a food was closed");
    let sql = "-- names\nSELECT count(*) FROM plans WHERE snapshot::text LIKE '%Kibble%'";
    assert_eq!(bench.count(sql).await, 0);
    let told = bench.outbox::<DataErased>(&topics::DATA_ERASED).await;
    let expected = DataErased { pet_id: closing.to_string(), service: "nutrition".to_owned() };
    // Who asks twice did not hear it.
    assert_eq!(told.into_iter().map(|told| told.payload).collect::<Vec<_>>(), [expected.clone(), expected]);
    // Even where access is remembered, nothing new becomes its own.
    let refused = bench.grpc.create_food(bench.request(closing, kibble())).await.unwrap_err();
    assert_eq!(reason(&refused), "SESSION_ENDED");
    let other =
        bench.event(&topics::ACCOUNT_ERASING, id, 1, &AccountErasing { account_id: owner.to_string() });
    assert!(matches!(bench.apply(&other).await, Err(Failure::Poison(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outlives_an_erasing_beside_it() {
    let bench = Bench::new("racing").await;
    for _ in 0..10 {
        let (pet, owner) = bench.weighed_dog().await;
        let days: Vec<Event> = (1..=4).map(|day| bench.day(pet, date(2026, 1, 10 - day), 1, 50.0)).collect();
        let erasing = bench.erasing(pet);
        let weights = (1..=4_u32).map(|kg| {
            let request = bench.request(owner, weight(pet, f64::from(kg)));
            let bench = &bench;
            async move { bench.grpc.create_weight(request).await }
        });
        let (erased, applied, noted) = tokio::join!(
            bench.apply(&erasing),
            join_all(days.iter().map(|event| bench.apply(event))),
            join_all(weights),
        );
        erased.unwrap();
        applied.into_iter().for_each(Result::unwrap);
        for noted in noted.into_iter().filter_map(Result::err) {
            assert_eq!(reason(&noted), "PET_NOT_FOUND");
        }
    }
    assert_eq!(bench.count(KEPT).await, 0);
}

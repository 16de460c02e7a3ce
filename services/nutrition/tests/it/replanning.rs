//! What makes a plan another, and that each change is told once.

use futures::future::join_all;
use jiff::civil::date;
use petty_chassis::types::AccountId;
use petty_proto::auth::v1 as auth;
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::events::v1::PlanChanged;
use petty_proto::nutrition::v1 as wire;
use petty_proto::nutrition::v1::nutrition_service_server::NutritionService as _;
use petty_testbench::{at, now};

use crate::bench::{Bench, kibble, of, only, rex, weight};

/// 70 × 10^0.75.
const RER: f64 = 393.638_93;

fn close(found: Option<f64>, expected: f64) -> bool {
    found.is_some_and(|found| (found - expected).abs() < 0.02)
}

#[tokio::test]
async fn the_first_plan_is_told_and_the_same_again_is_not() {
    let bench = Bench::new("first_plan").await;
    let (pet, owner) = bench.weighed_dog().await;
    let told = bench.told().await;
    let [first] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((first.subject, first.version), (pet.0, 1));
    let PlanChanged {
        pet_id,
        plan_version,
        kcal_per_day,
        previous_kcal_per_day,
        life_stage,
        reason,
        rule_version,
    } = &first.payload;
    assert_eq!((pet_id, *plan_version, life_stage.as_str()), (&pet.to_string(), 1, "ADULT"));
    assert!(close(*kcal_per_day, RER * 1.5), "{kcal_per_day:?}");
    assert_eq!((*previous_kcal_per_day, reason.as_str()), (None, "the first plan"));
    assert!(!rule_version.is_empty());
    let plan = bench.plan(owner, pet).await;
    assert_eq!((plan.version, plan.update_time), (1, Some(now().into())));
    assert_eq!((plan.status(), plan.weight_kg), (wire::plan::Status::Ready, Some(10.0)));
    assert_eq!(plan.energy.map(|energy| energy.kcal_per_day), *kcal_per_day);
    bench.clock.set(at(60));
    for _ in 0..2 {
        let same = wire::UpdateNutritionProfileRequest { weight_kg: Some(10.0), ..of(pet) };
        bench.put_profile(owner, same).await;
    }
    // A gram is not worth telling.
    bench.grpc.create_weight(bench.request(owner, weight(pet, 10.001))).await.unwrap();
    assert_eq!(bench.versions(pet).await, [1]);
    let plan = bench.plan(owner, pet).await;
    assert_eq!((plan.version, plan.update_time, plan.weight_kg), (1, Some(now().into()), Some(10.001)));
}

#[tokio::test]
async fn a_change_tells_what_it_was_before() {
    let bench = Bench::new("next_plan").await;
    let (pet, owner) = bench.weighed_dog().await;
    bench.clock.set(at(60));
    let request = wire::UpdateNutritionProfileRequest {
        activity_level: wire::nutrition_profile::ActivityLevel::Active.into(),
        ..of(pet)
    };
    bench.put_profile(owner, request).await;
    let told = bench.told().await.pop().unwrap();
    assert_eq!((told.version, told.payload.plan_version), (2, 2));
    assert!(close(told.payload.previous_kcal_per_day, RER * 1.5));
    assert!(close(told.payload.kcal_per_day, RER * 2.0));
    assert!(told.payload.reason.starts_with("the feeding profile was changed: "), "{}", told.payload.reason);
    let plan = bench.plan(owner, pet).await;
    assert_eq!((plan.version, plan.update_time), (2, Some(at(60).into())));
}

#[tokio::test]
async fn a_foods_change_concerns_every_pet_that_eats_it() {
    let bench = Bench::new("food_eaten").await;
    let ((one, owner), (other, _), (third, _)) = (bench.dog(), bench.dog(), bench.dog());
    let food = bench.food(owner, kibble()).await;
    for (pet, foods) in [(one, only(&food)), (other, only(&food)), (third, vec![])] {
        bench.access.give(pet, owner);
        let request = wire::UpdateNutritionProfileRequest { weight_kg: Some(10.0), foods, ..of(pet) };
        bench.put_profile(owner, request).await;
    }
    let grams = |plan: wire::Plan| plan.portions.first().map(|portion| portion.grams_per_day);
    // The treats' tenth is not for the bowl.
    assert!(close(grams(bench.plan(owner, one).await), RER * 1.5 * 0.9 / 3.5));
    let richer = wire::UpdateFoodRequest {
        food_id: food.food_id.clone(),
        label_kcal_per_100g: Some(400.0),
        ..Default::default()
    };
    for _ in 0..2 {
        bench.grpc.update_food(bench.request(owner, richer.clone())).await.unwrap();
    }
    for (pet, versions) in [(one, vec![1, 2]), (other, vec![1, 2]), (third, vec![1])] {
        assert_eq!(bench.versions(pet).await, versions);
    }
    assert!(close(grams(bench.plan(owner, other).await), RER * 1.5 * 0.9 / 4.0));
    // A name alone changes no amount.
    let renamed = wire::UpdateFoodRequest {
        food_id: food.food_id.clone(),
        name: Some("Crumbs".to_owned()),
        ..Default::default()
    };
    bench.grpc.update_food(bench.request(owner, renamed)).await.unwrap();
    assert_eq!(bench.versions(one).await, [1, 2]);
    assert_eq!(bench.plan(owner, one).await.portions[0].name, "Crumbs");
}

#[tokio::test]
async fn a_plan_says_that_a_food_is_gone() {
    let bench = Bench::new("food_gone").await;
    let (pet, owner) = bench.dog();
    let (food, other) = (bench.food(owner, kibble()).await, bench.food(owner, kibble()).await);
    let foods = [only(&food), only(&other)].concat();
    let request = wire::UpdateNutritionProfileRequest { weight_kg: Some(10.0), foods, ..of(pet) };
    bench.put_profile(owner, request).await;
    assert_eq!(bench.plan(owner, pet).await.portions.len(), 2);
    let delete = wire::DeleteFoodRequest { food_id: food.food_id.clone() };
    for _ in 0..2 {
        bench.grpc.delete_food(bench.request(owner, delete.clone())).await.unwrap();
    }
    let plan = bench.plan(owner, pet).await;
    assert_eq!(plan.portions.iter().map(|portion| &portion.food_id).collect::<Vec<_>>(), [&other.food_id]);
    assert!(plan.reasons.iter().any(|reason| reason.text.contains("is gone")), "{:?}", plan.reasons);
    assert_eq!(bench.versions(pet).await, [1, 2]);
    let told = bench.told().await.pop().unwrap();
    assert!(told.payload.reason.starts_with("a food was removed: "), "{}", told.payload.reason);
    // It stays chosen, and is not forgotten while it is.
    bench.clock.set(at(31 * 86_400));
    bench.daily.run_once().await.unwrap();
    assert_eq!(bench.count("-- foods\nSELECT count(*) FROM foods").await, 2);
}

#[tokio::test]
async fn a_changed_pet_is_planned_for_once() {
    let bench = Bench::new("pet_changed").await;
    let (pet, owner) = bench.weighed_dog().await;
    let intact = auth::Pet { neutered: Some(false), ..rex(pet, 2) };
    let event = bench.pet_changed(&intact);
    for _ in 0..3 {
        bench.apply(&event).await.unwrap();
    }
    let plan = bench.plan(owner, pet).await;
    assert!(close(plan.energy.map(|energy| energy.kcal_per_day), RER * 1.7));
    assert_eq!((plan.version, bench.versions(pet).await), (2, vec![1, 2]));
    // Neither what is older nor what is nothing to feeding changes anything.
    bench.apply(&bench.pet_changed(&rex(pet, 1))).await.unwrap();
    let renamed = auth::Pet { name: "Bo".to_owned(), version: 3, ..intact };
    bench.apply(&bench.pet_changed(&renamed)).await.unwrap();
    assert_eq!((bench.plan(owner, pet).await.version, bench.versions(pet).await), (2, vec![1, 2]));
}

#[tokio::test]
async fn measured_activity_picks_the_factor_among_its_peers() {
    let bench = Bench::new("peers").await;
    // Twenty dogs of its kind, the nth with 10 × n active minutes a day; and larger ones, and a cat, that are not.
    for nth in 1..=20_u32 {
        let (pet, _) = bench.weighed_dog().await;
        bench.close_days(pet, 7, f64::from(nth) * 10.0).await;
    }
    for kg in [30.0, 5.0] {
        let (pet, owner) = bench.dog();
        bench
            .put_profile(owner, wire::UpdateNutritionProfileRequest { weight_kg: Some(kg), ..of(pet) })
            .await;
        bench.close_days(pet, 7, 600.0).await;
    }
    let (pet, owner) = bench.weighed_dog().await;
    bench.close_days(pet, 6, 155.0).await;
    let plan = bench.plan(owner, pet).await;
    let activity = plan.activity.unwrap();
    assert_eq!((activity.status(), activity.days), (wire::measured_activity::Status::Calibrating, 6));
    assert_eq!((plan.version, activity.position), (1, 0.5));
    bench.close_days(pet, 7, 155.0).await;
    let plan = bench.plan(owner, pet).await;
    let activity = plan.activity.unwrap();
    assert_eq!((activity.status(), activity.days), (wire::measured_activity::Status::Measured, 7));
    assert_eq!((activity.peers, activity.active_minutes), (20, Some(155.0)));
    // More than fifteen of the twenty: three quarters into 1.4 to 1.6.
    assert!(close(Some(activity.position), 0.75), "{}", activity.position);
    assert!(close(plan.energy.map(|energy| energy.kcal_per_day), RER * 1.55));
    assert_eq!((plan.version, bench.versions(pet).await), (2, vec![1, 2]));
    let told = bench.told().await.pop().unwrap();
    assert!(told.payload.reason.starts_with("a day of the pet was closed: "), "{}", told.payload.reason);
}

#[tokio::test]
async fn days_that_say_nothing_of_activity_do_not_count() {
    let bench = Bench::new("silent_days").await;
    let rest = [(Behavior::DeepSleep, 500.0), (Behavior::Resting, 700.0)];
    for (shares, motion, counted) in [
        (vec![(Behavior::DeepSleep, 700.0), (Behavior::Walking, 20.0)], None, 7),
        (vec![(Behavior::DeepSleep, 700.0), (Behavior::Walking, 20.0)], Some(720.0), 7),
        // On its charger for most of the day: readings, but nobody in the collar.
        (vec![(Behavior::Unknown, 1_100.0), (Behavior::Resting, 80.0), (Behavior::Walking, 20.0)], None, 0),
        (vec![(Behavior::Unknown, 1_100.0), (Behavior::Walking, 100.0)], Some(1_200.0), 0),
        // A collar that tells of heart rates alone, or of little else.
        (rest.to_vec(), None, 0),
        (rest.to_vec(), Some(0.0), 0),
        (vec![(Behavior::Resting, 1_100.0), (Behavior::Walking, 100.0)], Some(719.0), 0),
        // One that would have told of movement, and saw none.
        (rest.to_vec(), Some(1_200.0), 7),
    ] {
        let (pet, owner) = bench.dog();
        for day in 1..=7 {
            let day = bench.day_of(pet, date(2026, 1, 10 - day), 1, &shares, motion);
            bench.apply(&day).await.unwrap();
        }
        let activity = bench.plan(owner, pet).await.activity.unwrap();
        assert_eq!(activity.days, counted, "{shares:?} {motion:?}");
    }
    // Days that were told before known minutes were counted are taken as they were then.
    let (pet, owner) = bench.dog();
    bench.close_days(pet, 7, 60.0).await;
    let sql = "-- before\nUPDATE day_activity SET known_minutes = NULL WHERE pet_id = $1";
    assert_eq!(bench.execute(sql, &[&pet.0]).await, 7);
    assert_eq!(bench.plan(owner, pet).await.activity.unwrap().days, 7);
}

#[tokio::test]
async fn a_day_counts_at_its_highest_version() {
    let bench = Bench::new("day_versions").await;
    let (pet, _) = bench.weighed_dog().await;
    let days = "-- days\nSELECT concat_ws(' ', date, version, covered_minutes, active_minutes) FROM day_activity ORDER BY date";
    let day = date(2026, 1, 9);
    for (version, active) in [(2, 80.0), (1, 40.0), (2, 120.0), (3, 160.0), (3, 80.0)] {
        bench.apply(&bench.day(pet, day, version, active)).await.unwrap();
    }
    assert_eq!(bench.rows(days).await, ["2026-01-09 3 1200 160"]);
    // Sixty days are kept, whatever comes in.
    bench.apply(&bench.day(pet, date(2025, 11, 1), 1, 80.0)).await.unwrap();
    bench.apply(&bench.day(pet, date(2025, 11, 20), 1, 80.0)).await.unwrap();
    assert_eq!(bench.rows(days).await, ["2025-11-20 1 1200 80", "2026-01-09 3 1200 160"]);
    bench.clock.set(at(30 * 86_400));
    bench.apply(&bench.day(pet, date(2026, 2, 8), 1, 80.0)).await.unwrap();
    assert_eq!(bench.rows(days).await, ["2026-01-09 3 1200 160", "2026-02-08 1 1200 80"]);
    assert_eq!(bench.versions(pet).await, [1]);
}

/// Changes that meet may be waited for longer than one call lasts on a busy machine; who gets no answer sends again.
async fn put_until_answered(bench: &Bench, owner: AccountId, request: wire::UpdateNutritionProfileRequest) {
    while let Err(status) = bench.grpc.update_nutrition_profile(bench.request(owner, request.clone())).await {
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_at_once_are_told_in_one_order() {
    let bench = Bench::new("at_once").await;
    let (pet, owner) = bench.weighed_dog().await;
    let food = bench.food(owner, kibble()).await;
    let bench = &bench;
    for round in 0..5_u32 {
        let profiles = (0..4_u32).map(|nth| async move {
            let foods = if nth % 2 == 0 { only(&bench.food(owner, kibble()).await) } else { vec![] };
            let meals_per_day = Some(i32::try_from(nth + 1).unwrap());
            let request = wire::UpdateNutritionProfileRequest { meals_per_day, foods, ..of(pet) };
            put_until_answered(bench, owner, request).await;
        });
        let eats = wire::UpdateNutritionProfileRequest { foods: only(&food), ..of(pet) };
        let label = Some(f64::from(300 + round * 20));
        let richer = wire::UpdateFoodRequest {
            food_id: food.food_id.clone(),
            label_kcal_per_100g: label,
            ..Default::default()
        };
        let update = async {
            while let Err(status) = bench.grpc.update_food(bench.request(owner, richer.clone())).await {
                assert_eq!(status.code(), tonic::Code::DeadlineExceeded, "{status}");
            }
        };
        tokio::join!(join_all(profiles), put_until_answered(bench, owner, eats), update);
    }
    let versions = bench.versions(pet).await;
    let contiguous: Vec<i64> = (1..).take(versions.len()).collect();
    assert_eq!(versions, contiguous);
    assert!(versions.len() > 5, "{versions:?}");
    let plan = bench.plan(owner, pet).await;
    assert_eq!(i64::from(plan.version), *versions.last().unwrap());
}

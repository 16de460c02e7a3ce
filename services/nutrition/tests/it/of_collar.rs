//! The first system's call: the plan of the pet that wears a collar now.

use petty_proto::nutrition::v1 as wire;
use petty_proto::nutrition::v1::nutrition_service_server::NutritionService as _;
use petty_testbench::{Badge, at, field, reason};
use tonic::Code;

use crate::bench::{Bench, of};

fn request(collar: &str) -> wire::GetPetPlanRequest {
    wire::GetPetPlanRequest { collar_id: collar.to_owned() }
}

#[tokio::test]
async fn the_plan_is_of_the_pet_that_wears_the_collar_now() {
    let bench = Bench::new("worn").await;
    let (before, owner) = bench.weighed_dog().await;
    let (now, _) = bench.dog();
    let (later, _) = bench.dog();
    for pet in [now, later] {
        bench.access.give(pet, owner);
    }
    let thin = wire::UpdateNutritionProfileRequest {
        weight_kg: Some(20.0),
        body_condition_score: Some(1),
        ..of(now)
    };
    bench.put_profile(owner, thin).await;
    bench.access.wear(&bench.clock, "SN-1", before, at(-7_200), Some(at(-60)));
    bench.access.wear(&bench.clock, "SN-1", now, at(-60), Some(at(60)));
    bench.access.wear(&bench.clock, "SN-1", later, at(60), None);
    for badge in [Badge::account(owner), Badge::collar("SN-1", now, owner)] {
        let answer = bench.grpc.get_pet_plan(bench.request_of(&badge, request("SN-1"))).await.unwrap();
        let answer = answer.into_inner();
        assert_eq!(answer.collar_id, "SN-1");
        let plan = answer.nutrition_plan.unwrap();
        assert_eq!(plan, bench.plan(owner, now).await);
        let goals = answer.daily_goals.unwrap();
        assert_eq!((goals.kcal, goals.meals), (plan.energy.map(|energy| energy.kcal_per_day), 2));
        // Wasted: that is for a vet, and an alert.
        let urgent: Vec<_> = answer
            .health_recommendations
            .iter()
            .filter(|found| found.severity() == wire::recommendation::Severity::SeeAVet)
            .cloned()
            .collect();
        assert!(!urgent.is_empty());
        assert_eq!(answer.health_alerts, urgent);
        let list = wire::ListRecommendationsRequest { pet_id: now.to_string() };
        let listed = bench.grpc.list_recommendations(bench.request(owner, list)).await.unwrap();
        assert_eq!(listed.into_inner().recommendations, answer.health_recommendations);
    }
}

#[tokio::test]
async fn a_collar_that_nobody_wears_now_is_not_found() {
    let bench = Bench::new("not_worn").await;
    let (pet, owner) = bench.weighed_dog().await;
    let (gone, _) = bench.dog();
    bench.access.give(gone, owner);
    bench.pets.gone(gone);
    bench.access.wear(&bench.clock, "SN-old", pet, at(-7_200), Some(at(0)));
    bench.access.wear(&bench.clock, "SN-next", pet, at(1), None);
    bench.access.wear(&bench.clock, "SN-gone", gone, at(-1), None);
    for collar in ["SN-old", "SN-next", "SN-gone", "SN-never"] {
        let refused = bench.grpc.get_pet_plan(bench.request(owner, request(collar))).await.unwrap_err();
        let told = (refused.code(), reason(&refused));
        assert_eq!(told, (Code::NotFound, "COLLAR_NOT_FOUND".to_owned()), "{collar}");
    }
    for collar in ["", "x", &"a".repeat(10_000)] {
        let refused = bench.grpc.get_pet_plan(bench.request(owner, request(collar))).await.unwrap_err();
        assert_eq!(field(&refused), "collar_id");
    }
}

#[tokio::test]
async fn a_pet_nobody_filled_in_is_answered_with_what_is_missing() {
    let bench = Bench::new("nothing_known").await;
    let (pet, owner) = bench.dog();
    bench.access.wear(&bench.clock, "SN-1", pet, at(-1), None);
    let answer = bench.grpc.get_pet_plan(bench.request(owner, request("SN-1"))).await.unwrap().into_inner();
    let plan = answer.nutrition_plan.unwrap();
    assert_eq!((plan.version, plan.update_time, &plan.energy), (0, None, &None));
    assert_eq!(plan.status(), wire::plan::Status::Incomplete);
    assert_eq!(
        plan.missing.first().map(|lack| (lack.field.as_str(), lack.required)),
        Some(("weight_kg", true))
    );
    assert_eq!(answer.daily_goals.unwrap().kcal, None);
    assert!(answer.health_recommendations.iter().any(|found| found.code == "WEIGHT_UNKNOWN"));
    assert_eq!(bench.told().await, []);
    assert_eq!(bench.count("-- plans\nSELECT count(*) FROM plans").await, 0);
}

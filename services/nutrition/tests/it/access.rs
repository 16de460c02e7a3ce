//! Who may do what: every method, against every role.

use petty_chassis::access::Role;
use petty_chassis::types::{AccountId, PetId};
use petty_proto::nutrition::v1 as wire;
use petty_proto::nutrition::v1::nutrition_service_server::NutritionService as _;
use petty_testbench::{Badge, at, reason};
use tonic::{Code, Status};

use crate::bench::{Bench, of, weight};

/// What came of each method of a pet's.
async fn all(bench: &Bench, badge: &Badge, pet: PetId) -> Vec<(&'static str, bool, Result<(), Status>)> {
    let pet_id = pet.to_string();
    macro_rules! call {
        ($method:ident, $writes:expr, $request:expr) => {
            (
                stringify!($method),
                $writes,
                bench.grpc.$method(bench.request_of(badge, $request)).await.map(|_| ()),
            )
        };
    }
    let weight_id = {
        let rows = bench.rows("-- a_weight\nSELECT weight_id::text FROM weights LIMIT 1").await;
        rows.into_iter().next().unwrap()
    };
    vec![
        call!(get_plan, false, wire::GetPlanRequest { pet_id: pet_id.clone() }),
        call!(get_pet_plan, false, wire::GetPetPlanRequest { collar_id: "SN-1".to_owned() }),
        call!(get_nutrition_profile, false, wire::GetNutritionProfileRequest { pet_id: pet_id.clone() }),
        call!(list_recommendations, false, wire::ListRecommendationsRequest { pet_id: pet_id.clone() }),
        call!(list_weights, false, wire::ListWeightsRequest { pet_id: pet_id.clone(), ..Default::default() }),
        call!(update_nutrition_profile, true, of(pet)),
        call!(create_weight, true, weight(pet, 11.0)),
        call!(delete_weight, true, wire::DeleteWeightRequest { pet_id, weight_id }),
    ]
}

async fn bench(name: &str) -> (Bench, PetId, AccountId) {
    let bench = Bench::new(name).await;
    let (pet, owner) = bench.weighed_dog().await;
    bench.access.wear(&bench.clock, "SN-1", pet, at(-60), None);
    (bench, pet, owner)
}

#[tokio::test]
async fn to_strangers_the_pet_does_not_exist() {
    let (bench, pet, _) = bench("strangers").await;
    let stranger = bench.account_id();
    for (method, _, answer) in all(&bench, &Badge::account(stranger), pet).await {
        let refused = answer.unwrap_err();
        let expected = if method == "get_pet_plan" { "COLLAR_NOT_FOUND" } else { "PET_NOT_FOUND" };
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, expected), "{method}");
    }
}

#[tokio::test]
async fn who_may_only_see_the_pet_reads_and_does_not_write() {
    for role in [Role::Viewer, Role::Vet, Role::Caregiver] {
        let (bench, pet, _) = bench(&format!("role_{}", role.as_str().to_lowercase())).await;
        let account = bench.account_id();
        bench.access.share(pet, account, role);
        for (method, writes, answer) in all(&bench, &Badge::account(account), pet).await {
            if writes && role != Role::Caregiver {
                let refused = answer.unwrap_err();
                assert_eq!(refused.code(), Code::PermissionDenied, "{method} {role:?}");
                assert_eq!(reason(&refused), "PERMISSION_DENIED", "{method} {role:?}");
            } else {
                assert!(answer.is_ok(), "{method} {role:?}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn scopes_and_devices_are_told_apart() {
    let (bench, pet, owner) = bench("scopes").await;
    for (method, writes, answer) in all(&bench, &Badge::account(owner).scope("pets:read"), pet).await {
        assert_eq!(
            answer.err().map(|refused| reason(&refused)),
            writes.then(|| "SCOPE_MISSING".to_owned()),
            "{method}"
        );
    }
    for (method, _, answer) in all(&bench, &Badge::collar("SN-1", pet, owner), pet).await {
        let expected = (method != "get_pet_plan").then(|| "DEVICE_NOT_ALLOWED".to_owned());
        assert_eq!(answer.err().map(|refused| reason(&refused)), expected, "{method}");
    }
}

#[tokio::test]
async fn nothing_is_decided_while_auth_is_away() {
    let (bench, pet, owner) = bench("away").await;
    bench.access.set_away(true);
    for (method, _, answer) in all(&bench, &Badge::account(owner), pet).await {
        assert_eq!(answer.unwrap_err().code(), Code::Unavailable, "{method}");
    }
    let foods = bench.grpc.list_foods(bench.request(owner, wire::ListFoodsRequest::default())).await;
    assert_eq!(foods.unwrap_err().code(), Code::Unavailable);
}

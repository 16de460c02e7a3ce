//! Weights: noted, listed, removed.

use futures::future::join_all;
use jiff::SignedDuration;
use petty_proto::nutrition::v1 as wire;
use petty_proto::nutrition::v1::nutrition_service_server::NutritionService as _;
use petty_testbench::{at, fields, now, reason};

use crate::bench::{Bench, weight};

const ROWS: &str = "-- weights\nSELECT count(*) FROM weights";

fn list(pet_id: String, page_size: i32, page_token: &str) -> wire::ListWeightsRequest {
    wire::ListWeightsRequest { pet_id, page_size, page_token: page_token.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn weights_are_listed_newest_first_page_by_page() {
    let bench = Bench::new("weight_pages").await;
    let (pet, owner) = bench.dog();
    for (kg, days) in [(10.0, 3), (11.0, 1), (12.0, 2)] {
        let measure_time = Some((now() - SignedDuration::from_hours(24 * days)).into());
        let request = wire::CreateWeightRequest { measure_time, ..weight(pet, kg) };
        let noted = bench.grpc.create_weight(bench.request(owner, request)).await.unwrap().into_inner();
        assert_eq!((noted.weight_kg, noted.measure_time), (kg, measure_time));
        assert_eq!((noted.pet_id, noted.create_time), (pet.to_string(), Some(now().into())));
    }
    let first = bench.grpc.list_weights(bench.request(owner, list(pet.to_string(), 2, ""))).await.unwrap();
    let first = first.into_inner();
    let kgs = |page: &wire::ListWeightsResponse| {
        page.weights.iter().map(|weight| weight.weight_kg).collect::<Vec<_>>()
    };
    assert_eq!(kgs(&first), [11.0, 12.0]);
    let next = list(pet.to_string(), 2, &first.next_page_token);
    let last = bench.grpc.list_weights(bench.request(owner, next)).await.unwrap().into_inner();
    assert_eq!((kgs(&last), last.next_page_token.as_str()), (vec![10.0], ""));
    // Older than the year that is listed where no start is said.
    let old = Some((now() - SignedDuration::from_hours(24 * 366)).into());
    let request = wire::CreateWeightRequest { measure_time: old, ..weight(pet, 9.0) };
    bench.grpc.create_weight(bench.request(owner, request)).await.unwrap();
    let all = bench.grpc.list_weights(bench.request(owner, list(pet.to_string(), 0, ""))).await.unwrap();
    assert_eq!(kgs(&all.into_inner()), [11.0, 12.0, 10.0]);
    let since = wire::ListWeightsRequest { start_time: old, ..list(pet.to_string(), 0, "") };
    let all = bench.grpc.list_weights(bench.request(owner, since)).await.unwrap();
    assert_eq!(kgs(&all.into_inner()), [11.0, 12.0, 10.0, 9.0]);
}

#[tokio::test]
async fn what_cannot_be_a_weight_is_refused_by_its_field() {
    let bench = Bench::new("weight_faults").await;
    let (pet, owner) = bench.dog();
    let back = |hours| Some((now() - SignedDuration::from_hours(hours)).into());
    let beyond = Some(petty_proto::wkt::Timestamp { seconds: i64::MAX, nanos: 0 });
    for (request, expected) in [
        (weight(pet, 0.04), vec!["weight_kg"]),
        (weight(pet, 150.1), vec!["weight_kg"]),
        (weight(pet, f64::NAN), vec!["weight_kg"]),
        (wire::CreateWeightRequest { measure_time: back(-1), ..weight(pet, 5.0) }, vec!["measure_time"]),
        (
            wire::CreateWeightRequest { measure_time: back(24 * 366 * 10), ..weight(pet, 5.0) },
            vec!["measure_time"],
        ),
        (wire::CreateWeightRequest { measure_time: beyond, ..weight(pet, 5.0) }, vec!["measure_time"]),
        (
            wire::CreateWeightRequest { request_id: "x".repeat(101), ..weight(pet, 0.0) },
            vec!["weight_kg", "request_id"],
        ),
    ] {
        let refused = bench.grpc.create_weight(bench.request(owner, request.clone())).await.unwrap_err();
        assert_eq!(fields(&refused), expected, "{request:?}");
    }
    assert_eq!(bench.count(ROWS).await, 0);
    for (request, expected) in [
        (list(pet.to_string(), 1_001, ""), "page_size"),
        (list(pet.to_string(), 0, "x"), "page_token"),
        (wire::ListWeightsRequest { end_time: beyond, ..list(pet.to_string(), 0, "") }, "end_time"),
        (wire::ListWeightsRequest { start_time: back(-1), ..list(pet.to_string(), 0, "") }, "start_time"),
    ] {
        let refused = bench.grpc.list_weights(bench.request(owner, request)).await.unwrap_err();
        assert_eq!(fields(&refused), [expected]);
    }
}

#[tokio::test]
async fn a_request_sent_again_notes_nothing_again() {
    let bench = Bench::new("weight_again").await;
    let (pet, owner) = bench.dog();
    let request = wire::CreateWeightRequest { request_id: "r1".to_owned(), ..weight(pet, 10.0) };
    let noted = bench.grpc.create_weight(bench.request(owner, request.clone())).await.unwrap().into_inner();
    bench.clock.set(at(60));
    let again = bench.grpc.create_weight(bench.request(owner, request.clone())).await.unwrap().into_inner();
    assert_eq!(again, noted);
    assert_eq!((bench.count(ROWS).await, bench.versions(pet).await), (1, vec![1]));
    let other = wire::CreateWeightRequest { weight_kg: 11.0, ..request };
    let refused = bench.grpc.create_weight(bench.request(owner, other)).await.unwrap_err();
    assert_eq!(reason(&refused), "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(bench.count(ROWS).await, 1);
}

#[tokio::test]
async fn a_weight_is_removed_once_and_only_from_its_own_pet() {
    let bench = Bench::new("weight_removed").await;
    let (pet, owner) = bench.dog();
    let (other, others) = bench.dog();
    let noted = bench.grpc.create_weight(bench.request(owner, weight(pet, 10.0))).await.unwrap().into_inner();
    let delete = |pet_id: String, weight_id: &str| wire::DeleteWeightRequest {
        pet_id,
        weight_id: weight_id.to_owned(),
    };
    for (request, expected) in
        [(delete(pet.to_string(), ""), "weight_id"), (delete(pet.to_string(), "x"), "weight_id")]
    {
        let refused = bench.grpc.delete_weight(bench.request(owner, request)).await.unwrap_err();
        assert_eq!(fields(&refused), [expected]);
    }
    let never = bench.pet_id().to_string();
    for (account, request) in
        [(owner, delete(pet.to_string(), &never)), (others, delete(other.to_string(), &noted.weight_id))]
    {
        let refused = bench.grpc.delete_weight(bench.request(account, request)).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (tonic::Code::NotFound, "WEIGHT_NOT_FOUND"));
    }
    assert_eq!(bench.plan(owner, pet).await.weight_kg, Some(10.0));
    // The second time it is the same removal.
    for _ in 0..2 {
        let request = delete(pet.to_string(), &noted.weight_id);
        let gone = bench.grpc.delete_weight(bench.request(owner, request)).await.unwrap().into_inner();
        assert!(gone.success);
    }
    let listed = bench.grpc.list_weights(bench.request(owner, list(pet.to_string(), 0, ""))).await.unwrap();
    assert_eq!(listed.into_inner().weights, []);
    let plan = bench.plan(owner, pet).await;
    assert_eq!((plan.version, plan.status(), plan.weight_kg), (2, wire::plan::Status::Incomplete, None));
    assert_eq!(bench.versions(pet).await, [1, 2]);
    assert_eq!(bench.count("-- kept\nSELECT count(weight_kg) FROM weights").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_noted_at_once_are_told_one_after_the_other() {
    let bench = Bench::new("weights_at_once").await;
    let (pet, owner) = bench.dog();
    let noted = join_all((1..=8_u32).map(|kg| {
        let request = bench.request(owner, weight(pet, f64::from(kg)));
        let bench = &bench;
        async move { bench.grpc.create_weight(request).await }
    }));
    for noted in noted.await {
        noted.unwrap();
    }
    assert_eq!(bench.count(ROWS).await, 8);
    let versions = bench.versions(pet).await;
    let contiguous: Vec<i64> = (1..).take(versions.len()).collect();
    assert_eq!(versions, contiguous);
    let plan = bench.plan(owner, pet).await;
    assert_eq!(i64::from(plan.version), *versions.last().unwrap());
}

#[tokio::test]
async fn of_weights_of_one_time_the_one_noted_last_counts_for_profile_and_plan() {
    let bench = Bench::new("weights_one_time").await;
    let (pet, owner) = bench.dog();
    let measure_time = Some((now() - SignedDuration::from_hours(1)).into());
    let mut noted = Vec::new();
    for kg in [45.0, 4.5] {
        let request = wire::CreateWeightRequest { measure_time, ..weight(pet, kg) };
        noted.push(bench.grpc.create_weight(bench.request(owner, request)).await.unwrap().into_inner());
    }
    let ask = wire::GetNutritionProfileRequest { pet_id: pet.to_string() };
    let profile = bench.grpc.get_nutrition_profile(bench.request(owner, ask)).await.unwrap().into_inner();
    let plan = bench.plan(owner, pet).await;
    // Ids grow with time, and so with what is noted; within a millisecond they need not.
    let last = noted.iter().max_by_key(|weight| &weight.weight_id).unwrap().weight_kg;
    assert_eq!((profile.weight_kg, plan.weight_kg), (Some(last), Some(last)));
}

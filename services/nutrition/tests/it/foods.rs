//! Foods: described, listed, changed, removed.

use petty_proto::nutrition::v1 as wire;
use petty_proto::nutrition::v1::nutrition_service_server::NutritionService as _;
use petty_testbench::{at, fields, now, reason};
use tonic::Code;

use crate::bench::{Bench, kibble};

fn patch(food_id: &str) -> wire::UpdateFoodRequest {
    wire::UpdateFoodRequest { food_id: food_id.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn a_food_is_described_with_the_energy_that_plans_reckon_with() {
    let bench = Bench::new("food_energy").await;
    let account = bench.account_id();
    let food = bench.food(account, kibble()).await;
    assert_eq!((food.kcal_per_100g, food.energy_source.as_str(), food.version), (350.0, "label", 1));
    assert_eq!(
        (food.ingredients.as_slice(), food.kind()),
        (["chicken", "rice"].map(str::to_owned).as_slice(), wire::food::Kind::Dry)
    );
    assert_eq!((food.create_time, food.update_time), (Some(now().into()), Some(now().into())));
    let analysis = wire::CreateFoodRequest {
        label_kcal_per_100g: None,
        protein_percent: Some(8.0),
        fat_percent: Some(5.0),
        moisture_percent: Some(80.0),
        ash_percent: Some(2.0),
        fibre_percent: Some(0.5),
        ..kibble()
    };
    let food = bench.food(account, analysis).await;
    // 3.5 × 8 + 8.5 × 5 + 3.5 × (100 − 8 − 5 − 80 − 2 − 0.5)
    assert!((food.kcal_per_100g - 86.25).abs() < 1e-9, "{}", food.kcal_per_100g);
    assert_eq!(food.energy_source, "modified Atwater");
    let request = wire::GetFoodRequest { food_id: food.food_id.clone() };
    let got = bench.grpc.get_food(bench.request(account, request)).await.unwrap().into_inner();
    assert_eq!(got, food);
}

#[tokio::test]
async fn what_cannot_be_a_food_is_refused_by_each_field() {
    let bench = Bench::new("food_faults").await;
    let account = bench.account_id();
    for (request, expected) in [
        (wire::CreateFoodRequest { name: " ".to_owned(), ..kibble() }, vec!["name"]),
        (wire::CreateFoodRequest { name: "a\0b".to_owned(), ..kibble() }, vec!["name"]),
        (wire::CreateFoodRequest { name: "x".repeat(101), kind: 0, ..kibble() }, vec!["name", "kind"]),
        (wire::CreateFoodRequest { kind: 77, ..kibble() }, vec!["kind"]),
        (wire::CreateFoodRequest { label_kcal_per_100g: Some(0.5), ..kibble() }, vec!["label_kcal_per_100g"]),
        (
            wire::CreateFoodRequest { label_kcal_per_100g: Some(f64::NAN), ..kibble() },
            vec!["label_kcal_per_100g"],
        ),
        (wire::CreateFoodRequest { protein_percent: Some(101.0), ..kibble() }, vec!["protein_percent"]),
        (wire::CreateFoodRequest { label_kcal_per_100g: None, ..kibble() }, vec!["label_kcal_per_100g"]),
        (
            wire::CreateFoodRequest { ingredients: vec!["rice".to_owned(), String::new()], ..kibble() },
            vec!["ingredients[1]"],
        ),
        (
            wire::CreateFoodRequest { ingredients: vec!["a\0b".to_owned()], ..kibble() },
            vec!["ingredients[0]"],
        ),
        (wire::CreateFoodRequest { request_id: "x".repeat(101), ..kibble() }, vec!["request_id"]),
    ] {
        let refused = bench.grpc.create_food(bench.request(account, request.clone())).await.unwrap_err();
        assert_eq!(fields(&refused), expected, "{request:?}");
        assert_eq!(reason(&refused), "INVALID_ARGUMENT");
    }
    assert_eq!(bench.count("-- foods\nSELECT count(*) FROM foods").await, 0);
}

#[tokio::test]
async fn what_poisons_pets_is_no_food() {
    let bench = Bench::new("food_poison").await;
    let account = bench.account_id();
    let poison = vec!["rice".to_owned(), "Dark chocolate".to_owned()];
    let request = wire::CreateFoodRequest { ingredients: poison.clone(), ..kibble() };
    let refused = bench.grpc.create_food(bench.request(account, request.clone())).await.unwrap_err();
    assert_eq!(
        (reason(&refused), fields(&refused)),
        ("FORBIDDEN_FOOD".to_owned(), vec!["ingredients[1]".to_owned()])
    );
    // With other faults it is one among them.
    let request = wire::CreateFoodRequest { name: String::new(), ..request };
    let refused = bench.grpc.create_food(bench.request(account, request)).await.unwrap_err();
    assert_eq!((reason(&refused), fields(&refused).len()), ("INVALID_ARGUMENT".to_owned(), 2));
    let food = bench.food(account, kibble()).await;
    let request = wire::UpdateFoodRequest { ingredients: poison, ..patch(&food.food_id) };
    let refused = bench.grpc.update_food(bench.request(account, request)).await.unwrap_err();
    assert_eq!(reason(&refused), "FORBIDDEN_FOOD");
}

#[tokio::test]
async fn a_request_sent_again_describes_no_second_food() {
    let bench = Bench::new("food_again").await;
    let account = bench.account_id();
    let request = wire::CreateFoodRequest { request_id: "r1".to_owned(), ..kibble() };
    let food = bench.food(account, request.clone()).await;
    bench.clock.set(at(60));
    assert_eq!(bench.food(account, request.clone()).await, food);
    assert_eq!(bench.count("-- foods\nSELECT count(*) FROM foods").await, 1);
    let other = wire::CreateFoodRequest { name: "Other".to_owned(), ..request };
    let refused = bench.grpc.create_food(bench.request(account, other)).await.unwrap_err();
    assert_eq!(reason(&refused), "IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test]
async fn foods_are_listed_newest_first_page_by_page_to_their_account_alone() {
    let bench = Bench::new("food_pages").await;
    let (account, other) = (bench.account_id(), bench.account_id());
    for (nth, name) in ["A", "B", "C"].into_iter().enumerate() {
        bench.clock.set(at(i64::try_from(nth).unwrap()));
        bench.food(account, wire::CreateFoodRequest { name: name.to_owned(), ..kibble() }).await;
    }
    bench.food(other, kibble()).await;
    let mut request = wire::ListFoodsRequest { page_size: 2, page_token: String::new() };
    let mut names = Vec::new();
    loop {
        let page = bench.grpc.list_foods(bench.request(account, request.clone())).await.unwrap().into_inner();
        names.push(page.foods.iter().map(|food| food.name.clone()).collect::<Vec<_>>().concat());
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["CB", "A"]);
    for (page_size, page_token, expected) in [(-1, "", "page_size"), (0, "x", "page_token")] {
        let request = wire::ListFoodsRequest { page_size, page_token: page_token.to_owned() };
        let refused = bench.grpc.list_foods(bench.request(account, request)).await.unwrap_err();
        assert_eq!(fields(&refused), [expected]);
    }
}

#[tokio::test]
async fn a_change_sets_what_is_there_and_leaves_the_rest() {
    let bench = Bench::new("food_change").await;
    let account = bench.account_id();
    let food = bench.food(account, kibble()).await;
    bench.clock.set(at(60));
    let update = |request: wire::UpdateFoodRequest| {
        let request = bench.request(account, request);
        async { bench.grpc.update_food(request).await.map(tonic::Response::into_inner) }
    };
    // Nothing is said, or nothing else than before: nothing changes.
    let same = wire::UpdateFoodRequest { name: Some("Kibble".to_owned()), ..patch(&food.food_id) };
    for request in [patch(&food.food_id), same] {
        assert_eq!(update(request).await.unwrap(), food);
    }
    let renamed = wire::UpdateFoodRequest { name: Some("Crumbs".to_owned()), ..patch(&food.food_id) };
    let expected = wire::Food {
        name: "Crumbs".to_owned(),
        version: 2,
        update_time: Some(at(60).into()),
        ..food.clone()
    };
    assert_eq!(update(renamed.clone()).await.unwrap(), expected);
    assert_eq!(update(renamed).await.unwrap(), expected);
    for (request, field) in [
        // Without the label there must be an analysis.
        (
            wire::UpdateFoodRequest { label_kcal_per_100g: Some(0.0), ..patch(&food.food_id) },
            "label_kcal_per_100g",
        ),
        (wire::UpdateFoodRequest { kind: Some(77), ..patch(&food.food_id) }, "kind"),
        (wire::UpdateFoodRequest { fat_percent: Some(-1.0), ..patch(&food.food_id) }, "fat_percent"),
        (patch("x"), "food_id"),
        (patch(""), "food_id"),
    ] {
        assert_eq!(fields(&update(request).await.unwrap_err()), [field]);
    }
    let by_analysis = wire::UpdateFoodRequest {
        label_kcal_per_100g: Some(0.0),
        protein_percent: Some(25.0),
        fat_percent: Some(15.0),
        moisture_percent: Some(10.0),
        ingredients: vec!["Lamb".to_owned()],
        ..patch(&food.food_id)
    };
    let changed = update(by_analysis).await.unwrap();
    assert_eq!(
        (changed.version, changed.label_kcal_per_100g, changed.energy_source.as_str()),
        (3, None, "modified Atwater")
    );
    assert_eq!(changed.ingredients, ["lamb"]);
}

#[tokio::test]
async fn a_removed_food_is_not_there_but_its_removal_can_be_sent_again() {
    let bench = Bench::new("food_removed").await;
    let (account, other) = (bench.account_id(), bench.account_id());
    let food = bench.food(account, kibble()).await;
    let delete = |account, food_id: &str| {
        let request = bench.request(account, wire::DeleteFoodRequest { food_id: food_id.to_owned() });
        async { bench.grpc.delete_food(request).await.map(|answer| answer.into_inner().success) }
    };
    assert_eq!(fields(&delete(account, "x").await.unwrap_err()), ["food_id"]);
    for refused in [delete(other, &food.food_id).await, delete(account, &bench.pet_id().to_string()).await] {
        assert_eq!(reason(&refused.unwrap_err()), "FOOD_NOT_FOUND");
    }
    for _ in 0..2 {
        assert!(delete(account, &food.food_id).await.unwrap());
    }
    let get = wire::GetFoodRequest { food_id: food.food_id.clone() };
    let refused = bench.grpc.get_food(bench.request(account, get)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "FOOD_NOT_FOUND"));
    let refused = bench.grpc.update_food(bench.request(account, patch(&food.food_id))).await.unwrap_err();
    assert_eq!(reason(&refused), "FOOD_NOT_FOUND");
    let request = wire::ListFoodsRequest::default();
    let listed = bench.grpc.list_foods(bench.request(account, request)).await.unwrap().into_inner();
    assert_eq!(listed.foods, []);
    // A month later nothing of it is left.
    bench.clock.set(at(31 * 86_400));
    bench.daily.run_once().await.unwrap();
    assert_eq!(bench.count("-- foods\nSELECT count(*) FROM foods").await, 0);
    assert_eq!(reason(&delete(account, &food.food_id).await.unwrap_err()), "FOOD_NOT_FOUND");
}

#[tokio::test]
async fn anothers_food_does_not_exist() {
    let bench = Bench::new("food_others").await;
    let (account, other) = (bench.account_id(), bench.account_id());
    let food = bench.food(account, kibble()).await;
    let get = wire::GetFoodRequest { food_id: food.food_id.clone() };
    let refused = bench.grpc.get_food(bench.request(other, get)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "FOOD_NOT_FOUND"));
    let update = wire::UpdateFoodRequest { name: Some("Mine".to_owned()), ..patch(&food.food_id) };
    let refused = bench.grpc.update_food(bench.request(other, update)).await.unwrap_err();
    assert_eq!(reason(&refused), "FOOD_NOT_FOUND");
    let get = wire::GetFoodRequest { food_id: food.food_id.to_uppercase() };
    assert!(bench.grpc.get_food(bench.request(account, get)).await.is_ok());
}

use http::Method;
use petty_chassis::grpc::RequestId;
use petty_proto::auth::v1::{
    CreatePetRequest, DeletePetRequest, ListPetsRequest, ListPetsResponse, Pet, UpdatePetRequest,
};
use petty_proto::ingest::v1::{ListReadingsRequest, list_readings_request::Resolution};
use petty_proto::timeline::v1::GetPetTimelineRequest;

use super::*;
use crate::router::{Found, Router};
use crate::routes::ROUTES;

fn read<Req: RequestMessage>(method: Method, target: &str, body: &str) -> Result<Req, Vec<String>> {
    let (path, query) =
        target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query.to_owned())));
    let Found::Route(route, fields) = Router::new(ROUTES).unwrap().find(&method, path) else {
        panic!("{target} is no route")
    };
    let channel = Upstreams::default().with("x", tower::service_fn(nobody)).get("x").unwrap();
    let exchange = Exchange {
        route,
        channel,
        path: fields,
        query,
        body: Content::Json(Bytes::copy_from_slice(body.as_bytes())),
        subject: "somebody".to_owned(),
        authorization: None,
        access_reason: None,
        idempotency_key: Some("key-1".to_owned()),
        last_event_id: None,
        form: Form::default(),
        sendings: crate::idempotency::Sendings::unrecorded(),
        scope: CallScope {
            request_id: RequestId::parse("r-1").unwrap(),
            traceparent: None,
            deadline: None,
            client_address: None,
        },
    };
    decode(&exchange).map_err(|problem| {
        assert_eq!(problem.status, 400);
        problem.errors.into_iter().map(|fault| fault.field).collect()
    })
}

async fn nobody(_: http::Request<tonic::body::Body>) -> Result<http::Response<tonic::body::Body>, BoxError> {
    Err("nobody is there".into())
}

#[test]
fn queries_are_read_by_the_kinds_of_their_fields() {
    let message: ListReadingsRequest = read(
        Method::GET,
        "/v1/pets/p-1/readings?start_time=2026-01-31T12:00:00%2B01:00&endTime=2026-01-31T12:00:00+01:00&resolution=HOUR\
         &page_size=10&page_token=a%20b+c",
        "",
    )
    .unwrap();
    assert_eq!(message.pet_id, "p-1");
    assert_eq!(message.start_time, message.end_time);
    assert_eq!(message.start_time.unwrap().seconds, 1_769_857_200);
    assert_eq!(message.resolution(), Resolution::Hour);
    assert_eq!((message.page_size, message.page_token.as_str()), (10, "a b c"));
    let message: ListReadingsRequest = read(Method::GET, "/v1/pets/p-1/readings?resolution=2&&", "").unwrap();
    assert_eq!(message.resolution(), Resolution::Minute);
}

#[test]
fn bad_queries_name_the_parameter() {
    for (query, field) in [
        ("colour=red", "colour"),
        ("page_size=many", "page_size"),
        ("page_size=", "page_size"),
        ("page_size=99999999999", "page_size"),
        ("page_size=1&pageSize=2", "page_size"),
        ("page_token=a&page_token=a", "page_token"),
        ("pet_id=another", "pet_id"),
        ("petId=another", "petId"),
        ("start_time=now", "start_time"),
        ("resolution=DAY", "resolution"),
        ("resolution=7", "resolution"),
        ("page_token=%ff", "page_token"),
        ("page_token=%00", "page_token"),
        ("%ff=1", "query"),
    ] {
        let target = format!("/v1/pets/p-1/readings?{query}");
        assert_eq!(read::<ListReadingsRequest>(Method::GET, &target, "").unwrap_err(), [field], "{query}");
    }
    let many = format!("/v1/pets?{}", "x=1&".repeat(10_000));
    assert!(read::<ListPetsRequest>(Method::GET, &many, "").unwrap_err().len() <= 21);
}

#[test]
fn the_first_systems_calls_ignore_64_unknown_parameters() {
    let target = |count: usize| {
        let unknown: String = (0..count).map(|at| format!("&x{at}=1")).collect();
        format!("/pet-timeline?collar_id=SN-1&hours=12{unknown}")
    };
    let message: GetPetTimelineRequest = read(Method::GET, &target(64), "").unwrap();
    assert_eq!((message.collar_id.as_str(), message.hours), ("SN-1", Some(12)));
    assert_eq!(read::<GetPetTimelineRequest>(Method::GET, &target(65), "").unwrap_err(), ["x64"]);
    assert_eq!(
        read::<GetPetTimelineRequest>(Method::GET, "/pet-timeline?hours=x", "").unwrap_err(),
        ["hours"]
    );
}

#[test]
fn the_path_and_the_body_may_not_disagree() {
    let message: UpdatePetRequest = read(Method::PATCH, "/v1/pets/p-1", r#"{"name":"Rex"}"#).unwrap();
    assert_eq!(message.pet_id, "p-1");
    assert!(read::<UpdatePetRequest>(Method::PATCH, "/v1/pets/p-1", r#"{"pet_id":"p-1"}"#).is_ok());
    let refused = read::<UpdatePetRequest>(Method::PATCH, "/v1/pets/p-1", r#"{"petId":"p-2"}"#);
    assert_eq!(refused.unwrap_err(), ["pet_id"]);
    let refused = read::<UpdatePetRequest>(Method::PATCH, "/v1/pets/p-1?name=Rex", "{}");
    assert_eq!(refused.unwrap_err(), ["name"], "the body is the whole request");
    assert_eq!(read::<DeletePetRequest>(Method::DELETE, "/v1/pets/a%00", "").unwrap_err(), ["pet_id"]);
}

#[test]
fn request_ids_come_from_caller_method_and_key_alone() {
    let message: CreatePetRequest = read(Method::POST, "/v1/pets", r#"{"name":"Rex"}"#).unwrap();
    assert_eq!(
        message.request_id,
        derive_request_id("somebody", "/petty.auth.v1.PetService/CreatePet", "key-1")
    );
    for body in [r#"{"request_id":"mine"}"#, r#"{"requestId":"mine"}"#, r#"{"request_id":7}"#] {
        let field = read::<CreatePetRequest>(Method::POST, "/v1/pets", body).unwrap_err();
        assert!(field[0].starts_with("request"), "{body}: {field:?}");
    }
    let ids = [("a", "m", "k"), ("b", "m", "k"), ("a", "n", "k"), ("a", "m", "l"), ("am", "", "k")];
    let ids: std::collections::BTreeSet<_> = ids.iter().map(|(a, m, k)| derive_request_id(a, m, k)).collect();
    assert_eq!(ids.len(), 5);
    assert!(ids.iter().all(|id| id.len() == 64));
}

#[test]
fn an_answer_is_told_whole_or_in_part_and_bytes_that_are_none_are_the_services_fault() {
    let pet = Pet { pet_id: "p-1".to_owned(), name: "Mia".to_owned(), ..Pet::default() };
    let answer = ListPetsResponse { pets: vec![pet], ..ListPetsResponse::default() };
    let told = |field| -> Value {
        let said = said::<ListPetsResponse>(answer.encode_to_vec().into(), field);
        serde_json::from_slice(&said.unwrap_or_else(|_| panic!("it is said"))).unwrap()
    };
    assert_eq!(told(None)["pets"], told(Some("pets")));
    assert_eq!(told(Some("pets"))[0]["name"], "Mia");

    // A text that is not UTF-8.
    let Err(unsaid) = said::<Pet>(Bytes::from_static(&[0x0a, 1, 0xff]), None) else { panic!("it was read") };
    assert!(matches!(unsaid, Unsaid::Unread(_)));
    let problem = unsaid.problem(&petty_proto::policy::PET_SERVICE_GET_PET);
    assert_eq!((problem.status.as_u16(), &*problem.code), (500, "INTERNAL"));
}

//! The document as it is checked in, and what must hold of any such document.

use std::fmt::Write as _;

use jsonschema::{Draft, Validator};
use prost_reflect::DescriptorPool;
use serde_json::{Value, json};

const CHECKED_IN: &str = include_str!("../../../../docs/openapi.json");

fn made() -> String {
    let pool = DescriptorPool::decode(petty_proto::FILE_DESCRIPTOR_SET).unwrap();
    petty_openapi::document(&pool, env!("CARGO_PKG_VERSION")).unwrap()
}

fn document() -> Value {
    serde_json::from_str(&made()).unwrap()
}

/// A validator of a schema that stands somewhere in the document.
fn validator(document: &Value, schema: &Value) -> Validator {
    let whole = json!({ "components": document["components"], "allOf": [schema] });
    jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true).build(&whole).unwrap()
}

/// Every operation, with its verb and path.
fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    document["paths"].as_object().unwrap().iter().flat_map(|(path, verbs)| {
        verbs.as_object().unwrap().iter().map(move |(verb, operation)| (format!("{verb} {path}"), operation))
    })
}

#[test]
fn the_document_is_the_one_that_is_checked_in() {
    let made = made();
    if made == CHECKED_IN {
        return;
    }
    let differs = made.lines().zip(CHECKED_IN.lines()).position(|(made, known)| made != known);
    panic!(
        "docs/openapi.json is not what the protos say now (from line {}). If that is meant:\n\
         cargo run -q -p petty-openapi --example renew > target/openapi.json && mv target/openapi.json docs/openapi.json",
        differs.map_or(0, |line| line + 1)
    );
}

#[test]
fn every_example_fits_its_schema() {
    let document = document();
    let mut faults = String::new();
    let mut seen = 0;
    let mut check = |at: &str, holder: &Value| {
        let Some(example) = holder.get("example") else { return };
        seen += 1;
        for error in validator(&document, &holder["schema"]).iter_errors(example) {
            writeln!(faults, "{at}: {}: {error}", error.instance_path()).unwrap();
        }
    };
    for (name, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            check(&name, parameter);
        }
        let answers = operation["responses"].as_object().unwrap().values();
        for holder in answers.chain(operation.get("requestBody")) {
            for (kind, media) in holder.get("content").and_then(Value::as_object).into_iter().flatten() {
                assert!(media.get("example").is_some() || name.ends_with("/openapi.json"), "{name}, {kind}");
                check(&format!("{name}, {kind}"), media);
            }
        }
    }
    for (name, parameter) in document["components"]["parameters"].as_object().unwrap() {
        check(name, parameter);
    }
    for (name, response) in document["components"]["responses"].as_object().unwrap() {
        for media in response.get("content").and_then(Value::as_object).into_iter().flatten() {
            check(name, media.1);
        }
    }
    assert!(faults.is_empty(), "{faults}");
    assert!(seen > 200, "{seen} examples");
}

#[test]
fn every_route_is_an_operation_that_says_what_it_does() {
    let document = document();
    let pool = DescriptorPool::decode(petty_proto::FILE_DESCRIPTOR_SET).unwrap();
    let http = pool.get_extension_by_name("google.api.http").unwrap();
    let is_public = |name: &str| {
        petty_proto::policy::METHODS
            .iter()
            .any(|policy| policy.scope != "staff" && name == format!("{}.{}", policy.service, policy.method))
    };
    let routes = pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .filter(|method| method.options().has_extension(&http) && is_public(method.full_name()))
        .count();
    let mut ids = Vec::new();
    for (name, operation) in operations(&document) {
        for text in ["summary", "description", "operationId"] {
            assert!(operation[text].as_str().is_some_and(|text| !text.is_empty()), "{name}: no {text}");
        }
        assert!(operation["security"].is_array(), "{name}: whether it needs a token is not said");
        if !["/health", "/ready", "/version", "/openapi.json"].iter().any(|own| name.ends_with(own)) {
            assert!(operation["responses"].get("400").is_some(), "{name}: how it fails is not said");
        }
        ids.push(operation["operationId"].as_str().unwrap());
    }
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "two operations have one name");
    let bare = ids.iter().filter(|id| id.ends_with("Bare")).count();
    // What the gateway answers itself is no method's.
    assert_eq!(all, routes + bare + 4);
    assert_eq!(bare, 5, "the first system's calls");
    assert!(document["paths"].get("/v1/staff").is_none(), "what is for staff is nobody else's business");
}

#[test]
fn what_a_request_may_hold_is_what_the_comments_say() {
    let document = document();
    let fits = |name: &str, value: Value| {
        validator(&document, &json!({ "$ref": format!("#/components/schemas/{name}") })).is_valid(&value)
    };
    let time = "2026-11-21T10:58:44Z";
    for (pulse, is_valid) in [(30, true), (300, true), (29, false), (301, false)] {
        let reading = json!({ "collar_id": "SN-1A4B7C-9Z", "timestamp": time, "heart_rate": pulse });
        assert_eq!(fits("IngestReadingRequest", reading), is_valid, "{pulse}");
    }
    assert!(fits("IngestReadingRequest", json!({ "collar_id": "SN-1", "timestamp": time, "firmware": 7 })));
    assert!(!fits("IngestReadingRequest", json!({ "collar_id": "??", "timestamp": time })));
    assert!(!fits("ReadingInput", json!({ "collar_id": "SN-1", "timestamp": time, "firmware": 7 })));
    assert!(fits("CreatePetRequest", json!({ "name": "Rex", "species": "DOG" })));
    assert!(!fits("CreatePetRequest", json!({ "name": "Rex" })));
    assert!(!fits("CreatePetRequest", json!({ "name": "", "species": "DOG" })));
    assert!(!fits("CreatePetRequest", json!({ "name": "Rex", "species": "SPECIES_UNSPECIFIED" })));
    assert!(!fits("CreatePetRequest", json!({ "name": "Rex", "species": "DOG", "request_id": "mine" })));
}

#[test]
fn of_what_excludes_each_other_one_is_there() {
    let document = document();
    let zone = validator(&document, &json!({ "$ref": "#/components/schemas/CreateSafeZoneRequest" }));
    let place = json!({ "latitude": 52.5, "longitude": 13.4 });
    let circle = json!({ "center": place, "radius_m": 100 });
    let corners = json!([place, place, place]);
    assert!(zone.is_valid(&json!({ "name": "Home", "circle": circle })));
    assert!(zone.is_valid(&json!({ "name": "Home", "corners": corners })));
    assert!(!zone.is_valid(&json!({ "name": "Home", "circle": circle, "corners": corners })));
    assert!(!zone.is_valid(&json!({ "name": "Home" })));
}

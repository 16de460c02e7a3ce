use std::collections::BTreeSet;

use prost_reflect::{DynamicMessage, Kind, ReflectMessage as _, Value as Field};
use serde_json::json;

use super::super::client::Reply;
use super::super::requests::{self, Case};
use super::super::service::Asked;
use super::super::{routes, service};
use super::*;

fn cases() -> Vec<Case> {
    let routes = routes::all(&service::pool().unwrap()).unwrap();
    routes.iter().flat_map(|route| requests::of(route).unwrap()).collect()
}

/// The first request of a shape, of a route that this is said of.
fn case(shape: &str, is_wanted: impl Fn(&Case) -> bool) -> Case {
    let found = cases().into_iter().find(|case| case.shape == shape && is_wanted(case));
    found.unwrap_or_else(|| panic!("no request has the shape {shape}"))
}

fn any(_: &Case) -> bool {
    true
}

fn streams(case: &Case) -> bool {
    case.route.method.is_server_streaming()
}

fn answered(status: u16, body: &str) -> Outcome {
    let reply = Reply { status, allow: String::new(), body: body.to_owned().into() };
    Outcome { reply, asked: None }
}

/// A refusal of Petty's.
fn refused(status: u16, code: &str, field: &str) -> Outcome {
    answered(status, &json!({"code": code, "errors": [{"field": field, "reason": "is wrong"}]}).to_string())
}

/// Of what the path says, and of what is set in it besides.
fn asked(case: &Case, outcome: Outcome, besides: impl Fn(&mut DynamicMessage)) -> Outcome {
    let mut message = DynamicMessage::new(case.route.method.input());
    for name in case.route.path_fields() {
        message.set_field_by_name(name, Field::String("some-id_1".to_owned()));
    }
    besides(&mut message);
    Outcome { asked: Some(Asked { method: case.route.method.full_name().to_owned(), message }), ..outcome }
}

fn time(field: &str, seconds: i64) -> impl Fn(&mut DynamicMessage) {
    move |message| {
        let field = message.descriptor().get_field_by_name(field).unwrap();
        let Kind::Message(kind) = field.kind() else { panic!("no time") };
        let mut time = DynamicMessage::new(kind);
        time.set_field_by_name("seconds", Field::I64(seconds));
        message.set_field(&field, Field::Message(time));
    }
}

/// What explains each of their differences.
fn explained(case: &Case, petty: Outcome, envoy: Outcome) -> Vec<(Difference, Option<&'static str>)> {
    let pair = Pair { case: case.clone(), petty, envoy };
    let subject = |difference| explain(&pair, &difference).map(|meaning| RULES[meaning.rule].subject);
    differences(&pair).into_iter().map(|difference| (difference, subject(difference))).collect()
}

#[test]
fn every_shape_that_a_rule_names_is_sent() {
    let sent: BTreeSet<String> = cases().into_iter().map(|case| case.shape).collect();
    for meaning in meanings() {
        assert!(meaning.shape.is_empty() || sent.contains(meaning.shape), "{meaning}");
    }
}

#[test]
fn a_good_value_that_petty_refuses_is_explained_by_nothing() {
    for shape in [
        "as it should be",
        "body: spaces around",
        "bool: false",
        "enum: by name",
        "enum: the number 1",
        "number: an integer",
        "number: as text",
        "integer: with a zero fraction",
        "integer: as text",
        "list: empty",
        "field: null",
        "text: a surrogate pair",
        "time: nanoseconds",
        "time: an offset",
        "query, bool: false",
        "query, text: UTF-8",
        "query: every field",
        "type: JSON with a charset",
        "path: UTF-8",
    ] {
        let sent = case(shape, any);
        for (status, code) in [
            (400, "INVALID_ARGUMENT"),
            (400, "MALFORMED_JSON"),
            (404, "ROUTE_NOT_FOUND"),
            (415, "UNSUPPORTED_MEDIA_TYPE"),
        ] {
            let found = explained(&sent, refused(status, code, &sent.field), answered(200, "{}"));
            assert_eq!(found, [(Difference::EnvoyTakes, None)], "{shape}: {status} {code}");
        }
    }
}

#[test]
fn a_refusal_that_is_meant_has_its_status_its_code_and_its_field() {
    let nan = case("number: \"NaN\"", any);
    let found = |petty: Outcome| {
        let [(Difference::EnvoyTakes, found)] = explained(&nan, petty, answered(200, "{}"))[..] else {
            panic!()
        };
        found
    };
    assert_eq!(found(refused(400, "INVALID_ARGUMENT", &nan.field)), Some("numbers that are none"));
    assert_eq!(found(refused(500, "INTERNAL", &nan.field)), None);
    assert_eq!(found(refused(422, "INVALID_ARGUMENT", &nan.field)), None);
    assert_eq!(found(refused(400, "MALFORMED_JSON", &nan.field)), None);
    assert_eq!(found(refused(400, "INVALID_ARGUMENT", "another_field")), None);
    assert_eq!(found(refused(400, "INVALID_ARGUMENT", &format!("{}_more", nan.field))), None);
    assert_eq!(found(answered(400, r#"{"code":"INVALID_ARGUMENT","errors":[]}"#)), None);
    // Refused, and passed on all the same.
    assert_eq!(found(asked(&nan, refused(400, "INVALID_ARGUMENT", &nan.field), |_| {})), None);
    let list = case("list: a null in it", any);
    let petty = refused(400, "INVALID_ARGUMENT", &format!("{}[0]", list.field));
    assert_eq!(explained(&list, petty, answered(200, "{}")), [(Difference::EnvoyTakes, Some("lists"))]);
}

#[test]
fn two_refusals_of_different_statuses_are_a_difference() {
    let good = case("answered NOT_FOUND", any);
    let found = |petty: u16, envoy: u16| explained(&good, answered(petty, "{}"), answered(envoy, "{}"));
    assert_eq!(found(404, 404), []);
    for (petty, envoy) in [(400, 404), (404, 405), (409, 404), (500, 503), (500, 404), (302, 404)] {
        assert_eq!(found(petty, envoy), [(Difference::Refusal, None)], "{petty} {envoy}");
    }
    let trace = case("a verb that the path has not", any);
    let found = |allow: &str| {
        let mut petty = answered(405, r#"{"code":"METHOD_NOT_ALLOWED","errors":[]}"#);
        petty.reply.allow = allow.to_owned();
        explained(&trace, petty, answered(404, "{}"))
    };
    let subject = Some("a verb that the path has not");
    assert_eq!(found(&format!("OPTIONS, {}", trace.route.verb)), [(Difference::Refusal, subject)]);
    assert_eq!(found("OPTIONS"), [(Difference::Refusal, None)]);
}

#[test]
fn a_message_that_is_another_is_explained_only_where_it_is_the_one_that_is_meant() {
    let leap = case("time: a leap second", any);
    let at = |seconds| asked(&leap, answered(200, "{}"), time(&leap.field, seconds));
    let (before, after) = (1_483_228_799, 1_483_228_800);
    assert_eq!(explained(&leap, at(before), at(after)), [(Difference::Message, Some("times"))]);
    for (petty, envoy) in [(after, before), (before - 1, after), (0, after)] {
        assert_eq!(explained(&leap, at(petty), at(envoy)), [(Difference::Message, None)], "{petty} {envoy}");
    }
    let elsewhere = |message: &mut DynamicMessage| {
        time(&leap.field, before)(message);
        let path = leap.route.path_fields().next().unwrap().to_owned();
        message.set_field_by_name(&path, Field::String("another".to_owned()));
    };
    let petty = asked(&leap, answered(200, "{}"), elsewhere);
    assert_eq!(explained(&leap, petty, at(after)), [(Difference::Message, None)]);
    for shape in ["time: nanoseconds", "time: an offset", "time: the offset -00:00", "time: the year 1"] {
        let sent = case(shape, any);
        let at = |seconds| asked(&sent, answered(200, "{}"), time(&sent.field, seconds));
        assert_eq!(explained(&sent, at(before), at(after)), [(Difference::Message, None)], "{shape}");
    }
    let plus = case("query, text: a plus", any);
    let text = |text: &str| {
        let field = plus.field.clone();
        asked(&plus, answered(200, "{}"), move |message| {
            message.set_field_by_name(&field, Field::String(text.to_owned()));
        })
    };
    assert_eq!(
        explained(&plus, text("a b"), text("a+b")),
        [(Difference::Message, Some("a plus in a query"))]
    );
    assert_eq!(explained(&plus, text("ab"), text("a+b")), [(Difference::Message, None)]);
}

#[test]
fn what_petty_alone_takes_must_be_taken_for_what_it_is() {
    let small = case("time: small letters", |case| case.route.template == "/v1/pets/{pet_id}/collars");
    let at = |status, seconds| {
        let petty = asked(&small, answered(status, "{}"), time(&small.field, seconds));
        explained(&small, petty, answered(400, "{}"))
    };
    assert_eq!(at(201, 1_769_947_200), [(Difference::PettyTakes, Some("times"))]);
    assert_eq!(at(201, 1_769_947_201), [(Difference::PettyTakes, None)]);
    assert_eq!(at(200, 1_769_947_200), [(Difference::PettyTakes, None)]);
    assert_eq!(explained(&small, answered(201, "{}"), answered(400, "{}")), [(Difference::PettyTakes, None)]);
    // The first system's calls alone take a time that says no offset.
    let strict = case("time: no offset", |case| case.route.template == small.route.template);
    let petty = asked(&strict, answered(201, "{}"), time(&strict.field, 1_769_947_200));
    assert_eq!(explained(&strict, petty, answered(400, "{}")), [(Difference::PettyTakes, None)]);

    let head = case("HEAD", |case| case.route.verb == "GET");
    let petty = asked(&head, answered(200, ""), |_| {});
    assert_eq!(explained(&head, petty, answered(404, "")), [(Difference::PettyTakes, Some("HEAD"))]);
    assert_eq!(explained(&head, answered(200, ""), answered(404, "")), [(Difference::PettyTakes, None)]);
    // Of a path that has both, what the POST asks for is not asked.
    let head = case("HEAD", |case| case.route.template == "/v1/pets" && case.route.verb == "POST");
    let petty = asked(&head, answered(200, ""), |_| {});
    assert_eq!(explained(&head, petty, answered(404, "")), [(Difference::PettyTakes, None)]);
    let unknown = case("an unknown parameter", any);
    let petty = asked(&unknown, answered(200, "{}"), |_| {});
    assert_eq!(explained(&unknown, petty, answered(400, "{}")), [(Difference::PettyTakes, None)]);
}

#[test]
fn a_status_of_success_is_the_policys() {
    let create =
        case("as it should be", |case| case.route.template == "/v1/pets" && case.route.verb == "POST");
    let envoy = || asked(&create, answered(200, "{}"), |_| {});
    let found = |status| explained(&create, asked(&create, answered(status, "{}"), |_| {}), envoy());
    assert_eq!(found(201), [(Difference::Status, Some("status of success"))]);
    for status in [202, 206] {
        assert_eq!(found(status), [(Difference::Status, None)], "{status}");
    }
    // That the status differs does not hide that nothing was passed on.
    let both = [(Difference::Status, Some("status of success")), (Difference::Arrival, None)];
    assert_eq!(explained(&create, answered(201, "{}"), envoy()), both);
}

#[test]
fn a_stream_tells_what_envoys_array_does() {
    let stream = case("as it should be", streams);
    let both = |petty: &str, envoy: &str| {
        let [petty, envoy] = [petty, envoy].map(|body| asked(&stream, answered(200, body), |_| {}));
        explained(&stream, petty, envoy)
    };
    let events = "retry: 1000\n\nevent: ready\ndata: {\"id\":\"7\"}\n\n";
    assert_eq!(both(events, r#"[{"id":"7"}]"#), [(Difference::Json, Some("streams (SSE)"))]);
    for other in [r#"[{"id":"8"}]"#, r#"[{"id":"7"},{"id":"8"}]"#, "[]", r#"{"id":"7"}"#] {
        assert_eq!(both(events, other), [(Difference::Json, None)], "{other}");
    }
    let missing = case("answered NOT_FOUND", streams);
    let refused = |status| {
        let petty = asked(&missing, answered(status, "{}"), |_| {});
        explained(&missing, petty, asked(&missing, answered(200, "{}"), |_| {}))
    };
    assert_eq!(refused(404), [(Difference::EnvoyTakes, Some("streams (SSE)"))]);
    assert_eq!(refused(500), [(Difference::EnvoyTakes, None)]);
}

#[test]
fn the_staffs_routes_are_unknown_and_others_are_not() {
    let is_staff = |case: &Case| case.route.template.starts_with("/v1/staff");
    let staff = case("as it should be", is_staff);
    let subject = Some("routes of the staff");
    let missing = || refused(404, "ROUTE_NOT_FOUND", "");
    assert_eq!(explained(&staff, missing(), answered(200, "{}")), [(Difference::EnvoyTakes, subject)]);
    assert_eq!(explained(&staff, missing(), answered(400, "{}")), [(Difference::Refusal, subject)]);
    let forbidden = refused(403, "SCOPE_MISSING", "");
    assert_eq!(explained(&staff, forbidden, answered(200, "{}")), [(Difference::EnvoyTakes, None)]);
    let other = case("as it should be", |case| !is_staff(case));
    assert_eq!(explained(&other, missing(), answered(200, "{}")), [(Difference::EnvoyTakes, None)]);
}

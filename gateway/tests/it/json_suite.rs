//! JSON as RFC 8259 has it, case by case, by the three classes of nst/JSONTestSuite: what is not JSON (`n_`) is refused, what is
//! JSON (`y_`) is parsed, and what parsers may differ on (`i_`) harms nobody. The names are that suite's; the cases are ours.
//!
//! Where we differ on purpose: a key that comes twice is refused (`y_object_duplicated_key…`), and so is U+0000 (which Postgres
//! stores in no text), both as bad input and not as bad JSON; a body of no bytes is no body, and reads as `{}`
//! (`n_structure_no_data`).

mod broken;
mod good;
mod open;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::world::{Reply, World};

/// A name and a body.
type Case = (&'static str, &'static [u8]);

/// This member takes any JSON.
async fn within(world: &World, token: &str, json: &[u8]) -> Reply {
    let body = [&b"{\"event_id\":\"evt_1\",\"segment\":"[..], json, b"}"].concat();
    world.send("POST", "/v1/submit-feedback", &[("authorization", token)], body).await
}

async fn whole(world: &World, token: &str, json: &[u8]) -> Reply {
    world.send("POST", "/v1/pets", &[("authorization", token)], json.to_vec()).await
}

/// What the bytes alone do not say shortly.
fn made() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("n_structure_100000_opening_arrays", vec![b'['; 100_000]),
        ("n_structure_open_array_object", b"[{\"\":".repeat(50_000)),
        ("n_array_33_levels_unclosed", vec![b'['; 33]),
        ("i_structure_500_nested_arrays", [vec![b'['; 500], vec![b']'; 500]].concat()),
        ("i_object_500_nested_objects", [b"{\"a\":".repeat(500), b"0".to_vec(), vec![b'}'; 500]].concat()),
        ("i_number_10000_digits", vec![b'7'; 10_000]),
        ("i_number_10000_decimals", [b"0.".to_vec(), vec![b'3'; 10_000]].concat()),
        ("y_string_100000_characters", [b"\"".to_vec(), vec![b'a'; 100_000], b"\"".to_vec()].concat()),
        ("y_array_10000_elements", [b"[0".to_vec(), b",0".repeat(9_999), b"]".to_vec()].concat()),
        ("y_array_31_levels", [vec![b'['; 31], vec![b']'; 31]].concat()),
    ]
}

fn cases(class: &str) -> Vec<(&'static str, Vec<u8>)> {
    let all = [broken::CASES, good::CASES, open::CASES].concat();
    let all = all.into_iter().map(|(name, json)| (name, json.to_vec())).chain(made());
    all.filter(|(name, _)| name.starts_with(class)).collect()
}

#[test]
fn there_are_enough_cases_and_none_twice() {
    let all = [cases("n_"), cases("y_"), cases("i_")].concat();
    assert!(all.len() >= 250, "{}", all.len());
    assert!(cases("n_").len() > 150 && cases("y_").len() > 90 && cases("i_").len() > 30);
    let names: BTreeSet<&str> = all.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), all.len());
}

#[tokio::test]
async fn what_is_not_json_is_refused() {
    let world = World::new().await;
    let (writer, reader) = (world.account("write"), world.account("feedback:write"));
    for (name, json) in cases("n_") {
        let reply = whole(&world, &writer, &json).await;
        if json.is_empty() {
            assert_eq!(reply.status, 201, "no body at all");
        } else {
            assert_eq!(reply.problem(), (400, "MALFORMED_JSON".to_owned()), "{name}");
        }
        // These are broken by what stands around them, or mend what does.
        if !broken::ALONE.contains(&name) {
            let reply = within(&world, &reader, &json).await;
            assert_eq!(reply.problem(), (400, "MALFORMED_JSON".to_owned()), "{name}, within");
        }
    }
    let created = world.services.calls("create_pet").len();
    assert_eq!((created, world.services.calls("submit_feedback").len()), (1, 0));
}

#[tokio::test]
async fn what_is_json_is_parsed() {
    let world = World::new().await;
    let (writer, reader) = (world.account("write"), world.account("feedback:write"));
    for (name, json) in cases("y_") {
        // No array and no number is a pet; that is not the parser's to say.
        let reply = whole(&world, &writer, &json).await;
        if reply.status != 201 {
            assert_eq!(reply.problem(), (400, "INVALID_ARGUMENT".to_owned()), "{name}");
        }
        let reply = within(&world, &reader, &json).await;
        if good::REFUSED.contains(&name) {
            assert_eq!(reply.problem(), (400, "INVALID_ARGUMENT".to_owned()), "{name}");
            assert!(reply.json()["errors"][0]["field"].as_str().unwrap().starts_with("segment"), "{name}");
            continue;
        }
        assert_eq!(reply.status, 201, "{name}: {:?}", reply.bytes);
        let arrived = world.services.seen().pop().unwrap().message;
        let sent: Value = serde_json::from_slice(&json).unwrap();
        let arrived = if arrived.is_empty() { Value::Null } else { serde_json::from_str(&arrived).unwrap() };
        assert!(same(&arrived, &sent), "{name}: {arrived} is not {sent}");
    }
}

#[tokio::test]
async fn what_parsers_differ_on_harms_nobody() {
    let world = World::new().await;
    let (writer, reader) = (world.account("write"), world.account("feedback:write"));
    for (name, json) in cases("i_") {
        for reply in [whole(&world, &writer, &json).await, within(&world, &reader, &json).await] {
            assert!(reply.status < 500, "{name}: {reply:?}");
            if reply.status != 201 {
                assert_eq!(reply.problem().0, 400, "{name}");
            }
        }
    }
    assert_eq!(whole(&world, &writer, b"{}").await.status, 201, "it is still there");
}

/// Numbers of any JSON are doubles.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| same(value, other)))
        }
        _ => one == other,
    }
}

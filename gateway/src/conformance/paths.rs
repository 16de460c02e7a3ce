//! Paths and queries.

use proptest::prelude::*;
use serde_json::json;

use super::{Value, World};

#[tokio::test]
async fn a_path_may_state_several_segments_and_fields_within_messages() {
    let world = World::new();
    for (target, request) in [
        ("/v1/shelves/s1/boxes/b%202/things", json!({ "name": "shelves/s1/boxes/b 2" })),
        ("/v1/shelves/a%2Fb/boxes/%2f%20c/things", json!({ "name": "shelves/a%2Fb/boxes/%2f c" })),
        ("/v1/files/a", json!({ "name": "a" })),
        ("/v1/files/a/b/c.txt", json!({ "name": "a/b/c.txt" })),
        ("/v1/files/a/b:look", json!({ "name": "a/b" })),
        ("/v1/files/a:look/b", json!({ "name": "a:look/b" })),
        ("/v1/any/thing/lab%2Fel/BLUE", json!({ "filter": { "label": "lab/el", "color": "BLUE" } })),
        ("/v1/any/thing/x/5", json!({ "filter": { "label": "x", "color": "BLUE" } })),
        (
            "/v1/pages/7/of/9007199254740993",
            json!({ "page": 7.0, "filter": { "limits": { "most": "9007199254740993" } } }),
        ),
        ("/v1/pages/-7/of/1", json!({ "page": -7.0, "filter": { "limits": { "most": "1" } } })),
    ] {
        assert_eq!(world.seen("GET", target, "").await, request, "{target}");
    }
    for (target, field) in [
        ("/v1/pages/x/of/1", "page"),
        ("/v1/pages/1/of/1.5", "filter.limits.most"),
        ("/v1/pages/99999999999/of/1", "page"),
        ("/v1/any/x/y/GREEN", "filter.color"),
        ("/v1/any/x/y/blue", "filter.color"),
        ("/v1/any/x/%00/RED", "filter.label"),
        ("/v1/any/x/%ff/RED", "filter.label"),
        ("/v1/shelves/%ff/boxes/b/things", "name"),
        ("/v1/files/a/%00", "name"),
        // What the path states, the query does not.
        ("/v1/any/x/y/RED?filter.label=z", "filter.label"),
        ("/v1/files/a?name=b", "name"),
    ] {
        assert_eq!(world.send("GET", target, "").await.faults()[0], field, "{target}");
    }
    for target in ["/v1/shelves/s/boxes/b", "/v1/shelves//boxes/b/things", "/v1/any/x/y", "/v1/files"] {
        assert_eq!(world.send("GET", target, "").await.status, 404, "{target}");
    }
    let reply = world.send("POST", "/v1/files/a/b:look", "").await;
    assert_eq!((reply.status, reply.header("allow")), (405, "GET, HEAD, OPTIONS"));
}

#[tokio::test]
async fn a_query_reaches_into_messages() {
    let world = World::new();
    for (query, request) in [
        ("filter.limits.least=-3", json!({ "filter": { "limits": { "least": -3.0 } } })),
        (
            "filter.limits.most=5&filter.limits.least=1",
            json!({ "filter": { "limits": { "least": 1.0, "most": "5" } } }),
        ),
        ("filter.colors=RED&filter.colors=5", json!({ "filter": { "colors": ["RED", "BLUE"] } })),
        (
            "filter.sinceTime=2026-01-31T13:00:00%2B01:00",
            json!({ "filter": { "since_time": "2026-01-31T12:00:00Z" } }),
        ),
        (
            "filter.since_time=2026-01-31T13:00:00+01:00",
            json!({ "filter": { "since_time": "2026-01-31T12:00:00Z" } }),
        ),
        ("filter.by_color=RED", json!({ "filter": { "by_color": "RED" } })),
        ("read_mask=name,mainPart.size", json!({ "read_mask": "name,mainPart.size" })),
        ("readMask=main_part", json!({ "read_mask": "mainPart" })),
        ("max_age=1.5s&deep=true", json!({ "max_age": "1.500s", "deep": true })),
    ] {
        let mut request: Value = request;
        request["name"] = "a".into();
        assert_eq!(world.seen("GET", &format!("/v1/files/a?{query}"), "").await, request, "{query}");
    }
    for (query, field) in [
        ("filter=x", "filter"),
        ("filter.parts=x", "filter.parts"),
        ("filter.parts.name=x", "filter.parts.name"),
        ("filter.nothing=x", "filter.nothing"),
        ("filter.limits=x", "filter.limits"),
        ("filter.limits.least.x=1", "filter.limits.least.x"),
        ("filter.limits.least=x", "filter.limits.least"),
        ("filter.limits.least=1&filter.limits.least=2", "filter.limits.least"),
        ("filter.colors=RED&filter.colors=GREEN", "filter.colors[1]"),
        ("filter.by_field=a&filter.by_color=RED", "filter.by_field"),
        ("filter..label=x", "filter..label"),
        (".=x", "."),
        ("labels=x", "labels"),
        ("labels.a=x", "labels.a"),
        ("max_age=5m", "max_age"),
        ("read_mask=a b", "read_mask"),
        ("deep=1", "deep"),
    ] {
        let reply = world.send("GET", &format!("/v1/files/a?{}", query.replace(' ', "%20")), "").await;
        assert_eq!(reply.faults()[0], field, "{query}");
    }
}

proptest! {
    #[test]
    fn what_stands_in_a_path_or_a_query_arrives(
        label in "[^\0]{1,24}",
        segments in proptest::collection::vec("[^\0/]{1,12}", 1..5),
        least in any::<i32>(),
    ) {
        let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let name: Vec<String> = segments.iter().map(|segment| encode(segment)).collect();
        let target =
            format!("/v1/files/{}?filter.limits.least={least}&filter.label={}", name.join("/"), encode(&label));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let request = runtime.block_on(async { World::new().send("GET", &target, "").await.json()["request"].clone() });
        prop_assert_eq!(&request["name"], &json!(segments.join("/")));
        prop_assert_eq!(&request["filter"]["label"], &json!(label));
        prop_assert_eq!(&request["filter"]["limits"]["least"], &json!(f64::from(least)));
    }
}

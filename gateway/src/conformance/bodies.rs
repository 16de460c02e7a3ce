//! Bodies that are a part of a request, answers that are a part, masks, streams.

use serde_json::json;

use super::{Value, World};

#[tokio::test]
async fn a_body_may_be_one_field_and_the_query_the_others() {
    let world = World::new();
    let body = r#"{"displayName":"Ball","main_part":{"size":3}}"#;
    let thing = json!({ "thing_id": "t-1", "display_name": "Ball", "main_part": { "size": 3.0 } });
    assert_eq!(world.seen("PUT", "/v1/things/t-1", body).await, json!({ "thing": thing }));
    assert_eq!(
        world.seen("PUT", "/v1/things/t-1?dry_run=true&reason.name=why", body).await,
        json!({ "thing": thing, "dry_run": true, "reason": { "name": "why" } })
    );
    // The same, once it is not read straight off.
    let with_null = r#"{"displayName":"Ball","main_part":{"size":3,"name":null},"labels":null}"#;
    assert_eq!(world.seen("PUT", "/v1/things/t-1", with_null).await, json!({ "thing": thing }));
    assert_eq!(world.seen("PUT", "/v1/things/t-1", "").await, json!({ "thing": { "thing_id": "t-1" } }));
    assert_eq!(world.seen("PUT", "/v1/things/t-1", "null").await, json!({ "thing": { "thing_id": "t-1" } }));
    for (target, body, field) in [
        ("/v1/things/t-1", r#"{"display_name":7}"#, "thing.display_name"),
        ("/v1/things/t-1", r#"{"main_part":{"size":"x"}}"#, "thing.main_part.size"),
        ("/v1/things/t-1", r#"{"dry_run":true}"#, "thing.dry_run"),
        ("/v1/things/t-1", r#"{"thing":{}}"#, "thing.thing"),
        ("/v1/things/t-1", r#"{"thing_id":"t-2"}"#, "thing.thing_id"),
        ("/v1/things/t-1", r#"{"display_name":"\u0000"}"#, "thing.display_name"),
        ("/v1/things/t-1", r#"{"labels":{"a":"1","a":"2"}}"#, "labels.a"),
        ("/v1/things/t-1", "[]", "thing"),
        ("/v1/things/t-1", "7", "thing"),
        ("/v1/things/t-1?thing.display_name=x", "{}", "thing.display_name"),
        ("/v1/things/t-1?thing=x", "{}", "thing"),
        ("/v1/things/t-1?colour=x", "{}", "colour"),
        ("/v1/things/t-1", r#"{},"dry_run":true"#, "body"),
        ("/v1/things/t-1", r#"{}}"#, "body"),
        ("/v1/things/t-1", r#"{"main_part":{}"#, "body"),
        ("/v1/things/t-1", "{} {}", "body"),
    ] {
        assert_eq!(world.send("PUT", target, body).await.faults()[0], field, "{target} {body}");
    }
    let same = r#"{"thing_id":"t-1","display_name":"Ball"}"#;
    assert_eq!(world.seen("PUT", "/v1/things/t-1", same).await["thing"]["thing_id"], "t-1");
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    assert_eq!(world.send("PUT", "/v1/things/t-1", &deep).await.json()["code"], "MALFORMED_JSON");
}

#[tokio::test]
async fn a_patch_says_which_fields_change_or_its_body_does() {
    let world = World::new();
    for (target, body, mask) in [
        ("/v1/things/t", r#"{"display_name":"x"}"#, "displayName"),
        ("/v1/things/t", r#"{"displayName":null}"#, "displayName"),
        ("/v1/things/t", r#"{"mainPart":{"size":1},"labels":{"a":"b"}}"#, "mainPart.size,labels"),
        ("/v1/things/t", r#"{"main_part":{},"more_parts":[{"name":"x"}]}"#, "mainPart,moreParts"),
        ("/v1/things/t", r#"{"thing_id":"t","display_name":"x"}"#, "displayName"),
        ("/v1/things/t?update_mask=", r#"{"display_name":"x"}"#, "displayName"),
        ("/v1/things/t?updateMask=main_part,displayName", r#"{"display_name":"x"}"#, "mainPart,displayName"),
        ("/v1/things/t", "{}", ""),
        ("/v1/things/t", "", ""),
    ] {
        let request = world.seen("PATCH", target, body).await;
        let seen = request.get("update_mask").and_then(Value::as_str).unwrap_or_default();
        let (mut seen, mut mask): (Vec<&str>, Vec<&str>) =
            (seen.split(',').collect(), mask.split(',').collect());
        seen.sort_unstable();
        mask.sort_unstable();
        assert_eq!(seen, mask, "{target} {body}");
    }
    let replaced = world.seen("PUT", "/v1/things/t", r#"{"display_name":"x"}"#).await;
    assert_eq!(replaced.get("update_mask"), None, "a PUT is of all fields");
    for mask in ["*", "a,,b", "Name", "a%00"] {
        let reply = world.send("PATCH", &format!("/v1/things/t?update_mask={mask}"), "{}").await;
        assert_eq!(reply.faults()[0], "update_mask", "{mask}");
    }
}

#[tokio::test]
async fn a_body_or_an_answer_may_be_a_list_or_a_number() {
    let world = World::new();
    let reply = world.send("PUT", "/v1/shelves/3/tags?note=c", r#"["a","b"]"#).await;
    assert_eq!((reply.status, reply.json()), (200, json!(["a", "b", "c"])));
    assert_eq!(world.send("PUT", "/v1/shelves/3/tags", "").await.json(), json!([]));
    let reply = world.send("POST", "/v1/shelves/3/tags:count", r#"["a","b"]"#).await;
    assert_eq!(reply.json(), json!("6"), "64 bits stand in a string");
    for (target, body, field) in [
        ("/v1/shelves/3/tags", r#"["a",7]"#, "tags[1]"),
        ("/v1/shelves/3/tags", r#"["a",null]"#, "tags[1]"),
        ("/v1/shelves/3/tags", r#""a""#, "tags"),
        ("/v1/shelves/3/tags", "{}", "tags"),
        ("/v1/shelves/3/tags", r#"["a","#, "body"),
        // What is read straight off is all there is.
        ("/v1/shelves/3/tags", r#"["a"],"note":"x""#, "body"),
        ("/v1/shelves/3/tags", r#"["a"]]"#, "body"),
        ("/v1/shelves/3/tags", r#"["a"] ["b"]"#, "body"),
        ("/v1/shelves/3/tags?tags=x", "[]", "tags"),
        ("/v1/shelves/x/tags", "[]", "shelf"),
    ] {
        assert_eq!(world.send("PUT", target, body).await.faults()[0], field, "{target} {body}");
    }
    let reply = world.send("DELETE", "/v1/ping", "").await;
    assert_eq!((reply.status, reply.json()), (200, json!({})));
}

#[tokio::test]
async fn a_stream_goes_out_in_either_form_without_ids() {
    let world = World::new();
    let reply = world.send_with("GET", "/v1/count/3", &[("accept", "application/x-ndjson")], "").await;
    assert_eq!(reply.header("content-type"), "application/x-ndjson");
    assert_eq!(reply.bytes, "{\"number\":1}\n{\"number\":2}\n{\"number\":3}\n");
    let reply = world.send("GET", "/v1/count/2", "").await;
    assert_eq!(reply.header("content-type"), "text/event-stream");
    assert_eq!(
        reply.bytes,
        "retry: 1000\n\nevent: message\ndata: {\"number\":1}\n\nevent: message\ndata: {\"number\":2}\n\n"
    );
    let reply = world.send_with("GET", "/v1/count/x", &[("accept", "application/x-ndjson")], "").await;
    assert_eq!(reply.faults(), ["to"]);
}

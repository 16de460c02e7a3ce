//! What requests may hold, through to the service.

use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn lists_in_a_query_are_given_by_repeating_the_parameter() {
    let world = World::new().await;
    let token = world.account("read");
    let auth = [("authorization", token.as_str())];
    let target =
        "/v1/pets/p-1/timeline?kinds=BEHAVIOR&kinds=2&behaviors=Deep%20Sleep&behaviors=running&page_size=7";
    assert_eq!(world.send("GET", target, &auth, "").await.status, 200);
    let seen = world.services.calls("list_timeline").remove(0).message;
    assert!(seen.contains("kinds: [Behavior, Plan]"), "{seen}");
    assert!(
        seen.contains(r#"behaviors: ["Deep Sleep", "running"]"#) && seen.contains("page_size: 7"),
        "{seen}"
    );
    for (query, field) in [
        ("kinds=BEHAVIOR&kinds=SLEEP", "kinds[1]"),
        ("kinds=behavior", "kinds[0]"),
        ("kinds=9", "kinds[0]"),
        ("kinds=", "kinds[0]"),
        ("behaviors=a&behaviors=%00", "behaviors[1]"),
        ("behaviors=%ff", "behaviors"),
        ("kind=PLAN", "kind"),
    ] {
        let reply = world.send("GET", &format!("/v1/pets/p-1/timeline?{query}"), &auth, "").await;
        assert_eq!(reply.problem().0, 400, "{query}");
        assert_eq!(reply.json()["errors"][0]["field"], field, "{query}");
    }
}

#[tokio::test]
async fn bodies_of_put_and_two_fields_in_a_path_arrive() {
    let world = World::new().await;
    let token = world.account("read write");
    let auth = [("authorization", token.as_str())];
    let body =
        json!({ "weight_kg": 12.5, "foods": [{ "food_id": "f-1" }], "allergies": ["beef"], "work": null });
    let reply = world.send("PUT", "/v1/pets/p-1/nutrition-profile", &auth, body.to_string()).await;
    assert_eq!(reply.status, 200);
    let seen = world.services.calls("update_nutrition_profile").remove(0).message;
    for part in [r#"pet_id: "p-1""#, "weight_kg: Some(12.5)", r#"food_id: "f-1""#, r#"["beef"]"#] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    let bad = r#"{"allergies":"beef","foods":[{},{"food_id":"a","grams":1}]}"#;
    let reply = world.send("PUT", "/v1/pets/p-1/nutrition-profile", &auth, bad).await;
    assert_eq!(reply.problem().0, 400);
    let errors = reply.json()["errors"].clone();
    let fields: Vec<&Value> = errors.as_array().unwrap().iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["allergies", "foods[1].grams"]);

    assert_eq!(world.send("DELETE", "/v1/pets/p-1/weights/w-2", &auth, "").await.status, 200);
    let seen = world.services.calls("delete_weight").remove(0).message;
    assert!(seen.contains(r#"pet_id: "p-1""#) && seen.contains(r#"weight_id: "w-2""#), "{seen}");
    let reply = world.send("PUT", "/v1/pets/p-1/weights/w-2", &auth, "{}").await;
    assert_eq!((reply.problem().0, reply.header("allow")), (405, "DELETE, OPTIONS"));
}

#[tokio::test]
async fn any_json_may_stand_where_the_proto_says_so() {
    let world = World::new().await;
    let token = world.account("feedback:write");
    let auth = [("authorization", token.as_str())];
    let deep = format!("{}1{}", "{\"a\":".repeat(31), "}".repeat(31));
    for segment in [
        r#"[{"heart_rate":80.5,"nested":{"null":null,"":[true,"x"]}}]"#,
        r#""text""#,
        "1e30",
        "false",
        "{}",
        &deep,
    ] {
        let body =
            format!(r#"{{"event_id":"evt_1","user_feedback":"positive","extra":1,"segment":{segment}}}"#);
        let reply = world.send("POST", "/submit-feedback", &auth, body).await;
        assert_eq!(reply.status, 201, "{segment}: {:?}", reply.bytes);
        let seen = world.services.seen().pop().unwrap().message;
        let (seen, sent): (Value, Value) =
            (serde_json::from_str(&seen).unwrap(), serde_json::from_str(segment).unwrap());
        // All numbers are floats.
        assert_eq!(seen.to_string().replace(".0", ""), sent.to_string().replace(".0", ""));
    }
    let reply = world.send("POST", "/v1/submit-feedback", &auth, r#"{"segment":null}"#).await;
    assert_eq!((reply.status, world.services.seen().pop().unwrap().message.as_str()), (201, ""));
    for (body, status, field) in [
        (r#"{"segment":{"a":1,"a":2}}"#.to_owned(), 400, "segment.a"),
        (r#"{"segment":{"a":["b\u0000"]}}"#.to_owned(), 400, "segment"),
        (r#"{"segment":{"\u0000":null}}"#.to_owned(), 400, "segment"),
        (r#"{"segment":1,"segment":2}"#.to_owned(), 400, "segment"),
        (r#"{"segment":{"a":1e999}}"#.to_owned(), 400, "segment.a"),
        (format!(r#"{{"segment":{}}}"#, "[".repeat(100)), 400, "body"),
        (format!(r#"{{"segment":{{"a":{deep}}}}}"#), 400, "body"),
    ] {
        let reply = world.send("POST", "/v1/submit-feedback", &auth, body.clone()).await;
        assert_eq!(reply.problem().0, status, "{body:.60}");
        assert_eq!(reply.json()["errors"][0]["field"], field, "{body:.60}");
    }
}

#[tokio::test]
async fn a_clients_own_metadata_goes_no_further() {
    let world = World::new().await;
    let token = world.account("read write");
    for (target, method) in [("/v1/me", "get_me"), ("/v1/pets/p-1/timeline", "list_timeline")] {
        let headers = [
            ("authorization", token.as_str()),
            ("x-petty-client-address", "203.0.113.9"),
            ("x-petty-anything", "1"),
            ("petty-service-token", "forged"),
            ("x-forwarded-for", "203.0.113.9"),
            ("forwarded", "for=203.0.113.9"),
            ("x-real-ip", "203.0.113.9"),
            ("grpc-timeout", "1H"),
            ("x-user-id", "admin"),
        ];
        assert_eq!(world.send("GET", target, &headers, "").await.status, 200);
        let seen = world.services.calls(method).remove(0);
        assert_eq!(seen.metadata("x-petty-client-address"), Some("127.0.0.1"), "the peer's own address");
        assert_ne!(seen.metadata("grpc-timeout"), Some("1H"));
        let allowed =
            ["authorization", "x-request-id", "traceparent", "x-petty-client-address", "grpc-timeout", "te"];
        let names: Vec<&str> = seen
            .metadata
            .keys()
            .map(|key| match key {
                tonic::metadata::KeyRef::Ascii(key) => key.as_str(),
                tonic::metadata::KeyRef::Binary(key) => key.as_str(),
            })
            .filter(|name| !allowed.contains(name) && *name != "content-type" && *name != "user-agent")
            .collect();
        assert_eq!(names, [""; 0], "of {method}");
    }
}

#[tokio::test]
async fn a_token_is_revoked_by_a_form_or_by_json_and_nothing_else_takes_forms() {
    let world = World::new().await;
    let form = [("content-type", "application/x-www-form-urlencoded; charset=UTF-8")];
    let (hint, json) =
        ("token_type_hint=refresh_token", r#"{"token":"a b+c","token_type_hint":"refresh_token"}"#);
    let bodies = [(format!("token=a+b%2Bc&{hint}"), &form[..]), (json.to_owned(), &[])];
    for (body, headers) in bodies {
        assert_eq!(world.send("POST", "/v1/auth/revoke", headers, body).await.status, 200);
        let seen = world.services.calls("revoke_token").pop().unwrap().message;
        assert!(seen.contains(r#"token: "a b+c""#) && seen.contains(r#"Some("refresh_token")"#), "{seen}");
    }
    for body in ["token=a&token=b", "token=%ff", "tokens=a", "token=a&client_secret=b"] {
        let reply = world.send("POST", "/v1/auth/revoke", &form, body).await;
        assert_eq!(reply.problem().0, 400, "{body}");
    }
    let reply = world.send("POST", "/v1/auth/refresh", &form, "refresh_token=a").await;
    assert_eq!(reply.problem(), (415, "UNSUPPORTED_MEDIA_TYPE".to_owned()));
    assert_eq!(world.services.calls("revoke_token").len(), 2);
}

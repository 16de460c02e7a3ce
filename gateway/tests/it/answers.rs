//! What answers say, and what services are told.

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_request_goes_through_whole() {
    let world = World::new().await;
    let token = world.account("pets:write pets:read");
    let headers = [
        ("authorization", token.as_str()),
        ("x-request-id", "order-66"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("x-petty-caller", "somebody else"),
        ("idempotency-key", "k"),
    ];
    let body = json!({ "name": "Rex", "species": "DOG" }).to_string();
    let reply = world.send("POST", "/v1/pets", &headers, body.clone()).await;
    assert_eq!(reply.status, 201);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!((reply.header("x-request-id"), reply.header("x-correlation-id")), ("order-66", "order-66"));
    let pet = reply.json();
    assert_eq!(pet["name"], "Rex");
    assert_eq!(pet["species"], "DOG");
    assert_eq!(pet["sex"], "SEX_UNSPECIFIED", "default values are written out");
    assert_eq!(pet["version"], 0);
    assert_eq!(pet["create_time"], "2026-01-31T12:00:00Z");
    assert!(pet.get("breed").is_none(), "absent means unknown");

    let seen = world.services.seen().remove(0);
    assert_eq!(seen.method, "create_pet");
    assert_eq!(seen.metadata("authorization"), Some(token.as_str()));
    assert_eq!(seen.metadata("x-request-id"), Some("order-66"));
    assert!(seen.metadata("traceparent").unwrap().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    assert!(seen.metadata("grpc-timeout").is_some());
    assert_eq!(seen.metadata("x-petty-caller"), None, "no other header becomes metadata");
    assert_eq!(seen.request_id.len(), 64);

    let again = world.send("POST", "/v1/pets", &headers, body.clone()).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    let other = world.account("write");
    let theirs =
        world.send("POST", "/v1/pets", &[("authorization", &other), ("idempotency-key", "k")], body).await;
    assert_eq!(theirs.header("idempotency-replayed"), "", "a key is its caller's own");
}

#[tokio::test]
async fn what_was_taken_and_has_nothing_to_say_yet_is_202_without_content() {
    let world = World::new().await;
    let sign_up = async |email: &str| {
        let body = json!({ "email": email, "password": "a passphrase that is long enough" }).to_string();
        world.send("POST", "/v1/auth/signup", &[], body).await
    };
    let accepted = sign_up("ada@verified.example").await;
    assert_eq!((accepted.status, accepted.json()), (202, json!({})));
    let opened = sign_up("ada@example.org").await;
    assert_eq!(opened.status, 201);
    assert!(opened.json().get("access_token").is_some());
}

#[tokio::test]
async fn a_services_failure_is_told_in_https_terms() {
    let world = World::new().await;
    let token = world.account("read");
    for (pet, status, code) in [
        ("missing", 404, "PET_NOT_FOUND"),
        ("forbidden", 403, "PERMISSION_DENIED"),
        ("bad", 400, "INVALID_ARGUMENT"),
        ("taken", 409, "EMAIL_TAKEN"),
        ("reused", 422, "IDEMPOTENCY_KEY_REUSED"),
        ("busy", 429, "TOO_MANY"),
        ("away", 503, "UNAVAILABLE"),
        ("broken", 500, "INTERNAL"),
        ("foreign", 404, "NOT_FOUND"),
        ("slow", 504, "DEADLINE_EXCEEDED"),
        ("panic", 500, "INTERNAL"),
    ] {
        let reply = world.send("GET", &format!("/v1/pets/{pet}"), &[("authorization", &token)], "").await;
        assert_eq!(reply.problem(), (status, code.to_owned()), "{pet}");
        let text = String::from_utf8_lossy(&reply.bytes).into_owned();
        for secret in ["10.0.0.7", "relation", "SELECT", "secret"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert_eq!(matches!(status, 429 | 503), !reply.header("retry-after").is_empty(), "{pet}");
        if pet == "bad" {
            assert_eq!(reply.json()["errors"], json!([{ "field": "pet_id", "reason": "must be a UUID" }]));
        }
    }
    let reply =
        world.send("POST", "/v1/auth/login", &[], r#"{"email":"a@example.org","password":"no"}"#).await;
    assert_eq!(reply.problem(), (401, "BAD_CREDENTIALS".to_owned()));
    assert!(!reply.header("www-authenticate").is_empty());
}

#[tokio::test]
async fn a_problem_is_whole() {
    let world = World::new().await;
    let token = world.account("write");
    let headers = [("authorization", token.as_str()), ("x-correlation-id", "c-1")];
    let reply =
        world.send("POST", "/v1/ingest:batch", &headers, r#"{"readings":[{},{"heart_rate":"x"}]}"#).await;
    assert_eq!(
        reply.json(),
        json!({
            "type": "about:blank",
            "title": "Bad Request",
            "status": 400,
            "detail": "The request is not valid.",
            "request_id": "c-1",
            "code": "INVALID_ARGUMENT",
            "errors": [{ "field": "readings[1].heart_rate", "reason": "must be a number" }],
            "error": "The request is not valid.",
        })
    );
    assert_eq!(reply.header("cache-control"), "no-store");
}

#[tokio::test]
async fn request_ids_that_could_do_harm_are_replaced() {
    let world = World::new().await;
    for id in ["a b", "\u{e9}", "", &"a".repeat(129), "<script>"] {
        let reply = world.send("GET", "/health", &[("x-request-id", id)], "").await;
        assert_eq!(reply.header("x-request-id").len(), 36, "{id:?}");
    }
}

#[tokio::test]
async fn paths_without_a_version_say_that_they_will_go() {
    let world = World::new().await;
    let token = world.account("read write");
    let auth = ("authorization", token.as_str());
    for (method, bare) in [("POST", "/ingest"), ("GET", "/realtime"), ("GET", "/pet-timeline")] {
        for headers in [&[auth][..], &[auth, ("api-version", "v1")], &[]] {
            let reply = world.send(method, bare, headers, "").await;
            assert!([200, 201, 401].contains(&reply.status));
            assert_eq!(reply.header("deprecation"), "@1793491200");
            assert_eq!(reply.header("sunset"), "Mon, 01 Nov 2027 00:00:00 GMT");
            assert_eq!(reply.header("link"), format!("</v1{bare}>; rel=\"successor-version\""));
        }
        let reply = world.send(method, &format!("/v1{bare}"), &[auth], "").await;
        assert_eq!(reply.header("deprecation"), "");
        let reply = world.send(method, bare, &[auth, ("api-version", "v2")], "").await;
        assert_eq!(reply.json()["errors"][0]["field"], "API-Version");
    }
}

#[tokio::test]
async fn http_2_is_answered_alike() {
    let world = World::new().await;
    let token = world.account("read");
    let reply = world.send_h2("GET", "/v1/pets/p-1", &[("authorization", &token)]).await;
    assert_eq!((reply.status, reply.json()["pet_id"].as_str()), (200, Some("p-1")));
    assert_eq!(world.send_h2("GET", "/v1/pets/p-1", &[]).await.problem().0, 401);
}

#[tokio::test]
async fn probes_say_how_it_stands() {
    let world = World::new().await;
    assert_eq!(world.send("GET", "/health", &[], "").await.json(), json!({ "status": "ok" }));
    assert_eq!(world.send("GET", "/ready", &[], "").await.status, 200);
    assert_eq!(world.send("GET", "/version", &[], "").await.json()["api_versions"], json!(["v1"]));
    let check = world.readiness.check("something");
    let reply = world.send("GET", "/ready", &[], "").await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, "1"));
    check.ok("");
    assert_eq!(world.send("HEAD", "/ready", &[], "").await.status, 200);
    assert_eq!(world.send("POST", "/health", &[], "").await.problem().0, 405);
}

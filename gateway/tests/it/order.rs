//! In which order requests are refused: 404, 405, 401, 403, 400.

use crate::world::World;

#[tokio::test]
async fn each_refusal_comes_before_the_next() {
    let world = World::new().await;
    let none = String::new();
    let garbage = "Bearer not.a.token".to_owned();
    let basic = "Basic dXNlcjpwYXNz".to_owned();
    let expired = world.expired();
    let reader = world.account("read");
    let writer = world.account("write");
    let device = world.collar("readings:write");
    let bad = r#"{"colour":"red"}"#;
    for (method, target, token, body, status, code) in [
        ("POST", "/v1/nothing", &none, bad, 404, "ROUTE_NOT_FOUND"),
        ("POST", "/petty.auth.v1.AccessService/CheckAccess", &writer, bad, 404, "ROUTE_NOT_FOUND"),
        ("PUT", "/v1/pets", &none, bad, 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/v1/pets", &none, bad, 401, "TOKEN_MISSING"),
        ("POST", "/v1/pets", &basic, bad, 401, "TOKEN_MISSING"),
        ("POST", "/v1/pets", &garbage, bad, 401, "TOKEN_INVALID"),
        ("POST", "/v1/pets", &expired, bad, 401, "TOKEN_EXPIRED"),
        ("POST", "/v1/pets", &reader, bad, 403, "SCOPE_MISSING"),
        ("POST", "/v1/pets", &device, bad, 403, "DEVICE_NOT_ALLOWED"),
        ("POST", "/v1/pets", &writer, bad, 400, "INVALID_ARGUMENT"),
        ("POST", "/v1/pets", &writer, "{", 400, "MALFORMED_JSON"),
        ("GET", "/v1/pets/%ff", &none, "", 401, "TOKEN_MISSING"),
        ("GET", "/v1/pets/%ff", &reader, "", 400, "INVALID_ARGUMENT"),
        ("POST", "/v1/ingest", &device, r#"{"heart_rate":"x"}"#, 400, "INVALID_ARGUMENT"),
    ] {
        let headers = [("authorization", token.as_str())];
        let headers = if token.is_empty() { &[][..] } else { &headers[..] };
        let reply = world.send(method, target, headers, body.to_owned()).await;
        assert_eq!(reply.problem(), (status, code.to_owned()), "{method} {target}");
        let challenge = reply.header("www-authenticate");
        assert_eq!(status == 401 || code == "SCOPE_MISSING", challenge.starts_with("Bearer realm=\"petty\""));
        assert_eq!(matches!(code, "TOKEN_INVALID" | "TOKEN_EXPIRED"), challenge.contains("invalid_token"));
    }
    assert!(world.services.seen().is_empty(), "nothing of that may reach a service");
}

#[tokio::test]
async fn two_tokens_are_none() {
    let world = World::new().await;
    let token = world.account("read");
    let headers = [("authorization", token.as_str()), ("authorization", token.as_str())];
    assert_eq!(world.send("GET", "/v1/pets", &headers, "").await.problem().0, 401);
}

#[tokio::test]
async fn public_methods_ignore_a_token_and_pass_none_on() {
    let world = World::new().await;
    let garbage = [("authorization", "Bearer nonsense")];
    let reply =
        world.send("POST", "/v1/auth/signup", &garbage, r#"{"email":"a@example.org","password":"x"}"#).await;
    assert_eq!(reply.status, 201);
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(world.services.seen()[0].metadata("authorization"), None);
    let reply = world.send("GET", "/.well-known/jwks.json", &[], "").await;
    assert_eq!((reply.status, reply.header("cache-control")), (200, "public, max-age=60"));
}

#[tokio::test]
async fn wrong_verbs_are_told_the_right_ones() {
    let world = World::new().await;
    let reply = world.send("DELETE", "/v1/pets", &[], "").await;
    assert_eq!(reply.problem().0, 405);
    assert_eq!(reply.header("allow"), "GET, POST, HEAD, OPTIONS");
    let reply = world.send("OPTIONS", "/v1/pets", &[], "").await;
    assert_eq!(
        (reply.status, reply.header("allow"), reply.bytes.len()),
        (204, "GET, POST, HEAD, OPTIONS", 0)
    );
    let token = world.account("read");
    let reply = world.send("HEAD", "/v1/pets/p-1", &[("authorization", &token)], "").await;
    assert_eq!((reply.status, reply.bytes.len()), (200, 0));
    let length: usize = reply.header("content-length").parse().unwrap();
    assert!(length > 2, "as much as GET has");
    let reply = world.send_h2("HEAD", "/v1/pets/p-1", &[("authorization", &token)]).await;
    assert_eq!((reply.bytes.len(), reply.header("content-length")), (0, length.to_string().as_str()));
}

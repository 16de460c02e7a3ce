//! In which order requests are refused: 404, 405, 401, 403, 400.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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

#[tokio::test]
async fn every_path_says_which_verbs_it_has_without_asking_who_asks() {
    let world = World::new().await;
    for (path, allow) in [
        ("/health", "GET, HEAD, OPTIONS"),
        ("/v1/pets/p-1", "GET, DELETE, PATCH, HEAD, OPTIONS"),
        ("/v1/pets/p-1/stream", "GET, HEAD, OPTIONS"),
        ("/v1/ingest:batch", "POST, OPTIONS"),
        ("/submit-feedback", "POST, OPTIONS"),
        ("/.well-known/jwks.json", "GET, HEAD, OPTIONS"),
        ("/v1/pets/p-1/collars/c-1:rotateSecret", "POST, OPTIONS"),
    ] {
        let reply = world.send("OPTIONS", path, &[], "").await;
        assert_eq!((reply.status, reply.header("allow"), reply.bytes.len()), (204, allow, 0), "{path}");
        let reply = world.send("TRACE", path, &[], "").await;
        assert_eq!((reply.problem().0, reply.header("allow")), (405, allow), "{path}");
        let reply = world.send("PROPFIND", path, &[], "").await;
        assert_eq!((reply.problem().0, reply.header("allow")), (405, allow), "{path}");
    }
    for path in ["/nothing", "/v1", "/v1/pets/", "//", "/v1/pets/p-1/stream/x"] {
        assert_eq!(world.send("OPTIONS", path, &[], "").await.problem().0, 404, "{path}");
    }
    assert!(world.services.seen().is_empty());
}

#[tokio::test]
async fn options_of_a_star_are_those_of_the_whole() {
    let world = World::new().await;
    let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    stream.write_all(b"OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert!(answer.contains("allow: GET, PUT, POST, DELETE, PATCH, HEAD, OPTIONS\r\n"), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_packed_as_we_do_not_unpack_is_415_with_what_we_do() {
    let world = World::new().await;
    let token = world.account("read write");
    for (coding, status) in [
        ("br", 415),
        ("deflate", 415),
        ("gzip, gzip", 415),
        ("gzip, br", 415),
        ("zstd", 415),
        ("compress", 415),
        ("identity", 201),
        ("identity, identity", 201),
        ("gzip", 400),
        ("identity, gzip", 400),
        ("X-GZIP", 400),
    ] {
        let headers = [("authorization", token.as_str()), ("content-encoding", coding)];
        let reply = world.send("POST", "/v1/pets", &headers, r#"{"name":"Rex"}"#).await;
        assert_eq!(reply.status, status, "{coding}: {:?}", reply.bytes);
        assert_eq!(reply.header("accept-encoding"), if status == 415 { "gzip, identity" } else { "" });
    }
    for kind in ["text/plain", "application/xml", "application/json; charset=latin1", "", "json"] {
        let headers = [("authorization", token.as_str()), ("content-type", kind)];
        let reply = world.send("PATCH", "/v1/pets/p-1", &headers, "{}").await;
        assert_eq!((reply.problem().0, reply.header("accept")), (415, "application/json"), "{kind}");
    }
    for kind in ["Application/JSON", "application/json;charset=\"UTF-8\"", "application/merge-patch+json"] {
        let headers = [("authorization", token.as_str()), ("content-type", kind)];
        assert_eq!(world.send("PATCH", "/v1/pets/p-1", &headers, "{}").await.status, 200, "{kind}");
    }
}

//! Answers in fewer bytes.

use std::io::Read as _;

use flate2::read::GzDecoder;

use crate::world::World;

#[tokio::test]
async fn large_answers_are_packed_as_the_client_takes_them() {
    let world = World::new().await;
    let token = world.account("pets:read pets:write");
    let auth = ("authorization", token.as_str());
    let long = format!(r#"{{"name":"{}"}}"#, "Rex ".repeat(1_000));
    let plain = world.send("POST", "/v1/pets", &[auth], long.clone()).await;
    assert_eq!((plain.status, plain.header("content-encoding")), (201, ""));
    assert!(plain.header("vary").contains("accept-encoding"), "{:?}", plain.headers);
    for (accept, coding) in [
        ("gzip", "gzip"),
        ("br", "br"),
        ("zstd", "zstd"),
        ("gzip;q=0, br", "br"),
        ("identity", ""),
        ("nonsense", ""),
    ] {
        let packed = world.send("POST", "/v1/pets", &[auth, ("accept-encoding", accept)], long.clone()).await;
        assert_eq!((packed.status, packed.header("content-encoding")), (201, coding), "{accept}");
        assert_eq!(packed.bytes.len() < plain.bytes.len() / 4, !coding.is_empty(), "{accept}");
        if coding == "gzip" {
            let mut whole = Vec::new();
            GzDecoder::new(packed.bytes.as_ref()).read_to_end(&mut whole).unwrap();
            assert_eq!(whole, plain.bytes);
        }
    }
    // What is small costs less as it is.
    let small =
        world.send("POST", "/v1/pets", &[auth, ("accept-encoding", "gzip")], r#"{"name":"Rex"}"#).await;
    assert_eq!(small.header("content-encoding"), "");
}

#[tokio::test]
async fn what_holds_a_secret_is_never_packed() {
    let world = World::new().await;
    let token = world.account("read write");
    let headers = [("authorization", token.as_str()), ("accept-encoding", "gzip, br, zstd")];
    let body = r#"{"collar_id":"SN-1A4B7C-9Z"}"#;
    let reply = world.send("POST", "/v1/pets/p-1/collars", &headers, body).await;
    assert_eq!((reply.status, reply.header("content-encoding")), (201, ""), "{reply:?}");
    assert!(reply.bytes.len() > 1_024, "long enough to be worth it: {}", reply.bytes.len());
}

#[tokio::test]
async fn a_stream_is_sent_as_it_comes() {
    let world = World::new().await;
    let token = world.account("pets:read");
    let headers = [("authorization", token.as_str()), ("accept-encoding", "gzip")];
    let reader = world.stream("/v1/pets/p-1/stream", &headers).await;
    assert!(!reader.headers.contains_key("content-encoding"));
}

#[tokio::test]
async fn an_answer_says_what_became_of_its_request_where_no_coding_is_acceptable() {
    let world = World::new().await;
    let token = world.account("write");
    let auth = ("authorization", token.as_str());
    let pet = format!(r#"{{"name":"{}"}}"#, "Rex ".repeat(1_000));
    let reading = r#"{"collar_id":"nobodys","timestamp":"2026-11-21T12:00:00Z"}"#;
    let batch = format!(r#"{{"readings":[{}]}}"#, [reading; 50].join(","));
    for (target, status, body) in [("/v1/pets", 201, pet), ("/v1/ingest:batch", 200, batch)] {
        let plain = world.send("POST", target, &[auth], body.clone()).await;
        assert!(plain.status == status && plain.bytes.len() > 1_024, "{plain:?}");
        for accept in ["identity;q=0", "*;q=0", "deflate, *;q=0", "identity;q=0, deflate"] {
            let headers = [auth, ("accept-encoding", accept)];
            let reply = world.send("POST", target, &headers, body.clone()).await;
            assert_eq!((reply.status, reply.header("content-encoding")), (status, ""), "{target} {accept}");
            assert_eq!(reply.bytes, plain.bytes, "{target} {accept}");
            assert_eq!(reply.header("content-type"), "application/json");
            assert_eq!(reply.header("content-length"), plain.header("content-length"));
            assert!(reply.header("vary").contains("accept-encoding"));
        }
    }
}

#[tokio::test]
async fn head_says_of_coding_and_length_what_get_says() {
    let world = World::new().await;
    let token = world.account("pets:read");
    let long = format!("/v1/pets/{}", "a".repeat(2_000));
    for target in ["/openapi.json", "/docs/start.js", &long] {
        for accept in ["", "gzip", "br", "zstd", "identity", "identity;q=0"] {
            let headers = [("authorization", token.as_str()), ("accept-encoding", accept)];
            let (get, head) = tokio::join!(
                world.send("GET", target, &headers, ""),
                world.send("HEAD", target, &headers, "")
            );
            let (get_h2, head_h2) =
                tokio::join!(world.send_h2("GET", target, &headers), world.send_h2("HEAD", target, &headers));
            for (get, head) in [(get, head), (get_h2, head_h2)] {
                assert_eq!((get.status, head.status, head.bytes.len()), (200, 200, 0), "{target} {accept}");
                for name in ["content-encoding", "content-length", "content-type", "etag", "vary"] {
                    assert_eq!(head.header(name), get.header(name), "{target} {accept}: {name}");
                }
            }
        }
    }
    let packed = [("accept-encoding", "gzip")];
    let head = world.send("HEAD", "/openapi.json", &packed, "").await;
    assert_eq!((head.header("vary"), head.header("content-encoding")), ("accept-encoding", "gzip"));
}

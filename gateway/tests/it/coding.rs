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

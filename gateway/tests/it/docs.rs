//! The API's description, as it is served.

use std::io::Read as _;

use flate2::read::GzDecoder;

use crate::world::World;

#[tokio::test]
async fn the_document_that_is_served_is_the_one_that_is_checked_in() {
    let world = World::new().await;
    let reply = world.send("GET", "/openapi.json", &[], "").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
    assert_eq!(reply.header("cache-control"), "public, max-age=300");
    let checked_in = include_str!("../../../docs/openapi.json");
    assert!(reply.bytes == checked_in, "how to renew it says: cargo test -p petty-openapi");
    let tag = reply.header("etag").to_owned();
    let again = world.send("GET", "/openapi.json", &[("if-none-match", &tag)], "").await;
    assert_eq!((again.status, again.bytes.len(), again.header("etag")), (304, 0, tag.as_str()));
    let head = world.send("HEAD", "/openapi.json", &[], "").await;
    assert_eq!((head.status, head.header("content-length")), (200, checked_in.len().to_string().as_str()));
}

#[tokio::test]
async fn the_page_comes_whole_and_may_load_from_here_alone() {
    let world = World::new().await;
    let page = world.send("GET", "/docs", &[], "").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(!policy.contains("http") && !policy.contains('*'), "{policy}");
    let text = String::from_utf8(page.bytes.to_vec()).unwrap();
    for (file, kind, least) in [
        ("docs/swagger-ui-bundle.js", "text/javascript; charset=utf-8", 500_000),
        ("docs/swagger-ui.css", "text/css; charset=utf-8", 50_000),
        ("docs/start.js", "text/javascript; charset=utf-8", 50),
    ] {
        assert!(text.contains(&format!("\"{file}\"")), "{file}");
        let reply = world.send("GET", &format!("/{file}"), &[], "").await;
        assert_eq!((reply.status, reply.header("content-type")), (200, kind), "{file}");
        assert!(reply.bytes.len() > least, "{file}: {}", reply.bytes.len());
        assert!(reply.header("content-security-policy").starts_with("default-src 'none'"), "{file}");
    }
    assert_eq!(world.send("GET", "/docs/other.js", &[], "").await.problem().0, 404);
}

#[tokio::test]
async fn what_describes_the_api_is_only_read() {
    let world = World::new().await;
    for path in ["/openapi.json", "/docs", "/docs/start.js"] {
        let refused = world.send("DELETE", path, &[], "").await;
        assert_eq!(refused.problem().0, 405, "{path}");
        assert_eq!(refused.header("allow"), "GET, HEAD, OPTIONS", "{path}");
        let asked = world.send("OPTIONS", path, &[], "").await;
        assert_eq!((asked.status, asked.header("allow")), (204, "GET, HEAD, OPTIONS"), "{path}");
        let head = world.send("HEAD", path, &[], "").await;
        assert_eq!((head.status, head.bytes.len()), (200, 0), "{path}");
        // A token that is sent all the same makes no difference, not even a bad one.
        assert_eq!(world.send("GET", path, &[("authorization", "Bearer x")], "").await.status, 200);
    }
}

#[tokio::test]
async fn large_files_come_packed_and_over_either_http_whole() {
    let world = World::new().await;
    for path in ["/openapi.json", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"] {
        let plain = world.send("GET", path, &[], "").await;
        assert!(world.send_h2("GET", path, &[]).await.bytes == plain.bytes, "{path}");
        let headers = [("accept-encoding", "gzip")];
        for packed in
            [world.send("GET", path, &headers, "").await, world.send_h2("GET", path, &headers).await]
        {
            assert_eq!((packed.status, packed.header("content-encoding")), (200, "gzip"), "{path}");
            assert_eq!(packed.header("content-length"), packed.bytes.len().to_string());
            assert_eq!(packed.header("etag"), plain.header("etag"), "a weak tag is of what it says");
            let mut whole = Vec::new();
            GzDecoder::new(packed.bytes.as_ref()).read_to_end(&mut whole).unwrap();
            assert!(whole == plain.bytes, "{path}");
        }
    }
}

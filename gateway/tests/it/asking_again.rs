//! What a client is told that asks for what it has already, and a page of another origin.

use crate::world::World;

#[tokio::test]
async fn what_a_client_has_already_is_not_sent_again() {
    let world = World::new().await;
    let token = world.account("read");
    let auth = ("authorization", token.as_str());
    let first = world.send("GET", "/v1/realtime", &[auth], "").await;
    let tag = first.header("etag").to_owned();
    assert_eq!((first.status, first.header("cache-control")), (200, "private, no-cache"));
    assert!(tag.starts_with("W/\"") && !first.bytes.is_empty());
    for has in [tag.clone(), tag.replace("W/", ""), format!("\"other\", {tag}"), "*".to_owned()] {
        for method in ["GET", "HEAD"] {
            let again = world.send(method, "/v1/realtime", &[auth, ("if-none-match", &has)], "").await;
            assert_eq!((again.status, again.bytes.len()), (304, 0), "{method} {has}");
            assert_eq!((again.header("etag"), again.header("content-type")), (tag.as_str(), ""));
            assert_eq!(again.header("cache-control"), "private, no-cache");
        }
    }
    let other = world.send("GET", "/v1/realtime", &[auth, ("if-none-match", "W/\"other\"")], "").await;
    assert_eq!((other.status, &other.bytes), (200, &first.bytes));
    assert_eq!(world.services.seen().len(), 10, "the service is asked each time");
    // A tag lets nobody in.
    let unknown = world.send("GET", "/v1/realtime", &[("if-none-match", &tag)], "").await;
    assert_eq!((unknown.problem().0, unknown.header("etag")), (401, ""));
    let writing = world.account("write");
    let auth = ("authorization", writing.as_str());
    let written = world.send("POST", "/v1/ingest", &[auth, ("if-none-match", "*")], "{}").await;
    assert_eq!((written.status, written.header("etag")), (201, ""), "writes have no tag");
}

#[tokio::test]
async fn without_a_list_no_other_origin_is_let_in() {
    let world = World::new().await;
    let origin = [("origin", "https://app.example"), ("access-control-request-method", "GET")];
    for method in ["GET", "OPTIONS"] {
        let reply = world.send(method, "/v1/realtime", &origin, "").await;
        assert!(reply.headers.keys().all(|name| !name.as_str().starts_with("access-control")), "{reply:?}");
    }
}

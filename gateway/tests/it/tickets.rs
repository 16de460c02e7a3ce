//! Tickets: what stands in a browser's URL in place of a token.

use std::cell::RefCell;
use std::io;

use crate::world::World;

const STREAM: &str = "/v1/pets/p-1/stream";

/// A world in which a ticket was given out to somebody who may read.
async fn world() -> (World, String) {
    let world = World::new().await;
    let token = world.account("pets:read");
    world.services.ticket("t-1", token.strip_prefix("Bearer ").unwrap());
    (world, token)
}

#[tokio::test]
async fn a_ticket_opens_one_stream() {
    let (world, token) = world().await;
    let target = format!("{STREAM}?last_event_id=7&ticket=t-1");
    let mut reader = world.stream(&target, &[("x-request-id", "r-1")]).await;
    assert_eq!(reader.block().await.unwrap(), "retry: 1000");
    let redeemed = world.services.calls("redeem_stream_ticket").remove(0);
    assert_eq!(redeemed.metadata("authorization"), None);
    let opened = world.services.calls("stream_timeline").remove(0);
    assert_eq!(opened.metadata("authorization"), Some(token.as_str()));
    assert_eq!(opened.message, "7", "the rest of the query is the request's");
    assert!(!format!("{:?}", opened.metadata).contains("t-1"));

    let reply = world.send("GET", &target, &[], "").await;
    assert_eq!(reply.problem(), (401, "TICKET_INVALID".to_owned()));
    assert!(!reply.header("www-authenticate").is_empty());
    assert!(!String::from_utf8_lossy(&reply.bytes).contains("t-1"));
}

#[tokio::test]
async fn a_tickets_token_is_held_to_the_methods_policy_like_any_other() {
    let (world, _) = world().await;
    let expired = world.expired();
    world.services.ticket("old", expired.strip_prefix("Bearer ").unwrap());
    let reply = world.send("GET", &format!("{STREAM}?ticket=old"), &[], "").await;
    assert_eq!(reply.problem(), (401, "TOKEN_EXPIRED".to_owned()));
    let writer = world.account("readings:write");
    world.services.ticket("writer", writer.strip_prefix("Bearer ").unwrap());
    let reply = world.send("GET", &format!("{STREAM}?ticket=writer"), &[], "").await;
    assert_eq!(reply.problem(), (403, "SCOPE_MISSING".to_owned()));
    assert!(world.services.calls("stream_timeline").is_empty());
}

#[tokio::test]
async fn with_a_header_the_ticket_is_neither_needed_nor_used_up() {
    let (world, token) = world().await;
    let target = format!("{STREAM}?ticket=t-1");
    for (header, code) in [("Basic dXNlcjpwYXNz", "TOKEN_MISSING"), ("Bearer not.a.token", "TOKEN_INVALID")] {
        let reply = world.send("GET", &target, &[("authorization", header)], "").await;
        assert_eq!(reply.problem(), (401, code.to_owned()));
    }
    drop(world.stream(&target, &[("authorization", &token)]).await);
    assert!(world.services.calls("redeem_stream_ticket").is_empty());
    drop(world.stream(&target, &[]).await);
}

#[tokio::test]
async fn a_ticket_counts_where_a_stream_is_opened_and_nowhere_else() {
    let (world, token) = world().await;
    for (method, target, status, code) in [
        ("GET", "/v1/pets?ticket=t-1".to_owned(), 401, "TOKEN_MISSING"),
        ("POST", "/v1/pets?ticket=t-1".to_owned(), 401, "TOKEN_MISSING"),
        ("HEAD", format!("{STREAM}?ticket=t-1"), 401, ""),
        ("POST", format!("{STREAM}?ticket=t-1"), 405, "METHOD_NOT_ALLOWED"),
        ("GET", format!("{STREAM}?ticket=t-1&ticket=t-1"), 401, "TOKEN_MISSING"),
        ("GET", format!("{STREAM}?ticket="), 401, "TOKEN_MISSING"),
        ("GET", format!("{STREAM}?Ticket=t-1"), 401, "TOKEN_MISSING"),
        ("GET", format!("{STREAM}?ticket=another"), 401, "TICKET_INVALID"),
    ] {
        let reply = world.send(method, &target, &[], "").await;
        assert_eq!(reply.status, status, "{method} {target}");
        if !code.is_empty() {
            assert_eq!(reply.problem().1, code, "{method} {target}");
        }
    }
    // Elsewhere it is a parameter like any other that is not there.
    let reply = world.send("GET", "/v1/pets?ticket=t-1", &[("authorization", &token)], "").await;
    assert_eq!(reply.problem(), (400, "INVALID_ARGUMENT".to_owned()));
    assert!(!String::from_utf8_lossy(&reply.bytes).contains("t-1"));
    // It is still good.
    drop(world.stream(&format!("{STREAM}?t%69cket=t%2D1"), &[]).await);
}

#[tokio::test]
async fn accounts_ask_for_tickets() {
    let (world, token) = world().await;
    let reply = world.send("POST", "/v1/stream/ticket", &[("authorization", &token)], "").await;
    assert_eq!((reply.status, reply.header("cache-control")), (201, "no-store"));
    assert_eq!(world.send("POST", "/v1/stream/ticket", &[], "").await.problem().0, 401);
    let collar = world.collar("pets:read");
    let reply = world.send("POST", "/v1/stream/ticket", &[("authorization", &collar)], "").await;
    assert_eq!(reply.problem(), (403, "DEVICE_NOT_ALLOWED".to_owned()));
}

thread_local! {
    /// What was logged on this thread, which is this test's own, since it listens.
    static LOG: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.as_mut().map(|log| log.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_log_line_holds_a_ticket_or_a_token() {
    // For all threads: what one thread alone listens to, others may have switched off.
    tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(|| Log).init();
    LOG.set(Some(Vec::new()));
    let (world, token) = world().await;
    drop(world.stream(&format!("{STREAM}?ticket=t-1"), &[]).await);
    for target in [&format!("{STREAM}?ticket=t-1"), "/v1/pets?ticket=t-1", "/v1/nothing?ticket=t-1"] {
        assert_ne!(world.send("GET", target, &[], "").await.status, 200, "{target}");
        assert_ne!(world.send_h2("GET", target, &[]).await.status, 200, "{target}");
    }
    world.services.streams.are_open(0).await;
    let log = String::from_utf8(LOG.take().unwrap()).unwrap();
    assert!(log.contains("answered") && log.contains("a stream ended"), "it logs: {log}");
    assert!(!log.contains("t-1") && !log.contains(token.trim_start_matches("Bearer ")), "{log}");
}

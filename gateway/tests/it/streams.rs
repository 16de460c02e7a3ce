//! Server-sent events.

use std::time::Duration;

use petty_chassis::{ApiError, Code};
use petty_gateway::Limits;
use petty_proto::timeline::v1::timeline_update::Type;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::stand_in::update;
use crate::world::{World, eventually};

const STREAM: &str = "/v1/pets/p-1/stream";

#[tokio::test]
async fn updates_arrive_in_order_as_events() {
    let world = World::new().await;
    let token = world.account("read");
    for (at, version) in ["1.1", "2"].into_iter().enumerate() {
        let headers = [("authorization", token.as_str()), ("x-request-id", "r-1")];
        let mut reader = if version == "2" {
            world.stream_h2(STREAM, &headers).await
        } else {
            world.stream(STREAM, &headers).await
        };
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store"),
            ("x-accel-buffering", "no"),
            ("x-request-id", "r-1"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(reader.headers.get(name).unwrap(), value, "HTTP/{version}");
        }
        assert!(!reader.headers.contains_key("content-length"));
        assert_eq!(reader.block().await.unwrap(), "retry: 1000");
        world.services.streams.send(at, Ok(update(41, Type::Ready)));
        assert_eq!(
            reader.block().await.unwrap(),
            "id: 41\nevent: ready\ndata: {\"id\":\"41\",\"type\":\"READY\"}"
        );
        for id in 42..142 {
            world
                .services
                .streams
                .send(at, Ok(update(id, if id % 2 == 0 { Type::Entry } else { Type::Removed })));
        }
        for id in 42..142 {
            let (seen, event, data) = reader.event().await;
            assert_eq!(seen, id.to_string());
            assert_eq!(event, if id % 2 == 0 { "entry" } else { "removed" });
            assert_eq!(data["id"], seen);
        }
    }
    let opened = world.services.calls("stream_timeline").remove(0);
    assert_eq!(
        (opened.metadata("authorization"), opened.metadata("x-request-id")),
        (Some(token.as_str()), Some("r-1"))
    );
    // An end without an error is an end.
    world.services.streams.end();
}

#[tokio::test]
async fn a_client_that_comes_back_says_what_it_saw_last() {
    let world = World::new().await;
    let token = world.account("read");
    let auth = ("authorization", token.as_str());
    for (target, header, seen) in [
        (STREAM.to_owned(), None, ""),
        (STREAM.to_owned(), Some("17"), "17"),
        (format!("{STREAM}?last_event_id=3"), None, "3"),
        (format!("{STREAM}?lastEventId=3"), Some("17"), "17"),
        (format!("{STREAM}?last_event_id=3"), Some(""), "3"),
    ] {
        let headers = [Some(auth), header.map(|value| ("last-event-id", value))];
        let headers: Vec<_> = headers.into_iter().flatten().collect();
        drop(world.stream(&target, &headers).await);
        assert_eq!(
            world.services.calls("stream_timeline").pop().unwrap().message,
            seen,
            "{target} {header:?}"
        );
    }
    for headers in [
        &[auth, ("last-event-id", "x7")][..],
        &[auth, ("last-event-id", "\u{e9}")],
        &[auth, ("last-event-id", "1"), ("last-event-id", "2")],
    ] {
        let reply = world.send("GET", STREAM, headers, "").await;
        assert_eq!(reply.problem(), (400, "INVALID_ARGUMENT".to_owned()));
        assert_eq!(reply.json()["errors"][0]["field"], "last_event_id", "{headers:?}");
    }
}

#[tokio::test]
async fn what_is_refused_at_once_has_its_own_status() {
    let world = World::new().await;
    let token = world.account("read");
    let auth = ("authorization", token.as_str());
    for target in ["/v1/pets/missing/stream", "/v1/pets/late/stream"] {
        let reply = world.send("GET", target, &[auth], "").await;
        assert_eq!(reply.problem(), (404, "PET_NOT_FOUND".to_owned()), "{target}");
    }
    assert_eq!(world.send("GET", STREAM, &[], "").await.problem(), (401, "TOKEN_MISSING".to_owned()));
    let writer = world.account("readings:write");
    let reply = world.send("GET", STREAM, &[("authorization", &writer)], "").await;
    assert_eq!(reply.problem(), (403, "SCOPE_MISSING".to_owned()));
    let reply = world.send("GET", &format!("{STREAM}?colour=red"), &[auth], "").await;
    assert_eq!(reply.problem(), (400, "INVALID_ARGUMENT".to_owned()));
    let reply = world.send("POST", STREAM, &[auth], "").await;
    assert_eq!((reply.problem().0, reply.header("allow")), (405, "GET, HEAD, OPTIONS"));
}

#[tokio::test]
async fn who_takes_no_events_gets_none() {
    let world = World::new().await;
    let token = world.account("read");
    let auth = ("authorization", token.as_str());
    for (accept, taken) in [
        ("text/event-stream", true),
        ("Text/Event-Stream; q=0.1", true),
        ("*/*", true),
        ("application/json, text/*;q=0.5", true),
        ("application/json, text/plain, */*", true),
        ("application/json", false),
        ("text/event-stream;q=0, text/*", false),
        ("*/*;q=0", false),
        ("text/*;q=0, text/event-stream", true),
    ] {
        let headers = [auth, ("accept", accept)];
        if taken {
            drop(world.stream(STREAM, &headers).await);
        } else {
            let reply = world.send("GET", STREAM, &headers, "").await;
            assert_eq!(reply.problem(), (406, "NOT_ACCEPTABLE".to_owned()), "{accept}");
        }
    }
}

#[tokio::test]
async fn what_goes_wrong_later_is_the_last_event() {
    let world = World::new().await;
    let token = world.account("read");
    let auth = [("authorization", token.as_str()), ("x-request-id", "r-9")];
    let expired = ApiError::unauthenticated("TOKEN_EXPIRED", "the token has expired");
    for (at, error, status, code) in [(0, Some(expired), 401, "TOKEN_EXPIRED"), (1, None, 503, "UNAVAILABLE")]
    {
        let mut reader = world.stream(STREAM, &auth).await;
        reader.block().await.unwrap();
        world.services.streams.send(at, Ok(update(1, Type::Ready)));
        assert_eq!(reader.event().await.1, "ready");
        match error {
            Some(error) => world.services.streams.send(at, Err(error)),
            None => world.services.streams.break_off(at),
        }
        let (id, event, problem) = reader.event().await;
        assert_eq!((id.as_str(), event.as_str()), ("", "error"));
        assert_eq!(
            (&problem["status"], &problem["code"], &problem["request_id"], &problem["type"]),
            (&json!(status), &json!(code), &json!("r-9"), &json!("about:blank"))
        );
        assert!(!problem.to_string().contains("10.0.0.7"));
        assert_eq!(reader.block().await, None, "it is the last");
    }
}

#[tokio::test]
async fn a_service_that_goes_away_ends_its_streams_without_an_error() {
    let world = World::new().await;
    let token = world.account("read");
    let mut reader = world.stream(STREAM, &[("authorization", &token)]).await;
    reader.block().await.unwrap();
    world.services.streams.send(0, Ok(update(1, Type::Ready)));
    reader.event().await;
    world.services.streams.send(0, Err(ApiError::new(Code::Unavailable, "DRAINING", "it goes")));
    assert!(reader.block().await.unwrap().starts_with(": "));
    assert_eq!(reader.block().await, None);
}

#[tokio::test]
async fn a_silent_stream_says_that_it_is_there() {
    let limits = Limits { heartbeat: Duration::from_millis(100), ..Limits::default() };
    let world = World::with_limits(limits).await;
    let token = world.account("read");
    let mut reader = world.stream(STREAM, &[("authorization", &token)]).await;
    reader.block().await.unwrap();
    let began = tokio::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(reader.block().await.unwrap(), ":");
    }
    assert!(began.elapsed() >= Duration::from_millis(290));
    world.services.streams.send(0, Ok(update(1, Type::Ready)));
    assert_eq!(reader.event().await.0, "1");
}

#[tokio::test]
async fn a_client_that_goes_takes_its_upstream_call_with_it() {
    let world = World::new().await;
    let token = world.account("read");
    let auth = [("authorization", token.as_str())];
    for _ in 0..2 {
        let (one, two) = (world.stream(STREAM, &auth).await, world.stream_h2(STREAM, &auth).await);
        assert_eq!(world.services.streams.open(), 2);
        drop(one);
        world.services.streams.are_open(1).await;
        drop(two);
        world.services.streams.are_open(0).await;
    }
    eventually(|| world.tasks.running("http-events") == 0).await;
    // HEAD opens, to answer what GET would, and lets go.
    for _ in 0..2 {
        let reply = world.send("HEAD", STREAM, &auth, "").await;
        assert_eq!((reply.status, reply.header("content-type")), (200, "text/event-stream"));
        assert_eq!(reply.header("content-length"), "");
        let reply = world.send_h2("HEAD", STREAM, &auth).await;
        assert_eq!((reply.status, reply.bytes.len()), (200, 0));
    }
    world.services.streams.are_open(0).await;
}

#[tokio::test]
async fn streams_hold_no_place_of_the_requests_and_are_bounded_themselves() {
    let world = World::with_limits(Limits { concurrency: 1, streams: 2, ..Limits::default() }).await;
    let token = world.account("read");
    let auth = [("authorization", token.as_str())];
    let first = world.stream(STREAM, &auth).await;
    let _second = world.stream(STREAM, &auth).await;
    assert_eq!(world.send("GET", "/v1/realtime", &auth, "").await.status, 200);
    world.services.ticket("t-1", token.strip_prefix("Bearer ").unwrap());
    let reply = world.send("GET", &format!("{STREAM}?ticket=t-1"), &[], "").await;
    assert_eq!(reply.problem(), (503, "OVERLOADED".to_owned()));
    assert_eq!(reply.header("retry-after"), "1");
    let open = || petty_chassis::telemetry::prometheus_text().contains("petty_http_streams_open");
    assert!(open());
    drop(first);
    world.services.streams.are_open(1).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while world.send("HEAD", STREAM, &auth, "").await.status != 200 {
        assert!(tokio::time::Instant::now() < deadline, "no place is left");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The ticket was not used up in vain.
    drop(world.stream(&format!("{STREAM}?ticket=t-1"), &[]).await);
}

#[tokio::test]
async fn a_drain_ends_streams_and_then_the_gateway() {
    let world = World::new().await;
    let token = world.account("read");
    let auth = [("authorization", token.as_str())];
    let mut readers = [world.stream(STREAM, &auth).await, world.stream_h2(STREAM, &auth).await];
    for (at, reader) in readers.iter_mut().enumerate() {
        assert_eq!(reader.block().await.unwrap(), "retry: 1000");
        world.services.streams.send(at, Ok(update(5, Type::Ready)));
        reader.event().await;
    }
    world.shutdown.begin();
    for reader in &mut readers {
        assert!(reader.block().await.unwrap().starts_with(": "));
        assert_eq!(reader.block().await, None);
    }
    world.services.streams.are_open(0).await;
    eventually(|| world.tasks.running("gateway") == 0).await;
}

async fn raw(world: &World, token: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
    let mut stream = socket.connect(world.address).await.unwrap();
    let head = format!("GET /v1/pets/flood/stream HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_slow_reader_slows_its_upstream_and_loses_nothing() {
    let world = World::new().await;
    let token = world.account("read");
    let mut stream = raw(&world, &token).await;
    // Until it stands still.
    let mut last = 0;
    let mut since = tokio::time::Instant::now();
    eventually(|| {
        let taken = world.services.streams.taken();
        if taken == 0 || taken != last {
            (last, since) = (taken, tokio::time::Instant::now());
        }
        since.elapsed() > Duration::from_millis(250)
    })
    .await;
    let (stood_at, mut buffer, mut whole) = (world.services.streams.taken(), vec![0; 64 << 10], Vec::new());
    // What the kernel holds, and a few updates more: not what a flood would make.
    assert!(stood_at < 2_000, "{stood_at}");
    while world.services.streams.taken() < stood_at + 50 {
        let read = stream.read(&mut buffer).await.unwrap();
        whole.extend_from_slice(&buffer[..read]);
    }
    let text = String::from_utf8_lossy(&whole);
    let ids: Vec<usize> = text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect();
    assert!(ids.len() > 10);
    assert!(ids.iter().enumerate().all(|(at, id)| at == *id), "{:?}", &ids[..10]);
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut() {
    let limits = Limits { write_timeout: Duration::from_millis(300), ..Limits::default() };
    let world = World::with_limits(limits).await;
    let token = world.account("read");
    let auth = [("authorization", token.as_str())];
    // Over HTTP/2 it is one stream of a connection that is well.
    let (stream, reader) = (raw(&world, &token).await, world.stream_h2("/v1/pets/flood/stream", &auth).await);
    eventually(|| world.services.calls("stream_timeline").len() == 2).await;
    eventually(|| world.services.streams.floods() == 0).await;
    eventually(|| world.tasks.running("http-events") == 0).await;
    eventually(|| world.tasks.running("http-connection") == 1).await;
    drop((stream, reader));
}

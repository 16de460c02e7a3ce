//! Streams as lines of JSON.

use std::time::Duration;

use petty_chassis::{ApiError, Code};
use petty_gateway::Limits;
use petty_proto::timeline::v1::timeline_update::Type;
use serde_json::{Value, json};

use crate::stand_in::update;
use crate::world::World;

const STREAM: &str = "/v1/pets/p-1/stream";
const LINES: (&str, &str) = ("accept", "application/x-ndjson");

fn read(line: Option<String>) -> Value {
    serde_json::from_str(&line.expect("a line")).unwrap()
}

#[tokio::test]
async fn who_asks_for_lines_gets_one_message_a_line_and_can_come_back() {
    let world = World::new().await;
    let token = world.account("read");
    for (at, accept) in
        ["application/x-ndjson", "application/jsonl", "text/event-stream;q=0.5, application/ndjson"]
            .into_iter()
            .enumerate()
    {
        let headers = [("authorization", token.as_str()), ("accept", accept), ("last-event-id", "40")];
        let mut reader = match at {
            1 => world.stream_h2(STREAM, &headers).await,
            _ => world.stream(STREAM, &headers).await,
        };
        let form = accept.rsplit(", ").next().unwrap();
        for (name, value) in
            [("content-type", form), ("cache-control", "no-store"), ("x-accel-buffering", "no")]
        {
            assert_eq!(reader.headers.get(name).unwrap(), value, "{accept}");
        }
        assert!(reader.headers.get_all("vary").iter().any(|value| value == "accept"));
        for id in 41..61 {
            world.services.streams.send(at, Ok(update(id, Type::Entry)));
        }
        for id in 41..61 {
            assert_eq!(read(reader.line().await), json!({ "id": id.to_string(), "type": "ENTRY" }));
        }
        assert_eq!(world.services.calls("stream_timeline").pop().unwrap().message, "40");
    }
    // An end without an error is an end.
    world.services.streams.end();
}

#[tokio::test]
async fn what_goes_wrong_later_is_the_last_line_and_going_away_is_no_error() {
    let world = World::new().await;
    let token = world.account("read");
    let headers = [("authorization", token.as_str()), ("x-request-id", "r-9"), LINES];
    let mut reader = world.stream(STREAM, &headers).await;
    world.services.streams.send(0, Ok(update(1, Type::Ready)));
    assert_eq!(read(reader.line().await)["type"], "READY");
    world.services.streams.send(0, Err(ApiError::unauthenticated("TOKEN_EXPIRED", "the token has expired")));
    let problem = &read(reader.line().await)["error"];
    assert_eq!(
        (&problem["status"], &problem["code"], &problem["request_id"]),
        (&json!(401), &json!("TOKEN_EXPIRED"), &json!("r-9"))
    );
    assert_eq!(reader.line().await, None, "it is the last");

    let mut reader = world.stream(STREAM, &headers).await;
    world.services.streams.send(1, Ok(update(1, Type::Ready)));
    reader.line().await;
    world.services.streams.send(1, Err(ApiError::new(Code::Unavailable, "DRAINING", "it goes")));
    assert_eq!(reader.line().await, None);

    let mut reader = world.stream(STREAM, &headers).await;
    world.shutdown.begin();
    assert_eq!(reader.line().await, None);
}

#[tokio::test]
async fn a_silent_stream_of_lines_says_with_blank_ones_that_it_is_there() {
    let limits = Limits { heartbeat: Duration::from_millis(50), ..Limits::default() };
    let world = World::with_limits(limits).await;
    let token = world.account("read");
    let mut reader = world.stream(STREAM, &[("authorization", &token), LINES]).await;
    for _ in 0..3 {
        assert_eq!(reader.line().await.unwrap(), "");
    }
    world.services.streams.send(0, Ok(update(1, Type::Ready)));
    loop {
        let line = reader.line().await.unwrap();
        if !line.is_empty() {
            assert_eq!(read(Some(line))["id"], "1");
            break;
        }
    }
}

#[tokio::test]
async fn what_cannot_be_had_is_told_with_what_can() {
    let world = World::new().await;
    let token = world.account("read");
    let auth = ("authorization", token.as_str());
    let reply = world.send("GET", STREAM, &[auth, ("accept", "application/json, text/html")], "").await;
    assert_eq!(reply.problem(), (406, "NOT_ACCEPTABLE".to_owned()));
    let detail = reply.json()["detail"].clone();
    for form in ["text/event-stream", "application/x-ndjson"] {
        assert!(detail.as_str().unwrap().contains(form), "{detail}");
    }
    assert!(reply.headers.get_all("vary").iter().any(|value| value == "accept"));
    assert_eq!(world.services.calls("stream_timeline").len(), 0);
    // Refused before it begins: a problem as ever.
    let reply = world.send("GET", "/v1/pets/missing/stream", &[auth, LINES], "").await;
    assert_eq!(reply.problem(), (404, "PET_NOT_FOUND".to_owned()));
    let reply = world.send("HEAD", STREAM, &[auth, LINES], "").await;
    assert_eq!((reply.status, reply.header("content-type"), reply.bytes.len()), (200, LINES.1, 0));
    world.services.streams.are_open(0).await;
}

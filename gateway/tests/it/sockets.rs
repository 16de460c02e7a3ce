//! Many pets' updates over one WebSocket.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use petty_chassis::ApiError;
use petty_gateway::Limits;
use petty_proto::timeline::v1::timeline_update::Type;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::stand_in::{StandIn, update};
use crate::world::{World, eventually};

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// Opens a socket.
pub(crate) async fn open(world: &World, target: &str, token: Option<&str>) -> Result<Socket, Error> {
    open_on(world, target, token, TcpStream::connect(world.address).await.unwrap()).await
}

async fn open_on(
    world: &World,
    target: &str,
    token: Option<&str>,
    stream: TcpStream,
) -> Result<Socket, Error> {
    let mut request = format!("ws://{}{target}", world.address).into_client_request().unwrap();
    if let Some(token) = token {
        request.headers_mut().insert("authorization", token.parse().unwrap());
    }
    let opened = tokio_tungstenite::client_async(request, stream).await;
    opened.map(|(socket, answer)| {
        assert!(answer.headers().contains_key("x-request-id"));
        socket
    })
}

/// The status with which a socket was refused.
pub(crate) fn refused(opened: Result<Socket, Error>) -> u16 {
    match opened {
        Err(Error::Http(answer)) => answer.status().as_u16(),
        other => panic!("it is not refused: {other:?}"),
    }
}

pub(crate) async fn say(socket: &mut Socket, message: Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

pub(crate) async fn subscribe(socket: &mut Socket, pet: &str) {
    say(socket, json!({"type": "SUBSCRIBE", "pet_id": pet})).await;
}

/// What comes next, other than presence.
pub(crate) async fn next(socket: &mut Socket) -> Value {
    loop {
        let told = any(socket).await;
        if told["type"] != "PRESENCE" {
            return told;
        }
    }
}

/// What comes next.
async fn any(socket: &mut Socket) -> Value {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(10), socket.next());
        match message.await.expect("something in time").expect("it is open").unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("no text: {other:?}"),
        }
    }
}

/// The code with which it is closed.
pub(crate) async fn closed(socket: &mut Socket) -> u16 {
    // Of all of it: heartbeats go on for ever.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let message = tokio::time::timeout_at(deadline, socket.next());
        match message.await.expect("closed in time") {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
            Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_))) => {}
            other => panic!("no close: {other:?}"),
        }
    }
}

#[tokio::test]
async fn many_pets_come_over_one_socket_each_in_its_order() {
    let world = World::new().await;
    let token = world.account("pets:read");
    let mut socket = open(&world, "/v1/stream", Some(&token)).await.unwrap();
    for (at, pet) in ["p-1", "p-2"].into_iter().enumerate() {
        subscribe(&mut socket, pet).await;
        assert_eq!(next(&mut socket).await, json!({"type": "SUBSCRIBED", "pet_id": pet}));
        world.services.streams.are_open(at + 1).await;
    }
    for id in 1..=20 {
        world.services.streams.send(0, Ok(update(id, Type::Entry)));
        world.services.streams.send(1, Ok(update(id + 100, Type::Entry)));
    }
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        let told = next(&mut socket).await;
        assert_eq!((&told["type"], &told["update"]["type"]), (&"UPDATE".into(), &"ENTRY".into()));
        let id = told["update"]["id"].as_str().unwrap().parse::<u64>().unwrap();
        if told["pet_id"] == "p-1" { one.push(id) } else { two.push(id) }
    }
    assert_eq!(one, (1..=20).collect::<Vec<_>>());
    assert_eq!(two, (101..=120).collect::<Vec<_>>());

    // Each by itself: one is given up, and its call with it; the other goes on.
    say(&mut socket, json!({"type": "UNSUBSCRIBE", "pet_id": "p-1"})).await;
    assert_eq!(next(&mut socket).await, json!({"type": "UNSUBSCRIBED", "pet_id": "p-1"}));
    world.services.streams.are_open(1).await;
    world.services.streams.send(1, Ok(update(121, Type::Removed)));
    assert_eq!(next(&mut socket).await["update"]["id"], "121");

    // Taken up again after the last that was seen.
    say(&mut socket, json!({"type": "SUBSCRIBE", "pet_id": "p-1", "last_event_id": "20"})).await;
    assert_eq!(next(&mut socket).await["type"], "SUBSCRIBED");
    let opened = world.services.calls("stream_timeline").pop().unwrap();
    assert_eq!((opened.message.as_str(), opened.metadata("authorization")), ("20", Some(token.as_str())));

    // And subscribed anew, the one before it ends.
    subscribe(&mut socket, "p-1").await;
    assert_eq!(next(&mut socket).await["type"], "SUBSCRIBED");
    world.services.streams.are_open(2).await;

    drop(socket);
    world.services.streams.are_open(0).await;
    eventually(|| world.tasks.running("http-socket") == 0 && world.tasks.running("http-subscription") == 0)
        .await;
}

#[tokio::test]
async fn what_a_service_refuses_is_told_of_that_pet_alone() {
    let world = World::new().await;
    let token = world.account("pets:read");
    let mut socket = open(&world, "/v1/stream", Some(&token)).await.unwrap();
    subscribe(&mut socket, "p-1").await;
    assert_eq!(next(&mut socket).await["type"], "SUBSCRIBED");
    for pet in ["missing", "late"] {
        subscribe(&mut socket, pet).await;
        let told = next(&mut socket).await;
        assert_eq!((&told["type"], &told["pet_id"]), (&"UNSUBSCRIBED".into(), &pet.into()));
        assert_eq!(
            (&told["problem"]["status"], &told["problem"]["code"]),
            (&404.into(), &"PET_NOT_FOUND".into())
        );
    }
    say(&mut socket, json!({"type": "SUBSCRIBE", "pet_id": "p-2", "last_event_id": "x"})).await;
    let told = next(&mut socket).await;
    assert_eq!(told["problem"]["errors"][0]["field"], "last_event_id");
    // A stream that ends later.
    world.services.streams.break_off(0);
    let told = next(&mut socket).await;
    assert_eq!((&told["type"], &told["problem"]["status"]), (&"UNSUBSCRIBED".into(), &503.into()));
    assert!(!told.to_string().contains("10.0.0.7"));
    // What is not understood changes nothing, a few times.
    for text in ["{", r#"{"type":"SUBSCRIBE"}"#, r#"{"type":"SING","pet_id":"p-1"}"#] {
        socket.send(Message::text(text)).await.unwrap();
        let told = next(&mut socket).await;
        assert_eq!((&told["type"], &told["problem"]["status"]), (&"ERROR".into(), &400.into()), "{text}");
    }
    subscribe(&mut socket, "p-1").await;
    assert_eq!(next(&mut socket).await["type"], "SUBSCRIBED");
    for _ in 0..30 {
        // It may be closed meanwhile.
        drop(socket.send(Message::text("{")).await);
    }
    assert_eq!(closed(&mut socket).await, 1008);
}

/// A pet that is subscribed to again needs no second stream, and one that is given up makes room for another.
#[tokio::test]
async fn who_has_as_many_streams_as_may_be_can_take_one_for_another() {
    let world = World::new().await;
    let token = world.account("pets:read");
    let mut socket = open(&world, "/v1/stream", Some(&token)).await.unwrap();
    for _ in 0..20 {
        subscribe(&mut socket, "alone").await;
        assert_eq!(next(&mut socket).await, json!({"type": "SUBSCRIBED", "pet_id": "alone"}));
    }
    world.services.streams.are_open(1).await;
    for _ in 0..5 {
        subscribe(&mut socket, "p-1").await;
        assert_eq!(next(&mut socket).await["type"], "SUBSCRIBED");
        subscribe(&mut socket, "alone").await;
        let told = next(&mut socket).await;
        assert_eq!(
            (&told["type"], &told["problem"]["code"]),
            (&"UNSUBSCRIBED".into(), &"TOO_MANY_STREAMS".into())
        );
        say(&mut socket, json!({"type": "UNSUBSCRIBE", "pet_id": "p-1"})).await;
        subscribe(&mut socket, "alone").await;
        assert_eq!(next(&mut socket).await, json!({"type": "UNSUBSCRIBED", "pet_id": "p-1"}));
        assert_eq!(next(&mut socket).await, json!({"type": "SUBSCRIBED", "pet_id": "alone"}));
    }
    // Also where the service hears of it a moment later.
    let mut other = open(&world, "/v1/stream", Some(&token)).await.unwrap();
    subscribe(&mut other, "p-1").await;
    assert_eq!(next(&mut other).await["type"], "SUBSCRIBED");
    say(&mut socket, json!({"type": "UNSUBSCRIBE", "pet_id": "alone"})).await;
    assert_eq!(next(&mut socket).await["type"], "UNSUBSCRIBED");
    world.services.streams.are_open(1).await;
    let calls = world.services.calls("stream_timeline").len();
    subscribe(&mut socket, "alone").await;
    eventually(|| world.services.calls("stream_timeline").len() > calls).await;
    drop(other);
    assert_eq!(next(&mut socket).await, json!({"type": "SUBSCRIBED", "pet_id": "alone"}));
}

#[tokio::test]
async fn whose_token_ends_is_closed_and_told_so() {
    let world = World::new().await;
    let token = world.account("pets:read");
    let mut socket = open(&world, "/v1/stream", Some(&token)).await.unwrap();
    subscribe(&mut socket, "p-1").await;
    assert_eq!(next(&mut socket).await["type"], "SUBSCRIBED");
    world.services.streams.send(0, Err(ApiError::unauthenticated("SESSION_ENDED", "ended")));
    assert_eq!(closed(&mut socket).await, 4401);

    for (target, token, status) in [
        ("/v1/stream", None, 401),
        ("/v1/stream", Some(world.expired()), 401),
        ("/v1/stream?ticket=none", None, 401),
        ("/v1/stream", Some(world.account("pets:write")), 403),
        ("/v1/stream", Some(world.collar("pets:read")), 403),
    ] {
        assert_eq!(refused(open(&world, target, token.as_deref()).await), status, "{target} {token:?}");
    }
    // A browser has a ticket.
    let token = world.account("pets:read");
    world.services.ticket("t-1", token.strip_prefix("Bearer ").unwrap());
    let mut socket = open(&world, "/v1/stream?ticket=t-1", None).await.unwrap();
    subscribe(&mut socket, "p-1").await;
    assert_eq!(next(&mut socket).await["type"], "SUBSCRIBED");
    assert_eq!(refused(open(&world, "/v1/stream?ticket=t-1", None).await), 401, "once");
}

#[tokio::test]
async fn what_is_no_handshake_is_told_what_one_is() {
    let world = World::new().await;
    let token = world.account("pets:read");
    let auth = ("authorization", token.as_str());
    let reply = world.send("GET", "/v1/stream", &[auth], "").await;
    assert_eq!(reply.problem(), (426, "UPGRADE_REQUIRED".to_owned()));
    assert_eq!((reply.header("upgrade"), reply.header("sec-websocket-version")), ("websocket", "13"));
    // Nobody unknown learns what it is, nor does who may not have one.
    assert_eq!(world.send("GET", "/v1/stream", &[], "").await.problem().0, 401);
    let writer = world.account("pets:write");
    let reply = world.send("GET", "/v1/stream", &[("authorization", &writer)], "").await;
    assert_eq!(reply.problem().0, 403);
    let upgrade = [auth, ("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")];
    let with = |more: &[(&'static str, &'static str)]| [&upgrade[..], more].concat();
    for (more, status) in [
        (&[("sec-websocket-version", "8"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")][..], 426),
        (&[("sec-websocket-version", "13"), ("sec-websocket-key", "c2hvcnQ=")], 400),
        (&[("sec-websocket-version", "13")], 400),
    ] {
        assert_eq!(world.send("GET", "/v1/stream", &with(more), "").await.problem().0, status, "{more:?}");
    }
    let reply = world.send("POST", "/v1/stream", &[auth], "{}").await;
    assert_eq!((reply.problem().0, reply.header("allow")), (405, "GET, OPTIONS"));
    assert_eq!(world.send("OPTIONS", "/v1/stream", &[], "").await.status, 204);
    // The accept of RFC 6455's own example.
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = format!(
        "GET /v1/stream HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nauthorization: {token}\r\n\
         sec-websocket-version: 13\r\nsec-websocket-protocol: other, petty.v1\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4_096];
    let length = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
    assert!(answer.contains("sec-websocket-protocol: petty.v1"), "{answer}");
}

#[tokio::test]
async fn too_much_of_anything_is_refused_and_the_wrong_kind_too() {
    let limits = Limits { streams: 3, ..Limits::default() };
    let world = World::before(limits, StandIn::upstreams).await;
    let token = world.account("pets:read");
    let mut large = open(&world, "/v1/stream", Some(&token)).await.unwrap();
    large.send(Message::text("x".repeat(5_000))).await.unwrap();
    assert_eq!(closed(&mut large).await, 1009);
    let mut binary = open(&world, "/v1/stream", Some(&token)).await.unwrap();
    binary.send(Message::binary(b"{}".to_vec())).await.unwrap();
    assert_eq!(closed(&mut binary).await, 1003);
    drop((large, binary));
    eventually(|| world.tasks.running("http-socket") == 0).await;

    let mut socket = open(&world, "/v1/stream", Some(&token)).await.unwrap();
    for pet in 0..100 {
        subscribe(&mut socket, &format!("p-{pet}")).await;
        assert_eq!(next(&mut socket).await["type"], "SUBSCRIBED");
    }
    subscribe(&mut socket, "one-more").await;
    assert_eq!(next(&mut socket).await["problem"]["code"], "TOO_MANY_PETS");
    let _held = [
        open(&world, "/v1/stream", Some(&token)).await.unwrap(),
        open(&world, "/v1/stream", Some(&token)).await.unwrap(),
    ];
    assert_eq!(refused(open(&world, "/v1/stream", Some(&token)).await), 503);
}

#[tokio::test]
async fn a_client_that_does_nothing_but_ping_is_closed() {
    // A heartbeat beyond the test: 100 pings, and ten a second.
    let limits = Limits { heartbeat: Duration::from_secs(30), ..Limits::default() };
    let world = World::before(limits, StandIn::upstreams).await;
    let token = world.account("pets:read");
    for many in [Message::Ping(Vec::new().into()), Message::Pong(Vec::new().into())] {
        let mut socket = open(&world, "/v1/stream", Some(&token)).await.unwrap();
        for _ in 0..400 {
            socket.send(many.clone()).await.unwrap();
        }
        subscribe(&mut socket, "p-1").await;
        assert_eq!(next(&mut socket).await["type"], "SUBSCRIBED");
        socket.send(many).await.unwrap();
        assert_eq!(closed(&mut socket).await, 4429);
    }
}

#[tokio::test]
async fn a_client_that_takes_too_little_misses_some_and_is_told_and_nothing_grows() {
    let world = World::new().await;
    let token = world.account("pets:read");
    let connection = TcpSocket::new_v4().unwrap();
    connection.set_recv_buffer_size(4 << 10).unwrap();
    let connection = connection.connect(world.address).await.unwrap();
    let mut socket = open_on(&world, "/v1/stream", Some(&token), connection).await.unwrap();
    subscribe(&mut socket, "flood").await;
    // Nothing is read: the flood stands still, however long.
    eventually(|| world.services.streams.taken() > 20).await;
    let mut before = 0;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let taken = world.services.streams.taken();
        if taken == before {
            break;
        }
        before = taken;
        assert!(tokio::time::Instant::now() < deadline, "it goes on");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // 32 KiB each: what waits in queue, sockets and buffers is bounded.
    assert!(before < 1_000, "{before}");
    let mut resynced = false;
    let mut last = None;
    for _ in 0..before + 200 {
        let told = next(&mut socket).await;
        match told["type"].as_str().unwrap() {
            "SUBSCRIBED" => {}
            "RESYNC" => resynced = true,
            "UPDATE" => {
                let id = told["update"]["id"].as_str().unwrap().parse::<u64>().unwrap();
                assert!(last.is_none_or(|last| id > last), "in order, whatever is left out");
                last = Some(id);
            }
            other => panic!("{other}"),
        }
        if resynced && last.is_some() {
            break;
        }
    }
    assert!(resynced, "it is told that it missed some");
}

#[tokio::test]
async fn whoever_says_nothing_is_gone_and_a_gateway_that_goes_says_so() {
    let limits = Limits { heartbeat: Duration::from_millis(200), ..Limits::default() };
    let world = World::before(limits, StandIn::upstreams).await;
    let token = world.account("pets:read");
    // Who answers pings stays.
    let mut alive = open(&world, "/v1/stream", Some(&token)).await.unwrap();
    // Who does not read answers none.
    let _silent = open(&world, "/v1/stream", Some(&token)).await.unwrap();
    assert_eq!(world.tasks.running("http-socket"), 2);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while world.tasks.running("http-socket") == 2 {
        assert!(tokio::time::Instant::now() < deadline, "it is waited for");
        let _ping = tokio::time::timeout(Duration::from_millis(50), alive.next()).await;
    }
    for _ in 0..20 {
        let _ping = tokio::time::timeout(Duration::from_millis(50), alive.next()).await;
    }
    assert_eq!(world.tasks.running("http-socket"), 1);
    subscribe(&mut alive, "p-1").await;
    assert_eq!(next(&mut alive).await["type"], "SUBSCRIBED");
    world.shutdown.begin();
    assert_eq!(closed(&mut alive).await, 1001);
}

#[tokio::test]
async fn who_looks_at_a_pet_is_counted() {
    let world = World::new().await;
    let (one, other) = (world.account("pets:read"), world.account("pets:read"));
    let mut first = open(&world, "/v1/stream", Some(&one)).await.unwrap();
    subscribe(&mut first, "p-1").await;
    assert_eq!(any(&mut first).await["type"], "SUBSCRIBED");
    let watching = |count: usize| json!({"type": "PRESENCE", "pet_id": "p-1", "watching": count});
    assert_eq!(any(&mut first).await, watching(1));
    let mut second = open(&world, "/v1/stream", Some(&other)).await.unwrap();
    subscribe(&mut second, "p-1").await;
    assert_eq!(any(&mut second).await["type"], "SUBSCRIBED");
    assert_eq!(any(&mut second).await, watching(2));
    assert_eq!(any(&mut first).await, watching(2));
    drop(second);
    assert_eq!(any(&mut first).await, watching(1));
    // Who may not see the pet is not counted.
    let mut third = open(&world, "/v1/stream", Some(&other)).await.unwrap();
    subscribe(&mut third, "missing").await;
    assert_eq!(any(&mut third).await["type"], "UNSUBSCRIBED");
    subscribe(&mut third, "p-2").await;
    assert_eq!(any(&mut third).await["type"], "SUBSCRIBED");
    assert_eq!(any(&mut third).await["watching"], 1);
}

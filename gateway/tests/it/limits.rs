//! What is too much, and what is not JSON.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use petty_gateway::{Limits, TrustedProxies};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stand_in::StandIn;
use crate::world::World;

pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn large_bodies_are_refused_and_the_client_gets_to_read_it() {
    let world = World::new().await;
    let token = world.account("write");
    let auth = ("authorization", token.as_str());
    let spaces = |count: usize| format!("{{{}}}", " ".repeat(count - 2));
    let mega = 1 << 20;
    assert_eq!(world.send("POST", "/v1/ingest", &[auth], spaces(mega)).await.status, 201);
    let reply = world.send("POST", "/v1/ingest", &[auth], spaces(mega + 1)).await;
    assert_eq!(reply.problem(), (413, "BODY_TOO_LARGE".to_owned()));
    assert_eq!(world.send("POST", "/v1/ingest:batch", &[auth], spaces(4 * mega)).await.status, 200);
    assert_eq!(world.send("POST", "/v1/ingest:batch", &[auth], spaces(4 * mega + 1)).await.problem().0, 413);
    let packed = [auth, ("content-encoding", "gzip")];
    assert_eq!(world.send("POST", "/v1/ingest", &packed, gzip(b"{}")).await.status, 201);
    let bomb = gzip(&vec![b' '; 64 * mega]);
    assert!(bomb.len() < 100_000);
    assert_eq!(world.send("POST", "/v1/ingest", &packed, bomb).await.problem().0, 413);
}

#[tokio::test]
async fn other_kinds_of_bodies_are_refused() {
    let world = World::new().await;
    let token = world.account("write");
    let auth = ("authorization", token.as_str());
    for header in [("content-type", "text/plain"), ("content-encoding", "br")] {
        let reply = world.send("POST", "/v1/ingest", &[auth, header], "{}").await;
        assert_eq!(reply.problem(), (415, "UNSUPPORTED_MEDIA_TYPE".to_owned()), "{header:?}");
    }
    let broken = world.send("POST", "/v1/ingest", &[auth, ("content-encoding", "gzip")], "{}").await;
    assert_eq!(broken.problem(), (400, "BODY_BROKEN".to_owned()));
    assert_eq!(world.send("POST", "/v1/ingest", &[auth], "").await.status, 201, "empty is {{}}");
}

#[tokio::test]
async fn hostile_json_leaves_the_gateway_as_it_was() {
    let world = World::new().await;
    let token = world.account("write");
    let auth = ("authorization", token.as_str());
    let unknown: String = (0..10_000).map(|at| format!("\"x{at}\":1,")).collect();
    for body in [
        "[".repeat(500_000),
        "{\"a\":".repeat(150_000),
        format!("{{{unknown}\"y\":1}}"),
        r#"{"collar_id":"\ud800"}"#.to_owned(),
        r#"{"collar_id":"a\u0000b"}"#.to_owned(),
        format!("{{\"heart_rate\":1{}}}", "0".repeat(500_000)),
        r#"{"heart_rate":1e400}"#.to_owned(),
        r#"{"collar_id":"a","collar_id":"b"}"#.to_owned(),
        r#"{"activity_level":9223372036854775808}"#.to_owned(),
    ] {
        for target in ["/v1/ingest", "/v1/ingest:batch", "/v1/pets"] {
            let reply = world.send("POST", target, &[auth], body.clone()).await;
            assert_eq!(reply.problem().0, 400, "{target} {}", &body[..40.min(body.len())]);
            assert!(!reply.json()["errors"][0]["field"].as_str().unwrap().is_empty());
            assert!(reply.bytes.len() < 8_192);
        }
    }
    assert!(world.services.seen().is_empty());
    assert_eq!(world.send("POST", "/v1/ingest", &[auth], "{}").await.status, 201);
}

#[tokio::test]
async fn what_is_little_as_text_and_much_as_messages_is_refused_before_it_is_read() {
    let world = World::new().await;
    let token = world.account("read write");
    let auth = ("authorization", token.as_str());
    let readings = |one: &str, count: usize| {
        let all = vec![one; count].join(",");
        format!("{{\"readings\":[{all}]}}")
    };
    let whole = "{\"collar_id\":\"c\",\"timestamp\":\"2026-01-31T12:00:00Z\",\"heart_rate\":70,\"activity_level\":1,\
        \"location\":{\"type\":\"Point\",\"coordinates\":[7,51],\"accuracy\":3},\"temperature\":38,\"skin_temperature\":35,\
        \"respiratory_rate\":20,\"battery_level\":90,\"sequence_id\":1}";
    let (batch, analyze) = ("/v1/ingest:batch", "/v1/behavior:analyze");
    let known = "{\"timestamp\":\"2026-01-31T12:00:00Z\",\"heart_rate\":70,\"activity_level\":1,\"latitude\":51,\"longitude\":7,\
        \"accuracy_m\":3,\"respiratory_rate\":20}";
    for (target, body, status, reason) in [
        (batch, readings(whole, 1_000), 200, ""),
        // The service says itself what is a little too much.
        (batch, readings("{}", 5_998), 200, ""),
        (
            batch,
            readings("{}", 5_999),
            400,
            "must not have more than 6000 objects and arrays: send less at once",
        ),
        (
            batch,
            readings("{}", 1_390_000),
            400,
            "must not have more than 6000 objects and arrays: send less at once",
        ),
        (batch, readings("0", 160_002), 400, "must not have more than 160000 values: send less at once"),
        // A null, which has everything read the other way.
        (batch, readings("null", 600_000), 400, "must not have more than 160000 values: send less at once"),
        (analyze, readings(known, 10_000), 200, ""),
        (
            analyze,
            readings("{}", 32_000),
            400,
            "must not have more than 32000 objects and arrays: send less at once",
        ),
    ] {
        let packed = gzip(body.as_bytes());
        let reply = world.send("POST", target, &[auth, ("content-encoding", "gzip")], packed).await;
        assert_eq!(reply.status, status, "{target} {} {reply:?}", &body[..40]);
        if status == 400 {
            assert_eq!(reply.problem().1, "INVALID_ARGUMENT");
            assert_eq!(reply.json()["errors"], serde_json::json!([{"field": "body", "reason": reason}]));
        }
    }
    assert_eq!(world.services.seen().len(), 3);
}

#[tokio::test]
async fn too_many_at_once_are_told_to_come_back() {
    let world = World::with_limits(Limits { concurrency: 1, ..Limits::default() }).await;
    let token = world.account("read");
    let auth = [("authorization", token.as_str())];
    let replies =
        futures::future::join_all((0..8).map(|_| world.send("GET", "/pet-timeline", &auth, ""))).await;
    let answered = replies.iter().filter(|reply| reply.status == 200).count();
    assert!((1..8).contains(&answered), "{answered}");
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        assert_eq!(reply.problem(), (503, "OVERLOADED".to_owned()));
        assert_eq!(reply.header("retry-after"), "1");
    }
    assert_eq!(world.send("GET", "/v1/realtime", &auth, "").await.status, 200);
}

#[tokio::test]
async fn bodies_have_so_much_memory_together_and_give_it_back() {
    let size = 64 << 10;
    let limits = Limits { bodies_bytes: 0, batch_bytes: size, body_bytes: size, ..Limits::default() };
    let world = World::with_limits(limits).await;
    let token = world.account("write");
    let auth = [("authorization", token.as_str())];
    let small = format!("{{{}}}", " ".repeat(5_000));
    let begun = format!("{{{}", " ".repeat(62_000));
    for (how, first, rest) in [
        // Whether it says its length or not, it takes room as it grows.
        ("content-length: 65000", begun.clone(), format!("{}}}", " ".repeat(2_998))),
        (
            "transfer-encoding: chunked",
            format!("{:x}\r\n{begun}\r\n", begun.len()),
            "1\r\n}\r\n0\r\n\r\n".to_owned(),
        ),
    ] {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        let head = format!(
            "POST /v1/ingest HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\ncontent-type: application/json\r\n{how}\r\n\r\n"
        );
        stream.write_all(format!("{head}{first}").as_bytes()).await.unwrap();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        let refused = loop {
            let reply = world.send("POST", "/v1/ingest", &auth, small.clone()).await;
            if reply.status != 201 || tokio::time::Instant::now() > deadline {
                break reply;
            }
        };
        assert_eq!(refused.problem(), (503, "OVERLOADED".to_owned()), "{how}");
        assert_eq!(refused.header("retry-after"), "1");
        stream.write_all(rest.as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 201"), "{how}: {answer}");
        assert_eq!(world.send("POST", "/v1/ingest", &auth, small.clone()).await.status, 201, "{how}");
    }
}

#[tokio::test]
async fn who_sends_much_and_stops_fills_a_share_and_no_more() {
    let size = 64 << 10;
    let limits = Limits {
        bodies_bytes: 4 * size,
        caller_bodies_bytes: size,
        batch_bytes: size,
        body_bytes: size,
        ..Limits::default()
    };
    let world = World::dressed(limits, StandIn::upstreams, |edge, _, _| {
        edge.behind(TrustedProxies::of("127.0.0.0/8".parse().unwrap()))
    })
    .await;
    let (greedy, other) = (world.account("write"), world.account("write"));
    let body = |length: usize| format!("{{{}", " ".repeat(length - 1));
    let (small, most) = (format!("{}}}", body(5_000)), body(62_000));
    // Whoever is known is known by account, wherever from; at log-in by address, or one /64.
    for (path, who, same, others, answer) in [
        (
            "/v1/ingest",
            ("authorization", greedy.as_str()),
            ("authorization", greedy.as_str()),
            ("authorization", other.as_str()),
            201,
        ),
        (
            "/v1/auth/login",
            ("x-forwarded-for", "2001:db8::1"),
            ("x-forwarded-for", "2001:db8::2"),
            ("x-forwarded-for", "2001:db8:0:1::1"),
            401,
        ),
    ] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\n{}: {}\r\ncontent-type: application/json\r\ncontent-length: 62001\r\n\r\n",
            who.0, who.1
        );
        let mut stopped = TcpStream::connect(world.address).await.unwrap();
        stopped.write_all(format!("{head}{most}").as_bytes()).await.unwrap();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        let refused = loop {
            let reply = world.send("POST", path, &[same], small.clone()).await;
            if reply.status != answer || tokio::time::Instant::now() > deadline {
                break reply;
            }
        };
        assert_eq!(refused.problem(), (429, "CALLER_BUSY".to_owned()), "{path}");
        assert_eq!(refused.header("retry-after"), "1");
        // However many it sends and stops, each is refused; the others go on, with the largest bodies too.
        for _ in 0..8 {
            let mut more = TcpStream::connect(world.address).await.unwrap();
            more.write_all(format!("{head}{most}").as_bytes()).await.unwrap();
            assert!(read_answer(&mut more).await.starts_with("HTTP/1.1 429"), "{path}");
        }
        for length in [5_000, size - 1] {
            let reply = world.send("POST", path, &[others], format!("{}}}", body(length))).await;
            assert_eq!(reply.status, answer, "{path}: {reply:?}");
        }
        stopped.write_all(b"}").await.unwrap();
        assert!(read_answer(&mut stopped).await.starts_with(&format!("HTTP/1.1 {answer}")), "{path}");
        assert_eq!(world.send("POST", path, &[same], small.clone()).await.status, answer, "{path}");
    }
}

#[tokio::test]
async fn who_declares_much_and_sends_nothing_has_nobody_refused() {
    let size = 64 << 10;
    let limits = Limits { bodies_bytes: 0, batch_bytes: size, body_bytes: size, ..Limits::default() };
    let world = World::with_limits(limits).await;
    let token = world.account("write");
    let auth = [("authorization", token.as_str())];
    let mut waiting = Vec::new();
    for path in ["/v1/auth/login", "/v1/ingest:batch"].into_iter().cycle().take(8) {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\ncontent-type: application/json\r\ncontent-length: {size}\r\nexpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // The body is asked for: whoever would have room for all of it has it.
        let mut answer = [0; 25];
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut answer));
        read.await.expect("an answer in time").unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 100"), "{path}: {}", String::from_utf8_lossy(&answer));
        waiting.push(stream);
    }
    let large = format!("{{{}}}", " ".repeat(size - 2));
    for target in ["/v1/ingest", "/v1/ingest:batch"] {
        let reply = world.send("POST", target, &auth, large.clone()).await;
        assert!(reply.status < 300, "{target}: {reply:?}");
    }
    drop(waiting);
}

#[tokio::test]
async fn who_sends_no_bodies_has_a_quarter_of_the_places() {
    let world = World::with_limits(Limits { concurrency: 16, ..Limits::default() }).await;
    let (greedy, other) = (world.account("read write"), world.account("read write"));
    let head = |more: &str| {
        format!(
            "POST /v1/ingest HTTP/1.1\r\nhost: x\r\nauthorization: {greedy}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n{more}\r\n"
        )
    };
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(head("expect: 100-continue\r\n").as_bytes()).await.unwrap();
        let mut asked = [0; 25];
        stream.read_exact(&mut asked).await.unwrap();
        assert!(asked.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&asked));
        waiting.push(stream);
    }
    // More of them hold nobody's place, while they are refused and after it.
    let more = futures::future::join_all((0..36).map(|_| async {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(head("").as_bytes()).await.unwrap();
        read_answer(&mut stream).await
    }));
    let others = async {
        for _ in 0..20 {
            let reply = world.send("GET", "/v1/realtime", &[("authorization", &other)], "").await;
            assert_eq!(reply.status, 200, "{reply:?}");
            let reply = world.send("POST", "/v1/ingest", &[("authorization", &other)], "{}").await;
            assert_eq!(reply.status, 201, "{reply:?}");
        }
    };
    let (refused, ()) = tokio::join!(more, others);
    for answer in refused {
        assert!(answer.starts_with("HTTP/1.1 429") && answer.contains("CALLER_BUSY"), "{answer}");
    }
    // What comes with its head is never waited for; and who waits is answered once it came.
    let whole = world.send("POST", "/v1/ingest", &[("authorization", &greedy)], "{}").await;
    assert_eq!(whole.status, 201, "{whole:?}");
    for mut stream in waiting {
        stream.write_all(b"{}").await.unwrap();
        let answer = read_answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_never_comes_is_not_waited_for() {
    let world =
        World::with_limits(Limits { read_timeout: Duration::from_millis(200), ..Limits::default() }).await;
    let token = world.account("write");
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = format!(
        "POST /v1/ingest HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    let read =
        tokio::time::timeout(Duration::from_secs(10), stream.read(&mut answer)).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&answer[..read]).starts_with("HTTP/1.1 408"));
}

#[tokio::test]
async fn who_still_writes_a_body_gets_to_read_why_it_is_refused() {
    let world = World::new().await;
    let expired = world.expired();
    for (path, status) in [("/v1/ingest", "401"), ("/v1/nothing", "404"), ("/v1/realtime", "405")] {
        for size in [10, 200 << 10, 1 << 20] {
            let mut stream = TcpStream::connect(world.address).await.unwrap();
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: {expired}\r\ncontent-length: {size}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            // All of it is written before anything is read, as simple clients do.
            for _ in 0..size / 1_024 {
                stream.write_all(&[b' '; 1_024]).await.unwrap();
                tokio::task::yield_now().await;
            }
            stream.write_all(&vec![b' '; size % 1_024]).await.unwrap();
            let answer = read_answer(&mut stream).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path} {size}: {answer}");
            // And the connection is good for more.
            stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 200"), "{path} {size}");
        }
    }
    assert!(world.services.seen().is_empty());
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_waited_for_a_moment_only() {
    let world = World::new().await;
    for (more, at_least) in [("", 900), ("expect: 100-continue\r\n", 0)] {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        let began = tokio::time::Instant::now();
        let head = format!("POST /v1/ingest HTTP/1.1\r\nhost: x\r\n{more}content-length: 1000\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        let took = began.elapsed();
        assert!(took < Duration::from_secs(5) && took >= Duration::from_millis(at_least), "{took:?}");
    }
}

async fn read_answer(stream: &mut TcpStream) -> String {
    let (mut answer, mut buffer) = (Vec::new(), [0; 4_096]);
    let reading = async {
        loop {
            let text = String::from_utf8_lossy(&answer).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if length.is_none_or(|length| body.len() >= length.parse::<usize>().unwrap()) {
                    return text;
                }
            }
            match stream.read(&mut buffer).await.unwrap() {
                0 => return text,
                read => answer.extend_from_slice(&buffer[..read]),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reading).await.expect("an answer in time")
}

#[tokio::test]
async fn what_was_accepted_is_answered_before_the_end() {
    let world = World::new().await;
    let token = world.account("read");
    let auth = [("authorization", token.as_str())];
    let asked = world.send("GET", "/pet-timeline", &auth, "");
    let end = async {
        while world.services.seen().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.shutdown.begin();
    };
    let (reply, ()) = tokio::join!(asked, end);
    assert_eq!(reply.status, 200);
    tokio::time::timeout(Duration::from_secs(10), async {
        while TcpStream::connect(world.address).await.is_ok() || world.tasks.running("gateway") > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the gateway ends once everything is answered");
}

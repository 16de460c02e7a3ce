//! Bodies of lines.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use petty_gateway::Limits;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::limits::gzip;
use crate::world::{Reply, World, eventually};

const LINES: (&str, &str) = ("content-type", "application/x-ndjson");

fn line(collar: &str) -> String {
    format!("{{\"collar_id\":\"{collar}\",\"heart_rate\":70}}\n")
}

fn lines(count: usize) -> String {
    (0..count).fold(String::new(), |mut all, nth| {
        let _written = write!(all, "{}", line(&format!("collar-{nth}")));
        all
    })
}

async fn upload(world: &World, headers: &[(&str, &str)], body: impl Into<bytes::Bytes>) -> Reply {
    upload_of(world, &world.account("read write"), headers, body).await
}

async fn upload_of(
    world: &World,
    token: &str,
    headers: &[(&str, &str)],
    body: impl Into<bytes::Bytes>,
) -> Reply {
    let headers = [&[("authorization", token), LINES], headers].concat();
    world.send("POST", "/v1/ingest:batch", &headers, body).await
}

fn calls(world: &World) -> usize {
    world.services.calls("ingest_readings").len()
}

#[tokio::test]
async fn any_number_of_lines_is_sent_on_in_batches_and_added_up() {
    let world = World::new().await;
    let reply = upload(&world, &[], lines(2_500)).await;
    assert_eq!(
        (reply.status, reply.json()),
        (200, json!({"accepted": 2_500, "duplicates": 0, "conflicting": 0, "rejected": [], "unlisted": 0}))
    );
    assert_eq!(calls(&world), 3);
    // More than any other body may have, packed and not.
    let many = lines(120_000);
    assert!(many.len() > 4 << 20);
    for (headers, body) in
        [(&[][..], many.clone().into_bytes()), (&[("content-encoding", "gzip")], gzip(many.as_bytes()))]
    {
        assert_eq!(upload(&world, headers, body).await.json()["accepted"], 120_000);
    }
}

#[tokio::test]
async fn each_line_stands_alone() {
    let world = World::new().await;
    let long = format!("{{\"collar_id\":\"{}\"}}\n", "c".repeat(20_000));
    let body = [
        &line("collar-0"),
        "\n",
        "{\"collar_id\":\"collar-2\",\"heart_rate\":\"fast\"}\n",
        "  \r\n",
        &line("nobodys"),
        "no json\n",
        &long,
        "{\"colour\":1}\n",
        "{\"heart_rate\":\"NaN\"}\n",
        "{\"collar_id\":\"\\u0000\"}\n",
        &"[".repeat(40),
        "\n",
        line("collar-11").trim_end(),
    ]
    .concat();
    let reply = upload(&world, &[], body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let answer = reply.json();
    assert_eq!((&answer["accepted"], &answer["duplicates"]), (&json!(2), &json!(0)));
    let rejected: Vec<(u64, &str, &str)> = answer["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (one["index"].as_u64().unwrap(), one["field"].as_str().unwrap(), one["code"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        rejected,
        [
            (2, "heart_rate", "MALFORMED"),
            (4, "collar_id", "COLLAR_NOT_FOUND"),
            (5, "body", "MALFORMED"),
            (6, "body", "MALFORMED"),
            (7, "colour", "MALFORMED"),
            (8, "heart_rate", "MALFORMED"),
            (9, "collar_id", "MALFORMED"),
            (10, "body", "MALFORMED"),
        ]
    );
    // Of very many the first are listed, and all are counted.
    let answer = upload(&world, &[], format!("{}{}", "x\n".repeat(1_500), line("collar-1"))).await.json();
    assert_eq!(answer["rejected"].as_array().unwrap().len(), 1_000);
    assert_eq!((&answer["accepted"], &answer["unlisted"]), (&json!(1), &json!(500)));
}

#[tokio::test]
async fn the_first_lines_that_are_refused_are_listed_whoever_refuses_them() {
    let world = World::new().await;
    // What is no reading is known before the service is asked about the lines before.
    let body = [line("nobodys").repeat(600), "x\n".repeat(1_500), line("nobodys").repeat(600)].concat();
    let answer = upload(&world, &[], body).await.json();
    let rejected = answer["rejected"].as_array().unwrap();
    let indices: Vec<u64> = rejected.iter().map(|one| one["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, (0..1_000).collect::<Vec<u64>>());
    assert_eq!(
        (&rejected[599]["code"], &rejected[600]["code"]),
        (&json!("COLLAR_NOT_FOUND"), &json!("MALFORMED"))
    );
    assert_eq!((&answer["accepted"], &answer["unlisted"]), (&json!(0), &json!(1_700)));
}

/// The longest time for which nothing else had a turn while this was done, and how long it took. All are on one thread.
async fn longest_turn<T>(doing: impl Future<Output = T>) -> (T, Duration, Duration) {
    let began = Instant::now();
    let mut longest = Duration::ZERO;
    let others = async {
        loop {
            let before = Instant::now();
            tokio::time::sleep(Duration::from_millis(1)).await;
            longest = longest.max(before.elapsed());
        }
    };
    let done = tokio::select! {
        done = doing => done,
        () = others => unreachable!("it has no end"),
    };
    (done, longest, began.elapsed())
}

#[tokio::test]
async fn others_have_their_turn_beside_what_is_much_of_little() {
    let world = World::new().await;
    let packed = ("content-encoding", "gzip");
    let (short, long) = ("x\n".repeat(99_000), format!("[{}0]\n", "0,".repeat(1_500)).repeat(1_000));
    // Each comes at once, in some kilobytes: many lines, dear ones, and one that does not end.
    for body in [short.into_bytes(), long.into_bytes(), vec![b'x'; 32 << 20]] {
        let (reply, longest, took) = longest_turn(upload(&world, &[packed], gzip(&body))).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(longest < took / 2, "{longest:?} of {took:?}");
    }
}

#[tokio::test]
async fn what_is_hardly_a_reading_is_not_read_to_its_end() {
    let world = World::new().await;
    let packed = ("content-encoding", "gzip");
    for nothing in ["x\n", "\n"] {
        let body = [lines(1_000), nothing.repeat(300_000)].concat();
        let reply = upload(&world, &[packed], gzip(body.as_bytes())).await;
        assert_eq!(reply.problem(), (400, "INVALID_ARGUMENT".to_owned()));
        let errors = &reply.json()["errors"];
        assert_eq!((&errors[0]["field"], &errors[1]["field"]), (&json!("body"), &json!("lines[1000]")));
    }
    // As many as there are readings, and more, are no harm.
    let body = lines(2_000).replace('\n', "\n\n\n");
    assert_eq!(upload(&world, &[], body).await.json()["accepted"], 2_000);
}

#[tokio::test]
async fn one_account_has_a_quarter_of_the_uploads() {
    let world = World::with_limits(Limits { uploads: 8, ..Limits::default() }).await;
    let (greedy, other) = (world.account("write"), world.account("write"));
    let begun = |token: String| {
        let address = world.address;
        async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = format!(
                "POST /v1/ingest:batch HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\ncontent-type: {}\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n",
                LINES.1
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.unwrap();
            (String::from_utf8(answer.to_vec()).unwrap(), stream)
        }
    };
    let mut held = Vec::new();
    // What it asks to be continued has a place.
    for (token, answer) in [
        (&greedy, "HTTP/1.1 100"),
        (&greedy, "HTTP/1.1 100"),
        (&greedy, "HTTP/1.1 429"),
        (&greedy, "HTTP/1.1 429"),
        (&other, "HTTP/1.1 100"),
        (&other, "HTTP/1.1 100"),
    ] {
        let (said, stream) = begun(token.clone()).await;
        assert_eq!(said, answer);
        held.push(stream);
    }
    assert_eq!(upload_of(&world, &other, &[], lines(1)).await.problem(), (429, "CALLER_BUSY".to_owned()));
    assert_eq!(upload(&world, &[], lines(1)).await.status, 200, "somebody else has one");
    held.clear();
    let mut last = 0;
    for _ in 0..500 {
        last = upload_of(&world, &greedy, &[], lines(1)).await.status;
        if last == 200 {
            break;
        }
    }
    assert_eq!(last, 200, "who ended has it again");
}

#[tokio::test]
async fn what_is_no_upload_is_refused() {
    let world = World::with_limits(Limits { upload_bytes: 100_000, ..Limits::default() }).await;
    let packed = ("content-encoding", "gzip");
    for (headers, body, status, code) in [
        (vec![], Vec::new(), 400, "INVALID_ARGUMENT"),
        (vec![packed], b"{}\n".to_vec(), 400, "BODY_BROKEN"),
        (vec![packed], gzip(&vec![b'\n'; 4 << 20]), 413, "BODY_TOO_LARGE"),
        (vec![], vec![b'\n'; 100_001], 413, "BODY_TOO_LARGE"),
        (vec![("content-encoding", "br")], b"{}\n".to_vec(), 415, "UNSUPPORTED_MEDIA_TYPE"),
    ] {
        let reply = upload(&world, &headers, body).await;
        assert_eq!(reply.problem(), (status, code.to_owned()));
    }
    assert_eq!(calls(&world), 0);
    // What came before stays, and the answer says so.
    let reply = upload(&world, &[], format!("{}{}", lines(1_500), "\n".repeat(100_000))).await;
    assert_eq!(reply.problem().0, 413);
    assert_eq!(reply.json()["errors"][0]["field"], "lines[1000]");
    assert_eq!(calls(&world), 1);
    let token = world.account("read write");
    let elsewhere = world.send("POST", "/v1/ingest", &[("authorization", &token), LINES], lines(1)).await;
    assert_eq!(elsewhere.problem().0, 415, "only the batch takes lines");
    let query =
        world.send("POST", "/v1/ingest:batch?x=1", &[("authorization", &token), LINES], lines(1)).await;
    assert_eq!((query.problem().0, &query.json()["errors"][0]["field"]), (400, &json!("x")));
    let reading = world.account("read");
    let refused =
        world.send("POST", "/v1/ingest:batch", &[("authorization", &reading), LINES], lines(1)).await;
    assert_eq!(refused.problem().0, 403);
}

#[tokio::test]
async fn a_service_that_is_away_for_a_while_is_waited_for() {
    let world = World::new().await;
    world.services.away.store(2, Ordering::Release);
    let reply = upload(&world, &[], lines(1_200)).await;
    assert_eq!((reply.status, &reply.json()["accepted"]), (200, &json!(1_200)));
    assert_eq!(calls(&world), 4);
}

#[tokio::test]
async fn no_more_is_read_than_was_answered_and_there_are_so_many_at_once() {
    let limits = Limits { uploads: 1, upstream_concurrency: 1, ..Limits::default() };
    let world = World::with_limits(limits).await;
    let token = world.account("write");
    world.services.away.store(1, Ordering::Release);
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = format!(
        "POST /v1/ingest:batch HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\ncontent-type: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        LINES.1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let first = lines(1_000);
    stream.write_all(format!("{:x}\r\n{first}\r\n", first.len()).as_bytes()).await.unwrap();
    // It is sent on while the rest has not been written.
    eventually(|| calls(&world) == 2).await;
    // While it waits for its client it has none of the service's places, of which there is one.
    let batch = world.send("POST", "/v1/ingest:batch", &[("authorization", &token)], "{}").await;
    assert_eq!(batch.status, 200);
    let another = upload_of(&world, &token, &[], lines(1)).await;
    assert_eq!(another.problem(), (429, "CALLER_BUSY".to_owned()), "one account has one in four, or one");
    assert_eq!(another.header("retry-after"), "1");
    let other = upload(&world, &[], lines(1)).await;
    assert_eq!(other.problem(), (503, "OVERLOADED".to_owned()));
    assert_eq!(other.header("retry-after"), "1");
    let last = lines(1);
    stream.write_all(format!("{:x}\r\n{last}\r\n0\r\n\r\n", last.len()).as_bytes()).await.unwrap();
    let mut answer = vec![0; 4_096];
    let read = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(serde_json::from_str::<Value>(body).unwrap()["accepted"], 1_001);
    // The place is free again.
    assert_eq!(upload(&world, &[], lines(1)).await.status, 200);
}

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

/// The status and body of an answer.
async fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    ask(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
}

async fn serve() -> (SocketAddr, Readiness, Shutdown) {
    let shutdown = Shutdown::new();
    let readiness = Readiness::new(shutdown.clone());
    let server = AdminServer::bind(([127, 0, 0, 1], 0).into(), readiness.clone()).await.unwrap();
    let address = server.address();
    crate::Tasks::new(shutdown.clone()).spawn("admin", server.serve(shutdown.cancelled()));
    (address, readiness, shutdown)
}

#[tokio::test]
async fn readiness_lists_its_checks_and_follows_them() {
    let (address, readiness, shutdown) = serve().await;
    let (status, body) = get(address, "/readyz").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 503);
    assert_eq!(
        body,
        json!({"ready": false, "checks": [{"name": "startup", "ok": false, "detail": "starting"}]})
    );

    let postgres = readiness.check("postgres");
    readiness.started();
    assert_eq!(get(address, "/readyz").await.0, 503, "a check that nobody has made is not passed");
    postgres.ok("fsync is off: acknowledged writes may be lost");
    let (status, body) = get(address, "/readyz").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["ready"]), (200, &true.into()));
    assert_eq!(body["checks"][0]["detail"], "fsync is off: acknowledged writes may be lost");

    postgres.fail("gone");
    assert_eq!(get(address, "/readyz").await.0, 503);
    postgres.ok("");
    assert_eq!(get(address, "/readyz").await.0, 200);
    shutdown.begin();
    let (status, body) = get(address, "/readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains("draining"), "{body}");
    assert_eq!(get(address, "/livez").await, (200, "ok\n".to_owned()), "draining is not dying");
}

#[tokio::test]
async fn readiness_can_be_waited_for() {
    let readiness = Readiness::new(Shutdown::new());
    let check = readiness.check("redis");
    let waiting = tokio::time::timeout(Duration::from_secs(5), readiness.ready());
    let (waited, ()) = tokio::join!(waiting, async {
        readiness.started();
        check.ok("");
    });
    assert!(waited.is_ok() && readiness.is_ready());
}

#[tokio::test]
async fn metrics_are_shown_as_prometheus_reads_them() {
    let (address, ..) = serve().await;
    telemetry::meter().u64_counter("petty_admin_test").build().add(2, &[]);
    let readiness = Readiness::new(Shutdown::new()).of("admin-test");
    let (works, fails) = (readiness.check("works"), readiness.check("fails"));
    works.ok("");
    fails.ok("");
    fails.fail("gone");
    let (status, body) = get(address, "/metrics").await;
    for (check, value) in [("startup", 0), ("works", 1), ("fails", 0)] {
        let line = body.lines().find(|line| {
            line.starts_with("petty_ready{")
                && line.contains("\"admin-test\"")
                && line.contains(&format!("\"{check}\""))
        });
        assert!(line.is_some_and(|line| line.ends_with(&format!(" {value}"))), "{check}: {line:?}");
    }
    assert_eq!(status, 200);
    assert!(body.contains("# TYPE petty_admin_test_total counter"), "{body}");
}

#[tokio::test]
async fn a_log_filter_that_is_none_is_refused() {
    let (address, ..) = serve().await;
    let put = "PUT /log-filter HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 7\r\n\r\na==b,,!";
    let (status, body) = ask(address, put).await;
    assert_eq!(status, 400, "{body}");
    assert_eq!(get(address, "/nothing").await.0, 404);
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_variable() {
    let (address, readiness, _shutdown) = serve().await;
    let error = AdminServer::bind(address, readiness).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("PETTY_ADMIN_LISTEN: cannot listen on {address}")), "{error}");
}

//! Traces and metrics over OTLP.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use nix::sys::signal::Signal;
use petty_proto::auth::v1::GetMeRequest;

use crate::fixture::{Keys, client, mesh};
use crate::process::{Process, environment, ready};

/// What a collector was sent: path and body, as it came.
type Received = Arc<Mutex<Vec<(String, Bytes)>>>;

/// A collector that takes everything.
async fn collector() -> (SocketAddr, Received) {
    let received = Received::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(take).with_state(Arc::clone(&received));
    let tasks = petty_chassis::Tasks::new(petty_chassis::Shutdown::new());
    tasks.spawn("collector", async move { axum::serve(listener, router).await });
    (address, received)
}

async fn take(State(received): State<Received>, uri: Uri, body: Bytes) -> Response<Body> {
    received.lock().unwrap().push((uri.path().to_owned(), body));
    let trailers =
        async { Some(Ok(HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from(0))]))) };
    // One empty message.
    let answer = Full::new(Bytes::from_static(&[0; 5])).with_trailers(trailers);
    Response::builder().header("content-type", "application/grpc").body(Body::new(answer)).unwrap()
}

fn holds(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn spans_and_metrics_are_sent_where_an_endpoint_is_set_before_the_process_ends() {
    let (address, received) = collector().await;
    let keys = Keys::new();
    let (environment, ports) = environment(&keys, "answer");
    let process = Process::start(&environment.with("PETTY_OTLP_ENDPOINT", format!("http://{address}")));
    ready(&ports).await;
    let mesh = mesh(&keys, "gateway", &[format!("http://{}", ports.grpc)]);
    client(&mesh).get_me(GetMeRequest {}).await.unwrap();
    process.signal(Signal::SIGTERM);
    let (code, written) = process.end().await;
    assert_eq!(code, Some(0), "{written}");

    let received = received.lock().unwrap();
    let sent =
        |path: &str, text: &str| received.iter().any(|(to, body)| to.contains(path) && holds(body, text));
    for text in ["/petty.auth.v1.AccountService/GetMe", "rpc.grpc.status_code", "service.instance.id"] {
        assert!(sent("TraceService/Export", text), "{text} in {received:?}");
    }
    assert!(sent("MetricsService/Export", "rpc_server_duration"), "{received:?}");
    assert!(received.iter().all(|(_, body)| !holds(body, "petty-service-token") && !holds(body, "eyJ")));
}

#[tokio::test]
async fn a_collector_that_is_away_keeps_nobody_up() {
    let keys = Keys::new();
    let (environment, ports) = environment(&keys, "answer");
    let nobody = crate::process::port();
    let process = Process::start(&environment.with("PETTY_OTLP_ENDPOINT", format!("http://{nobody}")));
    ready(&ports).await;
    let mesh = mesh(&keys, "gateway", &[format!("http://{}", ports.grpc)]);
    client(&mesh).get_me(GetMeRequest {}).await.unwrap();
    let since = Instant::now();
    process.signal(Signal::SIGTERM);
    let (code, written) = process.end().await;
    assert_eq!(code, Some(0), "{written}");
    assert!(since.elapsed() < Duration::from_secs(8), "{:?}", since.elapsed());
}

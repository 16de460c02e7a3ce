//! A replay against a gateway that is as unreliable as they come.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};

use super::*;
use crate::replay::{LeftOut, Recorded, Sample, Signal, Species, plan::plan};

/// From so many calls on nothing fails any more.
const RELIABLE: usize = 10;

#[derive(Default)]
struct Gateway {
    known: BTreeSet<String>,
    stored: BTreeSet<(String, String)>,
    keys: Vec<String>,
    calls: usize,
    tokens: usize,
}

type Shared = Arc<Mutex<Gateway>>;

fn problem(status: u16, code: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, Json(json!({"title": "no", "detail": "not now", "code": code}))).into_response()
}

async fn sign_up(State(gateway): State<Shared>, Json(body): Json<Value>) -> Response {
    match gateway.lock().unwrap().known.insert(body["email"].as_str().unwrap().to_owned()) {
        true => (StatusCode::CREATED, Json(json!({"access_token": "account"}))).into_response(),
        false => problem(409, "EMAIL_TAKEN"),
    }
}

async fn log_in() -> Json<Value> {
    Json(json!({"access_token": "account"}))
}

async fn pets(State(gateway): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    assert_eq!(headers["authorization"], "Bearer account");
    let mut gateway = gateway.lock().unwrap();
    gateway.keys.push(headers["idempotency-key"].to_str().unwrap().to_owned());
    if gateway.keys.len() == 1 {
        return problem(503, "UNAVAILABLE");
    }
    (StatusCode::CREATED, Json(json!({"pet_id": format!("pet-{}", body["name"].as_str().unwrap())})))
        .into_response()
}

async fn collars() -> Response {
    // As if the answer had been lost the first time.
    problem(409, "SECRET_ALREADY_SHOWN")
}

async fn rotate(Path((_, collar)): Path<(String, String)>) -> Json<Value> {
    assert!(collar.ends_with(":rotateSecret"), "{collar}");
    Json(json!({"secret": "s3cret"}))
}

async fn collar_token(State(gateway): State<Shared>, Json(body): Json<Value>) -> Json<Value> {
    assert_eq!(body["secret"], "s3cret");
    let mut gateway = gateway.lock().unwrap();
    gateway.tokens += 1;
    Json(json!({"access_token": format!("device-{}", gateway.tokens)}))
}

async fn ingest(State(gateway): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let mut gateway = gateway.lock().unwrap();
    gateway.calls += 1;
    let call = gateway.calls;
    match call {
        1 => return problem(503, "UNAVAILABLE"),
        2 => return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")]).into_response(),
        4 => return problem(401, "TOKEN_EXPIRED"),
        _ => {}
    }
    let wanted = if call < 4 { "Bearer device-1" } else { "Bearer device-2" };
    assert!(headers["authorization"] == wanted || call > RELIABLE, "{call}: {headers:?}");
    let readings = body["readings"].as_array().unwrap();
    assert!(readings.len() <= BATCH);
    let (mut accepted, mut duplicates, mut rejected) = (0, 0, Vec::new());
    for (index, reading) in readings.iter().enumerate() {
        let text = |field: &str| reading[field].as_str().unwrap().to_owned();
        if reading["heart_rate"] == 300.5 {
            rejected.push(json!({"index": index, "field": "heart_rate", "reason": "too fast", "code": "X"}));
        } else if gateway.stored.insert((text("collar_id"), text("timestamp"))) {
            accepted += 1;
        } else {
            duplicates += 1;
        }
    }
    if call == 3 {
        // Stored, but the answer is lost.
        return problem(504, "DEADLINE_EXCEEDED");
    }
    Json(json!({"accepted": accepted, "duplicates": duplicates, "rejected": rejected})).into_response()
}

/// Serves while `work` runs.
async fn beside<T>(gateway: &Shared, work: impl AsyncFnOnce(Client) -> T) -> T {
    let router = Router::new()
        .route("/v1/auth/signup", post(sign_up))
        .route("/v1/auth/login", post(log_in))
        .route("/v1/pets", post(pets))
        .route("/v1/pets/{pet}/collars", post(collars))
        .route("/v1/pets/{pet}/collars/{collar}", post(rotate))
        .route("/v1/collars/token", post(collar_token))
        .route("/v1/ingest:batch", post(ingest))
        .with_state(Arc::clone(gateway));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    tokio::select! {
        served = async { axum::serve(listener, router).await } => panic!("{served:?}"),
        done = work(client) => done,
    }
}

fn recorded(rates: &[f64]) -> Recorded {
    let sample = |(at, rate): (usize, &f64)| Sample {
        at_us: i64::try_from(at).unwrap() * 5_000_000,
        signal: Signal::HeartRate(*rate),
    };
    Recorded {
        key: "7".into(),
        name: "Rex".into(),
        species: Species::Dog,
        breed: None,
        samples: rates.iter().enumerate().map(sample).collect(),
        left_out: LeftOut::new(),
    }
}

fn account() -> Account {
    Account { email: "a@example.com".into(), password: "a long enough one".into() }
}

fn now() -> Timestamp {
    "2026-11-01T12:00:00Z".parse().unwrap()
}

#[tokio::test]
async fn every_reading_is_acknowledged_once_whatever_fails_on_the_way() {
    let gateway = Shared::default();
    let acknowledged = Mutex::new(0);
    let plan = plan(vec![recorded(&[60.0; 2500])], now(), None);
    let outcome = beside(&gateway, async |client| {
        send(&client, &account(), &plan, None, &|news| {
            if let News::Acknowledged(count) = news {
                *acknowledged.lock().unwrap() += count;
            }
        })
        .await
        .unwrap()
    })
    .await;
    assert!(outcome.is_complete(), "{outcome:?}");
    let sent = &outcome.animals[0];
    assert_eq!((sent.pet_id.as_str(), sent.readings), ("pet-Rex", 2500));
    assert_eq!(
        (sent.accepted, sent.duplicates),
        (1500, 1000),
        "the batch whose answer was lost is known already"
    );
    assert_eq!(*acknowledged.lock().unwrap(), 2500);
    let gateway = gateway.lock().unwrap();
    assert_eq!(gateway.stored.len(), 2500);
    assert_eq!(gateway.tokens, 2, "an expired token is replaced");
    assert_eq!(gateway.keys.len(), 2);
    assert_eq!(gateway.keys[0], gateway.keys[1], "made again, a call carries the same key");
}

#[tokio::test]
async fn a_refused_reading_is_reported_and_leaves_the_replay_incomplete() {
    let gateway = Shared::default();
    gateway.lock().unwrap().calls = RELIABLE;
    let plan = plan(vec![recorded(&[60.0, 300.5, 61.0])], now(), None);
    let outcome = beside(&gateway, async |client| {
        send(&client, &account(), &plan, None, &|_| {}).await.unwrap();
        // The account is there by now.
        send(&client, &account(), &plan, None, &|_| {}).await.unwrap()
    })
    .await;
    assert!(!outcome.is_complete());
    assert_eq!(outcome.animals[0].rejected, BTreeMap::from([("heart_rate: too fast".to_owned(), 1)]));
    assert_eq!(outcome.animals[0].acknowledged(), 2);
}

#[tokio::test]
async fn a_paced_replay_keeps_the_recordings_time() {
    let gateway = Shared::default();
    gateway.lock().unwrap().calls = RELIABLE;
    // 100 s of recording at 200 times real time.
    let plan = plan(vec![recorded(&[60.0; 21])], now(), None);
    let (outcome, took) = beside(&gateway, async |client| {
        let begun = Instant::now();
        (send(&client, &account(), &plan, Some(200.0), &|_| {}).await.unwrap(), begun.elapsed())
    })
    .await;
    assert!(outcome.is_complete(), "{outcome:?}");
    assert!(took >= Duration::from_millis(500), "{took:?}");
    assert!(gateway.lock().unwrap().calls > RELIABLE + 2, "several batches");
}
